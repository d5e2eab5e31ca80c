//! `/api/v1/flows`: list, show, create, replace, delete.

use bilbycast_shm_proto::control::{Command, ControlErrorKind};
use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{
    ControlPlane, Folder, break_disk, disabled, document, failure, flow, nothing, output, spec,
};

fn both(flows: &[Value]) -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    folder.write_config(flows);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let control_plane = ControlPlane::start(folder);
    control_plane.wait_for_data_plane("connected");
    let enabled = flows.iter().filter(|flow| flow["enabled"] == true).count();
    control_plane.wait_for_active(enabled);
    data_plane.take_commands();
    (control_plane, data_plane)
}

#[test]
fn flows_are_listed_and_shown() {
    let (edge, _data_plane) = both(&[flow("a", 5000), disabled(flow("b", 5002))]);
    let (status, answer) = edge.get("/api/v1/flows");
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({"success": true, "data": {"flows": [
            {"id": "a", "name": "Flow a", "enabled": true, "input_type": "udp", "output_count": 1},
            {"id": "b", "name": "Flow b", "enabled": false, "input_type": "udp", "output_count": 1},
        ]}})
    );
    let (status, answer) = edge.get("/api/v1/flows/a");
    assert_eq!(status, 200);
    assert_eq!(answer["data"]["input"]["bind_addr"], "127.0.0.1:5000");
    assert_eq!(
        edge.get("/api/v1/flows/nonexistent"),
        failure(404, "Flow 'nonexistent' not found")
    );
}

#[test]
fn a_created_flow_runs_and_is_on_disk() {
    let (edge, data_plane) = both(&[]);
    let (status, answer) = edge.post("/api/v1/flows", &flow("a", 5000));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["success"], true);
    assert_eq!(answer["data"]["id"], "a");
    assert_eq!(
        data_plane.take_commands(),
        [Command::ApplyFlow(spec(&flow("a", 5000)))]
    );
    assert_eq!(edge.folder.read_config()["flows"][0]["id"], "a");
    assert_eq!(edge.get("/health").1["active_flows"], 1);

    assert_eq!(
        edge.post("/api/v1/flows", &flow("a", 5002)),
        failure(409, "Flow 'a' already exists")
    );
    let (status, answer) = edge.post("/api/v1/flows", &disabled(flow("b", 5002)));
    assert_eq!(status, 200, "{answer}");
    assert!(data_plane.take_commands().is_empty());
}

#[test]
fn what_is_not_legal_is_refused_and_changes_nothing() {
    let (edge, data_plane) = both(&[flow("a", 5000)]);
    let before = edge.folder.read_config();
    for (body, culprit) in [
        (json!({"id": "b"}), "name"),
        (json!([]), "object"),
        (flow("b", 5000), "127.0.0.1:5000"),
        (
            json!({"id": "b", "name": "B", "input": {"type": "udp", "bind_addr": "nowhere"}, "outputs": []}),
            "nowhere",
        ),
    ] {
        let (status, answer) = edge.post("/api/v1/flows", &body);
        assert_eq!(status, 400, "{answer}");
        assert_eq!(answer["success"], false);
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(culprit), "{error}");
    }
    assert!(data_plane.take_commands().is_empty());
    assert_eq!(edge.folder.read_config(), before);
}

#[test]
fn a_flow_that_the_data_plane_refuses_is_not_created() {
    let (edge, data_plane) = both(&[]);
    let before = edge.folder.read_config();
    for (kind, status) in [
        (ControlErrorKind::Bind, 500),
        (ControlErrorKind::Resources, 500),
        (ControlErrorKind::Unsupported, 400),
        (ControlErrorKind::Malformed, 400),
    ] {
        data_plane.refuse("a", kind, "input bind_addr 127.0.0.1:5000: refused");
        assert_eq!(
            edge.post("/api/v1/flows", &flow("a", 5000)),
            failure(status, "Flow 'a': input bind_addr 127.0.0.1:5000: refused")
        );
    }
    assert_eq!(edge.get("/api/v1/flows").1["data"]["flows"], json!([]));
    assert_eq!(edge.folder.read_config(), before);
    let leftovers = std::fs::read_dir(edge.folder.path().join("etc")).unwrap();
    assert_eq!(
        leftovers.count(),
        2,
        "the file and its backup; the temporary ones are gone"
    );
}

#[test]
fn a_replaced_flow_is_compared_first() {
    let (edge, data_plane) = both(&[flow("a", 5000), flow("b", 5002)]);
    let mut renamed = flow("a", 5000);
    renamed["name"] = json!("Renamed");
    renamed["outputs"][0]["name"] = json!("Renamed too");
    let (status, answer) = edge.put("/api/v1/flows/a", &renamed);
    assert_eq!((status, &answer["data"]["name"]), (200, &json!("Renamed")));
    assert!(data_plane.take_commands().is_empty());
    assert_eq!(edge.folder.read_config()["flows"][0]["name"], "Renamed");

    let moved = flow("ignored", 5010);
    let (status, answer) = edge.put("/api/v1/flows/a", &moved);
    assert_eq!((status, &answer["data"]["id"]), (200, &json!("a")));
    assert_eq!(
        data_plane.take_commands(),
        [Command::ApplyFlow(spec(&flow("a", 5010)))]
    );

    let (status, _) = edge.put("/api/v1/flows/a", &disabled(flow("a", 5010)));
    assert_eq!(status, 200);
    assert_eq!(data_plane.running(), ["b"]);
    assert!(data_plane.stopped_by_operator().is_empty());
    let (status, _) = edge.put("/api/v1/flows/a", &flow("a", 5010));
    assert_eq!(status, 200);
    assert_eq!(data_plane.running(), ["a", "b"]);

    assert_eq!(
        edge.put("/api/v1/flows/c", &flow("c", 5020)),
        failure(404, "Flow 'c' not found")
    );
    let (status, answer) = edge.put("/api/v1/flows/a", &flow("a", 5002));
    assert_eq!(status, 400, "{answer}");
}

#[test]
fn a_refused_replacement_leaves_the_old_flow_running() {
    let (edge, data_plane) = both(&[flow("a", 5000)]);
    data_plane.refuse(
        "a",
        ControlErrorKind::Bind,
        "bind_addr 127.0.0.1:5010: in use",
    );
    assert_eq!(
        edge.put("/api/v1/flows/a", &flow("a", 5010)),
        failure(500, "Flow 'a': bind_addr 127.0.0.1:5010: in use")
    );
    assert_eq!(data_plane.spec("a"), spec(&flow("a", 5000)));
    let shown = edge.get("/api/v1/flows/a").1;
    assert_eq!(shown["data"]["input"]["bind_addr"], "127.0.0.1:5000");
    assert_eq!(edge.stats_of("a")["health"], "Healthy");
}

#[test]
fn a_deleted_flow_is_stopped_and_gone() {
    let (edge, data_plane) = both(&[flow("a", 5000), flow("b", 5002)]);
    assert_eq!(edge.delete("/api/v1/flows/a"), nothing());
    assert_eq!(data_plane.running(), ["b"]);
    assert_eq!(edge.folder.read_config()["flows"][0]["id"], "b");
    assert_eq!(
        edge.delete("/api/v1/flows/a"),
        failure(404, "Flow 'a' not found")
    );
}

#[test]
fn when_the_disk_fails_nothing_changes() {
    let (edge, data_plane) = both(&[flow("a", 5000)]);
    edge.folder.break_disk();
    let answers = [
        edge.post("/api/v1/flows", &flow("b", 5002)),
        edge.put("/api/v1/flows/a", &flow("a", 5010)),
        edge.delete("/api/v1/flows/a"),
        edge.post("/api/v1/flows/a/outputs", &output("more", 40_010)),
        edge.delete("/api/v1/flows/a/outputs/out"),
        edge.put("/api/v1/config", &document(&[])),
    ];
    for (status, answer) in answers {
        assert_eq!(status, 500, "{answer}");
        assert_eq!(answer["success"], false);
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains("config.json"), "{error}");
    }
    assert!(data_plane.take_commands().is_empty());
    assert_eq!(data_plane.spec("a"), spec(&flow("a", 5000)));
    edge.folder.mend_disk();
    assert_eq!(edge.get("/api/v1/flows").1["data"]["flows"][0]["id"], "a");
    assert_eq!(edge.delete("/api/v1/flows/a"), nothing());
}

#[test]
fn when_the_disk_fails_at_the_last_moment_the_data_plane_goes_back() {
    let (edge, data_plane) = both(&[flow("a", 5000)]);
    let create = |edge: &ControlPlane| edge.post("/api/v1/flows", &flow("b", 5002));
    let replace = |edge: &ControlPlane| edge.put("/api/v1/flows/a", &flow("a", 5010));
    let configure = |edge: &ControlPlane| {
        let wanted = document(&[flow("c", 5004), flow("a", 5012)]);
        edge.put("/api/v1/config", &wanted)
    };
    for change in [create, replace, configure] {
        let folder = edge.folder.path().to_owned();
        data_plane.on_apply(move || break_disk(&folder));
        let (status, answer) = change(&edge);
        assert_eq!(status, 500, "{answer}");
        edge.folder.mend_disk();
        assert_eq!(data_plane.running(), ["a"]);
        assert_eq!(data_plane.spec("a"), spec(&flow("a", 5000)));
        let flows = edge.get("/api/v1/flows").1;
        assert_eq!(flows["data"]["flows"].as_array().unwrap().len(), 1);
        assert_eq!(edge.folder.read_config()["flows"][0]["id"], "a");
    }
}

#[test]
fn changes_without_a_data_plane_are_kept_for_its_return() {
    let edge = ControlPlane::with_flows(&[flow("a", 5000)]);
    edge.wait_for_data_plane("lost");
    let (status, answer) = edge.post("/api/v1/flows", &flow("b", 5002));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(edge.folder.read_config()["flows"][1]["id"], "b");
    let (status, _) = edge.put("/api/v1/flows/a", &flow("a", 5010));
    assert_eq!(status, 200);
    let data_plane = FakeDataPlane::start(edge.folder.path(), 1);
    edge.wait_for_active(2);
    assert_eq!(data_plane.spec("a"), spec(&flow("a", 5010)));
}
