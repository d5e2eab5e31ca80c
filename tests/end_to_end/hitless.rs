//! ST 2022-7: what one leg lacks the other brings, and a cable that is pulled is not seen.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use bilbycast_tests::fec_path::{FecPath, FecStream};
use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::sink::{Framing, Sink};
use bilbycast_tests::{address, flows, netns, udp, wait};
use serde_json::{Value, json};

const SSRC: u32 = 11;

fn two_legs(legs: [SocketAddr; 2], path_differential_ms: u32) -> Value {
    let second = json!({"bind_addr": legs[1], "path_differential_ms": path_differential_ms});
    flows::with(flows::rtp_input(legs[0]), "redundancy", second)
}

/// Single packets and bursts of a hundred on leg 1; on leg 2 single packets and outages at other places.
fn loses(leg: usize, number: u64) -> bool {
    let on_first = number % 7 == 3 || (number / 100) % 5 == 1;
    if leg == 0 {
        on_first
    } else {
        !on_first && (number % 7 == 4 || (number / 100) % 5 == 3)
    }
}

/// Streams at `bitrate_bps` with losses on both legs, none of them of the same packet, and asks for everything.
fn nothing_is_lost(bitrate_bps: u64, packets: u64) {
    let legs = [address::next_addr(), address::next_addr()];
    let sink = Sink::start("output", address::next_addr(), SSRC, Framing::Rtp);
    let output = flows::rtp_output("out", sink.address());
    let node = Node::start(&[flows::flow("main", two_legs(legs, 50), &[output])]);
    let sockets = legs.map(|leg| udp::sending(address::own_ip().into(), leg).unwrap());
    let sender = PacedSender::start_lossy(SSRC, bitrate_bps, sockets.into(), loses);
    sink.wait_number(packets, Duration::from_secs(20));
    let sent = sender.stop();
    sink.finish(sent).assert_complete("output", 0, sent);
    let stats = node.wait_stats("main", "all is counted", Duration::from_secs(2), |stats| {
        stats["outputs"][0]["packets_sent"] == sent
    });
    let input = &stats["input"];
    assert_eq!(input["packets_received"], sent, "{stats:#}");
    assert_eq!(input["packets_lost"], 0, "{stats:#}");
    assert!(
        input["redundancy_switches"].as_u64().unwrap() > 0,
        "{stats:#}"
    );
    let legs = input["legs"].as_array().unwrap();
    assert_eq!(legs.len(), 2, "{stats:#}");
    let sum = |field: &str| -> u64 { legs.iter().map(|leg| leg[field].as_u64().unwrap()).sum() };
    assert_eq!(sum("packets_used"), sent, "{stats:#}");
    // A second copy may be late when the sender itself was held up; no packet whose turn was missed may be.
    assert_eq!(input["packets_late"], 0, "{stats:#}");
    // What was lost at the very end, nobody can know yet.
    let known = sum("packets_received") + sum("packets_lost");
    assert!((2 * sent - 200..=2 * sent).contains(&known), "{stats:#}");
    assert_eq!(
        stats["media_analysis"]["redundancy"]["path_differential_ms"],
        50
    );
}

#[test]
fn two_lossy_legs_make_one_whole_stream_at_a_megabit() {
    nothing_is_lost(1_000_000, 250);
}

/// 200 Mb/s, which a debug build on two busy cores carries; a gigabit when `BILBYCAST_LONG=1` is set.
#[test]
fn two_lossy_legs_make_one_whole_stream_at_a_high_rate() {
    if std::env::var_os("BILBYCAST_LONG").is_some() {
        nothing_is_lost(1_000_000_000, 120_000);
    } else {
        nothing_is_lost(200_000_000, 24_000);
    }
}

/// What the merge holds and repairs is the data plane's alone.
#[test]
fn the_merge_does_not_notice_the_end_of_the_control_plane() {
    let legs = [address::next_addr(), address::next_addr()];
    let sink = Sink::start("output", address::next_addr(), SSRC, Framing::Rtp);
    let output = flows::rtp_output("out", sink.address());
    let mut node = Node::start(&[flows::flow("main", two_legs(legs, 50), &[output])]);
    let sockets = legs.map(|leg| udp::sending(address::own_ip().into(), leg).unwrap());
    let sender = PacedSender::start_lossy(SSRC, 10_000_000, sockets.into(), loses);
    sink.wait_number(500, Duration::from_secs(10));
    node.kill_controlplane();
    let killed_at = sender.sent();
    sink.wait_number(killed_at + 800, Duration::from_secs(10));
    node.start_controlplane();
    let started_at = sender.sent();
    sink.wait_number(started_at + 300, Duration::from_secs(10));
    let sent = sender.stop();
    sink.finish(sent).assert_complete("output", 0, sent);
    let stats = node.wait_stats("main", "all is counted", Duration::from_secs(5), |stats| {
        stats["input"]["packets_received"] == sent
    });
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    assert_eq!(stats["input"]["packets_late"], 0, "{stats:#}");
}

/// Two networks with a cable each, and a sender on their far side.
fn far_side() -> Result<Vec<UdpSocket>, String> {
    netns::enter()?;
    let (tid, dest) = (
        std::sync::mpsc::channel(),
        std::sync::mpsc::channel::<[SocketAddr; 2]>(),
    );
    let (send_tid, receive_tid) = tid;
    let (send_dest, receive_dest) = dest;
    let far = thread::spawn(move || {
        netns::enter()?;
        send_tid
            .send(nix::unistd::gettid())
            .map_err(|error| error.to_string())?;
        let dest = receive_dest.recv().map_err(|error| error.to_string())?;
        for leg in [0, 1] {
            let (device, net) = (format!("far{leg}"), format!("10.77.{leg}.2/24"));
            netns::run("ip", &["addr", "add", &net, "dev", &device])?;
            netns::run("ip", &["link", "set", &device, "up"])?;
        }
        // Sockets belong to the network in which they were made, whichever thread uses them.
        let socket = |leg: usize| -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(dest[leg])?;
            Ok(socket)
        };
        [0, 1]
            .into_iter()
            .map(|leg| socket(leg).map_err(|error| error.to_string()))
            .collect()
    });
    let tid = receive_tid
        .recv()
        .map_err(|error| error.to_string())?
        .to_string();
    for leg in [0, 1] {
        let (near, far) = (format!("near{leg}"), format!("far{leg}"));
        netns::run(
            "ip",
            &["link", "add", &near, "type", "veth", "peer", "name", &far],
        )?;
        netns::run("ip", &["link", "set", &far, "netns", &tid])?;
        netns::run(
            "ip",
            &["addr", "add", &format!("10.77.{leg}.1/24"), "dev", &near],
        )?;
        netns::run("ip", &["link", "set", &near, "up"])?;
    }
    send_dest
        .send(near_legs())
        .map_err(|error| error.to_string())?;
    far.join().map_err(|_| "the far side failed".to_owned())?
}

fn near_legs() -> [SocketAddr; 2] {
    [
        ([10, 77, 0, 1], 5_004).into(),
        ([10, 77, 1, 1], 5_004).into(),
    ]
}

fn messages(node: &Node) -> Vec<String> {
    let events = node.api().get("/api/v1/events").data();
    let events = events["events"].as_array().cloned().unwrap_or_default();
    let of_legs = events
        .iter()
        .filter(|event| event["category"] == "redundancy");
    of_legs
        .filter_map(|event| event["message"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn a_cable_that_is_pulled_is_not_seen() {
    let sockets = match far_side() {
        Ok(sockets) => sockets,
        Err(reason) => {
            bilbycast_test_peers::skip(reason);
            return;
        }
    };
    let sink = Sink::start("output", address::next_addr(), SSRC, Framing::Rtp);
    let output = flows::rtp_output("out", sink.address());
    let node = Node::start(&[flows::flow("main", two_legs(near_legs(), 50), &[output])]);
    let sender = PacedSender::start(SSRC, 20_000_000, sockets);
    sink.wait_number(1_000, Duration::from_secs(10));
    let cable = |leg: usize, state: &str| {
        netns::run("ip", &["link", "set", &format!("near{leg}"), state]).unwrap();
    };
    let told = |text: &str| {
        wait::until_true(text, Duration::from_secs(8), || {
            messages(&node)
                .iter()
                .any(|message| message.ends_with(text))
        });
    };
    for (leg, number) in [(0, 1), (1, 2)] {
        cable(leg, "down");
        told(&format!("leg {number} is lost"));
        let stats = node.wait_stats("main", "the leg is down", Duration::from_secs(3), |stats| {
            stats["input"]["legs"][leg]["up"] == false
        });
        assert_eq!(stats["input"]["legs"][1 - leg]["up"], true, "{stats:#}");
        cable(leg, "up");
        told(&format!("leg {number} is back"));
    }
    let sent = sender.stop();
    sink.finish(sent).assert_complete("output", 0, sent);
    let stats = node.api().stats("main");
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    assert!(
        stats["input"]["redundancy_switches"].as_u64().unwrap() >= 2,
        "{stats:#}"
    );
    let metrics = node.api().get("/metrics").text;
    assert!(metrics.contains("bilbycast_edge_flow_leg_up{flow_id=\"main\",leg=\"2\"} 1"));
    assert_eq!(messages(&node).len(), 4, "{:?}", messages(&node));
}

/// Our own legs into our own merge, each leg with FEC of its own and losses that neither FEC nor the other leg mends alone.
#[test]
fn fec_on_each_leg_comes_before_the_merge() {
    let networks = [address::next_fec_addr(), address::next_fec_addr()];
    let legs = [address::next_fec_addr(), address::next_fec_addr()];
    let output = Recorder::start(address::next_addr());
    let fec = json!({"columns": 5, "rows": 5});
    let front = flows::with(
        flows::rtp_output("legs", networks[0]),
        "fec_encode",
        fec.clone(),
    );
    let front = flows::with(front, "redundancy", json!({"dest_addr": networks[1]}));
    let input = flows::with(two_legs(legs, 30), "fec_decode", fec);
    let node = Node::start(&[
        flows::with(
            flows::flow("front", flows::test_input(8.0), &[front]),
            "enabled",
            false,
        ),
        flows::flow("back", input, &[flows::rtp_output("out", output.address())]),
    ]);
    // Every block of 25 loses a square of four, which is beyond FEC, on one leg, and single packets on the other, one of
    // them in that square.
    let first = FecPath::start(networks[0], legs[0], |stream, number| {
        stream == FecStream::Media && number > 60 && [6, 8, 16, 18].contains(&(number % 25))
    });
    let second = FecPath::start(networks[1], legs[1], |stream, number| {
        stream == FecStream::Media && number > 60 && [6, 12].contains(&(number % 25))
    });
    let _started = node.api().act("/api/v1/flows/front/start").data();
    wait::until_true(
        "a second and a half have passed",
        Duration::from_secs(10),
        || first.media_count() > 1_200 && second.media_count() > 1_200,
    );
    let _stopped = node.api().act("/api/v1/flows/front/stop").data();
    let (first, second) = (first.finish(), second.finish());
    assert!(
        first.knowable().len() < first.media.len(),
        "leg 1 alone is not whole"
    );
    assert_eq!(first.media, second.media, "both legs have the same packets");
    // What one leg knows the merge knows; the stream ends in a block that has no FEC yet.
    let known: std::collections::BTreeSet<&[u8]> = first
        .knowable()
        .into_iter()
        .chain(second.knowable())
        .collect();
    let media = first.media.iter().map(Vec::as_slice);
    let expected: Vec<&[u8]> = media.filter(|packet| known.contains(packet)).collect();
    assert!(expected.len() + 2 >= first.media.len());
    assert!(second.knowable().len() > first.knowable().len());
    output.wait_count(expected.len(), Duration::from_secs(5));
    let got = output.finish(Duration::from_millis(300));
    let got: Vec<&[u8]> = got.iter().map(|datagram| &datagram.bytes[..]).collect();
    assert_eq!(got.len(), expected.len());
    assert!(got == expected);
    let stats = node.api().stats("back");
    let missing = first.missing_before_the_end(&expected);
    assert_eq!(stats["input"]["packets_lost"], missing, "{stats:#}");
    let legs = &stats["input"]["legs"];
    for leg in [0, 1] {
        assert!(
            legs[leg]["packets_recovered_fec"].as_u64().unwrap() > 0,
            "{stats:#}"
        );
        assert!(legs[leg]["packets_lost"].as_u64().unwrap() > 0, "{stats:#}");
    }
}
