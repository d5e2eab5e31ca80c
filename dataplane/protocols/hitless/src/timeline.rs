//! A clock that does not jump, made from one that may.
//!
//! Arrivals and polls are told in CLOCK_REALTIME, which a time server or a person may set at any moment. Held packets
//! must then neither be given out all at once nor wait for an hour, so a jump is taken out where it is seen.

use crate::leg::LEGS;

/// A time of the merge, in nanoseconds. Differences alone mean something.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Instant(u64);

impl Instant {
    /// Before everything.
    pub(crate) const ZERO: Self = Self(0);

    #[cfg(test)]
    pub(crate) const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// So much later.
    #[inline]
    pub(crate) const fn plus_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// So much earlier.
    #[inline]
    pub(crate) const fn minus_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_sub(ns))
    }

    /// How long after `earlier`; 0 when it is before.
    #[inline]
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// How far apart they are.
    #[inline]
    pub(crate) const fn abs_diff(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }

    /// How much later than `other`, negative when it is before.
    #[inline]
    pub(crate) const fn signed_since(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// Who tells the time: a leg by the arrival of its packets, or the poll.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Teller(usize);

impl Teller {
    /// The caller's present time.
    pub(crate) const POLL: Self = Self(LEGS);

    /// Arrivals on a leg.
    #[inline]
    pub(crate) const fn leg(leg: crate::LegIndex) -> Self {
        Self(leg.index())
    }
}

/// Takes the jumps out.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    /// The same moment on the caller's clock and here.
    anchor: Option<u64>,
    anchor_at: Instant,
    newest: Instant,
    told: [Option<Instant>; LEGS + 1],
}

impl Timeline {
    pub(crate) const fn new() -> Self {
        Self {
            anchor: None,
            anchor_at: START,
            newest: START,
            told: [None; LEGS + 1],
        }
    }

    /// Whether the clock is so far ahead that [`tell`](Self::tell) has to know for when the caller was asked to poll.
    #[inline]
    pub(crate) fn is_far_ahead(&self, clock_ns: u64) -> bool {
        self.at(clock_ns) > self.newest.plus_ns(JUMP_AHEAD_NS)
    }

    /// The time that `teller` says it is. `waiting_until` tells for when the caller was asked to poll: a clock that is
    /// well past that without a call before has jumped; `None` when nothing is held, for then it may just be a long time.
    #[inline]
    pub(crate) fn tell(
        &mut self,
        teller: Teller,
        clock_ns: u64,
        waiting_until: Option<Instant>,
    ) -> Instant {
        self.anchor.get_or_insert(clock_ns);
        let mut at = self.at(clock_ns);
        let earliest = self.newest.minus_ns(BACK_NS_MAX);
        let told = self.told[teller.0].unwrap_or(earliest);
        if at.plus_ns(JUMP_BACK_NS) < told {
            at = self.jump(clock_ns, told.max(self.newest.minus_ns(JUMP_BACK_NS)));
        } else if at > self.newest.plus_ns(JUMP_AHEAD_NS) {
            let expected = match waiting_until {
                Some(until) => until.max(self.newest).plus_ns(JUMP_AHEAD_NS),
                None => self.newest.plus_ns(IDLE_NS_MAX),
            };
            if at > expected {
                // A little goes by for all that, so that a caller who is that late each time gets on.
                let waited_ns = waiting_until.map_or(0, |until| until.since(self.newest));
                let passed = self.newest.plus_ns(waited_ns.min(JUMP_PASSED_NS));
                at = self.jump(clock_ns, passed);
            }
        }
        self.told[teller.0] = Some(at);
        self.newest = self.newest.max(at);
        at
    }

    /// The moment that the caller's clock shows, not taken for the present time.
    #[inline]
    pub(crate) fn at(&self, clock_ns: u64) -> Instant {
        let anchor = self.anchor.unwrap_or(clock_ns);
        let after = clock_ns.wrapping_sub(anchor).cast_signed();
        Instant(self.anchor_at.0.saturating_add_signed(after))
    }

    /// The moment that the caller's clock shows, not after the present time and not long before it.
    #[inline]
    pub(crate) fn recent(&self, clock_ns: u64) -> Instant {
        let earliest = self.newest.minus_ns(JUMP_BACK_NS);
        self.at(clock_ns).clamp(earliest, self.newest)
    }

    /// What the caller's clock shows at a moment.
    #[inline]
    pub(crate) fn clock_ns(&self, at: Instant) -> u64 {
        let after = at.signed_since(self.anchor_at);
        self.anchor.unwrap_or_default().saturating_add_signed(after)
    }

    /// The latest moment that was told.
    #[inline]
    pub(crate) const fn newest(&self) -> Instant {
        self.newest
    }

    /// From now on the caller's `clock_ns` is the moment `at`.
    fn jump(&mut self, clock_ns: u64, at: Instant) -> Instant {
        self.anchor = Some(clock_ns);
        self.anchor_at = at;
        at
    }
}

/// Far from both ends of the range.
const START: Instant = Instant(1 << 62);

/// Who told the time goes on from there; this much back is a jump, less is a kernel that is not exact.
const JUMP_BACK_NS: u64 = 100_000_000;

/// Somebody who has not told the time before may be this far behind the others: no socket holds packets for longer.
const BACK_NS_MAX: u64 = 10_000_000_000;

/// A caller that polls when asked is never this late.
const JUMP_AHEAD_NS: u64 = 1_000_000_000;

/// How much of a jump ahead may be time that did pass.
const JUMP_PASSED_NS: u64 = 10_000_000;

/// A clock that moves on by more than a day between two packets has been set; whether or not makes no difference then.
const IDLE_NS_MAX: u64 = 86_400_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LegIndex;

    const MS: u64 = 1_000_000;
    const ONE: Teller = Teller::leg(LegIndex::ONE);
    const TWO: Teller = Teller::leg(LegIndex::TWO);

    fn started() -> (Timeline, Instant) {
        let mut timeline = Timeline::new();
        let at = timeline.tell(ONE, 1_000_000 * MS, None);
        (timeline, at)
    }

    #[test]
    fn time_passes_and_is_told_back() {
        let (mut timeline, start) = started();
        let at = timeline.tell(Teller::POLL, 1_000_020 * MS, Some(start));
        assert_eq!(at.since(start), 20 * MS);
        assert_eq!(timeline.clock_ns(at), 1_000_020 * MS);
        // A leg whose packets waited in a socket.
        let at = timeline.tell(TWO, 999_000 * MS, Some(start));
        assert_eq!(start.since(at), 1_000 * MS);
    }

    #[test]
    fn a_clock_that_is_set_back_goes_on() {
        let (mut timeline, start) = started();
        let at = timeline.tell(ONE, 5 * MS, Some(start));
        assert_eq!(at, start);
        let at = timeline.tell(ONE, 7 * MS, Some(start));
        assert_eq!(at.since(start), 2 * MS);
        // The other tellers are not off by that either.
        let at = timeline.tell(Teller::POLL, 8 * MS, Some(start));
        assert_eq!(at.since(start), 3 * MS);
        assert_eq!(timeline.clock_ns(at), 8 * MS);
    }

    #[test]
    fn a_clock_that_is_set_ahead_goes_on_while_something_is_held() {
        let (mut timeline, start) = started();
        let hour_later = 1_000_000 * MS + 3_600_000 * MS;
        let at = timeline.tell(ONE, hour_later, Some(start.plus_ns(2 * MS)));
        assert_eq!(at.since(start), 2 * MS);
        let at = timeline.tell(ONE, hour_later + 3_600_000 * MS, None);
        assert_eq!(at.since(start), 3_600_002 * MS, "an hour of silence");
    }

    #[test]
    fn waiting_for_long_is_no_jump() {
        let (mut timeline, start) = started();
        let until = start.plus_ns(5_000 * MS);
        let at = timeline.tell(Teller::POLL, 1_005_000 * MS, Some(until));
        assert_eq!(at, until);
    }

    #[test]
    fn any_clock_is_borne() {
        let (mut timeline, _) = started();
        for clock_ns in [0, u64::MAX, 1, u64::MAX / 2, u64::MAX / 2 + 2, 0] {
            for teller in [ONE, TWO, Teller::POLL] {
                let at = timeline.tell(teller, clock_ns, None);
                assert!(at.abs_diff(START) < 20 * IDLE_NS_MAX, "{clock_ns}");
            }
        }
    }
}
