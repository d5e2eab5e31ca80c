use serde_json::{Value, json};

use super::super::flow_spec;
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
            "id": "f", "media_analysis": true, "bandwidth_limit": null,
            "input": {"type": "rtp", "tr07_mode": false, "receive": {"bind_addr": "239.1.1.1:5000",
                "interface_addr": null, "source_addr": null}, "redundancy": null, "fec": null,
                "filter": {"sources": null, "payload_types": null, "max_bps": null}},
            "outputs": [
                {"id": "a", "type": "rtp", "legs": [send("192.0.2.9:1", "0.0.0.0:0"), null],
                    "payload_type": null, "wrap_payload_type": 97, "fec": null},
                {"id": "b", "type": "rtp", "legs": [send("[ff3e::1]:2", "[::]:0"), null],
                    "payload_type": 33, "wrap_payload_type": 33, "fec": null},
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
        assert_eq!(found["input"]["receive"], Value::Null);
        assert_eq!(found["outputs"][0]["legs"], json!([null, null]));
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
fn repair_and_filters_arrive() {
    let input = json!({"type": "rtp", "bind_addr": "239.1.1.1:5000", "fec_decode": {"columns": 5, "rows": 6},
        "allowed_sources": ["192.0.2.1", "10.0.0.0/8", "2001:db8::/32"], "allowed_payload_types": [33, 96],
        "max_bitrate_mbps": 0.5, "redundancy": {"bind_addr": "239.1.1.2:5000", "path_differential_ms": 7}});
    let output = json!({"type": "rtp", "id": "a", "name": "A", "dest_addr": "192.0.2.9:1", "dscp": 8,
        "fec_encode": {"columns": 1, "rows": 4, "layout": "staircase"},
        "redundancy": {"dest_addr": "192.0.2.10:1", "rtp_enabled": false}});
    let found = spec(&input, &json!([output]));
    let input = &found["input"];
    assert_eq!(input["redundancy"]["path_differential_ms"], 7);
    assert_eq!(
        input["redundancy"]["receive"]["bind_addr"],
        "239.1.1.2:5000"
    );
    assert_eq!(
        input["fec"],
        json!({"columns": 5, "rows": 6, "row_fec": true, "staircase": false})
    );
    assert_eq!(
        input["filter"],
        json!({"sources": [{"addr": "192.0.2.1", "bits": 32}, {"addr": "10.0.0.0", "bits": 8},
            {"addr": "2001:db8::", "bits": 32}], "payload_types": [33, 96], "max_bps": 500_000})
    );
    let output = &found["outputs"][0];
    assert_eq!(
        output["fec"],
        json!({"columns": 1, "rows": 4, "row_fec": false, "staircase": true})
    );
    assert_eq!(output["legs"][0]["dscp"], 8);
    assert_eq!(output["legs"][1], Value::Null);

    let default = json!({"type": "rtp", "bind_addr": "127.0.0.1:5000", "redundancy": {"bind_addr": "127.0.0.1:5001"}});
    let output = json!({"type": "rtp", "id": "a", "name": "A", "dest_addr": "192.0.2.9:1", "dscp": 8,
        "fec_encode": {"columns": 5, "rows": 4, "mode": "1D"}, "redundancy": {"dest_addr": "192.0.2.10:1"}});
    let found = spec(&default, &json!([output]));
    assert_eq!(found["input"]["redundancy"]["path_differential_ms"], 50);
    let output = &found["outputs"][0];
    assert_eq!(output["fec"]["row_fec"], false);
    assert_eq!(output["legs"][1]["dscp"], 8, "leg 2 has that of leg 1");
}

#[test]
fn a_merge_buffer_may_be_a_skew_class() {
    for (value, millis) in [
        (json!("A"), 10),
        (json!("B"), 50),
        (json!("C"), 450),
        (json!("D"), 1),
        (json!(2_000), 2_000),
    ] {
        let rtp = json!({"type": "rtp", "bind_addr": "127.0.0.1:5000",
            "redundancy": {"bind_addr": "127.0.0.1:5001", "path_differential_ms": value}});
        let srt = json!({"type": "srt", "mode": "listener", "local_addr": "127.0.0.1:5000",
            "redundancy": {"mode": "listener", "local_addr": "127.0.0.1:5001", "path_differential_ms": value}});
        for input in [rtp, srt] {
            let found = spec(&input, &json!([]));
            assert_eq!(found["input"]["redundancy"]["path_differential_ms"], millis);
        }
    }
}

#[test]
fn a_bandwidth_limit_arrives() {
    let mut document = full_flow();
    document["input"] = json!({"type": "test"});
    document["outputs"] = json!([]);
    for (limit, expected) in [
        (
            json!({"max_bitrate_mbps": 8.5, "action": "block"}),
            json!({"max_bps": 8_500_000, "action": "block", "grace_secs": 5}),
        ),
        (
            json!({"max_bitrate_mbps": 1, "action": "alarm", "grace_period_secs": 60}),
            json!({"max_bps": 1_000_000, "action": "alarm", "grace_secs": 60}),
        ),
    ] {
        document["bandwidth_limit"] = limit;
        let found = flow_spec(&flow(document.clone()), 33).unwrap();
        assert_eq!(
            serde_json::to_value(found.bandwidth_limit).unwrap(),
            expected
        );
    }
}

#[test]
fn srt_arrives_with_its_defaults() {
    let found = spec(
        &json!({"type": "srt", "mode": "listener", "local_addr": "0.0.0.0:9000", "latency_ms": 200,
            "passphrase": "0123456789", "redundancy": {"mode": "caller", "local_addr": "0.0.0.0:0",
                "remote_addr": "192.0.2.1:9001", "recv_latency_ms": 400}}),
        &json!([{"type": "srt", "id": "a", "name": "A", "mode": "rendezvous", "local_addr": "192.0.2.2:9002",
            "remote_addr": "192.0.2.1:9002", "max_bw": 1000, "max_rexmit_bw": -1, "send_drop_delay": -1,
            "retransmit_algo": "reduced", "stream_id": "x"}]),
    );
    let leg = &found["input"]["leg"];
    assert_eq!(leg["mode"], "listener");
    assert_eq!(
        (&leg["recv_latency_ms"], &leg["peer_latency_ms"]),
        (&json!(200), &json!(200))
    );
    assert_eq!(
        (&leg["passphrase"], &leg["aes_key_len"]),
        (&json!("0123456789"), &json!(16))
    );
    assert_eq!(
        (&leg["max_bw"], &leg["payload_size"]),
        (&Value::Null, &json!(1_316))
    );
    let second = &found["input"]["redundancy"];
    assert_eq!(second["path_differential_ms"], 50);
    assert_eq!(second["leg"]["recv_latency_ms"], 400);
    assert_eq!(second["leg"]["peer_latency_ms"], 120);
    assert_eq!(second["leg"]["aes_key_len"], Value::Null);
    let output = &found["outputs"][0];
    assert_eq!(output["wrap_payload_type"], 97);
    let leg = &output["leg"];
    assert_eq!(
        (&leg["max_bw"], &leg["max_rexmit_bw"]),
        (&json!(1_000), &Value::Null)
    );
    assert_eq!(leg["send_drop_delay_ms"], Value::Null);
    assert_eq!(leg["reduced_retransmission"], true);
    assert_eq!(
        (&leg["stream_id"], &leg["ip_ttl"]),
        (&json!("x"), &json!(64))
    );
}

#[test]
fn source_ranges_are_read_and_written() {
    for text in [
        "192.0.2.1",
        "192.0.2.0/24",
        "0.0.0.0/0",
        "2001:db8::/32",
        "::1",
    ] {
        let range: super::super::SourceRange = text.parse().unwrap();
        assert_eq!(range.to_string(), text);
    }
    for text in [
        "",
        "192.0.2.1/33",
        "::/129",
        "1.2.3.4/",
        "1.2.3.4/+8",
        "1.2.3/8",
        "a/8",
        "1.2.3.4/8/8",
    ] {
        assert!(text.parse::<super::super::SourceRange>().is_err(), "{text}");
    }
}

#[test]
fn a_type_that_cannot_be_run_is_named() {
    let rtmp = json!({"type": "rtmp", "dest_url": "rtmp://h/live", "stream_key": "k"});
    let hls = json!({"type": "hls", "ingest_url": "https://h"});
    let whip = json!({"type": "webrtc", "whip_url": "https://h"});
    for input in [
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
    for output in [rtmp, hls, whip] {
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
