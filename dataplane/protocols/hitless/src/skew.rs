//! How far apart the legs are.

use crate::leg::{LEGS, LegIndex};

/// Learns the skew from packets of which both copies came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Skew {
    mean_ns: Option<i64>,
    lag_ns: [u32; LEGS],
}

impl Skew {
    /// Takes note of a packet whose copy on leg 2 came `skew_ns` after the one on leg 1 (negative: before).
    #[inline]
    pub(crate) fn on_pair(&mut self, skew_ns: i64) {
        let skew_ns = skew_ns.clamp(-SKEW_NS_MAX, SKEW_NS_MAX);
        let Some(mean_ns) = &mut self.mean_ns else {
            self.mean_ns = Some(skew_ns);
            for leg in LegIndex::ALL {
                self.lag_ns[leg.index()] = lag_ns(leg, skew_ns);
            }
            return;
        };
        *mean_ns += (skew_ns - *mean_ns) / MEAN_WEIGHT;
        for leg in LegIndex::ALL {
            // Down at once and up slowly: a lag that is taken too large would give packets out too early.
            let lag = &mut self.lag_ns[leg.index()];
            let sample = lag_ns(leg, skew_ns);
            *lag = sample.min(*lag + sample.saturating_sub(*lag).div_ceil(LAG_WEIGHT));
        }
    }

    /// Mean skew, positive when leg 2 is later; `None` before both copies of a packet came.
    #[inline]
    pub(crate) const fn mean_ns(&self) -> Option<i64> {
        self.mean_ns
    }

    /// How much later than the other leg this one brings the same packet; 0 for the earlier leg.
    #[inline]
    pub(crate) const fn lag_ns(&self, leg: LegIndex) -> u32 {
        self.lag_ns[leg.index()]
    }
}

fn lag_ns(leg: LegIndex, skew_ns: i64) -> u32 {
    let lag_ns = if leg == LegIndex::ONE {
        -skew_ns
    } else {
        skew_ns
    };
    // The clamp of the skew keeps it in range.
    lag_ns.max(0) as u32
}

/// Fits 32 bits, and is longer than the longest path differential that can be configured.
const SKEW_NS_MAX: i64 = 4_000_000_000;

const MEAN_WEIGHT: i64 = 16;
const LAG_WEIGHT: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_and_the_lag_is_never_more_than_the_newest() {
        let mut skew = Skew::default();
        assert_eq!(skew.mean_ns(), None);
        skew.on_pair(8_000_000);
        assert_eq!(skew.mean_ns(), Some(8_000_000));
        assert_eq!(skew.lag_ns(LegIndex::ONE), 0);
        assert_eq!(skew.lag_ns(LegIndex::TWO), 8_000_000);
        for _ in 0..2_000 {
            skew.on_pair(40_000_000);
        }
        assert!(skew.mean_ns().unwrap() > 39_900_000);
        assert_eq!(skew.lag_ns(LegIndex::TWO), 40_000_000);
        skew.on_pair(-3_000_000);
        assert_eq!(skew.lag_ns(LegIndex::TWO), 0);
        assert!(skew.lag_ns(LegIndex::ONE) < 3_000_000);
        skew.on_pair(i64::MIN);
        skew.on_pair(i64::MAX);
    }
}
