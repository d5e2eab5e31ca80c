//! Bits per second over the last second.

/// Samples of a byte counter over the last second. [`sample`](Self::sample) is called about every 100 ms.
#[derive(Clone, Debug, Default)]
pub struct RateMeter {
    samples: [Sample; SAMPLES],
    newest: usize,
    taken: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at_ns: u64,
    bytes: u64,
}

/// Ten intervals of 100 ms: one second, the shortest window that configuration.md 8 allows.
const SAMPLES: usize = 11;

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

impl RateMeter {
    /// A meter that starts at `now_ns` with no bytes counted.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        let mut meter = Self::default();
        meter.sample(now_ns, 0);
        meter
    }

    /// Takes note that `bytes` in all have been counted by `now_ns`.
    pub fn sample(&mut self, now_ns: u64, bytes: u64) {
        self.newest = (self.newest + 1) % SAMPLES;
        self.samples[self.newest] = Sample {
            at_ns: now_ns,
            bytes,
        };
        self.taken = (self.taken + 1).min(SAMPLES);
    }

    /// Bits per second over the last second; in the first second of a meter as if the time before had been silent.
    #[must_use]
    pub fn bps(&self) -> u64 {
        let newest = self.samples[self.newest];
        let age = |back: usize| newest.at_ns.saturating_sub(self.back(back).at_ns);
        let enough = (1..self.taken).find(|back| age(*back) >= SECOND_NS);
        let oldest = self.back(enough.unwrap_or_else(|| self.taken.saturating_sub(1)));
        let window_ns = newest.at_ns.saturating_sub(oldest.at_ns).max(SECOND_NS);
        let bits = u128::from(newest.bytes.saturating_sub(oldest.bytes)) * 8;
        u64::try_from(bits * u128::from(SECOND_NS) / u128::from(window_ns)).unwrap_or(u64::MAX)
    }

    /// The sample that was taken so many before the newest.
    const fn back(&self, back: usize) -> Sample {
        self.samples[(self.newest + SAMPLES - back) % SAMPLES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_NS: u64 = SECOND_NS / 10;

    #[test]
    fn a_steady_stream_has_its_rate_and_silence_has_none() {
        let mut meter = RateMeter::new(7);
        let mut now_ns = 7;
        let mut bytes = 0;
        for _ in 0..25 {
            now_ns += STEP_NS;
            bytes += 12_500;
            meter.sample(now_ns, bytes);
        }
        assert_eq!(meter.bps(), 1_000_000);
        for _ in 0..10 {
            now_ns += STEP_NS;
            meter.sample(now_ns, bytes);
        }
        assert_eq!(meter.bps(), 0);
    }

    #[test]
    fn the_first_moments_are_not_blown_up() {
        let mut meter = RateMeter::new(0);
        meter.sample(STEP_NS, 125_000);
        assert_eq!(meter.bps(), 1_000_000);
    }

    #[test]
    fn a_late_sample_is_divided_by_the_time_that_passed() {
        let mut meter = RateMeter::new(0);
        meter.sample(10 * SECOND_NS, 1_250_000);
        assert_eq!(meter.bps(), 1_000_000);
    }
}
