use super::*;
use crate::LegIndex as L;
mod sources;
mod time;

const MS: u64 = 1_000_000;
/// Where the clock of these tests starts.
const T0: u64 = 1_700_000_000_000 * MS;
const SSRC: u32 = 0x1122_3344;

fn config(legs: usize, path_differential_ms: u64, repair_packets: u32) -> MergerConfig {
    MergerConfig {
        legs,
        path_differential_ns: path_differential_ms * MS,
        repair_packets,
        packets_max: 32_768,
    }
}

/// A packet that says which one it is.
fn packet_of(ssrc: u32, sequence: u16, index: u64, bytes: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 33];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(index as u32).wrapping_mul(90).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&index.to_be_bytes());
    packet.resize(bytes.max(20), index as u8);
    packet
}

/// A merge with its clock, in milliseconds after `T0`; packet `n` is the number `first + n` of the source.
struct Bench {
    merger: Merger,
    ssrc: u32,
    first: u16,
    now: u64,
    out: Vec<u8>,
    /// What came out: index and when it was due.
    released: Vec<(u64, u64)>,
}

impl Bench {
    fn new(config: MergerConfig) -> Self {
        Self {
            merger: Merger::new(config),
            ssrc: SSRC,
            first: 100,
            now: T0,
            out: vec![0; PACKET_BYTES_MAX],
            released: Vec::new(),
        }
    }

    fn packet(&self, index: u64) -> Vec<u8> {
        let sequence = self.first.wrapping_add(index as u16);
        packet_of(self.ssrc, sequence, index, 200)
    }

    /// Packet `index` arrives `at_ms` after the start; what was due before has been given out by then.
    fn push(&mut self, leg: LegIndex, index: u64, at_ms: u64) -> Outcome {
        let packet = self.packet(index);
        self.push_packet(leg, Origin::Received, &packet, at_ms)
    }

    fn push_packet(&mut self, leg: LegIndex, origin: Origin, packet: &[u8], at_ms: u64) -> Outcome {
        let at = T0 + at_ms * MS;
        self.run_until(at);
        let outcome = self.merger.push(leg, origin, at, packet);
        self.now = at;
        self.drain();
        outcome
    }

    /// Polls when asked to.
    fn run_until(&mut self, end: u64) {
        while let Some(due) = self.merger.next_due_ns().filter(|due| *due < end) {
            self.now = self.now.max(due);
            let before = self.released.len();
            self.drain();
            assert!(self.released.len() > before, "it asked to be polled now");
        }
        self.now = self.now.max(end);
    }

    fn drain(&mut self) {
        while let Some(released) = self.merger.pop(self.now, &mut self.out) {
            let packet = &self.out[..released.bytes];
            let index = u64::from_be_bytes(packet[12..20].try_into().unwrap());
            self.released
                .push((index, released.arrival_ns.wrapping_sub(T0) / MS));
        }
    }

    /// All that is held comes out, and what the legs lost is counted.
    fn finish(&mut self) {
        while let Some(due) = self.merger.next_due_ns() {
            self.run_until(due + 1);
        }
        assert!(self.merger.is_empty());
        for _ in 0..3 {
            self.now += 150 * MS;
            self.drain();
        }
    }

    fn indices(&self) -> Vec<u64> {
        self.released.iter().map(|(index, _)| *index).collect()
    }

    fn stats(&self) -> &MergerStats {
        self.merger.stats()
    }

    fn leg(&self, leg: LegIndex) -> &LegStats {
        &self.merger.stats().legs[leg.index()]
    }

    /// A packet a millisecond on two legs, each at `at_ms(leg, index)` or not at all.
    fn two_legs(&mut self, indices: std::ops::Range<u64>, at_ms: impl Fn(L, u64) -> Option<u64>) {
        let mut arrivals = Vec::new();
        for index in indices {
            for leg in L::ALL {
                arrivals.extend(at_ms(leg, index).map(|at_ms| (at_ms, leg.index(), leg, index)));
            }
        }
        arrivals.sort_by_key(|(at_ms, leg, ..)| (*at_ms, *leg));
        for (at_ms, _, leg, index) in arrivals {
            let _ = self.push(leg, index, at_ms);
        }
    }
}

/// All packets, each due at its millisecond and the delay.
fn constant(indices: std::ops::Range<u64>, delay_ms: u64) -> Vec<(u64, u64)> {
    indices.map(|index| (index, index + delay_ms)).collect()
}

#[test]
fn a_single_leg_gives_each_packet_out_at_once() {
    let mut bench = Bench::new(config(1, 0, 0));
    for index in 0..10 {
        assert_eq!(bench.push(L::ONE, index, index), Outcome::Used);
        assert_eq!(bench.released.last(), Some(&(index, index)));
    }
    assert_eq!(bench.stats().delivered, 10);
    assert_eq!(bench.merger.delay_ns(), 0);
    assert_eq!(bench.push(L::TWO, 10, 10), Outcome::Invalid);
}

#[test]
fn a_single_leg_is_not_led_astray_by_packets_of_somebody_else() {
    let mut bench = Bench::new(config(1, 0, 0));
    let stranger = |number: u64| packet_of(SSRC + 1, 40_000 + number as u16, 1_000 + number, 200);
    for index in 0..30 {
        assert_eq!(bench.push(L::ONE, index, index), Outcome::Used);
        if index % 2 == 0 {
            let outcome = bench.push_packet(L::ONE, Origin::Received, &stranger(index), index);
            assert_eq!(outcome, Outcome::Foreign);
        }
    }
    assert_eq!(bench.released, constant(0..30, 0));
    assert_eq!((bench.stats().lost, bench.stats().source_restarts), (0, 0));
    assert_eq!(bench.leg(L::ONE).foreign, 15);
    // Three in a row are a source that started anew, and after a pause one is.
    let restart = |bench: &mut Bench, number: u64, at_ms: u64| {
        bench.push_packet(L::ONE, Origin::Received, &stranger(number), at_ms)
    };
    assert_eq!(restart(&mut bench, 50, 31), Outcome::Foreign);
    assert_eq!(restart(&mut bench, 51, 32), Outcome::Foreign);
    assert_eq!(restart(&mut bench, 52, 33), Outcome::Used);
    assert_eq!(bench.push(L::ONE, 30, 134), Outcome::Used);
    assert_eq!(bench.stats().source_restarts, 2);
    assert_eq!((bench.stats().lost, bench.stats().delivered), (0, 32));
}

#[test]
fn of_two_legs_one_alone_works_from_the_first_packet() {
    for leg in L::ALL {
        let mut bench = Bench::new(config(2, 50, 0));
        bench.two_legs(0..500, |other, index| (other == leg).then_some(index));
        bench.finish();
        assert_eq!(bench.released, constant(0..500, 50));
        assert_eq!((bench.stats().lost, bench.stats().switches), (0, 0));
        assert_eq!(bench.leg(leg.other()), &LegStats::default());
        assert_eq!(bench.stats().skew_ns, None);
    }
}

#[test]
fn skew_in_either_direction_does_not_show() {
    for (one, two) in [(0, 0), (0, 8), (8, 0), (0, 49), (49, 0)] {
        let mut bench = Bench::new(config(2, 50, 0));
        bench.two_legs(0..300, |leg, index| {
            Some(index + if leg == L::ONE { one } else { two })
        });
        bench.finish();
        assert_eq!(bench.released, constant(0..300, 50), "skew {one}, {two}");
        let stats = *bench.stats();
        assert_eq!((stats.lost, stats.switches, stats.late), (0, 0, 0));
        assert_eq!(stats.skew_ns, Some((two as i64 - one as i64) * MS as i64));
        let used = stats.legs.map(|leg| leg.used);
        assert_eq!(used, if one <= two { [300, 0] } else { [0, 300] });
        for leg in stats.legs {
            assert_eq!(leg.received, leg.used + leg.redundant);
            assert_eq!((leg.lost, leg.late, leg.duplicate), (0, 0, 0));
        }
    }
}

#[test]
fn changing_skew_loses_nothing_while_each_leg_loses() {
    let mut bench = Bench::new(config(2, 50, 0));
    // Leg 2 wanders from 40 ms behind to 40 ms before, 1 ms in 20 packets.
    bench.two_legs(0..2_000, |leg, index| {
        let lag = if leg == L::ONE {
            40
        } else {
            80 - 80 * index / 2_000
        };
        let lost = leg == L::ONE && index % 7 == 3 || leg == L::TWO && index % 7 == 5;
        (!lost).then_some(index + lag)
    });
    bench.finish();
    assert_eq!(bench.indices(), (0..2_000).collect::<Vec<_>>());
    assert_eq!((bench.stats().lost, bench.stats().late), (0, 0));
    let skew_ns = bench.stats().skew_ns.unwrap();
    assert!((-40_000_000..-38_000_000).contains(&skew_ns), "{skew_ns}");
}

#[test]
fn loss_on_one_leg_does_not_show() {
    let mut bench = Bench::new(config(2, 50, 0));
    bench.two_legs(0..300, |leg, index| match leg {
        L::ONE if index % 10 == 4 => None,
        L::ONE => Some(index),
        _ => Some(index + 8),
    });
    bench.finish();
    assert_eq!(bench.released, constant(0..300, 50));
    assert_eq!((bench.leg(L::ONE).lost, bench.leg(L::ONE).used), (30, 270));
    assert_eq!((bench.leg(L::TWO).lost, bench.leg(L::TWO).used), (0, 30));
    // Leg 2 had to help once, and has been enough since.
    assert_eq!(bench.stats().switches, 1);
}

#[test]
fn loss_on_both_legs_at_different_places_does_not_show() {
    let mut bench = Bench::new(config(2, 50, 0));
    bench.two_legs(0..300, |leg, index| match leg {
        L::ONE => (index % 10 != 4).then_some(index),
        _ => (index % 10 != 6).then_some(index + 8),
    });
    bench.finish();
    assert_eq!(bench.released, constant(0..300, 50));
    assert_eq!((bench.leg(L::ONE).lost, bench.leg(L::TWO).lost), (30, 30));
    assert_eq!(bench.stats().switches, 60);
}

#[test]
fn loss_on_both_legs_at_the_same_place_is_counted_once() {
    let mut bench = Bench::new(config(2, 50, 0));
    bench.two_legs(0..300, |leg, index| {
        let lost = (100..103).contains(&index) || index == 200;
        (!lost).then_some(index + 8 * leg.index() as u64)
    });
    assert_eq!(bench.stats().lost, 4);
    bench.finish();
    assert_eq!(bench.released.len(), 296);
    let stats = bench.stats();
    assert_eq!((stats.lost, stats.late, stats.switches), (4, 0, 0));
    assert_eq!((bench.leg(L::ONE).lost, bench.leg(L::TWO).lost), (4, 4));
}

#[test]
fn a_leg_that_dies_for_seconds_and_comes_back_does_not_show() {
    for (dead, lag) in [(L::ONE, 8), (L::TWO, 8), (L::ONE, 0), (L::TWO, 50)] {
        let mut bench = Bench::new(config(2, 50, 0));
        bench.two_legs(0..8_000, |leg, index| {
            let alive = leg != dead || !(1_000..6_500).contains(&index);
            alive.then_some(index + if leg == L::ONE { 0 } else { lag })
        });
        bench.finish();
        assert_eq!(bench.released, constant(0..8_000, 50), "{dead:?}, {lag} ms");
        let stats = bench.stats();
        assert_eq!((stats.lost, stats.late, stats.source_restarts), (0, 0, 0));
        assert_eq!(stats.switches, u64::from(dead == L::ONE));
        assert_eq!(bench.leg(dead).lost, 5_500);
        assert_eq!(bench.leg(dead.other()).lost, 0);
    }
}

#[test]
fn a_leg_that_is_later_than_the_path_differential_is_late_and_harms_nothing() {
    let mut bench = Bench::new(config(2, 20, 0));
    bench.two_legs(0..300, |leg, index| {
        let lost = leg == L::ONE && index == 150;
        (!lost).then_some(index + 90 * leg.index() as u64)
    });
    bench.finish();
    assert_eq!(bench.released.len(), 299);
    assert_eq!(bench.stats().lost, 1);
    // One was missed; the others had been given out.
    assert_eq!((bench.stats().late, bench.leg(L::TWO).late), (1, 300));
    assert_eq!(bench.leg(L::TWO).redundant, 0);
    assert_eq!(bench.stats().skew_ns, Some(90 * MS as i64));
    assert_eq!(bench.stats().source_restarts, 0);
}

#[test]
fn sequence_numbers_wrap() {
    let mut bench = Bench::new(config(2, 50, 0));
    bench.first = 65_400;
    bench.two_legs(0..70_000, |leg, index| match leg {
        L::ONE => (index % 3 != 0).then_some(index),
        _ => (index % 3 != 1).then_some(index + 8),
    });
    bench.finish();
    assert_eq!(
        bench.released[0].0, 0,
        "although leg 2 brought it after 1 came"
    );
    assert_eq!(bench.released.len(), 70_000);
    assert_eq!(bench.released[500..], constant(500..70_000, 50));
    assert_eq!((bench.stats().lost, bench.stats().source_restarts), (0, 0));
}

#[test]
fn a_packet_that_a_leg_brings_twice_is_a_duplicate() {
    let mut bench = Bench::new(config(2, 50, 0));
    for index in 0..5 {
        assert_eq!(bench.push(L::ONE, index, index), Outcome::Used);
        assert_eq!(bench.push(L::ONE, index, index), Outcome::Duplicate);
        assert_eq!(bench.push(L::TWO, index, index), Outcome::Duplicate);
    }
    bench.finish();
    assert_eq!(bench.push(L::ONE, 4, 400), Outcome::Duplicate);
    assert_eq!(bench.leg(L::ONE).duplicate, 6);
    assert_eq!(
        (bench.leg(L::TWO).duplicate, bench.leg(L::TWO).redundant),
        (0, 5)
    );
    assert_eq!(bench.indices(), [0, 1, 2, 3, 4]);
}

#[test]
fn two_equal_legs_do_not_make_the_delivering_leg_change() {
    let mut bench = Bench::new(config(2, 50, 0));
    bench.two_legs(0..1_000, |leg, index| {
        let jitter = if leg == L::ONE {
            index * 7 % 5
        } else {
            index * 3 % 5
        };
        Some(index + jitter)
    });
    bench.finish();
    assert_eq!(bench.indices(), (0..1_000).collect::<Vec<_>>());
    assert!(bench.leg(L::ONE).used > 100 && bench.leg(L::TWO).used > 100);
    assert_eq!(bench.stats().switches, 0);
}

#[test]
fn what_is_not_rtp_is_refused() {
    let mut bench = Bench::new(config(1, 0, 0));
    let mut packet = packet_of(SSRC, 1, 1, PACKET_BYTES_MAX + 1);
    let invalid = |bench: &mut Bench, packet: &[u8]| {
        let outcome = bench.push_packet(L::ONE, Origin::Received, packet, 0);
        assert_eq!(outcome, Outcome::Invalid);
    };
    invalid(&mut bench, &packet);
    packet.truncate(11);
    invalid(&mut bench, &packet);
    packet.resize(300, 0);
    packet[0] = 0x47;
    invalid(&mut bench, &packet);
    assert_eq!(bench.stats().invalid, 3);
    assert_eq!(bench.leg(L::ONE).received, 0);
}
