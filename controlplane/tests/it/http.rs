//! HTTP itself: methods, paths, bodies.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, failure, flow, nothing};

fn edge() -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    folder.write_config(&[]);
    let edge = ControlPlane::start(folder);
    edge.wait_for_data_plane("connected");
    (edge, data_plane)
}

/// The raw answer to a raw request, until the server closes or is silent.
fn raw(edge: &ControlPlane, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn unknown_paths_and_wrong_methods_answer_in_the_envelope() {
    let (edge, _data_plane) = edge();
    assert_eq!(
        edge.get("/nowhere"),
        failure(404, "Path '/nowhere' not found")
    );
    assert_eq!(
        edge.get("/api/v1/flows/"),
        failure(404, "Path '/api/v1/flows/' not found")
    );
    assert_eq!(
        edge.delete("/api/v1/flows"),
        failure(405, "Method DELETE is not allowed here")
    );
    let answer = raw(
        &edge,
        b"PATCH /api/v1/flows/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    assert!(
        answer.contains("allow: DELETE, GET, HEAD, OPTIONS, PUT"),
        "{answer}"
    );
    let answer = raw(
        &edge,
        b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn malformed_json_is_told_where() {
    let (edge, _data_plane) = edge();
    for (path, body) in [
        ("/api/v1/flows", &b"{\"id\": }"[..]),
        ("/api/v1/flows", b""),
        ("/api/v1/flows", b"\xff\xfe"),
        ("/api/v1/flows", &[b'['; 100_000]),
    ] {
        let (status, answer) = edge.post_bytes(path, body);
        assert_eq!(status, 400, "{answer}");
        assert_eq!(answer["success"], false);
        let error = answer["error"].as_str().unwrap();
        assert!(
            error.starts_with("the request body is not valid JSON: ") && error.contains("column"),
            "{error}"
        );
    }
}

#[test]
fn bodies_are_json_whatever_their_type_says() {
    let (edge, _data_plane) = edge();
    let body = flow("a", 5000).to_string();
    let request = format!(
        "POST /api/v1/flows HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(&edge, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn bodies_over_the_limit_are_refused() {
    let (edge, _data_plane) = edge();
    let answer = raw(
        &edge,
        b"POST /api/v1/flows HTTP/1.1\r\nHost: x\r\nContent-Length: 8388609\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\"success\":false"), "{answer}");

    // Without an announced length the limit holds too.
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream
        .write_all(b"POST /api/v1/flows HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let mut sent = 0;
    // The server may close before it has read all.
    while sent < 12 && stream.write_all(&chunk).is_ok() {
        sent += 1;
    }
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_ok() {
        assert_eq!(&answer, b"HTTP/1.1 413");
    }
    assert_eq!(edge.get("/health").0, 200);
}

#[test]
fn ids_in_paths_are_percent_decoded() {
    let (edge, data_plane) = edge();
    for (port, (id, in_path)) in (5000..).zip([
        ("with space", "with%20space"),
        ("a/b", "a%2Fb"),
        ("100%", "100%25"),
        ("Ü+ö?#", "%C3%9C+%C3%B6%3F%23"),
    ]) {
        let (status, answer) = edge.post("/api/v1/flows", &flow(id, port));
        assert_eq!(status, 200, "{answer}");
        let (status, answer) = edge.get(&format!("/api/v1/flows/{in_path}"));
        assert_eq!(
            (status, &answer["data"]["id"]),
            (200, &json!(id)),
            "{answer}"
        );
        assert_eq!(
            edge.act(&format!("/api/v1/flows/{in_path}/stop")),
            nothing()
        );
        assert_eq!(edge.delete(&format!("/api/v1/flows/{in_path}")), nothing());
    }
    assert!(data_plane.running().is_empty());
}

#[test]
fn a_client_that_leaves_does_not_leave_a_change_half_done() {
    let (edge, data_plane) = edge();
    data_plane.hang(true);
    let body = flow("a", 5000).to_string();
    let request = format!(
        "POST /api/v1/flows HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    drop(stream);
    // The data plane hangs, so the change is saved as owed and carried out when it answers again.
    crate::harness::wait_until("the flow to be saved", || {
        edge.get("/api/v1/flows").1["data"]["flows"] != Value::Array(Vec::new())
    });
    assert_eq!(edge.folder.read_config()["flows"][0]["id"], "a");
    data_plane.hang(false);
    edge.wait_for_active(1);
}

#[test]
fn slow_clients_are_sent_away() {
    let (edge, _data_plane) = edge();
    let started = std::time::Instant::now();
    let answer = raw(&edge, b"GET /health HTT");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    assert!(started.elapsed() < Duration::from_secs(12));
}
