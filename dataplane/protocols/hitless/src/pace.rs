//! How fast the packets of a source come.

use crate::timeline::Instant;

/// Mean time between packets, by an average that forgets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    newest: Option<(u64, Instant)>,
    /// In `WEIGHT`ths of a nanosecond.
    interval: Option<u64>,
}

impl Pace {
    /// Takes note of a packet with a higher number than all before.
    #[inline]
    pub(crate) fn on_newest(&mut self, ext: u64, at: Instant) {
        let Some((newest_ext, newest_at)) = self.newest.replace((ext, at)) else {
            return;
        };
        let elapsed_ns = at.since(newest_at).min(ELAPSED_NS_MAX);
        let sample_ns = match ext - newest_ext {
            // Almost always, and without a division.
            1 => elapsed_ns,
            packets => elapsed_ns / packets.max(1),
        };
        self.interval = Some(match self.interval {
            Some(interval) => interval - interval / WEIGHT + sample_ns,
            None => sample_ns * WEIGHT,
        });
    }

    /// The source has started anew; it may go on as fast as before.
    pub(crate) const fn restart(&mut self) {
        self.newest = None;
    }

    /// Mean time between packets in nanoseconds; 0 before two came.
    #[inline]
    pub(crate) const fn interval_ns(&self) -> u64 {
        match self.interval {
            Some(interval) => interval / WEIGHT,
            None => 0,
        }
    }
}

/// A pause is no interval.
const ELAPSED_NS_MAX: u64 = 1_000_000_000;

/// The newest interval counts for one part in so many.
const WEIGHT: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_pauses_do_not_count() {
        let mut pace = Pace::default();
        assert_eq!(pace.interval_ns(), 0);
        for ext in (0..1_000).filter(|ext| ext % 10 > 2) {
            pace.on_newest(ext, Instant::from_ns(ext * 500));
        }
        assert_eq!(pace.interval_ns(), 500);
        pace.restart();
        pace.on_newest(5_000, Instant::from_ns(3_600_000_000_000));
        assert_eq!(pace.interval_ns(), 500);
        for ext in 5_001..6_000 {
            pace.on_newest(ext, Instant::from_ns(3_600_000_000_000 + ext * 100));
        }
        assert!((100..=102).contains(&pace.interval_ns()));
    }
}
