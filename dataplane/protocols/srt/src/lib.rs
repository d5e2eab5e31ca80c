//! Secure Reliable Transport (SRT, draft-sharabayko-srt), live mode, as a gateway needs it: packets, handshake in every
//! role, encryption, delivery, retransmission and packet filter.
//!
//! Sans-IO: no socket, no clock, no randomness. The driver hands in datagrams, the time in microseconds of a clock that
//! never goes back ([`Micros`]) and random bytes, and carries out what comes back.

#![forbid(unsafe_code)]

pub mod connection;
pub mod crypto;
pub mod delivery;
pub mod filter;
pub mod handshake;
pub mod stats;
pub mod stream_id;
pub mod time;
pub mod wire;

pub use connection::{CloseReason, Connection, Received, SendError, State};
pub use stats::{ReceiveStats, SendStats, Stats};
pub use time::Micros;
