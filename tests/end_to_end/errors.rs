//! What cannot be done is refused with the field in the message, nothing is half applied, and other flows go on.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use bilbycast_tests::node::{Node, NodeSetup};
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::sink::{Framing, Sink};
use bilbycast_tests::{address, flows, netns, udp};
use nix::unistd::Uid;
use serde_json::Value;

const SSRC: u32 = 3;

/// A flow that carries a stream while others are refused.
struct Bystander {
    sender: PacedSender,
    sink: Sink,
}

/// A flow `bystander`, and what runs through it once the node is started.
fn bystander() -> (Value, impl FnOnce() -> Bystander) {
    let bind_addr = address::next_addr();
    let sink = Sink::start("bystander", address::next_addr(), SSRC, Framing::Rtp);
    let output = flows::rtp_output("out", sink.address());
    let flow = flows::flow("bystander", flows::rtp_input(bind_addr), &[output]);
    (flow, move || {
        let socket = udp::sending(address::own_ip().into(), bind_addr).unwrap();
        let sender = PacedSender::start(SSRC, 20_000_000, vec![socket]);
        sink.wait_number(100, Duration::from_secs(5));
        Bystander { sender, sink }
    })
}

impl Bystander {
    fn assert_untouched(self) {
        self.sink
            .wait_number(self.sender.sent() + 200, Duration::from_secs(5));
        let sent = self.sender.stop();
        self.sink.finish(sent).assert_complete("bystander", 0, sent);
    }
}

#[track_caller]
fn assert_names(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}

/// Creating `flow` is refused with these words, and afterwards everything is as before.
#[track_caller]
fn assert_not_created(node: &Node, flow: &Value, words: &[&str]) {
    let before = node.config_text();
    let message = node.api().post("/api/v1/flows", flow).refused(500);
    assert_names(&message, words);
    assert_eq!(node.config_text(), before, "config.json is untouched");
    let id = flow["id"].as_str().unwrap();
    let _message = node.api().get(&format!("/api/v1/flows/{id}")).refused(404);
    let _message = node.api().get(&format!("/api/v1/stats/{id}")).refused(404);
    let health = node.api().get("/health").body;
    assert_eq!(health["active_flows"], health["total_flows"], "{health}");
}

#[test]
fn an_address_in_use() {
    let (flow, run) = bystander();
    let spare = address::next_addr();
    let victim = flows::flow("victim", flows::rtp_input(spare), &[]);
    let node = Node::start(&[flow, victim]);
    let bystander = run();
    let foreign = UdpSocket::bind(address::next_addr()).unwrap();
    let taken = foreign.local_addr().unwrap();

    // As an input of a new flow.
    let new = flows::flow("new", flows::udp_input(taken), &[]);
    assert_not_created(&node, &new, &["bind_addr", &taken.to_string(), "new"]);
    // As an output's own address; the input of that flow must not stay bound either.
    let input = address::next_addr();
    let output = flows::udp_output("out", address::next_addr());
    let output = flows::with(output, "bind_addr", taken.to_string());
    let new = flows::flow(
        "new",
        flows::udp_input(input),
        std::slice::from_ref(&output),
    );
    assert_not_created(&node, &new, &["bind_addr", &taken.to_string(), "out"]);
    drop(UdpSocket::bind(input).expect("nothing half applied"));
    // As an output that is added to a running flow.
    let before = node.config_text();
    let added = flows::with(output, "id", "added");
    let answer = node.api().post("/api/v1/flows/bystander/outputs", &added);
    assert_names(&answer.refused(500), &["bind_addr", &taken.to_string()]);
    assert_eq!(node.config_text(), before);
    // As the new input of a running flow, which goes on with the old one.
    let changed = flows::flow("victim", flows::rtp_input(taken), &[]);
    let answer = node.api().put("/api/v1/flows/victim", &changed);
    assert_names(
        &answer.refused(500),
        &["bind_addr", &taken.to_string(), "victim"],
    );
    assert_eq!(node.config_text(), before);
    let stats = node.api().stats("victim");
    assert_eq!(stats["state"], "Running", "{stats:#}");
    assert!(UdpSocket::bind(spare).is_err(), "the old input is bound");
    // And it works when the address is free.
    drop(foreign);
    let _flow = node.api().put("/api/v1/flows/victim", &changed).data();
    assert_eq!(
        node.saved_flow("victim")["input"]["bind_addr"],
        taken.to_string()
    );
    bystander.assert_untouched();
}

#[test]
fn a_port_that_another_flow_has() {
    let (flow, run) = bystander();
    let taken = flow["input"]["bind_addr"].as_str().unwrap().to_owned();
    let node = Node::start(&[flow]);
    let bystander = run();
    let before = node.config_text();
    let new = flows::flow("new", flows::udp_input(taken.parse().unwrap()), &[]);
    let message = node.api().post("/api/v1/flows", &new).refused(400);
    assert_names(&message, &["bind_addr", &taken, "new", "bystander"]);
    assert_eq!(node.config_text(), before);
    bystander.assert_untouched();
}

#[test]
fn a_missing_interface() {
    let (flow, run) = bystander();
    let node = Node::start(&[flow]);
    let bystander = run();
    // TEST-NET-2 (RFC 5737) is on no interface.
    let missing = "198.51.100.77";
    let group = SocketAddr::new(address::group(0), address::next_port());
    let input = flows::with(flows::rtp_input(group), "interface_addr", missing);
    let new = flows::flow("new", input, &[]);
    assert_not_created(&node, &new, &["interface_addr", missing]);
    let output = flows::with(flows::udp_output("out", group), "interface_addr", missing);
    let new = flows::flow("new", flows::udp_input(address::next_addr()), &[output]);
    assert_not_created(&node, &new, &["interface_addr", missing, "out"]);
    bystander.assert_untouched();
}

#[test]
fn an_address_that_is_not_of_this_host() {
    let (flow, run) = bystander();
    let node = Node::start(&[flow]);
    let bystander = run();
    let new = flows::flow(
        "new",
        flows::udp_input("198.51.100.77:5000".parse().unwrap()),
        &[],
    );
    assert_not_created(&node, &new, &["bind_addr", "198.51.100.77:5000"]);
    bystander.assert_untouched();
}

/// In a network without routes the kernel finds no interface for a group.
#[test]
fn a_group_that_cannot_be_joined() {
    if let Err(reason) = netns::enter() {
        bilbycast_test_peers::skip(reason);
        return;
    }
    let (flow, run) = bystander();
    let node = Node::start(&[flow]);
    let bystander = run();
    let group = SocketAddr::new(address::group(0), address::next_port());
    let new = flows::flow("new", flows::rtp_input(group), &[]);
    assert_not_created(&node, &new, &["bind_addr", &group.to_string()]);
    let input = flows::with(flows::rtp_input(group), "source_addr", "198.51.100.7");
    let new = flows::flow("new", input, &[]);
    assert_not_created(&node, &new, &["source_addr", "198.51.100.7"]);
    bystander.assert_untouched();
}

/// The configuration lies on a disk of 64 KiB that only the control plane's mount namespace has.
#[test]
fn a_full_disk() {
    if !Uid::effective().is_root() {
        bilbycast_test_peers::skip("a disk of its own needs root");
        return;
    }
    let (flow, run) = bystander();
    let mut setup = NodeSetup::new(&[flow]);
    let disk = setup.folder().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let script =
        "mount -t tmpfs -o size=64k disk \"$1\" && cp \"$2\" \"$1\"/ && shift 2 && exec \"$@\"";
    let config = setup.folder().join("config.json");
    let words = ["unshare", "-m", "sh", "-c", script, "sh"].map(str::to_owned);
    setup.controlplane_wrapper = words.into();
    for path in [&disk, &config] {
        setup.controlplane_wrapper.push(path.display().to_string());
    }
    setup.config = disk.join("config.json");
    let node = setup.start();
    let bystander = run();

    // The disk as the control plane sees it (proc(5)).
    let root = PathBuf::from(format!("/proc/{}/root", node.controlplane().pid()));
    let seen = root.join(disk.strip_prefix("/").unwrap());
    let saved = || std::fs::read(seen.join("config.json")).unwrap();
    let before = saved();
    let filler = seen.join("filler");
    let full = std::fs::write(&filler, vec![0; 128 << 10]);
    assert!(full.is_err(), "the disk is full");

    let input = address::next_addr();
    let new = flows::flow("new", flows::udp_input(input), &[]);
    let added = flows::udp_output("added", address::next_addr());
    let api = node.api();
    let refused = [
        api.post("/api/v1/flows", &new),
        api.post("/api/v1/flows/bystander/outputs", &added),
        api.delete("/api/v1/flows/bystander/outputs/out"),
        api.delete("/api/v1/flows/bystander"),
        api.put(
            "/api/v1/flows/bystander",
            &flows::flow("bystander", flows::test_input(1.0), &[]),
        ),
    ];
    for answer in refused {
        assert_names(&answer.refused(500), &["config.json", "space"]);
    }
    assert!(saved() == before, "config.json is untouched");
    let left: Vec<_> = std::fs::read_dir(&seen)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "config.json" && name != "config.json.bak" && name != "filler")
        .collect();
    assert!(left.is_empty(), "temporary files stay behind: {left:?}");
    drop(UdpSocket::bind(input).expect("the flow was not started"));
    let _message = api.get("/api/v1/flows/new").refused(404);
    let stats = api.stats("bystander");
    assert_eq!(stats["outputs"].as_array().unwrap().len(), 1, "{stats:#}");

    std::fs::remove_file(&filler).unwrap();
    let _flow = api.post("/api/v1/flows", &new).data();
    assert!(saved() != before, "saved as soon as there is room");
    bystander.assert_untouched();
}

/// Each legal by itself, illegal together or out of range: refused with the path of the field.
#[test]
fn values_that_are_not_legal() {
    let node = Node::start(&[]);
    let before = node.config_text();
    let dest = address::next_addr();
    let bind = address::next_addr();
    let input = || flows::rtp_input(bind);
    let output = || flows::rtp_output("out", dest);
    let of_output = |output: Value| flows::flow("new", input(), &[output]);
    let of_input = |input: Value| flows::flow("new", input, &[]);
    let cases = [
        (of_output(flows::with(output(), "dscp", 64)), "dscp"),
        (of_output(flows::with(output(), "dscp", "high")), "dscp"),
        (
            of_output(flows::with(output(), "dest_addr", "127.0.0.1")),
            "dest_addr",
        ),
        (
            of_output(flows::with(output(), "dest_addr", "host:5000")),
            "dest_addr",
        ),
        (
            of_output(flows::with(output(), "bind_addr", "[::1]:0")),
            "bind_addr",
        ),
        (
            of_output(flows::with(output(), "payload_type", 128)),
            "payload_type",
        ),
        (of_output(flows::with(output(), "id", "")), "id"),
        (
            of_output(flows::with(output(), "type", "carrier-pigeon")),
            "type",
        ),
        (
            of_input(flows::with(input(), "bind_addr", "nonsense")),
            "bind_addr",
        ),
        (
            of_input(flows::with(input(), "interface_addr", "::1")),
            "interface_addr",
        ),
        (
            of_input(flows::with(input(), "source_addr", "127.0.0.1")),
            "source_addr",
        ),
        (of_input(flows::test_input(0.0)), "bitrate_mbps"),
        (of_input(Value::Null), "input"),
        (flows::with(of_input(input()), "id", "x".repeat(65)), "id"),
        (flows::with(of_input(input()), "name", ""), "name"),
        (flows::with(of_input(input()), "enabled", "yes"), "enabled"),
        (flows::flow("new", input(), &[output(), output()]), "id"),
    ];
    for (flow, field) in cases {
        let message = node.api().post("/api/v1/flows", &flow).refused(400);
        assert!(message.contains(field), "'{field}' is not in: {message}");
    }
    assert_eq!(node.config_text(), before);
    assert_eq!(node.api().get("/health").body["total_flows"], 0);
}
