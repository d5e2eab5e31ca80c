//! The control process of bilbycast-edge: REST API, configuration, reconciliation with the data plane.
//!
//! * [`config`]: what a configuration is, what is legal, and its file.
//! * [`link`]: the data plane as seen from here: the control socket and the counters in shared memory.
//! * [`node`]: the one owner of the configuration; every change goes through it, and after each reconnect it brings
//!   the data plane to what is configured.
//! * [`stats`]: what runs, in the words of the API.
//! * [`mod@api`] is the HTTP side of all that.
//!
//! Nothing here is on the way of a packet. A crash, a hang or a restart of this process costs no running flow
//! anything, and every command to the data plane is declarative, so that saying it again is harmless.

#![forbid(unsafe_code)]

pub mod api;
pub mod config;
pub mod link;
pub mod node;
pub mod stats;
