//! When something that has to come again is overdue.

/// The time until which something has to come. Counts are functions of times alone: how often anybody looks does not show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// [`Deadline::NEVER`] until it has come, or was promised.
    next_ns: u64,
}

impl Deadline {
    pub(super) const NEVER: Self = Self { next_ns: u64::MAX };

    /// It has to come within `interval_ns` from `at_ns` on.
    pub(super) const fn starting(at_ns: u64, interval_ns: u64) -> Self {
        Self {
            next_ns: at_ns.saturating_add(interval_ns),
        }
    }

    /// True while it has neither come nor been promised.
    pub(super) const fn is_never(self) -> bool {
        self.next_ns == u64::MAX
    }

    /// How many whole intervals it has been absent for beyond those counted before.
    pub(super) fn overdue(&mut self, now_ns: u64, interval_ns: u64) -> u64 {
        if now_ns <= self.next_ns || interval_ns == 0 {
            return 0;
        }
        let intervals = (now_ns - self.next_ns - 1) / interval_ns + 1;
        self.next_ns = self
            .next_ns
            .saturating_add(intervals.saturating_mul(interval_ns));
        intervals
    }

    /// It came. Returns what [`overdue`](Self::overdue) would have, had it been asked right before.
    pub(super) fn came(&mut self, at_ns: u64, interval_ns: u64) -> u64 {
        let intervals = self.overdue(at_ns, interval_ns);
        *self = Self::starting(at_ns, interval_ns);
        intervals
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exactly_in_time_is_in_time() {
        let mut deadline = Deadline::starting(1000, 500);
        assert_eq!(deadline.came(1500, 500), 0);
        assert_eq!(deadline.came(2001, 500), 1);
        assert_eq!(deadline.overdue(3502, 500), 3);
        assert_eq!(deadline.came(3502, 500), 0);
        let mut never = Deadline::NEVER;
        assert_eq!(never.overdue(u64::MAX, 500), 0);
    }

    proptest! {
        #[test]
        fn looking_more_often_changes_nothing(looks in prop::collection::vec(0_u64..5000, 0..20)) {
            let mut often = Deadline::starting(0, 500);
            let mut looks = looks;
            looks.sort_unstable();
            let mut counted: u64 = looks.iter().map(|&now| often.overdue(now, 500)).sum();
            counted += often.came(5000, 500);
            prop_assert_eq!(counted, Deadline::starting(0, 500).came(5000, 500));
        }
    }
}
