//! `/api/v1/events`.

use std::fs;

use bilbycast_shm_proto::control::ControlErrorKind;
use bilbycast_shm_proto::event::{Category, Event, Severity};
use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, disabled, failure, flow, output, wait_until};

fn both(flows: &[Value]) -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    folder.write_config(flows);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_data_plane("connected");
    (edge, data_plane)
}

fn data_plane_event(timestamp_us: u64, message: &str) -> Event {
    Event {
        timestamp_us,
        severity: Severity::Warning,
        category: Category::Flow,
        message: message.to_owned(),
        flow_id: Some("a".to_owned()),
        details: Some(json!({"packets": 3})),
    }
}

/// All events, oldest first.
fn events(edge: &ControlPlane) -> Vec<Value> {
    let (status, answer) = edge.get("/api/v1/events");
    assert_eq!(status, 200, "{answer}");
    let mut events = answer["data"]["events"].as_array().unwrap().clone();
    events.reverse();
    events
}

/// Category and message of every event, oldest first, without those of the start.
fn told(edge: &ControlPlane) -> Vec<(String, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    events(edge)
        .iter()
        .map(|event| (text(event, "category"), text(event, "message")))
        .filter(|(category, _)| category != "data_plane")
        .collect()
}

fn count(edge: &ControlPlane, category: &str, start: &str) -> usize {
    let events = events(edge);
    let matching = events.iter().filter(|event| {
        event["category"] == category && event["message"].as_str().unwrap().starts_with(start)
    });
    matching.count()
}

#[test]
fn events_of_both_processes_are_shown_newest_first() {
    let (edge, data_plane) = both(&[]);
    wait_until("the connection to be told", || {
        count(&edge, "data_plane", "data plane fake connected") == 1
    });
    data_plane.push_event(&data_plane_event(
        1_700_000_000_000_001,
        "something happened",
    ));
    let (status, answer) = edge.get("/api/v1/events");
    assert_eq!(status, 200);
    assert_eq!(answer["success"], true);
    assert_eq!(answer["data"]["dropped"], 0);
    let events = answer["data"]["events"].as_array().unwrap();
    let [newest, connected] = &events[..] else {
        panic!("{events:?}");
    };
    // Its own time is past, and ids rise in the order in which events become visible.
    let id = connected["id"].as_u64().unwrap() + 1;
    assert_eq!(
        *newest,
        json!({
            "id": id, "timestamp": "2023-11-14T22:13:20.000001Z", "severity": "warning",
            "category": "flow", "message": "something happened", "flow_id": "a",
            "details": {"packets": 3},
        })
    );
    assert_eq!(connected["severity"], "info");
    assert!(connected.get("flow_id").is_none());

    let since =
        |id: u64| edge.get(&format!("/api/v1/events?since={id}")).1["data"]["events"].clone();
    assert_eq!(since(id - 1), json!([newest]));
    assert_eq!(since(id), json!([]));
    assert_eq!(since(0).as_array().unwrap().len(), 2);
}

#[test]
fn since_must_be_a_number() {
    let edge = ControlPlane::with_flows(&[]);
    for since in ["x", "-1", "1.5", "", "99999999999999999999999"] {
        assert_eq!(
            edge.get(&format!("/api/v1/events?since={since}")),
            failure(
                400,
                &format!("since '{since}': must be the id of an event, a non-negative integer")
            )
        );
    }
    assert_eq!(edge.get("/api/v1/events?other=x").0, 200);
}

#[test]
fn events_survive_a_restart_of_the_control_plane() {
    let (edge, data_plane) = both(&[]);
    let before = events(&edge);
    data_plane.push_event(&data_plane_event(1_700_000_000_000_000, "early"));
    let known = events(&edge);
    assert_eq!(known.len(), before.len() + 1);
    let folder = edge.stop();

    data_plane.push_event(&data_plane_event(1_700_000_000_500_000, "nobody listened"));
    let edge = ControlPlane::start(folder);
    let found = told(&edge);
    assert_eq!(
        found
            .iter()
            .map(|(_, message)| message.as_str())
            .collect::<Vec<_>>(),
        ["early", "nobody listened"]
    );
    let ids: Vec<_> = events(&edge)
        .iter()
        .map(|event| event["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids[..2], [1_700_000_000_000_000, 1_700_000_000_500_000]);
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    wait_until("the connection to be told", || {
        count(&edge, "data_plane", "data plane fake connected") == 1
    });
    // The same connection again shows nothing twice.
    data_plane.disconnect();
    wait_until("the loss to be told", || {
        count(&edge, "data_plane", "data plane lost") == 1
    });
    assert_eq!(told(&edge), found);
}

#[test]
fn a_data_plane_that_comes_and_goes_is_told_once_each() {
    let (edge, data_plane) = both(&[flow("a", 5000), flow("b", 5002)]);
    edge.wait_for_active(2);
    data_plane.push_event(&data_plane_event(1, "last words"));
    drop(data_plane);
    wait_until("the loss", || {
        count(&edge, "data_plane", "data plane lost: ") == 1
    });
    let lost = events(&edge).pop().unwrap();
    assert_eq!(lost["severity"], "critical");
    let _data_plane = FakeDataPlane::start(edge.folder.path(), 2);
    edge.wait_for_active(2);
    wait_until("the end of the reconciliation", || {
        count(
            &edge,
            "data_plane",
            "flows applied again: 2 started or changed, 0 stopped, 0 failed",
        ) == 2
    });
    assert_eq!(count(&edge, "data_plane", "data plane fake connected"), 2);
    assert_eq!(count(&edge, "data_plane", "data plane lost: "), 1);
    assert_eq!(count(&edge, "flow", "last words"), 1);
}

#[test]
fn changes_of_the_configuration_are_told() {
    let (edge, _data_plane) = both(&[]);
    assert_eq!(edge.post("/api/v1/flows", &flow("a", 5000)).0, 200);
    assert_eq!(
        edge.post("/api/v1/flows/a/outputs", &output("more", 40_010))
            .0,
        200
    );
    assert_eq!(edge.delete("/api/v1/flows/a/outputs/more").0, 200);
    assert_eq!(edge.put("/api/v1/flows/a", &flow("a", 5002)).0, 200);
    assert_eq!(edge.delete("/api/v1/flows/a").0, 200);
    assert_eq!(edge.act("/api/v1/config/reload").0, 200);
    // A refusal changes nothing, so it is none.
    assert_eq!(edge.delete("/api/v1/flows/a").0, 404);
    let expected = [
        "flow 'a' created",
        "output 'more' added to flow 'a'",
        "output 'more' removed from flow 'a'",
        "flow 'a' replaced",
        "flow 'a' deleted",
        "0 flows",
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|what| {
            (
                "config".to_owned(),
                format!("configuration applied: {what}"),
            )
        })
        .collect();
    assert_eq!(told(&edge), expected);
}

#[test]
fn a_configuration_that_is_not_saved_is_told() {
    let (edge, _data_plane) = both(&[]);
    edge.folder.break_disk();
    assert_eq!(edge.post("/api/v1/flows", &flow("a", 5000)).0, 500);
    edge.folder.mend_disk();
    assert_eq!(
        count(&edge, "config", "the configuration was not saved: "),
        1
    );
    assert_eq!(told(&edge).len(), 1);
}

#[test]
fn a_flow_that_fails_again_and_again_is_told_once() {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000), disabled(flow("b", 5002))]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    data_plane.refuse(
        "a",
        ControlErrorKind::Bind,
        "bind_addr 127.0.0.1:5000: in use",
    );
    data_plane.refuse("b", ControlErrorKind::Unsupported, "input: cannot do that");
    let edge = ControlPlane::start(folder);
    wait_until("the failure", || {
        count(&edge, "flow", "flow 'a' failed to start") == 1
    });
    let failed = events(&edge);
    let failed = failed
        .iter()
        .find(|event| event["category"] == "flow")
        .unwrap();
    assert_eq!(failed["severity"], "critical");
    assert_eq!(failed["flow_id"], "a");
    assert_eq!(failed["details"], json!({"error_code": "bind_failed"}));
    assert_eq!(
        failed["message"],
        "flow 'a' failed to start: bind_addr 127.0.0.1:5000: in use"
    );

    // Another attempt, by whatever asks for it, fails alike.
    assert_eq!(edge.act("/api/v1/config/reload").0, 500);
    assert_eq!(count(&edge, "flow", "flow 'a' failed to start"), 1);
    data_plane.refuse(
        "a",
        ControlErrorKind::Bind,
        "bind_addr 127.0.0.1:5000: another reason",
    );
    assert_eq!(edge.act("/api/v1/config/reload").0, 500);
    assert_eq!(count(&edge, "flow", "flow 'a' failed to start"), 2);

    // An operator's attempt is told each time; that it is impossible twice in a row is news to somebody.
    assert_eq!(edge.act("/api/v1/flows/b/start").0, 500);
    let failed = events(&edge).pop().unwrap();
    assert_eq!(failed["details"], json!({"error_code": "validation_error"}));
    assert_eq!(edge.act("/api/v1/flows/nonexistent/start").0, 404);
    assert_eq!(count(&edge, "flow", ""), 3);
}

#[test]
fn a_missing_data_plane_is_told_after_a_while() {
    let edge = ControlPlane::with_flows(&[]);
    assert_eq!(count(&edge, "data_plane", ""), 0);
    wait_until("the alarm", || {
        let events = events(&edge);
        events.iter().any(|event| event["severity"] == "critical")
    });
    assert_eq!(
        count(&edge, "data_plane", "data plane lost: control socket"),
        1
    );
    assert!(fs::metadata(edge.folder.config()).is_ok());
}
