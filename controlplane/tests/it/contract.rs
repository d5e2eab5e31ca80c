//! Every row of the reference's endpoint table that is served: what it answers when all is well, for an unknown id, in
//! conflict, and to a malformed body. One snapshot holds all of it, status and every field, to be laid beside the
//! reference; who may ask is in [`crate::auth`].

use std::fmt::Write;

use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, disabled, flow};

/// What differs from run to run, and is not what the contract is about.
fn redacted(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let differs = matches!(
                    name.as_str(),
                    "id" | "node_id" | "timestamp" | "uptime_secs" | "pid"
                ) && (field.is_number() || name == "node_id" || name == "timestamp");
                *field = if differs {
                    json!(format!("[{name}]"))
                } else {
                    redacted(field.take())
                };
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = redacted(item.take());
            }
        }
        _ => {}
    }
    value
}

/// The answers, in the order of the questions.
struct Record(String);

impl Record {
    fn note(&mut self, question: &str, (status, answer): (u16, Value)) {
        let answer = serde_json::to_string_pretty(&redacted(answer)).unwrap();
        writeln!(self.0, "{question}\n{status} {answer}\n").unwrap();
    }
}

#[test]
fn every_row_answers_as_the_reference_has_it() {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000), disabled(flow("b", 5002))]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    let mut record = Record(String::new());

    record.note("GET /health", edge.get("/health"));
    record.note("GET /api/v1/flows", edge.get("/api/v1/flows"));
    record.note("GET a flow", edge.get("/api/v1/flows/a"));
    record.note("GET an unknown flow", edge.get("/api/v1/flows/x"));

    record.note("POST a flow", edge.post("/api/v1/flows", &flow("c", 5004)));
    record.note(
        "POST it again",
        edge.post("/api/v1/flows", &flow("c", 5004)),
    );
    let mut bad = flow("d", 5006);
    bad["input"]["bind_addr"] = json!("nowhere");
    record.note("POST a bad flow", edge.post("/api/v1/flows", &bad));
    record.note("POST no JSON", edge.post_bytes("/api/v1/flows", b"{"));
    let mut renamed = flow("c", 5004);
    renamed["name"] = json!("Renamed");
    record.note("PUT a flow", edge.put("/api/v1/flows/c", &renamed));
    record.note("PUT an unknown flow", edge.put("/api/v1/flows/x", &renamed));
    record.note(
        "PUT a bad flow",
        edge.put("/api/v1/flows/c", &json!({"id": "c"})),
    );

    for action in ["start", "stop", "stop", "start", "restart"] {
        let path = format!("/api/v1/flows/c/{action}");
        record.note(&format!("POST {action}"), edge.post(&path, &Value::Null));
    }
    for action in ["start", "stop", "restart"] {
        let path = format!("/api/v1/flows/x/{action}");
        let question = format!("POST {action} of an unknown flow");
        record.note(&question, edge.post(&path, &Value::Null));
    }

    let outputs = "/api/v1/flows/c/outputs";
    let output = json!({
        "type": "rtp", "id": "extra", "name": "Extra", "dest_addr": "127.0.0.1:5010", "dscp": 46,
    });
    record.note("POST an output", edge.post(outputs, &output));
    record.note("POST it again", edge.post(outputs, &output));
    record.note(
        "POST a bad output",
        edge.post(outputs, &json!({"type": "rtp", "id": "e"})),
    );
    let elsewhere = "/api/v1/flows/x/outputs";
    record.note(
        "POST an output of an unknown flow",
        edge.post(elsewhere, &output),
    );
    record.note(
        "DELETE an output",
        edge.delete("/api/v1/flows/c/outputs/extra"),
    );
    record.note(
        "DELETE it again",
        edge.delete("/api/v1/flows/c/outputs/extra"),
    );
    record.note("DELETE a flow", edge.delete("/api/v1/flows/c"));
    record.note("DELETE it again", edge.delete("/api/v1/flows/c"));

    record.note(
        "GET /api/v1/stats/{id}, stopped",
        edge.get("/api/v1/stats/b"),
    );
    record.note(
        "GET statistics of an unknown flow",
        edge.get("/api/v1/stats/x"),
    );
    record.note("GET PIDs, stopped", edge.get("/api/v1/stats/b/pids"));
    record.note(
        "GET events since rubbish",
        edge.get("/api/v1/events?since=x"),
    );

    record.note("GET /api/v1/config", edge.get("/api/v1/config"));
    let (_, answer) = edge.get("/api/v1/config");
    record.note("PUT it back", edge.put("/api/v1/config", &answer["data"]));
    record.note(
        "PUT a bad one",
        edge.put("/api/v1/config", &json!({"version": 2})),
    );
    record.note(
        "POST reload",
        edge.post("/api/v1/config/reload", &Value::Null),
    );
    let token = json!({"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"});
    record.note("POST a token, auth off", edge.post("/oauth/token", &token));
    record.note("GET /setup/status", edge.get("/setup/status"));
    record.note(
        "POST a bad setup",
        edge.post("/setup", &json!({"manager_url": "http://x"})),
    );
    record.note("GET tunnels", edge.get("/api/v1/tunnels"));
    record.note("GET an unknown path", edge.get("/api/v1/nothing"));
    record.note("a wrong method", edge.delete("/api/v1/flows"));
    drop(data_plane);

    insta::assert_snapshot!(record.0);
}
