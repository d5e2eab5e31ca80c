//! Round-trip time (draft 4.10).

use crate::time::Micros;

/// Round-trip time and its variance, from ACK and ACKACK or as the far end reports it.
#[derive(Clone, Debug)]
pub struct RoundTrip {
    smoothed_us: u32,
    variance_us: u32,
    source: Source,
    first_us: Option<u32>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    /// Nothing is known yet.
    Initial,
    /// From the far end's acknowledgements.
    Reported,
    /// From our own acknowledgements and their answers, which no report replaces any more.
    Measured,
}

impl Default for RoundTrip {
    fn default() -> Self {
        Self {
            smoothed_us: INITIAL_RTT_US,
            variance_us: INITIAL_RTT_VAR_US,
            source: Source::Initial,
            first_us: None,
        }
    }
}

impl RoundTrip {
    /// What is known before the first acknowledgement: the time that an exchange of the handshake took, if it was
    /// measured. Any measurement replaces it.
    #[must_use]
    pub fn assumed(handshake: Option<Micros>) -> Self {
        let mut rtt = Self::default();
        if let Some(handshake) = handshake {
            let us = u32::try_from(handshake.0)
                .unwrap_or(u32::MAX)
                .min(RTT_MAX_US);
            rtt.start(us, us / 2, Source::Initial);
        }
        rtt
    }

    /// An acknowledgement was answered `elapsed` after it was sent.
    pub fn measured(&mut self, elapsed: Micros) {
        let sample_us = u32::try_from(elapsed.0).unwrap_or(u32::MAX).min(RTT_MAX_US);
        self.first_us.get_or_insert(sample_us);
        if self.source == Source::Measured {
            self.smooth(sample_us);
        } else {
            self.start(sample_us, sample_us / 2, Source::Measured);
        }
    }

    /// The far end, which receives from us, says that it measures `rtt_us` and `variance_us`.
    pub fn reported(&mut self, rtt_us: u32, variance_us: u32) {
        // A receiver that has measured nothing yet reports what it started with, and that is no measurement.
        let unmeasured = rtt_us == INITIAL_RTT_US && variance_us == INITIAL_RTT_VAR_US;
        let rtt_us = rtt_us.min(RTT_MAX_US);
        match self.source {
            Source::Measured => {}
            _ if unmeasured || rtt_us == 0 => {}
            Source::Initial => self.start(rtt_us, variance_us.min(RTT_MAX_US), Source::Reported),
            Source::Reported => self.smooth(rtt_us),
        }
    }

    /// Smoothed round-trip time.
    #[inline]
    #[must_use]
    pub fn rtt(&self) -> Micros {
        Micros(u64::from(self.smoothed_us))
    }

    /// Variance of the round-trip time.
    #[inline]
    #[must_use]
    pub fn variance(&self) -> Micros {
        Micros(u64::from(self.variance_us))
    }

    /// Round-trip time and variance as an acknowledgement carries them, in microseconds.
    #[must_use]
    pub const fn to_wire(&self) -> (u32, u32) {
        (self.smoothed_us, self.variance_us)
    }

    /// Whether anything was measured or reported.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.source != Source::Initial
    }

    /// Whether an answer to one of our own acknowledgements has been measured.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.source == Source::Measured
    }

    /// The first measurement: RTT_0 of the draft, which the delivery clock's offset contains.
    #[must_use]
    pub fn first(&self) -> Option<Micros> {
        self.first_us.map(|us| Micros(u64::from(us)))
    }

    /// How long after a retransmission another request for the same packet cannot be an answer to its loss.
    //= draft-sharabayko-srt 4.8.2: the request and the retransmission are under way for one round trip together
    #[must_use]
    pub fn reply_time(&self, variances: u32) -> Micros {
        Micros(u64::from(self.smoothed_us) + u64::from(variances) * u64::from(self.variance_us))
    }

    fn start(&mut self, rtt_us: u32, variance_us: u32, source: Source) {
        self.smoothed_us = rtt_us;
        self.variance_us = variance_us;
        self.source = source;
    }

    //= draft-sharabayko-srt 4.10: RTT = 7/8 * RTT + 1/8 * rtt; RTTVar = 3/4 * RTTVar + 1/4 * abs(RTT - rtt)
    fn smooth(&mut self, sample_us: u32) {
        let difference = self.smoothed_us.abs_diff(sample_us);
        self.variance_us = (3 * self.variance_us + difference) / 4;
        self.smoothed_us = (7 * self.smoothed_us + sample_us) / 8;
    }
}

//= draft-sharabayko-srt 4.10: the initial value of RTT is 100 ms, RTTVar 50 ms
const INITIAL_RTT_US: u32 = 100_000;
const INITIAL_RTT_VAR_US: u32 = 50_000;

/// What is longer cannot be told from an answer to something else, and must not stop retransmission for good.
const RTT_MAX_US: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::{Micros, RoundTrip};

    #[test]
    fn starts_with_the_first_measurement_and_smooths_after_it() {
        let mut rtt = RoundTrip::default();
        assert_eq!(rtt.to_wire(), (100_000, 50_000));
        rtt.measured(Micros(40_000));
        assert_eq!(rtt.to_wire(), (40_000, 20_000));
        rtt.measured(Micros(48_000));
        assert_eq!(rtt.to_wire(), (41_000, 17_000));
        assert_eq!(rtt.first(), Some(Micros(40_000)));
    }

    #[test]
    fn a_report_of_the_initial_values_is_none() {
        let mut rtt = RoundTrip::default();
        rtt.reported(100_000, 50_000);
        assert!(!rtt.is_known());
        rtt.reported(20_000, 5_000);
        assert_eq!(rtt.to_wire(), (20_000, 5_000));
        rtt.measured(Micros(30_000));
        rtt.reported(u32::MAX, u32::MAX);
        assert_eq!(rtt.to_wire(), (30_000, 15_000), "our own measurement stays");
    }

    #[test]
    fn no_value_from_the_wire_overflows() {
        let mut rtt = RoundTrip::default();
        for _ in 0..100 {
            rtt.reported(u32::MAX, u32::MAX);
            rtt.measured(Micros::MAX);
        }
        assert_eq!(rtt.rtt(), Micros::from_secs(10));
    }
}
