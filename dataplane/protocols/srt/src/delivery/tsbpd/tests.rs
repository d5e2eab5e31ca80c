use proptest::prelude::*;

use super::{Micros, SourceTime, Timestamp, TsbpdClock};

const DELAY: Micros = Micros::from_millis(500);

fn clock() -> TsbpdClock {
    TsbpdClock::new(Micros(5_000_000), Timestamp(2_000_000), DELAY)
}

#[test]
fn the_base_is_the_handshake_packet() {
    let clock = clock();
    let source = clock.source_time(Micros(5_010_000), Timestamp(2_000_000));
    assert_eq!(source, SourceTime(2_000_000));
    assert_eq!(clock.delivery_time(source), Micros(5_500_000));
}

#[test]
fn a_listener_that_is_older_than_two_wraps_starts_right() {
    let age = 2 * (1_u64 << 32) + 77;
    let clock = TsbpdClock::new(Micros(1_000), Timestamp(77), DELAY);
    let source = clock.source_time(Micros(1_500), Timestamp((age & 0xffff_ffff) as u32 + 500));
    assert_eq!(clock.delivery_time(source), Micros(501_500));
}

#[test]
fn drift_is_followed_at_one_packet_per_second() {
    let mut clock = clock();
    let mut worst = 0;
    for second in 1..9_000_u64 {
        let sent = second * 1_000_000;
        // The sender's clock runs 100 ppm fast.
        let timestamp = Timestamp((2_000_000 + sent + sent / 10_000) as u32);
        let now = Micros(5_000_000 + sent);
        clock.sample(now, timestamp, 0);
        let due = clock.delivery_time(clock.source_time(now, timestamp));
        worst = worst.max(due.0.abs_diff(now.0 + DELAY.0));
    }
    assert!(worst < 10_000, "{worst} us off");
    assert!(clock.drift_us() < -850_000, "{} us", clock.drift_us());
}

#[test]
fn a_silence_of_hours_takes_no_wrong_turn() {
    let clock = clock();
    let silence = 5 * 3_600 * 1_000_000_u64;
    let timestamp = Timestamp(((2_000_000 + silence) & 0xffff_ffff) as u32);
    let source = clock.source_time(Micros(5_000_000 + silence), timestamp);
    assert_eq!(source, SourceTime(2_000_000 + silence as i64));
}

#[test]
fn nothing_that_a_peer_stamps_moves_the_clock_for_good() {
    let mut clock = clock();
    let now = Micros(6_000_000);
    for timestamp in [0, u32::MAX, 1 << 31, (1 << 31) - 1] {
        clock.sample(now, Timestamp(timestamp), i64::from(timestamp));
    }
    assert!(clock.drift_us().abs() < 100_000);
    let source = clock.source_time(now, Timestamp(3_000_000));
    assert_eq!(source, SourceTime(3_000_000));
}

proptest! {
    #[test]
    fn source_time_is_exact_within_half_a_wrap(
        elapsed in 0_u64..40_000_000_000,
        late in -2_000_000_000_i64..2_000_000_000,
    ) {
        let clock = clock();
        let now = Micros(5_000_000 + elapsed);
        let source = 2_000_000 + elapsed as i64 - late;
        let timestamp = Timestamp((source as u64 & 0xffff_ffff) as u32);
        prop_assert_eq!(clock.source_time(now, timestamp), SourceTime(source));
    }
}
