//! `/api/v1/ws/stats`, `/api/v1/ws/overview` and `/api/v1/ws/events`.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use bilbycast_shm_proto::counters::{FlowRecord, FlowState};
use bilbycast_shm_proto::event::{Category, Event, Severity};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, disabled, failure, flow, wait_until};
use crate::process::Process;

type Socket = WebSocket<TcpStream>;

fn both() -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000), disabled(flow("b", 5002))]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    (edge, data_plane)
}

fn connect(address: &str, path: &str) -> Socket {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let (socket, response) = client(format!("ws://{address}{path}"), stream).unwrap();
    assert_eq!(response.status(), 101);
    socket
}

/// The next frame that is not a sign of life.
fn next(socket: &mut Socket) -> Value {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn close_code(socket: &mut Socket) -> CloseCode {
    loop {
        match socket.read().unwrap() {
            Message::Close(frame) => return frame.unwrap().code,
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Reads until the server has closed the connection.
fn wait_for_end(socket: &mut Socket) {
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => return,
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn clients(edge: &ControlPlane) -> String {
    let mut response = ureq::get(format!("http://{}/metrics", edge.address()))
        .call()
        .unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("bilbycast_edge_websocket_clients "));
    line.unwrap().to_owned()
}

#[test]
fn frames_are_the_flows_of_the_statistics() {
    let (edge, data_plane) = both();
    data_plane.publish_flow(
        "a",
        &FlowRecord {
            state: FlowState::Running.code(),
            input_packets_received: 7,
            ..FlowRecord::default()
        },
    );
    let mut socket = connect(edge.address(), "/api/v1/ws/stats");
    let since = Instant::now();
    let mut frame = next(&mut socket);
    while frame[0]["state"] != "Running" {
        frame = next(&mut socket);
    }
    assert_eq!(frame, edge.get("/api/v1/stats").1["data"]["flows"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&frame).unwrap());

    let seen = since.elapsed();
    for _ in 0..2 {
        next(&mut socket);
    }
    let took = since.elapsed() - seen;
    assert!(
        (Duration::from_millis(1_500)..Duration::from_secs(10)).contains(&took),
        "two frames took {took:?}"
    );
}

#[test]
fn clients_get_the_same_frame() {
    let (edge, data_plane) = both();
    let mut sockets: Vec<_> = (0..10)
        .map(|_| connect(edge.address(), "/api/v1/ws/stats"))
        .collect();
    assert_eq!(clients(&edge), "10");
    // Values that change with every frame show which frame it was.
    data_plane.publish_flow(
        "a",
        &FlowRecord {
            state: FlowState::Running.code(),
            input_packets_received: 42,
            ..FlowRecord::default()
        },
    );
    for socket in &mut sockets {
        while next(socket)[0]["input"]["packets_received"] != 42 {}
    }
    drop(sockets);
    wait_until("the clients to be gone", || clients(&edge) == "0");
}

#[test]
fn what_clients_say_is_ignored_but_pings_and_farewells_are_not() {
    let (edge, _data_plane) = both();
    let mut socket = connect(edge.address(), "/api/v1/ws/stats?token=x");
    socket.send(Message::text("subscribe, please")).unwrap();
    socket.send(Message::binary(vec![0; 1_000])).unwrap();
    socket
        .send(Message::Ping(b"are you there".to_vec().into()))
        .unwrap();
    loop {
        match socket.read().unwrap() {
            Message::Pong(bytes) => break assert_eq!(&bytes[..], b"are you there"),
            Message::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
    socket.close(None).unwrap();
    wait_for_end(&mut socket);
    wait_until("the place to be free", || clients(&edge) == "0");
}

/// What a page makes of frames of the overview: the merging that the API's document describes.
fn merge(old: &mut Value, fresh: &Value) {
    match (old, fresh) {
        (Value::Object(old), Value::Object(fresh)) => {
            for (name, fresh) in fresh {
                merge(old.get_mut(name).unwrap(), fresh);
            }
        }
        (Value::Array(old), Value::Array(fresh)) => {
            assert_eq!(old.len(), fresh.len());
            for (old, fresh) in old.iter_mut().zip(fresh) {
                if !fresh.is_null() {
                    merge(old, fresh);
                }
            }
        }
        (old, fresh) => *old = fresh.clone(),
    }
}

#[derive(Default)]
struct Overview {
    number: u64,
    flows: Value,
    /// Frames of changes so far.
    changes: usize,
}

impl Overview {
    fn take(&mut self, frame: &Value) {
        let number = frame["number"].as_u64().unwrap();
        if frame["flows"].is_null() {
            assert_eq!(number, self.number + 1, "{frame}");
            self.changes += 1;
            for change in frame["changed"].as_array().unwrap() {
                let place = usize::try_from(change[0].as_u64().unwrap()).unwrap();
                merge(&mut self.flows[place], &change[1]);
            }
            for whole in frame["whole"].as_array().unwrap() {
                let place = usize::try_from(whole[0].as_u64().unwrap()).unwrap();
                self.flows[place] = whole[1].clone();
            }
        } else {
            self.flows = frame["flows"].clone();
        }
        self.number = number;
    }
}

/// Every field of `part` is in `all` with the same value.
fn assert_part(part: &Value, all: &Value, path: &str) {
    match part {
        Value::Object(fields) => {
            for (name, field) in fields {
                assert_part(field, &all[name], &format!("{path}.{name}"));
            }
        }
        Value::Array(items) => {
            assert_eq!(items.len(), all.as_array().unwrap().len(), "{path}");
            for (place, item) in items.iter().enumerate() {
                assert_part(item, &all[place], &format!("{path}[{place}]"));
            }
        }
        value => assert_eq!(value, all, "{path}"),
    }
}

#[test]
fn the_overview_tells_what_changed_and_agrees_with_the_statistics() {
    let (edge, data_plane) = both();
    let mut record = FlowRecord {
        state: FlowState::Running.code(),
        ..FlowRecord::default()
    };
    data_plane.publish_flow("a", &record);
    let mut socket = connect(edge.address(), "/api/v1/ws/overview");
    let first = next(&mut socket);
    assert_eq!(first["data_plane"], "connected");
    assert_eq!(first["flows"].as_array().unwrap().len(), 2);
    let mut overview = Overview::default();
    overview.take(&first);
    for bitrate_bps in [1_000_000, 2_000_000] {
        record.input_bitrate_bps = bitrate_bps;
        record.tr101290_priority1_ok = 1;
        data_plane.publish_flow("a", &record);
        while overview.flows[0]["input"]["bitrate_bps"] != bitrate_bps {
            let frame = next(&mut socket);
            let is_quiet = frame["changed"] == json!([]) && frame["whole"] == json!([]);
            assert!(is_quiet || !frame.to_string().contains("Flow b"), "{frame}");
            overview.take(&frame);
        }
        let stats = edge.get("/api/v1/stats").1["data"]["flows"].clone();
        assert_part(&overview.flows, &stats, "flows");
    }
    assert!(overview.changes >= 2, "most frames are changes");

    // Other flows are told whole.
    assert_eq!(edge.delete("/api/v1/flows/b").0, 200);
    while overview.flows.as_array().unwrap().len() != 1 {
        overview.take(&next(&mut socket));
    }
    let late = next(&mut connect(edge.address(), "/api/v1/ws/overview"));
    assert!(late["flows"].is_array(), "whoever comes gets all: {late}");
}

#[test]
fn frames_that_are_too_long_end_the_connection() {
    let (edge, _data_plane) = both();
    let mut socket = connect(edge.address(), "/api/v1/ws/stats");
    socket.send(Message::binary(vec![0; 5_000])).unwrap();
    assert_eq!(close_code(&mut socket), CloseCode::Size);
    wait_for_end(&mut socket);
    wait_until("the place to be free", || clients(&edge) == "0");
}

#[test]
fn there_is_a_limit_to_clients() {
    let (edge, _data_plane) = both();
    let sockets: Vec<_> = (0..64)
        .map(|_| connect(edge.address(), "/api/v1/ws/events"))
        .collect();
    let stream = TcpStream::connect(edge.address()).unwrap();
    let refused = client(format!("ws://{}/api/v1/ws/stats", edge.address()), stream);
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("503"), "{text}");
    // The API is still there.
    assert_eq!(edge.get("/health").0, 200);
    drop(sockets);
    wait_until("the places to be free", || clients(&edge) == "0");
}

#[test]
fn a_plain_request_is_told_what_the_path_is() {
    let (edge, _data_plane) = both();
    for path in [
        "/api/v1/ws/stats",
        "/api/v1/ws/overview",
        "/api/v1/ws/events",
    ] {
        let (status, answer) = edge.get(path);
        assert_eq!(status, 400, "{answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.starts_with("this path is a WebSocket: "), "{error}");
    }
    assert_eq!(
        edge.get("/api/v1/ws/events?since=x"),
        failure(
            400,
            "since 'x': must be the id of an event, a non-negative integer"
        )
    );
    assert_eq!(edge.post("/api/v1/ws/stats", &json!(null)).0, 405);
}

#[test]
fn a_client_that_does_not_read_gets_the_newest_when_it_does() {
    let folder = Folder::new();
    let flows: Vec<_> = (0..500)
        .map(|index| flow(&format!("flow-{index}"), 10_000 + index))
        .collect();
    folder.write_config(&flows);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(500);
    let mut slow = connect(edge.address(), "/api/v1/ws/stats");
    let mut quick = connect(edge.address(), "/api/v1/ws/stats");
    // About half a megabyte each: the sockets' buffers hold some, the server two.
    for packets in 1..=12 {
        data_plane.publish_flow(
            "flow-0",
            &FlowRecord {
                input_packets_received: packets,
                ..FlowRecord::default()
            },
        );
        next(&mut quick);
    }
    let mut frames = 0;
    while next(&mut slow)[0]["input"]["packets_received"] != 12 {
        frames += 1;
    }
    assert!(frames < 14, "{frames} frames were kept for the slow client");
}

#[test]
fn events_come_at_once_after_those_that_are_kept() {
    let (edge, data_plane) = both();
    let mut all = connect(edge.address(), "/api/v1/ws/events");
    let mut connected = next(&mut all);
    while connected["message"] != "data plane fake connected" {
        connected = next(&mut all);
    }
    let since = connected["id"].as_u64().unwrap();
    assert_eq!(edge.delete("/api/v1/flows/b").0, 200);
    let mut event = next(&mut all);
    while event["category"] != "config" {
        event = next(&mut all);
    }
    assert_eq!(event["message"], "configuration applied: flow 'b' deleted");
    assert_eq!(event["flow_id"], "b");

    let mut some = connect(edge.address(), &format!("/api/v1/ws/events?since={since}"));
    let kept = edge.get(&format!("/api/v1/events?since={since}")).1["data"]["events"].clone();
    for expected in kept.as_array().unwrap().iter().rev() {
        assert_eq!(next(&mut some), *expected);
    }
    data_plane.push_event(&Event {
        timestamp_us: 1,
        severity: Severity::Critical,
        category: Category::Flow,
        message: "from the ring".to_owned(),
        flow_id: None,
        details: None,
    });
    for socket in [&mut all, &mut some] {
        assert_eq!(next(socket)["message"], "from the ring");
    }
}

#[test]
fn the_end_of_the_control_plane_is_said() {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000)]);
    let mut process = Process::start(&folder, &["-p", "0"]);
    let address = process.address();
    let mut stats = connect(&address, "/api/v1/ws/stats");
    let mut events = connect(&address, "/api/v1/ws/events");
    next(&mut stats);
    let reader = std::thread::spawn(move || {
        for socket in [&mut stats, &mut events] {
            assert_eq!(close_code(socket), CloseCode::Away);
            wait_for_end(socket);
        }
    });
    let (status, took) = process.end(Signal::TERM);
    assert!(status.success(), "{status}");
    // The server lets a connection linger for a second, so that its last words arrive.
    assert!(took < Duration::from_secs(2), "{took:?}");
    reader.join().unwrap();
}
