//! Fixed memory for packets.

use crate::header::PACKET_BYTES_MAX;

/// Slots of [`PACKET_BYTES_MAX`] bytes. The slot that was freed last is taken first, so that the memory in use stays as
/// small, and as warm in the cache, as the number of packets that are kept.
#[derive(Debug)]
pub(super) struct Slab {
    bytes: Box<[u8]>,
    free: Vec<Slot>,
}

/// A slot's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slot(u16);

impl Slab {
    pub(super) fn new(slots: u16) -> Self {
        Self {
            bytes: vec![0; usize::from(slots) * STRIDE].into_boxed_slice(),
            free: (0..slots).rev().map(Slot).collect(),
        }
    }

    /// A copy of `packet`; `None` when it is too long or no slot is free.
    #[inline]
    pub(super) fn keep(&mut self, packet: &[u8]) -> Option<Slot> {
        if packet.len() > PACKET_BYTES_MAX {
            return None;
        }
        let slot = self.free.pop()?;
        let start = slot.start();
        self.bytes[start..start + packet.len()].copy_from_slice(packet);
        Some(slot)
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot, length: u16) -> &[u8] {
        let start = slot.start();
        &self.bytes[start..start + usize::from(length)]
    }

    #[inline]
    pub(super) fn free(&mut self, slot: Slot) {
        debug_assert!(!self.free.contains(&slot), "a slot is freed once");
        self.free.push(slot);
    }
}

impl Slot {
    const fn start(self) -> usize {
        self.0 as usize * STRIDE
    }
}

/// One cache line more than a packet, for with a power of two all packets would start in the same few cache sets.
const STRIDE: usize = PACKET_BYTES_MAX + 64;
