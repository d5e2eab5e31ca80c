//! The NMOS Connection API (IS-05 v1.1).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bilbycast_shm_proto::control::{Command, ControlErrorKind};
use bilbycast_shm_proto::model::{FlowSpec, InputSpec, OutputKind};
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
fn a_sender_moves_and_its_siblings_do_not() {
    let node = Edge::start();
    let (id, path) = sender("a");
    let before = node.data_plane.spec("a");
    let version = node.resource("senders", id)["version"].clone();
    let started = tai();
    let answer = node.activate(
        &path,
        &json!({"transport_params": [{"destination_ip": "239.9.9.9", "destination_port": 6900}]}),
    );
    assert_valid("sender-response-schema.json", &answer);
    let activation = &answer["activation"];
    assert_eq!(activation["mode"], "activate_immediate");
    assert_eq!(activation["requested_time"], json!(null));
    let at = read(&activation["activation_time"]);
    assert!((started..=tai()).contains(&at), "{activation}");

    let applied = node.applied();
    assert_eq!(applied.len(), 1);
    let OutputKind::Rtp(rtp) = &applied[0].outputs[0].kind else {
        panic!("{applied:?}");
    };
    assert_eq!(
        rtp.legs[0].as_ref().unwrap().dest_addr.to_string(),
        "239.9.9.9:6900"
    );
    assert_eq!(applied[0].outputs[1], before.outputs[1]);
    assert_eq!(applied[0].input, before.input);

    let staged = node.get(&format!("{path}/staged"));
    assert_eq!(staged["activation"], nothing());
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["activation"], *activation);
    assert_eq!(active["transport_params"][0]["destination_ip"], "239.9.9.9");
    assert_eq!(
        active["transport_params"][0]["fec1D_destination_port"],
        6902
    );
    let saved = node.edge.folder.read_config();
    assert_eq!(
        saved["flows"][0]["outputs"][0]["dest_addr"],
        "239.9.9.9:6900"
    );
    assert_eq!(
        saved["flows"][0]["outputs"][0]["interface_addr"],
        "127.0.0.1"
    );
    let moved = node.resource("senders", id)["version"].clone();
    assert!(read(&moved) > read(&version));

    // The same once more: nothing for the data plane to do, and an activation all the same.
    node.activate(&path, &json!({}));
    assert_eq!(node.applied(), []);
    let again = node.resource("senders", id)["version"].clone();
    assert!(read(&again) > read(&moved));
    assert!(read(&node.get(&format!("{path}/active"))["activation"]["activation_time"]) > at);
}

#[test]
fn switching_off_and_on_shows_in_is_04() {
    let node = Edge::start();
    let ((sender_id, sender), (receiver_id, receiver)) = (sender("a"), receiver("a"));
    let peer = Uuid::from_u128(0x6d5a_4c3b_0000_4000_8000_0000_0000_00ff);
    node.activate(&sender, &json!({"master_enable": false}));
    assert_eq!(
        node.get(&format!("{sender}/active"))["master_enable"],
        false
    );
    let subscription = &node.resource("senders", sender_id)["subscription"];
    assert_eq!(*subscription, json!({"receiver_id": null, "active": false}));
    let saved = node.edge.folder.read_config();
    assert_eq!(saved["flows"][0]["outputs"][0]["master_enable"], false);
    let OutputKind::Rtp(rtp) = &node.applied()[0].outputs[0].kind else {
        panic!("an RTP output");
    };
    assert_eq!(rtp.legs, [None, None]);

    node.activate(
        &sender,
        &json!({"master_enable": true, "receiver_id": peer, "transport_params": [{"destination_ip": "127.0.0.9"}]}),
    );
    let subscription = &node.resource("senders", sender_id)["subscription"];
    assert_eq!(*subscription, json!({"receiver_id": peer, "active": true}));
    node.activate(&receiver, &json!({"sender_id": peer}));
    let subscription = &node.resource("receivers", receiver_id)["subscription"];
    assert_eq!(*subscription, json!({"sender_id": peer, "active": true}));
    assert_eq!(
        node.get(&format!("{receiver}/active"))["sender_id"],
        json!(peer)
    );

    // It is known after a restart, and forgotten when somebody else changes the input.
    let node = node.restart(|| {});
    let subscription = &node.resource("receivers", receiver_id)["subscription"];
    assert_eq!(*subscription, json!({"sender_id": peer, "active": true}));
    assert_eq!(
        node.get(&format!("{receiver}/active"))["sender_id"],
        json!(peer)
    );
    let mut flow = plain();
    flow["input"]["bind_addr"] = json!("127.0.0.1:5050");
    assert_eq!(node.edge.put("/api/v1/flows/a", &flow).0, 200);
    let subscription = &node.resource("receivers", receiver_id)["subscription"];
    assert_eq!(*subscription, json!({"sender_id": null, "active": true}));
    let active = node.get(&format!("{receiver}/active"));
    assert_eq!(active["sender_id"], json!(null));
    assert_eq!(active["transport_params"][0]["destination_port"], 5050);
    let staged = node.get(&format!("{receiver}/staged"));
    assert_eq!(staged["transport_params"][0]["destination_port"], 5050);
}

#[test]
fn both_legs_and_fec_are_told_at_once() {
    let node = Edge::start();
    let (_, path) = sender("b");
    let fec = json!({"fec_block_width": 8, "fec_block_height": 4, "fec_mode": "1D"});
    let mut legs = json!([
        {"destination_ip": "239.7.7.1", "destination_port": 6200, "fec1D_destination_port": 6202},
        {"destination_ip": "239.7.7.2", "destination_port": 6300, "rtp_enabled": false},
    ]);
    for leg in legs.as_array_mut().unwrap() {
        leg.as_object_mut()
            .unwrap()
            .extend(fec.as_object().unwrap().clone());
    }
    node.activate(&path, &json!({"transport_params": legs}));
    let output = &node.edge.folder.read_config()["flows"][1]["outputs"][0];
    assert_eq!(output["dest_addr"], "239.7.7.1:6200");
    assert_eq!(output["redundancy"]["dest_addr"], "239.7.7.2:6300");
    assert_eq!(output["redundancy"]["rtp_enabled"], false);
    assert_eq!(
        output["fec_encode"],
        json!({"columns": 8, "rows": 4, "mode": "1D"})
    );
    let active = node.get(&format!("{path}/active"));
    assert_valid("sender-response-schema.json", &active);
    assert_eq!(
        active["transport_params"][1]["fec2D_destination_port"],
        6304
    );
    assert_eq!(active["transport_params"][1]["rtp_enabled"], false);
    let OutputKind::Rtp(rtp) = &node.applied()[0].outputs[0].kind else {
        panic!("an RTP output");
    };
    assert!(rtp.legs[0].is_some() && rtp.legs[1].is_none());
    assert_eq!(rtp.fec.as_ref().unwrap().columns, 8);
}

#[test]
fn the_sdp_of_a_sender_connects_a_receiver() {
    let node = Edge::start();
    let (sender_id, sender) = sender("b");
    let (_, receiver) = receiver("b");
    let address = node.edge.address();
    let transport_file = ask(
        address,
        &format!("GET {API}{sender}/transportfile"),
        &[],
        "",
    );
    assert_eq!(transport_file.status, 200);
    assert_eq!(
        transport_file.header("content-type"),
        Some("application/sdp")
    );
    assert_eq!(transport_file.header("cache-control"), Some("no-cache"));
    let href = node.resource("senders", sender_id)["manifest_href"].clone();
    let href = href
        .as_str()
        .unwrap()
        .strip_prefix(&format!("http://{address}"));
    let manifest = ask(address, &format!("GET {}", href.unwrap()), &[], "");
    assert_eq!(manifest.body, transport_file.body);

    let sdp = transport_file.body;
    let mut lines = sdp.split("\r\n");
    assert_eq!(lines.next(), Some("v=0"));
    let expected = [
        "s=",
        "t=0 0",
        "a=group:DUP leg0 leg1",
        "m=video 6100 RTP/AVP 96",
        "c=IN IP4 239.2.2.3/64",
        "a=source-filter: incl IN IP4 239.2.2.3 127.0.0.1",
        "a=rtpmap:96 MP2T/90000",
        "a=ts-refclk:localmac=00-00-00-00-00-00",
        "a=mediaclk:direct=0",
        "a=mid:leg0",
        "m=video 6102 RTP/AVP 96",
        "c=IN IP4 239.2.2.4/64",
        "a=source-filter: incl IN IP4 239.2.2.4 127.0.0.1",
        "a=rtpmap:96 MP2T/90000",
        "a=ts-refclk:localmac=00-00-00-00-00-00",
        "a=mediaclk:direct=0",
        "a=mid:leg1",
        "",
    ];
    let found: Vec<_> = lines.skip(1).collect();
    assert_eq!(found.len(), expected.len(), "{sdp}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}: {sdp}");
    }

    node.activate(
        &receiver,
        &json!({"sender_id": sender_id, "transport_file": {"data": sdp, "type": "application/sdp"}}),
    );
    let active = node.get(&format!("{receiver}/active"));
    assert_valid("receiver-response-schema.json", &active);
    assert_eq!(active["transport_file"]["data"], json!(sdp));
    assert_eq!(active["transport_params"][1]["multicast_ip"], "239.2.2.4");
    assert_eq!(active["transport_params"][1]["source_ip"], "127.0.0.1");
    let InputSpec::Rtp(rtp) = node.data_plane.spec("b").input else {
        panic!("an RTP input");
    };
    let joined = rtp.legs().map(|leg| {
        let leg = leg.unwrap();
        (
            leg.bind_addr.to_string(),
            leg.source_addr.unwrap().to_string(),
        )
    });
    assert_eq!(
        joined[0],
        ("239.2.2.3:6100".to_owned(), "127.0.0.1".to_owned())
    );
    assert_eq!(
        joined[1],
        ("239.2.2.4:6102".to_owned(), "127.0.0.1".to_owned())
    );

    // RTP that passes through untouched keeps its payload type, and senders say so.
    let mut untouched = protected();
    let output = untouched["outputs"][0].as_object_mut().unwrap();
    output.remove("payload_type");
    output.insert("id".to_owned(), json!("untouched"));
    output.insert("dest_addr".to_owned(), json!("239.2.2.5:6200"));
    let added = node
        .edge
        .post("/api/v1/flows/b/outputs", &untouched["outputs"][0]);
    assert_eq!(added.0, 200, "{}", added.1);
    let line = format!(
        "GET {API}/single/senders/{}/transportfile",
        id("sender/b/untouched")
    );
    let through = ask(address, &line, &[], "").body;
    assert!(through.contains("m=video 6200 RTP/AVP 96\r\n"), "{through}");

    // It goes on being served while the sender is off, with another version in it.
    node.activate(&sender, &json!({"master_enable": false}));
    let off = ask(
        address,
        &format!("GET {API}{sender}/transportfile"),
        &[],
        "",
    );
    assert_eq!(off.status, 200);
    let version = |sdp: &str| {
        let origin = sdp.lines().nth(1).unwrap();
        let version = origin.split(' ').nth(2).unwrap();
        version.parse::<u64>().unwrap()
    };
    assert!(version(&off.body) > version(&sdp));
    assert_eq!(
        off.body.lines().skip(2).collect::<Vec<_>>(),
        sdp.lines().skip(2).collect::<Vec<_>>()
    );
}

#[test]
fn a_relative_activation_happens_when_its_time_has_come_and_not_before() {
    let node = Edge::start();
    let (_, path) = sender("a");
    let (status, answer) = node.patch(
        &path,
        &json!({
            "transport_params": [{"destination_port": 6900}],
            "activation": {"mode": "activate_scheduled_relative", "requested_time": "0:200000000"},
        }),
    );
    let answered = tai();
    assert_eq!(status, 202, "{answer}");
    assert_valid("sender-response-schema.json", &answer);
    let due = read(&answer["activation"]["activation_time"]);
    assert_eq!(answer["activation"]["requested_time"], "0:200000000");
    assert!(due <= answered + Duration::from_millis(200));
    let mut seen_before = false;
    loop {
        let asked = tai();
        let port =
            node.get(&format!("{path}/active"))["transport_params"][0]["destination_port"].clone();
        let told = tai();
        if told < due {
            assert_eq!(port, 6000, "before its time");
            seen_before = true;
        }
        if asked >= due {
            assert_eq!(port, 6900, "after its time");
            break;
        }
    }
    assert!(seen_before, "the host was too slow to see the time before");
    let active = node.get(&format!("{path}/active"));
    let activation = &active["activation"];
    assert_eq!(activation["mode"], "activate_scheduled_relative");
    assert_eq!(activation["requested_time"], "0:200000000");
    assert!(read(&activation["activation_time"]) >= due);
    assert_eq!(node.get(&format!("{path}/staged"))["activation"], nothing());
    assert_eq!(node.applied().len(), 1);
}

#[test]
fn the_timer_needs_nobody_who_asks() {
    let node = Edge::start();
    let (_, path) = receiver("a");
    let body = json!({
        "transport_params": [{"destination_port": 5900}],
        "activation": {"mode": "activate_scheduled_absolute",
            "requested_time": shown(tai() + Duration::from_millis(50))},
    });
    assert_eq!(node.patch(&path, &body).0, 202);
    wait_until("the activation", || {
        node.edge.folder.read_config()["flows"][0]["input"]["bind_addr"] == "127.0.0.1:5900"
    });
}

#[test]
fn a_scheduled_activation_locks_and_can_be_cancelled() {
    let node = Edge::start();
    let (_, path) = receiver("a");
    let time = shown(tai() + Duration::from_secs(1_000));
    let body = json!({
        "transport_params": [{"destination_port": 5900}],
        "activation": {"mode": "activate_scheduled_absolute", "requested_time": time},
    });
    let (status, answer) = node.patch(&path, &body);
    assert_eq!(status, 202);
    assert_valid("receiver-response-schema.json", &answer);
    assert_eq!(answer["activation"]["activation_time"], json!(time));
    assert_eq!(node.get(&format!("{path}/staged")), answer);
    for body in [json!({}), json!({"master_enable": true}), body] {
        let (status, answer) = node.patch(&path, &body);
        assert_eq!(status, 423, "{answer}");
        assert_valid("error.json", &answer);
    }
    // It outlives the process.
    let node = node.restart(|| {});
    assert_eq!(node.get(&format!("{path}/staged")), answer);
    assert_eq!(node.patch(&path, &json!({})).0, 423);
    let (status, answer) = node.patch(&path, &json!({"activation": {"mode": null}}));
    assert_eq!((status, &answer["activation"]), (200, &nothing()));
    assert_eq!(answer["transport_params"][0]["destination_port"], 5900);
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["transport_params"][0]["destination_port"], 5000);
    assert_eq!(node.patch(&path, &json!({})).0, 200);
}

#[test]
fn an_activation_that_became_due_while_nobody_was_there_happens_at_the_start() {
    let node = Edge::start();
    let (_, path) = sender("a");
    let due = tai() + Duration::from_millis(400);
    let body = json!({
        "transport_params": [{"destination_port": 6900}],
        "activation": {"mode": "activate_scheduled_absolute", "requested_time": shown(due)},
    });
    let (status, answer) = node.patch(&path, &body);
    assert_eq!(status, 202, "{answer}");
    let node = node.restart(|| wait_until("the time of the activation", || tai() > due));
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["transport_params"][0]["destination_port"], 6900);
    assert_eq!(active["activation"]["requested_time"], json!(shown(due)));
    assert_eq!(node.get(&format!("{path}/staged"))["activation"], nothing());
    wait_until("the data plane to follow", || {
        let OutputKind::Rtp(rtp) = node.data_plane.spec("a").outputs[0].kind.clone() else {
            panic!("an RTP output");
        };
        rtp.legs[0].as_ref().unwrap().dest_addr.port() == 6900
    });
    let saved = node.edge.folder.read_config();
    assert_eq!(
        saved["flows"][0]["outputs"][0]["dest_addr"],
        "239.1.1.1:6900"
    );
}

#[test]
fn many_at_once_are_answered_one_by_one() {
    let node = Edge::start();
    let ((a, path_a), (b, path_b)) = (receiver("a"), receiver("b"));
    let unknown = Uuid::from_u128(0x6d5a_4c3b_0000_4000_8000_0000_0000_00ff);
    let immediate = json!({"mode": "activate_immediate"});
    let body = json!([
        {"id": a, "params": {"transport_params": [{"destination_port": 5900}], "activation": immediate}},
        {"id": b, "params": {"transport_params": [{}], "activation": immediate}},
        {"id": unknown, "params": {}},
        {"id": b, "params": {"activation": {"mode": "activate_scheduled_relative", "requested_time": "1000:0"}}},
        {"id": b, "params": {"master_enable": false}},
    ]);
    let (status, answer) = node.edge.post(&format!("{API}/bulk/receivers"), &body);
    assert_eq!(status, 200, "{answer}");
    assert_valid("bulk-response-schema.json", &answer);
    let results: Vec<_> = answer.as_array().unwrap().iter().collect();
    let codes: Vec<_> = results
        .iter()
        .map(|result| (&result["id"], &result["code"]))
        .collect();
    let ids = [a, b, unknown, b, b].map(|id| json!(id));
    let expected = [200, 400, 404, 202, 423].map(|code| json!(code));
    assert_eq!(codes, ids.iter().zip(&expected).collect::<Vec<_>>());
    assert_eq!(results[0].get("error"), None);
    assert_eq!(
        results[1]["error"],
        "transport_params: a list of 1, this receiver has 2"
    );
    let active = node.get(&format!("{path_a}/active"));
    assert_eq!(active["transport_params"][0]["destination_port"], 5900);
    let staged = node.get(&format!("{path_b}/staged"));
    assert_eq!(staged["master_enable"], true);
    assert_eq!(staged["activation"]["mode"], "activate_scheduled_relative");
}

#[test]
fn what_cannot_be_carried_out_leaves_everything_as_it_was() {
    let node = Edge::start();
    let (_, path) = sender("a");
    let (staged, active) = (
        node.get(&format!("{path}/staged")),
        node.get(&format!("{path}/active")),
    );
    let config = node.edge.folder.read_config();
    let activation =
        |mode: Value| json!({"transport_params": [{"destination_port": 6900}], "activation": mode});
    let immediate = activation(json!({"mode": "activate_immediate"}));
    let unchanged = || {
        assert_eq!(node.get(&format!("{path}/active")), active);
        assert_eq!(node.edge.folder.read_config(), config);
    };

    node.data_plane
        .refuse("a", ControlErrorKind::Bind, "no such interface");
    let (status, answer) = node.patch(&path, &immediate);
    assert_eq!(status, 500, "{answer}");
    assert_valid("error.json", &answer);
    assert_eq!(answer["error"], "Flow 'a': no such interface");
    unchanged();
    assert_eq!(node.get(&format!("{path}/staged")), staged);

    // Nobody waits for the answer of a scheduled one; it ends, and people are told.
    let scheduled = json!({"mode": "activate_scheduled_relative", "requested_time": "0:0"});
    assert_eq!(node.patch(&path, &activation(scheduled)).0, 202);
    assert_eq!(node.get(&format!("{path}/staged"))["activation"], nothing());
    unchanged();
    let events = node.edge.get("/api/v1/events").1.to_string();
    assert!(
        events.contains("a scheduled NMOS activation of sender"),
        "{events}"
    );
    node.data_plane.accept("a");

    // A port that another input has.
    let (_, receiver) = receiver("a");
    let taken = json!({
        "transport_params": [{"multicast_ip": null, "interface_ip": "127.0.0.1", "destination_port": 5100}, {
            "multicast_ip": null, "interface_ip": "127.0.0.1", "destination_port": 5100}],
        "activation": {"mode": "activate_immediate"},
    });
    let (_, both) = self::receiver("b");
    let (status, answer) = node.patch(&both, &taken);
    assert_eq!(status, 400, "{answer}");
    assert!(
        answer["error"].as_str().unwrap().contains("5100"),
        "{answer}"
    );
    assert_eq!(
        node.get(&format!("{receiver}/active"))["master_enable"],
        true
    );

    node.edge.folder.break_disk();
    let (status, answer) = node.patch(&path, &json!({"master_enable": false}));
    assert_eq!(status, 500, "{answer}");
    let (status, answer) = node.patch(&path, &immediate);
    assert_eq!(status, 500, "{answer}");
    node.edge.folder.mend_disk();
    unchanged();
    assert_eq!(node.get(&format!("{path}/staged"))["master_enable"], true);
    assert_eq!(node.data_plane.spec("a"), crate::harness::spec(&plain()));
    node.activate(
        &path,
        &json!({"transport_params": [{"destination_port": 6900}]}),
    );
}

#[test]
fn what_is_staged_outlives_the_process() {
    let node = Edge::start();
    let (_, path) = sender("b");
    let (status, staged) = node.patch(
        &path,
        &json!({"master_enable": false, "transport_params": [{"source_port": 6400}, {"destination_ip": "auto"}]}),
    );
    assert_eq!(status, 200, "{staged}");
    let file = node.edge.folder.path().join("etc/nmos-state.json");
    let saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved["senders"].as_object().unwrap().len(), 1);
    let node = node.restart(|| {});
    assert_eq!(node.get(&format!("{path}/staged")), staged);
    // A file that is damaged costs what it held, and nothing else.
    let node = node.restart(|| fs::write(&file, "{").unwrap());
    let reset = node.get(&format!("{path}/staged"));
    assert_eq!(reset["master_enable"], true);
    assert_eq!(node.patch(&path, &json!({"master_enable": false})).0, 200);
}

#[test]
fn a_stopped_flow_is_activated_for_its_next_start() {
    let node = Edge::start();
    let (_, path) = receiver("a");
    assert_eq!(node.edge.act("/api/v1/flows/a/stop").0, 200);
    assert_eq!(node.get(&format!("{path}/active"))["master_enable"], false);
    node.activate(
        &path,
        &json!({"transport_params": [{"destination_port": 5900}]}),
    );
    assert_eq!(node.data_plane.running(), ["b"]);
    assert_eq!(node.edge.act("/api/v1/flows/a/start").0, 200);
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["master_enable"], true);
    assert_eq!(active["transport_params"][0]["destination_port"], 5900);
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
