//! `POST /oauth/token`.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::auth::{ADMIN_SECRET, MONITOR_SECRET, auth, edge, request_token};
use crate::harness::failure;
use crate::wire::{Answer, ask, ask_over};

const JSON: &str = "Content-Type: application/json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

fn ask_token(address: &str, content_type: &str, body: &str) -> Answer {
    ask(address, "POST /oauth/token", &[content_type], body)
}

/// As [`ask_token`], from another address of this machine.
fn ask_token_from(source: &str, address: &str, body: &str) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::new(source.parse().unwrap(), 0))
            .unwrap();
        let stream = socket.connect(address.parse().unwrap()).await.unwrap();
        stream.into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    ask_over(stream, "POST /oauth/token", &[FORM], body)
}

#[test]
fn a_token_is_answered_as_the_reference_has_it() {
    let mut settings = auth();
    settings["token_lifetime_secs"] = json!(1_234);
    let (edge, _data_plane) = edge(&settings);
    for (client_id, secret, role) in [
        ("admin-client", ADMIN_SECRET, "admin"),
        ("monitor-client", MONITOR_SECRET, "monitor"),
    ] {
        let json = json!({
            "grant_type": "client_credentials", "client_id": client_id, "client_secret": secret,
        });
        let json = json.to_string();
        let form =
            format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}");
        for (content_type, body) in [
            (JSON, &json),
            ("Content-Type: application/json; charset=utf-8", &json),
            (FORM, &form),
            (FORM, &json),
            ("X: y", &json),
            ("X: y", &form),
        ] {
            let answer = ask_token(edge.address(), content_type, body);
            assert_eq!(answer.status, 200, "{content_type} {body}: {answer:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let mut body = answer.json();
            let token = body["access_token"].take();
            assert_eq!(
                body,
                json!({
                    "access_token": null,
                    "token_type": "bearer",
                    "expires_in": 1_234,
                    "role": role,
                })
            );
            let token = token.as_str().unwrap();
            assert!(
                token.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."),
                "{token}"
            );
            let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
            assert_eq!(claims["sub"], client_id);
            assert_eq!(claims["role"], role);
            assert_eq!(claims["iss"], "bilbycast-edge");
            let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
            assert_eq!(lifetime, 1_234);
            assert_eq!(claims.as_object().unwrap().len(), 5);
        }
    }
}

#[test]
fn each_failure_has_its_text() {
    let mut settings = auth();
    settings["token_rate_limit_per_minute"] = json!(0);
    let (edge, _data_plane) = edge(&settings);
    let credentials = "client_id=admin-client&client_secret=the-secret-of-the-admin-client";
    let invalid = "invalid credentials";
    let unsupported = "unsupported grant_type, expected client_credentials";
    for (content_type, body, error) in [
        (
            FORM,
            format!("grant_type=password&{credentials}"),
            unsupported,
        ),
        (FORM, format!("grant_type=&{credentials}"), unsupported),
        (FORM, credentials.to_owned(), "grant_type is missing"),
        (
            FORM,
            "grant_type=client_credentials".to_owned(),
            "client_id is missing",
        ),
        (
            FORM,
            "grant_type=client_credentials&client_id=x&client_secret=y".to_owned(),
            invalid,
        ),
        (
            FORM,
            "grant_type=client_credentials&client_id=admin-client&client_secret=y".to_owned(),
            invalid,
        ),
        (
            FORM,
            format!(
                "grant_type=client_credentials&client_id=admin-client&client_secret={MONITOR_SECRET}"
            ),
            invalid,
        ),
        (FORM, String::new(), "grant_type is missing"),
        (JSON, String::new(), "the request body is not a JSON object"),
        (
            JSON,
            "[1]".to_owned(),
            "the request body is not a JSON object",
        ),
        (
            JSON,
            "{\"grant_type\":".to_owned(),
            "the request body is not valid JSON: EOF while parsing a value at line 1 column 14",
        ),
        (
            JSON,
            json!({"grant_type": "client_credentials", "client_id": "x", "client_secret": 4711})
                .to_string(),
            "client_secret is not a string",
        ),
    ] {
        let answer = ask_token(edge.address(), content_type, &body);
        assert_eq!(answer.parts(), failure(400, error), "{body}");
    }
    let answer = ask_token(edge.address(), FORM, &"a".repeat(100_000));
    let error = "the request body exceeds the limit of 65536 bytes";
    assert_eq!(answer.parts(), failure(413, error));
    let answer = ask(edge.address(), "GET /oauth/token", &[], "");
    assert_eq!(answer.header("allow"), Some("OPTIONS, POST"));
    assert_eq!(
        answer.parts(),
        failure(405, "Method GET is not allowed here")
    );
}

#[test]
fn without_auth_there_are_no_tokens() {
    let (edge, _data_plane) = edge(&Value::Null);
    let answer = request_token(edge.address(), "admin-client", ADMIN_SECRET);
    assert_eq!(answer.parts(), failure(400, "auth is not enabled"));
}

#[test]
fn an_address_that_fails_too_often_is_refused_for_a_minute() {
    let (edge, _data_plane) = edge(&auth());
    let right = format!(
        "grant_type=client_credentials&client_id=admin-client&client_secret={ADMIN_SECRET}"
    );
    let wrong = "grant_type=client_credentials&client_id=admin-client&client_secret=x";
    // Ten is the default.
    for index in 0..10 {
        assert_eq!(ask_token(edge.address(), FORM, &right).status, 200);
        let forwarded =
            format!("{FORM}\r\nX-Forwarded-For: 192.0.2.{index}\r\nForwarded: for=192.0.2.{index}");
        let answer = ask_token(edge.address(), &forwarded, wrong);
        assert_eq!(answer.parts(), failure(400, "invalid credentials"));
    }
    for body in [wrong, &right, ""] {
        let answer = ask_token(edge.address(), FORM, body);
        let error = "too many failed token requests; try again in 60 s";
        assert_eq!(answer.parts(), failure(429, error));
        assert_eq!(answer.header("retry-after"), Some("60"));
    }
    assert_eq!(
        ask_token_from("127.0.0.2", edge.address(), &right).status,
        200
    );
}

#[test]
fn many_guesses_at_once_get_no_more_tries() {
    let (edge, _data_plane) = edge(&auth());
    let address = edge.address();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| request_token(address, "admin-client", "x").status))
            .collect();
        guesses
            .into_iter()
            .map(|guess| guess.join().unwrap())
            .collect()
    });
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(400), count(429)), (10, 30), "{statuses:?}");
}
