//! Health that comes and goes, told when it matters.

use bilbycast_shm_proto::counters::Health;

/// A flow is told to be better when it has been for this long; that it is worse is told at once. A stream that is broken
/// once a second gives one event, not thousands.
const BETTER_NS: u64 = 10_000_000_000;

/// Watches the health of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct HealthWatch {
    told: Health,
    /// When the flow was last as bad as was told, or worse.
    bad_ns: u64,
}

impl Default for HealthWatch {
    fn default() -> Self {
        Self {
            told: Health::Healthy,
            bad_ns: 0,
        }
    }
}

impl HealthWatch {
    /// Takes note of the health; returns what was told before when there is something to tell.
    pub(super) fn observe(&mut self, now_ns: u64, health: Health) -> Option<Health> {
        if health.code() >= self.told.code() {
            self.bad_ns = now_ns;
            let before = std::mem::replace(&mut self.told, health);
            return (before != health).then_some(before);
        }
        let is_settled = now_ns.saturating_sub(self.bad_ns) >= BETTER_NS;
        is_settled.then(|| {
            self.bad_ns = now_ns;
            std::mem::replace(&mut self.told, health)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_is_told_at_once_and_better_when_it_lasts() {
        let mut watch = HealthWatch::default();
        assert_eq!(watch.observe(0, Health::Healthy), None);
        assert_eq!(watch.observe(1, Health::Warning), Some(Health::Healthy));
        assert_eq!(watch.observe(2, Health::Error), Some(Health::Warning));
        // Flickers for a minute: nothing more to tell.
        for second in 0..60 {
            let now_ns = 3 + second * 1_000_000_000;
            assert_eq!(watch.observe(now_ns, Health::Healthy), None);
            assert_eq!(watch.observe(now_ns + 1, Health::Error), None);
        }
        let last_ns = 4 + 59 * 1_000_000_000;
        assert_eq!(
            watch.observe(last_ns + BETTER_NS - 1, Health::Healthy),
            None
        );
        let told = watch.observe(last_ns + BETTER_NS, Health::Healthy);
        assert_eq!(told, Some(Health::Error));
        assert_eq!(
            watch.observe(last_ns + BETTER_NS + 1, Health::Healthy),
            None
        );
    }
}
