//! Start, stop, restart.

use bilbycast_shm_proto::control::{Command, ControlErrorKind};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, disabled, failure, flow, nothing, spec, wait_until};

fn both() -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000), disabled(flow("b", 5002))]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    data_plane.take_commands();
    (edge, data_plane)
}

#[test]
fn a_flow_is_stopped_and_started() {
    let (edge, data_plane) = both();
    let before = edge.folder.read_config();
    assert_eq!(
        edge.act("/api/v1/flows/a/start"),
        failure(409, "Flow 'a' is already running")
    );
    assert_eq!(edge.act("/api/v1/flows/a/stop"), nothing());
    assert_eq!(
        edge.act("/api/v1/flows/a/stop"),
        failure(409, "Flow 'a' is not running")
    );
    assert_eq!(data_plane.stopped_by_operator(), ["a"]);
    assert_eq!(edge.stats_of("a")["state"], "Stopped");
    assert_eq!(edge.act("/api/v1/flows/a/start"), nothing());
    assert_eq!(data_plane.running(), ["a"]);
    assert_eq!(edge.act("/api/v1/flows/b/start"), nothing());
    assert_eq!(data_plane.running(), ["a", "b"]);
    assert_eq!(edge.folder.read_config(), before, "nothing is persisted");
}

#[test]
fn a_restart_stops_first_and_always_starts() {
    let (edge, data_plane) = both();
    assert_eq!(edge.act("/api/v1/flows/a/restart"), nothing());
    assert_eq!(
        data_plane.take_commands(),
        [
            Command::StopFlow {
                flow_id: "a".to_owned(),
                by_operator: false
            },
            Command::ApplyFlow(spec(&flow("a", 5000))),
        ]
    );
    assert_eq!(edge.act("/api/v1/flows/b/restart"), nothing());
    assert_eq!(data_plane.running(), ["a", "b"]);
}

#[test]
fn unknown_flows_are_not_found() {
    let (edge, _data_plane) = both();
    for action in ["start", "stop", "restart"] {
        assert_eq!(
            edge.act(&format!("/api/v1/flows/nonexistent/{action}")),
            failure(404, "Flow 'nonexistent' not found")
        );
    }
}

#[test]
fn a_disabled_flow_cannot_take_a_port_that_is_taken() {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000), disabled(flow("b", 5000))]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    let (status, answer) = edge.act("/api/v1/flows/b/start");
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("5000"));
    assert_eq!(data_plane.running(), ["a"]);
}

#[test]
fn refusals_of_the_data_plane_are_its_own() {
    let (edge, data_plane) = both();
    data_plane.refuse("b", ControlErrorKind::Unsupported, "no such input");
    assert_eq!(
        edge.act("/api/v1/flows/b/start"),
        failure(500, "Flow 'b': no such input")
    );
    data_plane.refuse("a", ControlErrorKind::Bind, "bind_addr: in use");
    assert_eq!(
        edge.act("/api/v1/flows/a/restart"),
        failure(500, "Flow 'a': bind_addr: in use")
    );
    let stats = edge.stats_of("a");
    assert_eq!(
        (&stats["state"], &stats["health"]),
        (&"Error".into(), &"Critical".into())
    );
    data_plane.accept("a");
    wait_until("the flow to be tried again", || {
        data_plane.running() == ["a"]
    });
}

#[test]
fn a_flow_that_is_being_tried_again_can_be_stopped() {
    let (edge, data_plane) = both();
    data_plane.refuse("a", ControlErrorKind::Bind, "bind_addr: in use");
    assert_eq!(edge.act("/api/v1/flows/a/restart").0, 500);
    assert_eq!(edge.act("/api/v1/flows/a/stop"), nothing());
    assert_eq!(edge.stats_of("a")["state"], "Stopped");
    assert_eq!(data_plane.stopped_by_operator(), ["a"]);
}

#[test]
fn without_a_data_plane_actions_fail_clearly() {
    let (edge, data_plane) = both();
    drop(data_plane);
    edge.wait_for_data_plane("lost");
    for action in ["start", "stop", "restart"] {
        let (status, answer) = edge.act(&format!("/api/v1/flows/a/{action}"));
        assert_eq!(status, 500, "{answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(
            error.starts_with("the data plane is not connected: "),
            "{error}"
        );
    }
}
