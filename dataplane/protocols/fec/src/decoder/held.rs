//! FEC packets that wait for more of their media packets.

use super::slab::{Slab, Slot};
use crate::header::{Fields, Shape};

/// A group, as its FEC packet describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// Extended number of the first packet.
    pub(super) base: u64,
    pub(super) shape: Shape,
    pub(super) fields: Fields,
}

/// FEC packets with media packets missing.
#[derive(Debug)]
pub(super) struct HeldFec {
    held: Vec<Held>,
    slab: Slab,
}

#[derive(Debug)]
struct Held {
    group: Group,
    /// Packets of the group that are not known.
    missing: u8,
    slot: Slot,
    length: u16,
}

impl Group {
    pub(super) const fn last(&self) -> u64 {
        self.base + self.shape.span()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = u64> + use<> {
        (self.base..=self.last()).step_by(usize::from(self.shape.offset))
    }

    #[inline]
    fn contains(&self, ext: u64) -> bool {
        ext >= self.base
            && ext <= self.last()
            && (ext - self.base).is_multiple_of(u64::from(self.shape.offset))
    }
}

impl HeldFec {
    pub(super) fn new() -> Self {
        Self {
            held: Vec::with_capacity(usize::from(HELD_MAX)),
            slab: Slab::new(HELD_MAX),
        }
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Keeps an FEC packet with `missing` packets missing, unless it is here already. When there is no room, the oldest
    /// one goes. Returns how many were given up.
    pub(super) fn insert(&mut self, group: Group, missing: u8, payload: &[u8]) -> u64 {
        let here = |held: &Held| held.group.base == group.base && held.group.shape == group.shape;
        if self.held.iter().any(here) {
            return 0;
        }
        let mut given_up = 0;
        if self.held.len() == usize::from(HELD_MAX) {
            let oldest = (0..self.held.len()).min_by_key(|&at| self.held[at].group.base);
            if let Some(at) = oldest {
                self.remove(at);
                given_up += 1;
            }
        }
        match (self.slab.keep(payload), u16::try_from(payload.len())) {
            (Some(slot), Ok(length)) => self.held.push(Held {
                group,
                missing,
                slot,
                length,
            }),
            _ => given_up += 1,
        }
        given_up
    }

    /// Takes note that a media packet became known.
    #[inline]
    pub(super) fn on_known(&mut self, ext: u64) {
        for held in &mut self.held {
            if held.group.contains(ext) {
                held.missing = held.missing.saturating_sub(1);
            }
        }
    }

    /// Gives up those that begin before `start`, and says how many.
    pub(super) fn drop_before(&mut self, start: u64) -> u64 {
        self.drop_those(|held| held.group.base < start && held.missing > 0)
    }

    /// Gives up those that have media packet `ext` in their group, and says how many.
    pub(super) fn drop_containing(&mut self, ext: u64) -> u64 {
        self.drop_those(|held| held.group.contains(ext))
    }

    /// Takes out an FEC packet that can recover its last missing media packet, which `missing_of` finds, and puts its
    /// payload in `target`. Those with nothing missing any more go for good.
    pub(super) fn take_ripe(
        &mut self,
        missing_of: impl Fn(&Group) -> Option<u64>,
        target: &mut [u8],
    ) -> Option<(Group, u64, usize)> {
        let mut at = 0;
        while let Some(held) = self.held.get(at) {
            match held.missing {
                0 => {
                    self.remove(at);
                    continue;
                }
                1 => {
                    if let Some(missing) = missing_of(&held.group) {
                        let payload = self.slab.get(held.slot, held.length);
                        target[..payload.len()].copy_from_slice(payload);
                        let ripe = (held.group, missing, payload.len());
                        self.remove(at);
                        return Some(ripe);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }

    pub(super) fn clear(&mut self) {
        self.drop_those(|_| true);
    }

    fn drop_those(&mut self, which: impl Fn(&Held) -> bool) -> u64 {
        let mut dropped = 0;
        for at in (0..self.held.len()).rev() {
            if which(&self.held[at]) {
                self.remove(at);
                dropped += 1;
            }
        }
        dropped
    }

    fn remove(&mut self, at: usize) {
        let held = self.held.swap_remove(at);
        self.slab.free(held.slot);
    }
}

/// Most FEC packets that are held. The window of two matrices and the reserve has at most 262 groups (1 x 1, where a
/// group is one packet and never waits), 168 with twenty columns of one row, 110 with 4 x 4, 53 with 10 x 10.
const HELD_MAX: u16 = 256;
