//! SRT between two ends of ours: every option that both ends have to agree upon, packets of every size, and the end of a
//! connection.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use bilbycast_tests::link::{Impairment, Link};
use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::rtp::ts_payload;
use bilbycast_tests::{address, flows, udp, wait};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// Datagrams of each stream.
const COUNT: usize = 250;

/// Two flows, of which the front one sends over SRT to the back one.
struct Pair {
    id: &'static str,
    feed: SocketAddr,
    sink: Recorder,
    sent: Vec<Vec<u8>>,
}

impl Pair {
    /// `output` and `input` are what the two ends have beside mode and addresses. RTP is fed when `head` has bytes.
    fn new(
        id: &'static str,
        (output, input): (Value, Value),
        (head, payload): (&[u8], usize),
        configured: &mut Vec<Value>,
    ) -> Self {
        let (mut output, mut input) = (output, input);
        for end in [&mut output, &mut input] {
            end["type"] = json!("srt");
            set_default(end, "latency_ms", json!(120));
        }
        set_default(&mut input, "local_addr", json!(address::next_addr()));
        connect(&mut output, &mut input);
        if input["redundancy"].is_object() {
            input["redundancy"]["mode"] = json!("listener");
            input["redundancy"]["local_addr"] = json!(address::next_addr());
            output["redundancy"]["mode"] = json!("caller");
            output["redundancy"]["local_addr"] = json!(any());
            output["redundancy"]["remote_addr"] = input["redundancy"]["local_addr"].clone();
        }
        output["id"] = json!("out");
        output["name"] = json!("Out");
        let feed = address::next_addr();
        let sink = Recorder::start(address::next_addr());
        let (from, to) = if head.is_empty() {
            (
                flows::udp_input(feed),
                flows::udp_output("out", sink.address()),
            )
        } else {
            (
                flows::rtp_input(feed),
                flows::rtp_output("out", sink.address()),
            )
        };
        configured.push(flows::flow(&format!("front-{id}"), from, &[output]));
        configured.push(flows::flow(&format!("back-{id}"), input, &[to]));
        Self {
            id,
            feed,
            sink,
            sent: (0..COUNT)
                .map(|index| datagram(head, payload, index))
                .collect(),
        }
    }

    fn back(&self) -> String {
        format!("back-{}", self.id)
    }
}

/// A caller's address.
fn any() -> SocketAddr {
    SocketAddr::new(address::own_ip().into(), 0)
}

fn set_default(end: &mut Value, field: &str, value: Value) {
    if end[field].is_null() {
        end[field] = value;
    }
}

/// The output calls the input.
fn connect(output: &mut Value, input: &mut Value) {
    input["mode"] = json!("listener");
    output["mode"] = json!("caller");
    set_default(output, "local_addr", json!(any()));
    let listens = input["local_addr"].clone();
    set_default(output, "remote_addr", listens);
}

/// `head` is an RTP header, whose number is set; what follows it is transport stream, cut at `payload` bytes.
fn datagram(head: &[u8], payload: usize, index: usize) -> Vec<u8> {
    let mut stream = ts_payload(8);
    stream.truncate(payload);
    stream[4..12].copy_from_slice(&(index as u64).to_be_bytes());
    let mut head = head.to_vec();
    if let Some(number) = head.get_mut(2..8) {
        number[..2].copy_from_slice(&(index as u16).to_be_bytes());
        number[2..].copy_from_slice(&(180 * index as u32).to_be_bytes());
    }
    [head, stream].concat()
}

/// An RTP header without and one with an extension of 8 bytes.
const RTP: [u8; 12] = [0x80, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
const RTP_EXTENDED: [u8; 20] = [
    0x90, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0xbe, 0xde, 0, 1, 0, 0, 0, 0,
];

fn srt_events(node: &Node, flow: &str) -> Vec<String> {
    let of_flow = |event: &Value| event["category"] == "srt" && event["flow_id"] == flow;
    let events = node.api().events().into_iter().filter(of_flow);
    events
        .filter_map(|event| event["message"].as_str().map(str::to_owned))
        .collect()
}

fn wait_event(node: &Node, flow: &str, text: &str) {
    wait::until_true(text, LIMIT, || {
        srt_events(node, flow)
            .iter()
            .any(|event| event.contains(text))
    });
}

#[test]
fn what_two_ends_agree_upon_carries_and_what_they_do_not_is_told() {
    let raw = (&[][..], 1_316);
    let secret = "a-passphrase-of-ours";
    let gcm = json!({"passphrase": secret, "aes_key_len": 32, "crypto_mode": "aes-gcm",
        "km_refresh_rate": 100, "km_pre_announce": 50});
    let sealed = |passphrase: &str| json!({"passphrase": passphrase, "enforced_encryption": false});
    let filtered = json!({"packet_filter": "fec,cols:5,rows:5,layout:even,arq:always",
        "latency_ms": 400});
    let behind_link = address::next_addr();
    let link = Link::start(
        address::next_addr(),
        behind_link,
        Impairment {
            loss_per_mille: 30,
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
        },
    );
    let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0);
    let id = |id: &str| json!({"stream_id": id});
    let two_legs = || json!({"redundancy": {}});
    let mut configured = Vec::new();
    let mut pair = |id, ends, stream| Pair::new(id, ends, stream, &mut configured);
    let pairs = [
        pair(
            "v6",
            (
                json!({"local_addr": v6}),
                json!({"local_addr": address::next_addr_v6()}),
            ),
            raw,
        ),
        pair(
            "id",
            (
                id("#!::u=camera,m=publish,r=live"),
                id("#!::r=live,m=publish"),
            ),
            raw,
        ),
        pair("gcm", (gcm.clone(), gcm), raw),
        pair(
            "fec",
            (
                flows::with(filtered.clone(), "remote_addr", json!(link.address())),
                flows::with(filtered, "local_addr", json!(behind_link)),
            ),
            raw,
        ),
        pair("small", (json!({"payload_size": 752}), json!({})), raw),
        pair("mss", (json!({"mss": 1_316}), json!({})), raw),
        pair("extended", (two_legs(), two_legs()), (&RTP_EXTENDED, 1_316)),
        pair("long", (two_legs(), two_legs()), (&RTP, 1_400)),
    ];
    let others = [
        pair(
            "other",
            (id("#!::r=other,m=publish"), id("#!::r=live")),
            raw,
        ),
        pair("keys", (sealed(secret), sealed("another-passphrase")), raw),
        pair(
            "too-long",
            (
                json!({"payload_size": 752, "mss": 808, "redundancy": {"mss": 808}}),
                two_legs(),
            ),
            (&RTP, 1_316),
        ),
    ];
    let node = Node::start(&configured);
    for pair in pairs.iter().chain(&others[1..]) {
        node.wait_stats(&pair.back(), "it is connected", LIMIT, |stats| {
            let input = &stats["input"];
            let leg_2 = &input["srt_leg2_stats"];
            input["srt_stats"]["callers"] == 1 && (leg_2.is_null() || leg_2["callers"] == 1)
        });
    }
    let all = || pairs.iter().chain(&others);
    let feeds: Vec<_> = all()
        .map(|pair| udp::sending(address::own_ip().into(), pair.feed).unwrap())
        .collect();
    for index in 0..COUNT {
        for (pair, feed) in all().zip(&feeds) {
            feed.send(&pair.sent[index]).unwrap();
        }
        wait::pass(Duration::from_millis(2));
    }
    for pair in &pairs {
        let stats = node.wait_stats(&pair.back(), "everything has come out", LIMIT, |stats| {
            stats["outputs"][0]["packets_sent"] == COUNT
        });
        let leg = &stats["input"]["srt_stats"];
        assert!(leg["drift_us"].is_number(), "{}: {stats:#}", pair.id);
        assert_eq!(leg["pkt_undecrypt_total"], 0, "{}: {stats:#}", pair.id);
        assert_eq!(
            leg["disconnected_ms"],
            Value::Null,
            "{}: {stats:#}",
            pair.id
        );
        let got = pair.sink.so_far();
        let got: Vec<&Vec<u8>> = got.iter().map(|datagram| &datagram.bytes).collect();
        assert_eq!(got.len(), COUNT, "{}", pair.id);
        assert!(got.into_iter().eq(&pair.sent), "{}: other bytes", pair.id);
    }
    node.wait_stats("back-id", "an input tells who calls", LIMIT, |stats| {
        let peers = &stats["input"]["srt_stats"]["peers"];
        peers[0]["stream_id"] == "#!::u=camera,m=publish,r=live"
            && peers[0]["pkt_recv_total"] == COUNT
            && peers[1].is_null()
    });
    let [front, back] = ["front-fec", "back-fec"].map(|id| node.api().stats(id));
    let sent = &front["outputs"][0]["srt_stats"];
    assert!(
        sent["pkt_filter_sent_total"].as_u64().unwrap() >= 80,
        "{sent:#}"
    );
    assert!(sent["pkt_ack_recv_total"].as_u64().unwrap() > 0, "{sent:#}");
    let came = &back["input"]["srt_stats"];
    assert!(
        came["pkt_filter_recovered_total"].as_u64().unwrap() > 0,
        "{came:#}"
    );

    wait_event(
        &node,
        "back-other",
        "is refused: the stream id does not fit (1403): r is \"other\", expected \"live\"",
    );
    wait_event(
        &node,
        "front-keys",
        "cannot decrypt what it is sent: it has another passphrase",
    );
    wait_event(
        &node,
        "front-too-long",
        "SRT does not send packets of up to 1328 bytes",
    );

    // Nothing has come for a while: the connection is all that is left to be said.
    for (flow, end) in [("back-v6", "/input"), ("front-v6", "/outputs/0")] {
        let state = |stats: &Value, path: &str| stats.pointer(&format!("{end}{path}")).cloned();
        node.wait_stats(flow, "it carries nothing", LIMIT, |stats| {
            ["/state", "/srt_stats/state"]
                .iter()
                .all(|path| state(stats, path) == Some(json!("connected")))
        });
    }
    // Figures stay after the end, and say how old they are.
    let _deleted = node.api().delete("/api/v1/flows/front-v6").data();
    let stats = node.wait_stats("back-v6", "it is over", LIMIT, |stats| {
        stats["input"]["srt_stats"]["callers"] == 0
    });
    let leg = &stats["input"]["srt_stats"];
    assert_eq!(leg["state"], "waiting", "{leg:#}");
    assert!(leg["rtt_ms"].is_number(), "{leg:#}");
    assert!(leg["recv_latency_ms"] == 120, "{leg:#}");
    assert!(leg["uptime_ms"].as_u64().unwrap() > 1_000, "{leg:#}");
    assert!(leg["disconnected_ms"].is_number(), "{leg:#}");
}

/// What has arrived is delivered although the far end has gone, and that it is being delivered keeps nobody out.
#[test]
fn the_end_of_a_connection_cuts_nothing_off() {
    let latency = 1_500;
    let (far, near) = (address::next_addr(), address::next_addr());
    let feeds = [address::next_addr(), address::next_addr()];
    let sinks = [0; 2].map(|_| Recorder::start(address::next_addr()));
    let end = |mode: &str, local: SocketAddr, remote: Option<SocketAddr>| {
        let mut end = json!({"type": "srt", "id": "out", "name": "Out", "mode": mode,
            "local_addr": local, "latency_ms": latency});
        if let Some(remote) = remote {
            end["remote_addr"] = json!(remote);
        }
        end
    };
    let input = |mut end: Value| {
        end.as_object_mut()
            .unwrap()
            .retain(|field, _| field != "id" && field != "name");
        end
    };
    let out = |sink: &Recorder| [flows::udp_output("out", sink.address())];
    let encoder = flows::flow(
        "encoder",
        flows::udp_input(feeds[1]),
        &[end("caller", any(), Some(near))],
    );
    let node = Node::start(&[
        flows::flow(
            "far",
            flows::udp_input(feeds[0]),
            &[end("listener", far, None)],
        ),
        flows::flow(
            "calls",
            input(end("caller", any(), Some(far))),
            &out(&sinks[0]),
        ),
        flows::flow(
            "listens",
            input(end("listener", near, None)),
            &out(&sinks[1]),
        ),
        encoder.clone(),
    ]);
    let leg = |flow: &str| node.api().stats(flow)["input"]["srt_stats"].clone();
    for flow in ["calls", "listens"] {
        wait::until_true("it is connected", LIMIT, || leg(flow)["callers"] == 1);
    }
    let sent: Vec<_> = (0..COUNT)
        .map(|index| datagram(&[], 1_316, index))
        .collect();
    let sockets = feeds.map(|feed| udp::sending(address::own_ip().into(), feed).unwrap());
    for datagram in &sent {
        for socket in &sockets {
            socket.send(datagram).unwrap();
        }
        wait::pass(Duration::from_millis(1));
    }
    for flow in ["calls", "listens"] {
        wait::until_true("everything has arrived", LIMIT, || {
            leg(flow)["pkt_recv_total"].as_u64() >= Some(COUNT as u64)
        });
    }
    for flow in ["far", "encoder"] {
        let _deleted = node.api().delete(&format!("/api/v1/flows/{flow}")).data();
    }
    let _added = node.api().post("/api/v1/flows", &encoder).data();
    wait::until_true("it is back", LIMIT, || {
        let leg = leg("listens");
        leg["callers"] == 1 && leg["connects_total"] == 2
    });
    assert_eq!(leg("listens")["rejected_total"], 0);
    for (sink, flow) in sinks.into_iter().zip(["calls", "listens"]) {
        sink.wait_count(COUNT, LIMIT);
        let got = sink.finish(Duration::from_millis(100));
        assert!(
            got.iter().map(|datagram| &datagram.bytes).eq(&sent),
            "{flow}"
        );
        wait_event(&node, flow, "is lost: closed by the far end");
    }
    assert_eq!(node.api().stats("calls")["input"]["packets_lost"], 0);
}

/// The caller of a leg that has this stream id, or null.
fn peer<'a>(leg: &'a Value, stream_id: &str) -> &'a Value {
    let mut peers = leg["peers"].as_array().into_iter().flatten();
    peers
        .find(|peer| peer["stream_id"] == stream_id)
        .unwrap_or(&Value::Null)
}

/// Every caller has figures of its own, from the call to the end, whether media flows or not.
#[test]
fn a_listener_tells_its_callers_apart() {
    let (listener, second, feed) = (
        address::next_addr(),
        address::next_addr(),
        address::next_addr(),
    );
    let link = Link::start(
        address::next_addr(),
        listener,
        Impairment {
            loss_per_mille: 50,
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
        },
    );
    let output = json!({"type": "srt", "id": "out", "name": "Out", "mode": "listener",
        "local_addr": listener, "latency_ms": 120,
        "redundancy": {"mode": "listener", "local_addr": second, "latency_ms": 120}});
    let sink = Recorder::start(address::next_addr());
    let caller = |id: &str, remote: SocketAddr, latency: u64| {
        let input = json!({"type": "srt", "mode": "caller", "local_addr": any(),
            "remote_addr": remote, "latency_ms": latency, "stream_id": id});
        flows::flow(id, input, &[flows::udp_output("out", sink.address())])
    };
    let node = Node::start(&[
        flows::flow("many", flows::udp_input(feed), &[output]),
        caller("near", listener, 120),
        caller("far", link.address(), 450),
        caller("leaves", listener, 200),
        caller("other-leg", second, 300),
    ]);
    let ids = ["near", "far", "leaves"];
    let out = |stats: &Value, leg: &str| stats["outputs"][0][leg].clone();
    node.wait_stats("many", "all have called", LIMIT, |stats| {
        out(stats, "srt_stats")["callers"] == 3 && out(stats, "srt_leg2_stats")["callers"] == 1
    });
    let socket = udp::sending(address::own_ip().into(), feed).unwrap();
    for index in 0..COUNT {
        socket.send(&datagram(&[], 1_316, index)).unwrap();
        wait::pass(Duration::from_millis(1));
    }
    let first_time = |peer: &Value| {
        let total = |field: &str| peer[field].as_u64().unwrap_or(0);
        total("pkt_sent_total") - total("pkt_retransmit_total")
    };
    let stats = node.wait_stats("many", "each has been sent everything", LIMIT, |stats| {
        let leg = out(stats, "srt_stats");
        ids.iter()
            .all(|id| first_time(peer(&leg, id)) == COUNT as u64)
            && peer(&leg, "far")["pkt_loss_total"].as_u64() > Some(0)
            && peer(&leg, "far")["pkt_retransmit_total"].as_u64() > Some(0)
    });
    let (leg, leg_2) = (out(&stats, "srt_stats"), out(&stats, "srt_leg2_stats"));
    assert_eq!(leg["peers"].as_array().unwrap().len(), 3, "{leg:#}");
    assert_eq!(leg["peers_left_out"], 0, "{leg:#}");
    assert_eq!(leg_2["peers"].as_array().unwrap().len(), 1, "{leg_2:#}");
    assert_eq!(peer(&leg_2, "other-leg")["send_latency_ms"], 300);
    for (id, latency) in ids.into_iter().zip([120, 450, 200]) {
        let peer = peer(&leg, id);
        assert_eq!(peer["state"], "active", "{peer:#}");
        assert_eq!(peer["send_latency_ms"], latency, "{peer:#}");
        let remote: SocketAddr = peer["remote_addr"].as_str().unwrap().parse().unwrap();
        assert!(remote.port() > 0, "{peer:#}");
        assert!(peer["rtt_ms"].is_number(), "{peer:#}");
        assert!(
            peer["bytes_sent_total"].as_u64() >= Some(1_316 * COUNT as u64),
            "{peer:#}"
        );
    }
    for id in ["near", "leaves"] {
        assert_eq!(peer(&leg, id)["pkt_loss_total"], 0, "{leg:#}");
        assert_eq!(peer(&leg, id)["pkt_retransmit_total"], 0, "{leg:#}");
    }

    assert!(
        node.api().stats("near")["input"]["srt_stats"]["peers"].is_null(),
        "who calls has no callers"
    );

    // Who leaves is gone from the list and stays in the sums; who comes is there, though nothing flows.
    let _deleted = node.api().delete("/api/v1/flows/leaves").data();
    let _added = node
        .api()
        .post("/api/v1/flows", &caller("comes", listener, 120))
        .data();
    let stats = node.wait_stats("many", "one has left, and one has come", LIMIT, |stats| {
        let leg = out(stats, "srt_stats");
        peer(&leg, "leaves").is_null() && peer(&leg, "comes")["state"] == "connected"
    });
    let leg = out(&stats, "srt_stats");
    assert_eq!(peer(&leg, "comes")["pkt_sent_total"], 0, "{leg:#}");
    assert!(
        leg["pkt_sent_total"].as_u64() >= Some(3 * COUNT as u64),
        "{leg:#}"
    );
    assert!(
        peer(&leg, "near")["uptime_ms"].as_u64() > peer(&leg, "comes")["uptime_ms"].as_u64(),
        "{leg:#}"
    );
}
