//! Extensions of a handshake (draft 3.2.1.1 to 3.2.1.4).

use super::{BufferTooSmall, ParseError, words_of};

/// Most bytes of extensions that this crate writes: a stream id and a packet filter of 512 bytes each, key material of
/// two AES-256 keys, and the small ones.
pub const EXTENSION_BYTES_MAX: usize = 1_280;

/// Most bytes of a stream id (draft 3.2.1.3); the packet filter's text has the same limit.
pub const STREAM_ID_BYTES_MAX: usize = 512;

/// The extension blocks of a handshake, in wire form.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Extensions<'a> {
    bytes: &'a [u8],
}

/// One extension block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extension<'a> {
    /// What it is.
    pub kind: ExtensionKind,
    /// Its content, a whole number of 32-bit words, in wire order.
    pub content: &'a [u8],
}

/// What an extension block is (draft 3.2.1, table 5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExtensionKind {
    /// Handshake extension request.
    HsReq,
    /// Handshake extension response.
    HsRsp,
    /// Key material request.
    KmReq,
    /// Key material response.
    KmRsp,
    /// Stream id.
    StreamId,
    /// Congestion control.
    Congestion,
    /// Packet filter.
    Filter,
    /// Group membership.
    Group,
    /// Anything else, skipped.
    Unknown(u16),
}

impl<'a> Extensions<'a> {
    /// No extensions.
    pub const NONE: Self = Self { bytes: &[] };

    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The blocks in order, the last one an error when the packet ends inside it.
    pub fn iter(&self) -> impl Iterator<Item = Result<Extension<'a>, ParseError>> + 'a {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let block = split_block(rest);
            match block {
                Ok((extension, after)) => {
                    rest = after;
                    Some(Ok(extension))
                }
                Err(error) => {
                    rest = &[];
                    Some(Err(error))
                }
            }
        })
    }

    /// The blocks as on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl ExtensionKind {
    /// The kind as on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u16 {
        match self {
            Self::HsReq => 1,
            Self::HsRsp => 2,
            Self::KmReq => 3,
            Self::KmRsp => 4,
            Self::StreamId => 5,
            Self::Congestion => 6,
            Self::Filter => 7,
            Self::Group => 8,
            Self::Unknown(kind) => kind,
        }
    }

    /// The kind that the wire says; in an extension block, and as subtype of a user-defined control packet.
    #[must_use]
    pub const fn from_wire(value: u16) -> Self {
        match value {
            1 => Self::HsReq,
            2 => Self::HsRsp,
            3 => Self::KmReq,
            4 => Self::KmRsp,
            5 => Self::StreamId,
            6 => Self::Congestion,
            7 => Self::Filter,
            8 => Self::Group,
            other => Self::Unknown(other),
        }
    }
}

/// Writes extension blocks one after the other into a buffer of the caller.
#[derive(Debug)]
pub struct ExtensionsWriter<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl<'b> ExtensionsWriter<'b> {
    /// A writer to the start of `buffer`.
    #[must_use]
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// Appends a block with `content`, filled up with zeros to whole words.
    ///
    /// # Errors
    /// [`BufferTooSmall`].
    pub fn push(&mut self, kind: ExtensionKind, content: &[u8]) -> Result<(), BufferTooSmall> {
        self.block(kind, content.len())?[..content.len()].copy_from_slice(content);
        Ok(())
    }

    /// Appends a block with `text`, in the little-endian words that texts have on the wire (draft 3.2.1.3).
    ///
    /// # Errors
    /// [`BufferTooSmall`].
    pub fn push_text(&mut self, kind: ExtensionKind, text: &str) -> Result<(), BufferTooSmall> {
        let content = self.block(kind, text.len())?;
        content[..text.len()].copy_from_slice(text.as_bytes());
        for word in content.chunks_exact_mut(4) {
            word.reverse();
        }
        Ok(())
    }

    /// What has been written.
    #[must_use]
    pub fn finish(self) -> Extensions<'b> {
        Extensions::new(&self.buffer[..self.length])
    }

    /// A zeroed block for `bytes` of content, rounded up to whole words.
    fn block(&mut self, kind: ExtensionKind, bytes: usize) -> Result<&mut [u8], BufferTooSmall> {
        let words = bytes.div_ceil(4);
        let end = self.length + 4 + 4 * words;
        let too_small = BufferTooSmall {
            packet: "handshake extension",
            needed: end,
            available: self.buffer.len(),
        };
        let Ok(words) = u16::try_from(words) else {
            return Err(too_small);
        };
        let Some(block) = self.buffer.get_mut(self.length..end) else {
            return Err(too_small);
        };
        let (header, content) = block.split_at_mut(4);
        header[..2].copy_from_slice(&kind.to_wire().to_be_bytes());
        header[2..].copy_from_slice(&words.to_be_bytes());
        content.fill(0);
        self.length = end;
        Ok(content)
    }
}

impl Extension<'_> {
    /// The text of a stream id, congestion control or packet filter, without the zeros that fill the last word.
    ///
    /// `None` when it is longer than 512 bytes, no UTF-8, or has a zero inside.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if self.content.len() > STREAM_ID_BYTES_MAX {
            return None;
        }
        let mut bytes = self.content.to_vec();
        for word in bytes.chunks_exact_mut(4) {
            word.reverse();
        }
        let length = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        bytes.truncate(length);
        String::from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains('\0'))
    }
}

/// The handshake extension message, HSREQ and HSRSP (draft 3.2.1.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HsExtension {
    /// Version of the SRT implementation.
    pub version: SrtVersion,
    /// Capabilities.
    pub flags: SrtFlags,
    /// Delay that the sender of the message keeps as a receiver, in milliseconds.
    pub recv_latency_ms: u16,
    /// Delay that the sender of the message asks of its peer as a receiver, in milliseconds.
    pub send_latency_ms: u16,
}

impl HsExtension {
    /// Bytes of the content.
    pub const BYTES: usize = 12;

    /// The content of the block.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let latency = u32::from(self.recv_latency_ms) << 16 | u32::from(self.send_latency_ms);
        for (target, word) in bytes
            .chunks_exact_mut(4)
            .zip([self.version.0, self.flags.0, latency])
        {
            target.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// The message in `content`; what follows its three words is skipped.
    ///
    /// # Errors
    /// [`ParseError::Truncated`].
    pub fn parse(content: &[u8]) -> Result<Self, ParseError> {
        let mut words = words_of(content);
        let (Some(version), Some(flags), Some(latency)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(ParseError::Truncated {
                packet: "HSREQ",
                bytes: content.len(),
                expected: Self::BYTES,
            });
        };
        let [recv_high, recv_low, send_high, send_low] = latency.to_be_bytes();
        Ok(Self {
            version: SrtVersion(version),
            flags: SrtFlags(flags),
            recv_latency_ms: u16::from_be_bytes([recv_high, recv_low]),
            send_latency_ms: u16::from_be_bytes([send_high, send_low]),
        })
    }
}

/// Capabilities in a handshake extension message (draft 3.2.1.1.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SrtFlags(pub u32);

impl SrtFlags {
    /// The sender of the message delivers by timestamp as a sender.
    pub const TSBPDSND: Self = Self(0x01);
    /// The sender of the message delivers by timestamp as a receiver.
    pub const TSBPDRCV: Self = Self(0x02);
    /// It understands the KK field; always set.
    pub const CRYPT: Self = Self(0x04);
    /// It drops packets that are too late.
    pub const TLPKTDROP: Self = Self(0x08);
    /// It repeats NAKs periodically.
    pub const PERIODICNAK: Self = Self(0x10);
    /// It understands the R field; always set.
    pub const REXMITFLG: Self = Self(0x20);
    /// Buffer mode, which live streams do not use.
    pub const STREAM: Self = Self(0x40);
    /// It understands packet filters.
    pub const PACKET_FILTER: Self = Self(0x80);

    /// These flags and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Version of an SRT implementation: major * 0x10000 + minor * 0x100 + patch (draft 3.2.1.1).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct SrtVersion(pub u32);

impl SrtVersion {
    /// What this crate says of itself. It is libsrt's version whose wire format it speaks: peers decide by it.
    pub const OURS: Self = Self(0x0001_0505);
    /// The first version with handshake version 5.
    pub const HSV5: Self = Self(0x0001_0300);
}

impl std::fmt::Display for SrtVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [_, major, minor, patch] = self.0.to_be_bytes();
        write!(formatter, "{major}.{minor}.{patch}")
    }
}

/// The first block of `bytes`, and what follows it.
fn split_block(bytes: &[u8]) -> Result<(Extension<'_>, &[u8]), ParseError> {
    let Some(([kind_high, kind_low, words_high, words_low], rest)) = bytes.split_first_chunk::<4>()
    else {
        return Err(ParseError::Truncated {
            packet: "handshake extension",
            bytes: bytes.len(),
            expected: 4,
        });
    };
    let length = 4 * usize::from(u16::from_be_bytes([*words_high, *words_low]));
    let Some((content, rest)) = rest.split_at_checked(length) else {
        return Err(ParseError::Truncated {
            packet: "handshake extension",
            bytes: rest.len(),
            expected: length,
        });
    };
    let kind = ExtensionKind::from_wire(u16::from_be_bytes([*kind_high, *kind_low]));
    Ok((Extension { kind, content }, rest))
}
