//! An SRT input: one leg, or two that are merged.
//!
//! Messages are RTP packets or raw transport stream; each message tells which. Two legs with RTP are merged without a scratch
//! (SMPTE ST 2022-7). Two legs with raw transport stream have no common numbers: one of them is forwarded, the other one when
//! the first falls silent.

use bilbycast_hitless::{LegIndex, Merger, MergerConfig, Origin, Outcome};
use bilbycast_rtp::RtpView;
use bilbycast_shm_proto::model::SrtInputSpec;

use super::PassBuffers;
use super::receiver::{KernelCounts, Taken};
use crate::net::memory::{PACKETS_MAX, Packet};
use crate::srt::Instant;
use crate::srt::leg::SrtLeg;

/// The legs of an SRT input.
#[derive(Debug)]
pub struct SrtInput {
    legs: Vec<SrtLeg>,
    /// There with two legs.
    merger: Option<Box<Merger>>,
    failover: Failover,
    packets: u64,
    bytes: u64,
    /// Of two legs.
    counts: [SrtLegCounts; 2],
    /// CLOCK_MONOTONIC of the newest pass in which a leg brought a message.
    newest_ns: [Option<u64>; 2],
}

/// What one of two legs has brought.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SrtLegCounts {
    /// Messages.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages of raw transport stream that were forwarded.
    pub forwarded: u64,
}

/// Which leg is forwarded while they carry raw transport stream.
#[derive(Clone, Copy, Debug, Default)]
struct Failover {
    /// The leg that is forwarded; the first that brings anything is the first one.
    active: Option<usize>,
    switches: u64,
    /// Raw transport stream has come, although there are two legs.
    is_needed: bool,
    /// The newest message was raw transport stream.
    is_raw: bool,
    /// Packets that SRT gave up on the leg that was forwarded.
    lost: u64,
    skipped_before: [u64; 2],
}

/// A leg that brings nothing for this long gives way to the other one.
const SILENT_NS: u64 = 1_000_000_000;

/// Most packets that wait in the merge.
const MERGE_PACKETS_MAX: usize = 32_768;

/// Longer than any message of SRT: `mss` is 9,000 at most, headers included.
const MESSAGE_BYTES_MAX: usize = 9_000;

impl SrtInput {
    /// An input with these legs.
    #[must_use]
    pub fn new(spec: &SrtInputSpec, legs: Vec<SrtLeg>) -> Self {
        let merger = spec.redundancy.as_ref().map(|redundancy| {
            Box::new(Merger::new(MergerConfig {
                legs: 2,
                path_differential_ns: u64::from(redundancy.path_differential_ms) * 1_000_000,
                repair_packets: 0,
                packets_max: MERGE_PACKETS_MAX,
            }))
        });
        Self {
            legs,
            merger,
            failover: Failover::default(),
            packets: 0,
            bytes: 0,
            counts: [SrtLegCounts::default(); 2],
            newest_ns: [None; 2],
        }
    }

    /// The legs, leg 1 first.
    #[must_use]
    pub fn legs(&self) -> &[SrtLeg] {
        &self.legs
    }

    /// The legs, to be asked what they have to tell.
    pub fn legs_mut(&mut self) -> &mut [SrtLeg] {
        &mut self.legs
    }

    /// The legs, when the input ends.
    #[must_use]
    pub fn into_legs(self) -> Vec<SrtLeg> {
        self.legs
    }

    /// The merge of two legs.
    #[must_use]
    pub fn merger(&self) -> Option<&Merger> {
        self.merger.as_deref()
    }

    /// Messages that came first on their leg.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Their bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How often another leg took over.
    #[must_use]
    pub fn switches(&self) -> u64 {
        let merged = self.merger().map_or(0, |merger| merger.stats().switches);
        merged + self.failover.switches
    }

    /// Packets that are missing behind the input: given up by SRT on the leg that is forwarded, or missing on both.
    #[must_use]
    pub fn lost(&self) -> u64 {
        match self.merger() {
            Some(merger) => merger.stats().lost + self.failover.lost,
            None => self.legs.iter().map(SrtLeg::skipped).sum(),
        }
    }

    /// What two legs have brought.
    #[must_use]
    pub const fn counts(&self) -> &[SrtLegCounts; 2] {
        &self.counts
    }

    /// Whether two legs carry raw transport stream, which cannot be merged.
    #[must_use]
    pub const fn is_failover(&self) -> bool {
        self.failover.is_needed
    }

    /// Counts what is missing for good; called about every 100 ms.
    pub(super) fn settle(&mut self) {
        let Failover {
            active,
            is_raw,
            lost,
            skipped_before,
            ..
        } = &mut self.failover;
        if self.merger.is_none() {
            return;
        }
        for ((place, leg), before) in self.legs.iter().enumerate().zip(skipped_before) {
            let skipped = leg.skipped();
            let newly = skipped.saturating_sub(std::mem::replace(before, skipped));
            // With RTP the merge counts.
            if *is_raw && *active == Some(place) {
                *lost += newly;
            }
        }
    }

    /// CLOCK_MONOTONIC of the newest pass in which a leg brought a message.
    #[must_use]
    pub const fn newest_ns(&self) -> &[Option<u64>; 2] {
        &self.newest_ns
    }

    /// What the kernel says of all sockets.
    #[must_use]
    pub fn kernel(&self) -> KernelCounts {
        let mut all = KernelCounts::default();
        for leg in &self.legs {
            all.dropped += leg.kernel().dropped;
            all.batches += leg.kernel().batches;
            all.errors += leg.kernel().errors;
        }
        all
    }

    /// Whether it has to be looked at soon, without anything to wake its flow.
    #[must_use]
    pub fn is_pending(&self, now_ns: u64) -> bool {
        self.merger().is_some_and(|merger| !merger.is_empty())
            || self.legs.iter().any(|leg| leg.is_pending(now_ns))
    }

    /// Takes what has come, answers it, and puts the messages whose time has come into the buffers.
    pub(super) fn fill(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> Taken {
        let at = Instant::new(now_ns);
        let mut all = Taken::default();
        for leg in &mut self.legs {
            let (received, more) = leg.poll(buffers, at);
            all.received += received;
            all.more |= more;
        }
        all.more |= if self.merger.is_some() {
            self.deliver_merged(buffers, at, now_ns)
        } else {
            self.deliver_one(buffers, at, now_ns)
        };
        // Acknowledgements say what was delivered, so they come last.
        for leg in &mut self.legs {
            leg.transmit(buffers, at);
        }
        all
    }

    /// True when there was no room for all of it.
    fn deliver_one(&mut self, buffers: &mut PassBuffers, at: Instant, now_ns: u64) -> bool {
        let Some(leg) = self.legs.first_mut() else {
            return false;
        };
        let memory = buffers.memory.received_mut();
        let mut start = 0;
        while let Some(room) = memory.get_mut(start..start + MESSAGE_BYTES_MAX)
            && buffers.packets.len() < PACKETS_MAX
        {
            let Some((bytes, arrival_ns)) = leg.deliver(at, room) else {
                return false;
            };
            buffers
                .packets
                .push(packet(&room[..bytes], start, arrival_ns));
            self.packets += 1;
            self.bytes += bytes as u64;
            self.newest_ns[0] = Some(now_ns);
            start += bytes;
        }
        true
    }

    /// True when there was no room for all of it.
    fn deliver_merged(&mut self, buffers: &mut PassBuffers, at: Instant, now_ns: u64) -> bool {
        let Self {
            legs,
            merger: Some(merger),
            failover,
            packets,
            bytes: all_bytes,
            counts,
            newest_ns,
        } = self
        else {
            return false;
        };
        let (received, staging) = buffers.memory.split_both_mut();
        let mut start = 0;
        for (index, leg) in LegIndex::ALL.into_iter().zip(legs) {
            let place = index.index();
            let mut count = counts[place];
            while let Some((bytes, arrival_ns)) = leg.deliver(at, &mut staging[..MESSAGE_BYTES_MAX])
            {
                let message = &staging[..bytes];
                newest_ns[place] = Some(now_ns);
                count.packets += 1;
                count.bytes += bytes as u64;
                failover.is_raw = !is_rtp(message);
                if !failover.is_raw {
                    if merger.push(index, Origin::Received, arrival_ns, message) == Outcome::Used {
                        *packets += 1;
                        *all_bytes += bytes as u64;
                    }
                    continue;
                }
                failover.is_needed = true;
                let is_silent = |leg: usize| {
                    newest_ns[leg]
                        .is_none_or(|newest_ns: u64| now_ns.saturating_sub(newest_ns) >= SILENT_NS)
                };
                let active = *failover.active.get_or_insert(place);
                if active != place && is_silent(active) {
                    failover.active = Some(place);
                    failover.switches += 1;
                }
                let end = start + bytes;
                if failover.active == Some(place)
                    && let Some(room) = received.get_mut(start..end)
                    && buffers.packets.len() < PACKETS_MAX
                {
                    room.copy_from_slice(message);
                    buffers.packets.push(packet(message, start, arrival_ns));
                    *packets += 1;
                    *all_bytes += bytes as u64;
                    count.forwarded += 1;
                    start = end;
                }
            }
            counts[place] = count;
        }
        let now_ns = at.realtime_ns(at.now);
        while let Some(room) = received.get_mut(start..start + MESSAGE_BYTES_MAX)
            && buffers.packets.len() < PACKETS_MAX
        {
            let Some(released) = merger.pop(now_ns, room) else {
                return false;
            };
            let message = &room[..released.bytes];
            buffers
                .packets
                .push(packet(message, start, released.arrival_ns));
            start += released.bytes;
        }
        true
    }
}

/// Transport stream begins with its sync byte, whose upper two bits are not those of RTP version 2.
fn is_rtp(message: &[u8]) -> bool {
    RtpView::parse(message).is_some()
}

fn packet(message: &[u8], start: usize, arrival_ns: u64) -> Packet {
    let (header, payload) = match RtpView::parse(message) {
        Some(view) => (view.payload_offset(), view.payload().len()),
        None => (0, message.len()),
    };
    Packet {
        // The whole memory is far below 4 GiB (tested in `memory`).
        start: start as u32,
        bytes: message.len() as u32,
        header_bytes: header as u32,
        payload_bytes: payload as u32,
        arrival_ns,
    }
}
