//! The handshake's information field (draft 3.2.1).

use std::net::IpAddr;

use super::extension::Extensions;
use super::number::{SeqNumber, SocketId};
use super::{ParseError, words_of};

/// Bytes of the information field without extensions.
pub const HANDSHAKE_BYTES: usize = 48;

/// The information field of a handshake packet (draft 3.2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Handshake<'a> {
    /// Handshake version: 4 in a caller's INDUCTION, 5 in everything else.
    pub version: u32,
    /// Encryption field: key length in units of 8 bytes, 2, 3 or 4; zero when none is advertised.
    pub encryption: u16,
    /// Extension field.
    pub extension: ExtensionField,
    /// Number of the first data packet.
    pub initial_sequence: SeqNumber,
    /// Largest packet in bytes, IP and UDP headers included.
    pub mss: u32,
    /// Most data packets in flight.
    pub flow_window: u32,
    /// Kind of the handshake message, or the reason of a rejection.
    pub kind: HandshakeKind,
    /// Socket id of the sender.
    pub socket: SocketId,
    /// SYN cookie.
    pub cookie: u32,
    /// Address of the peer, as its sender sees it.
    pub peer_ip: PeerIp,
    /// Extension blocks.
    pub extensions: Extensions<'a>,
}

impl<'a> Handshake<'a> {
    /// Length of the field in bytes, extensions included.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        HANDSHAKE_BYTES + self.extensions.as_bytes().len()
    }

    /// Writes the field to the start of `buffer`; `None` when it is too short.
    pub(super) fn write(&self, buffer: &mut [u8]) -> Option<usize> {
        let (field, extensions) = buffer
            .get_mut(..self.bytes())?
            .split_at_mut(HANDSHAKE_BYTES);
        let words = [
            self.version,
            u32::from(self.encryption) << 16 | u32::from(self.extension.0),
            self.initial_sequence.value(),
            self.mss,
            self.flow_window,
            self.kind.to_wire(),
            self.socket.0,
            self.cookie,
        ];
        let (words_target, ip_target) = field.split_at_mut(4 * words.len());
        for (target, word) in words_target.chunks_exact_mut(4).zip(words) {
            target.copy_from_slice(&word.to_be_bytes());
        }
        ip_target.copy_from_slice(&self.peer_ip.0);
        extensions.copy_from_slice(self.extensions.as_bytes());
        Some(self.bytes())
    }

    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let Some((field, extensions)) = body.split_first_chunk::<HANDSHAKE_BYTES>() else {
            return Err(ParseError::Truncated {
                packet: "handshake",
                bytes: body.len(),
                expected: HANDSHAKE_BYTES,
            });
        };
        let mut words = [0; 8];
        for (target, word) in words.iter_mut().zip(words_of(field)) {
            *target = word;
        }
        let [
            version,
            fields,
            sequence,
            mss,
            flow_window,
            kind,
            socket,
            cookie,
        ] = words;
        let [
            encryption_high,
            encryption_low,
            extension_high,
            extension_low,
        ] = fields.to_be_bytes();
        let mut peer_ip = [0; 16];
        peer_ip.copy_from_slice(&field[32..]);
        Ok(Self {
            version,
            encryption: u16::from_be_bytes([encryption_high, encryption_low]),
            extension: ExtensionField(u16::from_be_bytes([extension_high, extension_low])),
            initial_sequence: SeqNumber::new(sequence),
            mss,
            flow_window,
            kind: HandshakeKind::from_wire(kind),
            socket: SocketId(socket),
            cookie,
            peer_ip: PeerIp(peer_ip),
            extensions: Extensions::new(extensions),
        })
    }
}

/// Kind of a handshake message (draft 3.2.1, table 4), or a rejection in its place (draft 4.3, table 7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HandshakeKind {
    /// First message of a rendezvous.
    WaveAHand,
    /// A caller asks for a cookie, or a listener gives one.
    Induction,
    /// The request proper, and its answer.
    Conclusion,
    /// The rendezvous is agreed.
    Agreement,
    /// The rendezvous is done.
    Done,
    /// The connection is refused for a reason, 1000 or more.
    Rejection(u32),
    /// Anything else.
    Unknown(u32),
}

impl HandshakeKind {
    /// The kind as on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u32 {
        match self {
            Self::WaveAHand => 0,
            Self::Induction => 1,
            Self::Conclusion => 0xffff_ffff,
            Self::Agreement => 0xffff_fffe,
            Self::Done => 0xffff_fffd,
            Self::Rejection(reason) | Self::Unknown(reason) => reason,
        }
    }

    /// The kind that the wire says.
    #[must_use]
    pub const fn from_wire(value: u32) -> Self {
        match value {
            0 => Self::WaveAHand,
            1 => Self::Induction,
            0xffff_ffff => Self::Conclusion,
            0xffff_fffe => Self::Agreement,
            0xffff_fffd => Self::Done,
            //= draft-sharabayko-srt 4.3: rejection reasons start at 1000; those of applications are positive too
            1_000..0x8000_0000 => Self::Rejection(value),
            other => Self::Unknown(other),
        }
    }
}

/// The extension field of a handshake (draft 3.2.1, table 3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ExtensionField(pub u16);

impl ExtensionField {
    /// No extension.
    pub const NONE: Self = Self(0);
    /// HSREQ or HSRSP is attached.
    pub const HSREQ: Self = Self(1);
    /// KMREQ or KMRSP is attached.
    pub const KMREQ: Self = Self(2);
    /// Stream id, congestion control, packet filter or group is attached.
    pub const CONFIG: Self = Self(4);
    /// What a caller's INDUCTION carries: the datagram socket type of UDT (draft 4.3.1.1).
    pub const UDT_DGRAM: Self = Self(2);
    /// What a listener's INDUCTION answer carries, so that the caller knows SRT from UDT (draft 4.3.1.1).
    pub const MAGIC: Self = Self(0x4a17);

    /// This field with `other`'s bits as well.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The peer's address in a handshake: four 32-bit words, for IPv4 the last three zero (draft 3.2.1).
///
/// Each word is on the wire with its bytes reversed, as libsrt sends it; nothing depends on the field.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PeerIp(pub [u8; 16]);

impl From<IpAddr> for PeerIp {
    fn from(address: IpAddr) -> Self {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => bytes = address.octets(),
        }
        for word in bytes.chunks_exact_mut(4) {
            word.reverse();
        }
        Self(bytes)
    }
}
