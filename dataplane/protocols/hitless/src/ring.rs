//! The place of every number: packets that are held, and behind them the memory of those that were given out.

use crate::leg::LegIndex;
use crate::slab::Block;
use crate::timeline::Instant;

/// A packet that is held or was given out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// Its extended number; 0 marks a place that was never used.
    pub(crate) ext: u64,
    /// When its first copy came.
    pub(crate) arrival: Instant,
    /// How much later than the other leg the leg of the first copy is.
    pub(crate) lag_ns: u32,
    /// RTP timestamp.
    pub(crate) timestamp: u32,
    /// Where its bytes are, while it is held.
    pub(crate) block: Block,
    /// At most 9,216.
    pub(crate) bytes: u16,
    /// Set of the legs that brought it.
    pub(crate) legs: u8,
    /// The leg of its first copy.
    pub(crate) leg: LegIndex,
    /// Its first copy was recovered, so that its time says nothing about the leg.
    pub(crate) recovered: bool,
}

impl Slot {
    /// When the earlier leg brought it or would have.
    #[inline]
    pub(crate) const fn reference(&self) -> Instant {
        self.arrival.minus_ns(self.lag_ns as u64)
    }
}

/// Slots by number modulo the length, which is a power of two and grows as it is used.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    /// Its whole size is reserved.
    slots: Vec<Slot>,
    slots_max: usize,
    /// A bit for each slot that holds a packet.
    held: Vec<u64>,
    held_count: usize,
}

impl Ring {
    /// Room for `slots_max`; it begins with `length`. Both are powers of two of at least 64.
    pub(crate) fn new(length: usize, slots_max: usize) -> Self {
        let mut slots = Vec::with_capacity(slots_max);
        slots.resize(length, VACANT);
        let mut held = Vec::with_capacity(slots_max / WORD_BITS);
        held.resize(length / WORD_BITS, 0);
        Self {
            slots,
            slots_max,
            held,
            held_count: 0,
        }
    }

    /// Numbers that have a place now.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Numbers that can have a place.
    #[inline]
    pub(crate) const fn len_max(&self) -> usize {
        self.slots_max
    }

    /// Packets that are held.
    #[inline]
    pub(crate) const fn held(&self) -> usize {
        self.held_count
    }

    /// The packet with a number, if it is held or was and is remembered.
    #[inline]
    pub(crate) fn get(&self, ext: u64) -> Option<&Slot> {
        let slot = &self.slots[self.place(ext)];
        (slot.ext == ext).then_some(slot)
    }

    /// As [`get`](Self::get), to be changed.
    #[inline]
    pub(crate) fn get_mut(&mut self, ext: u64) -> Option<&mut Slot> {
        let place = self.place(ext);
        let slot = &mut self.slots[place];
        (slot.ext == ext).then_some(slot)
    }

    /// Whether a packet with that number is held.
    #[inline]
    pub(crate) fn holds(&self, ext: u64) -> bool {
        let place = self.place(ext);
        self.slots[place].ext == ext && self.held[place / WORD_BITS] & bit(place) != 0
    }

    /// Holds a packet.
    #[inline]
    pub(crate) fn hold(&mut self, slot: Slot) {
        let place = self.place(slot.ext);
        self.slots[place] = slot;
        self.held[place / WORD_BITS] |= bit(place);
        self.held_count += 1;
    }

    /// Gives the packet with that number out; it is remembered.
    #[inline]
    pub(crate) fn release(&mut self, ext: u64) {
        let place = self.place(ext);
        self.held[place / WORD_BITS] &= !bit(place);
        self.held_count -= 1;
    }

    /// The first packet from a number on that is held; no packet before that is.
    #[inline]
    pub(crate) fn first_held(&self, from: u64) -> Option<u64> {
        if self.held_count == 0 {
            return None;
        }
        let place = self.place(from);
        let mut word = place / WORD_BITS;
        let mut bits = self.held[word] & (u64::MAX << (place % WORD_BITS));
        // Once around, and what is before `place` in its word at the end.
        for _ in 0..=self.held.len() {
            if bits != 0 {
                let found = word * WORD_BITS + bits.trailing_zeros() as usize;
                let after = found.wrapping_sub(place) & (self.slots.len() - 1);
                return Some(from + after as u64);
            }
            word = (word + 1) & (self.held.len() - 1);
            bits = self.held[word];
        }
        None
    }

    /// Doubles the length.
    pub(crate) fn grow(&mut self) {
        let length = self.slots.len();
        self.slots.resize(2 * length, VACANT);
        self.held.resize(2 * length / WORD_BITS, 0);
        for place in 0..length {
            if self.slots[place].ext & length as u64 == 0 {
                continue;
            }
            self.slots.swap(place, place + length);
            let word = place / WORD_BITS;
            let moved = self.held[word] & bit(place);
            self.held[word] &= !moved;
            self.held[word + length / WORD_BITS] |= moved;
        }
    }

    #[inline]
    const fn place(&self, ext: u64) -> usize {
        // The mask is below the length of a vector.
        ext as usize & (self.slots.len() - 1)
    }
}

#[inline]
const fn bit(place: usize) -> u64 {
    1 << (place % WORD_BITS)
}

const WORD_BITS: usize = 64;

const VACANT: Slot = Slot {
    ext: 0,
    arrival: Instant::ZERO,
    lag_ns: 0,
    timestamp: 0,
    block: 0,
    bytes: 0,
    legs: 0,
    leg: LegIndex::ONE,
    recovered: false,
};

// Two to a cache line.
const _: () = assert!(size_of::<Slot>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(ext: u64) -> Slot {
        Slot { ext, ..VACANT }
    }

    #[test]
    fn what_is_held_is_found_over_the_end() {
        let mut ring = Ring::new(128, 128);
        assert_eq!(ring.first_held(1_000), None);
        for (from, ext) in [
            (1_000, 1_000),
            (1_000, 1_127),
            (1_023, 1_024),
            (1_030, 1_157),
        ] {
            ring.hold(slot(ext));
            assert_eq!(ring.first_held(from), Some(ext), "from {from}");
            assert!(ring.holds(ext) && !ring.holds(ext + 128));
            ring.release(ext);
            assert!(!ring.holds(ext) && ring.get(ext).is_some());
        }
        assert_eq!(ring.held(), 0);
    }

    #[test]
    fn it_grows_with_all_that_it_knows() {
        let mut ring = Ring::new(64, 256);
        let start = 64_000 + 13;
        for ext in start..start + 64 {
            ring.hold(slot(ext));
        }
        ring.release(start);
        ring.grow();
        ring.grow();
        assert_eq!((ring.len(), ring.held()), (256, 63));
        assert_eq!(ring.first_held(start), Some(start + 1));
        for ext in start + 1..start + 64 {
            assert!(ring.holds(ext));
        }
        assert!(ring.get(start).is_some() && !ring.holds(start));
        assert!(ring.get(start + 64).is_none() && ring.get(start - 192).is_none());
    }
}
