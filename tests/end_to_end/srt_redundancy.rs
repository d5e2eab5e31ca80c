//! ST 2022-7 over two SRT connections.

use std::time::Duration;

use bilbycast_tests::link::{Impairment, Link};
use bilbycast_tests::node::Node;
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::sink::{Framing, Sink};
use bilbycast_tests::{address, flows, udp, wait};
use serde_json::json;

const SSRC: u32 = 21;

/// Our own output into our own input over two links, one of which is cut: nothing is missing, and RTP headers are whole.
#[test]
fn two_srt_legs_survive_the_loss_of_one() {
    let legs = [address::next_addr(), address::next_addr()];
    let delay = |millis| Impairment {
        delay: Duration::from_millis(millis),
        ..Impairment::default()
    };
    let links = [
        Link::start(address::next_addr(), legs[0], delay(5)),
        Link::start(address::next_addr(), legs[1], delay(15)),
    ];
    let feed = address::next_addr();
    let sink = Sink::start("output", address::next_addr(), SSRC, Framing::Rtp);
    let any = std::net::SocketAddr::new(address::own_ip().into(), 0);
    let caller = |link: &Link| json!({"mode": "caller", "local_addr": any, "remote_addr": link.address(), "latency_ms": 60});
    let mut output = caller(&links[0]);
    output["type"] = json!("srt");
    output["id"] = json!("legs");
    output["name"] = json!("Legs");
    output["redundancy"] = caller(&links[1]);
    let listener = |leg| json!({"mode": "listener", "local_addr": leg, "latency_ms": 60});
    let mut input = listener(legs[0]);
    input["type"] = json!("srt");
    input["redundancy"] = listener(legs[1]);
    input["redundancy"]["path_differential_ms"] = json!(100);
    let node = Node::start(&[
        flows::flow("front", flows::rtp_input(feed), &[output]),
        flows::flow("back", input, &[flows::rtp_output("out", sink.address())]),
    ]);
    wait::until_true("both legs are connected", Duration::from_secs(10), || {
        let stats = node.api().stats("back");
        let input = &stats["input"];
        input["srt_stats"]["callers"] == 1 && input["srt_leg2_stats"]["callers"] == 1
    });
    let socket = udp::sending(address::own_ip().into(), feed).unwrap();
    let sender = PacedSender::start(SSRC, 10_000_000, vec![socket]);
    sink.wait_number(500, Duration::from_secs(10));
    for link in [1, 0] {
        links[link].set_cut(true);
        let now = sender.sent();
        sink.wait_number(now + 600, Duration::from_secs(10));
        links[link].set_cut(false);
        let now = sender.sent();
        sink.wait_number(now + 600, Duration::from_secs(10));
    }
    let sent = sender.stop();
    sink.finish(sent).assert_complete("output", 0, sent);
    let stats = node.api().stats("back");
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    assert!(
        stats["input"]["redundancy_switches"].as_u64().unwrap() > 0,
        "{stats:#}"
    );
}
