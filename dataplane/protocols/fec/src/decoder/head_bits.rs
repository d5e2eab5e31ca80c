//! P, X, CC and M of a recovered packet.
//!
//! Most streams have none of these bits, and then there is nothing to tell. For those that do, senders differ: see the
//! documentation of the crate.

use bilbycast_rtp::HEADER_BYTES_MIN;

use crate::header::{Fields, HEAD_BITS};

/// Knows which kind of sender it hears.
#[derive(Debug, Default)]
pub(super) struct HeadBits {
    sender: Sender,
    /// A media packet had one of the bits.
    seen: bool,
}

/// What an FEC packet's RTP header has in the places of these bits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Sender {
    #[default]
    Unknown,
    /// The sum over the group.
    Sum,
    Zeros,
}

/// The bits of the other packets of a group.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    first: Option<[u8; 2]>,
    differ: bool,
    /// The last packet before the missing one.
    before: Option<[u8; 2]>,
}

impl HeadBits {
    #[inline]
    pub(super) fn on_media(&mut self, header: &[u8; HEADER_BYTES_MIN]) {
        self.seen |= header[0] & HEAD_BITS[0] != 0 || header[1] & HEAD_BITS[1] != 0;
    }

    /// Whether a complete group may tell something.
    pub(super) fn is_open(&self) -> bool {
        self.seen && self.sender == Sender::Unknown
    }

    /// Compares the sum over all `members` of a group with what its FEC packet says.
    pub(super) fn on_complete_group<'a>(
        &mut self,
        members: impl Iterator<Item = &'a [u8]>,
        fec: [u8; 2],
    ) {
        let mut sum = Fields::default();
        for header in members.filter_map(|packet| packet.first_chunk()) {
            sum.add(&Fields::of(header, 0));
        }
        if sum.head_bits != [0; 2] {
            if fec == sum.head_bits {
                self.sender = Sender::Sum;
            } else if fec == [0; 2] {
                self.sender = Sender::Zeros;
            }
        }
    }

    /// The bits of a missing packet: `sum` is that over the FEC packet and its group without the missing one.
    pub(super) fn of_missing(
        &self,
        sum: [u8; 2],
        fec: [u8; 2],
        neighbours: &Neighbours,
    ) -> [u8; 2] {
        match self.sender {
            Sender::Sum => sum,
            Sender::Zeros => neighbours.likely(),
            // Zeros beside packets that agree on something else: a sender of sums would have written zeros only if the
            // missing packet were the one that differs.
            Sender::Unknown if fec == [0; 2] && !neighbours.differ => neighbours.likely(),
            Sender::Unknown => sum,
        }
    }
}

impl Neighbours {
    /// Takes the next packet of the group, in its order.
    #[inline]
    pub(super) fn add(&mut self, bits: [u8; 2], before_missing: bool) {
        self.differ |= *self.first.get_or_insert(bits) != bits;
        if before_missing {
            self.before = Some(bits);
        }
    }

    /// What the missing packet most likely has: what all have, or else the header layout of the packet before it. A
    /// marker that not all have is the exception, so the missing packet has none.
    fn likely(&self) -> [u8; 2] {
        let first = self.first.unwrap_or_default();
        if self.differ {
            [self.before.unwrap_or(first)[0], 0]
        } else {
            first
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKED: [u8; 12] = [0x80, 0x80 | 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const PLAIN: [u8; 12] = [0x80, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    fn neighbours(bits: &[[u8; 2]]) -> Neighbours {
        let mut neighbours = Neighbours::default();
        for &bits in bits {
            neighbours.add(bits, true);
        }
        neighbours
    }

    #[test]
    fn a_complete_group_tells_the_sender() {
        let mut head_bits = HeadBits::default();
        assert!(!head_bits.is_open());
        head_bits.on_media(&MARKED);
        assert!(head_bits.is_open());
        let group = [MARKED, PLAIN, PLAIN];
        head_bits.on_complete_group([MARKED, MARKED].iter().map(|p| &p[..]), [0, 0]);
        assert!(head_bits.is_open(), "two markers say nothing");
        head_bits.on_complete_group(group.iter().map(|p| &p[..]), [0, 0]);
        assert_eq!(head_bits.sender, Sender::Zeros);
        let mixed = neighbours(&[[0, 0x80], [0x10, 0]]);
        assert_eq!(
            head_bits.of_missing([0x10, 0x80], [0, 0], &mixed),
            [0x10, 0]
        );

        let mut head_bits = HeadBits::default();
        head_bits.on_complete_group(group.iter().map(|p| &p[..]), [0, 0x80]);
        assert_eq!(head_bits.sender, Sender::Sum);
        assert_eq!(head_bits.of_missing([0, 0x80], [0, 0], &mixed), [0, 0x80]);
    }

    #[test]
    fn an_unknown_sender_is_believed_unless_all_others_say_no() {
        let head_bits = HeadBits::default();
        let extended = neighbours(&[[0x10, 0]; 4]);
        assert_eq!(head_bits.of_missing([0, 0], [0, 0], &extended), [0x10, 0]);
        assert_eq!(
            head_bits.of_missing([0x10, 0], [0x10, 0], &extended),
            [0x10, 0]
        );
        let mixed = neighbours(&[[0, 0x80], [0, 0]]);
        assert_eq!(head_bits.of_missing([0, 0x80], [0, 0], &mixed), [0, 0x80]);
        let alone = Neighbours::default();
        assert_eq!(
            head_bits.of_missing([0, 0x80], [0, 0x80], &alone),
            [0, 0x80]
        );
    }
}
