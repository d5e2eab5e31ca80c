//! Who gets to what (configuration.md 11.1 and 11.2).

use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, document, failure, flow, wait_until};
use crate::wire::{Answer, ask};

pub(crate) const ADMIN_SECRET: &str = "the-secret-of-the-admin-client";
pub(crate) const MONITOR_SECRET: &str = "the-secret-of-the-monitor-client";
pub(crate) const JWT_SECRET: &str = "a-key-of-the-tokens-of-more-than-thirty-two-characters";

/// The settings of most tests.
pub(crate) fn auth() -> Value {
    json!({
        "enabled": true,
        "jwt_secret": JWT_SECRET,
        "clients": [
            {"client_id": "admin-client", "client_secret": ADMIN_SECRET, "role": "admin"},
            {"client_id": "monitor-client", "client_secret": MONITOR_SECRET, "role": "monitor"},
        ],
    })
}

/// A folder with a configuration of one flow and these settings.
pub(crate) fn folder(auth: &Value) -> Folder {
    let folder = Folder::new();
    let mut document = document(&[flow("a", 5000)]);
    document["server"]["auth"] = auth.clone();
    folder.write_document(&document);
    folder
}

pub(crate) fn edge(auth: &Value) -> (ControlPlane, FakeDataPlane) {
    let folder = folder(auth);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    (edge, data_plane)
}

pub(crate) fn request_token(address: &str, client_id: &str, client_secret: &str) -> Answer {
    let body = json!({
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
    });
    let headers = ["Content-Type: application/json"];
    ask(address, "POST /oauth/token", &headers, &body.to_string())
}

pub(crate) fn token(address: &str, client_id: &str, client_secret: &str) -> String {
    let answer = request_token(address, client_id, client_secret);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn admin(edge: &ControlPlane) -> String {
    token(edge.address(), "admin-client", ADMIN_SECRET)
}

fn monitor(edge: &ControlPlane) -> String {
    token(edge.address(), "monitor-client", MONITOR_SECRET)
}

fn call(edge: &ControlPlane, line: &str, token: &str, body: &str) -> Answer {
    let header = format!("Authorization: Bearer {token}");
    ask(edge.address(), line, &[&header], body)
}

fn assert_unauthorized(answer: &Answer, error: &str, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {answer:?}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}");
    assert_eq!(answer.parts(), failure(401, error), "{what}");
}

/// Every route that is not public, with the role that it needs.
const ROUTES: [(&str, &str); 28] = [
    ("GET /api/v1/flows", "any"),
    ("GET /api/v1/flows/a", "any"),
    ("GET /api/v1/stats", "any"),
    ("GET /api/v1/stats/a", "any"),
    ("GET /api/v1/config", "any"),
    ("GET /api/v1/events", "any"),
    ("GET /api/v1/ws/stats", "any"),
    ("GET /api/v1/ws/events", "any"),
    ("GET /api/v1/tunnels", "any"),
    ("GET /api/v1/tunnels/x", "any"),
    ("HEAD /api/v1/flows", "any"),
    ("OPTIONS /api/v1/flows", "any"),
    ("POST /api/v1/flows", "admin"),
    ("PUT /api/v1/flows/a", "admin"),
    ("DELETE /api/v1/flows/none", "admin"),
    ("POST /api/v1/flows/a/start", "admin"),
    ("POST /api/v1/flows/a/stop", "admin"),
    ("POST /api/v1/flows/a/restart", "admin"),
    ("POST /api/v1/flows/a/outputs", "admin"),
    ("DELETE /api/v1/flows/a/outputs/none", "admin"),
    ("POST /api/v1/flows/a/whip", "admin"),
    ("DELETE /api/v1/flows/a/whep/1", "admin"),
    ("POST /api/v1/tunnels", "admin"),
    ("DELETE /api/v1/tunnels/x", "admin"),
    ("PUT /api/v1/config", "admin"),
    ("POST /api/v1/config/reload", "admin"),
    ("PATCH /api/v1/flows/a", "admin"),
    ("GET /nowhere", "admin"),
];

#[test]
fn every_route_asks_for_its_role() {
    let (edge, data_plane) = edge(&auth());
    let (admin, monitor) = (admin(&edge), monitor(&edge));
    data_plane.take_commands();
    for (line, role) in ROUTES {
        let answer = ask(edge.address(), line, &[], "");
        if line.starts_with("HEAD") {
            assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{line}");
        } else {
            assert_unauthorized(&answer, "missing Authorization header", line);
        }
        let answer = call(&edge, line, &monitor, "");
        if role == "admin" {
            let refused = failure(403, "admin role required");
            assert_eq!(answer.parts(), refused, "{line}");
            assert_eq!(answer.header("www-authenticate"), None, "{line}");
        } else {
            assert!(![401, 403].contains(&answer.status), "{line}: {answer:?}");
        }
    }
    assert!(data_plane.take_commands().is_empty(), "nothing got through");
    for (line, _) in ROUTES {
        let answer = call(&edge, line, &admin, "");
        assert!(![401, 403].contains(&answer.status), "{line}: {answer:?}");
    }
}

#[test]
fn public_routes_need_nothing() {
    let (edge, _data_plane) = edge(&auth());
    for line in [
        "GET /health",
        "HEAD /health",
        "GET /setup",
        "GET /setup/status",
        "GET /metrics",
    ] {
        for headers in [&[][..], &["Authorization: Bearer nonsense"]] {
            let answer = ask(edge.address(), line, headers, "");
            assert_eq!(answer.status, 200, "{line}: {answer:?}");
        }
    }
    let answer = ask(edge.address(), "GET /x-nmos/node/v1.3/self", &[], "");
    assert!(![401, 403].contains(&answer.status), "{answer:?}");
}

#[test]
fn nmos_asks_for_a_token_when_it_is_told_to() {
    let folder = Folder::new();
    let mut document = document(&[]);
    document["server"]["auth"] = auth();
    document["nmos"] = json!({"require_auth": true});
    folder.write_document(&document);
    let edge = ControlPlane::start(folder);
    let line = "GET /x-nmos/node/v1.3/self";
    let answer = ask(edge.address(), line, &[], "");
    let error =
        |code: u16, error: &str| (code, json!({"code": code, "error": error, "debug": null}));
    assert_eq!(answer.parts(), error(401, "missing Authorization header"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let answer = call(&edge, line, &monitor(&edge), "");
    assert!(![401, 403].contains(&answer.status), "{answer:?}");
    let line = "PATCH /x-nmos/connection/v1.1/single/senders/a/staged";
    let answer = call(&edge, line, &monitor(&edge), "{}");
    assert_eq!(answer.parts(), error(403, "admin role required"));
}

#[test]
fn protected_nmos_without_authentication_is_closed_to_everybody() {
    for auth in [Value::Null, json!({"enabled": false})] {
        let folder = Folder::new();
        let mut open = document(&[]);
        if auth.is_object() {
            let mut off = self::auth();
            off["enabled"] = json!(false);
            open["server"]["auth"] = off;
        }
        folder.write_document(&open);
        let edge = ControlPlane::start(folder);
        let status = |line: &str| {
            let answer = ask(edge.address(), line, &[], "{}");
            if answer.status == 401 {
                let error = answer.json()["error"].as_str().unwrap().to_owned();
                assert!(error.contains("nmos.require_auth"), "{error}");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            }
            answer.status
        };
        let told = || {
            let events = edge.get("/api/v1/events").1["data"]["events"].clone();
            let events = events.as_array().unwrap().clone();
            let closed = events.iter().filter(|event| {
                let message = event["message"].as_str().unwrap();
                event["category"] == "nmos" && message.starts_with("NMOS is closed to everybody")
            });
            closed.count()
        };
        assert_eq!(status("GET /x-nmos/node/v1.3/self"), 200);
        assert_eq!(told(), 0);
        let mut protected = open.clone();
        protected["nmos"] = json!({"require_auth": true});
        assert_eq!(edge.put("/api/v1/config", &protected).0, 200);
        for line in [
            "GET /x-nmos",
            "GET /x-nmos/node/v1.3/self",
            "GET /%78-nmos/node/v1.3/self",
            "POST /x-nmos/connection/v1.1/bulk/senders",
            "PATCH /x-nmos/connection/v1.1/single/senders/a/staged",
            "GET /x-nmos/nothing",
        ] {
            assert_eq!(status(line), 401, "{line}");
        }
        assert_eq!(status("OPTIONS /x-nmos/connection/v1.1/bulk/senders"), 200);
        // Everything else is as open as ever, and people are told once.
        assert_eq!(status("GET /api/v1/flows"), 200);
        wait_until("the event", || told() == 1);
        assert_eq!(edge.put("/api/v1/config", &open).0, 200);
        assert_eq!(status("GET /x-nmos/node/v1.3/self"), 200);
    }
}

#[test]
fn metrics_may_be_for_token_holders_only() {
    let mut settings = auth();
    settings["public_metrics"] = json!(false);
    let (edge, _data_plane) = edge(&settings);
    let answer = ask(edge.address(), "GET /metrics", &[], "");
    assert_unauthorized(&answer, "missing Authorization header", "/metrics");
    for token in [monitor(&edge), admin(&edge)] {
        assert_eq!(call(&edge, "GET /metrics", &token, "").status, 200);
    }
}

#[test]
fn each_cause_has_its_text() {
    let (edge, _data_plane) = edge(&auth());
    let good = admin(&edge);
    let mut other = auth();
    other["jwt_secret"] = json!("another-key-that-is-as-long-as-the-first-one-of-all");
    let other_folder = folder(&other);
    let other_edge = ControlPlane::start(other_folder);
    let foreign = admin(&other_edge);
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let (_, claims) = rest.split_once('.').unwrap();
    let reversed: String = signature.chars().rev().collect();
    // {"alg":"none","typ":"JWT"} and {"typ":"JWT","alg":"HS256"}.
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let swapped = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";
    let scheme = "invalid authorization scheme, expected Bearer";
    let parts = "malformed JWT: expected 3 parts";
    for (header, error) in [
        ("X: y".to_owned(), "missing Authorization header"),
        ("Authorization:".to_owned(), scheme),
        ("Authorization: Basic YTpi".to_owned(), scheme),
        (format!("Authorization: {good}"), scheme),
        (
            format!("Authorization: Bearer {good}\r\nAuthorization: Basic YTpi"),
            scheme,
        ),
        ("Authorization: Bearer".to_owned(), parts),
        ("Authorization: Bearer nonsense".to_owned(), parts),
        (format!("Authorization: Bearer {good}.x"), parts),
        (
            format!("Authorization: Bearer {none}.{claims}."),
            "invalid JWT header",
        ),
        (
            format!("Authorization: Bearer {swapped}.{claims}.{signature}"),
            "invalid JWT header",
        ),
        (
            format!("Authorization: Bearer {rest}.{reversed}"),
            "invalid JWT signature",
        ),
        (
            format!("Authorization: Bearer {rest}."),
            "invalid JWT signature",
        ),
        (
            format!("Authorization: Bearer {foreign}"),
            "invalid JWT signature",
        ),
        (
            format!("Authorization: Bearer {good}{}", "A".repeat(10_000)),
            "malformed JWT: longer than 4096 bytes",
        ),
    ] {
        for line in ["GET /api/v1/flows", "POST /api/v1/flows"] {
            let answer = ask(edge.address(), line, &[&header], "");
            assert_unauthorized(&answer, error, &header);
        }
    }
    let answer = ask(
        edge.address(),
        "GET /api/v1/flows",
        &[&format!("authorization:  bearer {good}")],
        "",
    );
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn tokens_expire() {
    let mut settings = auth();
    settings["token_lifetime_secs"] = json!(1);
    let (edge, _data_plane) = edge(&settings);
    let token = admin(&edge);
    let ask = || call(&edge, "GET /api/v1/flows", &token, "");
    wait_until("the token to expire", || ask().status != 200);
    assert_unauthorized(&ask(), "token expired", "an old token");
}

#[test]
fn a_token_survives_a_restart_with_the_same_key() {
    let (edge, _data_plane) = edge(&auth());
    let token = admin(&edge);
    let again = ControlPlane::start(folder(&auth()));
    assert_eq!(call(&again, "GET /api/v1/flows", &token, "").status, 200);
}

#[test]
fn new_settings_wait_for_the_next_start() {
    let (edge, _data_plane) = edge(&auth());
    let token = admin(&edge);
    let config = call(&edge, "GET /api/v1/config", &token, "").json();
    let mut config = config["data"].clone();
    assert_eq!(config["server"].get("auth"), None);
    config["server"]["auth"] = Value::Null;
    let answer = call(&edge, "PUT /api/v1/config", &token, &config.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = ask(edge.address(), "GET /api/v1/flows", &[], "");
    assert_unauthorized(&answer, "missing Authorization header", "still on");
}

#[test]
fn off_means_everyone_is_admin() {
    let mut disabled = auth();
    disabled["enabled"] = json!(false);
    for settings in [Value::Null, disabled] {
        let (edge, _data_plane) = edge(&settings);
        for headers in [&[][..], &["Authorization: Bearer nonsense"]] {
            let body = flow("b", 5002).to_string();
            let answer = ask(edge.address(), "POST /api/v1/flows", headers, &body);
            assert_eq!(answer.status, 200, "{answer:?}");
            let answer = ask(edge.address(), "DELETE /api/v1/flows/b", headers, "");
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(ask(edge.address(), "GET /nowhere", headers, "").status, 404);
        }
    }
}

#[test]
fn websockets_take_their_token_from_header_or_query() {
    let (edge, _data_plane) = edge(&auth());
    let token = monitor(&edge);
    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let connect = |path: &str, header: &str| {
        let mut headers = upgrade.to_vec();
        headers.push(header);
        ask(edge.address(), &format!("GET {path}"), &headers, "")
    };
    let authorization = format!("Authorization: Bearer {token}");
    for path in ["/api/v1/ws/stats", "/api/v1/ws/events"] {
        assert_eq!(connect(path, &authorization).status, 101, "{path}");
        let with_token = format!("{path}?token={token}");
        assert_eq!(connect(&with_token, "X: y").status, 101, "{path}");
        let encoded = with_token.replace('.', "%2E");
        assert_eq!(connect(&encoded, "X: y").status, 101, "{path}");
        let answer = connect(path, "X: y");
        assert_unauthorized(&answer, "missing Authorization header", path);
        let answer = connect(&format!("{path}?token=nonsense"), "X: y");
        assert_unauthorized(&answer, "malformed JWT: expected 3 parts", path);
        let answer = connect(&with_token, "Authorization: Basic YTpi");
        let scheme = "invalid authorization scheme, expected Bearer";
        assert_unauthorized(&answer, scheme, "the header counts");
    }
    let path = format!("GET /api/v1/flows?token={token}");
    let answer = ask(edge.address(), &path, &[], "");
    assert_unauthorized(&answer, "missing Authorization header", "no WebSocket");
}

#[test]
fn head_and_options_tell_about_a_path() {
    let (edge, _data_plane) = edge(&Value::Null);
    let get = ask(edge.address(), "GET /api/v1/flows", &[], "");
    let head = ask(edge.address(), "HEAD /api/v1/flows", &[], "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for name in ["content-length", "content-type"] {
        assert!(get.header(name).is_some());
        assert_eq!(get.header(name), head.header(name), "{name}");
    }
    let options = ask(edge.address(), "OPTIONS /api/v1/flows", &[], "");
    assert_eq!((options.status, options.body.as_str()), (204, ""));
    assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
    let options = ask(edge.address(), "OPTIONS /oauth/token", &[], "");
    assert_eq!(options.header("allow"), Some("OPTIONS, POST"));
}
