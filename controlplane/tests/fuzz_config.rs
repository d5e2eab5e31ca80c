//! Fuzz target: any bytes as a configuration, a flow and an output, and any bytes written into the middle of a legal
//! configuration. Run by `cargo test`, and at length by `cargo bolero test fuzz_config`.

use controlplane::config::{
    AppConfig, check_ports, flow_spec, parse_app, parse_flow, parse_output,
};
use serde_json::Value;
use uuid::Uuid;

#[test]
fn fuzz_config() {
    let current = AppConfig::default_with(Uuid::nil());
    let legal = serde_json::from_str(LEGAL).unwrap();
    assert_eq!(parse_app(legal, &current).unwrap().value.flows.len(), 2);
    bolero::check!().for_each(|bytes| {
        parse(bytes, &current);
        if let Some((place, written)) = bytes.split_first_chunk() {
            let begin = usize::from(u16::from_le_bytes(*place)) % LEGAL.len();
            let end = (begin + written.len()).min(LEGAL.len());
            let (head, tail) = (&LEGAL.as_bytes()[..begin], &LEGAL.as_bytes()[end..]);
            // Over what stood there, and between.
            parse(&[head, written, tail].concat(), &current);
            parse(
                &[head, written, &LEGAL.as_bytes()[begin..]].concat(),
                &current,
            );
        }
    });
}

fn parse(bytes: &[u8], current: &AppConfig) {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let _ = parse_output(document.clone(), "f");
    if let Ok(parsed) = parse_flow(document.clone(), Some("f")) {
        let _ = flow_spec(&parsed.value, 33);
    }
    if let Ok(parsed) = parse_app(document, current) {
        let _ = check_ports(&parsed.value, |_| true);
        for flow in &parsed.value.flows {
            let _ = flow_spec(flow, parsed.value.wrap_payload_type());
        }
        let again = parse_app(parsed.value.to_public(), &parsed.value).map(|again| again.value);
        assert_eq!(again, Ok(parsed.value));
    }
}

/// As short as can be, so that most of what is written into it matters.
const LEGAL: &str = r#"{"version":1,"server":{"listen_addr":"::","listen_port":1},"nmos":{"host":"h"},
"tunnels":[{"id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","name":"T","protocol":"udp","mode":"direct",
"direction":"egress","local_addr":"[::]:9","peer_addr":"h:4"}],
"flows":[{"id":"f","name":"F","input":{"type":"rtp","bind_addr":"239.1.1.1:5000","source_addr":"10.0.0.1",
"fec_decode":{"columns":4,"rows":4},"max_bitrate_mbps":1.5,"redundancy":{"bind_addr":"[::]:7"}},
"outputs":[{"type":"udp","id":"a","name":"A","dest_addr":"10.0.0.2:1","dscp":9}]},
{"id":"g","name":"G","input":{"type":"test","bitrate_mbps":10},"outputs":[]}]}"#;
