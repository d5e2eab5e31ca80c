//! Copies of the media packets that FEC packets may still refer to.

use super::slab::{Slab, Slot};
use crate::header::PACKET_BYTES_MAX;

/// Packets by extended sequence number, those in a window up to the newest one.
#[derive(Debug)]
pub(super) struct Store {
    /// At extended number modulo [`ENTRIES`].
    entries: Box<[Entry]>,
    slab: Slab,
    start: u64,
}

/// Where a packet is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    Received,
    Recovered,
    /// Received, but there is no copy.
    TooLong,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Inserted {
    Kept,
    /// It is known, but there is no copy.
    TooLong,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// 0 when there is none.
    ext: u64,
    slot: Option<Slot>,
    length: u16,
    origin: Origin,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            entries: vec![EMPTY; ENTRIES].into_boxed_slice(),
            slab: Slab::new(WINDOW_MAX + AHEAD_MAX as u16),
            start: 0,
        }
    }

    /// The number before which nothing is kept.
    #[inline]
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// Where packet `ext` is from; `None` when it is not known.
    #[inline]
    pub(super) fn get(&self, ext: u64) -> Option<Origin> {
        self.entry(ext).map(|entry| entry.origin)
    }

    /// The copy of packet `ext`.
    #[inline]
    pub(super) fn packet(&self, ext: u64) -> Option<&[u8]> {
        let entry = self.entry(ext)?;
        Some(self.slab.get(entry.slot?, entry.length))
    }

    /// Keeps a packet of a number that is not known, between the start and [`AHEAD_MAX`] after the newest one.
    #[inline]
    pub(super) fn insert(&mut self, ext: u64, packet: &[u8], origin: Origin) -> Inserted {
        self.remove(self.entries[place(ext)].ext);
        let slot = self.slab.keep(packet);
        debug_assert!(slot.is_some() || packet.len() > PACKET_BYTES_MAX);
        self.entries[place(ext)] = Entry {
            ext,
            slot,
            length: u16::try_from(packet.len()).unwrap_or(0),
            origin: slot.map_or(Origin::TooLong, |_| origin),
        };
        slot.map_or(Inserted::TooLong, |_| Inserted::Kept)
    }

    pub(super) fn set_origin(&mut self, ext: u64, origin: Origin) {
        let entry = &mut self.entries[place(ext)];
        if entry.ext == ext {
            entry.origin = origin;
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, ext: u64) {
        let entry = &mut self.entries[place(ext)];
        if entry.ext == ext {
            if let Some(slot) = entry.slot {
                self.slab.free(slot);
            }
            *entry = EMPTY;
        }
    }

    /// Forgets what is not among the `window` packets up to `newest`.
    #[inline]
    pub(super) fn advance(&mut self, newest: u64, window: u16) {
        debug_assert!(window <= WINDOW_MAX);
        let start = (newest + 1).saturating_sub(u64::from(window));
        if start <= self.start {
            return;
        }
        // More than a turn is only ever the step from nothing.
        for ext in self.start.max(start.saturating_sub(ENTRIES as u64))..start {
            self.remove(ext);
        }
        self.start = start;
    }

    pub(super) fn clear(&mut self) {
        for place in 0..ENTRIES {
            self.remove(self.entries[place].ext);
        }
        self.start = 0;
    }

    #[inline]
    fn entry(&self, ext: u64) -> Option<&Entry> {
        let entry = &self.entries[place(ext)];
        (entry.ext == ext).then_some(entry)
    }
}

/// How many packets after the newest one may be kept: recovered ones, when the stream has paused.
pub(super) const AHEAD_MAX: u64 = 64;

/// Most packets that the window may have: two matrices of 20 x 20, and [`super::learning::RESERVE_PACKETS`].
pub(super) const WINDOW_MAX: u16 = 928;

const ENTRIES: usize = 1_024;

const _: () = assert!(WINDOW_MAX as usize + AHEAD_MAX as usize <= ENTRIES);

const EMPTY: Entry = Entry {
    ext: 0,
    slot: None,
    length: 0,
    origin: Origin::Received,
};

#[inline]
const fn place(ext: u64) -> usize {
    (ext & (ENTRIES as u64 - 1)) as usize
}
