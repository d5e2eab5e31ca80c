//! Lists of lost packets: the body of a NAK (draft 3.2.5, appendix A).

use super::control::{NAK, write_header};
use super::number::{SeqNumber, SocketId, Timestamp};
use super::{HEADER_BYTES, ParseError, words_of};

/// The packets that a NAK reports, in wire form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LossList<'a> {
    bytes: &'a [u8],
}

/// Packets `first` to `last`, both included.
///
/// From the wire it may span half of all numbers: [`LossRange::within`] bounds it by what is in the send buffer, and
/// nobody walks through a range before that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LossRange {
    /// First lost packet.
    pub first: SeqNumber,
    /// Last lost packet, not before `first`.
    pub last: SeqNumber,
}

impl<'a> LossList<'a> {
    /// The ranges, in the order of the list. Ranges that end before they start are left out, and so is a start without
    /// an end.
    pub fn ranges(&self) -> impl Iterator<Item = LossRange> + 'a {
        let mut words = words_of(self.bytes);
        std::iter::from_fn(move || {
            loop {
                let word = words.next()?;
                let first = SeqNumber::new(word);
                let last = if word & RANGE_BIT == 0 {
                    first
                } else {
                    //= draft-sharabayko-srt appendix A: the first of a range has bit 0 set, the last has it clear
                    SeqNumber::new(words.next()?)
                };
                if !last.is_before(first) {
                    return Some(LossRange { first, last });
                }
            }
        })
    }

    /// The list as on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if bytes.len() < 4 {
            return Err(ParseError::Truncated {
                packet: "NAK",
                bytes: bytes.len(),
                expected: 4,
            });
        }
        Ok(Self { bytes })
    }
}

impl LossRange {
    /// The part of the range in `oldest` to `newest`, both included; `None` when there is none.
    ///
    /// `oldest` and `newest` lie less than 2^30 apart, `newest` not before `oldest`.
    #[must_use]
    pub const fn within(self, oldest: SeqNumber, newest: SeqNumber) -> Option<Self> {
        let first = if self.first.is_before(oldest) {
            oldest
        } else {
            self.first
        };
        let last = if self.last.is_after(newest) {
            newest
        } else {
            self.last
        };
        if last.is_before(first) || first.is_after(newest) || last.is_before(oldest) {
            return None;
        }
        Some(Self { first, last })
    }

    /// How many packets the range has, 1 to 2^30.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.last.offset_from(self.first).unsigned_abs() + 1
    }
}

/// Writes a NAK to the start of `buffer` with as many of `ranges` as fit; returns its length in bytes and how many
/// ranges it carries. The length is zero when there is nothing to report or no room for a single range.
pub fn write_nak(
    buffer: &mut [u8],
    timestamp: Timestamp,
    destination: SocketId,
    ranges: impl IntoIterator<Item = LossRange>,
) -> (usize, usize) {
    let mut length = HEADER_BYTES;
    let mut count = 0;
    for range in ranges {
        let single = range.first == range.last;
        let needed = if single { 4 } else { 8 };
        let Some(target) = buffer.get_mut(length..length + needed) else {
            break;
        };
        if single {
            target.copy_from_slice(&range.first.value().to_be_bytes());
        } else {
            let (first, last) = target.split_at_mut(4);
            first.copy_from_slice(&(range.first.value() | RANGE_BIT).to_be_bytes());
            last.copy_from_slice(&range.last.value().to_be_bytes());
        }
        length += needed;
        count += 1;
    }
    if count == 0 || write_header(buffer, NAK, 0, 0, timestamp, destination).is_none() {
        return (0, 0);
    }
    (length, count)
}

const RANGE_BIT: u32 = 0x8000_0000;
