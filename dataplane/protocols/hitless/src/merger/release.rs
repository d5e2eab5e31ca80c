//! When packets are due, and giving them out.

use super::{Merger, Released};
use crate::leg::{GAP_MAX, LegIndex};
use crate::timeline::{Instant, Teller};

impl Merger {
    /// Gives out the next packet that is due at `now_ns`, CLOCK_REALTIME in nanoseconds: copies it to the start of `out`.
    /// `None` when none is due, or when the next one does not fit into `out`; with
    /// [`PACKET_BYTES_MAX`](crate::PACKET_BYTES_MAX) bytes every one does.
    #[inline]
    pub fn pop(&mut self, now_ns: u64, out: &mut [u8]) -> Option<Released> {
        let now = self.tell(Teller::POLL, now_ns);
        self.settle(now);
        if !self.polled {
            self.polled = true;
            self.fresh_at = self.fresh_at.min(now);
        }
        let ext = self.ring.first_held(self.next)?;
        self.marks
            .trim(ext.saturating_add(self.config.repair_packets.into()));
        let due = self.due(ext);
        let is_early = due > now;
        if is_early && !self.is_pressed() {
            return None;
        }
        let slot = *self.ring.get(ext)?;
        let bytes = usize::from(slot.bytes);
        self.slab.take_out(slot.block, out.get_mut(..bytes)?);
        self.ring.release(ext);
        self.pass_over(ext);
        self.next = ext + 1;
        self.floor_ext = u64::MAX;
        self.must_release = false;
        self.stats.delivered += 1;
        self.stats.early += u64::from(is_early);
        self.deliver_by(slot.legs, slot.leg);
        // In order, as the packets are: one that is due by a later packet alone may be due before the one ahead of it.
        self.reported = self.reported.max(due.min(now));
        Some(Released {
            bytes,
            arrival_ns: self.timeline.clock_ns(self.reported),
            leg: slot.leg,
        })
    }

    /// When [`pop`](Self::pop) gives something at the earliest, CLOCK_REALTIME in nanoseconds; `None` when nothing is held.
    #[must_use]
    pub fn next_due_ns(&self) -> Option<u64> {
        let ext = self.ring.first_held(self.next)?;
        let due = if self.is_pressed() {
            self.timeline.newest()
        } else {
            self.due(ext)
        };
        Some(self.timeline.clock_ns(due))
    }

    /// When the packet is due, held or not.
    #[inline]
    pub(super) fn due(&self, ext: u64) -> Instant {
        let target = ext.saturating_add(self.config.repair_packets.into());
        let own = self.ring.get(target).map(|slot| slot.reference());
        let path_differential_ns = self.config.path_differential_ns;
        let grace_ns = self.repair_ns().saturating_mul(2).max(GRACE_NS_MIN);
        // Also the end of waiting for a time that is wrong.
        let stalled = self
            .fresh_at
            .plus_ns(path_differential_ns)
            .plus_ns(grace_ns);
        own.into_iter()
            .chain(self.marks.first_from(target))
            .map(|reference| reference.plus_ns(path_differential_ns))
            .fold(stalled, Ord::min)
    }

    /// Counts the numbers below that are missing.
    #[inline]
    pub(super) fn pass_over(&mut self, ext: u64) {
        let missing = ext.saturating_sub(self.next);
        if missing > u64::from(GAP_MAX) {
            self.stats.source_restarts += 1;
        } else {
            self.stats.lost += missing;
        }
        self.next = self.next.max(ext);
    }

    /// Whether the oldest packet must go although it is not due: a packet found no room, or soon will.
    #[inline]
    fn is_pressed(&self) -> bool {
        let span = (self.newest_ext + 1).saturating_sub(self.next);
        self.must_release
            || self.slab.available() < self.config.packets_max / RESERVE
            || span > self.span_max()
    }

    /// Numbers from the oldest to the newest that may be held for as long as it takes.
    #[inline]
    pub(super) const fn span_max(&self) -> u64 {
        let packets_max = self.config.packets_max;
        (packets_max - packets_max / RESERVE) as u64
    }

    #[inline]
    fn deliver_by(&mut self, legs: u8, first: LegIndex) {
        match self.delivering {
            Some(delivering) if legs & delivering.bit() != 0 => {}
            Some(delivering) => {
                self.delivering = Some(delivering.other());
                self.stats.switches += 1;
            }
            None => self.delivering = Some(first),
        }
    }
}

/// One part in so many of the room is kept for the packets of the next pass: of 32,768 as many as a receive call brings.
const RESERVE: usize = 4;

/// Packets of a stream that has stopped are kept for this long beyond the path differential, at least.
const GRACE_NS_MIN: u64 = 100_000_000;
