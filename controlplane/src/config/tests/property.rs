use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{check_ports, flow_spec, parse_app, parse_flow, parse_output};
use super::{default, document, full_flow};

/// Any JSON, with the names of real fields often, so that it gets past the first of them.
fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_u64..130).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(&WORDS[..]).prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 96, 8, |inner| {
        let name = prop_oneof![
            4 => prop::sample::select(&FIELDS[..]).prop_map(str::to_owned),
            1 => ".{0,6}",
        ];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(name, inner, 0..8)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

const WORDS: [&str; 20] = [
    "rtp",
    "udp",
    "test",
    "srt",
    "239.1.1.1:5000",
    "[ff3e::1]:5000",
    "0.0.0.0:0",
    "192.0.2.1",
    "::ffff:192.0.2.1",
    "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "rtmp",
    "rtsp",
    "webrtc",
    "whep",
    "hls",
    "caller",
    "listener",
    "rtsp://u:p@h:1/a?b",
    "https://h",
    "fec,cols:4,rows:4",
];

const FIELDS: [&str; 42] = [
    "version",
    "node_id",
    "server",
    "listen_addr",
    "listen_port",
    "auth",
    "tls",
    "enabled",
    "monitor",
    "manager",
    "nmos",
    "registration",
    "tunnels",
    "flows",
    "id",
    "name",
    "input",
    "outputs",
    "type",
    "bind_addr",
    "dest_addr",
    "interface_addr",
    "source_addr",
    "redundancy",
    "fec_decode",
    "bitrate_mbps",
    "mode",
    "local_addr",
    "remote_addr",
    "listen_addr",
    "passphrase",
    "aes_key_len",
    "packet_filter",
    "latency_ms",
    "rtsp_url",
    "whep_url",
    "whip_url",
    "dest_url",
    "ingest_url",
    "stream_key",
    "clients",
    "direction",
];

fn family_addr(v4: bool) -> impl Strategy<Value = IpAddr> {
    any::<u128>().prop_map(move |bits| {
        if v4 {
            // 10.0.0.0/8: unicast.
            IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | (bits as u32 & 0x00ff_ffff)))
        } else {
            // 2001:db8::/32: unicast.
            IpAddr::V6(Ipv6Addr::from(
                (0x2001_0db8 << 96) | (bits & (u128::MAX >> 32)),
            ))
        }
    })
}

fn legal_input() -> impl Strategy<Value = Value> {
    let receive = any::<bool>()
        .prop_flat_map(|v4| (family_addr(v4), any::<u16>(), option::of(family_addr(v4))));
    let rtp = (
        receive.clone(),
        option::of(vec(0_u8..=127, 1..4)),
        option::of(0.000_001..=10_000.0_f64),
        option::of(any::<bool>()),
    );
    prop_oneof![
        legal_srt(),
        option::of(0.3..=10_000.0_f64)
            .prop_map(|bitrate_mbps| json!({"type": "test", "bitrate_mbps": bitrate_mbps})),
        receive.prop_map(|(address, port, interface_addr)| json!({"type": "udp",
            "bind_addr": SocketAddr::new(address, port), "interface_addr": interface_addr})),
        rtp.prop_map(
            |((address, port, interface_addr), payload_types, max_mbps, enable)| {
                json!({"type": "rtp", "bind_addr": SocketAddr::new(address, port),
                "interface_addr": interface_addr, "allowed_payload_types": payload_types,
                "max_bitrate_mbps": max_mbps, "master_enable": enable})
            }
        ),
    ]
}

fn legal_srt() -> impl Strategy<Value = Value> {
    let mode = prop::sample::select(vec!["caller", "listener", "rendezvous"]);
    let addresses = any::<bool>().prop_flat_map(|v4| (family_addr(v4), family_addr(v4)));
    (
        (mode, addresses, 1_u16.., option::of(0_u64..=65_535)),
        (
            option::of("[ -~]{10,79}"),
            option::of(1_u8..=255),
            option::of(-1_i64..),
            option::of(any::<bool>()),
        ),
        (
            option::of(-1_i32..),
            option::of("[^\\x00\\n]{0,128}"),
            option::of(32_u32..=1 << 20),
            option::of(188_u16..=1_456),
        ),
    )
        .prop_map(
            |(
                (mode, (local, remote), port, latency),
                (passphrase, ttl, bw, drop),
                (delay, id, size, payload),
            )| {
                json!({"type": "srt", "mode": mode, "local_addr": SocketAddr::new(local, 0),
                    "remote_addr": SocketAddr::new(remote, port), "latency_ms": latency,
                    "passphrase": passphrase, "ip_ttl": ttl, "max_rexmit_bw": bw,
                    "tlpkt_drop": drop, "send_drop_delay": delay, "stream_id": id,
                    "flight_flag_size": size, "payload_size": payload})
            },
        )
}

fn legal_output() -> impl Strategy<Value = Value> {
    let addresses = any::<bool>()
        .prop_flat_map(|v4| (family_addr(v4), option::of((family_addr(v4), any::<u16>()))));
    let kind = prop::sample::select(vec!["rtp", "udp"]);
    let srt = (legal_srt(), ".{1,64}").prop_map(|(mut output, name)| {
        output["name"] = json!(name);
        output
    });
    let sends = (addresses, 1_u16.., option::of(0_u8..64), ".{1,64}", kind).prop_map(
        |((address, bind), port, dscp, name, kind)| {
            let bind_addr = bind.map(|(address, port)| SocketAddr::new(address, port));
            json!({"type": kind, "name": name, "dest_addr": SocketAddr::new(address, port),
                "bind_addr": bind_addr, "dscp": dscp})
        },
    );
    prop_oneof![srt, sends]
}

fn legal_flow() -> impl Strategy<Value = Value> {
    let outputs = vec(legal_output(), 0..4).prop_map(|mut outputs| {
        for (index, output) in outputs.iter_mut().enumerate() {
            output["id"] = json!(index.to_string());
        }
        outputs
    });
    (".{1,64}", any::<bool>(), legal_input(), outputs).prop_map(|(name, enabled, input, outputs)| {
        json!({"name": name, "enabled": enabled, "input": input, "outputs": outputs})
    })
}

/// Where a value of the document stands, to put rubbish there.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn no_document_causes_a_panic(document in any_json()) {
        let _ = parse_app(document.clone(), &default());
        let _ = parse_output(document.clone(), "f");
        if let Ok(parsed) = parse_flow(document.clone(), Some("f")) {
            let _ = flow_spec(&parsed.value, 33);
        }
        let _ = parse_flow(document, None);
    }

    #[test]
    fn one_wrong_value_is_an_error_or_harmless(rubbish in any_json(), place in any::<prop::sample::Index>()) {
        let mut document = document(&json!([full_flow()]));
        let mut found = Vec::new();
        places(&document, "", &mut found);
        let place = place.get(&found);
        *document.pointer_mut(place).unwrap() = rubbish;
        match parse_app(document, &default()) {
            // An error fits in a line, whatever the document holds.
            Err(error) => prop_assert!(error.to_string().len() < 1_000, "{error}"),
            Ok(parsed) => {
                let again = serde_json::to_value(&parsed.value).unwrap();
                prop_assert_eq!(parse_app(again, &default()).unwrap().value, parsed.value);
            }
        }
    }

    #[test]
    fn a_legal_configuration_survives_the_file(flows in vec(legal_flow(), 0..4)) {
        let mut flows = flows;
        for (index, flow) in flows.iter_mut().enumerate() {
            flow["id"] = json!(index.to_string());
        }
        let parsed = parse_app(document(&Value::from(flows)), &default()).unwrap();
        prop_assert!(parsed.unknown.paths().is_empty());
        let text = serde_json::to_string_pretty(&parsed.value).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        let again = parse_app(read, &default()).unwrap();
        prop_assert!(again.unknown.paths().is_empty());
        prop_assert_eq!(&again.value, &parsed.value);
        let _ = check_ports(&parsed.value, |_| true);
        for flow in &parsed.value.flows {
            let _ = flow_spec(flow, 33);
        }
    }
}
