//! The configuration: from a JSON document to values that are all legal, and from there to the data plane and to disk.
//!
//! Parsing is the only validation: what [`parse_app`], [`parse_flow`] and [`parse_output`] return needs no second look.
//! Two rules span more than one flow or more than one process and have functions of their own: [`check_ports`] compares
//! the sockets of the whole node, [`flow_spec`] refuses what this version cannot carry out.
//!
//! Where the specification leaves room, this is what holds:
//!
//! * Port 0 is legal for an input: the system chooses, and `GET /api/v1/stats` cannot tell which. With FEC it is not,
//!   for the FEC ports count from it.
//! * `interface_addr` is legal beside a unicast address, where it only has to exist: NMOS controllers always send it.
//! * An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is refused: IPv6 sockets here carry IPv6 alone.
//! * Bitrates are kept to the bit per second.
//! * A list that allows nothing (`allowed_sources`, `allowed_payload_types`) is refused: it would silence the flow.
//! * Timeouts and delays in seconds are 1 to 86,400, the life of a token is a year at most.
//! * SRT latencies have the 16 bits of the handshake, windows and buffers at most 2^20 packets. A packet filter names
//!   its columns; rows are 1 unless it says otherwise. A listener may have a `remote_addr`, and does not use it.
//! * A tunnel claims `local_addr` on the egress, and `direct_listen_addr` (UDP) in direct mode on the ingress.
//! * `path_differential_ms` may name a skew class of ST 2022-7 (`"A"` to `"D"`); it is kept in milliseconds.
//! * In the files, `null` in place of a secret is absence; in a request it removes the secret.

mod error;
mod model;
mod parse;
mod ports;
mod public;
mod raw;
mod spec;
mod store;
#[cfg(test)]
mod tests;

pub use error::{ConfigError, FieldError, Place, Problem};
pub use model::*;
pub use parse::{
    Environment, Parsed, parse_app, parse_app_in, parse_flow, parse_output, parse_tunnel,
};
pub use ports::{Claim, PortConflict, Transport, check_ports};
pub use raw::UnknownFields;
pub use spec::{PATH_DIFFERENTIAL_MS_DEFAULT, flow_spec};
pub use store::{
    Companion, FILE_BYTES_MAX, FileKind, Loaded, Prepared, SecretsProblem, Store, StoreError,
};
