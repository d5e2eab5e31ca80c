//! What flows per second, and what the link could carry.

use crate::time::Micros;

/// Packets and bytes per second over the last second.
#[derive(Clone, Debug, Default)]
pub struct RateMeter {
    buckets: [Bucket; BUCKETS],
    /// Number of the newest bucket since the epoch.
    newest: u64,
    first: Option<Micros>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    packets: u64,
    bytes: u64,
}

impl RateMeter {
    /// A packet of `bytes` at `now`.
    #[inline]
    pub fn add(&mut self, now: Micros, bytes: usize) {
        self.first.get_or_insert(now);
        self.advance(now);
        let bucket = &mut self.buckets[index_of(self.newest)];
        bucket.packets += 1;
        bucket.bytes += bytes as u64;
    }

    /// Packets and bytes per second at `now`; both zero one second after the last packet.
    #[must_use]
    pub fn rates(&self, now: Micros) -> (u64, u64) {
        let Some(first) = self.first else {
            return (0, 0);
        };
        let current = now.0 / BUCKET_US;
        let (mut packets, mut bytes) = (0, 0);
        for age in 0..BUCKETS as u64 {
            let number = self.newest.saturating_sub(age);
            if current.saturating_sub(number) < BUCKETS as u64 && number + age == self.newest {
                let bucket = self.buckets[index_of(number)];
                packets += bucket.packets;
                bytes += bucket.bytes;
            }
        }
        // The newest bucket is not over yet, and in the first second neither is the window.
        let window_us = (WINDOW_US - BUCKET_US + now.0 % BUCKET_US)
            .min(now.since(first).0)
            .max(BUCKET_US);
        (
            packets * 1_000_000 / window_us,
            bytes * 1_000_000 / window_us,
        )
    }

    #[inline]
    fn advance(&mut self, now: Micros) {
        let number = now.0 / BUCKET_US;
        if number <= self.newest {
            return;
        }
        let passed = (number - self.newest).min(BUCKETS as u64);
        for step in 0..passed {
            self.buckets[index_of(number - step)] = Bucket::default();
        }
        self.newest = number;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of 10")]
const fn index_of(number: u64) -> usize {
    (number % BUCKETS as u64) as usize
}

const WINDOW_US: u64 = 1_000_000;
const BUCKETS: usize = 10;
const BUCKET_US: u64 = WINDOW_US / BUCKETS as u64;

/// Capacity of the link, from how close together two packets arrive that were sent back to back.
//= draft-sharabayko-srt 5.2.1.3: every 16th packet and its successor form a probe pair
#[derive(Clone, Debug, Default)]
pub struct LinkCapacity {
    pair: Option<(u32, Micros)>,
    intervals_us: [u32; PROBES],
    next: usize,
    filled: usize,
}

impl LinkCapacity {
    /// The packet with `sequence`, of its first transmission, arrived at `now`.
    #[inline]
    pub fn arrival(&mut self, now: Micros, sequence: u32) {
        match sequence % PROBE_EVERY {
            0 => self.pair = Some((sequence, now)),
            1 => {
                if let Some((first, at)) = self.pair.take()
                    && first + 1 == sequence
                    && now > at
                {
                    // Two packets that the driver read in one batch have no interval, and say nothing.
                    self.intervals_us[self.next] =
                        u32::try_from(now.since(at).0).unwrap_or(u32::MAX);
                    self.next = (self.next + 1) % PROBES;
                    self.filled = (self.filled + 1).min(PROBES);
                }
            }
            _ => {}
        }
    }

    /// Packets per second that the link carries, zero before the first probe: the average of the intervals that are
    /// near to the median.
    #[must_use]
    pub fn packets_per_second(&self) -> u32 {
        let mut sorted = self.intervals_us;
        let Some(sorted) = sorted
            .get_mut(..self.filled)
            .filter(|sorted| !sorted.is_empty())
        else {
            return 0;
        };
        sorted.sort_unstable();
        let median = u64::from(sorted[sorted.len() / 2]);
        let (mut sum, mut count) = (0_u64, 0_u64);
        for interval in sorted.iter().map(|us| u64::from(*us)) {
            if interval * 8 >= median && interval <= median * 8 {
                sum += interval;
                count += 1;
            }
        }
        u32::try_from(count * 1_000_000 / sum.max(1)).unwrap_or(u32::MAX)
    }
}

const PROBE_EVERY: u32 = 16;
const PROBES: usize = 16;

#[cfg(test)]
mod tests {
    use super::{LinkCapacity, Micros, RateMeter};

    #[test]
    fn the_rate_is_that_of_the_last_second_and_ages() {
        let mut meter = RateMeter::default();
        for packet in 0..5_000_u64 {
            meter.add(Micros(7_000_000 + packet * 1_000), 1_316);
        }
        let end = Micros(12_000_000);
        let (packets, bytes) = meter.rates(end);
        assert!((990..=1_010).contains(&packets), "{packets}");
        assert!((1_300_000..=1_330_000).contains(&bytes), "{bytes}");
        assert!(meter.rates(end + Micros::from_millis(500)).0 < 600);
        assert_eq!(meter.rates(end + Micros::from_secs(2)), (0, 0));
    }

    #[test]
    fn capacity_is_read_from_probe_pairs() {
        let mut capacity = LinkCapacity::default();
        assert_eq!(capacity.packets_per_second(), 0);
        for pair in 0..40_u32 {
            let at = Micros(u64::from(pair) * 50_000);
            capacity.arrival(at, pair * 16);
            // Every fifth pair is torn apart by something else on the link.
            let interval = if pair % 5 == 0 { 9_000 } else { 100 };
            capacity.arrival(at + Micros(interval), pair * 16 + 1);
        }
        assert_eq!(capacity.packets_per_second(), 10_000);
    }
}
