use serde_json::{Value, json};

use super::super::{
    ConfigError, TunnelDirection, TunnelMode, TunnelProtocol, parse_app, parse_tunnel,
};
use super::{default, document, with};

const ID: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF";

/// Every field.
fn full() -> Value {
    json!({"id": ID, "name": "T", "enabled": true, "protocol": "tcp", "mode": "direct",
        "direction": "ingress", "local_addr": "192.0.2.1:9000", "relay_addr": "relay:4433",
        "peer_addr": "[2001:db8::1]:4433", "direct_listen_addr": "[::]:4433",
        "tunnel_encryption_key": KEY, "tunnel_bind_secret": KEY, "tunnel_psk": KEY,
        "tls_cert_pem": "-----BEGIN C", "tls_key_pem": "-----BEGIN K"})
}

/// As the API answers.
fn bare_error_of(tunnel: Value) -> String {
    match parse_tunnel(tunnel) {
        Err(ConfigError::Field(error)) => error.bare(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_arrives_and_no_secret_leaves() {
    let parsed = parse_tunnel(full()).unwrap();
    assert!(parsed.unknown.paths().is_empty());
    let tunnel = parsed.value;
    let secrets: Vec<&str> = tunnel
        .secrets
        .fields()
        .iter()
        .map(|(_, secret)| secret.unwrap().expose())
        .collect();
    assert_eq!(secrets, [KEY, KEY, KEY, "-----BEGIN C", "-----BEGIN K"]);
    assert_eq!(
        (tunnel.protocol, tunnel.mode, tunnel.direction),
        (
            TunnelProtocol::Tcp,
            TunnelMode::Direct,
            TunnelDirection::Ingress
        )
    );
    let public = with(
        &full(),
        &json!({"tunnel_encryption_key": null, "tunnel_bind_secret": null, "tunnel_psk": null,
            "tls_cert_pem": null, "tls_key_pem": null}),
    );
    assert_eq!(serde_json::to_value(&tunnel).unwrap(), public);
    let shown = format!("{tunnel:?}");
    assert!(!shown.contains(KEY) && !shown.contains("BEGIN"), "{shown}");
}

#[test]
fn a_mode_demands_what_it_needs() {
    let relay = json!({"id": ID, "name": "T", "protocol": "udp", "mode": "relay",
        "direction": "egress", "local_addr": "0.0.0.0:9000", "relay_addr": "relay:4433",
        "tunnel_encryption_key": KEY});
    assert!(parse_tunnel(relay.clone()).unwrap().value.is_enabled());
    for (fields, expected) in [
        (
            json!({"tunnel_encryption_key": null}),
            "tunnel_encryption_key is required for relay mode",
        ),
        (
            json!({"relay_addr": null}),
            "relay_addr is required for relay mode",
        ),
        (
            json!({"mode": "direct"}),
            "peer_addr is required for direct mode with direction egress",
        ),
        (
            json!({"mode": "direct", "direction": "ingress", "local_addr": "192.0.2.1:1"}),
            "direct_listen_addr is required for direct mode with direction ingress",
        ),
        (
            json!({"direction": "ingress"}),
            "local_addr is \"0.0.0.0:9000\"; with direction ingress it is a destination, with an address other than \
             the unspecified one and a port other than 0",
        ),
    ] {
        assert_eq!(bare_error_of(with(&relay, &fields)), expected);
    }
}

#[test]
fn a_wrong_field_is_named() {
    for (fields, expected) in [
        (json!({"id": null}), "id is missing"),
        (json!({"id": "x"}), "id is \"x\", expected a UUID"),
        (json!({"name": null}), "name is missing"),
        (
            json!({"name": "n".repeat(257)}),
            "expected a string of 1 to 256 characters",
        ),
        (
            json!({"enabled": 1}),
            "enabled is 1, expected true or false",
        ),
        (json!({"protocol": null}), "protocol is missing"),
        (
            json!({"protocol": "sctp"}),
            "protocol is \"sctp\", expected \"tcp\" or \"udp\"",
        ),
        (
            json!({"mode": "p2p"}),
            "mode is \"p2p\", expected \"relay\" or \"direct\"",
        ),
        (
            json!({"direction": "both"}),
            "direction is \"both\", expected \"egress\" or \"ingress\"",
        ),
        (
            json!({"local_addr": "h:1"}),
            "local_addr is \"h:1\", expected \"address:port\"",
        ),
        (
            json!({"relay_addr": "relay"}),
            "relay_addr is \"relay\", expected \"host:port\"",
        ),
        (json!({"relay_addr": "relay:0"}), "expected \"host:port\""),
        (json!({"relay_addr": "a b:1"}), "expected \"host:port\""),
        (
            json!({"peer_addr": ":1"}),
            "peer_addr is \":1\", expected \"host:port\"",
        ),
        (
            json!({"direct_listen_addr": "h:1"}),
            "direct_listen_addr is \"h:1\", expected \"address:port\"",
        ),
        (
            json!({"tunnel_encryption_key": &KEY[1..]}),
            "tunnel_encryption_key has a value that is not shown, expected exactly 64 hex digits",
        ),
        (
            json!({"tunnel_bind_secret": 1}),
            "tunnel_bind_secret has a value that is not shown",
        ),
        (
            json!({"tunnel_psk": "hush"}),
            "tunnel_psk has a value that is not shown",
        ),
        (
            json!({"tls_cert_pem": "hush"}),
            "tls_cert_pem has a value that is not shown",
        ),
        (
            json!({"tls_key_pem": "hush"}),
            "tls_key_pem has a value that is not shown, expected a string in PEM format",
        ),
    ] {
        let message = bare_error_of(with(&full(), &fields));
        assert!(message.contains(expected), "{message}\n{expected}");
        assert!(!message.contains("hush"), "{message}");
    }
    let message = parse_app(
        with(&document(&json!([])), &json!({"tunnels": ["hush"]})),
        &default(),
    );
    assert_eq!(
        message.unwrap_err().to_string(),
        "tunnels[0] has a value that is not shown, expected an object"
    );
}
