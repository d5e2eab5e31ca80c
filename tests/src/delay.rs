//! Delays of many packets in a few figures.

use std::fmt;

/// Percentiles of a set of delays, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Delays {
    /// How many there are.
    pub count: usize,
    /// Half are at most this.
    pub p50_ns: u64,
    /// 999 of 1,000 are at most this.
    pub p999_ns: u64,
    /// All are at most this.
    pub max_ns: u64,
}

impl Delays {
    /// The figures of `delays_ns`.
    #[must_use]
    pub fn of(mut delays_ns: Vec<u64>) -> Self {
        delays_ns.sort_unstable();
        let at = |per_mille: usize| {
            let index = (delays_ns.len() * per_mille).div_ceil(1_000).max(1) - 1;
            delays_ns.get(index).copied().unwrap_or(0)
        };
        Self {
            count: delays_ns.len(),
            p50_ns: at(500),
            p999_ns: at(999),
            max_ns: at(1_000),
        }
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |ns: u64| ns as f64 / 1_000.0;
        write!(
            out,
            "p50 {:.0} us, p99.9 {:.0} us, max {:.0} us of {}",
            us(self.p50_ns),
            us(self.p999_ns),
            us(self.max_ns),
            self.count
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let delays = Delays::of((1..=2_000).rev().collect());
        assert_eq!(
            (delays.p50_ns, delays.p999_ns, delays.max_ns),
            (1_000, 1_998, 2_000)
        );
        assert_eq!(Delays::of(vec![5]).p999_ns, 5);
        assert_eq!(Delays::of(Vec::new()), Delays::default());
    }
}
