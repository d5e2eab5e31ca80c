//! ST 2022-7 over two SRT connections.

use std::net::SocketAddr;
use std::time::Duration;

use bilbycast_tests::link::{Impairment, Link};
use bilbycast_tests::node::Node;
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::sink::{Framing, Sink};
use bilbycast_tests::{address, flows, udp, wait};
use serde_json::{Value, json};

const SSRC: u32 = 21;

const SOON: Duration = Duration::from_secs(15);

fn links(legs: [SocketAddr; 2], loss_per_mille: u32) -> [Link; 2] {
    [(legs[0], 5), (legs[1], 15)].map(|(leg, delay_ms)| {
        let impairment = Impairment {
            delay: Duration::from_millis(delay_ms),
            loss_per_mille,
            ..Impairment::default()
        };
        Link::start(address::next_addr(), leg, impairment)
    })
}

/// An output with a caller for each of `remotes`.
fn output(remotes: [SocketAddr; 2], latency_ms: [u64; 2]) -> Value {
    let any = SocketAddr::new(address::own_ip().into(), 0);
    let caller = |leg: usize| json!({"mode": "caller", "local_addr": any, "remote_addr": remotes[leg], "latency_ms": latency_ms[leg]});
    let mut output = caller(0);
    output["type"] = json!("srt");
    output["id"] = json!("legs");
    output["name"] = json!("Legs");
    output["redundancy"] = caller(1);
    output
}

/// An input with a listener on each of `legs`.
fn input(legs: [SocketAddr; 2], latency_ms: [u64; 2], path_differential_ms: u32) -> Value {
    let listener = |leg: usize| json!({"mode": "listener", "local_addr": legs[leg], "latency_ms": latency_ms[leg]});
    let mut input = listener(0);
    input["type"] = json!("srt");
    input["redundancy"] = listener(1);
    input["redundancy"]["path_differential_ms"] = json!(path_differential_ms);
    input
}

fn wait_connected(node: &Node) {
    wait::until_true("both legs are connected", SOON, || {
        let stats = node.api().stats("back");
        let input = &stats["input"];
        input["srt_stats"]["callers"] == 1 && input["srt_leg2_stats"]["callers"] == 1
    });
}

/// Our own output into our own input over two links, one of which is cut: nothing is missing, and RTP headers are whole.
#[test]
fn two_srt_legs_survive_the_loss_of_one() {
    let legs = [address::next_addr(), address::next_addr()];
    let links = links(legs, 0);
    let feed = address::next_addr();
    let sink = Sink::start("output", address::next_addr(), SSRC, Framing::Rtp);
    let output = output([links[0].address(), links[1].address()], [60, 60]);
    let node = Node::start(&[
        flows::flow("front", flows::rtp_input(feed), &[output]),
        flows::flow(
            "back",
            input(legs, [60, 60], 100),
            &[flows::rtp_output("out", sink.address())],
        ),
    ]);
    wait_connected(&node);
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
    let sum = |stats: &Value, field: &str| -> u64 {
        let legs = stats["input"]["legs"].as_array().unwrap();
        legs.iter().map(|leg| leg[field].as_u64().unwrap()).sum()
    };
    let stats = node.wait_stats("back", "all is counted on both legs", SOON, |stats| {
        sum(stats, "packets_received") + sum(stats, "packets_lost") == 2 * sent
    });
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    assert!(
        stats["input"]["redundancy_switches"].as_u64().unwrap() > 0,
        "{stats:#}"
    );
    assert_eq!(
        stats["media_analysis"]["payload_format"], "rtp_ts",
        "{stats:#}"
    );
    // Every packet came first on one of the legs; what SRT sent again after a cut came too late for the merge.
    assert_eq!(sum(&stats, "packets_used"), sent, "{stats:#}");
    assert_eq!(sum(&stats, "packets_foreign"), 0, "{stats:#}");
    let legs = stats["input"]["legs"].as_array().unwrap();
    assert!(
        legs.iter()
            .all(|leg| leg["packets_late"].as_u64() > Some(0)),
        "{stats:#}"
    );
    let shown = &stats["media_analysis"]["redundancy"]["legs"];
    assert_eq!(
        shown[1]["packets_received"], legs[1]["packets_received"],
        "{stats:#}"
    );
}

/// As people see it: health, events and figures while legs go and come.
#[test]
fn legs_that_go_and_come_are_told() {
    let legs = [address::next_addr(), address::next_addr()];
    let links = links(legs, 0);
    let output = output([links[0].address(), links[1].address()], [60, 60]);
    let filter = "fec,cols:10,rows:1";
    let output = flows::with(output, "packet_filter", filter);
    let input = flows::with(input(legs, [60, 60], 100), "packet_filter", filter);
    let node = Node::start(&[
        flows::flow("front", flows::test_input(4.0), &[output]),
        flows::flow("back", input, &[]),
    ]);
    let healthy = |stats: &Value| {
        let legs = &stats["input"]["legs"];
        stats["health"] == "Healthy" && legs[0]["up"] == true && legs[1]["up"] == true
    };
    let stats = node.wait_stats("back", "all is well", SOON, |stats| {
        healthy(stats) && !stats["media_analysis"].is_null()
    });
    let fec = &stats["media_analysis"]["fec"];
    assert_eq!(fec["standard"], "SRT packet filter", "{stats:#}");
    assert_eq!(
        (&fec["columns"], &fec["rows"]),
        (&json!(10), &json!(1)),
        "{stats:#}"
    );
    links[1].set_cut(true);
    let event = node.wait_event("back", "leg 2 is lost", SOON);
    assert_eq!(event["severity"], "warning", "{event:#}");
    assert_eq!(event["category"], "redundancy", "{event:#}");
    assert_eq!(event["details"]["leg"], 2, "{event:#}");
    let stats = node.wait_stats("back", "it warns", SOON, |stats| {
        stats["health"] == "Warning"
    });
    // The connection is there, and brings nothing.
    assert_eq!(stats["input"]["legs"][1]["up"], false, "{stats:#}");
    assert_eq!(stats["input"]["legs"][1]["state"], "connected", "{stats:#}");
    assert_eq!(stats["input"]["legs"][0]["state"], "receiving", "{stats:#}");
    links[0].set_cut(true);
    let event = node.wait_event("back", "all legs are lost", SOON);
    assert_eq!(event["severity"], "critical", "{event:#}");
    node.wait_stats("back", "it is critical", SOON, |stats| {
        stats["health"] == "Critical"
    });
    for link in &links {
        link.set_cut(false);
    }
    for leg in [1, 2] {
        let event = node.wait_event("back", &format!("leg {leg} is back"), SOON);
        assert_eq!(event["severity"], "info", "{event:#}");
    }
    let stats = node.wait_stats("back", "all is well again", SOON, healthy);
    assert_eq!(
        stats["input"]["srt_stats"]["connects_total"], 1,
        "{stats:#}"
    );
    let metrics = node.api().get("/metrics").text;
    assert!(metrics.contains("bilbycast_edge_flow_leg_up{flow_id=\"back\",leg=\"2\"} 1"));
}

/// Legs whose latencies differ by more than the merge can bridge: told when it is configured, and when it is measured.
/// Before leg 2 is there the first leg works alone.
#[test]
fn legs_that_are_too_far_apart_are_told() {
    let legs = [address::next_addr(), address::next_addr()];
    let nobody = address::next_addr();
    let near = flows::flow("near", flows::test_input(4.0), &[output(legs, [60, 400])]);
    let near = flows::with(near, "enabled", false);
    let node = Node::start(&[
        near,
        flows::flow(
            "other",
            input([nobody, address::next_addr()], [60, 60], 50),
            &[],
        ),
    ]);
    let back = flows::flow("back", input(legs, [60, 400], 50), &[]);
    let _created = node.api().post("/api/v1/flows", &back).data();
    let event = node.wait_event("back", "further apart than path_differential_ms, 50", SOON);
    assert_eq!(event["severity"], "warning", "{event:#}");
    assert_eq!(event["category"], "config", "{event:#}");
    let _started = node.api().act("/api/v1/flows/near/start").data();
    let event = node.wait_event("back", "later than the other leg", SOON);
    assert_eq!(event["severity"], "warning", "{event:#}");
    assert_eq!(event["category"], "redundancy", "{event:#}");
    assert_eq!(event["details"]["leg"], 2, "{event:#}");
    assert_eq!(event["details"]["path_differential_ms"], 50.0, "{event:#}");
    assert!(
        event["details"]["skew_ms"].as_f64() > Some(100.0),
        "{event:#}"
    );
    // Legs that never came are not missed for the first 15 s.
    let events = node.api().events();
    assert!(
        events.iter().all(|event| event["flow_id"] != "other"
            || event["category"] != "redundancy" && event["category"] != "config"
            || event["severity"] == "info"),
        "{events:#?}"
    );
}

/// The wrong programme on leg 2 is told, and nothing of it comes out.
#[test]
fn another_source_on_one_srt_leg_is_told() {
    let legs = [address::next_addr(), address::next_addr()];
    let feeds = [address::next_addr(), address::next_addr()];
    let sink = Sink::start("output", address::next_addr(), SSRC, Framing::Rtp);
    // With `redundancy` RTP travels whole; the second leg of each finds nobody.
    let front = |id: &str, place: usize| {
        let output = output([legs[place], address::next_addr()], [60, 60]);
        flows::flow(id, flows::rtp_input(feeds[place]), &[output])
    };
    let node = Node::start(&[
        front("right", 0),
        front("wrong", 1),
        flows::flow(
            "back",
            input(legs, [60, 60], 50),
            &[flows::rtp_output("out", sink.address())],
        ),
    ]);
    wait_connected(&node);
    let sending =
        |place: usize| vec![udp::sending(address::own_ip().into(), feeds[place]).unwrap()];
    let right = PacedSender::start(SSRC, 4_000_000, sending(0));
    sink.wait_number(100, SOON);
    let wrong = PacedSender::start(SSRC + 1, 4_000_000, sending(1));
    let event = node.wait_event("back", "leg 2 carries another source", SOON);
    assert_eq!(
        event["details"]["error_code"], "redundancy_ssrc_mismatch",
        "{event:#}"
    );
    let stats = node.api().stats("back");
    let leg = &stats["input"]["legs"][1];
    assert_eq!(leg["ssrc_mismatch"], true, "{stats:#}");
    assert!(leg["packets_foreign"].as_u64() > Some(0), "{stats:#}");
    assert_eq!(leg["packets_used"], 0, "{stats:#}");
    wrong.stop();
    let sent = right.stop();
    sink.finish(sent).assert_complete("output", 0, sent);
}

/// Both links lose packets while the control plane is killed and comes back.
#[test]
fn srt_legs_do_not_notice_the_end_of_the_control_plane() {
    let legs = [address::next_addr(), address::next_addr()];
    let links = links(legs, 30);
    let feed = address::next_addr();
    let sink = Sink::start("output", address::next_addr(), SSRC, Framing::Rtp);
    let output = output([links[0].address(), links[1].address()], [120, 120]);
    let mut node = Node::start(&[
        flows::flow("front", flows::rtp_input(feed), &[output]),
        flows::flow(
            "back",
            input(legs, [120, 120], 100),
            &[flows::rtp_output("out", sink.address())],
        ),
    ]);
    wait_connected(&node);
    let socket = udp::sending(address::own_ip().into(), feed).unwrap();
    let sender = PacedSender::start(SSRC, 10_000_000, vec![socket]);
    sink.wait_number(500, SOON);
    node.kill_controlplane();
    let killed_at = sender.sent();
    sink.wait_number(killed_at + 1_000, SOON);
    node.start_controlplane();
    let started_at = sender.sent();
    sink.wait_number(started_at + 300, SOON);
    let sent = sender.stop();
    sink.finish(sent).assert_complete("output", 0, sent);
    let stats = node.api().stats("back");
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    for leg in ["srt_stats", "srt_leg2_stats"] {
        let leg = &stats["input"][leg];
        assert_eq!(leg["connects_total"], 1, "{stats:#}");
        assert!(leg["pkt_loss_total"].as_u64() > Some(0), "{stats:#}");
    }
}
