//! The delivery clock: from a packet's timestamp to the time of its delivery (draft 4.5, 4.7).

use crate::time::Micros;
use crate::wire::Timestamp;

/// Timestamp-based packet delivery.
///
/// The wire carries 32 bits of the sender's time. The clock always knows the sender's time to within a few minutes, for
/// it is the local time minus an offset, so each timestamp is the one value, of all that share its low 32 bits, that is
/// nearest to that. Nothing has to be remembered of the packets before, and so neither jitter, nor loss, nor hours of
/// silence can make the clock take a wrong turn when the timestamp wraps every 71.6 minutes.
#[derive(Clone, Debug)]
pub struct TsbpdClock {
    /// Local time at which the sender's time was zero, delay of the handshake packet included: TsbpdTimeBase.
    base_us: i64,
    /// Drift of the sender's clock since then, in nanoseconds, so that small corrections are not lost.
    drift_ns: i64,
    delay: Micros,
    last_sample: Option<Micros>,
    samples: u64,
}

impl TsbpdClock {
    /// A clock that delivers `delay` after the sender's time, which was `peer_timestamp` when its handshake packet came
    /// at `arrival`.
    //= draft-sharabayko-srt 4.5.1.1: TsbpdTimeBase = T_NOW - HSREQ_TIMESTAMP
    #[must_use]
    pub fn new(arrival: Micros, peer_timestamp: Timestamp, delay: Micros) -> Self {
        Self {
            base_us: signed(arrival) - i64::from(peer_timestamp.0),
            drift_ns: 0,
            delay,
            last_sample: None,
            samples: 0,
        }
    }

    /// The sender's time of a packet with `timestamp` that is there at `now`.
    #[inline]
    #[must_use]
    pub fn source_time(&self, now: Micros, timestamp: Timestamp) -> SourceTime {
        let expected_us = signed(now) - self.base_us - self.drift_ns / 1_000;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the wire carries the low 32 bits"
        )]
        let expected = Timestamp(expected_us as u32);
        SourceTime(expected_us.saturating_add(i64::from(timestamp.offset_from(expected))))
    }

    /// When a packet of `source` has to be delivered. Drift that becomes known later moves it.
    //= draft-sharabayko-srt 4.5.1: PktTsbpdTime = TsbpdTimeBase + PKT_TIMESTAMP + TsbpdDelay + Drift
    #[inline]
    #[must_use]
    pub fn delivery_time(&self, source: SourceTime) -> Micros {
        self.local_time(source) + self.delay
    }

    /// The local time of `source`, as if nothing delayed it after the handshake.
    #[inline]
    #[must_use]
    pub fn local_time(&self, source: SourceTime) -> Micros {
        let local_us = self.base_us + self.drift_ns / 1_000 + source.0;
        Micros(u64::try_from(local_us).unwrap_or(0))
    }

    /// A packet that was sent the moment it was stamped came at `now`; `excess` is how much longer than at the start the
    /// way took, as far as the round-trip time tells.
    ///
    /// The draft averages over a fixed number of packets. This is the same average with a sliding start: each sample
    /// moves the clock by a small part of the difference, less the more samples there are in ten seconds. The clock
    /// never steps, follows 100 ppm within a few milliseconds at one packet per second, and averages over about a
    /// thousand packets at full rate.
    //= draft-sharabayko-srt 4.7
    pub fn sample(&mut self, now: Micros, timestamp: Timestamp, excess_us: i64) {
        let source = self.source_time(now, timestamp);
        let late_us = signed(now) - signed(self.local_time(source)) - excess_us;
        let late_us = late_us.clamp(-SAMPLE_MAX_US, SAMPLE_MAX_US);
        let elapsed = self
            .last_sample
            .map_or(AVERAGING, |last| now.since(last).min(AVERAGING));
        let divisor = (AVERAGING.0 / elapsed.0.max(1)).clamp(DIVISOR_MIN, DIVISOR_MAX);
        self.drift_ns += late_us * 1_000 / i64::try_from(divisor).unwrap_or(i64::MAX);
        self.last_sample = Some(now);
        self.samples += 1;
    }

    /// Drift of the sender's clock that was found since the start, in microseconds; positive when it runs slow.
    #[must_use]
    pub const fn drift_us(&self) -> i64 {
        self.drift_ns / 1_000
    }

    /// The delay between the sender's time and delivery.
    #[must_use]
    pub const fn delay(&self) -> Micros {
        self.delay
    }
}

/// Time of the sender in microseconds since its start, its 32 bits on the wire extended. Negative only for packets that
/// claim to be older than their sender.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct SourceTime(pub i64);

impl From<SourceTime> for Micros {
    fn from(source: SourceTime) -> Self {
        Self(u64::try_from(source.0).unwrap_or(0))
    }
}

fn signed(time: Micros) -> i64 {
    i64::try_from(time.0)
        .unwrap_or(i64::MAX / 4)
        .min(i64::MAX / 4)
}

/// Time over which drift is averaged where packets are frequent.
const AVERAGING: Micros = Micros::from_secs(10);

/// A sample moves the clock by at least 1/1,024 of its difference, and by at most 1/64: jitter of 50 ms then moves it by
/// less than 1 ms.
const DIVISOR_MAX: u64 = 1_024;
const DIVISOR_MIN: u64 = 64;

/// A packet that is further away than this says that its sender was stopped or its clock was set; the clock follows it
/// step by step like anything else, 15 ms at most for each sample.
const SAMPLE_MAX_US: i64 = 1_000_000;

#[cfg(test)]
mod tests;
