//! Sources that start anew, and those that do not belong.

use super::*;

/// Another source from `index` on, on a leg; 1 ms for each packet, leg 2 is 8 ms later.
fn restarted(bench: &mut Bench, ssrc: u32, first: u16, on: [Option<u64>; LEGS], end: u64) {
    let old = (bench.ssrc, bench.first);
    let mut arrivals = Vec::new();
    for index in 0..end {
        for leg in L::ALL {
            arrivals.push((index + 8 * leg.index() as u64, leg, index));
        }
    }
    arrivals.sort_by_key(|(at_ms, leg, _)| (*at_ms, leg.index()));
    for (at_ms, leg, index) in arrivals {
        let is_new = on[leg.index()].is_some_and(|from| index >= from);
        (bench.ssrc, bench.first) = if is_new { (ssrc, first) } else { old };
        let _ = bench.push(leg, index, at_ms);
    }
    bench.finish();
}

#[test]
fn another_ssrc_on_both_legs_is_followed_without_a_scratch() {
    for first in [100, 140, 30_000, 65_000] {
        let mut bench = Bench::new(config(2, 50, 0));
        restarted(&mut bench, 7, first, [Some(500); 2], 1_000);
        assert_eq!(bench.released, constant(0..1_000, 50), "from {first}");
        let stats = bench.stats();
        assert_eq!((stats.lost, stats.late, stats.source_restarts), (0, 0, 1));
        // Leg 1 told first, and was not followed alone.
        assert_eq!(bench.leg(L::ONE).foreign, 9);
        assert_eq!(bench.leg(L::TWO).foreign, 0);
        assert_eq!(bench.merger.ssrc_mismatch(), None);
    }
}

#[test]
fn another_ssrc_on_one_leg_is_flagged_and_not_mixed_in() {
    let mut bench = Bench::new(config(2, 50, 0));
    assert_eq!(bench.merger.ssrc_mismatch(), None);
    restarted(&mut bench, 7, 100, [None, Some(500)], 1_000);
    assert_eq!(bench.released, constant(0..1_000, 50));
    assert_eq!((bench.stats().lost, bench.stats().source_restarts), (0, 0));
    assert_eq!(bench.leg(L::TWO).foreign, 500);
    assert_eq!(bench.merger.ssrc_mismatch(), Some(L::TWO));
    // The flag goes when the leg has been right for a second.
    for index in 1_000..2_100 {
        let _ = bench.push(L::ONE, index, index + 150);
    }
    assert_eq!(bench.merger.ssrc_mismatch(), None);
}

#[test]
fn foreign_packets_between_those_of_a_leg_are_left_out() {
    let mut bench = Bench::new(config(2, 50, 0));
    for index in 0..1_000 {
        for leg in L::ALL {
            let _ = bench.push(leg, index, index);
            let foreign = packet_of(9, index as u16 * 3, index, 100);
            let outcome = bench.push_packet(L::TWO, Origin::Received, &foreign, index);
            assert_eq!(outcome, Outcome::Foreign);
        }
    }
    bench.finish();
    assert_eq!(bench.released, constant(0..1_000, 50));
    assert_eq!(bench.leg(L::TWO).foreign, 2_000);
    assert_eq!(bench.merger.ssrc_mismatch(), Some(L::TWO));
}

#[test]
fn the_other_source_is_taken_when_the_one_in_use_has_gone() {
    let mut bench = Bench::new(config(2, 50, 0));
    for index in 0..100 {
        assert_eq!(bench.push(L::ONE, index, index), Outcome::Used);
    }
    bench.ssrc = 7;
    for index in 100..400 {
        let outcome = bench.push(L::TWO, index, index);
        // Leg 1 fell silent at 99 ms; it is given 100 ms and the path differential.
        let expected = if index <= 249 {
            Outcome::Foreign
        } else {
            Outcome::Used
        };
        assert_eq!(outcome, expected, "packet {index}");
    }
    bench.finish();
    assert_eq!(bench.stats().source_restarts, 1);
    assert_eq!(bench.stats().lost, 0);
    assert_eq!(bench.released.len(), 250);
}

#[test]
fn a_single_leg_follows_its_source_at_once() {
    let mut bench = Bench::new(config(1, 0, 0));
    for index in 0..300 {
        match index {
            100 => bench.ssrc = 7,
            150 => bench.first = 5_000,  // ahead by more than 1,000
            200 => bench.first = 50,     // back by more than 1,000
            250 => bench.first = 60_000, // over the wrap
            _ => {}
        }
        // The SSRC changes without a pause: that has to be seen in three packets.
        let expected = match index {
            100 | 101 => Outcome::Foreign,
            _ => Outcome::Used,
        };
        assert_eq!(bench.push(L::ONE, index, index), expected);
        let is_out = bench.released.last() == Some(&(index, index));
        assert_eq!(is_out, expected == Outcome::Used);
    }
    let stats = bench.stats();
    assert_eq!((stats.lost, stats.source_restarts, stats.late), (0, 4, 0));
    assert_eq!((bench.leg(L::ONE).lost, bench.leg(L::ONE).foreign), (0, 2));
}

#[test]
fn the_same_ssrc_with_other_numbers_on_both_legs_is_a_restart_and_no_loss() {
    for first in [5_100, 60_000, 25_000] {
        let mut bench = Bench::new(config(2, 50, 0));
        restarted(&mut bench, SSRC, first, [Some(500); 2], 1_000);
        let stats = *bench.stats();
        assert_eq!(bench.released, constant(0..1_000, 50), "from {first}");
        assert_eq!((stats.lost, stats.source_restarts), (0, 1), "from {first}");
        assert_eq!(stats.legs.map(|leg| leg.lost), [0, 0], "from {first}");
    }
}

#[test]
fn a_restart_a_little_back_is_noticed_after_a_run() {
    let mut bench = Bench::new(config(1, 0, 0));
    for index in 0..2_000 {
        let _ = bench.push(L::ONE, index, index);
    }
    // The numbers go back by 500; the timestamps do not.
    bench.first = bench.first.wrapping_sub(500);
    for index in 2_000..2_100 {
        let outcome = bench.push(L::ONE, index, index);
        let expected = if index < 2_063 {
            Outcome::Late
        } else {
            Outcome::Used
        };
        assert_eq!(outcome, expected, "packet {index}");
    }
    assert_eq!(bench.stats().source_restarts, 1);
}

#[test]
fn a_gap_of_a_thousand_is_loss_and_one_more_is_a_restart() {
    for (gap, lost, restarts) in [(1_000, 999, 0), (1_001, 0, 1)] {
        let mut bench = Bench::new(config(1, 0, 0));
        let _ = bench.push(L::ONE, 0, 0);
        let _ = bench.push(L::ONE, gap, 1);
        assert_eq!(bench.indices(), [0, gap]);
        assert_eq!(
            (bench.stats().lost, bench.stats().source_restarts),
            (lost, restarts)
        );
    }
}

#[test]
fn the_earlier_leg_may_be_thousands_of_packets_ahead_when_it_comes_back() {
    // 1 Gb/s: 95 packets in a millisecond, leg 2 is 40 ms later.
    let mut bench = Bench::new(config(2, 50, 0));
    bench.two_legs(0..60_000, |leg, index| {
        let alive = leg == L::TWO || !(10_000..40_000).contains(&index);
        alive.then_some(index / 95 + 40 * leg.index() as u64)
    });
    bench.finish();
    let expected: Vec<_> = (0..60_000).map(|index| (index, index / 95 + 50)).collect();
    assert!(bench.released == expected);
    let stats = bench.stats();
    assert_eq!((stats.lost, stats.source_restarts), (0, 0));
    // The first one alone was not believed.
    assert_eq!(bench.leg(L::ONE).foreign, 1);
}

#[test]
fn a_single_number_that_is_far_ahead_is_not_believed() {
    let mut bench = Bench::new(config(2, 50, 20));
    for index in 0..500 {
        for leg in L::ALL {
            if index % 10 != 3 + leg.index() as u64 {
                let _ = bench.push(leg, index, index);
            }
        }
        if index % 50 == 20 {
            let wrong = packet_of(SSRC, 7_000 + index as u16, index, 100);
            let outcome = bench.push_packet(L::ONE, Origin::Received, &wrong, index);
            assert_eq!(outcome, Outcome::Foreign);
            let recovered = packet_of(SSRC, 7_001 + index as u16, index, 100);
            let outcome = bench.push_packet(L::ONE, Origin::Recovered, &recovered, index);
            assert_eq!(outcome, Outcome::Foreign);
        }
    }
    assert_eq!(bench.released, constant(0..430, 70));
    assert_eq!((bench.stats().lost, bench.stats().source_restarts), (0, 0));
}

#[test]
fn a_repair_never_begins_a_source() {
    let mut bench = Bench::new(config(1, 0, 0));
    let stray = packet_of(9, 1, 1, 100);
    let outcome = bench.push_packet(L::ONE, Origin::Recovered, &stray, 0);
    assert_eq!(outcome, Outcome::Foreign);
    assert_eq!(bench.push(L::ONE, 0, 1), Outcome::Used);
    let outcome = bench.push_packet(L::ONE, Origin::Recovered, &stray, 2);
    assert_eq!(outcome, Outcome::Foreign);
    assert_eq!(bench.stats().source_restarts, 0);
}
