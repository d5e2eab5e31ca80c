//! SRT packets: views over a received datagram that never copy, and serialisers into the caller's buffer.
//!
//! Parsing costs at most the size of the packet and never fails on what is merely unknown: a control type that this
//! crate does not speak is [`Control::Unknown`], an extension that it does not know is skipped.

mod control;
mod data;
mod extension;
mod handshake;
mod loss_list;
mod number;

pub use control::{Ack, AckDetail, AckRates, Control, ControlPacket};
pub use data::{DataHeader, DataPacket, KeyFlag, MessagePosition};
pub use extension::{
    EXTENSION_BYTES_MAX, Extension, ExtensionKind, Extensions, ExtensionsWriter, HsExtension,
    STREAM_ID_BYTES_MAX, SrtFlags, SrtVersion,
};
pub use handshake::{ExtensionField, HANDSHAKE_BYTES, Handshake, HandshakeKind, PeerIp};
pub use loss_list::{LossList, LossRange, write_nak};
pub use number::{MsgNumber, SeqNumber, SocketId, Timestamp};

/// Bytes of the header that every packet starts with (draft 3).
pub const HEADER_BYTES: usize = 16;

/// A packet in somebody else's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packet<'a> {
    /// Payload of the stream, or of the packet filter.
    Data(DataPacket<'a>),
    /// Anything else.
    Control(ControlPacket<'a>),
}

impl<'a> Packet<'a> {
    /// The packet in `datagram`.
    ///
    /// # Errors
    /// [`ParseError`] names the packet and what is wrong with it; such a packet is dropped and counted, never answered.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let Some((header, body)) = datagram.split_first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::Truncated {
                packet: "header",
                bytes: datagram.len(),
                expected: HEADER_BYTES,
            });
        };
        if header[0] & CONTROL_BIT == 0 {
            return Ok(Self::Data(DataPacket {
                header: DataHeader::from_bytes(header),
                payload: body,
            }));
        }
        ControlPacket::from_parts(header, body).map(Self::Control)
    }

    /// The socket that the packet is for; zero for the first packet of a handshake.
    #[must_use]
    pub const fn destination(&self) -> SocketId {
        match self {
            Self::Data(packet) => packet.header.destination,
            Self::Control(packet) => packet.destination,
        }
    }
}

/// The socket id that `datagram` is addressed to, without a look at anything else: what a listener port sorts by.
#[inline]
#[must_use]
pub fn destination_of(datagram: &[u8]) -> Option<SocketId> {
    let header = datagram.first_chunk::<HEADER_BYTES>()?;
    Some(SocketId(word(header, 3)))
}

/// Why a datagram is not an SRT packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The packet ends before its fields do.
    #[error("{packet}: {bytes} bytes, at least {expected} expected")]
    Truncated {
        /// Which part.
        packet: &'static str,
        /// Bytes that were there.
        bytes: usize,
        /// Bytes that the part needs.
        expected: usize,
    },
    /// A length that is no whole number of 32-bit words.
    #[error("{packet}: {bytes} bytes are no whole number of 32-bit words")]
    Unaligned {
        /// Which part.
        packet: &'static str,
        /// Bytes that were there.
        bytes: usize,
    },
}

/// The caller's buffer cannot hold the packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{packet}: {needed} bytes do not fit into a buffer of {available}")]
pub struct BufferTooSmall {
    /// Which packet.
    pub packet: &'static str,
    /// Bytes that it needs.
    pub needed: usize,
    /// Bytes that there are.
    pub available: usize,
}

/// First bit of the header: 0 for data, 1 for control (draft 3.1, 3.2).
const CONTROL_BIT: u8 = 0x80;

/// The `index`th 32-bit word of a header.
#[inline]
const fn word(header: &[u8; HEADER_BYTES], index: usize) -> u32 {
    let at = 4 * index;
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// A header of four words.
#[inline]
fn header_of(words: [u32; 4]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    for (bytes, word) in header.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    header
}

/// The 32-bit words of `bytes`; a rest of one to three bytes is left out.
#[inline]
fn words_of(bytes: &[u8]) -> impl Iterator<Item = u32> + Clone + '_ {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests;
