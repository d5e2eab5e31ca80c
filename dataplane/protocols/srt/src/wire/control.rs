//! Control packets (draft 3.2).

use super::handshake::Handshake;
use super::loss_list::LossList;
use super::number::{MsgNumber, SeqNumber, SocketId, Timestamp};
use super::{BufferTooSmall, CONTROL_BIT, HEADER_BYTES, ParseError, header_of, word, words_of};

/// A control packet in somebody else's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ControlPacket<'a> {
    /// Time at the sender.
    pub timestamp: Timestamp,
    /// The socket that the packet is for.
    pub destination: SocketId,
    /// What it says.
    pub control: Control<'a>,
}

/// What a control packet says (draft 3.2, table 1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Control<'a> {
    /// Part of a handshake (draft 3.2.1).
    Handshake(Handshake<'a>),
    /// The sender lives (draft 3.2.3).
    KeepAlive,
    /// Packets have arrived (draft 3.2.4).
    Ack(Ack),
    /// Packets have not arrived (draft 3.2.5).
    Nak(LossList<'a>),
    /// The delay grows (draft 3.2.6); nothing follows from it in live mode.
    CongestionWarning,
    /// The sender has closed the connection (draft 3.2.7).
    Shutdown,
    /// An acknowledgement has arrived (draft 3.2.8).
    AckAck {
        /// Number of the acknowledgement.
        number: u32,
    },
    /// Packets will not come any more (draft 3.2.9). `first` may be after `last`: the far end may say anything.
    DropRequest {
        /// Number of the message that is given up; zero when the packets were not found at the sender.
        message: MsgNumber,
        /// First packet that is given up.
        first: SeqNumber,
        /// Last packet that is given up.
        last: SeqNumber,
    },
    /// The far end's file system failed (draft 3.2.10); nothing follows from it in live mode.
    PeerError {
        /// The error.
        code: u32,
    },
    /// An extension message outside a handshake: 3 and 4 are KMREQ and KMRSP of a key refresh (draft 3.2.2, 6.1.6).
    UserDefined {
        /// Kind of the extension.
        subtype: u16,
        /// Its content, in wire order.
        content: &'a [u8],
    },
    /// A type that this crate does not know: counted, and otherwise without effect.
    Unknown {
        /// Type, 15 bits.
        kind: u16,
        /// Subtype.
        subtype: u16,
    },
}

impl<'a> ControlPacket<'a> {
    /// Writes the packet to the start of `buffer` and returns its length in bytes. A NAK is written by
    /// [`write_nak`](super::write_nak), which has no need of a list in wire form.
    ///
    /// # Errors
    /// [`BufferTooSmall`].
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut words = [0_u32; ACK_WORDS_MAX];
        let mut detail = 0;
        let (kind, subtype) = self.control.kind();
        let body: Body<'_> = match &self.control {
            Control::Handshake(handshake) => {
                let needed = HEADER_BYTES + handshake.bytes();
                let available = buffer.len();
                return write_header(buffer, kind, subtype, 0, self.timestamp, self.destination)
                    .and_then(|()| handshake.write(buffer.get_mut(HEADER_BYTES..)?))
                    .map(|_| needed)
                    .ok_or(BufferTooSmall {
                        packet: "handshake",
                        needed,
                        available,
                    });
            }
            Control::Ack(ack) => {
                detail = ack.number;
                Body::Words(ack.to_words(&mut words))
            }
            Control::Nak(list) => Body::Bytes(list.as_bytes()),
            Control::AckAck { number } => {
                detail = *number;
                Body::Words(EMPTY_WORDS)
            }
            Control::DropRequest {
                message,
                first,
                last,
            } => {
                detail = message.value();
                words[..2].copy_from_slice(&[first.value(), last.value()]);
                Body::Words(2)
            }
            Control::PeerError { code } => {
                detail = *code;
                Body::Words(EMPTY_WORDS)
            }
            Control::UserDefined { content, .. } => Body::Bytes(content),
            Control::KeepAlive
            | Control::CongestionWarning
            | Control::Shutdown
            | Control::Unknown { .. } => Body::Words(EMPTY_WORDS),
        };
        let needed = HEADER_BYTES
            + match body {
                Body::Words(count) => 4 * count,
                Body::Bytes(bytes) => bytes.len(),
            };
        let available = buffer.len();
        let written = buffer.get_mut(..needed).and_then(|packet| {
            write_header(
                packet,
                kind,
                subtype,
                detail,
                self.timestamp,
                self.destination,
            )?;
            let target = packet.get_mut(HEADER_BYTES..)?;
            match body {
                Body::Words(_) => {
                    for (target, word) in target.chunks_exact_mut(4).zip(words) {
                        target.copy_from_slice(&word.to_be_bytes());
                    }
                }
                Body::Bytes(bytes) => target.copy_from_slice(bytes),
            }
            Some(needed)
        });
        written.ok_or(BufferTooSmall {
            packet: "control packet",
            needed,
            available,
        })
    }

    /// The control packet of a header whose first bit is 1, and what follows it.
    pub(super) fn from_parts(
        header: &[u8; HEADER_BYTES],
        body: &'a [u8],
    ) -> Result<Self, ParseError> {
        let kind = u16::from_be_bytes([header[0] & !CONTROL_BIT, header[1]]);
        let subtype = u16::from_be_bytes([header[2], header[3]]);
        let detail = word(header, 1);
        let control = match kind {
            HANDSHAKE => Control::Handshake(Handshake::parse(body)?),
            KEEP_ALIVE => Control::KeepAlive,
            ACK => Control::Ack(Ack::parse(detail, body)?),
            NAK => Control::Nak(LossList::parse(body)?),
            CONGESTION_WARNING => Control::CongestionWarning,
            SHUTDOWN => Control::Shutdown,
            ACK_ACK => Control::AckAck { number: detail },
            DROP_REQUEST => {
                let mut words = words_of(body);
                let (Some(first), Some(last)) = (words.next(), words.next()) else {
                    return Err(ParseError::Truncated {
                        packet: "DROPREQ",
                        bytes: body.len(),
                        expected: 8,
                    });
                };
                Control::DropRequest {
                    message: MsgNumber::new(detail),
                    first: SeqNumber::new(first),
                    last: SeqNumber::new(last),
                }
            }
            PEER_ERROR => Control::PeerError { code: detail },
            USER_DEFINED => Control::UserDefined {
                subtype,
                content: body,
            },
            kind => Control::Unknown { kind, subtype },
        };
        Ok(Self {
            timestamp: Timestamp(word(header, 2)),
            destination: SocketId(word(header, 3)),
            control,
        })
    }
}

impl Control<'_> {
    /// Type and subtype on the wire.
    const fn kind(&self) -> (u16, u16) {
        match self {
            Self::Handshake(_) => (HANDSHAKE, 0),
            Self::KeepAlive => (KEEP_ALIVE, 0),
            Self::Ack(_) => (ACK, 0),
            Self::Nak(_) => (NAK, 0),
            Self::CongestionWarning => (CONGESTION_WARNING, 0),
            Self::Shutdown => (SHUTDOWN, 0),
            Self::AckAck { .. } => (ACK_ACK, 0),
            Self::DropRequest { .. } => (DROP_REQUEST, 0),
            Self::PeerError { .. } => (PEER_ERROR, 0),
            Self::UserDefined { subtype, .. } => (USER_DEFINED, *subtype),
            Self::Unknown { kind, subtype } => (*kind, *subtype),
        }
    }
}

/// An acknowledgement (draft 3.2.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ack {
    /// Number of the acknowledgement, which the ACKACK repeats; zero in a light one, which is not answered.
    pub number: u32,
    /// The packet after the last one that has arrived without a gap before it.
    pub acknowledged: SeqNumber,
    /// What a light acknowledgement leaves out.
    pub detail: Option<AckDetail>,
}

/// What an acknowledgement says beyond the sequence number (draft 3.2.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AckDetail {
    /// Round-trip time as its sender measures it, in microseconds.
    pub rtt_us: u32,
    /// Variance of the round-trip time, in microseconds.
    pub rtt_var_us: u32,
    /// Room in the receive buffer, in packets.
    pub buffer_available: u32,
    /// What a small acknowledgement leaves out.
    pub rates: Option<AckRates>,
}

/// What a full acknowledgement says about rates (draft 3.2.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AckRates {
    /// Packets received per second.
    pub packets_per_second: u32,
    /// Estimated capacity of the link, in packets per second.
    pub link_capacity: u32,
    /// Bytes received per second; zero when the far end does not say.
    pub bytes_per_second: u32,
}

impl Ack {
    fn parse(number: u32, body: &[u8]) -> Result<Self, ParseError> {
        let mut words = words_of(body);
        let Some(acknowledged) = words.next() else {
            return Err(ParseError::Truncated {
                packet: "ACK",
                bytes: body.len(),
                expected: 4,
            });
        };
        let detail = match (words.next(), words.next(), words.next()) {
            (Some(rtt_us), Some(rtt_var_us), Some(buffer_available)) => Some(AckDetail {
                rtt_us,
                rtt_var_us,
                buffer_available,
                rates: words
                    .next()
                    .zip(words.next())
                    .map(|(packets_per_second, link_capacity)| AckRates {
                        packets_per_second,
                        link_capacity,
                        bytes_per_second: words.next().unwrap_or(0),
                    }),
            }),
            _ => None,
        };
        Ok(Self {
            number,
            acknowledged: SeqNumber::new(acknowledged),
            detail,
        })
    }

    /// The body, and how many words it has.
    fn to_words(self, words: &mut [u32; ACK_WORDS_MAX]) -> usize {
        words[0] = self.acknowledged.value();
        let Some(detail) = self.detail else {
            return 1;
        };
        words[1] = detail.rtt_us;
        words[2] = detail.rtt_var_us;
        words[3] = detail.buffer_available;
        let Some(rates) = detail.rates else {
            return 4;
        };
        words[4] = rates.packets_per_second;
        words[5] = rates.link_capacity;
        words[6] = rates.bytes_per_second;
        ACK_WORDS_MAX
    }
}

/// Writes the header of a control packet; `None` when `buffer` is too short.
pub(super) fn write_header(
    buffer: &mut [u8],
    kind: u16,
    subtype: u16,
    detail: u32,
    timestamp: Timestamp,
    destination: SocketId,
) -> Option<()> {
    let header = buffer.first_chunk_mut::<HEADER_BYTES>()?;
    let first = u32::from(CONTROL_BIT) << 24 | u32::from(kind) << 16 | u32::from(subtype);
    *header = header_of([first, detail, timestamp.0, destination.0]);
    Some(())
}

/// Body of a packet that is to be written.
enum Body<'a> {
    Words(usize),
    Bytes(&'a [u8]),
}

/// Words in place of a body that a packet does not have: libsrt sends one zero word, which the draft does not have and
/// every peer is used to.
const EMPTY_WORDS: usize = 1;

/// Words of a full acknowledgement.
const ACK_WORDS_MAX: usize = 7;

//= draft-sharabayko-srt 3.2 table 1, control packet types
const HANDSHAKE: u16 = 0x0000;
const KEEP_ALIVE: u16 = 0x0001;
const ACK: u16 = 0x0002;
pub(super) const NAK: u16 = 0x0003;
const CONGESTION_WARNING: u16 = 0x0004;
const SHUTDOWN: u16 = 0x0005;
const ACK_ACK: u16 = 0x0006;
const DROP_REQUEST: u16 = 0x0007;
const PEER_ERROR: u16 = 0x0008;
const USER_DEFINED: u16 = 0x7fff;
