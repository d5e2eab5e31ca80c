//! The merge itself.

mod judge;
mod release;

use bilbycast_rtp::{RtpView, SeqNo, Ssrc};

use crate::leg::{LEGS, Leg, LegIndex, LegStats};
use crate::marks::Marks;
use crate::pace::Pace;
use crate::ring::{Ring, Slot};
use crate::skew::Skew;
use crate::slab::{PACKET_BYTES_MAX, Slab};
use crate::timeline::{Instant, Teller, Timeline};
use judge::Verdict;

/// What a merge is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MergerConfig {
    /// Legs, 1 or 2.
    pub legs: usize,
    /// Path differential in nanoseconds: how much later than the other leg a leg may be. 0 for a single leg; more than
    /// ten seconds are taken as that.
    pub path_differential_ns: u64,
    /// How many packets after it a packet may still be repaired; 0 without FEC. More than can be held are taken as that.
    pub repair_packets: u32,
    /// Packets that may be held, a power of two from 64 to 32,768; anything else is taken as the next one.
    pub packets_max: usize,
}

/// How a packet came to a leg.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// From the network.
    Received,
    /// Repaired by the FEC decoder of the leg.
    Recovered,
}

/// What became of a packet that was handed in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Outcome {
    /// Held already or given out already.
    Duplicate,
    /// Of another source than the one in use: of another SSRC, or with a number that is too far ahead.
    Foreign,
    /// There is no room; nothing was counted but this. The next [`Merger::pop`] gives the oldest packet out, however
    /// early, and then this one can be handed in again.
    Full,
    /// Not RTP version 2, longer than [`PACKET_BYTES_MAX`], or on a leg that is not in use.
    Invalid,
    /// Its number has been passed over.
    Late,
    /// Held until it is due.
    Used,
}

/// A packet that was given out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Released {
    /// Its length, at the start of the caller's buffer.
    pub bytes: usize,
    /// When it was due, by the caller's clock in nanoseconds: when the earlier leg brought it, or would have, and the
    /// constant delay. Unlike the time of the call this shows how regularly the packets came.
    pub arrival_ns: u64,
    /// The leg of its first copy.
    pub leg: LegIndex,
}

/// What a merge has counted since its start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MergerStats {
    /// Packets given out.
    pub delivered: u64,
    /// Packets that were missing after merge and repair, each counted once, when the packet after it is given out.
    pub lost: u64,
    /// How often the delivering leg changed: see [`Merger`].
    pub switches: u64,
    /// Packets that came after their number had been passed over.
    pub late: u64,
    /// Packets that were not RTP, or too long.
    pub invalid: u64,
    /// Times that there was no room.
    pub full: u64,
    /// Packets that were given out before they were due, because room ran out.
    pub early: u64,
    /// How often the source started anew.
    pub source_restarts: u64,
    /// Mean skew in nanoseconds, positive when leg 2 is later; `None` before both copies of a packet came.
    pub skew_ns: Option<i64>,
    /// Of each leg.
    pub legs: [LegStats; LEGS],
}

/// Merges the packets of one stream in order.
///
/// * Getters: [`stats`](Self::stats), [`is_empty`](Self::is_empty), [`next_due_ns`](Self::next_due_ns),
///   [`path_differential_ns`](Self::path_differential_ns), [`delay_ns`](Self::delay_ns),
///   [`ssrc_mismatch`](Self::ssrc_mismatch).
/// * Input: [`push`](Self::push).
/// * Mutators: [`set_repair_packets`](Self::set_repair_packets).
/// * Output: [`pop`](Self::pop), to be called until it gives nothing, after packets were handed in and at
///   [`next_due_ns`](Self::next_due_ns).
///
/// A packet is due by the path differential after the packet came that is so many numbers later as a repair may take: with
/// neither, at once. If that one is missing, the next one that came counts. So the delay is constant, and neither a repair
/// nor a copy from the slower leg shows in the output. The leg that is later counts as if it were not: the skew is taken
/// off the arrival of a packet that it alone brought, so that the output does not stop for the skew when the earlier leg
/// dies, nor hurry when it comes back. When the stream stops, all that is held becomes due after the path differential and
/// a grace.
///
/// The delivering leg is a leg that goes on bringing every packet, not the leg of the first copy, which would change with
/// each packet between two equal legs. It changes when a packet has to be given out that this leg had not brought by then,
/// and so counts how often the other leg was needed.
///
/// The first SSRC is used as long as one leg carries it. A source that starts anew, with another SSRC or with numbers
/// more than 1,000 away, is taken when no other leg carries the old one: what is held of the old one is given out when it
/// is due, the new one follows without a gap. A leg that is alone may bring packets of somebody else between its own: there
/// the third packet in a row of another SSRC begins a source, or the first after a tenth of a second of silence.
///
/// Times are those of CLOCK_REALTIME, which may jump: the packets that are held neither wait for it nor hurry.
#[derive(Debug)]
pub struct Merger {
    config: MergerConfig,
    stats: MergerStats,
    timeline: Timeline,
    skew: Skew,
    legs: [Leg; LEGS],
    ring: Ring,
    slab: Slab,
    marks: Marks,

    // The source in use.
    ssrc: Option<Ssrc>,
    /// The newest number, and its extension, which goes on over wraps and restarts.
    newest: SeqNo,
    newest_ext: u64,
    /// Its first number, and the number down to which a packet may still come before the first one.
    start_ext: u64,
    floor_ext: u64,
    pace: Pace,

    // Giving out.
    /// The number after the last one that was given out or passed over.
    next: u64,
    /// The newest arrival, by the clock of the poll after it when that is earlier.
    fresh_at: Instant,
    polled: bool,
    /// A packet found no room, so one must go.
    must_release: bool,
    delivering: Option<LegIndex>,
    reported: Instant,
    settled_at: Instant,
}

impl Merger {
    /// A merge that has seen nothing. Reserves all its memory; the system hands out the pages as they are used.
    #[must_use]
    pub fn new(config: MergerConfig) -> Self {
        let packets_max = config
            .packets_max
            .clamp(PACKETS_MAX_MIN, PACKETS_MAX_MAX)
            .next_power_of_two();
        let length = LENGTH_START.min(packets_max);
        let timeline = Timeline::new();
        let now = timeline.newest();
        Self {
            config: MergerConfig {
                legs: config.legs.clamp(1, LEGS),
                path_differential_ns: config.path_differential_ns.min(PATH_DIFFERENTIAL_NS_MAX),
                repair_packets: repair_packets(config.repair_packets, packets_max),
                packets_max,
            },
            stats: MergerStats::default(),
            timeline,
            skew: Skew::default(),
            legs: Default::default(),
            ring: Ring::new(length, packets_max),
            slab: Slab::new(packets_max),
            marks: Marks::new(length, packets_max),
            ssrc: None,
            newest: SeqNo(0),
            newest_ext: EXT_START,
            start_ext: EXT_START,
            floor_ext: u64::MAX,
            pace: Pace::default(),
            next: EXT_START + 1,
            fresh_at: now,
            polled: false,
            must_release: false,
            delivering: None,
            reported: now,
            settled_at: now,
        }
    }

    /// Takes over how many packets after it a packet may still be repaired. The delay changes with it, at once.
    pub const fn set_repair_packets(&mut self, packets: u32) {
        self.config.repair_packets = repair_packets(packets, self.config.packets_max);
    }

    /// Takes a packet that the kernel received at `arrival_ns`, CLOCK_REALTIME in nanoseconds, or that was recovered then.
    #[inline]
    pub fn push(
        &mut self,
        leg: LegIndex,
        origin: Origin,
        arrival_ns: u64,
        packet: &[u8],
    ) -> Outcome {
        let is_possible = packet.len() <= PACKET_BYTES_MAX && leg.index() < self.config.legs;
        let Some(view) = RtpView::parse(packet).filter(|_| is_possible) else {
            self.stats.invalid += 1;
            return Outcome::Invalid;
        };
        let at = match origin {
            Origin::Received => self.tell(Teller::leg(leg), arrival_ns),
            // The packet that made it possible has told the time.
            Origin::Recovered => self.timeline.recent(arrival_ns),
        };
        let verdict = self.judge(leg, origin, at, &view);
        let place = match verdict {
            Verdict::New(ext) => Some(ext),
            Verdict::Start => Some(self.start_place()),
            Verdict::Copy(_) | Verdict::Distant | Verdict::Foreign | Verdict::Late(_) => None,
        };
        if let Some(ext) = place
            && !self.make_room(ext, packet.len())
        {
            self.stats.full += 1;
            self.must_release = true;
            return Outcome::Full;
        }
        if verdict == Verdict::Start {
            self.start(&view);
        }
        let (ext, outcome) = match (verdict, place) {
            (_, Some(ext)) => {
                self.hold(leg, origin, at, ext, &view);
                (Some(ext), Outcome::Used)
            }
            (Verdict::Copy(ext), _) => {
                self.on_copy(leg, origin, at, ext);
                (Some(ext), Outcome::Duplicate)
            }
            (Verdict::Late(ext), _) => {
                self.stats.late += 1;
                self.stats.legs[leg.index()].late += 1;
                (Some(ext), Outcome::Late)
            }
            _ => {
                self.stats.legs[leg.index()].foreign += 1;
                (None, Outcome::Foreign)
            }
        };
        let stats = &mut self.stats.legs[leg.index()];
        if origin == Origin::Recovered {
            stats.recovered += 1;
            return outcome;
        }
        let interval_ns = self.pace.interval_ns();
        stats.received += 1;
        stats.newest_arrival_ns = Some(arrival_ns);
        let state = &mut self.legs[leg.index()];
        match verdict {
            Verdict::Copy(_) | Verdict::New(_) | Verdict::Start => state.on_in_place(),
            Verdict::Distant => state.on_distant(view.sequence()),
            Verdict::Foreign => state.on_foreign(at, view.ssrc(), view.sequence()),
            Verdict::Late(_) => state.on_out_of_place(view.sequence()),
        }
        if let Some(ext) = ext {
            state.on_received(at, view.ssrc(), view.sequence(), ext, interval_ns);
            stats.lost = state.lost();
            self.fresh_at = at;
            self.polled = false;
        }
        self.settle(at);
        outcome
    }

    /// Whether nothing is held.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ring.held() == 0
    }

    /// What was counted.
    #[inline]
    #[must_use]
    pub const fn stats(&self) -> &MergerStats {
        &self.stats
    }

    /// The leg that brings another SSRC than the one in use, while that one goes on: within the last second.
    #[must_use]
    pub fn ssrc_mismatch(&self) -> Option<LegIndex> {
        LegIndex::ALL.into_iter().find(|leg| {
            self.legs[leg.index()]
                .foreign_at()
                .is_some_and(|foreign_at| {
                    self.timeline.newest().since(foreign_at) <= MISMATCH_NS_MAX
                })
        })
    }

    /// The path differential in nanoseconds: how much later than the other leg a leg may be.
    #[must_use]
    pub const fn path_differential_ns(&self) -> u64 {
        self.config.path_differential_ns
    }

    /// Present delay in nanoseconds: the path differential, and what the packets take to come that a repair may wait for.
    #[must_use]
    pub fn delay_ns(&self) -> u64 {
        self.config
            .path_differential_ns
            .saturating_add(self.repair_ns())
    }

    /// Mean time of so many packets as a repair may take.
    #[inline]
    fn repair_ns(&self) -> u64 {
        let interval_ns = self.pace.interval_ns();
        interval_ns.saturating_mul(self.config.repair_packets.into())
    }

    #[inline]
    fn tell(&mut self, teller: Teller, clock_ns: u64) -> Instant {
        let waiting_until = if self.timeline.is_far_ahead(clock_ns) {
            self.ring.first_held(self.next).map(|ext| self.due(ext))
        } else {
            None
        };
        self.timeline.tell(teller, clock_ns, waiting_until)
    }

    /// Where the first packet of a source goes: after all others, and when there are none, with some room before it for
    /// those that it overtook.
    const fn start_place(&mut self) -> u64 {
        if !self.is_empty() {
            return self.newest_ext + 1;
        }
        self.next = self.newest_ext + 1 + START_ROOM;
        self.next
    }

    /// Begins a source with a packet.
    fn start(&mut self, view: &RtpView<'_>) {
        let first_ext = self.start_place();
        if self.ssrc.is_some() {
            self.stats.source_restarts += 1;
            for (leg, stats) in self.legs.iter_mut().zip(&mut self.stats.legs) {
                leg.restart();
                stats.lost = leg.lost();
            }
        }
        self.floor_ext = if self.is_empty() {
            first_ext - START_ROOM
        } else {
            u64::MAX
        };
        self.ssrc = Some(view.ssrc());
        self.start_ext = first_ext.min(self.floor_ext);
        self.newest_ext = first_ext - 1;
        self.pace.restart();
    }

    /// Whether there is room for a packet; grows into the reserved memory for that.
    #[inline]
    fn make_room(&mut self, ext: u64, bytes: usize) -> bool {
        if self.is_empty() && ext.saturating_sub(self.next) >= self.ring.len_max() as u64 {
            self.pass_over(ext);
        }
        let span = ext.max(self.newest_ext) - ext.min(self.next);
        while span >= self.ring.len() as u64 {
            if span >= self.ring.len_max() as u64 {
                return false;
            }
            self.ring.grow();
            self.marks.grow();
        }
        Slab::blocks_of(bytes) <= self.slab.available()
    }

    #[inline]
    fn hold(&mut self, leg: LegIndex, origin: Origin, at: Instant, ext: u64, view: &RtpView<'_>) {
        let Some(block) = self.slab.store(view.packet()) else {
            return;
        };
        let lag_ns = u64::from(self.skew.lag_ns(leg)).min(self.config.path_differential_ns);
        let slot = Slot {
            ext,
            arrival: at,
            // The lag was 32 bits.
            lag_ns: lag_ns as u32,
            timestamp: view.timestamp(),
            block,
            // At most `PACKET_BYTES_MAX`.
            bytes: view.packet().len() as u16,
            legs: leg.bit(),
            leg,
            recovered: origin == Origin::Recovered,
        };
        self.ring.hold(slot);
        self.stats.legs[leg.index()].used += 1;
        self.next = self.next.min(ext);
        if ext > self.newest_ext {
            self.newest = view.sequence();
            self.newest_ext = ext;
            self.marks.push(ext, slot.reference());
            self.pace.on_newest(ext, slot.reference());
        }
    }

    #[inline]
    fn on_copy(&mut self, leg: LegIndex, origin: Origin, at: Instant, ext: u64) {
        let is_held = self.ring.holds(ext);
        let stats = &mut self.stats.legs[leg.index()];
        let Some(slot) = self.ring.get_mut(ext) else {
            return;
        };
        if slot.legs & leg.bit() != 0 {
            stats.duplicate += 1;
            return;
        }
        slot.legs |= leg.bit();
        if is_held {
            stats.redundant += 1;
        } else {
            stats.late += 1;
        }
        if origin == Origin::Received && !slot.recovered {
            let after_ns = at.signed_since(slot.arrival);
            let skew_ns = if leg == LegIndex::TWO {
                after_ns
            } else {
                after_ns.saturating_neg()
            };
            self.skew.on_pair(skew_ns);
            self.stats.skew_ns = self.skew.mean_ns();
        }
    }

    /// Lets the legs give up waiting for what has been missing for long.
    #[inline]
    fn settle(&mut self, now: Instant) {
        if now.since(self.settled_at) < SETTLE_NS {
            return;
        }
        self.settled_at = now;
        for (leg, stats) in self.legs.iter_mut().zip(&mut self.stats.legs) {
            leg.settle();
            stats.lost = leg.lost();
        }
    }
}

/// A repair that takes more packets than can be held is not waited for.
const fn repair_packets(packets: u32, packets_max: usize) -> u32 {
    // At most 32,768.
    let packets_max = packets_max as u32;
    if packets < packets_max {
        packets
    } else {
        packets_max
    }
}

/// Legs that are further apart than this are not of one stream, and times stay far from the end of their range.
const PATH_DIFFERENTIAL_NS_MAX: u64 = 10_000_000_000;

/// Less is not worth a merge.
const PACKETS_MAX_MIN: usize = 64;

/// Half the circle of the sequence numbers: of more, nobody can say which is older.
const PACKETS_MAX_MAX: usize = 32_768;

/// Places at the start: 100 Mb/s of full packets for 50 ms take 470, and twice as many are remembered. 64 KiB.
const LENGTH_START: usize = 1_024;

/// Far enough up that no number before it is ever below 0.
const EXT_START: u64 = 1 << 32;

/// Packets that the first one of a source may have overtaken.
const START_ROOM: u64 = 16;

/// A leg that brought another SSRC in this time is reported.
const MISMATCH_NS_MAX: u64 = 1_000_000_000;

/// The pace of [`bilbycast_rtp::SequenceTracker::settle`].
const SETTLE_NS: u64 = 100_000_000;

#[cfg(test)]
mod tests;
