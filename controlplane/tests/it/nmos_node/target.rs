//! `PUT /receivers/{id}/target`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::*;
use crate::wire::{Answer, ask};

/// A server that gives this answer to whoever comes, until it is dropped; `None`: it says nothing, and keeps the
/// connection.
struct Server {
    address: String,
    asked: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(answer: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let thread = std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4_096];
                let length = stream.read(&mut request).unwrap();
                if length == 0 {
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                match &answer {
                    // Whoever hangs up before the end has heard enough.
                    Some(answer) => drop(stream.write_all(answer.as_bytes())),
                    None => kept.push(stream),
                }
            }
        });
        Self {
            address,
            asked,
            thread: Some(thread),
        }
    }

    fn of_sdp(sdp: &str) -> Self {
        Self::start(Some(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{sdp}",
            sdp.len()
        )))
    }

    fn href(&self) -> String {
        format!("http://{}/sdp", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A connection without a word ends it.
        drop(std::net::TcpStream::connect(&self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

const PEER: &str = "6d5a4c3b-0000-4000-8000-0000000000ff";

fn sender(href: &str) -> Value {
    json!({"id": PEER, "transport": "urn:x-nmos:transport:rtp.mcast", "manifest_href": href, "label": "Else"})
}

fn sdp(address: &str, encoding: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=A\r\nt=0 0\r\nm=video 5500 RTP/AVP 98\r\nc=IN IP4 {address}\r\n\
         a=rtpmap:98 {encoding}\r\n"
    )
}

fn put(edge: &ControlPlane, flow: &str, body: &Value) -> Answer {
    let node = Uuid::parse_str("6d5a4c3b-0000-4000-8000-000000000001").unwrap();
    let receiver = Uuid::new_v5(&node, format!("receiver/{flow}").as_bytes());
    let line = format!("PUT {API}/receivers/{receiver}/target");
    ask(edge.address(), &line, &[], &body.to_string())
}

fn refusal(answer: &Answer) -> (u16, String) {
    assert_valid("error", &answer.json());
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    (answer.status, error)
}

fn receiver(edge: &ControlPlane) -> Value {
    described(edge, "receivers", "rtp input of flow a")
}

#[test]
fn a_receiver_is_connected() {
    let (edge, data_plane) = edge(&[rtp_flow("a", 5_000), rtp_flow("b", 5_200)]);
    edge.wait_for_active(2);
    let server = Server::of_sdp(&sdp("239.7.7.7/64", "MP2T/90000"));
    let wanted = sender(&server.href());
    let answer = put(&edge, "a", &wanted);
    assert_eq!(answer.parts(), (202, wanted));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let subscription = receiver(&edge)["subscription"].clone();
    assert_eq!(subscription, json!({"sender_id": PEER, "active": true}));
    let input = || edge.folder.read_config()["flows"][0]["input"].clone();
    assert_eq!(input()["bind_addr"], "239.7.7.7:5500");
    assert_eq!(server.asked.load(Ordering::Relaxed), 1);

    // What IS-04 lets disconnect has no answer that its schemas allow; the receiver goes on.
    let (status, _) = refusal(&put(&edge, "a", &json!({})));
    assert_eq!(status, 501);
    assert_eq!(receiver(&edge)["subscription"]["sender_id"], PEER);

    // A sender of a node, this one, as it says of itself.
    let own = described(&edge, "senders", "rtp output out of flow b");
    assert_eq!(put(&edge, "a", &own).parts(), (202, own.clone()));
    let subscription = receiver(&edge)["subscription"].clone();
    assert_eq!(
        subscription,
        json!({"sender_id": own["id"], "active": true})
    );
    assert_eq!(input()["bind_addr"], "127.0.0.1:15200");
    drop(data_plane);
}

#[test]
fn what_cannot_be_received_changes_nothing() {
    let mut test = flow("t", 5_010);
    test["input"] = json!({"type": "test"});
    let (edge, _data_plane) = edge(&[rtp_flow("a", 5_000), test]);
    let before = (receiver(&edge), edge.folder.read_config());
    let answered = |body: &Value| {
        let refusal = refusal(&put(&edge, "a", body));
        assert_eq!((receiver(&edge), edge.folder.read_config()), before);
        refusal
    };
    let with = |field: &str, value: Value| {
        let mut body = sender("http://127.0.0.1:9/sdp");
        body[field] = value;
        body
    };
    for (body, status, error) in [
        (json!([]), 400, "the body is not an object"),
        (json!({"id": PEER}), 400, "transport is missing"),
        (with("id", json!("x")), 400, "id: 'x' is not a UUID"),
        (
            with("manifest_href", json!(null)),
            400,
            "manifest_href is not a text",
        ),
        (
            with("manifest_href", json!("x".repeat(3_000))),
            400,
            "manifest_href has 3000 bytes, 2048 are allowed",
        ),
        (
            with("manifest_href", json!("file:///etc/passwd")),
            400,
            "manifest_href: 'file:///etc/passwd' is not allowed",
        ),
        (
            with("manifest_href", json!("no url")),
            400,
            "manifest_href: 'no url' is not allowed",
        ),
        (
            with("manifest_href", json!("http://a:b@127.0.0.1:9/")),
            400,
            "manifest_href: 'http://a:b@127.0.0.1:9/' is not",
        ),
        (
            with("transport", json!("urn:x-nmos:transport:mqtt")),
            501,
            "transport: senders with urn:x-nmos:transport:mqtt",
        ),
        (
            with("label", json!("nobody listens")),
            502,
            "manifest_href: 'http://127.0.0.1:9/sdp' cannot be fetched: ",
        ),
    ] {
        let found = answered(&body);
        assert!(
            found.0 == status && found.1.starts_with(error),
            "{found:?}\n{error}"
        );
    }
    let body_of = |answer: &str| Server::start(Some(answer.to_owned()));
    let long = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
        "a=x\r\n".repeat(100_000)
    );
    for (server, status, error) in [
        (
            Server::of_sdp(&sdp("239.7.7.7/64", "SMPTE2022-6/27000000")),
            501,
            "MP2T/90000",
        ),
        (
            Server::of_sdp("hello"),
            400,
            "transport_file.data: it is not SDP",
        ),
        (
            Server::of_sdp(&sdp("192.0.2.99", "MP2T/90000")),
            400,
            "interface_ip: \"192.0.2.99\" is not allowed",
        ),
        (
            body_of("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            502,
            "404",
        ),
        (
            body_of(
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ),
            502,
            "302",
        ),
        (body_of(&long), 502, "cannot be fetched"),
        (body_of("nonsense"), 502, "cannot be fetched"),
        // Nothing at all.
        (Server::start(None), 502, "timeout"),
    ] {
        let found = answered(&sender(&server.href()));
        assert!(
            found.0 == status && found.1.contains(error),
            "{found:?}\n{error}"
        );
        assert_eq!(server.asked.load(Ordering::Relaxed), 1, "{error}");
    }
    // One that waits is not overtaken.
    let id = receiver(&edge)["id"].as_str().unwrap().to_owned();
    let line = format!("PATCH /x-nmos/connection/v1.1/single/receivers/{id}/staged");
    let later = json!({"mode": "activate_scheduled_relative", "requested_time": "1000:0"});
    let staged = ask(
        edge.address(),
        &line,
        &[],
        &json!({"activation": later}).to_string(),
    );
    assert_eq!(staged.status, 202, "{staged:?}");
    let server = Server::of_sdp(&sdp("239.7.7.7/64", "MP2T/90000"));
    assert_eq!(put(&edge, "a", &sender(&server.href())).status, 423);

    let answer = put(&edge, "t", &sender(&server.href()));
    assert_eq!(
        refusal(&answer),
        (
            501,
            "no controller can connect a receiver with urn:x-bilbycast:transport:test".to_owned()
        )
    );
}
