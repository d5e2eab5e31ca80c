//! From what is measured to numbers that move seldom: each move is a new version of a resource, and a message to the
//! registry.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Pictures in a second, as a fraction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct GrainRate {
    numerator: u32,
    denominator: u32,
}

impl GrainRate {
    /// That of a stream that is not analysed (nmos.md 3.2).
    pub(super) const USUAL: Self = Self {
        numerator: 25,
        denominator: 1,
    };

    /// The fraction that a rate in decimals means: a whole number, a whole number by 1.001, or thousandths.
    pub(super) fn of(rate: f64) -> Option<Self> {
        if !(RATE_MIN..=RATE_MAX).contains(&rate) {
            return None;
        }
        // Within the bounds above no cast loses anything.
        let whole = rate.round();
        if (rate - whole).abs() < TOLERANCE {
            return Some(Self {
                numerator: whole as u32,
                denominator: 1,
            });
        }
        let slowed = (rate * 1.001).round();
        if (rate - slowed / 1.001).abs() < TOLERANCE {
            return Some(Self {
                numerator: slowed as u32 * 1_000,
                denominator: 1_001,
            });
        }
        let thousandths = (rate * 1_000.0).round() as u32;
        let common = greatest_common_divisor(thousandths, 1_000);
        Some(Self {
            numerator: thousandths / common,
            denominator: 1_000 / common,
        })
    }

    pub(super) fn json(self) -> Value {
        json!({"numerator": self.numerator, "denominator": self.denominator})
    }
}

const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Slowest and fastest rate that is believed.
const RATE_MIN: f64 = 0.1;
const RATE_MAX: f64 = 1_000.0;

/// Analysers round to two or three decimals.
const TOLERANCE: f64 = 0.006;

/// The rate of a multiplex in whole steps: it rises at once and falls late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SteadyRate {
    kbps: Option<u64>,
    /// Since when all readings have been below, and the highest of them.
    below: Option<(Instant, u64)>,
}

impl SteadyRate {
    /// In kbit/s; `None` until something has been measured.
    pub(super) const fn kbps(&self) -> Option<u64> {
        self.kbps
    }

    /// Takes a reading in bits per second. None at all, which is what a lost signal reads as, changes nothing.
    pub(super) fn read(&mut self, bps: u64, now: Instant) {
        if bps == 0 {
            return;
        }
        let step = step_above(bps);
        match self.kbps {
            Some(current) if step < current => {
                let (since, highest) = self.below.unwrap_or((now, 0));
                let highest = highest.max(step);
                self.below = Some((since, highest));
                if now.duration_since(since) >= FALL_AFTER {
                    self.kbps = Some(highest);
                    self.below = None;
                }
            }
            Some(current) if step == current => self.below = None,
            Some(_) | None => {
                self.kbps = Some(step);
                self.below = None;
            }
        }
    }
}

/// The lowest step in kbit/s that is not below `bps`; ten steps make a decade.
fn step_above(bps: u64) -> u64 {
    let kbps = bps.div_ceil(1_000);
    // All kbit/s of 64 bits lie below the last decade.
    let decades = (0..=16).map(|power| 10_u64.pow(power));
    let mut steps = decades.flat_map(|decade| STEPS.map(|tenths| tenths * decade / 10));
    steps.find(|step| *step >= kbps).unwrap_or(kbps)
}

/// In tenths of a decade.
const STEPS: [u64; 10] = [10, 12, 15, 20, 25, 30, 40, 50, 60, 80];

/// How long a rate must have stayed below a step before it is given up.
const FALL_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_become_the_fractions_that_they_mean() {
        for (rate, numerator, denominator) in [
            (25.0, 25, 1),
            (50.0, 50, 1),
            (23.976, 24_000, 1_001),
            (29.97, 30_000, 1_001),
            (29.970_029_97, 30_000, 1_001),
            (59.94, 60_000, 1_001),
            (119.88, 120_000, 1_001),
            (12.5, 25, 2),
            (8.33, 833, 100),
        ] {
            let found = GrainRate::of(rate);
            let expected = GrainRate {
                numerator,
                denominator,
            };
            assert_eq!(found, Some(expected), "{rate}");
        }
        for rate in [0.0, -25.0, f64::NAN, f64::INFINITY, 90_000.0] {
            assert_eq!(GrainRate::of(rate), None, "{rate}");
        }
    }

    #[test]
    fn steps_are_not_below_and_not_far_above() {
        for (bps, kbps) in [
            (1, 1),
            (1_000_000, 1_000),
            (1_000_001, 1_200),
            (9_990_000, 10_000),
            (10_000_001, 12_000),
            (19_500_000, 20_000),
            (81_000_000, 100_000),
            (1_000_000_000, 1_000_000),
        ] {
            assert_eq!(step_above(bps), kbps, "{bps}");
        }
        assert_eq!(step_above(u64::MAX), 20_000_000_000_000_000);
    }

    #[test]
    fn a_rate_rises_at_once_and_falls_late() {
        let start = Instant::now();
        let after = |secs| start + Duration::from_secs(secs);
        let mut rate = SteadyRate::default();
        assert_eq!(rate.kbps(), None);
        rate.read(9_500_000, after(0));
        assert_eq!(rate.kbps(), Some(10_000));
        rate.read(10_500_000, after(3));
        assert_eq!(rate.kbps(), Some(12_000));
        // The signal is lost, then there is less of it, then as much as before.
        rate.read(0, after(4));
        rate.read(4_800_000, after(5));
        rate.read(11_000_000, after(64));
        rate.read(4_800_000, after(70));
        rate.read(5_500_000, after(100));
        assert_eq!(rate.kbps(), Some(12_000));
        rate.read(4_800_000, after(130));
        assert_eq!(rate.kbps(), Some(6_000));
    }

    proptest! {
        #[test]
        fn no_reading_is_too_odd(bps: u64) {
            let kbps = step_above(bps);
            prop_assert!(kbps >= bps.div_ceil(1_000));
            prop_assert!(bps < 1_000_000 || kbps as f64 <= bps as f64 / 1_000.0 * 1.34 + 1.0);
        }

        #[test]
        fn no_rate_is_too_odd(rate: f64) {
            let _ = GrainRate::of(rate);
        }
    }
}
