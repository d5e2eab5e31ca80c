//! The bandwidth limit of a flow (configuration.md 4.1).

use bilbycast_shm_proto::model::{BandwidthAction, BandwidthLimitSpec};

/// Watches what arrives against a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct BandwidthLimit {
    spec: BandwidthLimitSpec,
    /// CLOCK_MONOTONIC since when more arrives than allowed; `None` while it does not.
    over_since_ns: Option<u64>,
    is_exceeded: bool,
    /// Packets that were not forwarded.
    blocked_packets: u64,
}

impl BandwidthLimit {
    /// A limit that nothing has exceeded yet.
    pub(super) const fn new(spec: BandwidthLimitSpec) -> Self {
        Self {
            spec,
            over_since_ns: None,
            is_exceeded: false,
            blocked_packets: 0,
        }
    }

    /// What was agreed.
    pub(super) const fn spec(&self) -> &BandwidthLimitSpec {
        &self.spec
    }

    /// Whether more has arrived than allowed for the whole grace period, and still does.
    pub(super) const fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// Whether nothing may be forwarded.
    pub(super) fn blocks(&self) -> bool {
        self.is_exceeded && self.spec.action == BandwidthAction::Block
    }

    /// Packets that were not forwarded.
    pub(super) const fn blocked_packets(&self) -> u64 {
        self.blocked_packets
    }

    /// Takes note of packets that are not forwarded.
    pub(super) fn count_blocked(&mut self, packets: u64) {
        self.blocked_packets += packets;
    }

    /// Takes note of what arrives, a mean over a second; true when the state changed. What is blocked is measured as well,
    /// so the flow opens again by itself within a second of the rate coming down.
    pub(super) fn observe(&mut self, now_ns: u64, arriving_bps: u64) -> bool {
        let before = self.is_exceeded;
        if arriving_bps > self.spec.max_bps {
            let since_ns = *self.over_since_ns.get_or_insert(now_ns);
            let grace_ns = u64::from(self.spec.grace_secs) * 1_000_000_000;
            self.is_exceeded |= now_ns.saturating_sub(since_ns) >= grace_ns;
        } else {
            self.over_since_ns = None;
            self.is_exceeded = false;
        }
        self.is_exceeded != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn it_takes_the_whole_grace_period_without_a_break() {
        let mut limit = BandwidthLimit::new(BandwidthLimitSpec {
            max_bps: 1_000,
            action: BandwidthAction::Block,
            grace_secs: 5,
        });
        for second in 0..5 {
            assert!(!limit.observe(second * SECOND_NS, 1_001));
        }
        // One look at the limit itself, and the period begins anew.
        assert!(!limit.observe(5 * SECOND_NS - 1, 1_000));
        for second in 5..10 {
            assert!(!limit.observe(second * SECOND_NS, 1_001));
        }
        assert!(limit.observe(10 * SECOND_NS, 1_001));
        assert!(limit.is_exceeded() && limit.blocks());
        assert!(!limit.observe(11 * SECOND_NS, 2_000));
        assert!(limit.observe(12 * SECOND_NS, 1_000));
        assert!(!limit.is_exceeded() && !limit.blocks());
    }

    #[test]
    fn an_alarm_blocks_nothing() {
        let mut limit = BandwidthLimit::new(BandwidthLimitSpec {
            max_bps: 1_000,
            action: BandwidthAction::Alarm,
            grace_secs: 1,
        });
        limit.observe(0, 1_001);
        assert!(limit.observe(SECOND_NS, 1_001));
        assert!(limit.is_exceeded() && !limit.blocks());
    }
}
