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
    assert_eq!(parse_app(legal, &current).unwrap().value.flows.len(), 5);
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
const LEGAL: &str = r#"{"version":1,"server":{"listen_addr":"::","listen_port":1,"auth":{"enabled":true,
"jwt_secret":"0123456789abcdef0123456789abcdef","clients":[{"client_id":"c","client_secret":"s","role":"admin"}]}},
"manager":{"url":"wss://m","node_secret":"s"},"nmos":{"host":"h"},
"tunnels":[{"id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","name":"T","protocol":"udp","mode":"direct",
"direction":"egress","local_addr":"[::]:9","peer_addr":"h:4"}],
"flows":[{"id":"f","name":"F","input":{"type":"rtp","bind_addr":"239.1.1.1:5000","source_addr":"10.0.0.1",
"fec_decode":{"columns":4,"rows":4},"max_bitrate_mbps":1.5,"redundancy":{"bind_addr":"[::]:7"}},
"outputs":[{"type":"udp","id":"a","name":"A","dest_addr":"10.0.0.2:1","dscp":9}]},
{"id":"g","name":"G","input":{"type":"test","bitrate_mbps":10},"outputs":[
{"type":"rtmp","id":"a","name":"A","dest_url":"rtmp://h/a","stream_key":"k","reconnect_delay_secs":1},
{"type":"hls","id":"b","name":"B","ingest_url":"https://h","segment_duration_secs":1.5,"max_segments":3},
{"type":"webrtc","id":"c","name":"C","mode":"whep_server","max_viewers":9}]},
{"id":"h","name":"H","input":{"type":"srt","mode":"caller","local_addr":"0.0.0.0:0","remote_addr":"10.0.0.1:9",
"passphrase":"0123456789","aes_key_len":32,"packet_filter":"fec,cols:4,rows:4","max_bw":0,"redundancy":{
"mode":"listener","local_addr":"[::]:8","crypto_mode":"aes-gcm"}},"outputs":[]},
{"id":"i","name":"I","input":{"type":"rtsp","rtsp_url":"rtsp://u:p@h:5/a?b","transport":"udp"},"outputs":[]},
{"id":"j","name":"J","input":{"type":"rtmp","listen_addr":"[::]:1935","app":"a"},"outputs":[]}]}"#;
