//! The sum of a row or a column while it grows.

use bilbycast_rtp::SeqNo;

use crate::header::{self, FEC_PAYLOAD_START, Fields, PROTECTED_BYTES_MAX, Shape};
use crate::matrix::Stream;
use crate::xor::xor_into;

/// The FEC packet of a group, as far as the group has come.
#[derive(Debug)]
pub(super) struct Group {
    base: SeqNo,
    count: u8,
    /// A packet was too long, so there will be no FEC packet.
    spoiled: bool,
    sum: Fields,
    /// Bytes of the longest packet so far, after its header. What lies behind them is not cleared.
    length: usize,
    /// The FEC packet; its headers are written at the end.
    packet: Box<[u8]>,
}

impl Group {
    pub(super) fn new() -> Self {
        Self {
            base: SeqNo(0),
            count: 0,
            spoiled: false,
            sum: Fields::default(),
            length: 0,
            packet: vec![0; FEC_PAYLOAD_START + PROTECTED_BYTES_MAX].into_boxed_slice(),
        }
    }

    /// Packets taken.
    pub(super) const fn count(&self) -> u8 {
        self.count
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.spoiled = false;
        self.sum = Fields::default();
        self.length = 0;
    }

    /// Takes a packet, whose bytes after the header are in two `parts`. It has no `fields` when it is too long.
    #[inline]
    pub(super) fn add(&mut self, sequence: SeqNo, fields: Option<&Fields>, parts: [&[u8]; 2]) {
        if self.count == 0 {
            self.base = sequence;
        }
        self.count += 1;
        let Some(fields) = fields else {
            self.spoiled = true;
            return;
        };
        self.sum.add(fields);
        let mut at = 0;
        for part in parts {
            self.add_at(at, part);
            at += part.len();
        }
    }

    /// Writes the headers, hands the packet out and clears the group. Returns how many packets went out.
    pub(super) fn send(
        &mut self,
        stream: Stream,
        sequence: &mut u16,
        timestamp: u32,
        shape: Shape,
        emit: &mut impl FnMut(Stream, &[u8]),
    ) -> u64 {
        let sound = self.count == shape.count && !self.spoiled;
        if sound && let Some(target) = self.packet.first_chunk_mut() {
            let base = self.base.0;
            header::write(target, stream, *sequence, timestamp, base, shape, &self.sum);
            *sequence = sequence.wrapping_add(1);
            emit(stream, &self.packet[..FEC_PAYLOAD_START + self.length]);
        }
        self.clear();
        u64::from(sound)
    }

    /// Adds bytes at an offset that is not behind `length`.
    #[inline]
    fn add_at(&mut self, at: usize, part: &[u8]) {
        let shared = self.length.saturating_sub(at).min(part.len());
        let (over, beyond) = part.split_at(shared);
        let target = &mut self.packet[FEC_PAYLOAD_START + at..][..part.len()];
        xor_into(&mut target[..shared], over);
        // Shorter packets count as padded with zeros, so what is longer than all before it is copied.
        target[shared..].copy_from_slice(beyond);
        self.length = self.length.max(at + part.len());
    }
}
