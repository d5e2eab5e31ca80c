//! What the API does to flows: created, replaced, stopped, started, and on the disk before the answer.

use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::{address, flows, wait};
use serde_json::{Value, json};

fn uptime(stats: &Value) -> u64 {
    stats["uptime_secs"].as_u64().unwrap()
}

/// Waits until a flow is old enough for a restart to show in its uptime.
fn wait_grown_up(node: &Node, id: &str) -> Value {
    node.wait_stats(id, "it has run for 2 s", Duration::from_secs(5), |stats| {
        uptime(stats) >= 2
    })
}

#[test]
fn a_flow_from_creation_to_deletion() {
    let node = Node::start(&[]);
    let api = node.api();
    let sink = Recorder::start(address::next_addr());
    let flow = flows::flow(
        "new",
        flows::test_input(2.0),
        &[flows::udp_output("out", sink.address())],
    );

    let created = api.post("/api/v1/flows", &flow).data();
    assert_eq!(
        node.saved_flow("new"),
        created,
        "on the disk before the answer"
    );
    for field in ["id", "name", "enabled", "input", "outputs"] {
        assert_eq!(created[field], flow[field], "{field}");
    }
    assert_eq!(api.stats("new")["state"], "Running");
    sink.wait_count(1, Duration::from_secs(2));
    let message = api.post("/api/v1/flows", &flow).refused(409);
    assert_eq!(message, "Flow 'new' already exists");

    assert_eq!(api.delete("/api/v1/flows/new").data(), Value::Null);
    assert_eq!(node.saved_flow("new"), Value::Null);
    let message = api.delete("/api/v1/flows/new").refused(404);
    assert_eq!(message, "Flow 'new' not found");
    let message = api.put("/api/v1/flows/new", &flow).refused(404);
    assert_eq!(message, "Flow 'new' not found");
    let health = api.get("/health").body;
    assert_eq!(
        (&health["total_flows"], &health["active_flows"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn a_disabled_flow_is_kept_and_not_started() {
    let node = Node::start(&[]);
    let flow = flows::flow("new", flows::test_input(2.0), &[]);
    let _created = node
        .api()
        .post("/api/v1/flows", &flows::with(flow, "enabled", false))
        .data();
    assert_eq!(node.saved_flow("new")["enabled"], false);
    assert_eq!(node.api().stats("new")["state"], "Stopped");
    assert_eq!(node.api().get("/health").body["active_flows"], 0);
}

#[test]
fn stop_start_and_restart_change_what_runs_and_nothing_else() {
    let sink = Recorder::start(address::next_addr());
    let output = flows::udp_output("out", sink.address());
    let node = Node::start(&[flows::flow("main", flows::test_input(2.0), &[output])]);
    let api = node.api();
    let saved = node.config_text();

    let message = api.act("/api/v1/flows/main/start").refused(409);
    assert_eq!(message, "Flow 'main' is already running");
    assert_eq!(api.act("/api/v1/flows/main/stop").data(), Value::Null);
    let stats = api.stats("main");
    assert_eq!(
        (&stats["state"], &stats["health"]),
        (&json!("Stopped"), &json!("Healthy"))
    );
    assert_eq!(stats["outputs"][0]["packets_sent"], 0, "{stats:#}");
    // The answer comes when it has stopped: nothing may arrive from now on.
    wait::pass(Duration::from_millis(100));
    let stopped = sink.count();
    wait::pass(Duration::from_millis(300));
    assert_eq!(sink.count(), stopped, "it has stopped");
    let message = api.act("/api/v1/flows/main/stop").refused(409);
    assert_eq!(message, "Flow 'main' is not running");
    assert_eq!(api.get("/health").body["active_flows"], 0);

    assert_eq!(api.act("/api/v1/flows/main/start").data(), Value::Null);
    sink.wait_count(stopped + 10, Duration::from_secs(2));
    let before = wait_grown_up(&node, "main");
    assert_eq!(api.act("/api/v1/flows/main/restart").data(), Value::Null);
    let after = api.stats("main");
    assert!(uptime(&after) < uptime(&before), "{after:#}");
    // Restart is legal for a stopped flow too.
    let _stopped = api.act("/api/v1/flows/main/stop").data();
    assert_eq!(api.act("/api/v1/flows/main/restart").data(), Value::Null);
    assert_eq!(api.stats("main")["state"], "Running");

    assert_eq!(node.config_text(), saved, "the configuration is untouched");
    for action in ["start", "stop", "restart"] {
        let message = api
            .act(&format!("/api/v1/flows/none/{action}"))
            .refused(404);
        assert_eq!(message, "Flow 'none' not found");
    }
}

#[test]
fn outputs_come_and_go() {
    let first = Recorder::start(address::next_addr());
    let second = Recorder::start(address::next_addr());
    let output = flows::udp_output("first", first.address());
    let node = Node::start(&[flows::flow("main", flows::test_input(2.0), &[output])]);
    let api = node.api();
    let added = flows::rtp_output("second", second.address());
    let outputs = "/api/v1/flows/main/outputs";

    let answered = api.post(outputs, &added).data();
    assert_eq!(answered, added);
    assert_eq!(
        node.saved_flow("main")["outputs"][1],
        added,
        "on the disk before the answer"
    );
    second.wait_count(10, Duration::from_secs(2));
    let message = api.post(outputs, &added).refused(409);
    assert!(message.contains("'second'"), "{message}");
    assert_eq!(api.stats("main")["outputs"].as_array().unwrap().len(), 2);

    assert_eq!(api.delete(&format!("{outputs}/second")).data(), Value::Null);
    assert_eq!(
        node.saved_flow("main")["outputs"].as_array().unwrap().len(),
        1
    );
    let message = api.delete(&format!("{outputs}/second")).refused(404);
    assert!(message.contains("'second'"), "{message}");
    let message = api.post("/api/v1/flows/none/outputs", &added).refused(404);
    assert_eq!(message, "Flow 'none' not found");
    let message = api.delete("/api/v1/flows/none/outputs/second").refused(404);
    assert_eq!(message, "Flow 'none' not found");
    wait::pass(Duration::from_millis(100));
    let gone = second.count();
    let there = first.count();
    first.wait_count(there + 20, Duration::from_secs(2));
    assert_eq!(second.count(), gone, "the removed output is silent");
}

/// configuration.md 9.1, row by row.
#[test]
fn replacing_a_flow_touches_only_what_differs() {
    let sinks = [0, 1].map(|_| Recorder::start(address::next_addr()));
    let stay = flows::udp_output("stay", sinks[0].address());
    let change = flows::udp_output("change", sinks[1].address());
    let flow = flows::flow(
        "main",
        flows::test_input(2.0),
        &[stay.clone(), change.clone()],
    );
    let node = Node::start(std::slice::from_ref(&flow));
    let api = node.api();
    let put = |flow: &Value| api.put("/api/v1/flows/main", flow).data();
    let sent =
        |stats: &Value, output: usize| stats["outputs"][output]["packets_sent"].as_u64().unwrap();
    let before = wait_grown_up(&node, "main");

    // The id of the path outranks the id of the body.
    let renamed = flows::with(flows::with(flow, "name", "New name"), "id", "other");
    let answered = put(&renamed);
    assert_eq!(answered["id"], "main");
    assert_eq!(node.saved_flow("main")["name"], "New name");
    assert_eq!(node.saved_flow("other"), Value::Null);
    let stats = api.stats("main");
    assert_eq!(stats["flow_name"], "New name");
    assert!(
        uptime(&stats) >= uptime(&before),
        "renamed in place: {stats:#}"
    );

    // One output differs.
    let moved = Recorder::start(address::next_addr());
    let changed = flows::udp_output("change", moved.address());
    let next = flows::with(renamed, "outputs", json!([stay, changed]));
    let _answered = put(&next);
    let stats = api.stats("main");
    assert!(
        uptime(&stats) >= uptime(&before),
        "the input goes on: {stats:#}"
    );
    assert!(
        sent(&stats, 0) >= sent(&before, 0),
        "the equal output goes on: {stats:#}"
    );
    assert!(
        sent(&stats, 1) < sent(&before, 1),
        "the other one is new: {stats:#}"
    );
    moved.wait_count(10, Duration::from_secs(2));

    // The input differs.
    let _answered = put(&flows::with(next.clone(), "input", flows::test_input(3.0)));
    let stats = api.stats("main");
    assert!(uptime(&stats) < uptime(&before), "restarted: {stats:#}");
    assert_eq!(stats["state"], "Running");

    // Switched off and on.
    let _answered = put(&flows::with(next.clone(), "enabled", false));
    assert_eq!(api.stats("main")["state"], "Stopped");
    let _answered = put(&next);
    assert_eq!(api.stats("main")["state"], "Running");
}

#[test]
fn ids_with_odd_characters_work_in_paths() {
    let node = Node::start(&[]);
    let flow = flows::flow("Kanal Ö/1 ?", flows::test_input(1.0), &[]);
    let _created = node.api().post("/api/v1/flows", &flow).data();
    let path = "/api/v1/flows/Kanal%20%C3%96%2F1%20%3F";
    assert_eq!(node.api().get(path).data()["id"], "Kanal Ö/1 ?");
    assert_eq!(node.api().delete(path).data(), Value::Null);
}
