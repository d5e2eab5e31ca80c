//! An output that cannot deliver harms neither its siblings nor its input.

use std::net::SocketAddr;
use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::sink::{Framing, Sink};
use bilbycast_tests::{address, flows, netns, udp};
use serde_json::Value;

const SSRC: u32 = 9;

/// 10,000 packets: a second of the stream.
const PACKETS: u64 = 10_000;

/// Streams through a flow whose first, third and last of five outputs are `failing`, and returns its statistics.
fn siblings_get_everything(failing: fn(&str) -> Value) -> Value {
    let bind_addr = address::next_addr();
    let rtp_sink = Sink::start("RTP sibling", address::next_addr(), SSRC, Framing::Rtp);
    let udp_sink = Sink::start("UDP sibling", address::next_addr(), SSRC, Framing::Raw);
    let outputs = [
        failing("failing-1"),
        flows::rtp_output("rtp", rtp_sink.address()),
        failing("failing-2"),
        flows::udp_output("udp", udp_sink.address()),
        failing("failing-3"),
    ];
    let node = Node::start(&[flows::flow("main", flows::rtp_input(bind_addr), &outputs)]);
    let socket = udp::sending(address::own_ip().into(), bind_addr).unwrap();
    let sender = PacedSender::start(SSRC, 100_000_000, vec![socket]);
    rtp_sink.wait_number(PACKETS, Duration::from_secs(10));
    let sent = sender.stop();
    rtp_sink
        .finish(sent)
        .assert_complete("RTP sibling", 0, sent);
    udp_sink
        .finish(sent)
        .assert_complete("UDP sibling", 0, sent);
    let stats = node.wait_stats(
        "main",
        "the counters are there",
        Duration::from_secs(2),
        |stats| {
            stats["outputs"][1]["packets_sent"] == sent
                && stats["outputs"][3]["packets_sent"] == sent
        },
    );
    assert_eq!(stats["state"], "Running", "{stats:#}");
    assert_eq!(stats["input"]["packets_received"], sent, "{stats:#}");
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    for sibling in [1, 3] {
        assert_eq!(stats["outputs"][sibling]["packets_dropped"], 0, "{stats:#}");
    }
    stats
}

/// The host answers every datagram with an ICMP "port unreachable", which the socket reports on the next send.
#[test]
fn nobody_listens_at_the_destination() {
    let stats = siblings_get_everything(|id| flows::udp_output(id, address::next_addr()));
    // A receiver that comes later must get the stream, so the output never gives up.
    assert_eq!(stats["outputs"][0]["state"], "active", "{stats:#}");
}

/// A route disappears in the middle of the programme and comes back.
#[test]
fn the_destination_becomes_unreachable_for_a_while() {
    if let Err(reason) = netns::enter() {
        bilbycast_test_peers::skip(reason);
        return;
    }
    let bind_addr = address::next_addr();
    let sibling = Sink::start("sibling", address::next_addr(), SSRC, Framing::Rtp);
    let far_addr = SocketAddr::new(address::other_ip().into(), address::next_port());
    let far = Sink::start("far receiver", far_addr, SSRC, Framing::Rtp);
    let outputs = [
        flows::rtp_output("far", far_addr),
        flows::rtp_output("near", sibling.address()),
    ];
    let node = Node::start(&[flows::flow("main", flows::rtp_input(bind_addr), &outputs)]);
    let socket = udp::sending(address::own_ip().into(), bind_addr).unwrap();
    let sender = PacedSender::start(SSRC, 20_000_000, vec![socket]);
    far.wait_number(500, Duration::from_secs(5));
    // In the local table the longer prefix outranks 127/8.
    let route = format!("{}/32", far_addr.ip());
    let routed = |verb: &str| {
        netns::run(
            "ip",
            &["route", verb, "unreachable", &route, "table", "local"],
        )
    };
    routed("add").unwrap();
    let far_before = far.received();
    sibling.wait_number(sender.sent() + 2_000, Duration::from_secs(5));
    let far_during = far.received();
    routed("del").unwrap();
    far.wait_number(sender.sent() + 500, Duration::from_secs(5));
    let sent = sender.stop();
    assert!(
        far_during < far_before + 200,
        "the route was gone: {far_before} {far_during}"
    );
    sibling.finish(sent).assert_complete("sibling", 0, sent);
    let harvest = far.finish(sent);
    assert!(
        harvest.arrivals.len() as u64 + 1_000 < sent,
        "the far receiver missed some"
    );
    assert_eq!(harvest.corrupt, 0);
    let stats = node.api().stats("main");
    let far = &stats["outputs"][0];
    let near = &stats["outputs"][1];
    assert_eq!(near["packets_dropped"], 0, "{stats:#}");
    assert!(
        far["packets_dropped"].as_u64().unwrap() + far["send_errors"].as_u64().unwrap() > 0,
        "what did not leave is counted: {stats:#}"
    );
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
}

/// A link of 5 Mb/s under a stream of 40: the output drops by itself and counts it.
#[test]
fn a_link_that_is_too_slow_costs_only_its_own_output() {
    if let Err(reason) = netns::enter().and_then(|()| narrow(&address::other_ip().to_string())) {
        bilbycast_test_peers::skip(reason);
        return;
    }
    let bind_addr = address::next_addr();
    let sibling = Sink::start("sibling", address::next_addr(), SSRC, Framing::Rtp);
    let slow_addr = SocketAddr::new(address::other_ip().into(), address::next_port());
    let slow = Sink::start("slow receiver", slow_addr, SSRC, Framing::Rtp);
    let outputs = [
        flows::rtp_output("slow", slow_addr),
        flows::rtp_output("near", sibling.address()),
    ];
    let node = Node::start(&[flows::flow("main", flows::rtp_input(bind_addr), &outputs)]);
    let socket = udp::sending(address::own_ip().into(), bind_addr).unwrap();
    let sender = PacedSender::start(SSRC, 40_000_000, vec![socket]);
    let stats = node.wait_stats(
        "main",
        "the slow output drops",
        Duration::from_secs(10),
        |stats| stats["outputs"][0]["packets_dropped"].as_u64().unwrap() > 1_000,
    );
    let sent = sender.stop();
    // A queue on the loopback interface is emptied by whichever CPU comes by, and each has a receive queue of its own.
    let harvest = sibling.finish(sent).in_order_of_numbers();
    harvest.assert_complete("sibling", 0, sent);
    assert!(slow.received() > 100, "what the link carries arrives");
    assert_eq!(stats["outputs"][1]["packets_dropped"], 0, "{stats:#}");
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
}

/// Everything to `slow` goes through a queue of 5 Mb/s that is longer than any socket buffer.
fn narrow(slow: &str) -> Result<(), String> {
    let slow = format!("{slow}/32");
    let commands: [&[&str]; 5] = [
        &[
            "qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb", "default", "10",
        ],
        &[
            "class", "add", "dev", "lo", "parent", "1:", "classid", "1:10", "htb", "rate", "10gbit",
        ],
        &[
            "class", "add", "dev", "lo", "parent", "1:", "classid", "1:20", "htb", "rate", "5mbit",
        ],
        &[
            "qdisc", "add", "dev", "lo", "parent", "1:20", "pfifo", "limit", "100000",
        ],
        &[
            "filter", "add", "dev", "lo", "parent", "1:", "protocol", "ip", "u32", "match", "ip",
            "dst", &slow, "flowid", "1:20",
        ],
    ];
    commands
        .iter()
        .try_for_each(|arguments| netns::run("tc", arguments))
}

/// It comes and goes: the same output delivers as soon as somebody listens.
#[test]
fn a_receiver_that_comes_later_gets_the_stream() {
    let bind_addr = address::next_addr();
    let dest_addr = address::next_addr();
    let output = flows::rtp_output("out", dest_addr);
    let node = Node::start(&[flows::flow("main", flows::rtp_input(bind_addr), &[output])]);
    let socket = udp::sending(address::own_ip().into(), bind_addr).unwrap();
    let sender = PacedSender::start(SSRC, 10_000_000, vec![socket]);
    node.wait_stats(
        "main",
        "the stream flows",
        Duration::from_secs(3),
        |stats| stats["input"]["packets_received"].as_u64().unwrap() > 500,
    );
    let sink = Sink::start("late receiver", dest_addr, SSRC, Framing::Rtp);
    let listening_since = sender.sent();
    sink.wait_number(listening_since + 1_000, Duration::from_secs(5));
    let sent = sender.stop();
    let harvest = sink.finish(sent);
    let first = harvest.arrivals.first().unwrap().stamp.number;
    // What was on its way when it began to listen may or may not have met it.
    assert!(
        first <= listening_since + 20,
        "{first}, listening since {listening_since}"
    );
    harvest.assert_complete("late receiver", first, sent);
}

/// As when a box starts before its network is up: the flow runs, and the output begins when there is a way.
#[test]
fn a_destination_may_be_out_of_reach_at_the_start() {
    if let Err(reason) = netns::enter() {
        bilbycast_test_peers::skip(reason);
        return;
    }
    let bind_addr = address::next_addr();
    let sibling = Sink::start("sibling", address::next_addr(), SSRC, Framing::Rtp);
    let far_addr = SocketAddr::new(address::other_ip().into(), address::next_port());
    let route = format!("{}/32", far_addr.ip());
    let routed = |verb: &str| {
        netns::run(
            "ip",
            &["route", verb, "unreachable", &route, "table", "local"],
        )
    };
    routed("add").unwrap();
    let outputs = [
        flows::rtp_output("far", far_addr),
        flows::rtp_output("near", sibling.address()),
    ];
    let node = Node::start(&[flows::flow("main", flows::rtp_input(bind_addr), &outputs)]);
    let socket = udp::sending(address::own_ip().into(), bind_addr).unwrap();
    let sender = PacedSender::start(SSRC, 20_000_000, vec![socket]);
    sibling.wait_number(500, Duration::from_secs(5));
    node.wait_stats(
        "main",
        "what does not leave is counted",
        Duration::from_secs(3),
        |stats| {
            let far = &stats["outputs"][0];
            far["packets_dropped"].as_u64() >= Some(500) && far["send_errors"].as_u64() > Some(0)
        },
    );
    routed("del").unwrap();
    let far = Sink::start("far receiver", far_addr, SSRC, Framing::Rtp);
    far.wait_number(sender.sent() + 500, Duration::from_secs(5));
    let sent = sender.stop();
    sibling.finish(sent).assert_complete("sibling", 0, sent);
    assert_eq!(far.finish(sent).corrupt, 0);
    let stats = node.api().stats("main");
    assert_eq!(stats["state"], "Running", "{stats:#}");
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    assert_eq!(stats["outputs"][0]["state"], "active", "{stats:#}");
    assert_eq!(stats["outputs"][1]["packets_dropped"], 0, "{stats:#}");
}
