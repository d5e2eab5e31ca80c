//! The packet memory of one core.
//!
//! One fixed region holds what `recvmmsg` delivered, one what the gateway puts together itself. A flow borrows them for
//! the time of one pass: the same bytes serve all outputs of the flow, and nothing is allocated for a packet. A flow
//! that is idle holds none of it.

/// Datagrams that one receive call may deliver.
pub const RECEIVE_BATCH: usize = 64;

/// Largest UDP payload, and so the largest that the kernel coalesces (RFC 768: 65,535 less the headers).
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Distance of two receive slots. The odd 1,472 bytes spread the starts of the slots over the sets of the caches; at
/// a distance of exactly 64 KiB all of them would compete for the same few.
const SLOT_STRIDE: usize = 65_536 + 1_472;

/// Most packets of one pass: 64 receptions of at most 128 coalesced datagrams (`UDP_MAX_SEGMENTS`).
pub const PACKETS_MAX: usize = RECEIVE_BATCH * 128;

/// Bytes for packets that are put together here: as much as one receive call can deliver, and what was left over from
/// the pass before (less than a datagram of transport stream and what its aligner carries).
const STAGING_BYTES: usize = RECEIVE_BATCH * DATAGRAM_BYTES_MAX + 4_096;

/// One packet of the current pass: where its bytes are and what is known about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet {
    /// Offset of the whole packet.
    pub start: u32,
    /// Bytes of the whole packet.
    pub bytes: u32,
    /// Bytes of the RTP header in front of the payload; 0 for raw TS.
    pub header_bytes: u32,
    /// Bytes of the payload; RTP padding behind it is not counted.
    pub payload_bytes: u32,
    /// When the kernel received it, CLOCK_REALTIME in nanoseconds.
    pub arrival_ns: u64,
}

impl Packet {
    /// The whole packet as a range of the memory.
    #[inline]
    #[must_use]
    pub const fn range(&self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.bytes as usize
    }

    /// The payload as a range of the memory.
    #[inline]
    #[must_use]
    pub const fn payload_range(&self) -> std::ops::Range<usize> {
        let start = (self.start + self.header_bytes) as usize;
        start..start + self.payload_bytes as usize
    }
}

/// The memory itself.
#[derive(Debug)]
pub struct PacketMemory {
    bytes: Box<[u8]>,
}

impl PacketMemory {
    /// Zeroed memory; the system hands out its pages as they are used.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; RECEIVE_BATCH * SLOT_STRIDE + STAGING_BYTES].into_boxed_slice(),
        }
    }

    /// All of it.
    #[inline]
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The receive slots in order, each of [`DATAGRAM_BYTES_MAX`].
    pub fn slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let (slots, _) = self.bytes.split_at_mut(RECEIVE_BATCH * SLOT_STRIDE);
        slots
            .chunks_exact_mut(SLOT_STRIDE)
            .map(|slot| &mut slot[..DATAGRAM_BYTES_MAX])
    }

    /// The whole receive region as one, for packets that are made here instead of received.
    pub fn received_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..Self::STAGING_START]
    }

    /// Offset of a receive slot.
    #[must_use]
    pub const fn slot_start(slot: usize) -> usize {
        slot * SLOT_STRIDE
    }

    /// The receive slot that an offset lies in.
    #[must_use]
    pub const fn slot_of(start: usize) -> usize {
        start / SLOT_STRIDE
    }

    /// What was received, and the staging region behind it, which may be written while packets point at both.
    #[inline]
    pub fn split_staging(&mut self) -> (&[u8], &mut [u8]) {
        let (received, staging) = self.bytes.split_at_mut(Self::STAGING_START);
        (received, staging)
    }

    /// The receive region as one, and the staging region, both to be written.
    #[inline]
    pub fn split_both_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        self.bytes.split_at_mut(Self::STAGING_START)
    }

    /// Offset of the staging region.
    pub const STAGING_START: usize = RECEIVE_BATCH * SLOT_STRIDE;
}

impl Default for PacketMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// Asks the CPU to have `bytes` in its cache soon, without waiting for them. Only a hint: where there is no way to give it,
/// nothing happens.
#[inline]
pub fn fetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(CACHE_LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program sees and cannot fault, and every x86-64 CPU has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

#[cfg(target_arch = "x86_64")]
const CACHE_LINE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_overlap_and_end_before_the_staging_region() {
        let mut memory = PacketMemory::new();
        assert_eq!(memory.slots().count(), RECEIVE_BATCH);
        let base = memory.bytes().as_ptr() as usize;
        for (index, slot) in memory.slots().enumerate() {
            assert_eq!(
                slot.as_ptr() as usize - base,
                PacketMemory::slot_start(index)
            );
            assert!(PacketMemory::slot_start(index) + slot.len() <= PacketMemory::STAGING_START);
        }
        assert!(u32::try_from(memory.bytes().len()).is_ok());
    }
}
