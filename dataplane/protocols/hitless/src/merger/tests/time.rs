//! When packets come out: repair, stalls, clocks that are set, and room that runs out.

use super::*;

#[test]
fn a_repair_comes_out_where_the_packet_would_have() {
    let mut bench = Bench::new(config(1, 0, 20));
    for index in 0..200 {
        if index == 50 {
            continue;
        }
        assert_eq!(bench.push(L::ONE, index, index), Outcome::Used);
        let last = if index < 71 {
            index.min(69).checked_sub(20)
        } else {
            Some(51)
        };
        assert_eq!(bench.indices().last(), last.as_ref());
        if index == 71 {
            break;
        }
    }
    let repaired = bench.packet(50);
    let outcome = bench.push_packet(L::ONE, Origin::Recovered, &repaired, 71);
    assert_eq!(outcome, Outcome::Late);
    assert_eq!((bench.stats().lost, bench.stats().late), (1, 1));

    let mut bench = Bench::new(config(1, 0, 20));
    for index in (0..200).filter(|index| *index != 50) {
        let _ = bench.push(L::ONE, index, index);
        if index == 69 {
            let repaired = bench.packet(50);
            let outcome = bench.push_packet(L::ONE, Origin::Recovered, &repaired, 69);
            assert_eq!(outcome, Outcome::Used);
        }
    }
    // 50 says when 30 is due, and the next one says it when 50 is missing.
    let mut expected = constant(0..180, 20);
    expected[30].1 += 1;
    assert_eq!(bench.released, expected);
    assert_eq!(bench.merger.delay_ns(), 20 * MS);
    bench.finish();
    assert_eq!(bench.indices(), (0..200).collect::<Vec<_>>());
    let leg = bench.leg(L::ONE);
    assert_eq!((leg.received, leg.recovered, leg.lost), (199, 1, 1));
    assert_eq!(bench.stats().lost, 0);
}

#[test]
fn the_packet_that_says_when_may_be_missing_itself() {
    let mut bench = Bench::new(config(1, 0, 20));
    for index in (0..100).filter(|index| ![40, 41].contains(index)) {
        let _ = bench.push(L::ONE, index, index);
    }
    let due: Vec<_> = bench.released[19..23].to_vec();
    assert_eq!(due, [(19, 39), (20, 42), (21, 42), (22, 42)]);
    assert_eq!(bench.stats().lost, 2);
}

#[test]
fn what_is_held_comes_out_when_the_stream_stops() {
    for (repair, grace_ms) in [(20, 100), (80, 160)] {
        let mut bench = Bench::new(config(2, 50, repair));
        for index in 0..200 {
            let _ = bench.push(L::ONE, index, index);
        }
        assert!(!bench.merger.is_empty());
        let last_ms = 199 + 50 + grace_ms;
        bench.run_until(T0 + (last_ms - 2) * MS);
        assert_eq!(bench.released.len(), 200 - repair as usize);
        bench.run_until(T0 + (last_ms + 2) * MS);
        assert_eq!(bench.indices(), (0..200).collect::<Vec<_>>());
        // And it goes on as before.
        for index in 200..400 {
            let _ = bench.push(L::ONE, index, index + 5_000);
        }
        bench.finish();
        assert_eq!(bench.indices(), (0..400).collect::<Vec<_>>());
        assert_eq!(bench.stats().lost, 0);
    }
}

#[test]
fn the_size_of_the_matrix_may_be_learned_later() {
    let mut bench = Bench::new(config(1, 0, 0));
    for index in 0..100 {
        let _ = bench.push(L::ONE, index, index);
    }
    bench.merger.set_repair_packets(10);
    for index in 100..200 {
        let _ = bench.push(L::ONE, index, index);
    }
    assert_eq!(bench.released[..100], constant(0..100, 0));
    assert_eq!(bench.released[100..], constant(100..190, 10));
    bench.merger.set_repair_packets(0);
    let _ = bench.push(L::ONE, 200, 200);
    assert_eq!(bench.indices(), (0..=200).collect::<Vec<_>>());
}

#[test]
fn reordered_packets_come_out_in_order() {
    let mut bench = Bench::new(config(1, 10, 0));
    for (index, at_ms) in [(1, 0), (0, 1), (3, 2), (4, 3), (2, 9), (5, 10)] {
        assert_eq!(bench.push(L::ONE, index, at_ms), Outcome::Used);
    }
    bench.finish();
    assert_eq!(bench.indices(), [0, 1, 2, 3, 4, 5]);
    assert_eq!((bench.stats().lost, bench.leg(L::ONE).lost), (0, 0));
}

/// A clock that is set by `step_ms` after 100 of 200 packets on two legs, of which leg 1 loses one in ten.
fn with_clock_set(step_ms: i64, poll_first: bool) -> Bench {
    let mut bench = Bench::new(config(2, 50, 0));
    let clock = |ms: u64| T0.saturating_add_signed((ms as i64 + step_ms) * MS as i64);
    bench.two_legs(0..100, |leg, index| {
        (leg == L::TWO || index % 10 != 9).then_some(index + 8 * leg.index() as u64)
    });
    assert_eq!(bench.released.len(), 58);
    if poll_first {
        bench.now = clock(108);
        bench.drain();
        assert!((58..=60).contains(&bench.released.len()), "{step_ms}");
    }
    for index in 100..200 {
        for leg in L::ALL {
            let packet = bench.packet(index);
            let at = clock(index + 8);
            if leg == L::TWO || index % 10 != 9 {
                let outcome = bench.merger.push(leg, Origin::Received, at, &packet);
                assert_ne!(outcome, Outcome::Late);
            }
            bench.now = at;
            bench.drain();
        }
        // Neither all at once nor nothing.
        let held = index - bench.released.len() as u64;
        assert!((35..=60).contains(&held), "{step_ms}: {held} at {index}");
    }
    bench
}

#[test]
fn a_clock_that_is_set_neither_stalls_nor_flushes() {
    let hour = 3_600_000;
    for step_ms in [-hour, hour, -500, 5_000, -(T0 as i64 / MS as i64)] {
        for poll_first in [false, true] {
            let mut bench = with_clock_set(step_ms, poll_first);
            bench.finish();
            assert_eq!(bench.indices(), (0..200).collect::<Vec<_>>(), "{step_ms}");
            assert_eq!(bench.stats().lost, 0);
        }
    }
}

#[test]
fn a_caller_that_is_always_seconds_late_gets_on() {
    let mut bench = Bench::new(config(2, 50, 20));
    for index in 0..100 {
        let _ = bench.push(L::ONE, index, index);
    }
    let mut polls = 0;
    while !bench.merger.is_empty() {
        bench.now += 3_000 * MS;
        bench.drain();
        polls += 1;
    }
    // A packet at a time, and then 10 ms at a time until the stream counts as stopped.
    assert!(polls <= 100, "{polls} polls");
    assert_eq!(bench.indices(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_single_time_from_the_future_does_not_stall() {
    let mut bench = Bench::new(config(1, 50, 0));
    let packet = bench.packet(0);
    let hour_later = T0 + 3_600_000 * MS;
    let _ = bench
        .merger
        .push(L::ONE, Origin::Received, hour_later, &packet);
    bench.drain();
    let due = bench.merger.next_due_ns().unwrap();
    assert_eq!(due, T0 + 150 * MS);
    for index in 1..100 {
        let _ = bench.push(L::ONE, index, index);
    }
    bench.finish();
    assert_eq!(bench.indices(), (0..100).collect::<Vec<_>>());
}

#[test]
fn when_room_runs_out_the_oldest_goes_early() {
    let small = MergerConfig {
        packets_max: 64,
        ..config(2, 1_000, 0)
    };
    let mut bench = Bench::new(small);
    for index in 0..500 {
        assert_eq!(bench.push(L::ONE, index, index), Outcome::Used);
        assert!(index + 1 - bench.released.len() as u64 <= 48);
    }
    assert!(bench.stats().early > 400);
    bench.finish();
    assert_eq!(bench.indices(), (0..500).collect::<Vec<_>>());
    assert_eq!((bench.stats().lost, bench.stats().full), (0, 0));
}

#[test]
fn a_caller_that_does_not_poll_is_told_and_loses_nothing() {
    let small = MergerConfig {
        packets_max: 64,
        ..config(1, 1_000, 0)
    };
    let mut bench = Bench::new(small);
    for index in 0..200 {
        // Four blocks each.
        let packet = packet_of(SSRC, index as u16, index, 6_000);
        let mut turns = 0;
        while bench.merger.push(L::ONE, Origin::Received, T0, &packet) == Outcome::Full {
            let released = bench.merger.pop(T0, &mut bench.out).unwrap();
            assert_eq!(released.bytes, 6_000);
            bench.released.push((bench.out[19].into(), 0));
            turns += 1;
        }
        assert!(turns <= 1);
    }
    bench.now = T0;
    bench.finish();
    let expected: Vec<_> = (0..200).collect();
    assert_eq!(bench.indices(), expected);
    assert_eq!(bench.stats().full, 200 - 16);
    assert_eq!(bench.leg(L::ONE).received, 200);
}

#[test]
fn a_buffer_that_is_too_short_leaves_the_packet_where_it_is() {
    let mut bench = Bench::new(config(1, 0, 0));
    let packet = bench.packet(0);
    let _ = bench.merger.push(L::ONE, Origin::Received, T0, &packet);
    assert_eq!(bench.merger.pop(T0, &mut [0; 199]), None);
    assert_eq!(bench.merger.pop(T0, &mut bench.out).unwrap().bytes, 200);
}

#[test]
fn the_ring_grows_with_the_stream() {
    let mut bench = Bench::new(config(2, 2_000, 0));
    // 10,000 packets are held at a time, more than at the start there are places.
    bench.two_legs(0..40_000, |leg, index| {
        let lost = index % 4 == 1 + leg.index() as u64;
        (!lost).then_some(index / 5 + 100 * leg.index() as u64)
    });
    bench.finish();
    assert_eq!(bench.indices(), (0..40_000).collect::<Vec<_>>());
    assert_eq!((bench.stats().lost, bench.stats().early), (0, 0));
}
