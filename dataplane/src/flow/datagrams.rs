//! Transport stream in payloads of any shape, cut into datagrams of 7 x 188 bytes.
//!
//! What arrives as such datagrams already is passed on where it lies. Everything else is put together in the staging
//! region of the packet memory; less than a datagram may be left over for the next pass.

use bilbycast_mpegts::{DATAGRAM_SIZE, TS_PACKET_SIZE, TsAligner};

use crate::net::memory::{Packet, PacketMemory};

/// How long less than a datagram waits for the rest. At 100 kb/s a datagram takes 105 ms to fill; a stream that is
/// slower than that, or at its end, leaves in shorter datagrams.
const LEFTOVER_NS_MAX: u64 = 150_000_000;

/// Cuts one stream. Memory is fixed; nothing is allocated.
#[derive(Debug)]
pub struct TsDatagrams {
    aligner: TsAligner,
    /// Whole packets that wait for a datagram to be complete.
    leftover: [u8; DATAGRAM_SIZE],
    leftover_bytes: usize,
    /// Arrival of the first of them.
    leftover_arrival_ns: u64,
    /// CLOCK_MONOTONIC of the pass that brought it.
    leftover_since_ns: u64,
    bytes_unaligned: u64,
    sync_losses: u64,
}

impl TsDatagrams {
    /// A stream of which nothing has come.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            aligner: TsAligner::new(),
            leftover: [0; DATAGRAM_SIZE],
            leftover_bytes: 0,
            leftover_arrival_ns: 0,
            leftover_since_ns: 0,
            bytes_unaligned: 0,
            sync_losses: 0,
        }
    }

    /// Bytes that were discarded because they belong to no packet.
    #[must_use]
    pub const fn bytes_unaligned(&self) -> u64 {
        self.bytes_unaligned
    }

    /// Appends to `datagrams` what the payloads of `packets` fill. Of one pass, so that the staging region is free.
    pub fn push(
        &mut self,
        memory: &mut PacketMemory,
        packets: &[Packet],
        datagrams: &mut Vec<Packet>,
        now_ns: u64,
    ) {
        let (received, staging) = memory.split_staging();
        let mut staged = Staged { staging, used: 0 };
        for packet in packets {
            // Offsets come from the receive call and from `RtpView`, both of which stay inside the packet.
            let Some(payload) = received.get(packet.payload_range()) else {
                continue;
            };
            if self.aligner.take_aligned(payload) {
                let behind = if self.leftover_bytes == 0 {
                    push_in_place(packet, datagrams)
                } else {
                    0
                };
                self.append(&payload[behind..], packet, &mut staged, datagrams, now_ns);
            } else {
                self.append_unaligned(payload, packet, &mut staged, datagrams, now_ns);
            }
        }
    }

    /// True when less than a datagram has waited too long.
    #[must_use]
    pub const fn has_stale_leftover(&self, now_ns: u64) -> bool {
        self.leftover_bytes > 0 && now_ns.saturating_sub(self.leftover_since_ns) >= LEFTOVER_NS_MAX
    }

    /// Appends what is left over as a datagram of its own, in a pass of its own.
    pub fn flush(&mut self, memory: &mut PacketMemory, datagrams: &mut Vec<Packet>) {
        let (_, staging) = memory.split_staging();
        self.stage(&mut Staged { staging, used: 0 }, datagrams);
    }

    /// Adds whole packets.
    fn append(
        &mut self,
        mut payload: &[u8],
        from: &Packet,
        staged: &mut Staged<'_>,
        datagrams: &mut Vec<Packet>,
        now_ns: u64,
    ) {
        while !payload.is_empty() {
            if self.leftover_bytes == 0 {
                self.leftover_arrival_ns = from.arrival_ns;
                self.leftover_since_ns = now_ns;
            }
            let room = &mut self.leftover[self.leftover_bytes..];
            let (taken, rest) = payload.split_at(payload.len().min(room.len()));
            room[..taken.len()].copy_from_slice(taken);
            self.leftover_bytes += taken.len();
            payload = rest;
            if self.leftover_bytes == DATAGRAM_SIZE {
                self.stage(staged, datagrams);
            }
        }
    }

    fn append_unaligned(
        &mut self,
        payload: &[u8],
        from: &Packet,
        staged: &mut Staged<'_>,
        datagrams: &mut Vec<Packet>,
        now_ns: u64,
    ) {
        // The aligner is taken out so that its sink may use the rest of `self`.
        let mut aligner = std::mem::take(&mut self.aligner);
        let discarded = aligner.push(payload, |packet| {
            self.append(packet, from, staged, datagrams, now_ns);
        });
        self.aligner = aligner;
        self.bytes_unaligned += discarded.bytes as u64;
        self.sync_losses += u64::from(discarded.sync_losses);
    }

    fn stage(&mut self, staged: &mut Staged<'_>, datagrams: &mut Vec<Packet>) {
        let bytes = std::mem::take(&mut self.leftover_bytes);
        let Some(room) = staged.staging.get_mut(staged.used..staged.used + bytes) else {
            // A pass brings at most what the receive region holds, and the staging region is larger.
            debug_assert!(false, "the staging region holds one pass");
            return;
        };
        room.copy_from_slice(&self.leftover[..bytes]);
        datagrams.push(Packet {
            start: (PacketMemory::STAGING_START + staged.used) as u32,
            bytes: bytes as u32,
            header_bytes: 0,
            payload_bytes: bytes as u32,
            arrival_ns: self.leftover_arrival_ns,
        });
        staged.used += bytes;
    }
}

impl Default for TsDatagrams {
    fn default() -> Self {
        Self::new()
    }
}

/// The staging region of one pass.
struct Staged<'a> {
    staging: &'a mut [u8],
    used: usize,
}

/// Appends whole datagrams that lie in the payload of `packet`; returns how many bytes they take.
#[inline]
fn push_in_place(packet: &Packet, datagrams: &mut Vec<Packet>) -> usize {
    const DATAGRAM_BYTES: u32 = DATAGRAM_SIZE as u32;
    let mut offset = 0;
    while packet.payload_bytes - offset >= DATAGRAM_BYTES {
        datagrams.push(Packet {
            start: packet.start + packet.header_bytes + offset,
            bytes: DATAGRAM_BYTES,
            header_bytes: 0,
            payload_bytes: DATAGRAM_BYTES,
            arrival_ns: packet.arrival_ns,
        });
        offset += DATAGRAM_BYTES;
    }
    offset as usize
}

const _: () = assert!(DATAGRAM_SIZE.is_multiple_of(TS_PACKET_SIZE));

#[cfg(test)]
mod tests;
