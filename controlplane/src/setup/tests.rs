use proptest::prelude::*;
use serde_json::json;

use super::*;

const URL: &str = "wss://manager.example.com:8443/ws/node";

fn parse(document: Value) -> Result<Setup, SetupError> {
    Setup::parse(document)
}

fn refused(document: Value) -> String {
    parse(document).unwrap_err().to_string()
}

#[test]
fn the_body_of_the_reference_is_legal() {
    let setup = parse(json!({
        "listen_addr": "0.0.0.0", "listen_port": 8080, "manager_url": URL,
        "accept_self_signed_cert": false, "registration_token": "token-from-manager",
        "device_name": "Studio-A Encoder",
    }));
    let setup = setup.unwrap();
    assert_eq!(setup.listen_addr, "0.0.0.0".parse().ok());
    assert_eq!(setup.listen_port, Some(8080));
    assert_eq!(setup.manager_url, URL);
    assert_eq!(
        setup.registration_token.as_deref(),
        Some("token-from-manager")
    );
    assert_eq!(setup.device_name.as_deref(), Some("Studio-A Encoder"));
    assert!(!format!("{setup:?}").contains("token-from-manager"));
}

#[test]
fn all_but_the_url_may_be_left_out_or_null() {
    let bare = parse(json!({"manager_url": URL})).unwrap();
    let nulls = parse(json!({
        "manager_url": URL, "listen_addr": null, "listen_port": null, "registration_token": null,
        "device_name": null, "accept_self_signed_cert": null, "setup_enabled": true, "other": 1,
    }));
    assert_eq!(nulls.unwrap(), bare);
    assert_eq!(bare.listen_port, None);
    assert_eq!(
        parse(json!({"manager_url": URL, "registration_token": ""})).unwrap(),
        bare
    );
}

#[test]
fn what_is_not_legal_is_told() {
    let scheme = "Manager URL must start with wss:// (TLS required)";
    let with = |field: &str, value: Value| json!({"manager_url": URL, field: value});
    let long = |chars: usize| json!("ü".repeat(chars));
    for (document, error) in [
        (json!([]), "the request body is not a JSON object"),
        (json!({}), "Manager URL is required"),
        (json!({"manager_url": ""}), scheme),
        (json!({"manager_url": "ws://a/"}), scheme),
        (json!({"manager_url": " wss://a/"}), scheme),
        (json!({"manager_url": "https://a/"}), scheme),
        (json!({"manager_url": 5}), "manager_url is not a string"),
        (
            json!({"manager_url": "wss://"}),
            "Manager URL \"wss://\" has no host name, or one that is not valid",
        ),
        (
            json!({"manager_url": "wss://:80/"}),
            "Manager URL \"wss://:80/\" has no host name, or one that is not valid",
        ),
        (
            json!({"manager_url": format!("wss://{}", "a".repeat(2_043))}),
            "Manager URL has 2049 characters; 2048 are allowed",
        ),
        (
            with("listen_port", json!(0)),
            "Listen port 0 is not an integer from 1 to 65535",
        ),
        (
            with("listen_port", json!(65_536)),
            "Listen port 65536 is not an integer from 1 to 65535",
        ),
        (
            with("listen_port", json!("80")),
            "Listen port \"80\" is not an integer from 1 to 65535",
        ),
        (
            with("listen_addr", json!("localhost")),
            "Listen address \"localhost\" is not an IP address",
        ),
        (
            with("registration_token", long(4_097)),
            "Registration token has 4097 characters; 4096 are allowed",
        ),
        (
            with("device_name", long(257)),
            "Device name has 257 characters; 256 are allowed",
        ),
        (
            with("accept_self_signed_cert", json!("yes")),
            "accept_self_signed_cert is not true or false",
        ),
    ] {
        assert_eq!(refused(document.clone()), error, "{document}");
    }
    parse(with("registration_token", long(4_096))).unwrap();
    parse(with("device_name", long(256))).unwrap();
}

#[test]
fn a_long_wrong_value_is_cut() {
    let error = refused(json!({"manager_url": URL, "listen_addr": "ü".repeat(10_000)}));
    assert!(error.chars().count() < 200, "{error}");
}

proptest! {
    #[test]
    fn a_form_says_what_json_says(
        name in "\\PC{0,40}",
        token in "[ -~]{1,40}",
        port in 1..=u16::MAX,
    ) {
        let mut pairs = String::new();
        let port_text = port.to_string();
        let fields = [
            ("manager_url", URL),
            ("device_name", &name),
            ("registration_token", &token),
            ("listen_port", &port_text),
        ];
        for (field, value) in fields {
            pairs.push_str(&format!("{field}="));
            for byte in value.bytes() {
                match byte {
                    b' ' => pairs.push('+'),
                    b'a'..=b'z' => pairs.push(char::from(byte)),
                    _ => pairs.push_str(&format!("%{byte:02x}")),
                }
            }
            pairs.push('&');
        }
        let from_form = parse(form::document(pairs.as_bytes()));
        let from_json = parse(json!({
            "manager_url": URL, "device_name": name, "registration_token": token, "listen_port": port,
        }));
        prop_assert_eq!(from_form, from_json);
    }

    #[test]
    fn no_form_is_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(form::document(&bytes));
    }
}

#[test]
fn a_form_that_is_checked_says_true() {
    let document = form::document(b"accept_self_signed_cert=true&listen_port=x&listen_port=80");
    assert_eq!(
        document,
        json!({"accept_self_signed_cert": true, "listen_port": 80})
    );
    assert_eq!(
        form::document(b"listen_port=&device_name="),
        json!({"device_name": ""})
    );
    assert_eq!(form::document(b"a=%zz%4&%=1")["a"], "%zz%4");
}
