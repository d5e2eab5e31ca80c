//! A data plane that lives and cannot be reached: its flows run on, and everybody is told so.

use std::fs;
use std::time::Duration;

use bilbycast_tests::node::{Node, NodeSetup};
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::{address, flows, wait};
use serde_json::{Value, json};

#[test]
fn flows_run_on_and_are_shown_while_the_control_socket_is_away() {
    let sink = Recorder::start(address::next_addr());
    let output = flows::udp_output("out", sink.address());
    let stopped = flows::flow("stopped", flows::test_input(1.0), &[]);
    let mut node = NodeSetup::new(&[
        flows::flow("news", flows::test_input(4.0), &[output]),
        flows::with(stopped, "enabled", false),
    ])
    .start();
    let socket = node.control_socket();
    let away = socket.with_extension("away");

    node.kill_controlplane();
    fs::rename(&socket, &away).unwrap();
    node.start_controlplane();
    wait_for_data_plane(&node, "uncontrolled");
    let health = node.api().get("/health").body;
    assert_eq!(health["active_flows"], 1, "{health}");

    let stats = node.wait_stats("news", "figures are there", LIMIT, |stats| {
        stats["input"]["bitrate_bps"].as_u64() > Some(0)
    });
    let before = count(&stats, "/outputs/0/packets_sent");
    let stats = node.wait_stats("news", "figures move", LIMIT, |stats| {
        count(stats, "/outputs/0/packets_sent") > before
    });
    assert_eq!(stats["state"], "Running");
    assert_eq!(stats["health"], "Warning");
    assert_eq!(node.api().stats("stopped")["state"], "Stopped");
    let system = node.api().get("/api/v1/stats").data()["system"].clone();
    assert_eq!(system["active_flows"], 1);
    let history = "/api/v1/stats/news/history?last=60";
    wait::until_true("the history goes on", LIMIT, || {
        let seconds = &node.api().get(history).data()["seconds"];
        seconds
            .as_array()
            .is_some_and(|seconds| !seconds.is_empty())
    });
    assert_eq!(families(&node), ["1", "1", "1"]);
    wait::until_true("an event says so", LIMIT, || {
        told(&node, "runs on without control")
    });

    // A change is accepted, and carried out when that is possible again.
    let wanted = flows::flow("stopped", flows::test_input(1.0), &[]);
    let saved = node.api().put("/api/v1/flows/stopped", &wanted);
    assert_eq!(saved.status, 200, "{}", saved.text);
    fs::rename(&away, &socket).unwrap();
    wait_for_data_plane(&node, "connected");
    node.wait_stats("news", "it is well", LIMIT, |stats| {
        stats["state"] == "Running" && stats["health"] == "Healthy"
    });
    node.wait_stats(
        "stopped",
        "what was asked for meanwhile runs",
        LIMIT,
        |stats| stats["state"] == "Running",
    );

    // One that is dead is not said to run.
    node.kill_dataplane();
    wait_for_data_plane(&node, "lost");
    let stats = node.api().stats("news");
    assert_eq!([&stats["state"], &stats["health"]], ["Error", "Critical"]);
    assert_eq!(node.api().get("/health").body["active_flows"], 0);
    assert_eq!(families(&node), ["0", "0", "0"]);
}

/// `flows_active`, `data_plane_up` and `input_bitrate_bps > 0` of the metrics.
fn families(node: &Node) -> [String; 3] {
    let text = node.api().get("/metrics").text;
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split(' ').next_back());
        value.unwrap_or("0").to_owned()
    };
    let bitrate = value("bilbycast_edge_flow_input_bitrate_bps{flow_id=\"news\"}");
    [
        value("bilbycast_edge_flows_active "),
        value("bilbycast_edge_data_plane_up "),
        u8::from(bitrate != "0").to_string(),
    ]
}

fn wait_for_data_plane(node: &Node, state: &str) {
    wait::until_true(&format!("the data plane is {state}"), LIMIT, || {
        node.api().get("/health").body["data_plane"] == json!(state)
    });
}

fn told(node: &Node, message: &str) -> bool {
    let events = node.api().get("/api/v1/events").data();
    let events = events["events"].as_array().cloned().unwrap_or_default();
    let mut messages = events.iter().filter_map(|event| event["message"].as_str());
    messages.any(|one| one.contains(message))
}

fn count(stats: &Value, path: &str) -> u64 {
    let value = stats.pointer(path);
    value.and_then(Value::as_u64).unwrap_or_default()
}

/// Generous: a loaded machine is no fault of the node.
const LIMIT: Duration = Duration::from_secs(20);
