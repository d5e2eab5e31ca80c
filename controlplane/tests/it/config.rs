//! `/api/v1/config`: show, replace, reload.

use std::fs;

use bilbycast_shm_proto::control::{Command, ControlErrorKind};
use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{
    ControlPlane, Folder, disabled, document, failure, flow, output, spec, wait_until,
};

fn both(flows: &[Value]) -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    folder.write_config(flows);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(flows.len());
    data_plane.take_commands();
    (edge, data_plane)
}

#[test]
fn the_configuration_is_shown_without_secrets_and_can_be_sent_back() {
    let folder = Folder::new();
    let mut with_secrets = document(&[flow("a", 5000)]);
    with_secrets["server"]["auth"] = json!({
        "enabled": false,
        "jwt_secret": "0123456789abcdef0123456789abcdef",
        "clients": [],
    });
    folder.write_document(&with_secrets);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    data_plane.take_commands();

    let (status, shown) = edge.get("/api/v1/config");
    assert_eq!(status, 200);
    assert!(!shown.to_string().contains("0123456789abcdef"), "{shown}");
    assert_eq!(shown["data"]["version"], 1);
    assert_eq!(shown["data"]["flows"][0]["id"], "a");

    let (status, answer) = edge.put("/api/v1/config", &shown["data"]);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer, shown);
    assert!(data_plane.take_commands().is_empty());
}

#[test]
fn a_replaced_configuration_touches_only_what_differs() {
    let (edge, data_plane) = both(&[flow("a", 5000), flow("b", 5002), flow("c", 5004)]);
    let mut renamed = flow("a", 5000);
    renamed["name"] = json!("Renamed");
    let mut longer = flow("b", 5002);
    longer["outputs"] = json!([output("out", 40_000), output("more", 40_010)]);
    let wanted = document(&[renamed, longer.clone(), flow("d", 5006)]);
    let (status, answer) = edge.put("/api/v1/config", &wanted);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        data_plane.take_commands(),
        [
            Command::StopFlow {
                flow_id: "c".to_owned(),
                by_operator: false
            },
            Command::ApplyFlow(spec(&longer)),
            Command::ApplyFlow(spec(&flow("d", 5006))),
        ]
    );
    assert_eq!(edge.folder.read_config()["flows"][0]["name"], "Renamed");
}

#[test]
fn an_illegal_configuration_changes_nothing() {
    let (edge, data_plane) = both(&[flow("a", 5000)]);
    let before = edge.folder.read_config();
    for (wanted, culprit) in [
        (document(&[flow("a", 5000), flow("a", 5002)]), "a"),
        (document(&[flow("a", 5000), flow("b", 5000)]), "5000"),
        (json!({"version": 2}), "version"),
    ] {
        let (status, answer) = edge.put("/api/v1/config", &wanted);
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(culprit));
    }
    assert!(data_plane.take_commands().is_empty());
    assert_eq!(edge.folder.read_config(), before);
}

#[test]
fn flows_that_fail_to_start_are_named_and_tried_again() {
    let (edge, data_plane) = both(&[flow("a", 5000)]);
    data_plane.refuse(
        "b",
        ControlErrorKind::Bind,
        "bind_addr 127.0.0.1:5002: in use",
    );
    let wanted = document(&[flow("a", 5000), flow("b", 5002), flow("c", 5004)]);
    assert_eq!(
        edge.put("/api/v1/config", &wanted),
        failure(
            500,
            "the configuration was applied, but some flows failed to start: \
             Flow 'b': bind_addr 127.0.0.1:5002: in use"
        )
    );
    assert_eq!(edge.folder.read_config()["flows"][1]["id"], "b");
    assert_eq!(data_plane.running(), ["a", "c"]);
    assert_eq!(edge.stats_of("b")["health"], "Critical");
    assert_eq!(edge.stats_of("c")["health"], "Healthy");
    data_plane.accept("b");
    wait_until("the flow to be tried again", || {
        data_plane.running() == ["a", "b", "c"]
    });
    wait_until("the failure to be forgotten", || {
        edge.stats_of("b")["health"] == "Healthy"
    });
}

#[test]
fn running_flows_can_exchange_their_ports() {
    let (edge, data_plane) = both(&[flow("a", 5000), flow("b", 5002), flow("c", 5004)]);
    let wanted = [flow("a", 5002), flow("b", 5000), flow("c", 5004)];
    let (status, answer) = edge.put("/api/v1/config", &document(&wanted));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(data_plane.spec("a"), spec(&wanted[0]));
    assert_eq!(data_plane.spec("b"), spec(&wanted[1]));
    let touched_c = data_plane.take_commands().into_iter().any(|command| {
        matches!(&command, Command::StopFlow { flow_id, .. } if flow_id == "c")
            || matches!(&command, Command::ApplyFlow(flow) if flow.id == "c")
    });
    assert!(!touched_c);
}

#[test]
fn flows_can_follow_each_other_into_freed_ports() {
    let (edge, data_plane) = both(&[flow("a", 5000), flow("b", 5002)]);
    let wanted = [flow("a", 5002), flow("b", 5004)];
    let (status, answer) = edge.put("/api/v1/config", &document(&wanted));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(data_plane.spec("a"), spec(&wanted[0]));
}

#[test]
fn a_reload_of_the_same_file_sends_nothing() {
    let (edge, data_plane) = both(&[flow("a", 5000), flow("b", 5002)]);
    let (status, answer) = edge.act("/api/v1/config/reload");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer, edge.get("/api/v1/config").1);
    assert!(data_plane.take_commands().is_empty());
}

#[test]
fn a_reload_takes_over_what_was_edited() {
    let (edge, data_plane) = both(&[flow("a", 5000), flow("b", 5002)]);
    edge.folder
        .write_config(&[disabled(flow("a", 5000)), flow("b", 5004)]);
    let (status, answer) = edge.act("/api/v1/config/reload");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(data_plane.running(), ["b"]);
    assert_eq!(data_plane.spec("b"), spec(&flow("b", 5004)));
}

#[test]
fn a_reload_of_a_bad_file_leaves_everything_as_it_was() {
    let (edge, data_plane) = both(&[flow("a", 5000)]);
    fs::write(edge.folder.config(), "{").unwrap();
    let (status, answer) = edge.act("/api/v1/config/reload");
    assert_eq!(status, 500, "{answer}");
    fs::remove_file(edge.folder.config()).unwrap();
    let (status, answer) = edge.act("/api/v1/config/reload");
    assert_eq!(status, 500, "{answer}");
    edge.folder.write_config(&[flow("", 5000)]);
    let (status, answer) = edge.act("/api/v1/config/reload");
    assert_eq!(status, 400, "{answer}");
    assert!(data_plane.take_commands().is_empty());
    assert_eq!(edge.get("/api/v1/flows").1["data"]["flows"][0]["id"], "a");
}
