//! What all NMOS APIs have in common over HTTP (nmos.md 2).

use serde_json::json;

use uuid::Uuid;

use super::{API, KINDS, assert_valid, edge, edge_of, get, list, rtp_flow};
use crate::auth;
use crate::harness::document;
use crate::wire::{Answer, ask};

#[test]
fn lists_have_what_is_below_with_and_without_a_slash() {
    let (edge, _data_plane) = edge(&[rtp_flow("a", 5_000)]);
    for (path, names) in [
        ("/x-nmos", json!(["node/", "connection/"])),
        ("/x-nmos/node", json!(["v1.3/"])),
        (
            API,
            json!([
                "self/",
                "sources/",
                "flows/",
                "devices/",
                "senders/",
                "receivers/"
            ]),
        ),
    ] {
        assert_eq!(edge.get(path), (200, names.clone()), "{path}");
        assert_eq!(
            edge.get(&format!("{path}/")),
            (200, names.clone()),
            "{path}/"
        );
        if path == API {
            assert_valid("nodeapi-base", &names);
        }
    }
    let mut paths = vec!["self".to_owned()];
    for kind in KINDS {
        let id = list(&edge, kind)[0]["id"].as_str().unwrap().to_owned();
        paths.extend([kind.to_owned(), format!("{kind}/{id}")]);
    }
    for path in paths {
        let bare = get(&edge, &format!("/{path}"));
        assert_eq!(get(&edge, &format!("/{path}/")), bare, "{path}");
        let head = ask(edge.address(), &format!("HEAD {API}/{path}"), &[], "");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
    }
}

/// What every answer of NMOS must have.
fn assert_dressed(answer: &Answer) {
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("*"),
        "{answer:?}"
    );
    if answer.status >= 400 {
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let body = answer.json();
        let fields: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["code", "debug", "error"]);
        assert_eq!(body["code"], answer.status, "{answer:?}");
        assert!(body["error"].is_string());
        assert!(body["debug"].is_null() || body["debug"].is_string());
    }
}

#[test]
fn every_answer_may_be_read_by_any_page_and_every_error_has_the_form_of_nmos() {
    let (edge, _data_plane) = edge(&[rtp_flow("a", 5_000)]);
    let sender = list(&edge, "senders")[0]["id"].as_str().unwrap().to_owned();
    let unknown = "6d5a4c3b-0000-4000-8000-00000000ffff";
    for (line, status) in [
        ("GET /x-nmos".to_owned(), 200),
        (format!("GET {API}/self"), 200),
        (format!("GET {API}/senders/{sender}/"), 200),
        (format!("GET {API}/senders/{unknown}"), 404),
        (format!("GET {API}/receivers/{sender}"), 404),
        (format!("GET {API}/senders/{}", sender.to_uppercase()), 404),
        (format!("GET {API}/senders/x"), 404),
        (format!("GET {API}/senders//"), 404),
        (format!("GET {API}/nothing"), 404),
        ("GET /x-nmos/node/v1.2/self".to_owned(), 404),
        ("GET /x-nmos/nothing/".to_owned(), 404),
        (format!("POST {API}/self"), 405),
        (format!("DELETE {API}/senders/{sender}"), 405),
        (format!("PUT {API}"), 405),
        (format!("GET {API}/receivers/{sender}/target"), 405),
        (format!("PUT {API}/receivers/{unknown}/target"), 404),
    ] {
        for origin in ["Origin: null", "Origin: http://example.com"] {
            let answer = ask(edge.address(), &line, &[origin], "");
            assert_eq!(answer.status, status, "{line}: {answer:?}");
            assert_dressed(&answer);
            if status >= 400 {
                assert_valid("error", &answer.json());
            } else {
                let kind = answer.header("content-type");
                assert_eq!(kind, Some("application/json"), "{line}");
            }
        }
    }
    let answer = ask(edge.address(), &format!("PUT {API}/self"), &[], "");
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(
        answer.json()["error"],
        "Method PUT is not allowed here",
        "{answer:?}"
    );
    // Other paths are none of NMOS' business.
    for path in ["/health", "/x-nmosx"] {
        let answer = ask(edge.address(), &format!("GET {path}"), &[], "");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn options_tells_a_browser_what_it_may_send() {
    let (edge, _data_plane) = edge(&[rtp_flow("a", 5_000)]);
    let receiver = list(&edge, "receivers")[0]["id"].clone();
    let target = format!("{API}/receivers/{}/target", receiver.as_str().unwrap());
    for (path, methods) in [
        (target.as_str(), "GET, OPTIONS, PUT"),
        (API, "GET, HEAD, OPTIONS"),
        ("/x-nmos/node/v1.3/receivers/", "GET, HEAD, OPTIONS"),
    ] {
        let headers = [
            "Origin: http://example.com",
            "Access-Control-Request-Method: PUT",
            "Access-Control-Request-Headers: content-type",
        ];
        for headers in [&headers[..], &[]] {
            let answer = ask(edge.address(), &format!("OPTIONS {path}"), headers, "");
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            assert_dressed(&answer);
            let allowed = answer.header("access-control-allow-methods");
            assert_eq!(allowed, Some(methods), "{path}");
            let headers = answer.header("access-control-allow-headers").unwrap();
            assert!(headers.split(", ").any(|name| name == "Content-Type"));
        }
    }
}

#[test]
fn nmos_that_is_switched_off_is_not_there() {
    let mut document = document(&[rtp_flow("a", 5_000)]);
    document["nmos"] = json!({"enabled": false});
    let (edge, _data_plane) = edge_of(&document);
    for path in ["/x-nmos", "/x-nmos/node/v1.3/self", "/x-nmos/nothing"] {
        let answer = ask(edge.address(), &format!("GET {path}"), &[], "");
        assert_eq!(answer.status, 404, "{answer:?}");
        assert_dressed(&answer);
    }
    // Written in another way it is not there either.
    assert_eq!(edge.get("/%78-nmos/node/v1.3/self").0, 404);
    document["nmos"] = json!({"host": "edge.example.com"});
    assert_eq!(edge.put("/api/v1/config", &document).0, 200);
    let node = get(&edge, "/self");
    assert_eq!(node["api"]["endpoints"].as_array().unwrap().len(), 1);
    let href = node["href"].as_str().unwrap();
    assert!(href.starts_with("http://edge.example.com:"), "{href}");
}

#[test]
fn pages_of_other_sites_cannot_write_where_a_token_is_asked_for() {
    let mut document = document(&[rtp_flow("a", 5_000)]);
    document["nmos"] = json!({"require_auth": true});
    document["server"]["auth"] = auth::auth();
    let (edge, _data_plane) = edge_of(&document);
    let token = auth::token(edge.address(), "admin-client", auth::ADMIN_SECRET);
    let token = format!("Authorization: Bearer {token}");
    let node = Uuid::parse_str("6d5a4c3b-0000-4000-8000-000000000001").unwrap();
    let receiver = Uuid::new_v5(&node, b"receiver/a");
    let path = format!("{API}/receivers/{receiver}/target");
    let put = |headers: &[&str]| {
        let headers: Vec<_> = headers.iter().copied().chain([token.as_str()]).collect();
        ask(edge.address(), &format!("PUT {path}"), &headers, "{}")
    };
    for origin in ["Origin: null", "Origin: http://example.com"] {
        let answer = put(&[origin]);
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_dressed(&answer);
        let read = format!("GET {API}/self");
        let read = ask(edge.address(), &read, &[origin, &token], "");
        assert_eq!(read.status, 200, "{read:?}");
    }
    for headers in [&[][..], &["Origin: http://localhost"]] {
        // It is looked at, and what it wants is not implemented.
        let answer = put(headers);
        assert_eq!(answer.status, 501, "{answer:?}");
        assert_dressed(&answer);
    }
}
