//! Random paths: loss, skew, jitter with reordering, duplicates, repair.

use bilbycast_hitless::{LegIndex, Merger, MergerConfig, MergerStats, Origin};
use proptest::prelude::*;

use crate::driver::{Arrival, Delivery, run};

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const T0: u64 = 1_700_000_000_000 * MS;

/// A stream and the ways it takes.
#[derive(Clone, Debug)]
struct Paths {
    first: u16,
    interval_us: u64,
    path_differential_us: u64,
    /// How much later leg 2 is at the start and at the end; between them it drifts.
    skew_us: [i64; 2],
    jitter_us: u64,
    /// For each packet: a bit for each leg that brings it, a bit for each that brings it twice, and how late it is.
    packets: Vec<(u8, u8, [u64; 2])>,
    /// With FEC on each leg: so many packets after it a packet is repaired at the latest, or 0.
    repair_packets: u32,
}

fn paths(losses: bool) -> impl Strategy<Value = Paths> {
    let shape = (any::<u16>(), 20..2_000_u64, 1_000..60_000_u64, 0..8_u64);
    let skew = ([-100..=100_i64, -100..=100_i64], any::<bool>());
    let packet = (
        prop_oneof![6 => Just(3_u8), 1 => Just(1), 1 => Just(2), u32::from(losses) => Just(0)],
        prop_oneof![9 => Just(0_u8), 1 => 0..4_u8],
        [any::<u64>(), any::<u64>()],
    );
    (shape, skew, proptest::collection::vec(packet, 2..600)).prop_map(
        |((first, interval_us, path_differential_us, jitter), (skew, drifts), packets)| {
            // Jitter counts thrice: of the packet, of the one that says when it is due, and of the pair that told the skew.
            let jitter_us = path_differential_us * jitter / 32;
            let skew_us_max = path_differential_us - 3 * jitter_us;
            let skew_us = skew.map(|percent| percent * skew_us_max as i64 / 100);
            Paths {
                first,
                interval_us,
                path_differential_us,
                skew_us: if drifts { skew_us } else { [skew_us[0]; 2] },
                jitter_us,
                packets,
                repair_packets: 0,
            }
        },
    )
}

impl Paths {
    fn packet(&self, index: usize) -> Vec<u8> {
        let sequence = self.first.wrapping_add(index as u16);
        let mut packet = vec![0x80, 33];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&(index as u32 * 90).to_be_bytes());
        packet.extend_from_slice(&[1, 2, 3, 4]);
        packet.extend_from_slice(&(index as u64).to_be_bytes());
        packet.resize(20 + index * 37 % 1_400, index as u8);
        packet
    }

    /// When a packet leaves the source; the first one leaves alone, so that it is the first one to come too.
    fn sent_ns(&self, index: usize) -> u64 {
        let lead_us = if index == 0 { 0 } else { 2 * self.jitter_us };
        T0 + (lead_us + index as u64 * self.interval_us) * US
    }

    fn legs(&self, index: usize) -> u8 {
        if index == 0 { 3 } else { self.packets[index].0 }
    }

    /// Delay of a leg without its jitter.
    fn base_ns(&self, leg: LegIndex, index: usize) -> u64 {
        let [from, to] = self.skew_us;
        let skew_us = from + (to - from) * index as i64 / self.packets.len() as i64;
        let delay_us = if leg == LegIndex::TWO {
            skew_us
        } else {
            -skew_us
        };
        delay_us.max(0).unsigned_abs() * US
    }

    fn jitter_ns(&self, leg: LegIndex, index: usize) -> u64 {
        let jitter = self.packets[index].2[leg.index()];
        if index == 0 {
            0
        } else {
            jitter % (self.jitter_us * US + 1)
        }
    }

    fn arrivals(&self) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for leg in LegIndex::ALL {
            for index in 0..self.packets.len() {
                let sent_ns = self.sent_ns(index) + self.base_ns(leg, index);
                let bit = 1 << leg.index();
                let mut add = |jitter_ns| {
                    arrivals.push(Arrival {
                        at_ns: sent_ns + jitter_ns,
                        leg,
                        origin: Origin::Received,
                        packet: self.packet(index),
                    });
                };
                if self.legs(index) & bit != 0 {
                    add(self.jitter_ns(leg, index));
                    if self.packets[index].1 & bit != 0 {
                        add(self.jitter_us * US);
                    }
                }
            }
        }
        arrivals.sort_by_key(|arrival| arrival.at_ns);
        arrivals
    }

    fn merger(&self, legs: usize) -> Merger {
        Merger::new(MergerConfig {
            legs,
            path_differential_ns: if legs == 1 {
                0
            } else {
                self.path_differential_us * US
            },
            repair_packets: self.repair_packets,
            packets_max: 32_768,
        })
    }

    /// Those that came out, in order and bit-exact.
    fn indices(&self, deliveries: &[Delivery]) -> Vec<usize> {
        let mut indices = Vec::new();
        for Delivery { packet, .. } in deliveries {
            let index = u64::from_be_bytes(packet[12..20].try_into().unwrap()) as usize;
            assert!(*packet == self.packet(index), "packet {index} is as sent");
            indices.push(index);
        }
        indices
    }
}

/// Numbers of `0..count` that are missing between the first and the last one that came out.
fn missing(indices: &[usize]) -> u64 {
    (indices[indices.len() - 1] + 1 - indices[0] - indices.len()) as u64
}

fn check_sums(stats: &MergerStats) {
    for leg in stats.legs {
        let all = leg.used + leg.redundant + leg.late + leg.duplicate + leg.foreign;
        assert_eq!(leg.received + leg.recovered, all);
    }
    let used: u64 = stats.legs.iter().map(|leg| leg.used).sum();
    assert_eq!(stats.delivered, used);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// ST 2022-7: what comes on one leg at least comes out, complete, in order, bit-exact and on time.
    #[test]
    fn two_legs_within_the_skew_become_one_stream(paths in paths(true)) {
        let mut merger = paths.merger(2);
        let deliveries = run(&mut merger, &paths.arrivals());
        let expected: Vec<_> = (0..paths.packets.len()).filter(|index| paths.legs(*index) != 0).collect();
        let indices = paths.indices(&deliveries);
        prop_assert_eq!(&indices, &expected);
        let stats = merger.stats();
        prop_assert_eq!(stats.lost, missing(&indices));
        prop_assert_eq!((stats.late, stats.source_restarts, stats.early), (0, 0, 0));
        check_sums(stats);

        // A drifting skew moves the arrivals themselves.
        let [from, to] = paths.skew_us;
        let spread_us = 3 * paths.jitter_us + from.abs_diff(to);
        for (index, delivery) in indices.into_iter().zip(&deliveries) {
            // The skew is not known before the first pair.
            if paths.legs(index) != 3 && paths.sent_ns(index) < T0 + 200 * MS {
                continue;
            }
            let due_ns = paths.sent_ns(index) + paths.path_differential_us * US;
            let off_ns = delivery.released.arrival_ns.abs_diff(due_ns);
            prop_assert!(off_ns <= spread_us * US, "packet {index} is off by {off_ns} ns");
        }
    }

    /// The counts of each leg are those of the leg.
    #[test]
    fn each_leg_is_counted_by_itself(paths in paths(true)) {
        let mut merger = paths.merger(2);
        run(&mut merger, &paths.arrivals());
        for leg in LegIndex::ALL {
            let bit = 1 << leg.index();
            let came: Vec<_> = (0..paths.packets.len()).filter(|index| paths.legs(*index) & bit != 0).collect();
            let twice = came.iter().filter(|index| paths.packets[**index].1 & bit != 0).count();
            let stats = merger.stats().legs[leg.index()];
            prop_assert_eq!(stats.received, (came.len() + twice) as u64);
            prop_assert_eq!(stats.duplicate, twice as u64);
            // What comes before the first packet is no loss, and a packet may be reordered by so much only.
            if paths.skew_us[0] == paths.skew_us[1] && paths.jitter_us / paths.interval_us < 60 && paths.jitter_us < 90_000 {
                prop_assert_eq!(stats.lost, missing(&came));
            }
        }
    }

    /// Behind FEC decoders, on one leg or on two: what is repaired in time comes out in its place.
    #[test]
    fn repaired_packets_come_out_in_their_place(
        mut paths in paths(true),
        legs in 1..=2_usize,
        repair_packets in 1..60_u32,
        after in any::<u64>(),
    ) {
        paths.repair_packets = repair_packets;
        paths.jitter_us = 0;
        paths.skew_us = [paths.skew_us[0].clamp(0, paths.path_differential_us as i64); 2];
        let count = paths.packets.len();
        let mut arrivals = paths.arrivals();
        arrivals.retain(|arrival| arrival.leg.index() < legs);
        // Every third of the missing ones cannot be repaired.
        let is_repaired = |index: usize| !index.is_multiple_of(3) && index + (repair_packets as usize) < count;
        let mut repairs = Vec::new();
        for index in (1..count).filter(|index| is_repaired(*index)) {
            for leg in LegIndex::ALL.into_iter().take(legs) {
                let bit = 1 << leg.index();
                if paths.legs(index) & bit != 0 {
                    continue;
                }
                let by = index + 1 + (after as usize + index) % repair_packets as usize;
                // The decoder repairs when something comes.
                let Some(at) = (by..count).find(|by| paths.legs(*by) & bit != 0) else {
                    continue;
                };
                repairs.push(Arrival {
                    at_ns: paths.sent_ns(at) + paths.base_ns(leg, at),
                    leg,
                    origin: Origin::Recovered,
                    packet: paths.packet(index),
                });
            }
        }
        // On two legs a packet is repaired in time on the leg that has what it takes in time.
        let in_time = |index: usize| {
            repairs.iter().any(|repair| {
                let is_it = repair.packet == paths.packet(index);
                let by = index + repair_packets as usize;
                is_it && repair.at_ns <= paths.sent_ns(by) + paths.base_ns(repair.leg, by)
            })
        };
        let all = if legs == 1 { 1 } else { 3 };
        let expected: Vec<_> = (0..count).filter(|index| paths.legs(*index) & all != 0 || in_time(*index)).collect();
        arrivals.extend(repairs.iter().cloned());
        arrivals.sort_by_key(|arrival| arrival.at_ns);
        let mut merger = paths.merger(legs);
        let deliveries = run(&mut merger, &arrivals);
        let indices = paths.indices(&deliveries);
        prop_assert!(expected.iter().all(|index| indices.binary_search(index).is_ok()));
        prop_assert!(indices.is_sorted_by(|one, other| one < other));
        prop_assert_eq!(merger.stats().lost, missing(&indices));
        check_sums(merger.stats());
        // What says when a packet is due may be missing; the next one says it then.
        for (index, delivery) in indices.into_iter().zip(&deliveries) {
            let by = index + repair_packets as usize;
            let Some(by) = (by..count).find(|by| paths.legs(*by) & all == all) else { continue };
            let latest_ns = paths.sent_ns(by)
                + if legs == 2 { paths.path_differential_us * US } else { 0 };
            prop_assert!(delivery.at_ns <= latest_ns, "packet {index} came out late");
        }
    }
}
