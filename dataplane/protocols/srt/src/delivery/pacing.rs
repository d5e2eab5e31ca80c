//! How fast packets leave (draft 5.1): live congestion control, and the limit on retransmissions.

use crate::time::Micros;

use super::rates::RateMeter;

/// What bounds the rate of sending (draft 5.1.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BandwidthLimit {
    /// As fast as the application writes.
    #[default]
    Unlimited,
    /// MAXBW_SET: so many bytes per second, headers included.
    Max(u64),
    /// INPUTBW_SET, or INPUTBW_ESTIMATED when `input` is `None`: bytes per second of the stream, plus a share for
    /// retransmissions in percent.
    Input {
        /// Rate of the stream in bytes per second; `None` when it is to be measured.
        input: Option<u64>,
        /// What may be sent beyond it, in percent.
        overhead_percent: u32,
    },
}

/// Live congestion control: lets packets go in batches of about a millisecond, so that the driver wakes up a thousand
/// times a second at most and not for every packet.
#[derive(Clone, Debug)]
pub struct Pacer {
    limit: BandwidthLimit,
    bucket: TokenBucket,
    input: RateMeter,
    next_estimate: Micros,
}

impl Pacer {
    /// A pacer that starts at `now` with a full batch.
    #[must_use]
    pub fn new(limit: BandwidthLimit, now: Micros) -> Self {
        let rate = match limit {
            BandwidthLimit::Unlimited | BandwidthLimit::Input { input: None, .. } => None,
            BandwidthLimit::Max(rate) => Some(rate),
            BandwidthLimit::Input {
                input: Some(input),
                overhead_percent,
            } => Some(with_overhead(input, overhead_percent)),
        };
        Self {
            limit,
            bucket: TokenBucket::new(rate, BATCH, now),
            input: RateMeter::default(),
            next_estimate: now + ESTIMATE_AFTER,
        }
    }

    /// The application wrote a packet of `bytes`, header included.
    //= draft-sharabayko-srt 5.1.1: INPUTBW_ESTIMATED mode
    #[inline]
    pub fn written(&mut self, now: Micros, bytes: usize) {
        let BandwidthLimit::Input {
            input: None,
            overhead_percent,
        } = self.limit
        else {
            return;
        };
        self.input.add(now, bytes);
        if now >= self.next_estimate {
            self.next_estimate = now + ESTIMATE_EVERY;
            let rate = with_overhead(self.input.rates(now).1, overhead_percent);
            self.bucket.set_rate(now, Some(rate.max(ESTIMATE_MIN)));
        }
    }

    /// The bucket that every packet is taken from.
    pub(crate) const fn bucket(&mut self) -> &mut TokenBucket {
        &mut self.bucket
    }

    /// Whether a packet may leave at `now`.
    #[inline]
    pub fn may_send(&mut self, now: Micros) -> bool {
        self.bucket.may_take(now)
    }

    /// A packet of `bytes`, header included, left.
    #[inline]
    pub fn sent(&mut self, bytes: usize) {
        self.bucket.take(bytes);
    }

    /// When the next batch may leave, given that none may at the moment.
    #[must_use]
    pub fn ready_at(&self) -> Micros {
        self.bucket.ready_at()
    }
}

/// A token bucket of bytes. It lends one packet, so that a packet larger than the bucket leaves too, and pays back before
/// the next.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// Bytes per second; `None` is unlimited.
    rate: Option<u64>,
    /// Time that the bucket can hold.
    depth: Micros,
    /// Bytes times a million, so that slow rates lose nothing to rounding.
    tokens: i64,
    filled_at: Micros,
    /// Set once the bucket is empty, until it holds a batch again.
    waiting: bool,
}

impl TokenBucket {
    /// A full bucket of `rate` bytes per second that holds what `depth` brings; `None` is unlimited, zero lets nothing
    /// through.
    #[must_use]
    pub fn new(rate: Option<u64>, depth: Micros, now: Micros) -> Self {
        let mut bucket = Self {
            rate,
            depth,
            tokens: 0,
            filled_at: now,
            waiting: false,
        };
        bucket.tokens = bucket.capacity();
        bucket
    }

    /// Another rate from `now` on.
    pub fn set_rate(&mut self, now: Micros, rate: Option<u64>) {
        self.fill(now);
        self.rate = rate;
        self.tokens = self.tokens.min(self.capacity());
    }

    /// Whether something may leave at `now`.
    #[inline]
    pub fn may_take(&mut self, now: Micros) -> bool {
        match self.rate {
            None => return true,
            Some(0) => return false,
            Some(_) => self.fill(now),
        }
        if self.waiting {
            self.waiting = self.tokens < self.capacity() / 2;
        } else {
            self.waiting = self.tokens <= 0;
        }
        !self.waiting
    }

    /// `bytes` left.
    #[inline]
    pub fn take(&mut self, bytes: usize) {
        if self.rate.is_some() {
            let bytes = i64::try_from(bytes)
                .unwrap_or(i64::MAX / SCALE)
                .min(i64::MAX / SCALE);
            self.tokens = self.tokens.saturating_sub(bytes * SCALE);
        }
    }

    /// When half the bucket is full again: never for a rate of zero.
    #[must_use]
    pub fn ready_at(&self) -> Micros {
        let Some(rate) = self.rate else {
            return Micros::ZERO;
        };
        if rate == 0 {
            return Micros::MAX;
        }
        let missing = (self.capacity() / 2 - self.tokens).max(0).unsigned_abs();
        self.filled_at + Micros(missing.div_ceil(rate))
    }

    fn capacity(&self) -> i64 {
        let rate = i64::try_from(self.rate.unwrap_or(0)).unwrap_or(i64::MAX);
        let depth = i64::try_from(self.depth.0).unwrap_or(i64::MAX);
        rate.saturating_mul(depth).clamp(SCALE, i64::MAX / 4)
    }

    #[inline]
    fn fill(&mut self, now: Micros) {
        let elapsed = i64::try_from(now.since(self.filled_at).0).unwrap_or(i64::MAX);
        let rate = i64::try_from(self.rate.unwrap_or(0)).unwrap_or(i64::MAX);
        self.tokens = self
            .tokens
            .saturating_add(rate.saturating_mul(elapsed))
            .min(self.capacity());
        self.filled_at = self.filled_at.max(now);
    }
}

fn with_overhead(rate: u64, overhead_percent: u32) -> u64 {
    rate.saturating_add(rate / 100 * u64::from(overhead_percent))
}

/// Tokens of one byte.
const SCALE: i64 = 1_000_000;

/// Two milliseconds: the driver is asked to come back when half of it is there.
const BATCH: Micros = Micros::from_millis(2);

/// The first estimate of the input rate needs half a second of input; it is then renewed twice a second.
const ESTIMATE_AFTER: Micros = Micros::from_millis(500);
const ESTIMATE_EVERY: Micros = Micros::from_millis(500);

/// A stream that was silent must be able to start again: 100 kB/s, or 80 packets per second.
const ESTIMATE_MIN: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::{BandwidthLimit, Micros, Pacer, TokenBucket};

    const PACKET: usize = 1_332;

    /// Bytes sent in ten seconds by a sender that always has something to send, and how often it had to wake up.
    fn greedy(mut pacer: Pacer) -> (u64, u64) {
        let (mut sent, mut wake_ups, mut now) = (0, 0, Micros::ZERO);
        while now < Micros::from_secs(10) {
            wake_ups += 1;
            while pacer.may_send(now) {
                pacer.sent(PACKET);
                sent += PACKET as u64;
            }
            now = pacer.ready_at();
        }
        (sent, wake_ups)
    }

    #[test]
    fn the_limit_is_kept_with_a_thousand_wake_ups_a_second() {
        for rate in [100_000, 2_500_000, 125_000_000] {
            let (sent, wake_ups) = greedy(Pacer::new(BandwidthLimit::Max(rate), Micros::ZERO));
            let expected = rate * 10;
            assert!(
                sent.abs_diff(expected) < expected / 100 + 2 * PACKET as u64,
                "{sent} at {rate}"
            );
            assert!(wake_ups <= 10_100, "{wake_ups} wake-ups");
        }
    }

    #[test]
    fn the_input_rate_gets_its_overhead() {
        let limit = BandwidthLimit::Input {
            input: Some(1_000_000),
            overhead_percent: 25,
        };
        let (sent, _) = greedy(Pacer::new(limit, Micros::ZERO));
        assert!(sent.abs_diff(12_500_000) < 125_000, "{sent}");
    }

    #[test]
    fn an_estimate_follows_the_input() {
        let limit = BandwidthLimit::Input {
            input: None,
            overhead_percent: 25,
        };
        let mut pacer = Pacer::new(limit, Micros::ZERO);
        assert!(pacer.may_send(Micros::ZERO), "nothing is known yet");
        for packet in 0..3_000_u64 {
            pacer.written(Micros(packet * 1_000), PACKET);
        }
        let rate = pacer.bucket.rate.unwrap();
        assert!((1_600_000..1_730_000).contains(&rate), "{rate}");
    }

    #[test]
    fn a_rate_of_zero_lets_nothing_through_and_none_lets_everything() {
        let mut none = TokenBucket::new(Some(0), Micros::from_millis(100), Micros::ZERO);
        assert!(!none.may_take(Micros::from_secs(100)));
        assert_eq!(none.ready_at(), Micros::MAX);
        let mut unlimited = TokenBucket::new(None, Micros::from_millis(100), Micros::ZERO);
        unlimited.take(usize::MAX);
        assert!(unlimited.may_take(Micros::ZERO));
    }
}
