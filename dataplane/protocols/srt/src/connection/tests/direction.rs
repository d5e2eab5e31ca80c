//! Connections of which one direction is used, and far ends that take no notice of that.

use crate::connection::SendError;
use crate::handshake::Direction;
use crate::time::Micros;

use super::pair::{Pair, Setup};

fn setup(direction: Direction) -> Setup {
    let mut setup = Setup::default();
    setup.settings.direction = direction;
    setup
}

#[test]
fn a_side_that_only_sends_keeps_nothing_of_what_it_is_sent() {
    let mut pair = Pair::new(setup(Direction::Sends).network(0.02, 40));
    pair.reading = false;
    let mut held_max = 0;
    for _ in 0..200 {
        pair.write_for(Micros::from_millis(10));
        let now = pair.receiver.clock(pair.now);
        let stats = pair.receiver.connection.stats(now).receive;
        held_max = held_max.max(stats.buffer_packets);
    }
    assert!(held_max <= 32, "{held_max}");
    pair.pause(Micros::from_secs(2));
    let now = pair.receiver.clock(pair.now);
    let stats = pair.receiver.connection.stats(now).receive;
    assert_eq!(stats.buffer_packets, 0);
    let now = pair.sender.clock(pair.now);
    let sender = pair.sender.connection.stats(now).send;
    assert!(sender.packets > 1_000, "it is acknowledged all the same");
    assert!(pair.events < 40_000, "{}: it does not spin", pair.events);
}

#[test]
fn a_side_that_only_receives_queues_next_to_nothing() {
    let mut pair = Pair::new(setup(Direction::Receives));
    let now = pair.receiver.clock(pair.now);
    let taken = (0..100).filter(|_| pair.receiver.connection.send(now, &[b"x"]).is_ok());
    assert_eq!(taken.count(), 32);
}

#[test]
fn what_is_not_acknowledged_is_noticed() {
    let mut pair = Pair::new(Setup::default().network(0.0, 40));
    let waits = |pair: &Pair| {
        let now = pair.sender.clock(pair.now);
        pair.sender.connection.unacknowledged_for(now)
    };
    pair.pause(Micros::from_secs(5));
    assert_eq!(
        waits(&pair),
        Micros::ZERO,
        "there is nothing to acknowledge"
    );
    pair.write_for(Micros::from_secs(2));
    assert!(waits(&pair) < Micros::from_millis(100));
    pair.back.conditions.loss = 1.0;
    pair.write_for(Micros::from_secs(3));
    let silent = waits(&pair);
    assert!(silent > Micros::from_millis(2_900) && silent < Micros::from_millis(3_100));
    pair.back.conditions.loss = 0.0;
    pair.write_for(Micros::from_millis(500));
    assert!(waits(&pair) < Micros::from_millis(100));
}

#[test]
fn a_message_that_does_not_fit_is_counted() {
    let mut pair = Pair::new(Setup::default());
    let now = pair.sender.clock(pair.now);
    let connection = &mut pair.sender.connection;
    let max = connection.payload_bytes_max();
    let bytes = max + 1;
    let refused = connection.send(now, &[&vec![0; max], b"x"]);
    assert_eq!(refused, Err(SendError::TooLong { bytes, max }));
    let stats = connection.stats(now).send;
    assert_eq!((stats.too_long, stats.too_long_bytes), (1, bytes));
    assert_eq!(stats.refused, 0);
}
