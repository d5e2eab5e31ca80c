//! The handshake, version 5, in every role (draft 3.2.1, 4.3).
//!
//! [`Caller`] and [`Rendezvous`] are driven alike: feed every packet from the peer to `handle`, then drain
//! `poll_transmit` and `poll_outcome`, and come back at `poll_timeout`. [`Listener`] answers from the packet alone until
//! a caller has returned its cookie; then the driver decides, at once, with [`Listener::accept`] or [`Listener::reject`].
//! All of them end in [`Negotiated`], which is all that a connection needs.
//!
//! Deviations from the draft, each with its reason:
//! * 4.3, "when both are set the Responder wins" (key length): a caller whose own key length is configured keeps it, for
//!   the advertisement is not authenticated and must not weaken what an operator has set. Responders take the length
//!   from the key material in any case.
//! * 4.3.2, a responder answers AGREEMENT with AGREEMENT: it stays silent, as libsrt does, and as the same section says
//!   under "serial flow".

mod answered;
mod caller;
mod cookie;
mod exchange;
mod filter;
mod listener;
mod message;
mod rejection;
mod rendezvous;
mod settings;

pub use caller::Caller;
pub use listener::{Accepted, Action, Listener, Refused, Request};
pub use rejection::{RejectReason, Rejection};
pub use rendezvous::Rendezvous;
pub use settings::{Direction, RetransmitAlgorithm, Settings, SettingsError};

use crate::crypto::CryptoState;
use crate::time::Micros;
use crate::wire::{EXTENSION_BYTES_MAX, HANDSHAKE_BYTES, HEADER_BYTES};
use crate::wire::{SeqNumber, SocketId, SrtVersion, Timestamp};

/// Bytes of the largest handshake packet that this crate writes: buffers that it writes to hold at least these.
pub const HANDSHAKE_PACKET_BYTES_MAX: usize = HEADER_BYTES + HANDSHAKE_BYTES + EXTENSION_BYTES_MAX;

/// What a handshake ends in.
#[derive(Debug)]
pub enum Outcome {
    /// Both ends are connected.
    Connected(Box<Negotiated>),
    /// One end refuses.
    Rejected(Rejection),
    /// The far end has not answered in time.
    TimedOut,
}

/// What both ends have agreed upon.
#[derive(Debug)]
pub struct Negotiated {
    /// Our socket, to which the peer's packets are addressed.
    pub local_socket: SocketId,
    /// The peer's socket, to which our packets are addressed.
    pub peer_socket: SocketId,
    /// Number of the first data packet that we send.
    pub send_sequence: SeqNumber,
    /// Number of the first data packet that the peer sends.
    pub recv_sequence: SeqNumber,
    /// Largest packet in bytes, IP and UDP headers included: the smaller of both.
    pub mss: u32,
    /// Most packets in flight: the smaller of both.
    pub flow_window: u32,
    /// Delay between a packet's origin and its delivery here.
    pub recv_latency: Micros,
    /// Delay between a packet's origin and its delivery at the peer.
    pub send_latency: Micros,
    /// Whether the peer stamps packets with their origin, and we deliver by it.
    pub recv_tsbpd: bool,
    /// Whether the peer delivers by our timestamps.
    pub send_tsbpd: bool,
    /// Whether packets that are too late are dropped; both ends must be for it.
    pub tlpktdrop: bool,
    /// Whether the peer repeats its NAKs, so that we need not retransmit on a timer.
    pub peer_nak_report: bool,
    /// Whether the peer sets the R flag in what it retransmits.
    pub peer_retransmit_flag: bool,
    /// The packet filter of the connection.
    pub packet_filter: Option<String>,
    /// The caller's stream id.
    pub stream_id: Option<String>,
    /// Version of the peer.
    pub peer_version: SrtVersion,
    /// Round-trip time as the handshake has measured it, if one exchange went through without a loss.
    pub rtt: Option<Micros>,
    /// When our timestamps were zero.
    pub start: Micros,
    /// A timestamp of the peer's clock, that of its HSREQ or HSRSP.
    pub peer_timestamp: Timestamp,
    /// When the packet with that timestamp came. The time base of delivery is this instant less that timestamp (draft
    /// 4.5.1.1).
    pub peer_timestamp_at: Micros,
    /// Keys of both directions, when this side has a passphrase.
    pub crypto: Option<CryptoState>,
}

/// Interval at which a message is repeated that was not answered, as libsrt has it.
const REPEAT_INTERVAL: Micros = Micros::from_millis(250);

#[cfg(test)]
mod tests;
