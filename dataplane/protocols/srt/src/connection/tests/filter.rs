//! The packet filter at work.

use crate::crypto::{CryptoMode, KeyLength, RefreshPolicy};
use crate::time::Micros;
use crate::wire::Packet;

use super::link::Conditions;
use super::pair::{Pair, Setup};

const SPAN: Micros = Micros::from_secs(8);

fn run(filter: &'static str, loss: f64) -> Pair {
    let mut pair = Pair::new(
        Setup {
            filter: Some(filter),
            ..Setup::default()
        }
        .network(loss, 40),
    );
    pair.run(SPAN);
    pair
}

#[test]
fn without_retransmission_the_filter_rebuilds_what_it_can() {
    for (filter, residual) in [
        ("fec,cols:10,rows:1,arq:never", 0.25),
        ("fec,cols:10,rows:5,layout:even,arq:never", 0.002),
        ("fec,cols:10,rows:5,layout:staircase,arq:never", 0.002),
        ("fec,cols:8,rows:-8,layout:staircase,arq:never", 0.25),
    ] {
        let pair = run(filter, 0.01);
        let (send, receive) = (
            pair.sender.connection.stats(pair.now).send,
            pair.receiver.connection.stats(pair.now).receive,
        );
        assert_eq!(send.retransmitted, 0, "{filter}");
        assert_eq!(receive.naks, 0, "{filter}");
        assert_eq!(pair.delivered + pair.skipped, pair.written, "{filter}");
        assert_eq!(send.in_flight, 0, "{filter}: losses are acknowledged");
        let lost = receive.counts.lost as f64;
        assert!(lost > 50.0);
        assert!(
            pair.skipped as f64 <= lost * residual,
            "{filter}: {} of {lost} not rebuilt",
            pair.skipped
        );
        assert_eq!(receive.fec.unusable, 0, "{filter}");
        assert!(receive.fec.rebuilt as f64 >= lost * (1.0 - residual) - 1.0);
    }
}

#[test]
fn what_cannot_be_rebuilt_is_asked_for() {
    for filter in [
        "fec,cols:10,rows:1,arq:onreq",
        "fec,cols:10,rows:5,layout:even,arq:onreq",
        "fec,cols:10,rows:5,layout:staircase,arq:onreq",
        "fec,cols:5,rows:-5,layout:even,arq:onreq",
    ] {
        let pair = run(filter, 0.05);
        assert_eq!(
            (pair.delivered, pair.skipped),
            (pair.written, 0),
            "{filter}"
        );
        let (retransmitted, lost) = pair.shares();
        assert!(
            retransmitted < 0.7 * lost,
            "{filter}: {retransmitted} for {lost}"
        );
        let receive = pair.receiver.connection.stats(pair.now).receive;
        assert!(receive.fec.rebuilt > 100, "{filter}: {:?}", receive.fec);
    }
}

#[test]
fn both_at_once_recover_everything() {
    for filter in [
        "fec,cols:10,rows:1,arq:always",
        "fec,cols:10,rows:5,layout:even,arq:always",
        "fec,cols:10,rows:5,layout:staircase,arq:always",
    ] {
        let pair = run(filter, 0.05);
        pair.assert_recovered();
    }
}

#[test]
fn encrypted_packets_are_rebuilt_as_they_were_sent() {
    for mode in [CryptoMode::Ctr, CryptoMode::Gcm] {
        let policy = RefreshPolicy {
            refresh_packets: 1_000,
            pre_announce_packets: 500,
        };
        let setup = Setup {
            keys: Some((KeyLength::Aes128, mode, policy)),
            filter: Some("fec,cols:8,rows:8,layout:staircase,arq:never"),
            ..Setup::default()
        };
        let mut pair = Pair::new(setup.network(0.01, 40));
        pair.run(SPAN);
        assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
        let receive = pair.receiver.connection.stats(pair.now).receive;
        assert!(receive.fec.rebuilt > 50);
        assert_eq!(receive.undecryptable, 0);
    }
}

#[test]
fn data_packets_of_one_length_follow_one_another() {
    let mut pair = Pair::new(Setup {
        filter: Some("fec,cols:5,rows:1"),
        forth: Conditions::default(),
        ..Setup::default()
    });
    for _ in 0..20 {
        pair.write();
    }
    let now = pair.sender.clock(pair.now);
    let mut out = [0; 1_500];
    let mut lengths = Vec::new();
    while let Some(length) = pair.sender.connection.poll_transmit(now, &mut out) {
        assert!(matches!(Packet::parse(&out[..length]), Ok(Packet::Data(_))));
        lengths.push(length);
    }
    // A FEC packet has the full payload size of the settings.
    let row = [112, 112, 112, 112, 112, 16 + 4 + 1_316];
    assert_eq!(lengths, row.repeat(4));
}
