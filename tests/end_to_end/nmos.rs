//! NMOS where packets flow: one node connected with another one, and activations on flows that run.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bilbycast_tests::api::{Answer, Api};
use bilbycast_tests::node::Node;
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::sink::{Framing, Harvest, Sink};
use bilbycast_tests::{address, flows, netns, udp, wait};
use nix::sched::{CloneFlags, setns};
use nix::unistd::gettid;
use serde_json::{Value, json};
use ureq::http::Method;

const BITRATE_BPS: u64 = 4_000_000;

/// Packets that are worth looking at, most of a second.
const MANY: u64 = 250;

const LIMIT: Duration = Duration::from_secs(8);

/// A network each for two nodes, with two cables between them: that of the calling thread, and the far one.
struct Networks {
    near: File,
    far: File,
}

impl Networks {
    fn enter() -> Result<Self, String> {
        netns::enter()?;
        let near = own_network()?;
        let (send_far, receive_far) = mpsc::channel();
        let (stay, leave) = mpsc::channel::<()>();
        let holder = thread::spawn(move || {
            let far = netns::enter().and_then(|()| own_network());
            let sent = send_far.send((gettid(), far));
            // The id of a thread names its network for as long as the thread lives.
            let _left = sent.is_ok() && leave.recv().is_ok();
        });
        let (tid, far) = receive_far.recv().map_err(|error| error.to_string())?;
        let networks = Self { near, far: far? };
        for leg in [0, 1] {
            let (near, far) = (format!("near{leg}"), format!("far{leg}"));
            netns::run(
                "ip",
                &["link", "add", &near, "type", "veth", "peer", "name", &far],
            )?;
            netns::run("ip", &["link", "set", &far, "netns", &tid.to_string()])?;
            set_up(&near, near_ip(leg))?;
            networks.in_far(|| set_up(&far, far_ip(leg)))?;
        }
        drop(stay);
        holder
            .join()
            .map_err(|_| "the far network's thread failed".to_owned())?;
        Ok(networks)
    }

    /// Does `work` in the far network; what it starts stays there.
    fn in_far<T>(&self, work: impl FnOnce() -> T) -> T {
        setns(&self.far, CloneFlags::CLONE_NEWNET).unwrap();
        let result = work();
        setns(&self.near, CloneFlags::CLONE_NEWNET).unwrap();
        result
    }
}

fn own_network() -> Result<File, String> {
    File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string())
}

fn set_up(device: &str, ip: IpAddr) -> Result<(), String> {
    netns::run("ip", &["addr", "add", &format!("{ip}/24"), "dev", device])?;
    netns::run("ip", &["link", "set", device, "up"])
}

fn near_ip(leg: u8) -> IpAddr {
    [10, 78, leg, 1].into()
}

fn far_ip(leg: u8) -> IpAddr {
    [10, 78, leg, 2].into()
}

/// A stream on its way into a node.
struct Stream {
    ssrc: u32,
    input: SocketAddr,
}

impl Stream {
    fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            input: address::next_addr(),
        }
    }

    fn send(&self) -> PacedSender {
        let socket = udp::sending(address::own_ip().into(), self.input).unwrap();
        PacedSender::start(self.ssrc, BITRATE_BPS, vec![socket])
    }

    fn sink(&self, name: &str) -> Sink {
        Sink::start(name, address::next_addr(), self.ssrc, Framing::Rtp)
    }
}

/// The flow `id` from `input` to `sink`.
fn plain(id: &str, input: SocketAddr, sink: &Sink) -> Value {
    let output = flows::rtp_output("sibling", sink.address());
    flows::flow(id, flows::rtp_input(input), &[output])
}

/// `flow` with one more output that sends to these addresses, one or two.
fn sending(mut flow: Value, legs: &[SocketAddr]) -> Value {
    let mut output = flows::rtp_output("out", legs[0]);
    if let Some(leg_2) = legs.get(1) {
        output["redundancy"] = json!({"dest_addr": leg_2});
    }
    flow["outputs"].as_array_mut().unwrap().push(output);
    flow
}

fn find(api: &Api, kind: &str, description: &str) -> String {
    let all = api.get(&format!("/x-nmos/node/v1.3/{kind}")).body;
    let all = all.as_array().unwrap();
    let found = all.iter().find(|one| one["description"] == description);
    found.unwrap()["id"].as_str().unwrap().to_owned()
}

fn sender_of(api: &Api, flow: &str) -> String {
    let id = find(api, "senders", &format!("rtp output out of flow {flow}"));
    format!("senders/{id}")
}

fn receiver_of(api: &Api, flow: &str) -> String {
    let id = find(api, "receivers", &format!("rtp input of flow {flow}"));
    format!("receivers/{id}")
}

fn path(of: &str, what: &str) -> String {
    format!("/x-nmos/connection/v1.1/single/{of}/{what}")
}

fn patch(api: &Api, of: &str, activation: &Value, mut body: Value) -> Answer {
    body["activation"] = activation.clone();
    api.send(Method::PATCH, &path(of, "staged"), Some(&body.to_string()))
}

fn activate(api: &Api, of: &str, body: Value) {
    let answer = patch(api, of, &json!({"mode": "activate_immediate"}), body);
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Connects a receiver of the far node with the sender of the flow with the same name, by what that says of itself.
fn connect(networks: &Networks, near: &Node, far: &Node, flow: &str) {
    let sender = sender_of(near.api(), flow);
    let file = near.api().get(&path(&sender, "transportfile"));
    assert_eq!(file.status, 200, "{}", file.text);
    let sender_id = sender.trim_start_matches("senders/");
    networks.in_far(|| {
        let receiver = receiver_of(far.api(), flow);
        let transport_file = json!({"data": file.text, "type": "application/sdp"});
        let body = json!({"sender_id": sender_id, "transport_file": transport_file});
        activate(far.api(), &receiver, body);
        let resource = far.api().get(&format!("/x-nmos/node/v1.3/{receiver}")).body;
        let expected = json!({"sender_id": sender_id, "active": true});
        assert_eq!(resource["subscription"], expected, "{resource:#}");
    });
}

/// Those of the packets with these numbers.
fn part(harvest: &Harvest, numbers: std::ops::Range<u64>) -> Harvest {
    let mut part = harvest.clone();
    part.arrivals
        .retain(|arrival| numbers.contains(&arrival.stamp.number));
    part
}

/// Everything that several sinks received, in the order of the numbers.
fn together(harvests: &[Harvest]) -> Harvest {
    let mut all = Harvest::default();
    for harvest in harvests {
        all.arrivals.extend(&harvest.arrivals);
        all.corrupt += harvest.corrupt;
        all.dropped_here += harvest.dropped_here;
    }
    all.in_order_of_numbers()
}

#[test]
fn a_node_is_connected_to_another_one_by_its_sdp() {
    let networks = match Networks::enter() {
        Ok(networks) => networks,
        Err(reason) => {
            bilbycast_test_peers::skip(reason);
            return;
        }
    };
    let port = address::next_port();
    let dests = [far_ip(0), far_ip(1)].map(|ip| SocketAddr::new(ip, port));
    let streams = [1, 2, 3].map(Stream::new);
    let [one, two, bystander] = &streams;
    let siblings = streams.each_ref().map(|stream| stream.sink("sibling"));
    let near = Node::start(&[
        sending(plain("one", one.input, &siblings[0]), &dests[..1]),
        // Both go to the same node, so not to the same port.
        sending(
            plain("two", two.input, &siblings[1]),
            &dests.map(|dest| SocketAddr::new(dest.ip(), port + 1)),
        ),
        plain("bystander", bystander.input, &siblings[2]),
    ]);
    let (far, sinks, aside, far_sender) = networks.in_far(|| {
        let sinks = [one, two].map(|stream| stream.sink("far output"));
        let stream = Stream::new(4);
        let aside = stream.sink("far bystander");
        // Nothing comes to where these receive.
        let [idle, idle_2] = [far_ip(0), far_ip(1)].map(|ip| SocketAddr::new(ip, 9_000));
        let mut legs = plain("two", SocketAddr::new(idle.ip(), 9_010), &sinks[1]);
        legs["input"]["redundancy"] = json!({"bind_addr": idle_2});
        let node = Node::start(&[
            plain("one", idle, &sinks[0]),
            legs,
            plain("bystander", stream.input, &aside),
        ]);
        let sender = stream.send();
        (node, sinks, aside, sender)
    });
    let senders = streams.each_ref().map(Stream::send);

    let mut parts = Vec::new();
    let groups = [0, 1].map(address::group);
    for is_multicast in [false, true] {
        for (flow, legs) in [("one", 1), ("two", 2)] {
            if is_multicast {
                let legs: Vec<_> = (0..legs)
                    .map(|leg| {
                        json!({"destination_ip": groups[usize::from(leg)], "source_ip": near_ip(leg)})
                    })
                    .collect();
                let sender = sender_of(near.api(), flow);
                activate(near.api(), &sender, json!({"transport_params": legs}));
            }
            connect(&networks, &near, &far, flow);
        }
        let first = [0, 1].map(|index| senders[index].sent());
        let end = [0, 1].map(|index| {
            let end = first[index] + MANY;
            sinks[index].wait_number(end - 1, LIMIT);
            end
        });
        parts.push([0, 1].map(|index| first[index]..end[index]));
    }

    let sent = senders.map(PacedSender::stop);
    for (index, sibling) in siblings.into_iter().enumerate() {
        let name = format!("sibling {index}");
        let sent = sent[index];
        sibling.finish(sent).assert_complete(&name, 0, sent);
    }
    let far_sent = far_sender.stop();
    aside
        .finish(far_sent)
        .assert_complete("far bystander", 0, far_sent);
    let harvests = sinks
        .into_iter()
        .zip(&sent)
        .map(|(sink, sent)| sink.finish(*sent))
        .collect::<Vec<_>>();
    for (number, parts) in parts.into_iter().enumerate() {
        for (harvest, numbers) in harvests.iter().zip(parts) {
            let name = format!("far output, connection {number}");
            let (first, end) = (numbers.start, numbers.end);
            part(harvest, numbers).assert_complete(&name, first, end);
        }
    }
}

#[test]
fn activations_move_packets_and_lose_none_even_without_a_control_plane_in_between() {
    let [main, moving, other] = [1, 2, 3].map(Stream::new);
    let [first, second, third] = ["first", "second", "third"].map(|name| main.sink(name));
    let (sibling, moved, aside) = (
        main.sink("sibling"),
        moving.sink("moved"),
        other.sink("other flow"),
    );
    let mut node = Node::start(&[
        sending(plain("main", main.input, &sibling), &[first.address()]),
        plain("moving", moving.input, &moved),
        plain("other", other.input, &aside),
    ]);
    let elsewhere = address::next_addr();
    let sockets = [moving.input, elsewhere]
        .map(|input| udp::sending(address::own_ip().into(), input).unwrap());
    let senders = [
        main.send(),
        PacedSender::start(moving.ssrc, BITRATE_BPS, sockets.into()),
        other.send(),
    ];
    first.wait_number(MANY, LIMIT);
    moved.wait_number(MANY, LIMIT);

    // Where an output sends.
    let sender = sender_of(node.api(), "main");
    let to =
        |sink: &Sink| json!({"transport_params": [{"destination_port": sink.address().port()}]});
    activate(node.api(), &sender, to(&second));
    second.wait_number(senders[0].sent() + MANY, LIMIT);
    let address = second.address();
    wait_told(
        node.api(),
        &format!("flow 'main': output 'out' moved to {address}"),
    );

    // Where an input receives.
    let receiver = receiver_of(node.api(), "moving");
    let body = json!({"transport_params": [{"destination_port": elsewhere.port()}]});
    let sent_before = packets_sent(node.api(), "moving");
    assert!(sent_before > 0);
    activate(node.api(), &receiver, body);
    let arrived = senders[1].sent();
    moved.wait_number(arrived + MANY, LIMIT);
    wait_told(
        node.api(),
        &format!("flow 'moving': input moved to {elsewhere}"),
    );
    let sent_after = packets_sent(node.api(), "moving");
    assert!(
        sent_after >= sent_before,
        "{sent_after}, {sent_before} before"
    );

    // Later, and with another control plane than the one that was asked.
    let later = json!({"mode": "activate_scheduled_relative", "requested_time": "2:0"});
    let answer = patch(node.api(), &sender, &later, to(&third));
    assert_eq!(answer.status, 202, "{}", answer.text);
    let due = answer.body["activation"]["activation_time"].clone();
    node.kill_controlplane();
    assert_eq!(third.received(), 0, "it was not due yet");
    node.start_controlplane();
    wait::until_true("the packets move", LIMIT, || third.received() > 0);
    third.wait_number(senders[0].sent() + MANY, LIMIT);
    let active = node.api().get(&path(&sender, "active")).body;
    let port = &active["transport_params"][0]["destination_port"];
    assert_eq!(*port, third.address().port(), "{active:#}");
    let activation = &active["activation"];
    assert_eq!(activation["requested_time"], "2:0", "{active:#}");
    let staged = node.api().get(&path(&sender, "staged")).body;
    assert_eq!(staged["activation"]["mode"], Value::Null, "{staged:#}");
    let saved = &node.saved_flow("main")["outputs"][1]["dest_addr"];
    assert_eq!(*saved, third.address().to_string());

    let sent = senders.map(PacedSender::stop);
    let all = [first, second, third].map(|sink| sink.finish(0));
    let earliest = all[2].arrivals[0].arrived_ns;
    assert!(earliest >= unix_ns(&due), "not before its time");
    together(&all).assert_complete("main output", 0, sent[0]);
    sibling
        .finish(sent[0])
        .assert_complete("sibling", 0, sent[0]);
    aside
        .finish(sent[2])
        .assert_complete("other flow", 0, sent[2]);
    let moved = moved.finish(sent[1]);
    part(&moved, arrived..sent[1]).assert_complete("moved input", arrived, sent[1]);
}

fn wait_told(api: &Api, message: &str) {
    wait::until_true(message, LIMIT, || {
        let events = api.get("/api/v1/events").data()["events"].clone();
        let mut events = events.as_array().unwrap().iter();
        events.any(|event| event["message"] == message)
    });
}

/// Packets that the first output of the flow has sent.
fn packets_sent(api: &Api, flow: &str) -> u64 {
    let sent = &api.stats(flow)["outputs"][0]["packets_sent"];
    sent.as_u64().unwrap()
}

/// Unix time of a time of NMOS, in nanoseconds.
fn unix_ns(tai: &Value) -> u64 {
    let (seconds, nanoseconds) = tai.as_str().unwrap().split_once(':').unwrap();
    let seconds: u64 = seconds.parse().unwrap();
    (seconds - 37) * 1_000_000_000 + nanoseconds.parse::<u64>().unwrap()
}
