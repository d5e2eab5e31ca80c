//! Delivery in time: the clock, its wrap and drift, and too-late drop.

use crate::time::Micros;
use crate::wire::{Packet, SeqNumber};

use super::link::Conditions;
use super::pair::{Pair, Setup};

const LATENCY: Micros = Micros::from_millis(500);

/// Delay from writing to delivery that both ends agreed on: the latency, and the way of the handshake.
const EXPECTED: Micros = Micros(520_000);

fn assert_delay(pair: &Pair, early_ms: u64, late_ms: u64) {
    let (shortest, longest) = pair.delay;
    assert!(
        shortest + Micros::from_millis(early_ms) >= EXPECTED
            && longest <= EXPECTED + Micros::from_millis(late_ms),
        "delivered after {} to {} us",
        shortest.0,
        longest.0
    );
}

#[test]
fn the_delay_is_the_latency_whatever_the_age_of_the_far_end() {
    for age in [0, 6, 3_000, 100_000] {
        let mut pair = Pair::new(Setup {
            age: Micros::from_secs(age),
            ..Setup::default()
        });
        pair.run(Micros::from_secs(3));
        assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
        assert_delay(&pair, 0, 1);
    }
}

#[test]
fn hours_of_wraps_jitter_and_drift_keep_the_delay() {
    for drift_ppm in [-100, 100] {
        let conditions = Conditions {
            jitter: Micros::from_millis(40),
            ..Conditions::default()
        };
        let mut pair = Pair::new(Setup {
            forth: conditions,
            back: conditions,
            drift_ppm,
            // Both wraps within the 2.5 hours, the first one soon.
            age: Micros::from_secs(4_200),
            interval: Micros::from_millis(700),
            ..Setup::default()
        });
        pair.run(Micros::from_secs(9_000));
        assert_eq!(pair.skipped, 0, "{drift_ppm} ppm");
        // The handshake of this test took the shortest way, so that half the jitter, 20 ms, is added in the mean; and
        // the clock follows the drift with some milliseconds of lag.
        assert_delay(&pair, 15, 40);
        let drift_us = pair.receiver.connection.stats(pair.now).receive.drift_us;
        let expected = -900 * drift_ppm * 10;
        assert!(
            (drift_us - expected).abs() < 60_000,
            "{drift_us} us found at {drift_ppm} ppm"
        );
    }
}

#[test]
fn a_dense_stream_over_a_wrap_keeps_its_order_and_delay() {
    let conditions = Conditions {
        jitter: Micros::from_millis(20),
        loss: 0.05,
        ..Conditions::default()
    };
    let mut pair = Pair::new(Setup {
        forth: conditions,
        back: conditions,
        age: Micros((1 << 32) - 5_000_000),
        first: SeqNumber::MAX.minus(4_000),
        ..Setup::default()
    });
    pair.run(Micros::from_secs(10));
    pair.assert_recovered();
    assert_delay(&pair, 1, 25);
}

#[test]
fn silence_of_an_hour_changes_nothing() {
    let mut pair = Pair::new(Setup::default());
    pair.write_for(Micros::from_secs(1));
    pair.pause(Micros::from_secs(4_500));
    pair.run(Micros::from_secs(1));
    assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
    assert_delay(&pair, 0, 1);
}

#[test]
fn what_is_not_recovered_is_skipped_and_the_rest_stays_in_time() {
    let mut pair = Pair::new(Setup::default().network(0.02, 40));
    pair.forth.filter = Some(is_retransmission);
    pair.write_for(Micros::from_secs(5));
    pair.forth.filter = None;
    pair.run(Micros::from_secs(1));
    assert!(
        (100..300).contains(&pair.skipped),
        "{} skipped",
        pair.skipped
    );
    assert_eq!(pair.delivered + pair.skipped, pair.written);
    assert_delay(&pair, 0, 1);
    let receive = pair.receiver.connection.stats(pair.now).receive;
    assert_eq!(receive.counts.skipped, pair.skipped);
    assert_eq!(receive.missing, 0);
    assert_eq!(
        pair.sender.connection.stats(pair.now).send.in_flight,
        0,
        "what was skipped is acknowledged"
    );
}

fn is_retransmission(datagram: &[u8]) -> bool {
    matches!(Packet::parse(datagram), Ok(Packet::Data(packet)) if packet.header.retransmitted)
}

#[test]
fn an_outage_is_made_up_for_and_what_follows_is_in_time() {
    let mut pair = Pair::new(Setup::default());
    pair.write_for(Micros::from_secs(1));
    pair.forth.conditions.loss = 1.0;
    pair.write_for(Micros::from_millis(1_500));
    pair.forth.conditions.loss = 0.0;
    pair.measure_from = pair.written + 100;
    pair.run(Micros::from_secs(3));
    assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
    assert_delay(&pair, 0, 1);
}

#[test]
fn the_sender_gives_up_what_is_too_late_and_says_so() {
    let mut setup = Setup::default();
    setup.settings.send_drop_delay_ms = Some(0);
    let mut pair = Pair::new(setup);
    pair.write_for(Micros::from_secs(1));
    // Nothing is acknowledged and nothing arrives for three seconds.
    pair.forth.conditions.loss = 1.0;
    pair.back.conditions.loss = 1.0;
    pair.write_for(Micros::from_secs(3));
    let send = pair
        .sender
        .connection
        .stats(pair.sender.clock(pair.now))
        .send;
    assert!(send.dropped > 3_500, "{} dropped", send.dropped);
    assert!(
        send.buffer_span <= Micros::from_millis(1_020),
        "{:?}",
        send.buffer_span
    );
    pair.forth.conditions.loss = 0.0;
    pair.back.conditions.loss = 0.0;
    pair.measure_from = pair.written + 100;
    pair.run(Micros::from_secs(3));
    assert!(pair.skipped > 3_500, "{} skipped", pair.skipped);
    assert_eq!(pair.delivered + pair.skipped, pair.written);
    assert_delay(&pair, 0, 1);
    assert_eq!(pair.sender.connection.stats(pair.now).send.in_flight, 0);
}

#[test]
fn without_too_late_drop_everything_is_delivered_however_late() {
    let mut setup = Setup::default();
    setup.settings.tlpkt_drop = false;
    let mut pair = Pair::new(setup);
    pair.write_for(Micros::from_secs(1));
    pair.forth.conditions.loss = 1.0;
    pair.write_for(Micros::from_millis(1_500));
    pair.forth.conditions.loss = 0.0;
    pair.run(Micros::from_secs(8));
    assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
}

#[test]
fn a_gap_longer_than_the_window_is_left_behind() {
    let mut setup = Setup::default();
    setup.settings.recv_buffer_packets = 1_024;
    setup.settings.send_buffer_packets = 2_048;
    setup.settings.send_drop_delay_ms = Some(0);
    let mut pair = Pair::new(setup);
    pair.write_for(Micros::from_secs(1));
    pair.forth.conditions.loss = 1.0;
    pair.back.conditions.loss = 1.0;
    pair.write_for(Micros::from_secs(5));
    pair.forth.conditions.loss = 0.0;
    pair.back.conditions.loss = 0.0;
    pair.measure_from = pair.written + 4_000;
    pair.run(Micros::from_secs(6));
    assert_eq!(pair.delivered + pair.skipped, pair.written);
    assert_eq!(pair.receiver.connection.stats(pair.now).receive.missing, 0);
    assert_delay(&pair, 0, 1);
}

#[test]
fn at_once_nothing_waits_but_what_is_behind_a_gap() {
    let mut pair = Pair::new(Setup::default().network(0.02, 40));
    pair.receiver.connection.set_at_once(true);
    pair.run(Micros::from_secs(5));
    pair.assert_recovered();
    assert!(pair.delay.0 <= Micros::from_millis(20), "{:?}", pair.delay);
    assert!(pair.delay.1 <= LATENCY, "{:?}", pair.delay);
}
