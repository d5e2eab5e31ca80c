use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{AppConfig, ServerConfig, TlsConfig, parse_app};
use super::{NODE_ID, app, default, document, full_flow, with};

const TUNNEL_ID: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF";

fn error_of(document: Value) -> String {
    parse_app(document, &default()).unwrap_err().to_string()
}

fn bare() -> Value {
    document(&json!([]))
}

fn tunnel() -> Value {
    json!({"id": TUNNEL_ID, "name": "T", "protocol": "udp", "mode": "relay", "direction": "egress",
        "local_addr": "0.0.0.0:9000", "relay_addr": "relay.example.com:4433",
        "tunnel_encryption_key": KEY, "tunnel_bind_secret": KEY})
}

/// Every section, every secret.
fn full() -> Value {
    let fingerprint = ["ab"; 32].join(":");
    with(
        &document(&json!([full_flow()])),
        &json!({
            "node_id": "11111111-2222-4333-8444-555555555555",
            "device_name": "Studio A", "setup_enabled": true,
            "server": {"listen_addr": "::", "listen_port": 1,
                "tls": {"cert_path": "c.pem", "key_path": "k.pem"},
                "auth": {"enabled": true, "jwt_secret": KEY, "clients": [
                    {"client_id": "c", "client_secret": "hush", "role": "admin"}]}},
            "monitor": {"listen_addr": "127.0.0.1", "listen_port": 9090},
            "manager": {"enabled": true, "url": "wss://m/ws/node", "node_id": "n",
                "accept_self_signed_cert": false, "cert_fingerprint": fingerprint,
                "registration_token": "r", "node_secret": "s"},
            "nmos": {"enabled": true, "interfaces": ["eth0"], "host": "h", "rtp_payload_type": 96,
                "require_auth": false, "registration": {"mode": "static", "domain": "d",
                    "dns_server": "192.0.2.1:53", "url": "http://r:80"}},
            "tunnels": [tunnel()],
        }),
    )
}

/// As [`full`], without what never leaves the node.
fn public() -> Value {
    with(
        &full(),
        &json!({
            "server": {"listen_addr": "::", "listen_port": 1},
            "manager": with(&full()["manager"], &json!({"registration_token": null, "node_secret": null})),
            "tunnels": [with(&tunnel(), &json!({"tunnel_encryption_key": null, "tunnel_bind_secret": null}))],
        }),
    )
}

#[test]
fn what_was_written_comes_back() {
    let parsed = app(full());
    assert!(parsed.unknown.paths().is_empty());
    assert_eq!(serde_json::to_value(&parsed.value).unwrap(), public());
    let ServerConfig { tls, auth, .. } = parsed.value.server;
    let expected = TlsConfig {
        cert_path: "c.pem".to_owned(),
        key_path: "k.pem".to_owned(),
    };
    assert_eq!(tls, Some(expected));
    assert_eq!(auth.unwrap().clients[0].client_secret.expose(), "hush");
    let manager = parsed.value.manager.unwrap();
    assert_eq!(manager.registration_token.unwrap().expose(), "r");
    assert_eq!(manager.node_secret.unwrap().expose(), "s");
    let keys = &parsed.value.tunnels[0].secrets;
    for secret in [&keys.tunnel_encryption_key, &keys.tunnel_bind_secret] {
        assert_eq!(secret.as_ref().unwrap().expose(), KEY);
    }
}

#[test]
fn the_default_is_the_bare_document() {
    assert_eq!(app(bare()).value, default());
    assert_eq!(
        default().to_public(),
        with(&bare(), &json!({"node_id": NODE_ID.to_string()}))
    );
    assert!(default().not_acted_on().is_empty());
}

#[test]
fn a_wrong_field_is_named() {
    for (fields, expected) in [
        (json!({"version": null}), "version is missing"),
        (
            json!({"version": 2}),
            "version is 2, expected an integer from 1 to 1",
        ),
        (json!({"node_id": "x"}), "node_id is \"x\", expected a UUID"),
        (
            json!({"device_name": "x".repeat(257)}),
            "expected a string of 0 to 256 characters",
        ),
        (
            json!({"setup_enabled": 0}),
            "setup_enabled is 0, expected true or false",
        ),
        (json!({"server": null}), "server is missing"),
        (
            json!({"server": {}}),
            "server: listen_addr is missing (at server.listen_addr)",
        ),
        (
            json!({"server": {"listen_addr": "::", "listen_port": 0}}),
            "server: listen_port is 0, expected an integer from 1 to 65535 (at server.listen_port)",
        ),
        (
            json!({"server": {"listen_addr": "here", "listen_port": 1}}),
            "expected an IP address",
        ),
        (
            json!({"monitor": {"listen_addr": "::", "listen_port": 65536}}),
            "monitor.listen_port",
        ),
        (json!({"flows": {}}), "flows is an object, expected a list"),
        (json!({"flows": [1]}), "flows[0] is 1, expected an object"),
        (
            json!({"manager": {"enabled": true}}),
            "manager: url is missing",
        ),
        (
            json!({"manager": {"url": "ws://m"}}),
            "expected a URL that begins with wss://",
        ),
        (
            json!({"manager": {"cert_fingerprint": "ab:cd"}}),
            "32 pairs of hex digits",
        ),
        (
            json!({"nmos": {"rtp_payload_type": 128}}),
            "nmos: rtp_payload_type is 128",
        ),
        (
            json!({"nmos": {"registration": {"mode": "dns"}}}),
            "\"mdns\", \"unicast\", \"static\" or \"off\"",
        ),
        (
            json!({"nmos": {"registration": {"mode": "static"}}}),
            "url is required for mode static",
        ),
        (
            json!({"nmos": {"registration": {"url": "ftp://r"}}}),
            "http:// or https://",
        ),
        (
            json!({"nmos": {"registration": {"url": "http://u:p@h:0"}}}),
            "url is \"http://..@h:0\", expected a URL with a host",
        ),
        (
            json!({"nmos": {"registration": {"domain": "a..b"}}}),
            "nmos, registration: domain is \"a..b\", expected a DNS domain",
        ),
        (
            json!({"nmos": {"registration": {"dns_server": "192.0.2.1"}}}),
            "dns_server is \"192.0.2.1\", expected \"address:port\"",
        ),
        (
            json!({"nmos": {"registration": {"dns_server": "192.0.2.1:0"}}}),
            "a DNS server has a unicast address and a port other than 0",
        ),
        (
            json!({"nmos": {"host": "http://h"}}),
            "host is \"http://h\", expected a DNS name or an IP address",
        ),
        (
            json!({"nmos": {"enabled": 1, "require_auth": 1}}),
            "nmos: enabled is 1, expected true or false",
        ),
        (
            json!({"nmos": {"require_auth": 1}}),
            "nmos: require_auth is 1, expected true or false",
        ),
        (
            json!({"manager": "hush"}),
            "manager has a value that is not shown, expected an object",
        ),
        (
            json!({"manager": {"url": format!("wss://{}", "m".repeat(2_048))}}),
            "expected a URL of at most 2048 characters",
        ),
        (
            json!({"manager": {"url": "wss://"}}),
            "url is \"wss://\", expected a URL with a host",
        ),
        (
            json!({"manager": {"node_id": ""}}),
            "manager: node_id is \"\", expected a string of 1 to 256 characters",
        ),
        (
            json!({"nmos": {"interfaces": ["eth0", ""]}}),
            "interfaces[1] is \"\"",
        ),
        (
            json!({"tunnels": [{"id": "x"}]}),
            "id is \"x\", expected a UUID (at tunnels[0].id)",
        ),
        (
            json!({"tunnels": [tunnel(), tunnel()]}),
            "tunnels[0] has the same id (at tunnels[1].id)",
        ),
        (
            json!({"tunnels": [with(&tunnel(), &json!({"tunnel_encryption_key": null}))]}),
            "tunnel_encryption_key is required for relay mode",
        ),
        (
            json!({"tunnels": [with(&tunnel(), &json!({"relay_addr": "relay"}))]}),
            "relay_addr is \"relay\", expected \"host:port\"",
        ),
        (
            json!({"tunnels": [with(&tunnel(), &json!({"mode": "direct"}))]}),
            "peer_addr is required for direct mode with direction egress",
        ),
        (
            json!({"tunnels": [with(&tunnel(), &json!({"mode": "direct", "direction": "ingress",
                "local_addr": "192.0.2.1:1"}))]}),
            "direct_listen_addr is required for direct mode with direction ingress",
        ),
    ] {
        let message = error_of(with(&bare(), &fields));
        assert!(message.contains(expected), "{message}\n{expected}");
    }
    for rubbish in [json!(null), json!([]), json!("x"), json!(1)] {
        assert!(error_of(rubbish).contains("expected an object"));
    }
}

#[test]
fn a_secret_is_in_no_message() {
    for fields in [
        json!({"tunnels": [with(&tunnel(), &json!({"tunnel_psk": "hidden"}))]}),
        json!({"tunnels": [with(&tunnel(), &json!({"tls_key_pem": "hidden"}))]}),
        json!({"manager": {"registration_token": ["hidden"]}}),
        json!({"manager": {"node_secret": "hidden".repeat(1_000)}}),
    ] {
        let message = error_of(with(&bare(), &fields));
        assert!(message.contains("a value that is not shown"), "{message}");
        assert!(!message.contains("hidden"), "{message}");
    }
    let shown = format!("{:?}", app(full()).value);
    assert!(!shown.contains(KEY) && !shown.contains("hush"), "{shown}");
}

#[test]
fn the_public_form_has_no_infrastructure_secret() {
    assert_eq!(app(full()).value.to_public(), public());
}

#[test]
fn the_public_form_can_be_sent_back() {
    let current = app(full()).value;
    let parsed = parse_app(current.to_public(), &current).unwrap();
    assert_eq!(parsed.value, current);
    assert!(parsed.unknown.paths().is_empty());
}

#[test]
fn absence_keeps_and_null_removes() {
    let current = app(full()).value;
    let put = |document: Value| parse_app(document, &current).unwrap().value;
    let kept = put(bare());
    assert_eq!(kept.node_id, current.node_id);
    assert_eq!(kept.server.auth, current.server.auth);
    assert_eq!(kept.server.tls, current.server.tls);
    let manager = kept.manager.unwrap();
    assert_eq!(manager.url, None);
    assert_eq!(manager.node_secret.unwrap().expose(), "s");
    assert!(kept.tunnels.is_empty() && kept.monitor.is_none() && kept.nmos.is_none());

    let mut document = current.to_public();
    document["server"]["auth"] = Value::Null;
    document["server"]["tls"] = Value::Null;
    document["manager"]["node_secret"] = Value::Null;
    document["tunnels"][0]["tunnel_bind_secret"] = Value::Null;
    document["node_id"] = Value::Null;
    let removed = put(document);
    assert!(removed.server.auth.is_none() && removed.server.tls.is_none());
    let manager = removed.manager.unwrap();
    assert_eq!(manager.node_secret, None);
    assert_eq!(manager.registration_token.unwrap().expose(), "r");
    let keys = &removed.tunnels[0].secrets;
    assert_eq!(keys.tunnel_bind_secret, None);
    assert_eq!(
        keys.tunnel_encryption_key,
        current.tunnels[0].secrets.tunnel_encryption_key
    );
    assert_eq!(removed.node_id, current.node_id);

    let mut document = bare();
    document["manager"] = Value::Null;
    assert!(put(document).manager.is_none());
}

#[test]
fn a_key_does_not_pass_to_another_tunnel() {
    let current = app(full()).value;
    let mut document = current.to_public();
    document["tunnels"][0]["id"] = json!(Uuid::nil().to_string());
    let message = parse_app(document, &current).unwrap_err().to_string();
    assert!(
        message.contains("tunnel_encryption_key is required for relay mode"),
        "{message}"
    );
}

#[test]
fn unknown_fields_are_named_and_dropped() {
    let mut document = full();
    for section in ["server", "monitor", "manager", "nmos"] {
        document[section]["x"] = json!(1);
    }
    for path in [
        "/server/auth",
        "/server/tls",
        "/nmos/registration",
        "/tunnels/0",
    ] {
        document.pointer_mut(path).unwrap()["y"] = json!(1);
    }
    document["resource_limits"] = json!({});
    let parsed = app(document);
    let mut paths = parsed.unknown.paths().to_vec();
    paths.sort();
    assert_eq!(
        paths,
        [
            "manager.x",
            "monitor.x",
            "nmos.registration.y",
            "nmos.x",
            "resource_limits",
            "server.auth.y",
            "server.tls.y",
            "server.x",
            "tunnels[0].y",
        ]
    );
    assert_eq!(serde_json::to_value(&parsed.value).unwrap(), public());
}

#[test]
fn a_hostile_number_of_unknown_fields_is_counted_and_not_kept() {
    let mut document = bare();
    for index in 0..100_000 {
        document[format!("x{index}")] = json!(1);
    }
    assert_eq!(app(document).unknown.paths().len(), 64);
}

#[test]
fn what_has_no_effect_is_told() {
    let told = |fields: Value| app(with(&full(), &fields)).value.not_acted_on();
    assert_eq!(told(json!({})), ["manager", "tunnels"]);
    let quiet = json!({
        "setup_enabled": false, "manager": {"url": "wss://m"},
        "server": {"listen_addr": "::", "listen_port": 1, "auth": {"enabled": false}},
        "nmos": {"rtp_payload_type": 96},
        "tunnels": [with(&tunnel(), &json!({"enabled": false}))],
    });
    assert_eq!(told(quiet), Vec::<&str>::new());
}

#[test]
fn the_payload_type_of_wrapped_streams_has_a_default() {
    assert_eq!(default().wrap_payload_type(), 33);
    assert_eq!(app(full()).value.wrap_payload_type(), 96);
}

#[test]
fn a_flow_is_found_by_its_id() {
    let config: AppConfig = app(full()).value;
    assert_eq!(config.flow("main").unwrap().output("b").unwrap().name, "B");
    assert!(config.flow("other").is_none());
}
