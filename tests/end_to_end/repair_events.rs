//! What inputs with FEC or two legs tell of: each trouble once, with its code, and its end.

use std::net::SocketAddr;
use std::time::Duration;

use bilbycast_tests::link::{Impairment, Link};
use bilbycast_tests::node::Node;
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::sink::{Framing, Sink};
use bilbycast_tests::{address, flows, udp};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(15);

fn sending(dest: SocketAddr) -> std::net::UdpSocket {
    udp::sending(address::own_ip().into(), dest).unwrap()
}

/// How many events of the flow have this text.
fn count(node: &Node, flow_id: &str, text: &str) -> usize {
    let events = node.api().events();
    let is_it = |event: &&Value| {
        event["flow_id"] == flow_id
            && event["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
    };
    events.iter().filter(is_it).count()
}

#[test]
fn another_matrix_than_the_configured_one_is_told() {
    let input = address::next_fec_addr();
    let output = flows::rtp_output("out", input);
    let output = flows::with(output, "fec_encode", json!({"columns": 10, "rows": 6}));
    let decoding = flows::with(
        flows::rtp_input(input),
        "fec_decode",
        json!({"columns": 5, "rows": 5}),
    );
    let node = Node::start(&[
        flows::flow("front", flows::test_input(4.0), &[output]),
        flows::flow("back", decoding, &[]),
    ]);
    let event = node.wait_event("back", "not the configured one", SOON);
    assert_eq!(event["severity"], "warning", "{event:#}");
    assert_eq!(event["category"], "flow", "{event:#}");
    node.wait_stats("back", "the mismatch shows", SOON, |stats| {
        stats["input"]["fec_mismatch"] == true && stats["media_analysis"]["fec"]["mismatch"] == true
    });
    assert_eq!(count(&node, "back", "not the configured one"), 1);
}

#[test]
fn another_source_on_one_leg_and_the_loss_of_both_are_told() {
    let legs = [address::next_addr(), address::next_addr()];
    let sink = Sink::start("output", address::next_addr(), 31, Framing::Rtp);
    let second = json!({"bind_addr": legs[1], "path_differential_ms": 20});
    let input = flows::with(flows::rtp_input(legs[0]), "redundancy", second);
    let node = Node::start(&[flows::flow(
        "main",
        input,
        &[flows::rtp_output("out", sink.address())],
    )]);
    let right = PacedSender::start(31, 4_000_000, vec![sending(legs[0])]);
    sink.wait_number(100, SOON);
    let wrong = PacedSender::start(32, 4_000_000, vec![sending(legs[1])]);
    let event = node.wait_event("main", "leg 2 carries another source", SOON);
    assert_eq!(event["severity"], "warning", "{event:#}");
    assert_eq!(event["category"], "redundancy", "{event:#}");
    let details = &event["details"];
    assert_eq!(
        details["error_code"], "redundancy_ssrc_mismatch",
        "{event:#}"
    );
    assert_eq!(details["leg"], 2, "{event:#}");
    let stats = node.api().stats("main");
    let leg = &stats["input"]["legs"][1];
    assert_eq!(leg["ssrc_mismatch"], true, "{stats:#}");
    assert!(leg["packets_foreign"].as_u64().unwrap() > 0, "{stats:#}");
    assert_eq!(leg["packets_used"], 0, "{stats:#}");
    wrong.stop();
    let event = node.wait_event("main", "leg 2 carries the same source", SOON);
    assert_eq!(event["severity"], "info", "{event:#}");
    let sent = right.stop();
    // Nothing of the other source was mixed in.
    sink.finish(sent).assert_complete("output", 0, sent);
    let event = node.wait_event("main", "all legs are lost", SOON);
    assert_eq!(event["severity"], "critical", "{event:#}");
    assert_eq!(event["category"], "redundancy", "{event:#}");
    node.wait_stats("main", "it is critical", SOON, |stats| {
        stats["health"] == "Critical"
    });
    for text in [
        "leg 2 carries another source",
        "leg 1 is lost",
        "leg 2 is lost",
        "all legs are lost",
    ] {
        assert_eq!(count(&node, "main", text), 1, "{text}");
    }
}

/// Two SRT legs of raw transport stream, which may not be sent again; what is given up on the one that is forwarded is lost.
#[test]
fn raw_transport_stream_on_two_srt_legs_is_failover_and_its_losses_count() {
    let legs = [address::next_addr(), address::next_addr()];
    let links = legs.map(|leg| Link::start(address::next_addr(), leg, Impairment::default()));
    let any = SocketAddr::new(address::own_ip().into(), 0);
    let outputs: Vec<Value> = links
        .iter()
        .enumerate()
        .map(|(index, link)| {
            json!({"type": "srt", "id": format!("leg-{index}"), "name": "Leg", "mode": "caller", "local_addr": any,
                "remote_addr": link.address(), "latency_ms": 60, "max_rexmit_bw": 0})
        })
        .collect();
    let listener = |leg| json!({"mode": "listener", "local_addr": leg, "latency_ms": 60});
    let mut input = listener(legs[0]);
    input["type"] = json!("srt");
    input["redundancy"] = listener(legs[1]);
    let node = Node::start(&[
        flows::flow("front", flows::test_input(4.0), &outputs),
        flows::flow("back", input, &[]),
    ]);
    let event = node.wait_event("back", "no numbers to merge by", SOON);
    assert_eq!(event["severity"], "warning", "{event:#}");
    assert_eq!(
        event["details"]["error_code"], "redundancy_failover_mode",
        "{event:#}"
    );
    let stats = node.wait_stats("back", "both legs bring packets", SOON, |stats| {
        let legs = &stats["input"]["legs"];
        legs[0]["up"] == true
            && legs[1]["up"] == true
            && stats["media_analysis"]["payload_format"] == "raw_ts"
    });
    // Whichever leg came first is the first one, and no switch.
    let switches = &stats["input"]["redundancy_switches"];
    assert_eq!(switches, 0, "{stats:#}");
    let legs = &stats["input"]["legs"];
    let active = usize::from(legs[0]["packets_used"] == 0);
    assert_eq!(legs[1 - active]["packets_used"], 0, "{stats:#}");
    // Shorter than the second after which the other leg takes over. Again and again, for on a machine that is held up a
    // link may be cut for nothing.
    let mut stats = stats;
    for _ in 0..20 {
        links[active].set_cut(true);
        bilbycast_tests::wait::pass(Duration::from_millis(300));
        links[active].set_cut(false);
        bilbycast_tests::wait::pass(Duration::from_millis(500));
        stats = node.api().stats("back");
        if stats["input"]["packets_lost"].as_u64() > Some(0) {
            break;
        }
    }
    assert!(
        stats["input"]["packets_lost"].as_u64() > Some(0),
        "{stats:#}"
    );
    assert!(
        stats["input"]["legs"][active]["packets_lost"].as_u64() > Some(0),
        "{stats:#}"
    );
    let text = format!("leg {}: SRT gives up packets that are too late", active + 1);
    let event = node.wait_event("back", &text, SOON);
    assert_eq!(event["severity"], "warning", "{event:#}");
    assert_eq!(event["category"], "srt", "{event:#}");
    links[active].set_cut(true);
    let stats = node.wait_stats("back", "the other leg takes over", SOON, |stats| {
        stats["input"]["legs"][1 - active]["packets_used"].as_u64() > Some(0)
    });
    assert!(
        stats["input"]["redundancy_switches"].as_u64() > Some(0),
        "{stats:#}"
    );
    let text = format!("leg {} is lost", active + 1);
    let event = node.wait_event("back", &text, SOON);
    assert_eq!(event["category"], "redundancy", "{event:#}");
}

#[test]
fn packets_that_cannot_be_decrypted_are_told() {
    let input_addr = address::next_addr();
    let any = SocketAddr::new(address::own_ip().into(), 0);
    let output = json!({"type": "srt", "id": "out", "name": "Out", "mode": "caller", "local_addr": any,
        "remote_addr": input_addr, "passphrase": "one of ours, a long one", "enforced_encryption": false});
    let input = json!({"type": "srt", "mode": "listener", "local_addr": input_addr,
        "passphrase": "quite another passphrase", "enforced_encryption": false});
    let node = Node::start(&[
        flows::flow("front", flows::test_input(4.0), &[output]),
        flows::flow("back", input, &[]),
    ]);
    let event = node.wait_event("back", "cannot decrypt", SOON);
    assert_eq!(event["severity"], "warning", "{event:#}");
    assert_eq!(event["category"], "srt", "{event:#}");
    let stats = node.api().stats("back");
    assert_eq!(stats["input"]["packets_received"], 0, "{stats:#}");
    assert!(
        stats["input"]["srt_stats"]["pkt_undecrypt_total"].as_u64() > Some(0),
        "{stats:#}"
    );
}
