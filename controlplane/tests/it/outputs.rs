//! `/api/v1/flows/{flow_id}/outputs`.

use bilbycast_shm_proto::control::{Command, ControlErrorKind};
use serde_json::json;

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, disabled, failure, flow, nothing, output, spec};

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
fn outputs_come_and_go_while_the_flow_runs() {
    let (edge, data_plane) = both();
    let (status, answer) = edge.post("/api/v1/flows/a/outputs", &output("more", 40_010));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer,
        json!({"success": true, "data": output("more", 40_010)})
    );
    let mut longer = flow("a", 5000);
    longer["outputs"] = json!([output("out", 40_000), output("more", 40_010)]);
    assert_eq!(
        data_plane.take_commands(),
        [Command::ApplyFlow(spec(&longer))]
    );
    assert_eq!(
        edge.folder.read_config()["flows"][0]["outputs"][1]["id"],
        "more"
    );

    assert_eq!(edge.delete("/api/v1/flows/a/outputs/more"), nothing());
    assert_eq!(
        data_plane.take_commands(),
        [Command::ApplyFlow(spec(&flow("a", 5000)))]
    );
    let outputs = &edge.folder.read_config()["flows"][0]["outputs"];
    assert_eq!(outputs.as_array().unwrap().len(), 1);
}

#[test]
fn an_edit_does_not_start_a_flow_that_is_stopped() {
    let (edge, data_plane) = both();
    let (status, _) = edge.post("/api/v1/flows/b/outputs", &output("more", 40_010));
    assert_eq!(status, 200);
    assert_eq!(edge.delete("/api/v1/flows/b/outputs/more"), nothing());
    assert!(data_plane.take_commands().is_empty());
}

#[test]
fn errors_say_what_is_wrong() {
    let (edge, data_plane) = both();
    assert_eq!(
        edge.post("/api/v1/flows/x/outputs", &output("more", 40_010)),
        failure(404, "Flow 'x' not found")
    );
    assert_eq!(
        edge.post("/api/v1/flows/a/outputs", &output("out", 40_010)),
        failure(409, "Output 'out' already exists in flow 'a'")
    );
    assert_eq!(
        edge.delete("/api/v1/flows/a/outputs/none"),
        failure(404, "Output 'none' not found in flow 'a'")
    );
    assert_eq!(
        edge.delete("/api/v1/flows/x/outputs/none"),
        failure(404, "Flow 'x' not found")
    );
    let (status, answer) = edge.post(
        "/api/v1/flows/a/outputs",
        &json!({"type": "udp", "id": "o"}),
    );
    assert_eq!(status, 400, "{answer}");

    data_plane.refuse(
        "a",
        ControlErrorKind::Bind,
        "output 'more': bind_addr: in use",
    );
    assert_eq!(
        edge.post("/api/v1/flows/a/outputs", &output("more", 40_010)),
        failure(500, "Flow 'a': output 'more': bind_addr: in use")
    );
    assert_eq!(data_plane.spec("a"), spec(&flow("a", 5000)));
    let outputs = &edge.get("/api/v1/flows/a").1["data"]["outputs"];
    assert_eq!(outputs.as_array().unwrap().len(), 1);
}
