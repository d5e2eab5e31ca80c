//! The NMOS Node API (IS-04 v1.3).

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, disabled, document, flow};
use crate::schemas::{self, Api};

mod http;
mod target;
mod versions;

use versions::{moved, versions};

const API: &str = "/x-nmos/node/v1.3";
const KINDS: [&str; 5] = ["devices", "sources", "flows", "senders", "receivers"];

fn edge(flows: &[Value]) -> (ControlPlane, FakeDataPlane) {
    edge_of(&document(flows))
}

fn edge_of(document: &Value) -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    folder.write_document(document);
    let edge = ControlPlane::start(folder);
    edge.wait_for_data_plane("connected");
    (edge, data_plane)
}

/// RTP in and out, one leg.
fn rtp_flow(id: &str, port: u16) -> Value {
    json!({
        "id": id,
        "name": format!("Flow {id}"),
        "enabled": true,
        "input": {"type": "rtp", "bind_addr": format!("127.0.0.1:{port}")},
        "outputs": [{"type": "rtp", "id": "out", "name": "Out", "payload_type": 96,
            "dest_addr": format!("127.0.0.1:{}", port + 10_000)}],
    })
}

/// One flow of each kind.
fn all_kinds() -> Vec<Value> {
    let mut two_legs = rtp_flow("two-legs", 5_002);
    two_legs["input"]["redundancy"] = json!({"bind_addr": "127.0.0.2:5002"});
    two_legs["input"]["fec_decode"] = json!({"columns": 5, "rows": 5});
    two_legs["input"]["max_bitrate_mbps"] = json!(12.5);
    two_legs["outputs"][0]["redundancy"] = json!({"dest_addr": "127.0.0.2:15002"});
    two_legs["outputs"][0]["fec_encode"] = json!({"columns": 5, "rows": 5});
    let mut srt = disabled(flow("srt", 5_004));
    srt["input"] = json!({"type": "srt", "mode": "listener", "local_addr": "127.0.0.1:9000",
        "redundancy": {"mode": "listener", "local_addr": "127.0.0.1:9001"}});
    srt["outputs"][0] = json!({"type": "srt", "id": "o", "name": "O", "mode": "caller",
        "local_addr": "0.0.0.0:0", "remote_addr": "127.0.0.1:9002"});
    let mut group = rtp_flow("group:a/b", 5_006);
    group["input"]["bind_addr"] = json!("239.1.1.1:5006");
    group["input"]["interface_addr"] = json!("127.0.0.1");
    group["outputs"][0]["dest_addr"] = json!("239.1.1.2:5006");
    group["outputs"][0]["interface_addr"] = json!("127.0.0.1");
    let mut rtmp = disabled(flow("rtmp", 5_008));
    rtmp["input"] = json!({"type": "rtmp", "listen_addr": "127.0.0.1:1935"});
    rtmp["outputs"][0] = json!({"type": "rtmp", "id": "o", "name": "O", "stream_key": "k",
        "dest_url": "rtmp://example.com/live"});
    let mut test = flow("test", 5_010);
    test["input"] = json!({"type": "test"});
    vec![rtp_flow("plain", 5_000), two_legs, srt, group, rtmp, test]
}

fn assert_valid(name: &str, value: &Value) {
    schemas::assert_valid(Api::Node, name, value);
}

fn get(edge: &ControlPlane, path: &str) -> Value {
    let (status, answer) = edge.get(&format!("{API}{path}"));
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

fn list(edge: &ControlPlane, kind: &str) -> Vec<Value> {
    let Value::Array(all) = get(edge, &format!("/{kind}/")) else {
        panic!("{kind} is a list")
    };
    all
}

/// The one whose description names it so.
fn described(edge: &ControlPlane, kind: &str, description: &str) -> Value {
    let all = list(edge, kind);
    let found = all
        .into_iter()
        .find(|one| one["description"] == description);
    found.unwrap_or_else(|| panic!("{kind}: {description}"))
}

fn tai(version: &Value) -> (u64, u32) {
    let (secs, nanos) = version.as_str().unwrap().split_once(':').unwrap();
    (secs.parse().unwrap(), nanos.parse().unwrap())
}

fn assert_core(one: &Value) {
    let id = one["id"].as_str().unwrap();
    assert_eq!(Uuid::parse_str(id).unwrap().to_string(), id);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 37;
    let (secs, nanos) = tai(&one["version"]);
    assert!(now.abs_diff(secs) < 100 && nanos < 1_000_000_000, "{one}");
    assert!(one["label"].is_string() && one["description"].is_string());
    for values in one["tags"].as_object().unwrap().values() {
        assert!(values.as_array().unwrap().iter().all(Value::is_string));
    }
}

#[test]
fn every_resource_is_as_the_standard_has_it() {
    let (edge, _data_plane) = edge(&all_kinds());
    let port = edge.address().rsplit(':').next().unwrap().to_owned();
    let base = format!("http://127.0.0.1:{port}");

    let node = get(&edge, "/self");
    assert_valid("node", &node);
    assert_core(&node);
    assert_eq!(node["id"], "6d5a4c3b-0000-4000-8000-000000000001");
    assert_eq!(node["href"], format!("{base}/"));
    assert_eq!(
        node["api"],
        json!({"versions": ["v1.3"], "endpoints": [{"host": "127.0.0.1",
            "port": port.parse::<u16>().unwrap(), "protocol": "http", "authorization": false}]})
    );
    assert_eq!(
        node["clocks"],
        json!([{"name": "clk0", "ref_type": "internal"}])
    );
    for tag in ["manufacturer", "product", "instance-id"] {
        let tag = format!("urn:x-nmos:tag:asset:{tag}/v1.0");
        assert!(node["tags"][&tag][0].is_string(), "{tag}: {node}");
    }
    let interfaces: Vec<_> = node["interfaces"].as_array().unwrap().iter().collect();
    let lo = interfaces.iter().find(|one| one["name"] == "lo").unwrap();
    assert_eq!(lo["port_id"], "00-00-00-00-00-00");

    let device = &list(&edge, "devices")[0];
    let ids = |kind: &str| -> Vec<Value> {
        let all = list(&edge, kind);
        all.iter().map(|one| one["id"].clone()).collect()
    };
    assert_core(device);
    assert_eq!(device["node_id"], node["id"]);
    assert_eq!(device["senders"], Value::from(ids("senders")));
    assert_eq!(device["receivers"], Value::from(ids("receivers")));
    assert_eq!(
        device["controls"],
        json!([{"type": "urn:x-nmos:control:sr-ctrl/v1.1", "authorization": false,
            "href": format!("{base}/x-nmos/connection/v1.1/")}])
    );
    assert!(device["tags"]["urn:x-nmos:tag:asset:function/v1.0"].is_array());

    let (sources, flows) = (list(&edge, "sources"), list(&edge, "flows"));
    assert_eq!(
        [
            sources.len(),
            flows.len(),
            ids("senders").len(),
            ids("receivers").len()
        ],
        [6; 4]
    );
    for (source, flow) in sources.iter().zip(&flows) {
        assert_core(source);
        assert_core(flow);
        for one in [source, flow] {
            assert_eq!(one["format"], "urn:x-nmos:format:mux");
            assert_eq!(one["device_id"], device["id"]);
            assert_eq!(one["parents"], json!([]));
            assert_eq!(
                one["grain_rate"],
                json!({"numerator": 25, "denominator": 1})
            );
        }
        assert_eq!(source["clock_name"], "clk0");
        assert_eq!(flow["source_id"], source["id"]);
        assert_eq!(flow["media_type"], "video/MP2T");
    }
    for sender in list(&edge, "senders") {
        assert_core(&sender);
        assert!(ids("flows").contains(&sender["flow_id"]), "{sender}");
        assert_eq!(sender["device_id"], device["id"]);
        assert!(sender["bit_rate"].as_u64().unwrap() > 0);
        assert_bound(&sender, &interfaces);
    }
    for receiver in list(&edge, "receivers") {
        assert_core(&receiver);
        assert_eq!(receiver["format"], "urn:x-nmos:format:mux");
        assert_eq!(receiver["device_id"], device["id"]);
        let caps = &receiver["caps"];
        assert_eq!(caps["media_types"], json!(["video/MP2T"]));
        assert!(tai(&caps["version"]) <= tai(&receiver["version"]));
        let set = &caps["constraint_sets"][0];
        assert_eq!(
            set["urn:x-nmos:cap:format:media_type"],
            json!({"enum": ["video/MP2T"]})
        );
        let maximum = &set["urn:x-nmos:cap:transport:bit_rate"]["maximum"];
        let is_policed = receiver["description"] == "rtp input of flow two-legs";
        let expected = if is_policed { 12_500 } else { 10_000_000 };
        assert_eq!(*maximum, json!(expected), "{receiver}");
        assert_bound(&receiver, &interfaces);
    }
    for kind in KINDS {
        let all = get(&edge, &format!("/{kind}"));
        assert_valid(kind, &all);
        for one in all.as_array().unwrap() {
            let path = format!("/{kind}/{}", one["id"].as_str().unwrap());
            assert_eq!(get(&edge, &path), *one, "{path}");
        }
    }
}

#[test]
fn a_resource_that_lacks_anything_does_not_pass_for_one() {
    let (edge, _data_plane) = edge(&all_kinds());
    let node = get(&edge, "/self");
    schemas::assert_strict(
        Api::Node,
        "node",
        &node,
        &["hostname", "attached_network_device"],
        &["/caps"],
    );
    for (kind, name, free) in [
        ("devices", "device", &[][..]),
        ("sources", "source", &["/caps"]),
        ("flows", "flow", &[]),
        ("senders", "sender", &["/caps"]),
        ("receivers", "receiver", &[]),
    ] {
        for one in list(&edge, kind) {
            schemas::assert_strict(Api::Node, name, &one, &[], free);
        }
    }
}

fn assert_bound(one: &Value, interfaces: &[&Value]) {
    let legs = match one["description"].as_str().unwrap() {
        "rtp input of flow two-legs"
        | "rtp output out of flow two-legs"
        | "srt input of flow srt" => 2,
        _ => 1,
    };
    let bindings = one["interface_bindings"].as_array().unwrap();
    assert_eq!(bindings.len(), legs, "{one}");
    for name in bindings {
        let is_listed = interfaces.iter().any(|listed| listed["name"] == *name);
        assert!(is_listed, "{one}");
    }
}

#[test]
fn transports_beyond_the_register_have_a_vendors_name_and_no_manifest() {
    let (edge, _data_plane) = edge(&all_kinds());
    for (what, kind, transport) in [
        (
            "rtp output out of flow plain",
            "senders",
            "urn:x-nmos:transport:rtp",
        ),
        (
            "rtp output out of flow group:a/b",
            "senders",
            "urn:x-nmos:transport:rtp",
        ),
        (
            "srt output o of flow srt",
            "senders",
            "urn:x-bilbycast:transport:srt",
        ),
        (
            "rtmp output o of flow rtmp",
            "senders",
            "urn:x-bilbycast:transport:rtmp",
        ),
        (
            "udp output out of flow test",
            "senders",
            "urn:x-bilbycast:transport:udp",
        ),
        (
            "rtp input of flow two-legs",
            "receivers",
            "urn:x-nmos:transport:rtp",
        ),
        (
            "srt input of flow srt",
            "receivers",
            "urn:x-bilbycast:transport:srt",
        ),
        (
            "test input of flow test",
            "receivers",
            "urn:x-bilbycast:transport:test",
        ),
    ] {
        let one = described(&edge, kind, what);
        assert_eq!(one["transport"], transport, "{what}");
        if kind == "senders" {
            let id = one["id"].as_str().unwrap();
            let path = format!("/x-nmos/connection/v1.1/single/senders/{id}/transportfile");
            let expected = match transport {
                "urn:x-nmos:transport:rtp" => json!(format!("http://{}{path}", edge.address())),
                _ => Value::Null,
            };
            assert_eq!(one["manifest_href"], expected, "{what}");
        }
    }
    // A colon in the id of a flow does not end the name of the group, and roles are distinct.
    let sender = described(&edge, "senders", "rtp output out of flow group:a/b");
    assert_eq!(
        sender["tags"]["urn:x-nmos:tag:grouphint/v1.0"],
        json!(["group%3Aa/b:Output out"])
    );
    let receiver = described(&edge, "receivers", "rtp input of flow group:a/b");
    assert_eq!(
        receiver["tags"]["urn:x-nmos:tag:grouphint/v1.0"],
        json!(["group%3Aa/b:Input"])
    );
    assert_eq!(receiver["interface_bindings"], json!(["lo"]));
}

#[test]
fn ids_follow_from_the_configuration_and_survive_a_restart() {
    let (edge, data_plane) = edge(&[rtp_flow("a", 5_000)]);
    let before = versions(&edge);
    let ids = |edge: &ControlPlane| -> Vec<Value> {
        let kinds = KINDS.iter();
        kinds
            .map(|kind| list(edge, kind)[0]["id"].clone())
            .collect()
    };
    let node = Uuid::parse_str("6d5a4c3b-0000-4000-8000-000000000001").unwrap();
    let expected: Vec<_> = ["device", "source/a", "flow/a", "sender/a/out", "receiver/a"]
        .iter()
        .map(|name| json!(Uuid::new_v5(&node, name.as_bytes())))
        .collect();
    assert_eq!(ids(&edge), expected);
    let again = ControlPlane::start(edge.stop());
    again.wait_for_data_plane("connected");
    assert_eq!(ids(&again), expected);
    // A registry that knew the node must take what comes now for newer.
    let after = versions(&again);
    assert_eq!(moved(&before, &after).len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        assert!(tai(&json!(before.2)) < tai(&json!(after.2)));
    }
    drop(data_plane);
}

#[test]
fn a_thousand_flows_stay_quick() {
    let flows: Vec<_> = (0..1_000)
        .map(|number| disabled(rtp_flow(&format!("f{number}"), 10_000 + number)))
        .collect();
    let (edge, _data_plane) = edge(&flows);
    let quick = |what: &str, action: &dyn Fn()| {
        let started = Instant::now();
        action();
        let took = started.elapsed();
        assert!(took < Duration::from_secs(1), "{what} took {took:?}");
    };
    let mut more = disabled(rtp_flow("more", 20_000));
    quick("the node", &|| drop(get(&edge, "/self")));
    let add = || assert_eq!(edge.post("/api/v1/flows", &more).0, 200);
    add();
    quick("the first look at a change", &|| {
        assert_eq!(
            list(&edge, "devices")[0]["senders"]
                .as_array()
                .unwrap()
                .len(),
            1_001
        );
    });
    quick("all senders", &|| {
        assert_eq!(list(&edge, "senders").len(), 1_001)
    });
    more["name"] = json!("Other");
    assert_eq!(edge.put("/api/v1/flows/more", &more).0, 200);
    quick("the next look at a change", &|| {
        assert_eq!(list(&edge, "sources")[1_000]["label"], "Other");
    });
}
