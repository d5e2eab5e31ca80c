//! The setup page and what it saves.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use controlplane::config::Store;
use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, document, failure, flow};

const URL: &str = "wss://manager.example.com:8443/ws/node";
const SAVED: &str =
    "Configuration saved. Restart the bilbycast-edge service to apply the new settings.";

fn edge(flows: &[Value]) -> (ControlPlane, FakeDataPlane) {
    edge_with(document(flows))
}

fn edge_with(document: Value) -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    folder.write_document(&document);
    let edge = ControlPlane::start(folder);
    edge.wait_for_data_plane("connected");
    (edge, data_plane)
}

/// Status, head and body of the answer to such a request.
fn ask(edge: &ControlPlane, line: &str, headers: &[&str], body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    let patience = Some(Duration::from_secs(15));
    stream.set_read_timeout(patience).unwrap();
    let host = format!("Host: {}", edge.address());
    let length = format!("Content-Length: {}", body.len());
    let lines = [
        &format!("{line} HTTP/1.1"),
        "Connection: close",
        &host,
        &length,
    ];
    let head = [&lines[..], headers].concat().join("\r\n");
    write!(stream, "{head}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

#[test]
fn the_status_is_that_of_the_reference() {
    let (edge, _data_plane) = edge(&[]);
    let mut status = json!({
        "listen_addr": "127.0.0.1", "listen_port": 8080, "manager_url": null,
        "accept_self_signed_cert": false, "registration_token": null, "device_name": null,
        "setup_enabled": true,
    });
    assert_eq!(edge.get("/setup/status"), (200, status.clone()));
    let request = json!({
        "listen_addr": "0.0.0.0", "listen_port": 8081, "manager_url": URL,
        "accept_self_signed_cert": false, "registration_token": "token-from-manager",
        "device_name": "Studio-A Encoder",
    });
    let saved = json!({"success": true, "message": SAVED});
    assert_eq!(edge.post("/setup", &request), (200, saved));
    status["listen_addr"] = json!("0.0.0.0");
    status["listen_port"] = json!(8081);
    status["manager_url"] = json!(URL);
    status["device_name"] = json!("Studio-A Encoder");
    assert_eq!(edge.get("/setup/status"), (200, status));
}

#[test]
fn what_is_saved_is_a_manager_link_and_no_flow_notices() {
    let (edge, data_plane) = edge(&[flow("a", 5000)]);
    edge.wait_for_active(1);
    let before = data_plane.running();
    let request = json!({"manager_url": URL, "registration_token": "a secret"});
    assert_eq!(edge.post("/setup", &request).0, 200);
    let saved = edge.folder.read_config();
    assert_eq!(saved["manager"]["enabled"], true);
    assert_eq!(saved["manager"]["url"], URL);
    assert_eq!(saved["server"]["listen_port"], 8080);
    assert_eq!(saved["flows"][0]["id"], "a");
    assert_eq!(data_plane.running(), before);
    let (_, config) = edge.get("/api/v1/config");
    assert!(!config.to_string().contains("a secret"), "{config}");

    // Sent again without the token, with a name: the token stays, for the start that follows.
    let request = json!({"manager_url": URL, "device_name": "N"});
    assert_eq!(edge.post("/setup", &request).0, 200);
    let stored = Store::new(edge.folder.config()).load().unwrap().config;
    let token = stored.manager.unwrap().registration_token.unwrap();
    assert_eq!(token.expose(), "a secret");
    assert_eq!(stored.device_name.as_deref(), Some("N"));
}

#[test]
fn what_is_not_legal_is_refused_and_changes_nothing() {
    let (edge, _data_plane) = edge(&[]);
    let before = edge.folder.read_config();
    for (request, error) in [
        (
            json!({"manager_url": "https://m/"}),
            "Manager URL must start with wss:// (TLS required)",
        ),
        (json!({}), "Manager URL is required"),
        (
            json!({"manager_url": URL, "listen_port": 0}),
            "Listen port 0 is not an integer from 1 to 65535",
        ),
    ] {
        assert_eq!(edge.post("/setup", &request), failure(400, error));
    }
    let insecure = json!({"manager_url": URL, "accept_self_signed_cert": true});
    let (status, answer) = edge.post("/setup", &insecure);
    let error = answer["error"].as_str().unwrap();
    assert!(
        status == 400 && error.contains("BILBYCAST_ALLOW_INSECURE"),
        "{error}"
    );
    let (status, answer) = edge.post_bytes("/setup", b"{");
    assert_eq!(status, 400);
    let error = answer["error"].as_str().unwrap();
    assert!(
        error.starts_with("the request body is not valid JSON: "),
        "{error}"
    );
    let (status, answer) = edge.post_bytes("/setup", &[b' '; 200_000]);
    assert_eq!(
        (status, &answer["success"]),
        (413, &json!(false)),
        "{answer}"
    );
    assert_eq!(edge.folder.read_config(), before);
}

#[test]
fn a_closed_setup_changes_nothing() {
    let mut document = document(&[]);
    document["setup_enabled"] = json!(false);
    let (edge, _data_plane) = edge_with(document);
    assert_eq!(edge.get("/setup/status").1["setup_enabled"], false);
    let request = json!({"manager_url": URL});
    assert_eq!(
        edge.post("/setup", &request),
        failure(403, "Setup is disabled on this node")
    );
    let (status, _, page) = ask(&edge, "GET /setup", &[], "");
    assert_eq!(status, 200);
    assert!(
        page.contains("<h1>Setup Disabled</h1>") && !page.contains("<form"),
        "{page}"
    );
    let form = format!("manager_url={URL}");
    let (status, head, page) = ask(&edge, "POST /setup", &[FORM], &form);
    assert_eq!(status, 403);
    assert!(head.contains("content-type: text/html"), "{head}");
    assert!(page.contains("Setup is disabled on this node"), "{page}");
    assert!(edge.folder.read_config().get("manager").is_none());
}

#[test]
fn the_page_works_without_scripts() {
    let (edge, _data_plane) = edge(&[]);
    let (status, head, page) = ask(&edge, "GET /setup", &[], "");
    assert_eq!(status, 200);
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'",
        "x-frame-options: deny",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(page.contains("method=\"post\" action=\"/setup\""), "{page}");
    for field in [
        "listen_addr",
        "listen_port",
        "manager_url",
        "accept_self_signed_cert",
        "registration_token",
        "device_name",
    ] {
        assert!(page.contains(&format!("name=\"{field}\"")), "{field}");
        assert!(page.contains(&format!("<label for=\"{field}\"")), "{field}");
    }

    let form =
        "listen_addr=127.0.0.1&listen_port=8082&manager_url=ws%3A%2F%2Fm&device_name=%3CA+B%3E";
    let (status, head, page) = ask(&edge, "POST /setup", &[FORM], form);
    assert_eq!(status, 400);
    assert!(head.contains("content-type: text/html"), "{head}");
    assert!(
        page.contains("Manager URL must start with wss:// (TLS required)"),
        "{page}"
    );
    assert!(page.contains("value=\"&lt;A B&gt;\""), "{page}");

    let form = form.replace("ws%3A%2F%2Fm", "wss%3A%2F%2Fm");
    let (status, _, page) = ask(&edge, "POST /setup", &[FORM], &form);
    assert_eq!(status, 200, "{page}");
    assert!(page.contains(SAVED), "{page}");
    let (_, status) = edge.get("/setup/status");
    assert_eq!(status["device_name"], "<A B>");
    assert_eq!(status["listen_port"], 8082);
}

#[test]
fn json_that_a_tool_calls_a_form_is_json() {
    let (edge, _data_plane) = edge(&[]);
    let body = json!({"manager_url": URL}).to_string();
    let (status, _, answer) = ask(&edge, "POST /setup", &[FORM], &body);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"success\":true"), "{answer}");
}

#[test]
fn pages_of_other_sites_cannot_send_the_form() {
    let (edge, _data_plane) = edge(&[]);
    let form = format!("manager_url={URL}");
    let own = format!("Origin: http://{}", edge.address());
    for (headers, expected) in [
        (&["Sec-Fetch-Site: cross-site"][..], 403),
        (&["Sec-Fetch-Site: same-site"], 403),
        (&["Origin: http://evil.example"], 403),
        (&["Origin: null"], 403),
        (&["Origin: http://127.0.0.1:1"], 403),
        (&[own.as_str(), "Sec-Fetch-Site: cross-site"], 403),
        (&[own.as_str()], 200),
        (
            &[
                "Sec-Fetch-Site: same-origin",
                "Origin: https://behind.a.proxy",
            ],
            200,
        ),
        (&[], 200),
    ] {
        let with_form = [headers, &[FORM]].concat();
        let (status, _, page) = ask(&edge, "POST /setup", &with_form, &form);
        assert_eq!(status, expected, "{headers:?}: {page}");
        let body = json!({"manager_url": URL}).to_string();
        // What a page of another site can send without asking first.
        let with_text = [headers, &["Content-Type: text/plain"]].concat();
        let (status, _, answer) = ask(&edge, "POST /setup", &with_text, &body);
        assert_eq!(status, expected, "{headers:?}: {answer}");
    }
}

#[test]
fn a_disk_that_fails_is_told_and_nothing_changes() {
    let (edge, _data_plane) = edge(&[]);
    edge.folder.break_disk();
    let (status, answer) = edge.post("/setup", &json!({"manager_url": URL}));
    assert_eq!(
        (status, &answer["success"]),
        (500, &json!(false)),
        "{answer}"
    );
    edge.folder.mend_disk();
    assert_eq!(edge.get("/setup/status").1["manager_url"], Value::Null);
}

#[test]
fn style_and_script_are_served_here() {
    let (edge, _data_plane) = edge(&[]);
    let (status, head, _) = ask(&edge, "GET /setup/setup.css", &[], "");
    assert!(
        status == 200 && head.contains("content-type: text/css"),
        "{head}"
    );
    let (status, head, script) = ask(&edge, "GET /setup/setup.js", &[], "");
    assert!(
        status == 200 && head.contains("content-type: text/javascript"),
        "{head}"
    );
    assert!(script.contains("fetch(\"/setup\""));
}
