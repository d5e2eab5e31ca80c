//! The NMOS Connection API (IS-05 v1.1).

mod activation;
mod bulk;
mod connecting;
mod meanwhile;

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bilbycast_shm_proto::control::Command;
use bilbycast_shm_proto::model::FlowSpec;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth;
use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, document, wait_until};
use crate::schemas::{self, Api};
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

    /// Events of NMOS that say this.
    fn told(&self, text: &str) -> Vec<Value> {
        let (_, answer) = self.edge.get("/api/v1/events");
        let events = answer["data"]["events"].as_array().unwrap().iter();
        let of_nmos = events.filter(|event| event["category"] == "nmos");
        let wanted = of_nmos.filter(|event| event["message"].as_str().unwrap().contains(text));
        wanted.cloned().collect()
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

fn assert_valid(name: &str, value: &Value) {
    schemas::assert_valid(Api::Connection, name, value);
}

#[test]
fn every_path_answers_as_the_standard_has_it() {
    let node = Edge::start();
    for (path, schema, expected) in [
        ("", None, json!(["v1.1/"])),
        (
            "/v1.1",
            Some("connectionapi-base"),
            json!(["bulk/", "single/"]),
        ),
        (
            "/v1.1/bulk",
            Some("connectionapi-bulk"),
            json!(["senders/", "receivers/"]),
        ),
        (
            "/v1.1/single",
            Some("connectionapi-single"),
            json!(["senders/", "receivers/"]),
        ),
        (
            "/v1.1/single/senders",
            Some("sender-receiver-base"),
            json!([format!("{}/", sender("a").0), format!("{}/", sender("b").0)]),
        ),
        (
            "/v1.1/single/receivers",
            Some("sender-receiver-base"),
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
            assert_valid(&format!("connectionapi-{kind}"), &names);
            let constraints = node.get(&format!("{path}/constraints"));
            assert_valid("constraints-schema", &constraints);
            let staged = node.get(&format!("{path}/staged/"));
            let active = node.get(&format!("{path}/active"));
            assert_valid(&format!("{kind}-active"), &active);
            for answer in [&staged, &active] {
                assert_valid(&format!("{kind}-response-schema"), answer);
                assert_eq!(answer["transport_params"].as_array().unwrap().len(), legs);
            }
            let strict = |name: &str, value: &Value, optional: &[&str]| {
                schemas::assert_strict(Api::Connection, name, value, optional, &[]);
            };
            strict(&format!("{kind}-active"), &active, &[]);
            strict(&format!("{kind}-response-schema"), &staged, &[]);
            let optional = ["minimum", "maximum", "enum", "pattern", "description"];
            strict("constraints-schema", &constraints, &optional);
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
            assert_valid("transporttype-response-schema", &transport);
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
        assert_valid("error", &answer.json());
        assert_eq!(answer.json()["code"], status);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    for (path, methods) in [
        (format!("{path}/staged"), "GET, HEAD, OPTIONS, PATCH"),
        ("/bulk/senders".to_owned(), "GET, OPTIONS, POST"),
        ("/bulk/receivers/".to_owned(), "GET, OPTIONS, POST"),
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
