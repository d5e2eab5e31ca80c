use serde_json::{Value, json};

use super::super::{parse_flow, parse_output};
use super::with;

/// Inputs with every field, and with as little as possible.
fn inputs() -> Vec<(Value, Value)> {
    vec![
        (
            json!({"type": "rtmp", "listen_addr": "0.0.0.0:1935", "app": "live",
                "stream_key": "hush", "max_publishers": 2}),
            json!({"type": "rtmp", "listen_addr": "[::1]:0"}),
        ),
        (
            json!({"type": "rtsp", "rtsp_url": "rtsps://u:hush@[2001:db8::1]:322/a?t=hush",
                "username": "hush", "password": "hush", "transport": "udp", "timeout_secs": 1,
                "reconnect_delay_secs": 86_400}),
            json!({"type": "rtsp", "rtsp_url": "rtsp://camera"}),
        ),
        (
            json!({"type": "webrtc", "bearer_token": "hush", "video_only": true,
                "public_ip": "192.0.2.1", "stun_server": "stun:stun.example.com:3478"}),
            json!({"type": "webrtc"}),
        ),
        (
            json!({"type": "whep", "whep_url": "https://h/whep", "bearer_token": "hush",
                "video_only": false}),
            json!({"type": "whep", "whep_url": "http://192.0.2.1:8889/"}),
        ),
    ]
}

/// Outputs with every field, and with as little as possible.
fn outputs() -> Vec<(Value, Value)> {
    let names = json!({"id": "a", "name": "A"});
    let kinds = [
        (
            json!({"type": "rtmp", "dest_url": "rtmps://h:443/live", "stream_key": "hush",
                "reconnect_delay_secs": 1, "max_reconnect_attempts": 0}),
            json!({"type": "rtmp", "dest_url": "rtmp://h/live", "stream_key": "hush"}),
        ),
        (
            json!({"type": "hls", "ingest_url": "https://h/in?cid=hush",
                "segment_duration_secs": 0.5, "auth_token": "hush", "max_segments": 30}),
            json!({"type": "hls", "ingest_url": "http://h"}),
        ),
        (
            json!({"type": "webrtc", "mode": "whip_client", "whip_url": "https://h/whip",
                "bearer_token": "hush", "max_viewers": 100, "public_ip": "2001:db8::1",
                "video_only": true}),
            json!({"type": "webrtc", "whip_url": "https://h/whip"}),
        ),
        (
            json!({"type": "webrtc", "mode": "whep_server", "max_viewers": 1}),
            json!({"type": "webrtc", "mode": "whep_server"}),
        ),
    ];
    kinds
        .iter()
        .map(|(full, least)| (with(full, &names), with(least, &names)))
        .collect()
}

fn document(input: &Value) -> Value {
    json!({"id": "main", "name": "Main", "enabled": true, "media_analysis": true, "input": input,
        "outputs": []})
}

#[test]
fn what_was_written_comes_back_and_is_not_in_the_log() {
    for (full, least) in inputs() {
        for input in [full, least] {
            let parsed = parse_flow(document(&input), None).unwrap();
            assert!(parsed.unknown.paths().is_empty());
            let value = serde_json::to_value(&parsed.value).unwrap();
            assert_eq!(value, document(&input));
            assert_eq!(parsed.value.input.type_name(), input["type"]);
            let shown = format!("{:?}", parsed.value);
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
    for (full, least) in outputs() {
        for output in [full, least] {
            let parsed = parse_output(output.clone(), "main").unwrap();
            assert!(parsed.unknown.paths().is_empty());
            assert_eq!(serde_json::to_value(&parsed.value).unwrap(), output);
            assert_eq!(parsed.value.kind.type_name(), output["type"]);
            let shown = format!("{:?}", parsed.value);
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}

#[test]
fn a_wrong_field_of_an_input_is_named() {
    for (number, fields, expected) in [
        (
            0,
            json!({"listen_addr": null}),
            "listen_addr is missing (at input.listen_addr)",
        ),
        (
            0,
            json!({"listen_addr": "0.0.0.0"}),
            "listen_addr is \"0.0.0.0\", expected \"address:port\"",
        ),
        (
            0,
            json!({"listen_addr": "239.1.1.1:1935"}),
            "listen_addr is \"239.1.1.1:1935\"; connections come to a unicast address",
        ),
        (
            0,
            json!({"app": ""}),
            "app is \"\", expected a string of 1 to 256 characters",
        ),
        (
            0,
            json!({"app": "a/b"}),
            "app is \"a/b\"; it is one part of a URL's path",
        ),
        (
            0,
            json!({"stream_key": ""}),
            "stream_key has a value that is not shown, expected a string of 1 to 4096 characters",
        ),
        (
            0,
            json!({"max_publishers": 0}),
            "max_publishers is 0, expected an integer from 1 to 4294967295",
        ),
        (
            1,
            json!({"rtsp_url": null}),
            "rtsp_url is missing (at input.rtsp_url)",
        ),
        (1, json!({"rtsp_url": 7}), "rtsp_url is 7, expected a URL"),
        (
            1,
            json!({"rtsp_url": "http://u:hush@h/a?hush"}),
            "rtsp_url is \"http://..@h/a?..\", expected a URL that begins with rtsp:// or rtsps://",
        ),
        (
            1,
            json!({"rtsp_url": format!("rtsp://h/{}", "a".repeat(2_040))}),
            "expected a URL of at most 2048 characters",
        ),
        (
            1,
            json!({"rtsp_url": "rtsp://"}),
            "rtsp_url is \"rtsp://\", expected a URL with a host, and a port from 1 to 65535 if any",
        ),
        (
            1,
            json!({"rtsp_url": "rtsp://h:0/"}),
            "expected a URL with a host",
        ),
        (
            1,
            json!({"rtsp_url": "rtsp://h:65536/"}),
            "expected a URL with a host",
        ),
        (
            1,
            json!({"rtsp_url": "rtsp://u:hush@/a"}),
            "expected a URL with a host",
        ),
        (
            1,
            json!({"rtsp_url": "rtsp://[::1/a"}),
            "expected a URL with a host",
        ),
        (
            1,
            json!({"rtsp_url": "rtsp://h/a b"}),
            "expected a URL without spaces or control characters",
        ),
        (
            1,
            json!({"username": ""}),
            "username has a value that is not shown",
        ),
        (
            1,
            json!({"password": 5}),
            "password has a value that is not shown",
        ),
        (
            1,
            json!({"transport": "quic"}),
            "transport is \"quic\", expected \"tcp\" or \"udp\"",
        ),
        (
            1,
            json!({"timeout_secs": 0}),
            "timeout_secs is 0, expected an integer from 1 to 86400",
        ),
        (
            1,
            json!({"reconnect_delay_secs": 86_401}),
            "reconnect_delay_secs is 86401, expected an integer from 1 to 86400",
        ),
        (
            2,
            json!({"bearer_token": "hush".repeat(1_025)}),
            "bearer_token has a value that is not shown, expected a string of 1 to 4096 characters",
        ),
        (
            2,
            json!({"video_only": "yes"}),
            "video_only is \"yes\", expected true or false",
        ),
        (
            2,
            json!({"public_ip": "h"}),
            "public_ip is \"h\", expected an IP address",
        ),
        (
            2,
            json!({"public_ip": "0.0.0.0"}),
            "public_ip is \"0.0.0.0\"; an ICE candidate has a unicast address",
        ),
        (
            2,
            json!({"stun_server": "stun:"}),
            "stun_server is \"stun:\", expected \"host:port\" or \"stun:host:port\"",
        ),
        (3, json!({"whep_url": null}), "whep_url is missing"),
        (
            3,
            json!({"whep_url": "ws://h"}),
            "whep_url is \"ws://h\", expected a URL that begins with http:// or https://",
        ),
        (
            3,
            json!({"bearer_token": ["hush"]}),
            "bearer_token has a value that is not shown",
        ),
        (3, json!({"video_only": 0}), "video_only is 0"),
    ] {
        let input = with(&inputs()[number].0, &fields);
        let message = parse_flow(document(&input), None).unwrap_err().to_string();
        assert!(message.starts_with("flow 'main', input: "), "{message}");
        assert!(message.contains(expected), "{message}\n{expected}");
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn a_wrong_field_of_an_output_is_named() {
    for (number, fields, expected) in [
        (0, json!({"dest_url": null}), "dest_url is missing"),
        (
            0,
            json!({"dest_url": "http://h"}),
            "dest_url is \"http://h\", expected a URL that begins with rtmp:// or rtmps://",
        ),
        (0, json!({"stream_key": null}), "stream_key is missing"),
        (
            0,
            json!({"stream_key": ""}),
            "stream_key has a value that is not shown",
        ),
        (
            0,
            json!({"reconnect_delay_secs": 0}),
            "reconnect_delay_secs is 0, expected an integer from 1 to 86400",
        ),
        (
            0,
            json!({"max_reconnect_attempts": -1}),
            "max_reconnect_attempts is -1, expected an integer from 0 to 4294967295",
        ),
        (1, json!({"ingest_url": null}), "ingest_url is missing"),
        (
            1,
            json!({"ingest_url": "ftp://h"}),
            "begins with http:// or https://",
        ),
        (
            1,
            json!({"segment_duration_secs": 0.49}),
            "segment_duration_secs is 0.49, expected a number from 0.5 to 10 (seconds)",
        ),
        (
            1,
            json!({"segment_duration_secs": 10.1}),
            "from 0.5 to 10 (seconds)",
        ),
        (
            1,
            json!({"auth_token": 1}),
            "auth_token has a value that is not shown",
        ),
        (
            1,
            json!({"max_segments": 0}),
            "max_segments is 0, expected an integer from 1 to 30",
        ),
        (
            1,
            json!({"max_segments": 31}),
            "max_segments is 31, expected an integer from 1 to 30",
        ),
        (
            2,
            json!({"mode": "whip"}),
            "mode is \"whip\", expected \"whip_client\" or \"whep_server\"",
        ),
        (
            2,
            json!({"whip_url": null}),
            "whip_url is required for mode whip_client",
        ),
        (
            2,
            json!({"mode": null, "whip_url": null}),
            "whip_url is required for mode whip_client",
        ),
        (
            2,
            json!({"whip_url": "h"}),
            "begins with http:// or https://",
        ),
        (
            2,
            json!({"bearer_token": ""}),
            "bearer_token has a value that is not shown",
        ),
        (
            2,
            json!({"max_viewers": 0}),
            "max_viewers is 0, expected an integer from 1 to 100",
        ),
        (
            2,
            json!({"max_viewers": 101}),
            "max_viewers is 101, expected an integer from 1 to 100",
        ),
        (
            2,
            json!({"public_ip": "239.1.1.1"}),
            "an ICE candidate has a unicast address",
        ),
        (2, json!({"video_only": "no"}), "video_only is \"no\""),
    ] {
        let output = with(&outputs()[number].0, &fields);
        let message = parse_output(output, "main").unwrap_err().to_string();
        assert!(
            message.starts_with("flow 'main', output 'a': "),
            "{message}"
        );
        assert!(message.contains(expected), "{message}\n{expected}");
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn what_comes_later_is_unknown_until_then() {
    let later = json!({"program_number": 1, "delay": {"mode": "fixed", "ms": 1}});
    for (_, least) in outputs() {
        let parsed = parse_output(with(&least, &later), "main").unwrap();
        assert_eq!(parsed.unknown.paths(), ["delay", "program_number"]);
        assert_eq!(serde_json::to_value(&parsed.value).unwrap(), least);
    }
}
