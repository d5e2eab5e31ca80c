//! What is known about one leg.

use bilbycast_rtp::{SeqNo, SequenceTracker, Ssrc};

use crate::timeline::Instant;

/// Most legs of a merge.
pub const LEGS: usize = 2;

/// One of the legs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LegIndex(u8);

impl LegIndex {
    /// The first leg.
    pub const ONE: Self = Self(0);
    /// The second leg.
    pub const TWO: Self = Self(1);
    /// Both, in order.
    pub const ALL: [Self; LEGS] = [Self::ONE, Self::TWO];

    /// Its place in an array of legs, 0 or 1.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The other one.
    #[inline]
    #[must_use]
    pub const fn other(self) -> Self {
        Self(1 - self.0)
    }

    /// Its bit in a set of legs.
    #[inline]
    pub(crate) const fn bit(self) -> u8 {
        1 << self.0
    }
}

/// What a leg has counted since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LegStats {
    /// RTP packets that arrived, all below but the recovered ones included.
    pub received: u64,
    /// Packets that the leg itself lost, before any repair.
    pub lost: u64,
    /// Packets that FEC recovered for the leg.
    pub recovered: u64,
    /// Packets, received or recovered, whose first copy came on this leg.
    pub used: u64,
    /// Second copies in time: what the other leg would have lacked.
    pub redundant: u64,
    /// Packets that came when their number had been given out or passed over: they protect nothing.
    pub late: u64,
    /// Packets that the leg had brought before.
    pub duplicate: u64,
    /// Packets of another source: of another SSRC, or with a number that is too far ahead of those in use
    /// (of which the second in a row is believed).
    pub foreign: u64,
    /// When the newest packet arrived, whatever it was, by the caller's clock in nanoseconds.
    pub newest_arrival_ns: Option<u64>,
}

/// What decides about the packets of a leg.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leg {
    /// The newest packet of the source in use.
    newest_at: Option<Instant>,
    /// The number that came last, and the highest extended one, of the source in use.
    last: Option<SeqNo>,
    newest_ext: Option<u64>,
    /// The leg has gone over to another source: its last packets are not of the one in use.
    elsewhere: bool,
    /// The newest number that was too far ahead, until a packet is in its place.
    distant: Option<SeqNo>,
    /// When the newest packet of another SSRC came.
    foreign_at: Option<Instant>,
    /// That SSRC, its newest number, and how many followed one another, until a packet is in its place.
    stranger: Option<Stranger>,
    /// Packets in a row that the source in use cannot have sent just now.
    late_run: u32,
    tracker: SequenceTracker,
    lost_before: u64,
}

/// Another SSRC than the one in use.
#[derive(Clone, Copy, Debug)]
struct Stranger {
    ssrc: Ssrc,
    newest: SeqNo,
    run: u8,
}

impl Leg {
    /// Whether the leg brought the source in use last, and not longer than `silence_ns` ago.
    #[inline]
    pub(crate) fn carries(&self, now: Instant, silence_ns: u64) -> bool {
        !self.elsewhere
            && self
                .newest_at
                .is_some_and(|newest_at| newest_at.abs_diff(now) <= silence_ns)
    }

    /// Whether a number that fits nowhere means that the leg has another source than the one in use.
    pub(crate) fn has_left(&self, sequence: SeqNo) -> bool {
        self.elsewhere
            || self.late_run + 1 >= LATE_RUN_MAX
            || self
                .last
                .is_some_and(|last| sequence.distance_from(last).unsigned_abs() > GAP_MAX)
    }

    /// Takes note that a packet was in its place.
    #[inline]
    pub(crate) fn on_in_place(&mut self) {
        self.elsewhere = false;
        self.distant = None;
        self.stranger = None;
        self.late_run = 0;
    }

    /// Takes note of a packet that the source in use cannot have sent just now.
    pub(crate) fn on_out_of_place(&mut self, sequence: SeqNo) {
        self.elsewhere = self.has_left(sequence);
        self.late_run = self.late_run.saturating_add(1);
    }

    /// Whether a number that is too far ahead follows the one before it, which was too.
    pub(crate) fn is_next_distant(&self, sequence: SeqNo) -> bool {
        self.distant.is_some_and(|distant| {
            (1..=DISTANT_STEP_MAX).contains(&sequence.distance_from(distant))
        })
    }

    /// Takes note of a number that is too far ahead.
    pub(crate) fn on_distant(&mut self, sequence: SeqNo) {
        self.elsewhere = true;
        self.distant = Some(sequence);
    }

    /// Whether a packet of another SSRC is somebody else's, as far as this leg knows: the leg brought the source in use not
    /// longer than `silence_ns` ago, and too few packets of the other one have followed one another since.
    pub(crate) fn is_strange(
        &self,
        now: Instant,
        silence_ns: u64,
        ssrc: Ssrc,
        sequence: SeqNo,
    ) -> bool {
        let is_recent = self
            .newest_at
            .is_some_and(|newest_at| newest_at.abs_diff(now) <= silence_ns);
        is_recent && self.run_with(ssrc, sequence) < STRANGER_RUN_MIN
    }

    /// Whether the leg brought that other SSRC last, and not longer than `silence_ns` ago.
    pub(crate) fn has_gone_to(&self, now: Instant, silence_ns: u64, ssrc: Ssrc) -> bool {
        self.stranger.is_some_and(|stranger| stranger.ssrc == ssrc)
            && self
                .foreign_at
                .is_some_and(|foreign_at| foreign_at.abs_diff(now) <= silence_ns)
    }

    /// Takes note of a packet of another SSRC.
    pub(crate) fn on_foreign(&mut self, now: Instant, ssrc: Ssrc, sequence: SeqNo) {
        self.stranger = Some(Stranger {
            ssrc,
            newest: sequence,
            run: self.run_with(ssrc, sequence),
        });
        self.elsewhere = true;
        self.foreign_at = Some(now);
    }

    /// How many packets of another SSRC have followed one another with this one.
    fn run_with(&self, ssrc: Ssrc, sequence: SeqNo) -> u8 {
        let before = self.stranger.filter(|stranger| {
            let step = sequence.distance_from(stranger.newest);
            stranger.ssrc == ssrc && (1..=DISTANT_STEP_MAX).contains(&step)
        });
        before.map_or(1, |stranger| stranger.run.saturating_add(1))
    }

    /// When the newest packet of another SSRC came.
    pub(crate) const fn foreign_at(&self) -> Option<Instant> {
        self.foreign_at
    }

    /// Counts what the leg lost. `interval_ns` is the mean time between packets.
    #[inline]
    pub(crate) fn on_received(
        &mut self,
        now: Instant,
        ssrc: Ssrc,
        sequence: SeqNo,
        ext: u64,
        interval_ns: u64,
    ) {
        let silence_ns = self
            .newest_at
            .replace(now)
            .map_or(0, |newest_at| now.since(newest_at));
        self.last = Some(sequence);
        match self.newest_ext {
            Some(own) if ext <= own => {}
            Some(own) if ext - own > u64::from(GAP_MAX) => {
                // The tracker would take it for a restart of the source. It is an outage of the leg if the leg was silent
                // for the time that so many packets take.
                self.start_count();
                let missing = ext - own - 1;
                if silence_ns.saturating_mul(2) >= missing.saturating_mul(interval_ns) {
                    self.lost_before += missing;
                }
                self.newest_ext = Some(ext);
            }
            _ => self.newest_ext = Some(ext),
        }
        self.tracker.on_packet(ssrc, sequence);
    }

    /// Gives up waiting for what has been missing for long; see [`SequenceTracker::settle`].
    pub(crate) fn settle(&mut self) {
        self.tracker.settle();
    }

    /// Packets that the leg lost.
    #[inline]
    pub(crate) const fn lost(&self) -> u64 {
        self.lost_before + self.tracker.lost()
    }

    /// The source in use is a new one.
    pub(crate) fn restart(&mut self) {
        self.start_count();
        *self = Self {
            foreign_at: None,
            lost_before: self.lost_before,
            ..Self::default()
        };
    }

    fn start_count(&mut self) {
        // Twice, for the first call only says what the second will count.
        self.tracker.settle();
        self.tracker.settle();
        self.lost_before += self.tracker.lost();
        self.tracker = SequenceTracker::new();
    }
}

/// A jump of more than this is a restart of the source, not loss (configuration.md 8).
pub(crate) const GAP_MAX: u16 = 1_000;

/// Loss may lie between two packets that follow one another.
const DISTANT_STEP_MAX: i16 = 16;

/// So many packets of another SSRC that follow one another, with none of the source in use between them, are a source that
/// started anew.
const STRANGER_RUN_MIN: u8 = 3;

/// This many packets in a row that are too late are a source that started anew a little before its old numbers.
const LATE_RUN_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const SSRC: Ssrc = Ssrc(1);

    /// A packet of a stream of one in a microsecond.
    fn receive(leg: &mut Leg, ext: u64, at_us: u64) {
        let now = Instant::from_ns(at_us * 1_000);
        leg.on_received(now, SSRC, SeqNo(ext as u16), ext, 1_000);
    }

    #[test]
    fn a_long_outage_of_a_leg_is_loss_and_a_jump_of_the_source_is_not() {
        let mut leg = Leg::default();
        receive(&mut leg, 10, 10);
        // One whole turn and a hundred numbers later.
        receive(&mut leg, 10 + 65_536 + 101, 10 + 65_536 + 101);
        assert_eq!(leg.lost(), 65_536 + 100);
        receive(&mut leg, 80_000, 10 + 65_536 + 102);
        assert_eq!(leg.lost(), 65_536 + 100);
    }

    #[test]
    fn small_gaps_count_once_settled_and_survive_a_restart() {
        let mut leg = Leg::default();
        for ext in [1, 2, 5, 4] {
            receive(&mut leg, ext, ext);
        }
        assert_eq!(leg.lost(), 0);
        leg.restart();
        assert_eq!(leg.lost(), 1);
        receive(&mut leg, 60_000, 60_000);
        leg.settle();
        leg.settle();
        assert_eq!(leg.lost(), 1);
    }
}
