//! What happens at a connection (configuration.md 9.2). The rules themselves are tested beside the code.

use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::{Command, ControlErrorKind};
use serde_json::Value;

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, disabled, flow, spec, wait_until};

fn folder(flows: &[Value]) -> Folder {
    let folder = Folder::new();
    folder.write_config(flows);
    folder
}

#[test]
fn a_control_plane_that_returns_touches_only_what_differs() {
    let folder = folder(&[
        flow("equal", 5000),
        disabled(flow("equal-disabled", 5002)),
        flow("differs", 5004),
        disabled(flow("differs-disabled", 5006)),
        flow("missing", 5008),
        flow("stopped", 5010),
        disabled(flow("off", 5012)),
    ]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    for running in [
        flow("equal", 5000),
        flow("equal-disabled", 5002),
        flow("differs", 6004),
        flow("differs-disabled", 6006),
        flow("foreign", 6008),
    ] {
        data_plane.run(spec(&running));
    }
    data_plane.remember_stopped("stopped");
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(4);
    let mut commands = data_plane.take_commands();
    assert_eq!(commands.remove(0), Command::ListFlows);
    let stop = |flow_id: &str| Command::StopFlow {
        flow_id: flow_id.to_owned(),
        by_operator: false,
    };
    for expected in [
        stop("foreign"),
        stop("differs-disabled"),
        Command::ApplyFlow(spec(&flow("differs", 5004))),
        Command::ApplyFlow(spec(&flow("missing", 5008))),
    ] {
        let index = commands.iter().position(|command| *command == expected);
        assert!(index.is_some(), "{expected:?} not in {commands:?}");
        commands.remove(index.unwrap());
    }
    assert!(commands.is_empty(), "{commands:?}");
    assert_eq!(edge.stats_of("stopped")["state"], "Stopped");
}

#[test]
fn a_data_plane_that_returns_empty_gets_every_enabled_flow() {
    let folder = folder(&[flow("a", 5000), disabled(flow("b", 5002))]);
    let first = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    assert_eq!(edge.act("/api/v1/flows/b/start").0, 200);
    assert_eq!(edge.act("/api/v1/flows/a/stop").0, 200);
    drop(first);
    edge.wait_for_data_plane("lost");
    let second = FakeDataPlane::start(edge.folder.path(), 2);
    let since = Instant::now();
    wait_until("the enabled flow", || second.running() == ["a"]);
    assert!(since.elapsed() < Duration::from_secs(1));
    assert_eq!(edge.get("/health").1["data_plane"], "connected");
    wait_until("its counters", || edge.stats_of("a")["state"] == "Idle");
}

#[test]
fn a_broken_connection_touches_no_flow() {
    let folder = folder(&[flow("a", 5000)]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    data_plane.take_commands();
    data_plane.disconnect();
    wait_until("a new connection", || {
        data_plane.take_commands() == [Command::ListFlows]
    });
    edge.wait_for_active(1);
    assert!(data_plane.take_commands().is_empty());
}

#[test]
fn one_flow_that_fails_does_not_hold_up_the_others() {
    let folder = folder(&[flow("a", 5000), flow("b", 5002), flow("c", 5004)]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    data_plane.refuse(
        "b",
        ControlErrorKind::Bind,
        "bind_addr 127.0.0.1:5002: in use",
    );
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(2);
    wait_until("the failure to show", || {
        edge.stats_of("b")["health"] == "Critical"
    });
    assert_eq!(edge.stats_of("b")["state"], "Error");
    data_plane.accept("b");
    edge.wait_for_active(3);
}

#[test]
fn a_thousand_flows_run_within_a_second() {
    let flows: Vec<_> = (0..1_000)
        .map(|index| flow(&format!("flow-{index}"), 10_000 + index))
        .collect();
    let edge = ControlPlane::start(folder(&flows));
    let data_plane = FakeDataPlane::start(edge.folder.path(), 1);
    let since = Instant::now();
    edge.wait_for_active(1_000);
    let took = since.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(data_plane.running().len(), 1_000);
    let (status, answer) = edge.get("/api/v1/stats");
    assert_eq!(status, 200);
    assert_eq!(answer["data"]["flows"].as_array().unwrap().len(), 1_000);
}
