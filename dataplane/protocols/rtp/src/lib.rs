//! RTP (RFC 3550) as far as a gateway needs it: header views that never copy, sequence accounting that tells loss
//! from reordering, and the header in front of MPEG-TS (RFC 2250) that the gateway writes itself.
//!
//! Sans-IO: no socket, no clock, no randomness. The caller hands in bytes and identifiers.

#![forbid(unsafe_code)]

mod header;
mod sequence;
mod wrap;

pub use header::{HEADER_BYTES_MIN, RtpView};
pub use sequence::{Arrival, SeqNo, SequenceTracker, Ssrc};
pub use wrap::{MPEGTS_CLOCK_HZ, RtpWrapper, rtp_timestamp, with_payload_type};
