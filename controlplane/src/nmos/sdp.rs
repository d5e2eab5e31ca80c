//! SDP (RFC 8866): what an RTP sender says of its stream, and what a receiver is told of one.
//!
//! MPEG-TS in RTP, with the two legs of SMPTE ST 2022-7 (RFC 7104), source filters (RFC 4570) and clock signalling
//! (RFC 7273) as BCP-006-04 wants them. Both directions are functions of their arguments alone.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::net::{IpAddr, SocketAddr};

pub use read::{SDP_BYTES_MAX, SdpError, read};
pub use write::write;

/// Media type of SDP (RFC 8866 8.1).
pub const MEDIA_TYPE: &str = "application/sdp";

/// A stream of this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent<'a> {
    /// `o=`: the same as long as the sender exists.
    pub session_id: u64,
    /// `o=`: rises with every change.
    pub version: u64,
    /// `s=`, for people.
    pub label: &'a str,
    /// Of the media packets, 0-127.
    pub payload_type: u8,
    /// One leg, or the two of SMPTE ST 2022-7.
    pub legs: Vec<SentLeg>,
}

/// One leg of a stream of this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SentLeg {
    /// Where packets come from.
    pub source: IpAddr,
    /// Where they go, unicast or group.
    pub destination: SocketAddr,
    /// Hops that packets to a group may take.
    pub ttl: u8,
    /// Hardware address of the interface that they leave from, `aa-bb-cc-dd-ee-ff`.
    pub port_id: String,
}

/// A stream that a receiver is told of: one leg, or the two of SMPTE ST 2022-7.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    /// Leg 1 first.
    pub legs: Vec<OfferedLeg>,
}

/// One leg of a stream that a receiver is told of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OfferedLeg {
    /// Where its packets go, unicast or group.
    pub destination: SocketAddr,
    /// The only source that may send them; absent: any.
    pub source: Option<IpAddr>,
    /// Of the media packets, 0-127.
    pub payload_type: u8,
    /// False: it is named and does not send (`a=inactive`).
    pub is_active: bool,
    /// Whether column FEC comes with it, on its port + 2.
    pub has_column_fec: bool,
    /// Whether row FEC comes with it, on its port + 4.
    pub has_row_fec: bool,
}
