use serde_json::{Value, json};

use super::super::{
    FlowConfig, InputConfig, SrtFecArq, SrtFecLayout, SrtInputConfig, parse_flow, parse_output,
};
use super::{flow, with};

/// Leg 2 with every field.
fn leg_2() -> Value {
    json!({"mode": "caller", "local_addr": "[::]:0", "remote_addr": "[2001:db8::1]:9001",
        "latency_ms": 500, "recv_latency_ms": 0, "peer_latency_ms": 65_535,
        "peer_idle_timeout_secs": 10, "passphrase": "hush hush!", "aes_key_len": 32,
        "crypto_mode": "aes-gcm", "stream_id": "#!::r=a,m=publish", "max_rexmit_bw": 0,
        "mss": 1_400, "tlpkt_drop": false, "ip_ttl": 32})
}

/// Leg 1 with every field.
fn leg_1() -> Value {
    with(
        &json!({"type": "srt", "mode": "listener", "local_addr": "0.0.0.0:9000",
            "latency_ms": 120, "recv_latency_ms": 130, "peer_latency_ms": 140,
            "peer_idle_timeout_secs": 30, "passphrase": "h".repeat(79), "aes_key_len": 24,
            "crypto_mode": "aes-ctr", "stream_id": "s".repeat(512),
            "packet_filter": "fec,cols:10,rows:5,layout:even,arq:always",
            "max_rexmit_bw": -1, "max_bw": 0, "input_bw": 1_250_000, "overhead_bw": 5,
            "retransmit_algo": "reduced", "send_drop_delay": -1, "loss_max_ttl": 40,
            "tlpkt_drop": true, "flight_flag_size": 32, "send_buffer_size": 32,
            "recv_buffer_size": 1_048_576, "payload_size": 1_456, "mss": 9_000, "ip_tos": 255,
            "ip_ttl": 1, "connect_timeout_secs": 3, "enforced_encryption": true,
            "km_refresh_rate": 16_777_216, "km_pre_announce": 4_096}),
        &json!({}),
    )
}

fn document(input: &Value) -> Value {
    json!({"id": "main", "name": "Main", "enabled": true, "media_analysis": true, "input": input,
        "outputs": []})
}

fn input(input: &Value) -> FlowConfig {
    flow(document(input))
}

fn srt(flow: FlowConfig) -> SrtInputConfig {
    match flow.input {
        InputConfig::Srt(srt) => *srt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_written_comes_back_and_is_not_in_the_log() {
    let redundancy = with(&leg_2(), &json!({"path_differential_ms": 2_000}));
    let written = with(&leg_1(), &json!({"redundancy": redundancy}));
    let parsed = parse_flow(document(&written), None).unwrap();
    assert!(parsed.unknown.paths().is_empty());
    let value = serde_json::to_value(&parsed.value).unwrap();
    assert_eq!(value, document(&written));
    let shown = format!("{:?}", parsed.value);
    assert!(!shown.contains("hush") && !shown.contains("hhh"), "{shown}");

    let written = with(
        &leg_1(),
        &json!({"id": "a", "name": "A", "redundancy": leg_2()}),
    );
    let parsed = parse_output(written.clone(), "main").unwrap();
    assert!(parsed.unknown.paths().is_empty());
    assert_eq!(serde_json::to_value(&parsed.value).unwrap(), written);
    assert!(!format!("{:?}", parsed.value).contains("hush"));
}

#[test]
fn the_least_is_enough() {
    for leg in [
        json!({"mode": "listener", "local_addr": "0.0.0.0:9000"}),
        json!({"mode": "listener", "local_addr": "[::1]:0", "remote_addr": "[::2]:1"}),
        json!({"mode": "caller", "local_addr": "0.0.0.0:0", "remote_addr": "192.0.2.1:9000"}),
        json!({"mode": "rendezvous", "local_addr": "192.0.2.1:9000",
            "remote_addr": "192.0.2.1:9000"}),
    ] {
        let written = with(&leg, &json!({"type": "srt"}));
        let parsed = input(&written);
        assert_eq!(serde_json::to_value(parsed).unwrap()["input"], written);
    }
}

#[test]
fn leg_2_knows_less() {
    let mut redundancy = leg_2();
    let only_leg_1: Vec<String> = leg_1()
        .as_object()
        .unwrap()
        .keys()
        .filter(|field| redundancy.get(field).is_none() && *field != "type")
        .cloned()
        .collect();
    assert_eq!(only_leg_1.len(), 16, "{only_leg_1:?}");
    for field in &only_leg_1 {
        redundancy[field] = leg_1()[field].clone();
    }
    let written = with(&leg_1(), &json!({"redundancy": redundancy}));
    let parsed = parse_flow(document(&written), None).unwrap();
    let mut expected: Vec<String> = only_leg_1
        .iter()
        .map(|field| format!("input.redundancy.{field}"))
        .collect();
    expected.sort();
    let mut found = parsed.unknown.paths().to_vec();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_packet_filter_is_understood() {
    for (text, columns, rows, layout, arq) in [
        (
            "fec,cols:10",
            10,
            1,
            SrtFecLayout::Staircase,
            SrtFecArq::OnRequest,
        ),
        (
            "fec,rows:256,cols:256",
            256,
            256,
            SrtFecLayout::Staircase,
            SrtFecArq::OnRequest,
        ),
        (
            "fec,cols:1,rows:1,layout:even,arq:never",
            1,
            1,
            SrtFecLayout::Even,
            SrtFecArq::Never,
        ),
        (
            "fec,arq:always,layout:staircase,cols:2",
            2,
            1,
            SrtFecLayout::Staircase,
            SrtFecArq::Always,
        ),
    ] {
        let written = with(&leg_1(), &json!({"packet_filter": text}));
        let filter = srt(input(&written)).socket.packet_filter.unwrap();
        assert_eq!(
            (filter.columns, filter.rows, filter.layout, filter.arq),
            (columns, rows, layout, arq)
        );
        assert_eq!(filter.to_string(), text);
    }
}

#[test]
fn a_wrong_field_is_named() {
    let caller = json!({"type": "srt", "mode": "caller", "local_addr": "192.0.2.2:0",
        "remote_addr": "192.0.2.1:9000"});
    let integer = |field: &str, value: i64, least: i64, most: i64| {
        let message = format!("{field} is {value}, expected an integer from {least} to {most}");
        (json!({field: value}), message)
    };
    let text = |fields: Value, message: &str| (fields, message.to_owned());
    let filter = |filter: &str, rule: &str| {
        let message = format!("packet_filter is {}; {rule}", json!(filter));
        (json!({"packet_filter": filter}), message)
    };
    let cases = [
        text(json!({"mode": null}), "mode is missing (at input.mode)"),
        text(
            json!({"mode": "server"}),
            "mode is \"server\", expected \"caller\", \"listener\" or \"rendezvous\"",
        ),
        text(json!({"local_addr": null}), "local_addr is missing"),
        text(
            json!({"local_addr": "192.0.2.2"}),
            "local_addr is \"192.0.2.2\", expected \"address:port\"",
        ),
        text(
            json!({"local_addr": "239.1.1.1:1"}),
            "local_addr is \"239.1.1.1:1\"; SRT runs between unicast addresses",
        ),
        text(
            json!({"local_addr": "[::ffff:192.0.2.1]:1"}),
            "write it as the IPv4 address 192.0.2.1",
        ),
        text(
            json!({"remote_addr": null}),
            "flow 'main', input: remote_addr is required for mode caller (at input.remote_addr)",
        ),
        text(
            json!({"mode": "rendezvous", "remote_addr": null}),
            "remote_addr is required for mode rendezvous",
        ),
        text(
            json!({"remote_addr": "192.0.2.1:0"}),
            "remote_addr is \"192.0.2.1:0\"; the far end has a unicast address and a port other than 0",
        ),
        text(
            json!({"remote_addr": "0.0.0.0:1"}),
            "the far end has a unicast address",
        ),
        text(
            json!({"remote_addr": "239.1.1.1:1"}),
            "the far end has a unicast address",
        ),
        text(
            json!({"remote_addr": "host:1"}),
            "remote_addr is \"host:1\", expected \"address:port\"",
        ),
        text(
            json!({"remote_addr": "[::1]:1"}),
            "remote_addr is \"[::1]:1\"; local_addr 192.0.2.2:0 is IPv4, and a leg has one address family",
        ),
        text(
            json!({"local_addr": "192.0.2.1:9000"}),
            "remote_addr is \"192.0.2.1:9000\"; it is the same as local_addr, and a caller cannot call itself",
        ),
        integer("latency_ms", -1, 0, 65_535),
        integer("latency_ms", 65_536, 0, 65_535),
        integer("recv_latency_ms", 65_536, 0, 65_535),
        integer("peer_latency_ms", 65_536, 0, 65_535),
        integer("peer_idle_timeout_secs", 1, 2, 86_400),
        text(
            json!({"passphrase": "hush hush"}),
            "passphrase has a value that is not shown, expected a string of 10 to 79 characters",
        ),
        text(
            json!({"passphrase": "hush".repeat(20)}),
            "a string of 10 to 79 characters",
        ),
        text(
            json!({"passphrase": 1_234_567_890}),
            "passphrase has a value that is not shown",
        ),
        text(
            json!({"passphrase": "hush hush!", "aes_key_len": 20}),
            "aes_key_len is 20, expected 16, 24 or 32 (bytes)",
        ),
        text(
            json!({"aes_key_len": 16}),
            "aes_key_len is 16; without a passphrase nothing is encrypted",
        ),
        text(
            json!({"passphrase": "hush hush!", "aes_key_len": 24, "crypto_mode": "aes-gcm"}),
            "aes_key_len is 24; with crypto_mode \"aes-gcm\" it is 16 or 32",
        ),
        text(
            json!({"crypto_mode": "aes"}),
            "crypto_mode is \"aes\", expected \"aes-ctr\" or \"aes-gcm\"",
        ),
        text(
            json!({"stream_id": "s".repeat(513)}),
            "expected a string of 0 to 512 characters",
        ),
        text(
            json!({"stream_id": "é".repeat(257)}),
            "expected at most 512 bytes",
        ),
        integer("max_rexmit_bw", -2, -1, i64::MAX),
        integer("max_bw", -1, 0, i64::MAX),
        integer("input_bw", -1, 0, i64::MAX),
        integer("overhead_bw", 4, 5, 100),
        integer("overhead_bw", 101, 5, 100),
        text(
            json!({"retransmit_algo": "none"}),
            "retransmit_algo is \"none\", expected \"default\" or \"reduced\"",
        ),
        integer("send_drop_delay", -2, -1, 2_147_483_647),
        integer("loss_max_ttl", -1, 0, 1_048_576),
        text(
            json!({"tlpkt_drop": 1}),
            "tlpkt_drop is 1, expected true or false",
        ),
        integer("flight_flag_size", 31, 32, 1_048_576),
        integer("send_buffer_size", 31, 32, 1_048_576),
        integer("recv_buffer_size", 1_048_577, 32, 1_048_576),
        integer("payload_size", 187, 188, 1_456),
        integer("payload_size", 1_457, 188, 1_456),
        integer("mss", 75, 76, 9_000),
        integer("mss", 9_001, 76, 9_000),
        integer("ip_tos", 256, 0, 255),
        integer("ip_ttl", 0, 1, 255),
        integer("connect_timeout_secs", 0, 1, 86_400),
        text(
            json!({"enforced_encryption": "no"}),
            "enforced_encryption is \"no\"",
        ),
        integer("km_refresh_rate", 0, 1, 2_147_483_647),
        integer("km_pre_announce", 0, 1, 2_147_483_647),
        text(
            json!({"km_refresh_rate": 1_000, "km_pre_announce": 1_001}),
            "km_pre_announce is 1001; a key is announced within its life, and km_refresh_rate is 1000 \
             (at input.km_pre_announce)",
        ),
        text(
            json!({"km_pre_announce": 16_777_217}),
            "km_pre_announce is 16777217; a key is announced within its life, and km_refresh_rate is 16777216",
        ),
        text(
            json!({"passphrase": "hush €€€".repeat(6)}),
            "passphrase has a value that is not shown, expected a string of 10 to 79 characters and at most 79 bytes",
        ),
        text(
            json!({"stream_id": "a\u{0}b"}),
            "expected a string without the character U+0000 (at input.stream_id)",
        ),
        filter("arq", "the only filter is fec"),
        filter("fec", "cols is missing"),
        filter("fec,cols:0", "cols is an integer from 1 to 256"),
        filter("fec,cols:257", "cols is an integer from 1 to 256"),
        filter("fec,cols:4,rows:-5", "rows is an integer from 1 to 256"),
        filter("fec,cols:4,layout:odd", "layout is one of even, staircase"),
        filter("fec,cols:4,arq:often", "arq is one of always, onreq, never"),
        filter("fec,cols:4,cols:4", "cols is there twice"),
        filter("fec,cols", "\"cols\" is not \"key:value\""),
        filter(
            "fec,cols:4,x:1",
            "\"x\" is not one of its keys: cols, rows, layout, arq",
        ),
        text(
            json!({"packet_filter": "f".repeat(513)}),
            "a string of 1 to 512 characters",
        ),
        text(
            json!({"mode": "rendezvous", "packet_filter": "fec,cols:4"}),
            "packet_filter is \"fec,cols:4\"; a packet filter is not possible with mode rendezvous",
        ),
        text(
            json!({"redundancy": with(&leg_2(), &json!({"remote_addr": null}))}),
            "flow 'main', input, redundancy: remote_addr is required for mode caller \
             (at input.redundancy.remote_addr)",
        ),
        text(
            json!({"redundancy": with(&leg_2(), &json!({"aes_key_len": 24}))}),
            "redundancy: aes_key_len is 24; with crypto_mode \"aes-gcm\" it is 16 or 32",
        ),
        text(
            json!({"redundancy": with(&leg_2(), &json!({"path_differential_ms": 0}))}),
            "path_differential_ms is 0, expected an integer from 1 to 2000",
        ),
    ];
    for (fields, expected) in cases {
        let written = document(&with(&caller, &fields));
        let message = parse_flow(written, None).unwrap_err().to_string();
        assert!(message.contains(&expected), "{message}\n{expected}");
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn what_an_output_sends_fits_into_its_packets() {
    let caller = json!({"type": "srt", "id": "a", "name": "A", "mode": "caller",
        "local_addr": "192.0.2.2:0", "remote_addr": "192.0.2.1:9000"});
    let sealed = json!({"passphrase": "hush hush!", "crypto_mode": "aes-gcm"});
    let mut leg = caller.clone();
    for field in ["type", "id", "name"] {
        leg.as_object_mut().unwrap().remove(field);
    }
    let both = |one: Value, two: Value| with(&one, &json!({"redundancy": with(&leg, &two)}));
    for fields in [
        // Transport stream without a payload_size is cut to what fits.
        json!({"mss": 1_316}),
        json!({"mss": 232}),
        json!({"mss": 796, "payload_size": 752}),
        with(&sealed, &json!({"payload_size": 1_440})),
        json!({"packet_filter": "fec,cols:4", "payload_size": 1_452}),
        both(json!({}), sealed.clone()),
        both(json!({"mss": 1_372}), json!({"mss": 1_372})),
        both(
            json!({"mss": 808, "payload_size": 752}),
            json!({"mss": 808}),
        ),
    ] {
        let written = with(&caller, &fields);
        parse_output(written, "main").unwrap();
    }
    for (fields, expected) in [
        (
            json!({"mss": 231}),
            "mss is 231; 187 bytes fit into a packet, and a TS packet has 188",
        ),
        (
            json!({"mss": 795, "payload_size": 752}),
            "payload_size is 752; 751 bytes fit into a packet (mss, encryption, packet filter)",
        ),
        (
            with(&sealed, &json!({"payload_size": 1_441})),
            "payload_size is 1441; 1440 bytes fit",
        ),
        (
            json!({"packet_filter": "fec,cols:4", "payload_size": 1_453}),
            "payload_size is 1453; 1452 bytes fit",
        ),
        (
            both(json!({"mss": 1_316}), json!({})),
            "mss is 1316; 1272 bytes fit into a packet, and an RTP packet with a payload of 1316 has 1328",
        ),
        (
            both(json!({}), json!({"mss": 1_371})),
            "redundancy: mss is 1371; 1327 bytes fit",
        ),
    ] {
        let written = with(&caller, &fields);
        let message = parse_output(written, "main").unwrap_err().to_string();
        assert!(message.contains(expected), "{message}\n{expected}");
    }
}
