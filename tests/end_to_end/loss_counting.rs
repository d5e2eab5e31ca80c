//! What RTP sequence numbers tell, counted by configuration.md 8, and everything forwarded as it came.

use std::net::UdpSocket;
use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::rtp::RtpPacket;
use bilbycast_tests::{address, flows, udp, wait};
use serde_json::{Value, json};

const SSRC: u32 = 77;

/// A flow with an RTP input and an RTP output.
struct Line {
    node: Node,
    socket: UdpSocket,
    output: Recorder,
    sent: Vec<Vec<u8>>,
}

impl Line {
    fn start() -> Self {
        let bind_addr = address::next_addr();
        let output = Recorder::start(address::next_addr());
        let rtp = flows::rtp_output("out", output.address());
        Self {
            node: Node::start(&[flows::flow("line", flows::rtp_input(bind_addr), &[rtp])]),
            socket: udp::sending(address::own_ip().into(), bind_addr).unwrap(),
            output,
            sent: Vec::new(),
        }
    }

    fn send(&mut self, sequence: u16) {
        self.send_packet(&RtpPacket::plain(SSRC, sequence));
    }

    fn send_packet(&mut self, packet: &RtpPacket) {
        let bytes = packet.to_bytes();
        self.socket.send(&bytes).unwrap();
        self.sent.push(bytes);
        // One at a time, so that the order at the output is the order of sending.
        self.output
            .wait_count(self.sent.len(), Duration::from_secs(2));
    }

    fn send_all(&mut self, sequences: impl IntoIterator<Item = u16>) {
        for sequence in sequences {
            self.send(sequence);
        }
    }

    /// Waits until the input's counters are these; the others must then be 0.
    #[track_caller]
    fn expect(self, counters: &Value) {
        let received = self.sent.len();
        let stats = self.node.wait_stats(
            "line",
            &format!("the input has counted {counters}"),
            Duration::from_secs(2),
            |stats| matches_all(&stats["input"], counters, received),
        );
        // Nothing is counted a second time afterwards.
        wait::pass(Duration::from_millis(500));
        let later = self.node.api().stats("line");
        assert!(
            matches_all(&later["input"], counters, received),
            "{stats:#} {later:#}"
        );
        let got = self.output.finish(Duration::from_millis(100));
        let got: Vec<Vec<u8>> = got.into_iter().map(|datagram| datagram.bytes).collect();
        assert!(got == self.sent, "forwarded as it came");
    }
}

fn matches_all(input: &Value, counters: &Value, received: usize) -> bool {
    const COUNTERS: [&str; 5] = [
        "packets_lost",
        "packets_invalid",
        "packets_duplicate",
        "packets_reordered",
        "source_restarts",
    ];
    let expected = |name: &str| counters.get(name).cloned().unwrap_or_else(|| json!(0));
    input["packets_received"] == received
        && COUNTERS.iter().all(|name| input[name] == expected(name))
}

#[test]
fn a_gap_is_loss() {
    let mut line = Line::start();
    line.send_all((0..50).chain(55..100).chain(101..150));
    line.expect(&json!({"packets_lost": 6}));
}

#[test]
fn a_gap_at_the_wrap_is_loss() {
    let mut line = Line::start();
    line.send_all((65_500..=65_533).chain(3..30));
    line.expect(&json!({"packets_lost": 5}));
}

#[test]
fn a_large_gap_is_loss_up_to_a_thousand() {
    let mut line = Line::start();
    line.send_all((0..10).chain(910..1_100));
    line.expect(&json!({"packets_lost": 900}));
}

#[test]
fn a_gap_above_a_thousand_is_a_restart_of_the_source() {
    let mut line = Line::start();
    line.send_all((0..10).chain(5_000..5_010));
    line.expect(&json!({"source_restarts": 1}));
}

#[test]
fn a_new_ssrc_is_a_restart_of_the_source() {
    let mut line = Line::start();
    line.send_all(0..10);
    for sequence in 700..710 {
        line.send_packet(&RtpPacket::plain(SSRC + 1, sequence));
    }
    line.expect(&json!({"source_restarts": 1}));
}

#[test]
fn packets_out_of_order_are_not_lost() {
    let mut line = Line::start();
    line.send_all((0..10).chain([11, 12, 10]).chain(13..150));
    line.expect(&json!({"packets_reordered": 1}));
}

#[test]
fn a_repeated_packet_is_a_duplicate() {
    let mut line = Line::start();
    line.send_all((0..10).chain([9]).chain(10..150));
    line.expect(&json!({"packets_duplicate": 1}));
}

#[test]
fn what_is_not_rtp_is_dropped_and_counted() {
    let mut line = Line::start();
    line.send_all(0..10);
    let mut truncated = RtpPacket::plain(SSRC, 10).to_bytes();
    truncated[0] |= 0x0f;
    truncated.truncate(20);
    let mut ts = RtpPacket::plain(SSRC, 10).payload;
    ts.truncate(188);
    let rubbish: [&[u8]; 5] = [
        b"\x80",
        &[0xff; 1_400],
        &truncated,
        &ts,
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for datagram in rubbish {
        line.socket.send(datagram).unwrap();
    }
    line.send_all(10..20);
    line.expect(&json!({"packets_invalid": rubbish.len()}));
}

#[test]
fn an_empty_datagram_is_no_rtp_either() {
    let mut line = Line::start();
    line.send_all(0..10);
    line.socket.send(b"").unwrap();
    line.send_all(10..20);
    line.expect(&json!({"packets_invalid": 1}));
}
