//! Times from send to arrival, exact enough for any percentile.

/// Counts of times up to 50 ms in steps of 0.1 us; longer ones only move the maximum.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u32]>,
    total: u64,
    max_ns: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; STEPS].into_boxed_slice(),
            total: 0,
            max_ns: 0,
        }
    }

    pub(super) fn add(&mut self, time_ns: u64) {
        let step = usize::try_from(time_ns / STEP_NS).unwrap_or(usize::MAX);
        if let Some(count) = self.counts.get_mut(step) {
            *count += 1;
        }
        self.total += 1;
        self.max_ns = self.max_ns.max(time_ns);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(crate) const fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1e3
    }

    /// The time that this share of all times does not exceed, in microseconds: the upper end of its step, and the
    /// maximum beyond 50 ms.
    pub(crate) fn quantile_us(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted && seen > 0 {
                let end_us = ((step as u64 + 1) * STEP_NS) as f64 / 1e3;
                return end_us.min(self.max_us());
            }
        }
        self.max_us()
    }
}

const STEP_NS: u64 = 100;

/// 50 ms.
const STEPS: usize = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_stand_where_they_should() {
        let mut histogram = Histogram::new();
        for time_us in 1..=1_000 {
            histogram.add(time_us * 1_000);
        }
        assert_eq!(histogram.quantile_us(0.5), 500.1);
        assert_eq!(histogram.quantile_us(0.999), 999.1);
        assert_eq!(histogram.quantile_us(1.0), 1_000.0);
        assert_eq!(histogram.max_us(), 1_000.0);
    }

    #[test]
    fn times_beyond_the_last_step_are_the_maximum() {
        let mut histogram = Histogram::new();
        histogram.add(1_000);
        let mut other = Histogram::new();
        other.add(2_000_000_000);
        histogram.merge(&other);
        assert_eq!(histogram.total(), 2);
        assert_eq!(histogram.quantile_us(0.999), 2_000_000.0);
    }

    #[test]
    fn an_empty_one_says_zero() {
        assert_eq!(Histogram::new().quantile_us(0.99), 0.0);
    }
}
