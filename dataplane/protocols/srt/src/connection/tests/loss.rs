//! Loss, reordering, duplication and rate limits.

use crate::handshake::RetransmitAlgorithm;
use crate::time::Micros;

use super::link::Conditions;
use super::pair::{Pair, Setup};

const SPAN: Micros = Micros::from_secs(15);

#[test]
fn nothing_is_lost_and_nothing_sent_again_on_a_clean_link() {
    let mut pair = Pair::new(Setup::default());
    pair.run(SPAN);
    pair.assert_recovered();
    let (sender, receiver) = (
        pair.sender.connection.stats(pair.now),
        pair.receiver.connection.stats(pair.now),
    );
    assert_eq!(sender.send.retransmitted, 0);
    assert_eq!(sender.send.in_flight, 0, "all is acknowledged");
    assert_eq!(
        (receiver.receive.naks, receiver.malformed, sender.malformed),
        (0, 0, 0)
    );
    assert_eq!(receiver.receive.delivered, pair.written);
    let rtt = receiver.rtt.unwrap();
    assert!(rtt.0.abs_diff(40_000) < 1_000, "{rtt:?}");
    assert_eq!((sender.ignored, receiver.ignored), (0, 0));
}

#[test]
fn two_percent_at_500_ms_is_recovered() {
    for seed in 1..4 {
        let mut pair = Pair::new(
            Setup {
                seed,
                ..Setup::default()
            }
            .network(0.02, 40),
        );
        pair.run(SPAN);
        pair.assert_recovered();
    }
}

#[test]
fn five_percent_at_400_ms_is_recovered() {
    for seed in 1..4 {
        let setup = Setup {
            seed,
            latency: Micros::from_millis(400),
            ..Setup::default()
        };
        let mut pair = Pair::new(setup.network(0.05, 40));
        pair.run(SPAN);
        pair.assert_recovered();
    }
}

#[test]
fn twenty_percent_is_recovered_where_the_latency_allows() {
    let setup = Setup {
        latency: Micros::from_millis(1_500),
        ..Setup::default()
    };
    let mut pair = Pair::new(setup.network(0.2, 60));
    pair.run(SPAN);
    assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
    let (retransmitted, lost) = pair.shares();
    // Each retransmission may be lost too: 0.2 + 0.04 + ... of the stream.
    assert!(
        retransmitted <= 1.25 * 1.2 * lost,
        "{retransmitted} for {lost}"
    );
}

#[test]
fn half_a_second_each_way_is_no_obstacle() {
    let mut setup = Setup {
        latency: Micros::from_millis(5_000),
        ..Setup::default()
    };
    // Five seconds and a round trip at 1,900 packets per second.
    setup.settings.recv_buffer_packets = 16_384;
    setup.settings.send_buffer_packets = 16_384;
    let mut pair = Pair::new(setup.network(0.02, 1_000));
    pair.run(SPAN);
    pair.assert_recovered();
}

#[test]
fn a_local_link_is_recovered_too() {
    let setup = Setup {
        latency: Micros::from_millis(120),
        ..Setup::default()
    };
    let mut pair = Pair::new(setup.network(0.02, 0));
    pair.run(SPAN);
    pair.assert_recovered();
}

#[test]
fn jitter_and_duplication_cost_no_retransmission() {
    let conditions = Conditions {
        jitter: Micros::from_millis(30),
        duplication: 0.1,
        loss: 0.02,
        ..Conditions::default()
    };
    let mut pair = Pair::new(Setup {
        forth: conditions,
        back: conditions,
        ..Setup::default()
    });
    pair.run(SPAN);
    pair.assert_recovered();
    let counts = pair.receiver.connection.stats(pair.now).receive.counts;
    assert!(counts.duplicate + counts.belated > 1_000, "{counts:?}");
}

#[test]
fn reordering_is_tolerated_up_to_the_configured_number_of_packets() {
    // Up to 3 ms late at one packet every 526 us: by six packets.
    let conditions = Conditions {
        jitter: Micros::from_millis(3),
        reorder: true,
        ..Conditions::default()
    };
    let share = |tolerance| {
        let mut setup = Setup {
            forth: conditions,
            ..Setup::default()
        };
        setup.settings.loss_max_ttl = tolerance;
        let mut pair = Pair::new(setup);
        pair.run(SPAN);
        assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
        pair.shares().0
    };
    assert!(
        share(0) > 0.3,
        "every packet that is overtaken is asked for"
    );
    assert!(share(10) < 0.01);
}

#[test]
fn a_link_just_above_the_rate_of_the_stream_recovers() {
    // 96 + 16 bytes every 526 us are 213 kB/s.
    let conditions = Conditions {
        rate: 260_000,
        loss: 0.02,
        ..Conditions::default()
    };
    let mut pair = Pair::new(Setup {
        forth: conditions,
        ..Setup::default()
    });
    pair.run(SPAN);
    pair.assert_recovered();
}

#[test]
fn the_limit_of_retransmissions_holds() {
    for (limit, expected) in [(0, 0..1), (2_000, 150..290)] {
        let mut setup = Setup::default().network(0.05, 40);
        setup.settings.max_rexmit_bw = Some(limit);
        let mut pair = Pair::new(setup);
        pair.run(SPAN);
        let retransmitted = pair.sender.connection.stats(pair.now).send.retransmitted;
        assert!(
            expected.contains(&retransmitted),
            "{retransmitted} at {limit} bytes/s"
        );
        assert!(pair.skipped > 100, "what is not sent again is skipped");
    }
}

#[test]
fn a_bandwidth_limit_shapes_the_stream() {
    let mut setup = Setup {
        payload: 1_316,
        interval: Micros(1_000),
        ..Setup::default()
    };
    setup.settings.max_bw = Some(1_000_000);
    setup.settings.send_buffer_packets = 100;
    let mut pair = Pair::new(setup);
    pair.write_for(SPAN);
    let stats = pair
        .sender
        .connection
        .stats(pair.sender.clock(pair.now))
        .send;
    let sent = stats.packets * 1_332;
    assert!(sent.abs_diff(15_000_000) < 300_000, "{sent} bytes in 15 s");
    assert!(
        stats.refused > 3_000,
        "the rest was refused: {}",
        stats.refused
    );
    assert!(stats.buffer_packets <= 100);
}

#[test]
fn nobody_retransmits_what_is_under_way() {
    for algorithm in [RetransmitAlgorithm::Default, RetransmitAlgorithm::Reduced] {
        let jitter = Conditions {
            jitter: Micros::from_millis(15),
            loss: 0.02,
            ..Conditions::default()
        };
        let mut setup = Setup {
            forth: jitter,
            back: jitter,
            ..Setup::default()
        };
        setup.settings.retransmit_algo = algorithm;
        let mut pair = Pair::new(setup);
        pair.run(SPAN);
        pair.assert_recovered();
        let stats = pair.receiver.connection.stats(pair.now).receive;
        assert!(
            stats.counts.duplicate + stats.counts.belated < 5,
            "{stats:?}"
        );
    }
}

#[test]
fn the_last_packet_of_a_burst_is_recovered_without_a_successor() {
    for peer_nak_report in [true, false] {
        let latency = Micros::from_millis(1_000);
        let setup = Setup {
            peer_nak_report,
            latency,
            ..Setup::default()
        };
        let mut pair = Pair::new(setup.network(0.1, 40));
        for _ in 0..40 {
            for _ in 0..3 {
                pair.write();
            }
            pair.transmit();
            pair.pause(Micros::from_secs(2));
        }
        assert_eq!(
            (pair.delivered, pair.skipped),
            (120, 0),
            "{peer_nak_report}"
        );
    }
}

#[test]
fn a_receiver_that_is_not_read_stops_the_sender() {
    let mut setup = Setup::default();
    setup.settings.recv_buffer_packets = 512;
    setup.settings.send_buffer_packets = 4_096;
    let mut pair = Pair::new(setup);
    pair.reading = false;
    pair.write_for(Micros::from_secs(2));
    let (send, receive) = (
        pair.sender.connection.stats(pair.now).send,
        pair.receiver.connection.stats(pair.now).receive,
    );
    assert!(
        send.packets <= 600,
        "{} sent into a window of 512",
        send.packets
    );
    // Two packets beyond the window are always allowed, and are repeated until there is room for them.
    assert!(receive.counts.no_room < 20, "{receive:?}");
    assert_eq!(receive.counts.lost, 0);
    pair.reading = true;
    pair.run(Micros::from_secs(1));
    // Those two are long too late when there is room.
    assert!(pair.skipped <= 2, "{} skipped", pair.skipped);
    assert_eq!(pair.delivered + pair.skipped, pair.written);
}

#[test]
fn both_directions_carry_data_at_once() {
    let mut pair = Pair::new(Setup::default().network(0.05, 40));
    let (mut sent, mut received) = (0_u32, 0_u32);
    let mut out = [0; 1_500];
    let end = Micros::from_secs(10);
    while pair.now < end + Micros::from_secs(2) {
        let writing = pair.now < end;
        pair.step(pair.now + Micros(1_000), writing);
        let now = pair.receiver.clock(pair.now);
        if writing {
            let message = sent.to_be_bytes();
            pair.receiver.connection.send(now, &[&message]).unwrap();
            sent += 1;
        }
        let now = pair.sender.clock(pair.now);
        while let Some(message) = pair.sender.connection.receive(now, &mut out) {
            assert_eq!(
                u32::from_be_bytes(out[..message.bytes].try_into().unwrap()),
                received
            );
            received += 1;
        }
    }
    assert_eq!(received, sent);
    assert!(sent > 10_000);
    assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
}
