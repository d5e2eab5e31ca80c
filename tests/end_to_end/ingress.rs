//! What inputs keep out, as a user sees it: the filters of configuration.md 7.4 and the bandwidth limit of 4.1, each on a
//! flow of its own in one node.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::rtp::RtpPacket;
use bilbycast_tests::{address, flows, udp, wait};
use serde_json::{Value, json};

/// A flow with an RTP input, and what comes out of it.
struct Line {
    id: &'static str,
    bind_addr: SocketAddr,
    output: Recorder,
    flow: Value,
}

impl Line {
    /// `input` and `limit` are what the flow has besides.
    fn new(id: &'static str, input: &[(&str, Value)], limit: Option<Value>) -> Self {
        let bind_addr = address::next_addr();
        let output = Recorder::start(address::next_addr());
        let plain = flows::rtp_input(bind_addr);
        let input = input.iter().fold(plain, |input, (field, value)| {
            flows::with(input, field, value.clone())
        });
        let outputs = [flows::rtp_output("out", output.address())];
        let mut flow = flows::flow(id, input, &outputs);
        if let Some(limit) = limit {
            flow["bandwidth_limit"] = limit;
        }
        Self {
            id,
            bind_addr,
            output,
            flow,
        }
    }

    fn sender(&self, from: impl Into<IpAddr>) -> UdpSocket {
        udp::sending(from.into(), self.bind_addr).unwrap()
    }

    /// Waits until the input has let in and filtered so many packets.
    fn expect(&self, node: &Node, received: u64, filtered: u64) {
        let what = format!("{received} packets are let in and {filtered} are not");
        let stats = node.wait_stats(self.id, &what, Duration::from_secs(5), |stats| {
            let input = &stats["input"];
            input["packets_received"] == received && input["packets_filtered"] == filtered
        });
        assert_eq!(stats["input"]["packets_invalid"], 0, "{stats:#}");
        assert_eq!(stats["outputs"][0]["packets_sent"], received, "{stats:#}");
    }
}

fn limit(action: &str) -> Option<Value> {
    Some(json!({"max_bitrate_mbps": 1.0, "action": action, "grace_period_secs": 1}))
}

/// Sends 4 Mb/s on each of these sockets until `is_over`; returns how many packets each of them got.
fn send_until(sockets: &[UdpSocket], mut is_over: impl FnMut() -> bool) -> u64 {
    let mut sent = 0_u64;
    while !is_over() {
        // 19 packets of 1,328 bytes in 50 ms are 4 Mb/s.
        for _ in 0..19 {
            let packet = RtpPacket::plain(5, sent as u16).to_bytes();
            for socket in sockets {
                socket.send(&packet).unwrap();
            }
            sent += 1;
        }
        wait::pass(Duration::from_millis(50));
        assert!(sent < 19 * 20 * 15, "it has not come in 15 s");
    }
    sent
}

/// How many packets a bucket of 2 Mb/s lets pass that come at once: one takes 5.3 ms, and the next begins within the 10 ms.
const BURST_PACKETS: u64 = 2;

#[test]
fn each_flow_keeps_out_what_it_is_told_to() {
    let friend = address::other_ip();
    let sources = Line::new("sources", &[("allowed_sources", json!([friend]))], None);
    let range = format!("{friend}/32");
    let ranges = Line::new("ranges", &[("allowed_sources", json!([range]))], None);
    let types = Line::new("types", &[("allowed_payload_types", json!([33, 98]))], None);
    let policed = Line::new("policed", &[("max_bitrate_mbps", json!(2.0))], None);
    let alarm = Line::new("alarm", &[], limit("alarm"));
    let block = Line::new("block", &[], limit("block"));
    let open = Line::new("open", &[], None);
    let lines = [&sources, &ranges, &types, &policed, &alarm, &block, &open];
    let node = Node::start(&lines.map(|line| line.flow.clone()));

    for sequence in 0..20 {
        let packet = RtpPacket::plain(5, sequence);
        let other = RtpPacket {
            payload_type: 96 + (sequence % 3) as u8,
            ..packet.clone()
        };
        for line in [&sources, &ranges] {
            let socket = line.sender(friend);
            socket.send(&packet.to_bytes()).unwrap();
            line.sender(address::own_ip())
                .send(&packet.to_bytes())
                .unwrap();
        }
        types.sender(friend).send(&packet.to_bytes()).unwrap();
        types.sender(friend).send(&other.to_bytes()).unwrap();
    }
    sources.expect(&node, 20, 20);
    ranges.expect(&node, 20, 20);
    // Of the other types 98 is let in, each third packet.
    types.expect(&node, 26, 14);

    // All at once, so that the burst decides, and not how fast this test is.
    let burst: Vec<Vec<u8>> = (0..200)
        .map(|sequence| RtpPacket::plain(5, sequence).to_bytes())
        .collect();
    let socket = policed.sender(friend);
    for packet in &burst {
        socket.send(packet).unwrap();
    }
    let stats = node.wait_stats(
        "policed",
        "all are counted",
        Duration::from_secs(5),
        |stats| {
            let count = |field: &str| stats["input"][field].as_u64().unwrap_or(0);
            count("packets_received") + count("packets_filtered") == 200
        },
    );
    let passed = stats["input"]["packets_received"].as_u64().unwrap();
    // A test that is held up in between gives the bucket time; it would take 1 s to let all pass.
    assert!((BURST_PACKETS..150).contains(&passed), "{stats:#}");

    let exceeded = |id: &str| node.api().stats(id)["bandwidth_exceeded"] == true;
    let sockets = [&alarm, &block, &open].map(|line| line.sender(friend));
    let sent = send_until(&sockets, || exceeded("alarm") && exceeded("block"));
    let stats = node.api().stats("alarm");
    assert_eq!(stats["bandwidth_limit_mbps"], 1.0, "{stats:#}");
    assert_eq!(stats.get("bandwidth_blocked"), None, "{stats:#}");
    let stats = node.api().stats("block");
    assert_eq!(stats["bandwidth_blocked"], true, "{stats:#}");
    let stats = node.api().stats("open");
    for field in [
        "bandwidth_exceeded",
        "bandwidth_blocked",
        "bandwidth_limit_mbps",
    ] {
        assert_eq!(stats.get(field), None, "{stats:#}");
    }
    for (id, severity, text) in [
        ("alarm", "warning", "the limit is 1.000 Mb/s"),
        ("block", "critical", "is blocked"),
    ] {
        let event = node.wait_event(id, text, Duration::from_secs(5));
        assert_eq!(event["severity"], severity, "{event:#}");
        assert_eq!(event["category"], "bandwidth", "{event:#}");
        assert_eq!(event["details"]["action"], id, "{event:#}");
        assert_eq!(event["details"]["limit_mbps"], 1.0, "{event:#}");
        assert!(
            event["details"]["current_mbps"].as_f64().unwrap() > 1.0,
            "{event:#}"
        );
    }
    // What comes now is not forwarded by the flow that is blocked, and by nobody else's doing.
    let more = RtpPacket::plain(5, 60_000).to_bytes();
    for socket in &sockets {
        socket.send(&more).unwrap();
    }
    alarm.expect(&node, sent + 1, 0);
    open.expect(&node, sent + 1, 0);
    let stats = node.wait_stats(
        "block",
        "all are counted",
        Duration::from_secs(5),
        |stats| stats["input"]["packets_received"] == sent + 1,
    );
    let filtered = stats["input"]["packets_filtered"].as_u64().unwrap();
    assert!(filtered > 0, "{stats:#}");
    assert_eq!(
        stats["outputs"][0]["packets_sent"],
        sent + 1 - filtered,
        "{stats:#}"
    );

    // With less on the wire both are over, and the blocked one is open.
    for (id, text) in [
        ("alarm", "is within its limit"),
        ("block", "is no longer blocked"),
    ] {
        let event = node.wait_event(id, text, Duration::from_secs(10));
        assert_eq!(event["severity"], "info", "{event:#}");
        // Events come before the figures of the same moment.
        let over = |stats: &Value| {
            let fields = ["bandwidth_exceeded", "bandwidth_blocked"];
            fields.iter().all(|field| stats.get(field).is_none())
        };
        node.wait_stats(id, "it is over", Duration::from_secs(2), over);
    }
    let before = block.output.count();
    sockets[1].send(&more).unwrap();
    block.output.wait_count(before + 1, Duration::from_secs(5));
}
