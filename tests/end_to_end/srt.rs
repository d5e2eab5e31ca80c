//! SRT against libsrt: every role, every key size, both directions, byte for byte; and what may not disturb it.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use bilbycast_tests::link::{Impairment, Link};
use bilbycast_tests::node::Node;
use bilbycast_tests::process::Process;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::rtp::ts_payload;
use bilbycast_tests::{address, flows, srt_peer, udp, wait};
use serde_json::{Value, json};

const PASSPHRASE: &str = "a-passphrase-of-ours";

/// How our end and libsrt's find each other.
const ROLES: [&str; 3] = ["caller", "listener", "rendezvous"];

/// Bytes of the keys; 0: not encrypted.
const KEYS: [u8; 4] = [0, 16, 24, 32];

/// Datagrams of seven TS packets that are all different.
fn datagrams(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|index| {
            let mut datagram = ts_payload(7);
            datagram[4..12].copy_from_slice(&(index as u64).to_be_bytes());
            datagram
        })
        .collect()
}

/// Our end of a connection whose far end is at `far`.
fn our_end(role: &str, key: u8, local: SocketAddr, far: SocketAddr) -> Value {
    let mut end = json!({"type": "srt", "mode": role, "latency_ms": 120});
    end["local_addr"] = match role {
        "caller" => json!(SocketAddr::new(local.ip(), 0)),
        _ => json!(local),
    };
    if role != "listener" {
        end["remote_addr"] = json!(far);
    }
    if key > 0 {
        end["passphrase"] = json!(PASSPHRASE);
        end["aes_key_len"] = json!(key);
    }
    end
}

/// libsrt's end of it as a URL.
fn their_end(role: &str, key: u8, local: SocketAddr, ours: SocketAddr) -> String {
    let secret = match key {
        0 => String::new(),
        _ => format!("&passphrase={PASSPHRASE}&pbkeylen={key}"),
    };
    match role {
        "caller" => srt_peer::srt(local, &format!("mode=listener&latency=120{secret}")),
        "listener" => srt_peer::srt(ours, &format!("mode=caller&latency=120{secret}")),
        _ => srt_peer::srt(
            ours,
            &format!("mode=rendezvous&adapter={}&latency=120{secret}", local.ip()),
        ),
    }
}

/// An address for each end; for a rendezvous both have the same port, as libsrt wants it.
fn ends() -> (SocketAddr, SocketAddr) {
    let ours = address::next_addr();
    (
        ours,
        SocketAddr::new(address::other_ip().into(), ours.port()),
    )
}

struct Case {
    id: String,
    feed: SocketAddr,
    output: Recorder,
    peer: Process,
}

fn connected(node: &Node, id: &str, is_input: bool) -> bool {
    let stats = node.api().stats(id);
    let leg = if is_input {
        &stats["input"]["srt_stats"]
    } else {
        &stats["outputs"][0]["srt_stats"]
    };
    leg["callers"] == 1
}

/// Feeds every case and compares what comes out, byte for byte. Returns the peers, still connected.
fn carry(cases: Vec<Case>, count: usize) -> Vec<Process> {
    let sent = datagrams(count);
    let feeds: Vec<UdpSocket> = cases
        .iter()
        .map(|case| udp::sending(address::own_ip().into(), case.feed).unwrap())
        .collect();
    for datagram in &sent {
        for feed in &feeds {
            feed.send(datagram).unwrap();
        }
        wait::pass(Duration::from_millis(2));
    }
    let judged = cases.into_iter().map(|case| {
        let Case {
            id, output, peer, ..
        } = case;
        output.wait_count(count, Duration::from_secs(10));
        let got = output.finish(Duration::from_millis(100));
        let got: Vec<&Vec<u8>> = got.iter().map(|datagram| &datagram.bytes).collect();
        assert_eq!(got.len(), sent.len(), "{id}");
        assert!(got.into_iter().eq(&sent), "{id}: other bytes");
        peer
    });
    judged.collect()
}

#[test]
fn every_role_and_key_size_receives_from_libsrt() {
    if !srt_peer::is_there() {
        return;
    }
    let mut configured = Vec::new();
    let mut prepared = Vec::new();
    for role in ROLES {
        for key in KEYS {
            let id = format!("{role}-{key}");
            let (ours, theirs) = ends();
            let output = Recorder::start(address::next_addr());
            let outputs = [flows::udp_output("out", output.address())];
            configured.push(flows::flow(&id, our_end(role, key, ours, theirs), &outputs));
            prepared.push((id, their_end(role, key, theirs, ours), output));
        }
    }
    let node = Node::start(&configured);
    let cases: Vec<Case> = prepared
        .into_iter()
        .map(|(id, url, output)| {
            let feed = address::next_addr();
            let from = srt_peer::udp(feed);
            Case {
                peer: srt_peer::start(&format!("srt-{id}"), node.folder(), &from, &url),
                id,
                feed,
                output,
            }
        })
        .collect();
    wait::until_true("all are connected", Duration::from_secs(20), || {
        cases.iter().all(|case| connected(&node, &case.id, true))
    });
    let _peers = carry(cases, 400);
    let stats = node.api().stats("caller-32");
    assert_eq!(stats["input"]["state"], "receiving", "{stats:#}");
    assert_eq!(stats["input"]["packets_received"], 400, "{stats:#}");
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    assert_eq!(
        stats["media_analysis"]["payload_format"], "raw_ts",
        "{stats:#}"
    );
    let srt = &stats["input"]["srt_stats"];
    assert_eq!(srt["state"], "receiving", "{stats:#}");
    assert!(srt["rtt_ms"].as_f64().unwrap() < 100.0, "{stats:#}");
}

#[test]
fn every_role_and_key_size_sends_to_libsrt() {
    if !srt_peer::is_there() {
        return;
    }
    let mut configured = Vec::new();
    let mut prepared = Vec::new();
    for role in ROLES {
        for key in KEYS {
            let id = format!("{role}-{key}");
            let (ours, theirs) = ends();
            let feed = address::next_addr();
            let output = flows::with(our_end(role, key, ours, theirs), "id", "out");
            let output = flows::with(output, "name", "Out");
            configured.push(flows::flow(&id, flows::udp_input(feed), &[output]));
            prepared.push((id, their_end(role, key, theirs, ours), feed));
        }
    }
    let node = Node::start(&configured);
    let cases: Vec<Case> = prepared
        .into_iter()
        .map(|(id, url, feed)| {
            let output = Recorder::start(address::next_addr());
            let to = srt_peer::udp(output.address());
            Case {
                peer: srt_peer::start(&format!("srt-{id}"), node.folder(), &url, &to),
                id,
                feed,
                output,
            }
        })
        .collect();
    wait::until_true("all are connected", Duration::from_secs(20), || {
        cases.iter().all(|case| connected(&node, &case.id, false))
    });
    let _peers = carry(cases, 400);
    let stats = node.api().stats("listener-0");
    let output = &stats["outputs"][0];
    assert_eq!(output["state"], "active", "{stats:#}");
    assert_eq!(output["packets_sent"], 400, "{stats:#}");
    assert_eq!(output["packets_dropped"], 0, "{stats:#}");
}

/// A listener output with five callers that come one after the other, on a node whose control plane goes away and whose flow
/// gets another output meanwhile: nobody connects twice, nobody misses anything.
#[test]
fn callers_stay_whatever_the_control_side_does() {
    if !srt_peer::is_there() {
        return;
    }
    let (ours, _) = ends();
    let feed = address::next_addr();
    let other = Recorder::start(address::next_addr());
    let output = flows::with(our_end("listener", 0, ours, ours), "id", "out");
    let output = flows::with(output, "name", "Out");
    let mut node = Node::start(&[flows::flow("main", flows::udp_input(feed), &[output])]);
    let outputs: Vec<Recorder> = (0..5)
        .map(|_| Recorder::start(address::next_addr()))
        .collect();
    let _peers: Vec<Process> = outputs
        .iter()
        .enumerate()
        .map(|(index, output)| {
            let url = their_end("listener", 0, ours, ours);
            let to = srt_peer::udp(output.address());
            srt_peer::start(&format!("srt-{index}"), node.folder(), &url, &to)
        })
        .collect();
    let leg = |node: &Node| node.api().stats("main")["outputs"][0]["srt_stats"].clone();
    wait::until_true("five callers are there", Duration::from_secs(20), || {
        leg(&node)["callers"] == 5
    });
    // A programme may begin long after its viewers have come: nobody is dropped for having acknowledged nothing.
    wait::pass(Duration::from_millis(3_200));
    let sent = datagrams(900);
    let socket = udp::sending(address::own_ip().into(), feed).unwrap();
    for (index, datagram) in sent.iter().enumerate() {
        match index {
            200 => node.kill_controlplane(),
            400 => node.start_controlplane(),
            600 => {
                let added = flows::udp_output("other", other.address());
                let _added = node.api().post("/api/v1/flows/main/outputs", &added).data();
            }
            _ => {}
        }
        socket.send(datagram).unwrap();
        wait::pass(Duration::from_millis(2));
    }
    for output in outputs {
        output.wait_count(sent.len(), Duration::from_secs(10));
        let got = output.finish(Duration::from_millis(100));
        assert!(got.iter().map(|datagram| &datagram.bytes).eq(&sent));
    }
    let leg = leg(&node);
    assert_eq!(
        (&leg["connects_total"], &leg["callers"]),
        (&json!(5), &json!(5)),
        "{leg:#}"
    );
    assert!(other.count() > 200, "the other output runs");
}

fn events(node: &Node) -> Vec<String> {
    let events = node.api().get("/api/v1/events").data();
    let events = events["events"].as_array().cloned().unwrap_or_default();
    let of_srt = events
        .into_iter()
        .filter(|event| event["category"] == "srt");
    of_srt
        .filter_map(|event| event["message"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn a_wrong_passphrase_is_refused_both_ways_and_told() {
    if !srt_peer::is_there() {
        return;
    }
    let (listening, called) = (ends(), ends());
    let sink = Recorder::start(address::next_addr());
    let out = [flows::udp_output("out", sink.address())];
    let node = Node::start(&[
        flows::flow(
            "listens",
            our_end("listener", 16, listening.0, listening.1),
            &out,
        ),
        flows::flow("calls", our_end("caller", 16, called.0, called.1), &[]),
    ]);
    let wrong = "latency=120&passphrase=another-passphrase&pbkeylen=16";
    let from = || srt_peer::udp(address::next_addr());
    let _caller = srt_peer::start(
        "srt-caller",
        node.folder(),
        &from(),
        &srt_peer::srt(listening.0, &format!("mode=caller&{wrong}")),
    );
    let _listener = srt_peer::start(
        "srt-listener",
        node.folder(),
        &from(),
        &srt_peer::srt(called.1, &format!("mode=listener&{wrong}")),
    );
    for text in [
        "flow 'listens', input: SRT caller",
        "flow 'calls', input: SRT cannot connect",
    ] {
        wait::until_true(text, Duration::from_secs(15), || {
            events(&node)
                .iter()
                .any(|event| event.starts_with(text) && event.contains("wrong passphrase (10)"))
        });
    }
    assert_eq!(sink.count(), 0);
    let stats = node.api().stats("listens");
    assert_eq!(stats["input"]["state"], "waiting", "{stats:#}");
    assert!(
        stats["input"]["srt_stats"]["rejected_total"]
            .as_u64()
            .unwrap()
            > 0
    );
}

/// 2 % loss at a round trip of 40 ms, with a listener that is older than the latency: nothing is missing at the end.
#[test]
fn a_lossy_link_loses_nothing() {
    if !srt_peer::is_there() {
        return;
    }
    let impairment = Impairment {
        loss_per_mille: 20,
        delay: Duration::from_millis(20),
        // Reordered packets count as lost for libsrt, and would be sent again.
        jitter: Duration::ZERO,
    };
    let latency = |end: Value| flows::with(end, "latency_ms", 500);
    // One flow receives from libsrt, which calls through a link; one sends to libsrt, which listens behind a link.
    let (input, listener) = (ends(), ends());
    let toward_us = Link::start(address::next_addr(), input.0, impairment);
    let toward_them = Link::start(address::next_addr(), listener.1, impairment);
    let received = Recorder::start(address::next_addr());
    let feeds = [address::next_addr(), address::next_addr()];
    let output = latency(our_end("caller", 16, listener.0, toward_them.address()));
    let output = flows::with(flows::with(output, "id", "out"), "name", "Out");
    let node = Node::start(&[
        flows::flow(
            "in",
            latency(our_end("listener", 32, input.0, input.1)),
            &[flows::udp_output("out", received.address())],
        ),
        flows::flow("out", flows::udp_input(feeds[1]), &[output]),
    ]);
    let url = their_end("listener", 32, input.1, toward_us.address()).replace("120", "500");
    let _caller = srt_peer::start("srt-caller", node.folder(), &srt_peer::udp(feeds[0]), &url);
    let sent_on = Recorder::start(address::next_addr());
    let url = their_end("caller", 16, listener.1, listener.0).replace("120", "500");
    let to = srt_peer::udp(sent_on.address());
    let _listener = srt_peer::start("srt-listener", node.folder(), &url, &to);
    wait::until_true("both are connected", Duration::from_secs(20), || {
        connected(&node, "in", true) && connected(&node, "out", false)
    });
    // The far ends are older than the latency then: a delivery clock that took their age for delay would show.
    wait::pass(Duration::from_millis(1_500));
    let sent = datagrams(2_000);
    let sockets = feeds.map(|feed| udp::sending(address::own_ip().into(), feed).unwrap());
    for datagram in &sent {
        for socket in &sockets {
            socket.send(datagram).unwrap();
        }
        wait::pass(Duration::from_millis(1));
    }
    for output in [received, sent_on] {
        output.wait_count(sent.len(), Duration::from_secs(10));
        let got = output.finish(Duration::from_millis(300));
        assert!(got.iter().map(|datagram| &datagram.bytes).eq(&sent));
    }
    let stats = node.api().stats("in");
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    assert!(
        stats["input"]["srt_stats"]["pkt_loss_total"]
            .as_u64()
            .unwrap()
            > 10,
        "{stats:#}"
    );
    let leg = &node.api().stats("out")["outputs"][0]["srt_stats"];
    let again = leg["pkt_retransmit_total"].as_u64().unwrap();
    // 2 % of 2,000 and a fifth more, and what may happen to so few.
    assert!((15..=75).contains(&again), "{leg:#}");
}
