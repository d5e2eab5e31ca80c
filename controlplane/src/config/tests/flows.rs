use serde_json::{Value, json};

use super::super::{FLOWS_MAX, parse_app, parse_flow, parse_output};
use super::{app, default, document, flow, full_flow, with};

fn error_of_flow(document: Value) -> String {
    parse_flow(document, None).unwrap_err().to_string()
}

/// The message for a flow with this input.
fn error_of_input(input: &Value) -> String {
    error_of_flow(json!({"id": "main", "name": "Main", "input": input, "outputs": []}))
}

fn error_of_output(output: Value) -> String {
    parse_output(output, "main").unwrap_err().to_string()
}

#[test]
fn what_was_written_comes_back() {
    let written = full_flow();
    assert_eq!(
        serde_json::to_value(flow(written.clone())).unwrap(),
        written
    );
    for input in [
        json!({"type": "udp", "bind_addr": "[ff3e::1]:5000", "source_addr": "2001:db8::3"}),
        json!({"type": "udp", "bind_addr": "127.0.0.1:0"}),
        json!({"type": "udp", "bind_addr": "[fe80::1%3]:5000", "interface_addr": "fe80::1"}),
        json!({"type": "test"}),
        json!({"type": "test", "bitrate_mbps": 0.3}),
    ] {
        let written = with(&full_flow(), &json!({"input": input}));
        assert_eq!(
            serde_json::to_value(flow(written.clone())).unwrap(),
            written
        );
    }
}

#[test]
fn defaults_are_enabled_and_analysed_and_null_is_absence() {
    let parsed = flow(
        json!({"id": "f", "name": "F", "enabled": null, "media_analysis": null,
        "input": {"type": "test", "bitrate_mbps": null}, "outputs": []}),
    );
    assert!(parsed.enabled && parsed.media_analysis);
}

#[test]
fn a_wrong_field_of_a_flow_is_named() {
    let long = "x".repeat(65);
    for (fields, expected) in [
        (json!({"id": null}), "id is missing"),
        (
            json!({"id": ""}),
            "id is \"\", expected a string of 1 to 64 characters",
        ),
        (
            json!({"id": long}),
            &*format!("id is \"{long}\", expected a string of 1 to 64 characters"),
        ),
        (json!({"name": null}), "flow 'main': name is missing"),
        (
            json!({"name": ""}),
            "flow 'main': name is \"\", expected a string of 1 to 256 characters",
        ),
        (
            json!({"enabled": "yes"}),
            "flow 'main': enabled is \"yes\", expected true or false",
        ),
        (json!({"input": null}), "flow 'main': input is missing"),
        (
            json!({"input": "udp"}),
            "flow 'main': input is \"udp\", expected an object",
        ),
        (json!({"outputs": null}), "flow 'main': outputs is missing"),
        (
            json!({"outputs": {}}),
            "flow 'main': outputs is an object, expected a list",
        ),
        (
            json!({"outputs": [7]}),
            "outputs[0] is 7, expected an object",
        ),
        (
            json!({"outputs": [{"type": "udp", "id": "a", "name": "A", "dest_addr": "x"}]}),
            "flow 'main', output 'a': dest_addr is \"x\", expected \"address:port\", \
             an IPv6 address in brackets (at outputs[0].dest_addr)",
        ),
    ] {
        assert_eq!(error_of_flow(with(&full_flow(), &fields)), expected);
    }
}

#[test]
fn a_wrong_field_of_an_input_is_named() {
    let rtp = json!({"type": "rtp", "bind_addr": "239.1.1.1:5000"});
    for (fields, expected) in [
        (json!({"type": null}), "type is missing (at input.type)"),
        (
            json!({"type": "ndi"}),
            "type is \"ndi\", expected \"rtp\", \"udp\", \"srt\", \"rtmp\", \"rtsp\", \"webrtc\", \"whep\" or \"test\" \
             (at input.type)",
        ),
        (json!({"bind_addr": null}), "bind_addr is missing"),
        (
            json!({"bind_addr": "239.1.1.1"}),
            "expected \"address:port\"",
        ),
        (
            json!({"bind_addr": 5000}),
            "bind_addr is 5000, expected \"address:port\"",
        ),
        (
            json!({"bind_addr": "[::ffff:192.0.2.1]:5000"}),
            "bind_addr is \"[::ffff:192.0.2.1]:5000\"; write it as the IPv4 address 192.0.2.1",
        ),
        (
            json!({"interface_addr": "2001:db8::1"}),
            "interface_addr is \"2001:db8::1\"; bind_addr 239.1.1.1:5000 is IPv4",
        ),
        (
            json!({"interface_addr": "0.0.0.0"}),
            "unicast address of one network interface",
        ),
        (
            json!({"interface_addr": "eth0"}),
            "interface_addr is \"eth0\", expected an IP address",
        ),
        (
            json!({"source_addr": "2001:db8::1"}),
            "a leg has one address family",
        ),
        (json!({"source_addr": "239.9.9.9"}), "has a unicast address"),
        (json!({"source_addr": "0.0.0.0"}), "has a unicast address"),
        (
            json!({"bind_addr": "192.0.2.1:5000", "source_addr": "192.0.2.9"}),
            "source_addr is \"192.0.2.9\"; it needs a multicast group in bind_addr",
        ),
        (
            json!({"fec_decode": {"columns": 21, "rows": 4}}),
            "an integer from 1 to 20",
        ),
        (
            json!({"fec_decode": {"columns": 0, "rows": 4}}),
            "an integer from 1 to 20",
        ),
        (
            json!({"fec_decode": {"columns": 4, "rows": 3}}),
            "flow 'main', input, fec_decode: rows is 3, expected an integer from 4 to 20 \
             (at input.fec_decode.rows)",
        ),
        (
            json!({"fec_decode": {"columns": 4, "rows": 21}}),
            "an integer from 4 to 20",
        ),
        (json!({"fec_decode": {"columns": 4}}), "rows is missing"),
        (
            json!({"bind_addr": "239.1.1.1:65532", "fec_decode": {"columns": 4, "rows": 4}}),
            "bind_addr is \"239.1.1.1:65532\"; with FEC the port is 1 to 65531",
        ),
        (
            json!({"bind_addr": "0.0.0.0:0", "fec_decode": {"columns": 4, "rows": 4}}),
            "with FEC the port is 1 to 65531",
        ),
        (
            json!({"fec_decode": {"columns": 4, "rows": 4},
                "redundancy": {"bind_addr": "0.0.0.0:65535"}}),
            "(at input.redundancy.bind_addr)",
        ),
        (
            json!({"tr07_mode": 1}),
            "tr07_mode is 1, expected true or false",
        ),
        (
            json!({"allowed_sources": ["192.0.2.1", "x"]}),
            "allowed_sources[1] is \"x\", expected an IP address",
        ),
        (json!({"allowed_sources": []}), "nothing would pass"),
        (
            json!({"allowed_payload_types": [33, 128]}),
            "allowed_payload_types[1] is 128, expected an integer from 0 to 127",
        ),
        (
            json!({"max_bitrate_mbps": 0}),
            "from 0.000001 to 10000 (Mb/s)",
        ),
        (json!({"max_bitrate_mbps": -1}), "max_bitrate_mbps is -1"),
        (
            json!({"max_bitrate_mbps": 10000.1}),
            "max_bitrate_mbps is 10000.1",
        ),
        (
            json!({"redundancy": {}}),
            "flow 'main', input, redundancy: bind_addr is missing",
        ),
        (
            json!({"redundancy": {"bind_addr": "0.0.0.0:1", "path_differential_ms": 2001}}),
            "an integer from 1 to 2000",
        ),
        (json!({"master_enable": "on"}), "master_enable is \"on\""),
    ] {
        let message = error_of_input(&with(&rtp, &fields));
        assert!(message.starts_with("flow 'main', input"), "{message}");
        assert!(message.contains(expected), "{message}\n{expected}");
    }
    for bitrate_mbps in [
        json!(0.299),
        json!(10_000.1),
        json!("10"),
        json!(-1),
        json!(1e300),
    ] {
        let message = error_of_input(&json!({"type": "test", "bitrate_mbps": bitrate_mbps}));
        assert!(message.contains("from 0.3 to 10000 (Mb/s)"), "{message}");
    }
}

#[test]
fn a_wrong_field_of_an_output_is_named() {
    let rtp = json!({"type": "rtp", "id": "a", "name": "A", "dest_addr": "192.0.2.9:5004"});
    for (fields, expected) in [
        (json!({"id": null}), "flow 'main': id is missing"),
        (
            json!({"name": null}),
            "flow 'main', output 'a': name is missing",
        ),
        (
            json!({"name": "x".repeat(257)}),
            "expected a string of 1 to 256 characters",
        ),
        (
            json!({"type": "rtsp"}),
            "type is \"rtsp\", expected \"rtp\", \"udp\", \"srt\", \"rtmp\", \"hls\" or \"webrtc\"",
        ),
        (json!({"dest_addr": null}), "dest_addr is missing"),
        (
            json!({"dest_addr": "192.0.2.9:0"}),
            "dest_addr is \"192.0.2.9:0\"; a destination has",
        ),
        (
            json!({"dest_addr": "0.0.0.0:5004"}),
            "other than the unspecified one",
        ),
        (
            json!({"dest_addr": "[::]:5004"}),
            "other than the unspecified one",
        ),
        (
            json!({"bind_addr": "[::]:0"}),
            "bind_addr is \"[::]:0\"; dest_addr 192.0.2.9:5004 is IPv4",
        ),
        (
            json!({"bind_addr": "239.1.1.1:0"}),
            "packets leave from a unicast address",
        ),
        (
            json!({"interface_addr": "::1"}),
            "a leg has one address family",
        ),
        (
            json!({"dscp": 64}),
            "dscp is 64, expected an integer from 0 to 63",
        ),
        (json!({"dscp": 1.5}), "dscp is 1.5"),
        (json!({"payload_type": 128}), "an integer from 0 to 127"),
        (
            json!({"fec_encode": []}),
            "fec_encode is a list, expected an object",
        ),
        (
            json!({"dest_addr": "192.0.2.9:65532", "fec_encode": {"columns": 4, "rows": 4}}),
            "dest_addr is \"192.0.2.9:65532\"; with FEC",
        ),
        (
            json!({"fec_encode": {"columns": 4, "rows": 4},
                "redundancy": {"dest_addr": "192.0.2.9:65532"}}),
            "flow 'main', output 'a', redundancy: dest_addr is \"192.0.2.9:65532\"; with FEC",
        ),
        (
            json!({"redundancy": {"dest_addr": "192.0.2.9:0"}}),
            "(at redundancy.dest_addr)",
        ),
    ] {
        let message = error_of_output(with(&rtp, &fields));
        assert!(message.contains(expected), "{message}\n{expected}");
    }
}

#[test]
fn limits_are_inclusive_and_count_characters() {
    let id = "é".repeat(64);
    let name = "é".repeat(256);
    let written = with(&full_flow(), &json!({"id": id, "name": name}));
    assert_eq!(flow(written).id, id);
    for fields in [
        json!({"bind_addr": "239.1.1.1:65531", "fec_decode": {"columns": 1, "rows": 20}}),
        json!({"max_bitrate_mbps": 10_000}),
        json!({"max_bitrate_mbps": 0.000_001}),
        json!({"bind_addr": "0.0.0.0:0"}),
        json!({"bind_addr": "239.1.1.1:0"}),
        json!({"interface_addr": "192.0.2.1", "bind_addr": "192.0.2.1:5000"}),
    ] {
        let input = with(
            &json!({"type": "rtp", "bind_addr": "239.1.1.1:5000"}),
            &fields,
        );
        flow(with(&full_flow(), &json!({"input": input})));
    }
}

#[test]
fn the_id_of_the_path_wins() {
    for body_id in [json!(null), json!("other"), json!(7)] {
        let body = with(&full_flow(), &json!({"id": body_id}));
        assert_eq!(parse_flow(body, Some("path")).unwrap().value.id, "path");
    }
    assert!(parse_flow(full_flow(), Some("")).is_err());
    assert!(parse_flow(json!([]), Some("path")).is_err());
}

#[test]
fn ids_come_once() {
    let flows = json!([
        full_flow(),
        with(&full_flow(), &json!({"id": "x"})),
        full_flow()
    ]);
    let error = parse_app(document(&flows), &default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "flow 'main': id is \"main\"; flows[0] has the same id (at flows[2].id)"
    );
    let output = full_flow()["outputs"][1].clone();
    let outputs = json!([output, output]);
    assert_eq!(
        error_of_flow(with(&full_flow(), &json!({"outputs": outputs}))),
        "flow 'main', output 'b': id is \"b\"; outputs[0] has the same id (at outputs[1].id)"
    );
    assert_eq!(error.error_code(), "validation_error");
}

#[test]
fn lists_have_a_limit() {
    let output = |index: usize| {
        with(
            &full_flow()["outputs"][1],
            &json!({"id": index.to_string()}),
        )
    };
    let outputs = |count| Value::from((0..count).map(output).collect::<Vec<_>>());
    flow(with(&full_flow(), &json!({"outputs": outputs(256)})));
    assert_eq!(
        error_of_flow(with(&full_flow(), &json!({"outputs": outputs(257)}))),
        "flow 'main': outputs is a list of 257; a flow has at most 256 outputs"
    );
    let small = json!({"id": "", "name": "n", "input": {"type": "test"}, "outputs": []});
    let flow = |index: usize| with(&small, &json!({"id": index.to_string()}));
    let flows = |count| Value::from((0..count).map(flow).collect::<Vec<_>>());
    assert_eq!(
        app(document(&flows(FLOWS_MAX))).value.flows.len(),
        FLOWS_MAX
    );
    let error = parse_app(document(&flows(FLOWS_MAX + 1)), &default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "flows is a list of 4097; a node has at most 4096 flows"
    );
}

#[test]
fn unknown_fields_are_named_and_dropped() {
    let mut flow = full_flow();
    flow["foo"] = json!(1);
    flow["input"]["delay\n"] = json!({});
    flow["input"]["fec_decode"]["arq"] = json!(1);
    flow["input"]["redundancy"]["fec_decode"] = json!({});
    flow["outputs"][0]["redundancy"]["x"] = json!(null);
    flow["outputs"][1]["payload_type"] = json!(33);
    flow["outputs"][1]["rtp_enabled"] = json!(false);
    let parsed = app(document(
        &json!([{"id": "t", "name": "T", "input": {"type": "test",
        "bind_addr": "x"}, "outputs": []}, flow]),
    ));
    assert_eq!(
        parsed.unknown.paths(),
        [
            "flows[0].input.bind_addr",
            "flows[1].input.fec_decode.arq",
            "flows[1].input.redundancy.fec_decode",
            "flows[1].input.delay\\n",
            "flows[1].outputs[0].redundancy.x",
            "flows[1].outputs[1].payload_type",
            "flows[1].outputs[1].rtp_enabled",
            "flows[1].foo",
        ]
    );
    assert_eq!(
        serde_json::to_value(&parsed.value.flows[1]).unwrap(),
        full_flow()
    );
}

#[test]
fn a_rate_is_kept_to_the_bit_per_second() {
    for (written, kept) in [
        (0.3, 0.3),
        (12.345_678_912_3, 12.345_679),
        (9_999.999_999_6, 10_000.0),
    ] {
        let parsed = flow(with(
            &full_flow(),
            &json!({"input": {"type": "test", "bitrate_mbps": written}}),
        ));
        let value = serde_json::to_value(&parsed).unwrap();
        assert_eq!(value["input"]["bitrate_mbps"], json!(kept));
    }
}

#[test]
fn an_id_cannot_forge_a_log_line() {
    let message = error_of_flow(json!({"id": "a\nERROR b", "name": 1}));
    assert!(!message.contains('\n'), "{message}");
    assert!(
        message.starts_with("flow 'a\\nERROR b': name is 1"),
        "{message}"
    );
}
