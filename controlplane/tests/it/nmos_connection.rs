//! The NMOS Connection API (IS-05 v1.1).

mod activation;
mod bulk;
mod connecting;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bilbycast_shm_proto::control::Command;
use bilbycast_shm_proto::model::FlowSpec;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth;
use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, document, wait_until};
use crate::wire::ask;

const API: &str = "/x-nmos/connection/v1.1";

/// One RTP sender beside another output, and one RTP receiver, one leg each.
fn plain() -> Value {
    json!({
        "id": "a",
        "name": "Flow a",
        "enabled": true,
        "input": {"type": "rtp", "bind_addr": "127.0.0.1:5000"},
        "outputs": [
            {"type": "rtp", "id": "out", "name": "Out", "payload_type": 96, "dest_addr": "239.1.1.1:6000",
                "interface_addr": "127.0.0.1"},
            {"type": "udp", "id": "sibling", "name": "Sibling", "dest_addr": "127.0.0.1:7000"},
        ],
    })
}

/// Two legs and FEC.
fn protected() -> Value {
    json!({
        "id": "b",
        "name": "Flow b",
        "enabled": true,
        "input": {"type": "rtp", "bind_addr": "239.2.2.1:5100", "interface_addr": "127.0.0.1",
            "redundancy": {"bind_addr": "239.2.2.2:5100", "interface_addr": "127.0.0.1"},
            "fec_decode": {"columns": 5, "rows": 5}},
        "outputs": [{"type": "rtp", "id": "out", "name": "Out b", "payload_type": 96,
            "dest_addr": "239.2.2.3:6100", "interface_addr": "127.0.0.1",
            "redundancy": {"dest_addr": "239.2.2.4:6102", "interface_addr": "127.0.0.1"},
            "fec_encode": {"columns": 5, "rows": 6}}],
    })
}

struct Edge {
    edge: ControlPlane,
    data_plane: FakeDataPlane,
}

impl Edge {
    fn start() -> Self {
        let folder = Folder::new();
        let data_plane = FakeDataPlane::start(folder.path(), 1);
        folder.write_config(&[plain(), protected()]);
        let edge = ControlPlane::start(folder);
        edge.wait_for_active(2);
        data_plane.take_commands();
        Self { edge, data_plane }
    }

    /// Another process of the control plane, which finds everything as the first one left it.
    fn restart(self, meanwhile: impl FnOnce()) -> Self {
        let Self { edge, data_plane } = self;
        let folder = edge.stop();
        meanwhile();
        let edge = ControlPlane::start(folder);
        edge.wait_for_active(2);
        Self { edge, data_plane }
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.edge.get(&format!("{API}{path}"));
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
        let line = format!("PATCH {API}{path}/staged");
        ask(self.edge.address(), &line, &[], &body.to_string()).parts()
    }

    /// Activates `body` at once.
    fn activate(&self, path: &str, body: &Value) -> Value {
        let mut body = body.clone();
        body["activation"] = json!({"mode": "activate_immediate"});
        let (status, answer) = self.patch(path, &body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn resource(&self, kind: &str, id: Uuid) -> Value {
        let (status, answer) = self.edge.get(&format!("/x-nmos/node/v1.3/{kind}/{id}"));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn applied(&self) -> Vec<FlowSpec> {
        let commands = self.data_plane.take_commands().into_iter();
        commands
            .filter_map(|command| match command {
                Command::ApplyFlow(spec) => Some(spec),
                _ => None,
            })
            .collect()
    }
}

fn id(name: &str) -> Uuid {
    let node_id: Uuid = document(&[])["node_id"].as_str().unwrap().parse().unwrap();
    Uuid::new_v5(&node_id, name.as_bytes())
}

fn sender(flow: &str) -> (Uuid, String) {
    let id = id(&format!("sender/{flow}/out"));
    (id, format!("/single/senders/{id}"))
}

fn receiver(flow: &str) -> (Uuid, String) {
    let id = id(&format!("receiver/{flow}"));
    (id, format!("/single/receivers/{id}"))
}

/// Now, as NMOS counts.
fn tai() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(37)
}

fn shown(tai: Duration) -> String {
    format!("{}:{}", tai.as_secs(), tai.subsec_nanos())
}

fn read(tai: &Value) -> Duration {
    let (secs, nanos) = tai.as_str().unwrap().split_once(':').unwrap();
    Duration::new(secs.parse().unwrap(), nanos.parse().unwrap())
}

fn nothing() -> Value {
    json!({"mode": null, "requested_time": null, "activation_time": null})
}

/// AMWA's schemas of IS-05; `None`, with the reason printed, when they are not there.
fn schemas() -> Option<PathBuf> {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/nmos-schemas");
    let schemas = schemas.join("is-05-v1.1");
    if schemas.join("error.json").is_file() {
        return Some(schemas);
    }
    println!("skipped: there are no schemas at {}", schemas.display());
    None
}

/// A schema, or a part of one, with those that it refers to put in.
fn schema(folder: &Path, reference: &str) -> Value {
    fn resolve(folder: &Path, value: Value) -> Value {
        match value {
            Value::Object(mut fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    return schema(folder, reference);
                }
                for value in fields.values_mut() {
                    *value = resolve(folder, value.take());
                }
                Value::Object(fields)
            }
            Value::Array(values) => {
                let values = values.into_iter();
                values.map(|value| resolve(folder, value)).collect()
            }
            other => other,
        }
    }
    let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let text = fs::read_to_string(folder.join(file)).unwrap();
    let mut found: Value = serde_json::from_str(&text).unwrap();
    found = found.pointer_mut(pointer).unwrap().take();
    if let Some(fields) = found.as_object_mut() {
        fields.remove("$schema");
    }
    resolve(folder, found)
}

fn assert_valid(file: &str, value: &Value) {
    let Some(folder) = schemas() else {
        return;
    };
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft4)
        .should_validate_formats(true)
        .build(&schema(&folder, file))
        .unwrap();
    let errors: Vec<_> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{file}: {errors:#?}: {value:#}");
}

#[test]
fn every_path_answers_as_the_standard_has_it() {
    let node = Edge::start();
    for (path, schema, expected) in [
        ("", None, json!(["v1.1/"])),
        (
            "/v1.1",
            Some("connectionapi-base.json"),
            json!(["bulk/", "single/"]),
        ),
        (
            "/v1.1/bulk",
            Some("connectionapi-bulk.json"),
            json!(["senders/", "receivers/"]),
        ),
        (
            "/v1.1/single",
            Some("connectionapi-single.json"),
            json!(["senders/", "receivers/"]),
        ),
        (
            "/v1.1/single/senders",
            Some("sender-receiver-base.json"),
            json!([format!("{}/", sender("a").0), format!("{}/", sender("b").0)]),
        ),
        (
            "/v1.1/single/receivers",
            Some("sender-receiver-base.json"),
            json!([
                format!("{}/", receiver("a").0),
                format!("{}/", receiver("b").0)
            ]),
        ),
    ] {
        for slash in ["", "/"] {
            let answer = node.edge.get(&format!("/x-nmos/connection{path}{slash}"));
            assert_eq!(answer, (200, expected.clone()), "{path}{slash}");
        }
        if let Some(schema) = schema {
            assert_valid(schema, &expected);
        }
    }
    for (flow, legs) in [("a", 1), ("b", 2)] {
        for (path, kind, children) in [
            (sender(flow).1, "sender", 5),
            (receiver(flow).1, "receiver", 4),
        ] {
            let names = node.get(&format!("{path}/"));
            assert_eq!(names.as_array().unwrap().len(), children);
            assert_valid(&format!("connectionapi-{kind}.json"), &names);
            let constraints = node.get(&format!("{path}/constraints"));
            assert_valid("constraints-schema.json", &constraints);
            let staged = node.get(&format!("{path}/staged/"));
            let active = node.get(&format!("{path}/active"));
            for answer in [&staged, &active] {
                assert_valid(&format!("{kind}-response-schema.json"), answer);
                assert_eq!(answer["transport_params"].as_array().unwrap().len(), legs);
            }
            assert!(!active.to_string().contains("auto"), "{active}");
            for leg in 0..legs {
                let keys = |value: &Value| {
                    let keys = value.as_object().unwrap().keys();
                    keys.cloned().collect::<Vec<_>>()
                };
                let expected = keys(&constraints[leg]);
                assert_eq!(keys(&staged["transport_params"][leg]), expected);
                assert_eq!(keys(&active["transport_params"][leg]), expected);
            }
            let transport = node.get(&format!("{path}/transporttype"));
            assert_eq!(transport, "urn:x-nmos:transport:rtp");
            assert_valid("transporttype-response-schema.json", &transport);
        }
    }
}

#[test]
fn failures_are_those_of_nmos() {
    let node = Edge::start();
    let (id, path) = sender("a");
    let unknown = Uuid::nil();
    let address = node.edge.address();
    for (line, body, status) in [
        (
            format!("GET {API}/single/senders/{unknown}/staged"),
            "",
            404,
        ),
        (format!("GET {API}/single/senders/{unknown}/"), "", 404),
        (format!("GET {API}/single/receivers/{id}/active"), "", 404),
        (
            format!(
                "GET {API}/single/receivers/{}/transportfile",
                receiver("a").0
            ),
            "",
            404,
        ),
        (format!("GET {API}/single/senders/x/constraints"), "", 404),
        (
            format!("PATCH {API}/single/senders/{unknown}/staged"),
            "{}",
            404,
        ),
        (format!("PATCH {API}{path}/staged"), "{", 400),
        (format!("PATCH {API}{path}/staged"), "[]", 400),
        (
            format!("PATCH {API}{path}/staged"),
            r#"{"bad": "data"}"#,
            400,
        ),
        (format!("GET {API}/bulk/senders"), "", 405),
        (format!("GET {API}/bulk/receivers/"), "", 405),
        (format!("DELETE {API}{path}/staged"), "", 405),
        (format!("POST {API}/bulk/senders"), "{}", 400),
        (
            format!("POST {API}/bulk/senders"),
            r#"[{"id": "x", "params": {}}]"#,
            400,
        ),
        (
            format!("POST {API}/bulk/senders"),
            r#"[{"params": {}}]"#,
            400,
        ),
        (format!("POST {API}/bulk/receivers"), "[1]", 400),
    ] {
        let answer = ask(address, &line, &[], body);
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert_valid("error.json", &answer.json());
        assert_eq!(answer.json()["code"], status);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    for (path, methods) in [
        (format!("{path}/staged"), "GET, HEAD, OPTIONS, PATCH"),
        ("/bulk/senders".to_owned(), "OPTIONS, POST"),
        ("/bulk/receivers/".to_owned(), "OPTIONS, POST"),
    ] {
        let answer = ask(address, &format!("OPTIONS {API}{path}"), &[], "");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
    }
}

#[test]
fn writes_need_an_administrator_when_nmos_is_protected() {
    let folder = Folder::new();
    let mut config = document(&[plain()]);
    config["server"]["auth"] = auth::auth();
    config["nmos"] = json!({"require_auth": true});
    folder.write_document(&config);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    let address = edge.address();
    let admin = auth::token(address, "admin-client", auth::ADMIN_SECRET);
    let monitor = auth::token(address, "monitor-client", auth::MONITOR_SECRET);
    let (id, path) = sender("a");
    let call = |line: &str, token: &str, body: &str| {
        let header = format!("Authorization: Bearer {token}");
        ask(address, line, &[&header], body).status
    };
    let patch = format!("PATCH {API}{path}/staged");
    let bulk = format!("POST {API}/bulk/senders");
    let entries = json!([{"id": id, "params": {}}]).to_string();
    assert_eq!(ask(address, &patch, &[], "{}").status, 401);
    assert_eq!(call(&patch, &monitor, "{}"), 403);
    assert_eq!(call(&patch, &admin, "{}"), 200);
    assert_eq!(call(&bulk, &monitor, &entries), 403);
    assert_eq!(call(&bulk, &admin, &entries), 200);
    assert_eq!(call(&format!("GET {API}{path}/active"), &monitor, ""), 200);
    drop(data_plane);
}
