//! A data plane that dies and comes back runs every enabled flow again within a second, and nobody restarts the control
//! plane for it.

use std::time::{Duration, Instant};

use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::{address, flows, udp, wait};
use serde_json::{Value, json};

/// From the return of the data plane to the first packet of the last flow.
const BACK_LIMIT: Duration = Duration::from_secs(1);

#[test]
fn every_enabled_flow_runs_again_within_a_second() {
    let bind_addr = address::next_addr();
    let sinks: Vec<Recorder> = (0..6)
        .map(|_| Recorder::start(address::next_addr()))
        .collect();
    let mut configured: Vec<Value> = sinks[1..]
        .iter()
        .enumerate()
        .map(|(index, sink)| {
            let output = flows::udp_output("out", sink.address());
            flows::flow(&format!("test-{index}"), flows::test_input(2.0), &[output])
        })
        .collect();
    let output = flows::rtp_output("out", sinks[0].address());
    configured.push(flows::flow("rtp", flows::rtp_input(bind_addr), &[output]));
    let off = flows::flow("off", flows::test_input(1.0), &[]);
    configured.push(flows::with(off, "enabled", false));
    let mut node = Node::start(&configured);
    let socket = udp::sending(address::own_ip().into(), bind_addr).unwrap();
    let sender = PacedSender::start(1, 2_000_000, vec![socket]);
    for sink in &sinks {
        sink.wait_count(10, Duration::from_secs(5));
    }

    node.kill_dataplane();
    let limit = Duration::from_secs(3);
    wait::until_true("the loss is noticed", limit, || {
        let health = node.api().get("/health").body;
        health["data_plane"] == "lost" && health["active_flows"] == 0 && health["status"] == "ok"
    });
    let stats = node.api().get("/api/v1/stats").data();
    assert_eq!(stats["system"]["active_flows"], 0, "{stats:#}");
    for flow in stats["flows"].as_array().unwrap() {
        let expected = if flow["flow_id"] == "off" {
            json!(["Stopped", "Healthy"])
        } else {
            json!(["Error", "Critical"])
        };
        assert_eq!(json!([flow["state"], flow["health"]]), expected, "{flow:#}");
    }

    let before: Vec<usize> = sinks.iter().map(Recorder::count).collect();
    let ready = node.start_dataplane();
    let behind = |sinks: &[Recorder]| -> Vec<usize> {
        let pairs = sinks.iter().zip(&before).enumerate();
        let silent = pairs.filter(|(_, (sink, before))| sink.count() <= **before);
        silent.map(|(index, _)| index).collect()
    };
    while !behind(&sinks).is_empty() {
        assert!(
            ready.elapsed() < BACK_LIMIT,
            "still silent {BACK_LIMIT:?} after the return: sinks {:?}",
            behind(&sinks)
        );
        wait::pass(Duration::from_millis(2));
    }
    println!("all flows back after {:?}", ready.elapsed());
    node.wait_active(6);
    let off = node.api().stats("off");
    assert_eq!(off["state"], "Stopped", "{off:#}");
    let _sent = sender.stop();
}

/// Also when it is away for a while, and when it is the control plane that has to wait at its start.
#[test]
fn a_control_plane_without_data_plane_serves_and_waits() {
    let sink = Recorder::start(address::next_addr());
    let output = flows::udp_output("out", sink.address());
    let mut node = Node::start(&[flows::flow("one", flows::test_input(2.0), &[output])]);
    sink.wait_count(10, Duration::from_secs(5));
    node.kill_controlplane();
    node.terminate_dataplane();
    node.start_controlplane();
    let health = node.api().get("/health").body;
    assert_eq!(health["data_plane"], "lost", "{health}");
    assert_eq!(
        (&health["total_flows"], &health["active_flows"]),
        (&json!(1), &json!(0))
    );
    // What is configured meanwhile is kept and runs when the data plane is there.
    let second = Recorder::start(address::next_addr());
    let output = flows::udp_output("out", second.address());
    let flow = flows::flow("two", flows::test_input(2.0), &[output]);
    let answer = node.api().post("/api/v1/flows", &flow);
    println!(
        "a flow created without data plane: {} {}",
        answer.status, answer.text
    );
    let saved = node.saved_flow("two");
    assert_eq!(
        saved.is_null(),
        answer.status != 200,
        "saved exactly when it was accepted"
    );
    let before = sink.count();
    let ready = node.start_dataplane();
    while sink.count() <= before || (!saved.is_null() && second.count() == 0) {
        assert!(ready.elapsed() < BACK_LIMIT, "still silent");
        wait::pass(Duration::from_millis(2));
    }
}

/// The file that a killed data plane leaves behind must not keep the next one from starting, however often.
#[test]
fn three_deaths_in_a_row() {
    let sink = Recorder::start(address::next_addr());
    let output = flows::udp_output("out", sink.address());
    let mut node = Node::start(&[flows::flow("one", flows::test_input(2.0), &[output])]);
    for _ in 0..3 {
        let before = sink.count();
        wait::until_true("the flow runs", Duration::from_secs(5), || {
            sink.count() > before
        });
        node.kill_dataplane();
        let before = sink.count();
        let ready = node.start_dataplane();
        wait::until_true("the flow runs again", BACK_LIMIT, || sink.count() > before);
        assert!(ready <= Instant::now());
    }
    node.wait_active(1);
}
