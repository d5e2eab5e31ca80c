//! Data packets (draft 3.1).

use super::number::{MsgNumber, SeqNumber, SocketId, Timestamp};
use super::{BufferTooSmall, HEADER_BYTES, header_of, word};

/// The header of a data packet (draft 3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DataHeader {
    /// Number of the packet.
    pub sequence: SeqNumber,
    /// Place of the packet in its message (PP).
    pub position: MessagePosition,
    /// Whether the message has to be delivered in order (O).
    pub in_order: bool,
    /// The key that the payload is encrypted with (KK).
    pub key: KeyFlag,
    /// Whether this is a copy of a packet that was sent before (R).
    pub retransmitted: bool,
    /// Number of the message; [`MsgNumber::FILTER`] for packets of the packet filter.
    pub message: MsgNumber,
    /// Time of the message at the sender.
    pub timestamp: Timestamp,
    /// The socket that the packet is for.
    pub destination: SocketId,
}

impl DataHeader {
    /// The header as on the wire.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        header_of([
            self.sequence.value(),
            (self.position as u32) << POSITION_SHIFT
                | u32::from(self.in_order) << IN_ORDER_SHIFT
                | (self.key as u32) << KEY_SHIFT
                | u32::from(self.retransmitted) << RETRANSMITTED_SHIFT
                | self.message.value(),
            self.timestamp.0,
            self.destination.0,
        ])
    }

    /// The header of a packet whose first bit is 0.
    #[inline]
    pub(super) const fn from_bytes(header: &[u8; HEADER_BYTES]) -> Self {
        let flags = word(header, 1);
        Self {
            sequence: SeqNumber::new(word(header, 0)),
            position: MessagePosition::from_bits(flags >> POSITION_SHIFT),
            in_order: flags >> IN_ORDER_SHIFT & 1 == 1,
            key: KeyFlag::from_bits(flags >> KEY_SHIFT),
            retransmitted: flags >> RETRANSMITTED_SHIFT & 1 == 1,
            message: MsgNumber::new(flags),
            timestamp: Timestamp(word(header, 2)),
            destination: SocketId(word(header, 3)),
        }
    }
}

/// A data packet in somebody else's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DataPacket<'a> {
    /// The header.
    pub header: DataHeader,
    /// The payload, encrypted when [`DataHeader::key`] says so. It starts at [`HEADER_BYTES`] of the datagram.
    pub payload: &'a [u8],
}

impl DataPacket<'_> {
    /// Writes the packet to the start of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`BufferTooSmall`].
    #[inline]
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let needed = HEADER_BYTES + self.payload.len();
        let available = buffer.len();
        let Some(packet) = buffer.get_mut(..needed) else {
            return Err(BufferTooSmall {
                packet: "data packet",
                needed,
                available,
            });
        };
        let (header, payload) = packet.split_at_mut(HEADER_BYTES);
        header.copy_from_slice(&self.header.to_bytes());
        payload.copy_from_slice(self.payload);
        Ok(needed)
    }
}

/// Place of a packet in its message (PP, draft 3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessagePosition {
    /// In the middle of a message.
    Middle = 0b00,
    /// The last packet of a message.
    Last = 0b01,
    /// The first packet of a message.
    First = 0b10,
    /// A whole message: every packet of live mode.
    Single = 0b11,
}

impl MessagePosition {
    const fn from_bits(bits: u32) -> Self {
        match bits & 0b11 {
            0b00 => Self::Middle,
            0b01 => Self::Last,
            0b10 => Self::First,
            _ => Self::Single,
        }
    }
}

/// Which of the two stream encrypting keys, in a packet's header and in a key material message (KK, draft 3.1, 3.2.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyFlag {
    /// Not encrypted.
    #[default]
    None = 0b00,
    /// The even key.
    Even = 0b01,
    /// The odd key.
    Odd = 0b10,
    /// Both keys: in key material; no data packet can be encrypted with both.
    Both = 0b11,
}

impl KeyFlag {
    pub(crate) const fn from_bits(bits: u32) -> Self {
        match bits & 0b11 {
            0b00 => Self::None,
            0b01 => Self::Even,
            0b10 => Self::Odd,
            _ => Self::Both,
        }
    }
}

const POSITION_SHIFT: u32 = 30;
const IN_ORDER_SHIFT: u32 = 29;
const KEY_SHIFT: u32 = 27;
const RETRANSMITTED_SHIFT: u32 = 26;
