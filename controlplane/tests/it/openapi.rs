//! The OpenAPI document against the answers of a running server.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, flow, output};

fn edge(flows: &[Value]) -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    folder.write_config(flows);
    let edge = ControlPlane::start(folder);
    edge.wait_for_data_plane("connected");
    (edge, data_plane)
}

/// The document of a running server.
struct Document(Value);

impl Document {
    fn of(edge: &ControlPlane) -> Self {
        let (status, document) = edge.get("/api/v1/openapi.json");
        assert_eq!(status, 200, "{document}");
        Self(document)
    }

    /// What validates `schema`, an element of the document.
    fn validator(&self, schema: &Value) -> Validator {
        let root = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": self.0["components"],
        });
        jsonschema::validator_for(&root).unwrap()
    }

    /// The same, where every field has to be known.
    fn strict(&self) -> Self {
        let mut document = self.0.clone();
        close(&mut document);
        Self(document)
    }

    /// Checks an answer against what is said about it.
    fn check(&self, method: &str, path: &str, (status, answer): &(u16, Value)) {
        let operation = &self.0["paths"][path][method];
        let response = &operation["responses"][status.to_string()];
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path}: {status}: {answer}");
        let errors: Vec<_> = self
            .validator(schema)
            .iter_errors(answer)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{method} {path}: {errors:#?}: {answer:#}"
        );
    }
}

/// Makes fields that are not in the document an error.
fn close(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type")
            {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

/// Every input that is validated, with all of its fields.
fn inputs() -> Vec<Value> {
    vec![
        json!({"type": "udp", "bind_addr": "239.1.1.1:5000", "interface_addr": "127.0.0.1",
            "source_addr": "192.0.2.1"}),
        json!({"type": "rtp", "bind_addr": "127.0.0.1:6000", "fec_decode": {"columns": 10, "rows": 10},
            "tr07_mode": true, "allowed_sources": ["192.0.2.1"], "allowed_payload_types": [33],
            "max_bitrate_mbps": 12.5, "master_enable": true, "rtp_enabled": true,
            "redundancy": {"bind_addr": "127.0.0.2:6000", "path_differential_ms": 60, "rtp_enabled": false}}),
        json!({"type": "test", "bitrate_mbps": 4}),
        json!({"type": "srt", "mode": "caller", "local_addr": "0.0.0.0:0", "remote_addr": "203.0.113.10:9000",
            "latency_ms": 500, "passphrase": "0123456789", "aes_key_len": 32, "stream_id": "x",
            "redundancy": {"mode": "listener", "local_addr": "127.0.0.1:9001"}}),
        json!({"type": "rtmp", "listen_addr": "127.0.0.1:1935", "app": "live", "stream_key": "k",
            "max_publishers": 2}),
        json!({"type": "rtsp", "rtsp_url": "rtsp://192.0.2.1/a", "username": "u", "password": "p",
            "transport": "udp", "timeout_secs": 3, "reconnect_delay_secs": 4}),
        json!({"type": "webrtc", "bearer_token": "t", "video_only": true, "public_ip": "192.0.2.1"}),
        json!({"type": "whep", "whep_url": "https://example.com/whep", "video_only": false}),
    ]
}

fn outputs() -> Vec<Value> {
    let named = |id: &str, mut output: Value| {
        output["id"] = json!(id);
        output["name"] = json!("N");
        output
    };
    vec![
        named(
            "rtp",
            json!({"type": "rtp", "dest_addr": "127.0.0.1:7000", "dscp": 46, "payload_type": 96,
            "fec_encode": {"columns": 5, "rows": 5}, "bind_addr": "127.0.0.1:0", "master_enable": true,
            "redundancy": {"dest_addr": "127.0.0.2:7000", "dscp": 0}}),
        ),
        named(
            "udp",
            json!({"type": "udp", "dest_addr": "127.0.0.1:7100", "interface_addr": "127.0.0.1"}),
        ),
        named(
            "srt",
            json!({"type": "srt", "mode": "listener", "local_addr": "127.0.0.1:9100"}),
        ),
        named(
            "rtmp",
            json!({"type": "rtmp", "dest_url": "rtmp://example.com/live", "stream_key": "k",
            "reconnect_delay_secs": 1, "max_reconnect_attempts": 3}),
        ),
        named(
            "hls",
            json!({"type": "hls", "ingest_url": "https://example.com/hls", "auth_token": "t",
            "segment_duration_secs": 2.5, "max_segments": 3}),
        ),
        named(
            "webrtc",
            json!({"type": "webrtc", "mode": "whep_server", "max_viewers": 5, "video_only": true}),
        ),
    ]
}

#[test]
fn the_document_is_a_sound_one() {
    let (edge, _data_plane) = edge(&[]);
    let document = Document::of(&edge);
    for (name, schema) in document.0["components"]["schemas"].as_object().unwrap() {
        document.validator(schema);
        assert!(
            schema["description"].is_string() || schema["oneOf"].is_array(),
            "{name}"
        );
    }
    // Examples are answers and bodies too.
    let strict = document.strict();
    let mut checked = 0;
    for (path, item) in strict.0["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap().values();
            for holder in responses.chain([&operation["requestBody"]]) {
                let Some(media) = holder["content"].as_object() else {
                    continue;
                };
                for media in media
                    .values()
                    .filter(|media| media.get("example").is_some())
                {
                    let validator = match path.as_str() {
                        "/api/v1/openapi.json" => document.validator(&media["schema"]),
                        _ => strict.validator(&media["schema"]),
                    };
                    let errors: Vec<_> = validator
                        .iter_errors(&media["example"])
                        .map(|e| e.to_string())
                        .collect();
                    assert!(errors.is_empty(), "{method} {path}: {errors:#?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn answers_are_as_the_document_says() {
    let (edge, _data_plane) = edge(&[flow("a", 5000)]);
    edge.wait_for_active(1);
    let document = Document::of(&edge).strict();
    let flows = "/api/v1/flows";
    let one = "/api/v1/flows/{flow_id}";
    for path in [
        "/health",
        flows,
        "/api/v1/stats",
        "/api/v1/config",
        "/api/v1/events",
        "/setup/status",
    ] {
        document.check("get", path, &edge.get(path));
    }
    let api = "/x-nmos/node/v1.3";
    for kind in [
        "self",
        "devices/",
        "sources/",
        "flows/",
        "senders/",
        "receivers/",
    ] {
        let path = format!("{api}/{kind}");
        let answer = edge.get(&path);
        document.check("get", &path, &answer);
        if let Some(id) = answer.1[0]["id"].as_str() {
            document.check(
                "get",
                &format!("{path}{{id}}"),
                &edge.get(&format!("{path}{id}")),
            );
            document.check(
                "get",
                &format!("{path}{{id}}"),
                &edge.get(&format!("{path}x")),
            );
        }
    }
    for path in ["/x-nmos", "/x-nmos/node", "/x-nmos/node/v1.3/"] {
        document.check("get", path, &edge.get(path));
    }
    document.check("get", one, &edge.get("/api/v1/flows/a"));
    document.check("get", one, &edge.get("/api/v1/flows/b"));
    document.check(
        "get",
        "/api/v1/stats/{flow_id}",
        &edge.get("/api/v1/stats/a"),
    );
    document.check(
        "get",
        "/api/v1/stats/{flow_id}",
        &edge.get("/api/v1/stats/b"),
    );
    let pids = "/api/v1/stats/{flow_id}/pids";
    document.check("get", pids, &edge.get("/api/v1/stats/a/pids"));
    document.check("get", pids, &edge.get("/api/v1/stats/b/pids"));
    document.check("post", flows, &edge.post(flows, &flow("b", 5002)));
    document.check("post", flows, &edge.post(flows, &flow("b", 5002)));
    document.check("post", flows, &edge.post(flows, &json!({})));
    document.check("put", one, &edge.put("/api/v1/flows/b", &flow("b", 5004)));
    document.check("put", one, &edge.put("/api/v1/flows/c", &flow("c", 5006)));
    for action in ["start", "stop", "stop", "restart"] {
        let path = format!("{one}/{action}");
        document.check(
            "post",
            &path,
            &edge.act(&format!("/api/v1/flows/b/{action}")),
        );
        document.check(
            "post",
            &path,
            &edge.act(&format!("/api/v1/flows/c/{action}")),
        );
    }
    let outputs = "/api/v1/flows/{flow_id}/outputs";
    for _ in 0..2 {
        document.check(
            "post",
            outputs,
            &edge.post("/api/v1/flows/b/outputs", &output("o", 40_001)),
        );
    }
    let removal = "/api/v1/flows/{flow_id}/outputs/{output_id}";
    for _ in 0..2 {
        document.check("delete", removal, &edge.delete("/api/v1/flows/b/outputs/o"));
    }
    document.check("delete", one, &edge.delete("/api/v1/flows/b"));
    document.check("delete", one, &edge.delete("/api/v1/flows/b"));
    let config = edge.get("/api/v1/config").1["data"].clone();
    document.check(
        "put",
        "/api/v1/config",
        &edge.put("/api/v1/config", &config),
    );
    document.check(
        "put",
        "/api/v1/config",
        &edge.put("/api/v1/config", &json!({})),
    );
    document.check(
        "post",
        "/api/v1/config/reload",
        &edge.act("/api/v1/config/reload"),
    );
    document.check(
        "post",
        "/setup",
        &edge.post("/setup", &json!({"manager_url": "wss://m/"})),
    );
    document.check("post", "/setup", &edge.post("/setup", &json!({})));
    document.check("get", "/api/v1/config", &edge.get("/api/v1/config"));
    document.check("get", "/api/v1/events", &edge.get("/api/v1/events?since=x"));
}

#[test]
fn what_the_document_calls_legal_is_legal_and_comes_back() {
    let (edge, _data_plane) = edge(&[]);
    let document = Document::of(&edge).strict();
    let request = document.validator(&json!({"$ref": "#/components/schemas/FlowConfig"}));
    for (index, input) in inputs().into_iter().enumerate() {
        let id = format!("f{index}");
        let kind = input["type"].clone();
        let flow = json!({"id": id, "name": "N", "enabled": false, "media_analysis": false, "input": input,
            "outputs": if index == 0 { outputs() } else { Vec::new() }});
        let errors: Vec<_> = request
            .iter_errors(&flow)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{kind}: {errors:#?}");
        let answer = edge.post("/api/v1/flows", &flow);
        assert_eq!(answer.0, 200, "{kind}: {}", answer.1);
        document.check("post", "/api/v1/flows", &answer);
    }
    document.check("get", "/api/v1/config", &edge.get("/api/v1/config"));
    document.check("get", "/api/v1/stats", &edge.get("/api/v1/stats"));
}

#[test]
fn what_the_document_calls_wrong_is_refused() {
    let (edge, _data_plane) = edge(&[]);
    let document = Document::of(&edge);
    let request = document.validator(&json!({"$ref": "#/components/schemas/FlowConfig"}));
    let with = |pointer: &str, value: Value| {
        let mut flow = json!({"id": "a", "name": "N", "enabled": false,
            "input": inputs()[1].clone(), "outputs": outputs()});
        *flow.pointer_mut(pointer).unwrap() = value;
        flow
    };
    for wrong in [
        with("/id", json!("")),
        with("/id", json!("x".repeat(65))),
        with("/name", json!("x".repeat(257))),
        with("/enabled", json!("yes")),
        with("/input/type", json!("tcp")),
        with("/input/fec_decode/columns", json!(21)),
        with("/input/fec_decode/rows", json!(3)),
        with("/input/allowed_payload_types", json!([128])),
        with("/input/allowed_sources", json!([])),
        with("/input/max_bitrate_mbps", json!(10_001)),
        with("/input/redundancy/path_differential_ms", json!(0)),
        with("/outputs/0/dscp", json!(64)),
        with("/outputs/3/stream_key", json!("")),
        with("/outputs/3/reconnect_delay_secs", json!(0)),
        with("/outputs/4/segment_duration_secs", json!(0.4)),
        with("/outputs/4/max_segments", json!(31)),
        with("/outputs/5/max_viewers", json!(101)),
    ] {
        assert!(!request.is_valid(&wrong), "{wrong}");
        let (status, answer) = edge.post("/api/v1/flows", &wrong);
        assert_eq!(status, 400, "{wrong}: {answer}");
    }
}

#[test]
fn other_methods_than_those_of_the_document_are_refused() {
    let (edge, _data_plane) = edge(&[]);
    let document = Document::of(&edge);
    for (path, item) in document.0["paths"].as_object().unwrap() {
        let known: BTreeSet<_> = item
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let path = path.replace("{flow_id}", "x").replace("{output_id}", "y");
        let path = path.replace("{id}", "z");
        if !known.contains("delete") {
            assert_eq!(edge.delete(&path).0, 405, "DELETE {path}");
        }
        if !known.contains("put") {
            assert_eq!(edge.put(&path, &json!({})).0, 405, "PUT {path}");
        }
        if !known.contains("post") {
            assert_eq!(edge.post(&path, &json!({})).0, 405, "POST {path}");
        }
        if !known.contains("get") {
            assert_eq!(edge.get(&path).0, 405, "GET {path}");
        }
    }
}
