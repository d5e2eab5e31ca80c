//! How regularly packets arrive: IAT, RFC 3550 jitter and MDI, from the kernel's receive timestamps.
//!
//! A figure always describes a whole second; [`ArrivalMeter::second`] ends one and begins the next.

use bilbycast_rtp::MPEGTS_CLOCK_HZ;

/// Measures one leg. Nothing allocates.
#[derive(Clone, Debug, Default)]
pub struct ArrivalMeter {
    newest_ns: Option<u64>,
    iat: Iat,
    jitter: Jitter,
    delay_factor: DelayFactor,
    packets_lost_before: u64,
}

/// What was measured in a second. All but the jitter are absent when nothing arrived.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ArrivalFigures {
    /// Inter-arrival time, in nanoseconds.
    pub iat: Option<IatFigures>,
    /// Inter-arrival jitter of RFC 3550 in nanoseconds; absent when the stream has no RTP timestamps.
    pub jitter_ns: Option<u64>,
    /// Delay factor of RFC 4445 in microseconds; absent in the first second, when the media rate is not known yet.
    pub delay_factor_us: Option<u64>,
    /// Media loss rate of RFC 4445: packets lost in that second.
    pub media_loss_rate: u64,
}

/// Inter-arrival times of a second, in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IatFigures {
    /// Shortest.
    pub min_ns: u64,
    /// Longest.
    pub max_ns: u64,
    /// Mean.
    pub avg_ns: u64,
}

impl ArrivalMeter {
    /// Takes note of a packet of `bytes` that the kernel received at `arrival_ns`, with its RTP timestamp when it has one
    /// that runs at 90 kHz.
    #[inline]
    pub fn on_packet(&mut self, arrival_ns: u64, bytes: u32, rtp_timestamp: Option<u32>) {
        // CLOCK_REALTIME may be set back; a negative time is no time.
        if let Some(newest_ns) = self.newest_ns {
            self.iat.add(arrival_ns.saturating_sub(newest_ns));
        }
        self.newest_ns = Some(arrival_ns);
        self.delay_factor.add(arrival_ns, bytes);
        if let Some(timestamp) = rtp_timestamp {
            self.jitter.add(arrival_ns, timestamp);
        }
    }

    /// The source has started anew: its timestamps have nothing to do with those before.
    pub fn on_restart(&mut self) {
        self.jitter = Jitter::default();
    }

    /// Ends a second in which `packets_lost` in all had been lost since the flow's start.
    pub fn second(&mut self, packets_lost: u64) -> ArrivalFigures {
        let media_loss_rate = packets_lost.saturating_sub(self.packets_lost_before);
        self.packets_lost_before = packets_lost;
        ArrivalFigures {
            iat: std::mem::take(&mut self.iat).figures(),
            jitter_ns: self.jitter.ns(),
            delay_factor_us: self.delay_factor.second(),
            media_loss_rate,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Iat {
    count: u64,
    min_ns: u64,
    max_ns: u64,
    sum_ns: u64,
}

impl Iat {
    #[inline]
    fn add(&mut self, iat_ns: u64) {
        self.min_ns = if self.count == 0 {
            iat_ns
        } else {
            self.min_ns.min(iat_ns)
        };
        self.max_ns = self.max_ns.max(iat_ns);
        self.sum_ns = self.sum_ns.saturating_add(iat_ns);
        self.count += 1;
    }

    fn figures(self) -> Option<IatFigures> {
        let avg_ns = self.sum_ns.checked_div(self.count)?;
        Some(IatFigures {
            min_ns: self.min_ns,
            max_ns: self.max_ns,
            avg_ns,
        })
    }
}

/// Inter-arrival jitter in sixteenths of a nanosecond, by the integer form of RFC 3550 A.8.
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    sixteenths_ns: i64,
    newest: Option<(u64, u32)>,
}

impl Jitter {
    #[inline]
    fn add(&mut self, arrival_ns: u64, timestamp: u32) {
        //= RFC 3550 6.4.1: D(i,j) = (Rj - Ri) - (Sj - Si)
        let Some((newest_ns, newest_timestamp)) = self.newest.replace((arrival_ns, timestamp))
        else {
            return;
        };
        let ticks = i64::from(timestamp.wrapping_sub(newest_timestamp).cast_signed());
        let sent_ns = ticks * TICK_NS_NUMERATOR / TICK_NS_DENOMINATOR;
        let received_ns = arrival_ns.wrapping_sub(newest_ns).cast_signed();
        let difference_ns = received_ns
            .saturating_sub(sent_ns)
            .unsigned_abs()
            .min(DIFFERENCE_NS_MAX);
        //= RFC 3550 A.8: "s->jitter += d - ((s->jitter + 8) >> 4);"
        self.sixteenths_ns += difference_ns.cast_signed() - ((self.sixteenths_ns + 8) >> 4);
    }

    fn ns(&self) -> Option<u64> {
        self.newest?;
        u64::try_from(self.sixteenths_ns >> 4).ok()
    }
}

/// A tick of 90 kHz is 100,000 / 9 nanoseconds.
const TICK_NS_NUMERATOR: i64 = 100_000;
const TICK_NS_DENOMINATOR: i64 = (MPEGTS_CLOCK_HZ / 10_000).cast_signed();

/// One difference counts for an hour at most, so that the sum cannot overflow: a longer one is a broken clock.
const DIFFERENCE_NS_MAX: u64 = 3_600_000_000_000;

/// The virtual buffer of RFC 4445, drained at the media rate of the second before.
#[derive(Clone, Copy, Debug, Default)]
struct DelayFactor {
    /// Bits per second.
    media_rate_bps: u64,
    /// The same in bits per nanosecond, with 32 binary places: a packet costs a multiplication and no division.
    drain: u64,
    start_ns: Option<u64>,
    end_ns: u64,
    /// Bits that arrived in this second.
    bits: i64,
    min_bits: i64,
    max_bits: i64,
}

impl DelayFactor {
    #[inline]
    fn add(&mut self, arrival_ns: u64, bytes: u32) {
        let start_ns = *self.start_ns.get_or_insert(arrival_ns);
        self.end_ns = arrival_ns;
        let elapsed_ns = arrival_ns.saturating_sub(start_ns);
        let drained = (u128::from(self.drain) * u128::from(elapsed_ns)) >> 32;
        let drained = i64::try_from(drained).unwrap_or(i64::MAX);
        //= RFC 4445 3.1: VB(i,pre) = sum (Sj) - MR * Ti, VB(i,post) = VB(i,pre) + Si
        let before = self.bits.saturating_sub(drained);
        self.bits += 8 * i64::from(bytes);
        let after = self.bits.saturating_sub(drained);
        self.min_bits = self.min_bits.min(before);
        self.max_bits = self.max_bits.max(after);
    }

    fn second(&mut self) -> Option<u64> {
        let this = std::mem::take(self);
        let elapsed_ns = this.end_ns.saturating_sub(this.start_ns?);
        let rate =
            u128::from(this.bits.unsigned_abs()) * 1_000_000_000 / u128::from(elapsed_ns.max(1));
        // Less than a tenth of a second says nothing about a rate.
        self.media_rate_bps = if elapsed_ns >= 100_000_000 {
            u64::try_from(rate).unwrap_or(u64::MAX)
        } else {
            this.media_rate_bps
        };
        let drain = (u128::from(self.media_rate_bps) << 32) / 1_000_000_000;
        self.drain = u64::try_from(drain).unwrap_or(u64::MAX);
        //= RFC 4445 3.1: DF = [VB(max) - VB(min)] / MR
        let spread = u128::from((this.max_bits - this.min_bits).unsigned_abs()) * 1_000_000;
        let factor = spread.checked_div(u128::from(this.media_rate_bps))?;
        u64::try_from(factor).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A second of packets that arrive every millisecond, each off by what `late_ns` says.
    fn second(meter: &mut ArrivalMeter, from: u64, late_ns: impl Fn(u64) -> u64) -> ArrivalFigures {
        for index in from..from + 1_000 {
            let arrival_ns = 1_000_000 * MS + index * MS + late_ns(index);
            meter.on_packet(arrival_ns, 1_316, Some((index * 90) as u32));
        }
        meter.second(0)
    }

    #[test]
    fn a_regular_stream_has_no_jitter_and_a_delay_factor_of_one_packet() {
        let mut meter = ArrivalMeter::default();
        assert_eq!(second(&mut meter, 0, |_| 0).delay_factor_us, None);
        let figures = second(&mut meter, 1_000, |_| 0);
        let iat = IatFigures {
            min_ns: MS,
            max_ns: MS,
            avg_ns: MS,
        };
        assert_eq!(figures.iat, Some(iat));
        assert_eq!(figures.jitter_ns, Some(0));
        let factor_us = figures.delay_factor_us.unwrap();
        assert!((990..=2_010).contains(&factor_us), "{factor_us}");
    }

    #[test]
    fn alternating_lateness_is_its_own_jitter() {
        let mut meter = ArrivalMeter::default();
        // Every other packet is 200 us late: neighbours differ by 200 us, always.
        let figures = second(&mut meter, 0, |index| index % 2 * 200_000);
        let jitter_ns = figures.jitter_ns.unwrap();
        assert!((199_000..=200_000).contains(&jitter_ns), "{jitter_ns}");
        let iat = figures.iat.unwrap();
        assert_eq!((iat.min_ns, iat.max_ns), (800_000, 1_200_000));
    }

    #[test]
    fn a_burst_shows_in_the_delay_factor() {
        let mut meter = ArrivalMeter::default();
        second(&mut meter, 0, |_| 0);
        // Packets of 100 ms come together at its end.
        let figures = second(&mut meter, 1_000, |index| (99 - index % 100) * MS);
        let factor_us = figures.delay_factor_us.unwrap();
        assert!((98_000..=202_000).contains(&factor_us), "{factor_us}");
    }

    #[test]
    fn timestamps_wrap_and_clocks_may_go_back() {
        let mut meter = ArrivalMeter::default();
        meter.on_packet(100 * MS, 1_316, Some(u32::MAX - 44));
        meter.on_packet(101 * MS, 1_316, Some(45));
        assert_eq!(meter.second(0).jitter_ns, Some(0));
        meter.on_packet(0, u32::MAX, Some(0));
        meter.on_packet(u64::MAX, u32::MAX, Some(1 << 31));
        meter.on_packet(0, u32::MAX, None);
        let _no_panic = meter.second(0);
        meter.on_restart();
        assert_eq!(meter.second(7).jitter_ns, None);
        assert_eq!(meter.second(9).media_loss_rate, 2);
    }

    #[test]
    fn silence_has_no_figures() {
        assert_eq!(ArrivalMeter::default().second(0), ArrivalFigures::default());
    }
}
