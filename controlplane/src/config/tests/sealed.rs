use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::super::{SecretsProblem, StoreError, parse_app};
use super::secrets::{Host, KEY, config};
use super::store::mode;
use super::{default, document, with};

#[test]
fn equal_secrets_are_never_encrypted_alike() {
    let (host, other) = (Host::new(), Host::new());
    host.save(&config());
    other.save(&config());
    let bytes = |host: &Host| fs::read(host.path("secrets.json")).unwrap();
    assert_ne!(bytes(&host)[10..], bytes(&other)[10..]);
}

#[test]
fn another_machine_cannot_read_them() {
    let host = Host::new();
    host.save(&config());
    host.become_machine("fedcba9876543210fedcba9876543210\n");
    let message = host.problem().to_string();
    let expected = format!(
        "it cannot be decrypted with the key of {}: it was copied here from another machine",
        host.machine_id().display()
    );
    assert!(message.starts_with(&expected), "{message}");
    for id in ["", "uninitialized\n", "00000000000000000000000000000000"] {
        host.become_machine(id);
        let problem = host.problem();
        assert!(
            matches!(problem, SecretsProblem::KeyUnavailable { .. }),
            "{problem}"
        );
    }
    fs::remove_file(host.machine_id()).unwrap();
    assert!(matches!(
        host.problem(),
        SecretsProblem::KeyUnavailable { .. }
    ));
    host.become_machine("0123456789ABCDEF0123456789abcdef");
    assert_eq!(host.store().load().unwrap().config, config());
}

#[test]
fn without_a_machine_identity_there_is_a_key_file() {
    let host = Host::new();
    host.become_machine("uninitialized\n");
    host.save(&config());
    let key = host.path(".secrets_key");
    assert_eq!(mode(&key), 0o600);
    let bytes = fs::read(&key).unwrap();
    assert_eq!(bytes.len(), 65);
    // The machine gets its identity; the key file stays in use.
    host.become_machine("0123456789abcdef0123456789abcdef\n");
    assert_eq!(host.store().load().unwrap().config, config());
    host.save(&default());
    host.save(&config());
    assert_eq!(fs::read(&key).unwrap(), bytes);

    let copy = Host::new();
    copy.become_machine("fedcba9876543210fedcba9876543210\n");
    for name in ["config.json", "secrets.json"] {
        fs::copy(host.path(name), copy.path(name)).unwrap();
    }
    let message = copy.problem().to_string();
    assert!(
        message.contains(".secrets_key, which cannot be used: No such file"),
        "{message}"
    );
    fs::copy(&key, copy.path(".secrets_key")).unwrap();
    assert_eq!(copy.store().load().unwrap().config, config());
    fs::write(copy.path(".secrets_key"), KEY).unwrap();
    assert!(matches!(
        copy.problem(),
        SecretsProblem::Undecryptable { .. }
    ));
    fs::write(copy.path(".secrets_key"), "short").unwrap();
    assert!(matches!(
        copy.problem(),
        SecretsProblem::KeyUnavailable { .. }
    ));
}

#[test]
fn a_bad_key_file_is_not_replaced() {
    let host = Host::new();
    fs::write(host.path(".secrets_key"), "short").unwrap();
    let message = host.store().prepare(&config()).unwrap_err().to_string();
    assert_eq!(
        message,
        format!(
            "key file {}: cannot encrypt with it: it does not hold 64 hex digits",
            host.path(".secrets_key").display()
        )
    );
    assert_eq!(host.names(), [".secrets_key"]);
}

#[test]
fn every_changed_byte_is_noticed() {
    let host = Host::new();
    host.write("config.json", &default().to_public());
    let mut small = default();
    small.manager = parse_app(
        with(
            &document(&json!([])),
            &json!({"manager": {"node_secret": "s"}}),
        ),
        &default(),
    )
    .unwrap()
    .value
    .manager;
    host.save(&small);
    let good = fs::read(host.path("secrets.json")).unwrap();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(host.path("secrets.json"), &bytes).unwrap();
        let error = host.store().load().unwrap_err();
        assert!(matches!(error, StoreError::Secrets { .. }), "{at}: {error}");
        fs::write(host.path("secrets.json"), &good[..at]).unwrap();
        let error = host.store().load().unwrap_err();
        assert!(matches!(error, StoreError::Secrets { .. }), "{at}: {error}");
    }
    fs::write(host.path("secrets.json"), &good).unwrap();
    assert_eq!(host.store().load().unwrap().config, small);
}

#[test]
fn a_bad_file_of_secrets_is_a_clear_error() {
    let host = Host::new();
    host.write("config.json", &config().to_public());
    for (content, expected) in [
        (&b""[..], "cannot read it: it is empty"),
        (b"hush", "neither encrypted secrets nor a JSON object"),
        (b"[\"hush\"]", "neither encrypted secrets nor a JSON object"),
        (b"BCSECRET", "it is cut off"),
        (b"BCSECRET\x01\x00", "it is cut off"),
        (
            b"BCSECRET\x02",
            "has version 2, and this program knows version 1",
        ),
        (b"{\"version\": 2}", "version is not 1, the only version"),
        (
            b"{\"server_auth\": \"hush\"}",
            "server_auth is not an object",
        ),
        (
            b"{\"server_tls\": [\"hush\"]}",
            "server_tls is not an object",
        ),
        (
            b"{\"manager_node_secret\": 1}",
            "manager_node_secret is not a string",
        ),
        (
            b"{\"manager_registration_token\": {}}",
            "manager_registration_token is not a string",
        ),
        (
            b"{\"tunnels\": {\"x\": \"hush\"}}",
            "tunnels is not an object of objects",
        ),
        (
            b"{\"replaced\": {}}",
            "replaced is not an object beside a text config_sha256",
        ),
    ] {
        fs::write(host.path("secrets.json"), content).unwrap();
        let message = host.problem().to_string();
        assert!(message.contains(expected), "{message}\n{expected}");
        assert!(!message.contains("hush"), "{message}");
    }
    fs::remove_file(host.path("secrets.json")).unwrap();
    fs::create_dir(host.path("secrets.json")).unwrap();
    assert!(matches!(
        host.store().load(),
        Err(StoreError::Secrets { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_of_secrets_causes_a_panic(
        begin in prop::sample::select(vec!["", "BCSECRET", "BCSECRET\u{1}\0", "BCSECRET\u{1}\u{1}", "{\"tunnels\":"]),
        rest in vec(any::<u8>(), 0..120),
    ) {
        let host = Host::new();
        host.write("config.json", &default().to_public());
        let bytes = [begin.as_bytes(), &rest].concat();
        fs::write(host.path("secrets.json"), &bytes).unwrap();
        // Almost never JSON, and never what this machine has encrypted.
        if let Err(error) = host.store().load() {
            prop_assert!(error.to_string().len() < 1_000);
            prop_assert!(host.store().prepare(&config()).is_err());
        }
        prop_assert_eq!(fs::read(host.path("secrets.json")).unwrap(), bytes);
    }
}
