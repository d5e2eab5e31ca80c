//! Troubles that come and go, told once each time.

/// A trouble is over when nothing was counted for this long.
const QUIET_NS: u64 = 10_000_000_000;

/// Watches a counter of mishaps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    counted: u64,
    /// When the counter rose last; `None` when there is no trouble.
    newest_ns: Option<u64>,
}

/// What a [`Trouble`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Began,
    Ended,
}

impl Trouble {
    /// Takes note that the counter stands at `count`.
    pub(super) fn observe(&mut self, now_ns: u64, count: u64) -> Option<Change> {
        if count > self.counted {
            self.counted = count;
            let before = self.newest_ns.replace(now_ns);
            return before.is_none().then_some(Change::Began);
        }
        let newest_ns = self.newest_ns?;
        (now_ns.saturating_sub(newest_ns) >= QUIET_NS).then(|| {
            self.newest_ns = None;
            Change::Ended
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_told_once_and_its_end_once() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.observe(0, 0), None);
        assert_eq!(trouble.observe(1, 5), Some(Change::Began));
        for step in 2..100 {
            assert_eq!(trouble.observe(step, 5 + step), None);
        }
        assert_eq!(trouble.observe(99 + QUIET_NS - 1, 104), None);
        assert_eq!(trouble.observe(99 + QUIET_NS, 104), Some(Change::Ended));
        assert_eq!(trouble.observe(100 + QUIET_NS, 104), None);
        assert_eq!(trouble.observe(101 + QUIET_NS, 105), Some(Change::Began));
    }
}
