//! What was written and is not acknowledged yet (draft 4.6, 4.8).

use crate::time::Micros;
use crate::wire::{KeyFlag, LossRange, MsgNumber, SeqNumber, Timestamp};

use super::bits::BitRing;
use super::slab::{Cell, Slab};

/// Packets from the oldest one that the far end has not acknowledged to the newest one that was written.
///
/// The sequence number is given at writing. Packets wait, are sent, and stay for retransmission until they are
/// acknowledged or too late. Requests for retransmission are one bit for each packet, so that a request costs what its
/// list costs, however wide its ranges are.
#[derive(Debug)]
pub struct SendBuffer {
    slab: Slab<Meta>,
    ring: Vec<u32>,
    capacity: u32,
    /// The oldest packet in the buffer.
    oldest: SeqNumber,
    /// The first packet that was never sent.
    unsent: SeqNumber,
    /// The number of the next packet to be written.
    next: SeqNumber,
    /// Everything before this was given up at least once.
    given_up_to: Option<LossRange>,
    bytes: usize,
    /// Asked for by the NAK at hand.
    requested: BitRing,
    /// To be retransmitted.
    pending: BitRing,
}

#[derive(Clone, Copy, Debug)]
struct Meta {
    /// Bytes that were written.
    written_bytes: u32,
    /// Bytes that are sent: with an authentication tag they are more.
    length: u32,
    message: MsgNumber,
    timestamp: Timestamp,
    written: Micros,
    last_sent: Micros,
    key: KeyFlag,
    retransmitted: bool,
    reported: bool,
}

/// A packet that may be sent.
#[derive(Debug)]
pub struct Sendable<'a> {
    /// Number of the packet.
    pub sequence: SeqNumber,
    /// Number of its message.
    pub message: MsgNumber,
    /// Its time.
    pub timestamp: Timestamp,
    /// The key that its payload is encrypted with.
    pub key: &'a mut KeyFlag,
    /// Length of its payload; grows by the authentication tag when it is encrypted.
    pub length: &'a mut u32,
    /// The payload at the front of its cell.
    pub cell: &'a mut [u8],
}

/// The send buffer holds as many packets as it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the send buffer is full at {capacity} packets")]
pub struct SendBufferFull {
    /// Packets that it holds.
    pub capacity: u32,
}

/// What came of a NAK.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NakOutcome {
    /// Packets that were reported lost for the first time.
    pub lost: u32,
    /// Packets that will be sent again.
    pub scheduled: u32,
    /// Packets whose retransmission is still under way.
    pub suppressed: u32,
}

impl SendBuffer {
    /// An empty buffer for `capacity` packets of `cell_bytes` bytes; `first` is the number of the first packet.
    #[must_use]
    pub fn new(capacity: u32, cell_bytes: usize, first: SeqNumber) -> Self {
        let cells = capacity as usize;
        let slots = cells.next_power_of_two().max(64);
        Self {
            slab: Slab::new(cells, cell_bytes),
            ring: vec![0; slots],
            capacity,
            oldest: first,
            unsent: first,
            next: first,
            given_up_to: None,
            bytes: 0,
            requested: BitRing::new(slots),
            pending: BitRing::new(slots),
        }
    }

    /// Appends a packet whose payload is the `parts` one after the other.
    ///
    /// # Errors
    /// [`SendBufferFull`]; nothing is kept of the packet.
    #[inline]
    pub fn push(
        &mut self,
        now: Micros,
        timestamp: Timestamp,
        message: MsgNumber,
        parts: &[&[u8]],
    ) -> Result<SeqNumber, SendBufferFull> {
        let full = SendBufferFull {
            capacity: self.capacity,
        };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let written_bytes = u32::try_from(length).map_err(|_| full)?;
        let meta = Meta {
            written_bytes,
            length: written_bytes,
            message,
            timestamp,
            written: now,
            last_sent: Micros::ZERO,
            key: KeyFlag::None,
            retransmitted: false,
            reported: false,
        };
        debug_assert!(
            length <= self.slab.cell_bytes(),
            "the caller bounds the payload"
        );
        let cell = self.slab.take(meta).ok_or(full)?;
        let mut rest = self.slab.bytes_mut(cell);
        for part in parts {
            let (target, after) = rest.split_at_mut(part.len().min(rest.len()));
            target.copy_from_slice(&part[..target.len()]);
            rest = after;
        }
        let sequence = self.next;
        let slot = self.slot(sequence);
        self.ring[slot] = cell.index();
        self.next = sequence.next();
        self.bytes += length;
        Ok(sequence)
    }

    /// The oldest packet that was never sent.
    #[inline]
    pub fn next_unsent(&mut self) -> Option<Sendable<'_>> {
        (self.unsent != self.next).then(|| self.sendable(self.unsent))
    }

    /// The packet of [`next_unsent`](Self::next_unsent) left at `now`.
    #[inline]
    pub fn mark_sent(&mut self, now: Micros) {
        let cell = self.cell(self.unsent);
        self.slab.meta_mut(cell).last_sent = now;
        self.unsent = self.unsent.next();
    }

    /// The oldest packet that is to be sent again.
    #[inline]
    pub fn next_retransmission(&mut self) -> Option<Sendable<'_>> {
        if self.pending.ones() == 0 {
            return None;
        }
        let first = u64::from(self.oldest.value());
        let found = self.pending.next_one(first, u64::from(self.in_flight()))?;
        let offset = u32::try_from(found - first).unwrap_or(0);
        Some(self.sendable(self.oldest.plus(offset)))
    }

    /// The packet of [`next_retransmission`](Self::next_retransmission), whose number is `sequence`, left at `now`.
    #[inline]
    pub fn mark_retransmitted(&mut self, now: Micros, sequence: SeqNumber) {
        self.pending.clear(u64::from(sequence.value()));
        let cell = self.cell(sequence);
        let meta = self.slab.meta_mut(cell);
        meta.last_sent = now;
        meta.retransmitted = true;
    }

    /// Everything before `sequence` has arrived: how many packets leave the buffer by it, or `None` when it was never
    /// sent.
    #[inline]
    pub fn acknowledge(&mut self, sequence: SeqNumber) -> Option<u32> {
        if sequence.is_after(self.unsent) {
            return None;
        }
        let count = u32::try_from(sequence.offset_from(self.oldest)).unwrap_or(0);
        for _ in 0..count {
            self.remove_oldest();
        }
        Some(count)
    }

    /// A range of the NAK at hand. Costs a word for every 64 packets in flight at most.
    pub fn request(&mut self, range: LossRange) {
        if self.oldest == self.unsent {
            return;
        }
        if let Some(range) = range.within(self.oldest, self.unsent.previous()) {
            let first = u64::from(range.first.value());
            self.requested.set_range(first, u64::from(range.count()));
        }
    }

    /// The part of `range` that will never be sent again because it was too late.
    #[must_use]
    pub fn given_up(&self, range: LossRange) -> Option<LossRange> {
        let given_up = self.given_up_to?;
        range.within(given_up.first, given_up.last)
    }

    /// Decides on everything that the NAK at hand asked for: what was retransmitted less than `reply_time` ago is not
    /// sent again, for the request left before the retransmission can have arrived.
    pub fn decide_requests(&mut self, now: Micros, reply_time: Micros) -> NakOutcome {
        let mut outcome = NakOutcome::default();
        let first = u64::from(self.oldest.value());
        let end = first + u64::from(self.in_flight());
        let mut from = first;
        while let Some(found) = self.requested.next_one(from, end - from) {
            self.requested.clear(found);
            from = found + 1;
            let sequence = self.oldest.plus(u32::try_from(found - first).unwrap_or(0));
            let cell = self.cell(sequence);
            let meta = self.slab.meta_mut(cell);
            if !meta.reported {
                meta.reported = true;
                outcome.lost += 1;
            }
            if meta.retransmitted && now.since(meta.last_sent) < reply_time {
                outcome.suppressed += 1;
            } else if self.pending.set(found) {
                outcome.scheduled += 1;
            }
        }
        outcome
    }

    /// Schedules the newest `count` packets in flight without being asked.
    pub fn request_newest(&mut self, count: u32) -> u32 {
        let count = count.min(self.in_flight());
        let first = self.unsent.minus(count);
        self.pending
            .set_range(u64::from(first.value()), u64::from(count));
        count
    }

    /// Gives up what was written at or before `limit`; the packets that leave the buffer by it.
    //= draft-sharabayko-srt 4.6
    pub fn drop_too_late(&mut self, limit: Micros) -> Option<LossRange> {
        let first = self.oldest;
        while self.oldest != self.next && self.slab.meta(self.cell(self.oldest)).written <= limit {
            if self.oldest == self.unsent {
                self.unsent = self.unsent.next();
            }
            self.remove_oldest();
        }
        if self.oldest == first {
            return None;
        }
        let dropped = LossRange {
            first,
            last: self.oldest.previous(),
        };
        self.given_up_to = Some(match self.given_up_to {
            // One range is enough: what lies between is acknowledged, and the far end keeps what it has.
            Some(earlier) if earlier.first.offset_from(dropped.last) > -GIVEN_UP_MEMORY => {
                LossRange {
                    first: earlier.first,
                    last: dropped.last,
                }
            }
            _ => dropped,
        });
        Some(dropped)
    }

    /// When the oldest packet was written.
    #[must_use]
    pub fn oldest_written(&self) -> Option<Micros> {
        (self.oldest != self.next).then(|| self.slab.meta(self.cell(self.oldest)).written)
    }

    /// Packets that were sent and are not acknowledged.
    #[inline]
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.unsent.offset_from(self.oldest).unsigned_abs()
    }

    /// Packets that were written and never sent.
    #[inline]
    #[must_use]
    pub const fn waiting(&self) -> u32 {
        self.next.offset_from(self.unsent).unsigned_abs()
    }

    /// Whether something is to be sent again.
    #[inline]
    #[must_use]
    pub const fn has_retransmissions(&self) -> bool {
        self.pending.ones() > 0
    }

    /// Packets in the buffer.
    #[must_use]
    pub const fn packets(&self) -> u32 {
        self.next.offset_from(self.oldest).unsigned_abs()
    }

    /// Bytes of payload in the buffer.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first packet that is not acknowledged.
    #[must_use]
    pub const fn oldest(&self) -> SeqNumber {
        self.oldest
    }

    #[inline]
    fn sendable(&mut self, sequence: SeqNumber) -> Sendable<'_> {
        let cell = self.cell(sequence);
        let (meta, bytes) = self.slab.both_mut(cell);
        Sendable {
            sequence,
            message: meta.message,
            timestamp: meta.timestamp,
            key: &mut meta.key,
            length: &mut meta.length,
            cell: bytes,
        }
    }

    #[inline]
    fn remove_oldest(&mut self) {
        let index = u64::from(self.oldest.value());
        if self.pending.ones() > 0 {
            self.pending.clear(index);
        }
        let cell = self.cell(self.oldest);
        self.bytes -= self.slab.meta(cell).written_bytes as usize;
        self.slab.release(cell);
        self.oldest = self.oldest.next();
    }

    #[inline]
    fn cell(&self, sequence: SeqNumber) -> Cell {
        Cell::from_index(self.ring[self.slot(sequence)])
    }

    #[inline]
    fn slot(&self, sequence: SeqNumber) -> usize {
        sequence.value() as usize & (self.ring.len() - 1)
    }
}

/// Packets that may lie between two ranges that are remembered as one; well below half of all numbers.
const GIVEN_UP_MEMORY: i32 = 1 << 28;

#[cfg(test)]
mod tests;
