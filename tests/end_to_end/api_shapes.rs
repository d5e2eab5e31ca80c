//! Every path of the API: its shape, its envelope, its refusals.

use std::fs;

use bilbycast_tests::node::Node;
use bilbycast_tests::{address, flows};
use serde_json::{Value, json};
use ureq::http::Method;

fn two_flows() -> [Value; 2] {
    let off = flows::flow("off", flows::udp_input(address::next_addr()), &[]);
    let outputs = [
        flows::rtp_output("rtp", address::next_addr()),
        flows::udp_output("udp", address::next_addr()),
    ];
    [
        flows::flow("main", flows::rtp_input(address::next_addr()), &outputs),
        flows::with(off, "enabled", false),
    ]
}

/// The names of an object's fields.
fn fields(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

#[track_caller]
fn assert_has(object: &Value, names: &[&str]) {
    for name in names {
        assert!(
            fields(object).contains(name),
            "'{name}' is missing in {object:#}"
        );
    }
}

#[test]
fn health() {
    let node = Node::start(&two_flows());
    let answer = node.api().get("/health");
    assert_eq!(answer.status, 200);
    let health = answer.body;
    assert_eq!(health["status"], "ok");
    assert!(health["version"].as_str().unwrap().starts_with("0."));
    assert!(health["uptime_secs"].is_u64());
    assert_eq!(health["active_flows"], 1);
    assert_eq!(health["total_flows"], 2);
    assert_eq!(health["data_plane"], "connected");
}

#[test]
fn flows_are_listed_in_short_and_shown_in_full() {
    let [main, off] = two_flows();
    let node = Node::start(&[main.clone(), off]);
    let list = node.api().get("/api/v1/flows").data();
    assert_eq!(
        list,
        json!({"flows": [
            {"id": "main", "name": "Flow main", "enabled": true, "input_type": "rtp", "output_count": 2},
            {"id": "off", "name": "Flow off", "enabled": false, "input_type": "udp", "output_count": 0},
        ]})
    );
    let shown = node.api().get("/api/v1/flows/main").data();
    for field in ["id", "name", "enabled", "input", "outputs"] {
        assert_eq!(shown[field], main[field], "{field}");
    }
    let message = node.api().get("/api/v1/flows/nonexistent").refused(404);
    assert_eq!(message, "Flow 'nonexistent' not found");
}

#[test]
fn statistics_have_every_field_of_the_reference() {
    let node = Node::start(&two_flows());
    let stats = node.api().get("/api/v1/stats").data();
    let system = &stats["system"];
    assert!(
        system["uptime_secs"].is_u64() && system["version"].is_string(),
        "{system}"
    );
    assert_eq!(
        (&system["total_flows"], &system["active_flows"]),
        (&json!(2), &json!(1))
    );
    let listed = stats["flows"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    for flow in listed {
        assert_has(
            flow,
            &[
                "flow_id",
                "flow_name",
                "state",
                "health",
                "uptime_secs",
                "input",
                "outputs",
                "tr101290",
                "media_analysis",
                "iat",
                "pdv_jitter_us",
            ],
        );
        assert_has(
            &flow["input"],
            &[
                "input_type",
                "state",
                "packets_received",
                "bytes_received",
                "bitrate_bps",
                "packets_lost",
                "packets_filtered",
                "packets_recovered_fec",
                "srt_stats",
                "srt_leg2_stats",
                "redundancy_switches",
            ],
        );
        for output in flow["outputs"].as_array().unwrap() {
            assert_has(
                output,
                &[
                    "output_id",
                    "output_name",
                    "output_type",
                    "state",
                    "packets_sent",
                    "bytes_sent",
                    "bitrate_bps",
                    "packets_dropped",
                    "fec_packets_sent",
                    "srt_stats",
                    "srt_leg2_stats",
                ],
            );
        }
    }
    let main = &listed[0];
    assert_eq!(
        (&main["flow_id"], &main["flow_name"]),
        (&json!("main"), &json!("Flow main"))
    );
    assert_eq!(main["state"], "Running");
    assert_eq!(main["input"]["input_type"], "rtp");
    assert_eq!(main["input"]["state"], "waiting");
    assert_eq!(main["outputs"][0]["output_type"], "rtp");
    assert_eq!(main["outputs"][1]["output_type"], "udp");
    assert_eq!(main["outputs"][1]["output_name"], "Output udp");
    // Stopped: zeroed, configuration.md 8.1.
    let off = &listed[1];
    assert_eq!(
        (&off["state"], &off["health"]),
        (&json!("Stopped"), &json!("Healthy"))
    );
    assert_eq!(off["uptime_secs"], 0);
    assert_eq!(off["input"]["state"], "idle");
    assert_eq!(off["input"]["packets_received"], 0);
    for analysis in ["tr101290", "media_analysis", "iat", "pdv_jitter_us"] {
        assert!(off[analysis].is_null(), "{analysis}: {off:#}");
    }

    let one = node.api().stats("off");
    assert_eq!(fields(&one), fields(off));
    let message = node.api().get("/api/v1/stats/nonexistent").refused(404);
    assert_eq!(message, "Flow 'nonexistent' not found");
}

#[test]
fn the_configuration_is_shown_replaced_and_reloaded() {
    let node = Node::start(&two_flows());
    let api = node.api();
    let config = api.get("/api/v1/config").data();
    assert_eq!(config["version"], 1);
    assert_eq!(
        config["server"]["listen_port"], 8080,
        "overrides are not stored"
    );
    assert_eq!(config["flows"].as_array().unwrap().len(), 2);
    assert!(
        config["node_id"].is_string(),
        "generated and kept: {config:#}"
    );
    assert_eq!(node.config()["node_id"], config["node_id"]);

    // Replaced: one flow goes, one comes.
    let mut next = config.clone();
    let came = flows::flow("came", flows::test_input(1.0), &[]);
    next["flows"] = json!([config["flows"][0], came]);
    next["device_name"] = json!("Studio A");
    let answered = api.put("/api/v1/config", &next).data();
    assert_eq!(answered["device_name"], "Studio A");
    assert_eq!(
        node.config()["device_name"],
        "Studio A",
        "on the disk before the answer"
    );
    assert_eq!(node.saved_flow("off"), Value::Null);
    assert_eq!(node.saved_flow("came")["input"]["type"], "test");
    assert_eq!(api.get("/health").body["active_flows"], 2);
    assert_eq!(api.stats("came")["state"], "Running");

    // Refused as a whole.
    let saved = node.config_text();
    let mut twice = next.clone();
    twice["flows"] = json!([config["flows"][0], config["flows"][0]]);
    let message = api.put("/api/v1/config", &twice).refused(400);
    assert!(message.contains("main"), "{message}");
    let mut other_version = next.clone();
    other_version["version"] = json!(2);
    let message = api.put("/api/v1/config", &other_version).refused(400);
    assert!(message.contains("version"), "{message}");
    assert_eq!(node.config_text(), saved);

    // Edited by hand and reloaded.
    let mut edited = node.config();
    edited["flows"] = json!([config["flows"][0]]);
    let path = node.folder().join("config.json");
    fs::write(&path, edited.to_string()).unwrap();
    let reloaded = api.act("/api/v1/config/reload").data();
    assert_eq!(reloaded["flows"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("/health").body["active_flows"], 1);
    let _message = api.get("/api/v1/flows/came").refused(404);

    // Illegal by hand: 400; no JSON: 500; nothing changes in either case.
    edited["flows"][0]["input"]["bind_addr"] = json!("nonsense");
    fs::write(&path, edited.to_string()).unwrap();
    let message = api.act("/api/v1/config/reload").refused(400);
    assert!(message.contains("bind_addr"), "{message}");
    fs::write(&path, "{").unwrap();
    let _message = api.act("/api/v1/config/reload").refused(500);
    fs::remove_file(&path).unwrap();
    let _answer = api.get("/api/v1/flows/main").data();
    assert_eq!(api.stats("main")["state"], "Running");
}

#[test]
fn what_is_not_json_is_refused_in_the_envelope() {
    let node = Node::start(&two_flows());
    for body in ["", "{", "[]", "null", "\"text\"", "{\"id\": }", "\u{0}"] {
        for (method, path) in [
            (Method::POST, "/api/v1/flows"),
            (Method::PUT, "/api/v1/flows/main"),
            (Method::POST, "/api/v1/flows/main/outputs"),
            (Method::PUT, "/api/v1/config"),
        ] {
            let _message = node.api().send(method, path, Some(body)).refused(400);
        }
    }
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let node = Node::start(&[]);
    assert_eq!(node.api().get("/api/v1/nonsense").status, 404);
    // The dashboard.
    assert_eq!(node.api().get("/").status, 200);
    assert_eq!(node.api().get("/nonsense").status, 404);
    assert_eq!(node.api().delete("/health").status / 100, 4);
    assert_eq!(node.api().delete("/api/v1/config").status / 100, 4);
}

/// configuration.md 9.3.
#[test]
fn unknown_fields_are_accepted_logged_by_path_and_not_kept() {
    let node = Node::start(&[]);
    let output = flows::rtp_output("out", address::next_addr());
    let output = flows::with(output, "colour", "red");
    let input = flows::with(flows::rtp_input(address::next_addr()), "smell", "sweet");
    let flow = flows::with(flows::flow("new", input, &[output]), "taste", 1);
    let answered = node.api().post("/api/v1/flows", &flow).data();
    for flow in [&answered, &node.saved_flow("new")] {
        let text = flow.to_string();
        for name in ["colour", "smell", "taste"] {
            assert!(!text.contains(name), "{text}");
        }
    }
    let log = node.controlplane().printed();
    for path in ["outputs[0].colour", "input.smell", "taste"] {
        assert!(log.contains(path), "'{path}' is not in the log:\n{log}");
    }
}
