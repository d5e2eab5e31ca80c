use serde_json::{Value, json};

use super::super::{AuthConfig, Environment, Role, parse_app, parse_app_in};
use super::{app, default, document, with};

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

fn document_with(server: &Value) -> Value {
    let server = with(&json!({"listen_addr": "::", "listen_port": 1}), server);
    with(&document(&json!([])), &json!({"server": server}))
}

fn full() -> Value {
    json!({"enabled": true, "jwt_secret": JWT_SECRET, "token_lifetime_secs": 60,
        "public_metrics": false, "token_rate_limit_per_minute": 0, "clients": [
            {"client_id": "a", "client_secret": "s", "role": "admin"},
            {"client_id": "m", "client_secret": "s", "role": "monitor"}]})
}

fn auth(auth: &Value) -> AuthConfig {
    let parsed = app(document_with(&json!({"auth": auth})));
    assert!(parsed.unknown.paths().is_empty());
    parsed.value.server.auth.unwrap()
}

fn error_of(server: &Value) -> String {
    let error = parse_app(document_with(server), &default()).unwrap_err();
    error.to_string()
}

#[test]
fn every_field_arrives() {
    let auth = auth(&full());
    assert!(auth.enabled && !auth.public_metrics);
    assert_eq!(auth.jwt_secret.expose(), JWT_SECRET);
    assert_eq!(auth.token_lifetime_secs, 60);
    assert_eq!(auth.token_rate_limit_per_minute, 0);
    let clients: Vec<(&str, &str, Role)> = auth
        .clients
        .iter()
        .map(|client| {
            let secret = client.client_secret.expose();
            (client.client_id.as_str(), secret, client.role)
        })
        .collect();
    assert_eq!(
        clients,
        [("a", "s", Role::Admin), ("m", "s", Role::Monitor)]
    );
    assert_eq!(
        [Role::Admin, Role::Monitor].map(Role::as_str),
        ["admin", "monitor"]
    );
}

#[test]
fn what_is_left_out_has_a_default() {
    let off = auth(&json!({"enabled": false}));
    assert!(!off.enabled && off.public_metrics && off.clients.is_empty());
    assert_eq!(off.jwt_secret.expose(), "");
    assert_eq!(off.token_lifetime_secs, 3_600);
    assert_eq!(off.token_rate_limit_per_minute, 10);
    auth(&json!({"enabled": false, "jwt_secret": "", "clients": []}));
}

#[test]
fn a_wrong_field_is_named_and_no_secret_shown() {
    let with_client =
        |client: Value| with(&full(), &json!({"clients": [full()["clients"][0], client]}));
    let client = full()["clients"][1].clone();
    for (auth, expected) in [
        (
            json!("hush"),
            "auth has a value that is not shown, expected an object (at server.auth)",
        ),
        (json!({}), "enabled is missing (at server.auth.enabled)"),
        (
            json!({"enabled": "yes"}),
            "server, auth: enabled is \"yes\", expected true or false (at server.auth.enabled)",
        ),
        (
            with(&full(), &json!({"jwt_secret": null})),
            "server, auth: jwt_secret is missing (at server.auth.jwt_secret)",
        ),
        (
            with(&full(), &json!({"jwt_secret": "hush".repeat(7)})),
            "server, auth: jwt_secret has a value that is not shown, expected a string of 32 to 4096 characters \
             (at server.auth.jwt_secret)",
        ),
        (
            json!({"enabled": false, "jwt_secret": "hush"}),
            "jwt_secret has a value that is not shown",
        ),
        (
            with(&full(), &json!({"token_lifetime_secs": 0})),
            "token_lifetime_secs is 0, expected an integer from 1 to 31536000",
        ),
        (
            with(&full(), &json!({"token_lifetime_secs": 31_536_001})),
            "an integer from 1 to 31536000",
        ),
        (
            with(&full(), &json!({"public_metrics": 1})),
            "public_metrics is 1, expected true or false",
        ),
        (
            with(&full(), &json!({"token_rate_limit_per_minute": -1})),
            "token_rate_limit_per_minute is -1, expected an integer from 0 to 4294967295",
        ),
        (
            with(&full(), &json!({"clients": null})),
            "clients is missing (at server.auth.clients)",
        ),
        (
            with(&full(), &json!({"clients": []})),
            "clients is an empty list; with authentication enabled there is at least one client",
        ),
        (
            with_client(json!("hush")),
            "clients[1] has a value that is not shown, expected an object (at server.auth.clients[1])",
        ),
        (
            with_client(with(&client, &json!({"client_id": ""}))),
            "client_id is \"\", expected a string of 1 to 256 characters (at server.auth.clients[1].client_id)",
        ),
        (
            with_client(with(&client, &json!({"client_id": "a\nb"}))),
            "client_id is \"a\\nb\", expected a string without control characters",
        ),
        (
            with_client(with(&client, &json!({"client_id": "a"}))),
            "client_id is \"a\"; clients[0] has the same id (at server.auth.clients[1].client_id)",
        ),
        (
            with_client(with(&client, &json!({"client_secret": null}))),
            "client_secret is missing",
        ),
        (
            with_client(with(&client, &json!({"client_secret": ""}))),
            "client_secret has a value that is not shown, expected a string of 1 to 4096 characters",
        ),
        (
            with_client(with(&client, &json!({"client_secret": ["hush"]}))),
            "client_secret has a value that is not shown",
        ),
        (
            with_client(with(&client, &json!({"role": "root"}))),
            "role is \"root\", expected \"admin\" or \"monitor\" (at server.auth.clients[1].role)",
        ),
        (
            with_client(with(&client, &json!({"role": null}))),
            "role is missing",
        ),
    ] {
        let message = error_of(&json!({"auth": auth}));
        assert!(message.contains(expected), "{message}\n{expected}");
        assert!(!message.contains("hush"), "{message}");
    }
    for (tls, expected) in [
        (
            json!("x"),
            "tls has a value that is not shown, expected an object",
        ),
        (
            json!({"key_path": "k"}),
            "server, tls: cert_path is missing (at server.tls.cert_path)",
        ),
        (
            json!({"cert_path": "c"}),
            "server, tls: key_path is missing (at server.tls.key_path)",
        ),
        (
            json!({"cert_path": "", "key_path": "k"}),
            "cert_path is \"\", expected a string of 1 to 4096 characters",
        ),
    ] {
        let message = error_of(&json!({"tls": tls}));
        assert!(message.contains(expected), "{message}\n{expected}");
    }
}

#[test]
fn a_certificate_of_its_own_making_needs_the_environment() {
    let document = with(
        &document(&json!([])),
        &json!({"manager": {"accept_self_signed_cert": true}}),
    );
    let parse = |allow_insecure| {
        let environment = Environment { allow_insecure };
        parse_app_in(document.clone(), &default(), environment)
    };
    assert!(parse(true).is_ok());
    assert_eq!(
        parse(false).unwrap_err().to_string(),
        "manager: accept_self_signed_cert is true; it needs BILBYCAST_ALLOW_INSECURE=1 in the environment of this \
         process (at manager.accept_self_signed_cert)"
    );
}
