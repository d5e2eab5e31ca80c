//! Many callers at one listener output while forged handshakes pour in on the same port: nobody notices.

mod callers;
mod flood;

use std::time::{Duration, Instant};

use bilbycast_tests::node::Node;
use bilbycast_tests::rtp::ts_payload;
use bilbycast_tests::{address, flows, udp, wait};
use serde_json::{Value, json};

use callers::{Crowd, Kind, NUMBER_AT};
use flood::Flood;

/// Callers that are there before the flood.
const CALLERS: usize = 50;

/// Callers that come during the flood with a passphrase, which the listener does not have.
const REFUSED: usize = 3;

/// 1,316 bytes at 0.5 Mb/s.
const INTERVAL: Duration = Duration::from_micros(21_056);

/// Forged handshakes a second, and how many of them: 3 s.
const FORGED_PER_SECOND: u32 = 5_000;
const FORGED: u32 = 15_000;

/// What a machine of two busy CPUs may take for what is done in a moment on a quiet one.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn forged_handshakes_change_nothing_for_fifty_callers() {
    let (listener, feed) = (address::next_addr(), address::next_addr());
    let output = json!({
        "type": "srt", "id": "out", "name": "Out", "mode": "listener", "local_addr": listener, "latency_ms": 500
    });
    let node = Node::start(&[flows::flow("main", flows::udp_input(feed), &[output])]);
    let mut crowd = Crowd::new(listener);
    for _ in 0..CALLERS {
        crowd.call(Kind::Ordinary);
    }
    crowd.turn_until("all callers are connected", LIMIT, |crowd| {
        crowd.connected() == CALLERS
    });

    let socket = udp::sending(address::own_ip().into(), feed).unwrap();
    let flood = Flood::start(listener, FORGED, FORGED_PER_SECOND);
    let start = Instant::now();
    let mut sent = 0;
    let mut others_have_called = false;
    while !flood.is_over() {
        if start.elapsed() >= INTERVAL * sent {
            let mut datagram = ts_payload(7);
            datagram[NUMBER_AT].copy_from_slice(&sent.to_be_bytes());
            socket.send(&datagram).unwrap();
            sent += 1;
        }
        // Whoever calls while the flood lasts is answered like anybody.
        if !others_have_called && flood.sent() > FORGED / 3 {
            others_have_called = true;
            crowd.call(Kind::Late);
            for _ in 0..REFUSED {
                crowd.call(Kind::WithPassphrase);
            }
        }
        crowd.turn();
        wait::pass(Duration::from_millis(1));
    }
    let answers = flood.finish();
    crowd.turn_until("everything has come to everybody", LIMIT, |crowd| {
        crowd.have_all(sent) && crowd.refused() == REFUSED
    });

    crowd.assert_undisturbed(sent);
    assert!(
        answers.count > u64::from(FORGED) / 4,
        "the flood does reach the listener: {answers:?}"
    );
    assert!(
        answers.bytes_max <= answers.question_bytes_min,
        "an answer to a forged address is no larger than the question: {answers:?}"
    );
    let callers = CALLERS + 1;
    let stats = node.wait_stats("main", "everything is counted", LIMIT, |stats| {
        stats["outputs"][0]["srt_stats"]["callers"] == callers
            && stats["outputs"][0]["packets_sent"] == sent
            && has_each(&stats["outputs"][0]["srt_stats"], callers, sent)
    });
    let (output, leg) = (&stats["outputs"][0], &stats["outputs"][0]["srt_stats"]);
    assert_eq!(output["packets_dropped"], 0, "{stats:#}");
    assert_eq!(leg["pkt_drop_total"], 0, "{stats:#}");
    // Forged questions leave nothing behind; who returned the cookie and did not fit is counted.
    assert_eq!(leg["connects_total"], callers, "{stats:#}");
    assert_eq!(leg["rejected_total"], REFUSED, "{stats:#}");
    let events = node.api().get("/api/v1/events").data();
    let events = events["events"].as_array().cloned().unwrap_or_default();
    let told = events.iter().filter(|event| event["category"] == "srt");
    assert!(told.count() <= callers + REFUSED, "{events:#?}");
}

/// Whether so many callers are listed, each of which has been sent everything since it called.
fn has_each(leg: &Value, callers: usize, sent: u32) -> bool {
    let peers = leg["peers"].as_array().map_or(&[][..], Vec::as_slice);
    let has_all = |peer: &Value| {
        let total = |field: &str| peer[field].as_u64().unwrap_or(0);
        total("pkt_sent_total") - total("pkt_retransmit_total") == u64::from(sent)
    };
    // The last one called while it was going on.
    peers.len() == callers && peers[..callers - 1].iter().all(has_all) && leg["peers_left_out"] == 0
}
