use serde_json::{Value, json};

use super::super::{Problem, flow_spec};
use super::{flow, full_flow, with};

fn spec(input: &Value, outputs: &Value) -> Value {
    let document = json!({"id": "f", "name": "F", "input": input, "outputs": outputs});
    serde_json::to_value(flow_spec(&flow(document), 97).unwrap()).unwrap()
}

#[test]
fn defaults_are_filled_in() {
    let found = spec(
        &json!({"type": "rtp", "bind_addr": "239.1.1.1:5000"}),
        &json!([
            {"type": "rtp", "id": "a", "name": "A", "dest_addr": "192.0.2.9:1"},
            {"type": "rtp", "id": "b", "name": "B", "dest_addr": "[ff3e::1]:2", "payload_type": 33},
            {"type": "udp", "id": "c", "name": "C", "dest_addr": "[2001:db8::1]:3"},
        ]),
    );
    let send = |dest_addr: &str, bind_addr: &str| json!({"dest_addr": dest_addr, "bind_addr": bind_addr, "interface_addr": null, "dscp": 46});
    assert_eq!(
        found,
        json!({
            "id": "f", "media_analysis": true,
            "input": {"type": "rtp", "enabled": true, "tr07_mode": false, "receive": {"bind_addr": "239.1.1.1:5000",
                "interface_addr": null, "source_addr": null}},
            "outputs": [
                {"id": "a", "type": "rtp", "send": send("192.0.2.9:1", "0.0.0.0:0"),
                    "payload_type": null, "wrap_payload_type": 97, "enabled": true},
                {"id": "b", "type": "rtp", "send": send("[ff3e::1]:2", "[::]:0"),
                    "payload_type": 33, "wrap_payload_type": 33, "enabled": true},
                {"id": "c", "type": "udp", "send": send("[2001:db8::1]:3", "[::]:0")},
            ],
        })
    );
}

#[test]
fn what_is_given_arrives() {
    let found = spec(
        &json!({"type": "udp", "bind_addr": "239.1.1.1:5000", "interface_addr": "192.0.2.1",
            "source_addr": "192.0.2.2"}),
        &json!([{"type": "udp", "id": "a", "name": "A", "dest_addr": "239.1.1.2:1", "dscp": 0,
            "bind_addr": "192.0.2.1:9", "interface_addr": "192.0.2.1"}]),
    );
    assert_eq!(
        found["input"]["receive"],
        json!({"bind_addr": "239.1.1.1:5000", "interface_addr": "192.0.2.1", "source_addr": "192.0.2.2"})
    );
    assert_eq!(
        found["outputs"][0]["send"],
        json!({"dest_addr": "239.1.1.2:1", "bind_addr": "192.0.2.1:9", "interface_addr": "192.0.2.1",
            "dscp": 0})
    );
}

#[test]
fn analysis_is_as_it_is_asked_for() {
    for tr07_mode in [false, true] {
        let mut document = full_flow();
        document["input"] =
            json!({"type": "rtp", "bind_addr": "239.1.1.1:5000", "tr07_mode": tr07_mode});
        document["outputs"] = json!([]);
        document["media_analysis"] = json!(!tr07_mode);
        let found = serde_json::to_value(flow_spec(&flow(document), 33).unwrap()).unwrap();
        assert_eq!(found["input"]["tr07_mode"], json!(tr07_mode));
        assert_eq!(found["media_analysis"], json!(!tr07_mode));
    }
}

#[test]
fn the_test_source_has_a_rate() {
    for (input, bitrate_bps) in [
        (json!({"type": "test"}), 10_000_000_u64),
        (json!({"type": "test", "bitrate_mbps": 0.3}), 300_000),
        (
            json!({"type": "test", "bitrate_mbps": 10_000}),
            10_000_000_000,
        ),
    ] {
        let found = spec(&input, &json!([]));
        assert_eq!(
            found["input"],
            json!({"type": "test", "bitrate_bps": bitrate_bps})
        );
    }
}

#[test]
fn a_switch_of_nmos_turns_a_leg_off() {
    for switch in ["master_enable", "rtp_enabled"] {
        let mut input = json!({"type": "rtp", "bind_addr": "239.1.1.1:5000"});
        let mut output = json!({"type": "rtp", "id": "a", "name": "A", "dest_addr": "192.0.2.9:1"});
        input[switch] = json!(false);
        output[switch] = json!(false);
        let found = spec(&input, &json!([output]));
        assert_eq!(found["input"]["enabled"], json!(false));
        assert_eq!(found["outputs"][0]["enabled"], json!(false));
    }
}

#[test]
fn names_are_not_part_of_it() {
    let document = json!({"id": "f", "name": "F", "input": {"type": "test"}, "outputs": [
        {"type": "udp", "id": "a", "name": "A", "dest_addr": "192.0.2.9:1"}]});
    let mut renamed = with(&document, &json!({"name": "G"}));
    renamed["outputs"][0]["name"] = json!("B");
    assert_eq!(
        flow_spec(&flow(document), 33),
        flow_spec(&flow(renamed), 33)
    );
}

#[test]
fn what_cannot_be_carried_out_is_refused() {
    let input = json!({"type": "rtp", "bind_addr": "239.1.1.1:5000"});
    let output = json!({"type": "rtp", "id": "a", "name": "A", "dest_addr": "192.0.2.9:1"});
    for field in [
        "fec_decode",
        "allowed_sources",
        "allowed_payload_types",
        "max_bitrate_mbps",
        "redundancy",
    ] {
        let mut input = input.clone();
        input[field] = full_flow()["input"][field].clone();
        let document = with(&full_flow(), &json!({"input": input, "outputs": [output]}));
        assert_eq!(
            flow_spec(&flow(document), 33).unwrap_err().to_string(),
            format!(
                "flow 'main', input: {field} is set, and this version cannot carry it out; leave it out \
                 (at input.{field})"
            )
        );
    }
    for field in ["fec_encode", "redundancy"] {
        let mut output = output.clone();
        output[field] = full_flow()["outputs"][0][field].clone();
        let document = with(&full_flow(), &json!({"input": input, "outputs": [output]}));
        let error = flow_spec(&flow(document), 33).unwrap_err();
        let super::super::ConfigError::Field(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.problem, Problem::Unsupported);
        assert_eq!(
            error.place.path_of(&error.field),
            format!("outputs[0].{field}")
        );
        assert_eq!(error.place.owner, "flow 'main', output 'a'");
    }
}

#[test]
fn a_type_that_cannot_be_run_is_named() {
    let srt = json!({"type": "srt", "mode": "listener", "local_addr": "0.0.0.0:9000"});
    let rtmp = json!({"type": "rtmp", "dest_url": "rtmp://h/live", "stream_key": "k"});
    let hls = json!({"type": "hls", "ingest_url": "https://h"});
    let whip = json!({"type": "webrtc", "whip_url": "https://h"});
    for input in [
        srt.clone(),
        json!({"type": "rtmp", "listen_addr": "0.0.0.0:1935"}),
        json!({"type": "rtsp", "rtsp_url": "rtsp://h"}),
        json!({"type": "webrtc"}),
        json!({"type": "whep", "whep_url": "https://h"}),
    ] {
        let document = with(&full_flow(), &json!({"input": input, "outputs": []}));
        let name = input["type"].as_str().unwrap();
        assert_eq!(
            flow_spec(&flow(document), 33).unwrap_err().to_string(),
            format!(
                "flow 'main': input type '{name}' cannot be run by this version (at input.type)"
            )
        );
    }
    for output in [srt, rtmp, hls, whip] {
        let output = with(&output, &json!({"id": "a", "name": "A"}));
        let document = with(
            &full_flow(),
            &json!({"input": {"type": "test"}, "outputs": [output]}),
        );
        let name = output["type"].as_str().unwrap();
        assert_eq!(
            flow_spec(&flow(document), 33).unwrap_err().to_string(),
            format!(
                "flow 'main', output 'a': output type '{name}' cannot be run by this version \
                 (at outputs[0].type)"
            )
        );
    }
}
