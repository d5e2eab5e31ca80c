//! A control plane that goes and comes back finds what runs and touches only what differs (configuration.md 9.2).

use std::fs;
use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::{address, flows, wait};
use serde_json::{Value, json};

fn test_flow(id: &str, sink: &Recorder) -> Value {
    flows::flow(
        id,
        flows::test_input(2.0),
        &[flows::udp_output("out", sink.address())],
    )
}

fn uptime(stats: &Value) -> u64 {
    stats["uptime_secs"].as_u64().unwrap()
}

fn sent(stats: &Value) -> u64 {
    stats["outputs"][0]["packets_sent"].as_u64().unwrap()
}

#[test]
fn equal_flows_go_on_and_what_differs_is_brought_in_line() {
    let sinks = [0, 1, 2, 3].map(|_| Recorder::start(address::next_addr()));
    let mut node = Node::start(&[
        test_flow("equal", &sinks[0]),
        test_flow("differs", &sinks[1]),
        test_flow("gone", &sinks[2]),
    ]);
    let before = node.wait_stats(
        "equal",
        "it runs for 2 s",
        Duration::from_secs(5),
        |stats| uptime(stats) >= 2,
    );
    node.terminate_controlplane();
    let at_end = sinks[0].count();
    sinks[0].wait_count(at_end + 50, Duration::from_secs(2));

    let mut config = node.config();
    let differs = flows::with(
        test_flow("differs", &sinks[1]),
        "input",
        flows::test_input(3.0),
    );
    config["flows"] = json!([
        test_flow("equal", &sinks[0]),
        differs,
        test_flow("new", &sinks[3])
    ]);
    fs::write(node.folder().join("config.json"), config.to_string()).unwrap();
    node.start_controlplane();
    node.wait_active(3);

    let equal = node.api().stats("equal");
    assert!(uptime(&equal) >= uptime(&before), "untouched: {equal:#}");
    assert!(sent(&equal) > sent(&before), "counters go on: {equal:#}");
    let _differs = node.wait_stats("differs", "it runs anew", Duration::from_secs(2), |stats| {
        uptime(stats) < uptime(&before) && stats["state"] == "Running"
    });
    sinks[3].wait_count(10, Duration::from_secs(2));
    wait::pass(Duration::from_millis(100));
    let gone = sinks[2].count();
    wait::pass(Duration::from_millis(300));
    assert_eq!(sinks[2].count(), gone, "what is not configured has stopped");
}

#[test]
fn what_was_done_through_the_api_outlives_the_control_plane() {
    let sinks = [0, 1].map(|_| Recorder::start(address::next_addr()));
    let disabled = flows::with(test_flow("disabled", &sinks[1]), "enabled", false);
    let mut node = Node::start(&[test_flow("enabled", &sinks[0]), disabled]);
    let _stopped = node.api().act("/api/v1/flows/enabled/stop").data();
    let _started = node.api().act("/api/v1/flows/disabled/start").data();
    sinks[1].wait_count(10, Duration::from_secs(2));

    node.kill_controlplane();
    node.start_controlplane();
    node.wait_active(1);
    // It has read what runs; a flow that it wanted to start would run within the second of configuration.md 9.2.
    wait::pass(Duration::from_secs(1));
    assert_eq!(
        node.api().stats("enabled")["state"],
        "Stopped",
        "stopped by an operator"
    );
    assert_eq!(
        node.api().stats("disabled")["state"],
        "Running",
        "started by an operator"
    );

    // A data plane that starts anew remembers nothing, and every enabled flow is applied.
    node.kill_dataplane();
    let (first, second) = (sinks[0].count(), sinks[1].count());
    node.start_dataplane();
    sinks[0].wait_count(first + 10, Duration::from_secs(2));
    node.wait_active(1);
    assert_eq!(sinks[1].count(), second, "what is disabled stays away");
}

#[test]
fn a_control_plane_that_is_told_to_end_leaves_the_flows_alone() {
    let sink = Recorder::start(address::next_addr());
    let mut node = Node::start(&[test_flow("main", &sink)]);
    sink.wait_count(10, Duration::from_secs(2));
    node.terminate_controlplane();
    let count = sink.count();
    sink.wait_count(count + 200, Duration::from_secs(3));
    node.terminate_dataplane();
    assert!(!node.control_socket().exists(), "the socket is removed");
}

/// The counters belong to root and the service's own user.
#[test]
fn socket_and_counters_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::start(&[]);
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(node.control_socket()), 0o600);
    assert_eq!(
        mode(node.shm()) & 0o022,
        0,
        "nobody else may write the counters"
    );
}
