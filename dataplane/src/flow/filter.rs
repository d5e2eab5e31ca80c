//! What a leg lets in (configuration.md 7.4): sources, payload types, a rate.

use std::net::IpAddr;

use bilbycast_rtp::RtpView;
use bilbycast_shm_proto::model::{IngressFilterSpec, IpPrefix};

/// The filters of one leg.
#[derive(Clone, Debug)]
pub struct IngressFilter {
    sources: Option<Sources>,
    payload_types: Option<u128>,
    policer: Option<Policer>,
    filtered: u64,
}

impl IngressFilter {
    /// The filters that `spec` asks for, which have dropped nothing yet.
    #[must_use]
    pub fn new(spec: &IngressFilterSpec) -> Self {
        Self {
            sources: spec.sources.as_deref().map(Sources::new),
            payload_types: spec.payload_types.as_ref().map(|types| {
                let bits = types.iter().map(|kind| 1 << (kind & 0x7f));
                bits.fold(0, |all, bit: u128| all | bit)
            }),
            policer: spec.max_bps.map(Policer::new),
            filtered: 0,
        }
    }

    /// Whether it looks at the addresses that packets come from.
    #[must_use]
    pub const fn needs_sources(&self) -> bool {
        self.sources.is_some()
    }

    /// Packets that it has dropped.
    #[must_use]
    pub const fn filtered(&self) -> u64 {
        self.filtered
    }

    /// Whether a media packet may go on; counted when not. `source` is asked for only when sources are filtered.
    #[inline]
    pub fn passes(
        &mut self,
        view: &RtpView<'_>,
        arrival_ns: u64,
        source: impl FnOnce() -> Option<IpAddr>,
    ) -> bool {
        let is_source = self
            .sources
            .as_ref()
            .is_none_or(|sources| sources.have(source()));
        let is_type = self
            .payload_types
            .is_none_or(|types| types & (1 << view.payload_type()) != 0);
        let passes = is_source
            && is_type
            && self
                .policer
                .as_mut()
                .is_none_or(|policer| policer.passes(view.packet().len() as u64, arrival_ns));
        self.filtered += u64::from(!passes);
        passes
    }

    /// Whether a FEC packet may go on; it has a payload type and a rate of its own. Counted when not.
    #[inline]
    pub fn passes_fec(&mut self, source: impl FnOnce() -> Option<IpAddr>) -> bool {
        let passes = self
            .sources
            .as_ref()
            .is_none_or(|sources| sources.have(source()));
        self.filtered += u64::from(!passes);
        passes
    }
}

/// Ranges of addresses; single ones, which are usual, are found by bisection.
#[derive(Clone, Debug)]
struct Sources {
    hosts: Vec<IpAddr>,
    ranges: Vec<IpPrefix>,
}

impl Sources {
    fn new(prefixes: &[IpPrefix]) -> Self {
        let (hosts, ranges): (Vec<IpPrefix>, Vec<IpPrefix>) = prefixes
            .iter()
            .partition(|prefix| **prefix == IpPrefix::host(prefix.addr));
        let mut hosts: Vec<IpAddr> = hosts.into_iter().map(|host| host.addr).collect();
        hosts.sort_unstable();
        Self { hosts, ranges }
    }

    #[inline]
    fn have(&self, source: Option<IpAddr>) -> bool {
        // An address that the kernel did not tell is nobody's.
        source.is_some_and(|source| {
            self.hosts.binary_search(&source).is_ok()
                || self.ranges.iter().any(|range| contains(range, source))
        })
    }
}

fn contains(range: &IpPrefix, address: IpAddr) -> bool {
    match (range.addr, address) {
        (IpAddr::V4(start), IpAddr::V4(address)) => {
            let differing = start.to_bits() ^ address.to_bits();
            // A shift by the whole width is none of its own.
            differing
                .checked_shr(32_u32.saturating_sub(range.bits.into()))
                .unwrap_or(0)
                == 0
        }
        (IpAddr::V6(start), IpAddr::V6(address)) => {
            let differing = start.to_bits() ^ address.to_bits();
            differing
                .checked_shr(128_u32.saturating_sub(range.bits.into()))
                .unwrap_or(0)
                == 0
        }
        _ => false,
    }
}

/// A token bucket, kept as the time at which it would be full again (GCRA): a packet passes when that is not further away
/// than the burst.
#[derive(Clone, Debug)]
struct Policer {
    max_bps: u64,
    /// The time that all packets so far are worth, CLOCK_REALTIME.
    paid_until_ns: u64,
    /// What the division left over, in bits x 10^9 mod `max_bps`, so that the rate is exact.
    remainder: u64,
    /// How far the packets so far may be paid ahead of the newest one that passed: the burst and its own worth. Further
    /// ahead is a clock that was set back.
    ahead_ns_max: u64,
}

/// Burst allowance (configuration.md 7.4): what may arrive at once beyond the rate.
const BURST_NS: u64 = 10_000_000;

impl Policer {
    const fn new(max_bps: u64) -> Self {
        Self {
            max_bps: if max_bps == 0 { 1 } else { max_bps },
            paid_until_ns: 0,
            remainder: 0,
            ahead_ns_max: 0,
        }
    }

    #[inline]
    fn passes(&mut self, bytes: u64, arrival_ns: u64) -> bool {
        let ahead_ns = self.paid_until_ns.saturating_sub(arrival_ns);
        if ahead_ns > BURST_NS {
            if ahead_ns <= self.ahead_ns_max {
                return false;
            }
            self.paid_until_ns = arrival_ns;
        }
        // At most 65,535 x 8 x 10^9 and a remainder below 10^10: far below 2^64.
        let worth = bytes * 8 * 1_000_000_000 + self.remainder;
        self.remainder = worth % self.max_bps;
        let worth_ns = worth / self.max_bps;
        self.paid_until_ns = self.paid_until_ns.max(arrival_ns) + worth_ns;
        self.ahead_ns_max = BURST_NS + worth_ns;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload_type: u8, bytes: usize) -> Vec<u8> {
        let mut packet = vec![0; bytes];
        packet[..2].copy_from_slice(&[0x80, payload_type]);
        packet
    }

    fn filter(spec: &IngressFilterSpec) -> IngressFilter {
        IngressFilter::new(spec)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sources_are_hosts_and_ranges() {
        let prefix = |text: &str, bits| IpPrefix {
            addr: address(text),
            bits,
        };
        let mut filter = filter(&IngressFilterSpec {
            sources: Some(vec![
                IpPrefix::host(address("192.0.2.7")),
                prefix("10.1.0.0", 16),
                prefix("2001:db8::", 32),
            ]),
            ..IngressFilterSpec::default()
        });
        let bytes = packet(33, 100);
        let view = RtpView::parse(&bytes).unwrap();
        for (source, passes) in [
            (Some("192.0.2.7"), true),
            (Some("192.0.2.8"), false),
            (Some("10.1.255.255"), true),
            (Some("10.2.0.0"), false),
            (Some("2001:db8:ffff::1"), true),
            (Some("2001:db9::1"), false),
            (Some("::ffff:192.0.2.7"), false),
            (None, false),
        ] {
            let source = source.map(address);
            assert_eq!(filter.passes(&view, 0, || source), passes, "{source:?}");
            assert_eq!(filter.passes_fec(|| source), passes, "{source:?}");
        }
        assert_eq!(filter.filtered(), 10);
        assert!(filter.needs_sources());

        let everything = [prefix("0.0.0.0", 0), prefix("::", 0)];
        let all = Sources::new(&everything);
        assert!(all.have(Some(address("203.0.113.1"))) && all.have(Some(address("fe80::1"))));
    }

    #[test]
    fn payload_types_are_a_set() {
        let mut filter = filter(&IngressFilterSpec {
            payload_types: Some(vec![0, 33, 127]),
            ..IngressFilterSpec::default()
        });
        for (payload_type, passes) in [(0, true), (33, true), (127, true), (34, false), (96, false)]
        {
            // The marker is not part of the type.
            for marker in [0, 0x80] {
                let bytes = packet(payload_type | marker, 100);
                let view = RtpView::parse(&bytes).unwrap();
                assert_eq!(filter.passes(&view, 0, || unreachable!()), passes);
            }
        }
        assert_eq!(filter.filtered(), 4);
    }

    #[test]
    fn the_policer_lets_the_rate_through_exactly() {
        for (max_bps, interval_ns, packets) in [
            (8_000_000, 500_000, 200_000_u64),
            (999_999_937, 5_000, 500_000),
            (1_000_000, 1_000_000, 100_000),
        ] {
            let mut policer = Policer::new(max_bps);
            let mut passed_bits = 0_u64;
            for index in 0..packets {
                if policer.passes(1_328, 7_000_000_000 + index * interval_ns) {
                    passed_bits += 1_328 * 8;
                }
            }
            // What came: 21 Mb/s, 2.1 Gb/s and 10.6 Mb/s, so the limit decides.
            let ns = packets * interval_ns;
            let allowed = u128::from(max_bps) * u128::from(ns + BURST_NS) / 1_000_000_000;
            let passed_bits = u128::from(passed_bits);
            assert!(passed_bits <= allowed + 1_328 * 8 + 1, "{max_bps}");
            assert!(
                passed_bits + 1_328 * 8 * 2 > allowed - u128::from(max_bps / 100),
                "{max_bps}: {passed_bits} of {allowed}"
            );
        }
    }

    #[test]
    fn a_stream_below_the_rate_is_never_touched() {
        let mut policer = Policer::new(10_000_000);
        for index in 0..100_000_u64 {
            // 9.99 Mb/s in bursts of seven packets, each within the allowance.
            let arrival_ns = index / 7 * 7 * 1_063_464;
            assert!(policer.passes(1_328, arrival_ns), "{index}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_silence_a_leg() {
        const NOW_NS: u64 = 1_900_000_000_000_000_000;
        // By 2 s, by a tenth of a second and by six years; packets of 1 Mb/s come every 11 ms.
        for back_ns in [2_000_000_000, 100_000_000, 200_000_000_000_000_000] {
            let mut policer = Policer::new(1_000_000);
            for (from_ns, packets) in [(NOW_NS, 100), (NOW_NS + 1_100_000_000 - back_ns, 500)] {
                for index in 0..packets {
                    let passes = policer.passes(1_328, from_ns + index * 11_000_000);
                    assert!(passes, "set back by {back_ns} ns, packet {index}");
                }
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_opens_nothing_for_good() {
        let mut policer = Policer::new(1_000_000);
        let mut passed = 0_u64;
        // 10 Mb/s, and half-way the clock goes back by 2 s.
        for (from_ns, packets) in [(5_000_000_000, 1_000_u64), (4_062_400_000, 1_000)] {
            for index in 0..packets {
                passed += u64::from(policer.passes(1_328, from_ns + index * 1_062_400));
            }
        }
        // A tenth, and a burst at either start.
        assert!((195..=210).contains(&passed), "{passed}");
    }
}
