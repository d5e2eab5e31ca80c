//! The end of a connection.

use crate::connection::{CloseReason, SendError, State};
use crate::time::Micros;
use crate::wire::{Control, Packet};

use super::pair::{Pair, Setup};

fn is_shutdown(datagram: &[u8]) -> bool {
    matches!(Packet::parse(datagram), Ok(Packet::Control(packet)) if packet.control == Control::Shutdown)
}

#[test]
fn the_far_end_is_told_and_hands_out_what_it_has() {
    let mut pair = Pair::new(Setup::default());
    pair.write_for(Micros::from_secs(1));
    // What is under way arrives; what is in the far end's buffer does not wait for more.
    pair.pause(Micros::from_millis(100));
    let now = pair.sender.clock(pair.now);
    pair.sender.connection.close(now);
    assert_eq!(pair.sender.connection.state(), State::Closing);
    assert_eq!(
        pair.sender.connection.send(now, &[b"x"]),
        Err(SendError::Closed)
    );
    pair.transmit();
    pair.pause(Micros::from_millis(30));
    assert_eq!(
        pair.receiver.connection.state(),
        State::Closed(CloseReason::PeerShutdown)
    );
    pair.pause(Micros::from_secs(2));
    assert_eq!(
        pair.sender.connection.state(),
        State::Closed(CloseReason::Local)
    );
    assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
    let stats = pair
        .receiver
        .connection
        .stats(pair.receiver.clock(pair.now));
    assert_eq!(stats.receive.delivered, pair.written, "counters stay");
    assert_eq!(stats.receive.packets_per_second, 0, "rates age");
    assert!(stats.uptime < Micros::from_millis(1_200));
    assert_eq!(pair.receiver.connection.next_timeout(), Micros::MAX);
}

#[test]
fn what_is_missing_at_the_end_holds_nothing_up() {
    let mut setup = Setup::default();
    setup.settings.tlpkt_drop = false;
    let mut pair = Pair::new(setup);
    pair.write_for(Micros::from_millis(100));
    pair.forth.conditions.loss = 1.0;
    pair.write_for(Micros::from_millis(5));
    pair.forth.conditions.loss = 0.0;
    // Its reports do not come through, so that nothing is sent again.
    pair.back.conditions.loss = 1.0;
    pair.write_for(Micros::from_millis(100));
    pair.pause(Micros::from_millis(30));
    let now = pair.sender.clock(pair.now);
    pair.sender.connection.close(now);
    pair.transmit();
    pair.pause(Micros::from_secs(2));
    assert_eq!(
        pair.receiver.connection.state(),
        State::Closed(CloseReason::PeerShutdown)
    );
    assert!(pair.skipped > 0);
    assert_eq!(pair.delivered + pair.skipped, pair.written);
}

#[test]
fn lost_shutdowns_are_repeated() {
    let mut pair = Pair::new(Setup::default());
    pair.write_for(Micros::from_secs(1));
    pair.forth.filter = Some(is_shutdown);
    let now = pair.sender.clock(pair.now);
    pair.sender.connection.close(now);
    pair.transmit();
    pair.pause(Micros::from_millis(120));
    assert_eq!(pair.receiver.connection.state(), State::Connected);
    pair.forth.filter = None;
    pair.pause(Micros::from_millis(120));
    assert_eq!(
        pair.receiver.connection.state(),
        State::Closed(CloseReason::PeerShutdown)
    );
}

#[test]
fn a_far_end_that_falls_silent_is_given_up() {
    let mut setup = Setup::default();
    setup.settings.peer_idle_timeout = Micros::from_secs(5);
    let mut pair = Pair::new(setup);
    pair.write_for(Micros::from_secs(1));
    pair.forth.conditions.loss = 1.0;
    pair.pause(Micros::from_millis(4_900));
    assert_eq!(pair.receiver.connection.state(), State::Connected);
    pair.pause(Micros::from_millis(200));
    assert_eq!(
        pair.receiver.connection.state(),
        State::Closed(CloseReason::PeerIdle)
    );
}

#[test]
fn keep_alives_hold_an_idle_connection() {
    let mut setup = Setup::default();
    setup.settings.peer_idle_timeout = Micros::from_secs(2);
    let mut pair = Pair::new(setup);
    let events = pair.events;
    pair.pause(Micros::from_secs(600));
    assert_eq!(pair.sender.connection.state(), State::Connected);
    assert_eq!(pair.receiver.connection.state(), State::Connected);
    assert!(
        pair.events - events < 4_000,
        "an idle connection wakes up once a second"
    );
}
