//! The dashboard's files, the history that its plots show, and the monitor port.

use std::time::Duration;

use bilbycast_shm_proto::counters::{ABSENT, FlowRecord, FlowState, Health, HistoryRecord};
use serde_json::{Value, json};

use crate::auth;
use crate::fake::FakeDataPlane;
use crate::harness::{Client, ControlPlane, Folder, disabled, document, failure, flow, wait_until};
use crate::process::Process;
use crate::wire::{Answer, ask};

fn edge() -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000), disabled(flow("b", 5002))]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    (edge, data_plane)
}

fn unix_us() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

fn get(address: &str, path: &str, headers: &[&str]) -> Answer {
    ask(address, &format!("GET {path}"), headers, "")
}

/// Paths of everything that the page loads, by what stands in it and in its scripts.
fn files(address: &str) -> Vec<String> {
    let mut found = vec!["/".to_owned()];
    let mut next = 0;
    while next < found.len() {
        let answer = get(address, &found[next], &[]);
        assert_eq!(answer.status, 200, "{}", found[next]);
        let named = answer.body.split('"').filter_map(|word| {
            let name = word.strip_prefix("./").filter(|name| name.ends_with(".js"));
            name.map(|name| format!("/dashboard/{name}"))
                .or_else(|| word.starts_with("/dashboard/").then(|| word.to_owned()))
        });
        for path in named {
            if !found.contains(&path) {
                found.push(path);
            }
        }
        next += 1;
    }
    found
}

#[test]
fn the_page_and_its_files_are_safe_to_show_and_kept_by_their_tags() {
    let (edge, _data_plane) = edge();
    let files = files(edge.address());
    assert!(files.len() > 10, "{files:?}");
    for path in files {
        let answer = get(edge.address(), &path, &[]);
        let header = |name| answer.header(name).unwrap_or_default();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{path}: {policy}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("cache-control"), "no-cache", "{path}");
        let kind = match path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(header("content-type"), kind, "{path}");

        let tag = header("etag");
        let known = format!("If-None-Match: \"other\", {tag}");
        let again = get(edge.address(), &path, &[&known]);
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), Some(tag), "{path}");
        let other = get(edge.address(), &path, &["If-None-Match: W/\"0\""]);
        assert_eq!(other.status, 200, "{path}");
    }
    let (status, answer) = edge.get("/dashboard/none.js");
    assert_eq!(
        (status, answer),
        failure(404, "Path '/dashboard/none.js' not found")
    );
    assert_eq!(edge.post("/", &json!({})).0, 405);
}

#[test]
fn files_come_compressed_where_that_is_understood() {
    let (edge, _data_plane) = edge();
    let address = edge.address();
    let length = |headers: &[&str]| {
        let answer = ask(address, "HEAD /dashboard/style.css", headers, "");
        answer.header("content-encoding").map(str::to_owned)
    };
    assert_eq!(length(&[]), None);
    assert_eq!(length(&["Accept-Encoding: gzip"]).as_deref(), Some("gzip"));
}

#[test]
fn the_page_needs_no_token_and_its_figures_do() {
    let (edge, _data_plane) = auth::edge(&auth::auth());
    for path in files(edge.address()) {
        assert_eq!(get(edge.address(), &path, &[]).status, 200, "{path}");
    }
    let path = "/api/v1/stats/a/history";
    assert_eq!(get(edge.address(), path, &[]).status, 401);
    let token = auth::token(edge.address(), "monitor-client", auth::MONITOR_SECRET);
    let header = format!("Authorization: Bearer {token}");
    assert_eq!(get(edge.address(), path, &[&header]).status, 200);
}

fn second(unix_us: u64, lost: u64) -> HistoryRecord {
    let flow = FlowRecord {
        health: Health::Warning.code(),
        input_bitrate_bps: 10_000_000,
        input_packets_lost: lost,
        outputs_bitrate_bps: 20_000_000,
        iat_avg: 1_500,
        iat_max: 2_500_000,
        pdv_jitter: ABSENT,
        tr101290_pcr_accuracy_errors: 7,
        tr101290_pcr_deviation_ns: 74,
        ..FlowRecord::default()
    };
    HistoryRecord::of(unix_us, &flow)
}

fn times(edge: &ControlPlane, query: &str) -> Vec<u64> {
    let (status, answer) = edge.get(&format!("/api/v1/stats/a/history{query}"));
    assert_eq!(status, 200, "{answer}");
    let seconds = answer["data"]["seconds"].as_array().unwrap();
    seconds
        .iter()
        .map(|second| second["unix_us"].as_u64().unwrap())
        .collect()
}

#[test]
fn the_history_outlives_the_control_plane() {
    let (edge, data_plane) = edge();
    let now = unix_us();
    let ends: Vec<u64> = (1..=10)
        .map(|second| now - 1_000_000 * (11 - second))
        .collect();
    for (lost, end) in (0..).zip(&ends) {
        data_plane.push_history("a", &second(*end, lost));
    }
    assert_eq!(times(&edge, ""), ends);
    let edge = ControlPlane::start(edge.stop());
    edge.wait_for_active(1);
    assert_eq!(times(&edge, ""), ends);
    assert_eq!(times(&edge, &format!("?since={}", ends[7])), &ends[8..]);
    assert_eq!(times(&edge, "?last=0"), [0_u64; 0]);
    assert!(times(&edge, "?last=5").len() < 6);

    let (_, answer) = edge.get("/api/v1/stats/a/history");
    assert_eq!(answer["data"]["flow_id"], "a");
    assert_eq!(
        answer["data"]["seconds"][3],
        json!({
            "unix_us": ends[3], "health": "Warning", "input_bitrate_bps": 10_000_000,
            "packets_received": 0, "packets_lost": 3, "packets_recovered_fec": 0,
            "redundancy_switches": 0, "packets_dropped_kernel": 0,
            "outputs_bitrate_bps": 20_000_000, "outputs_packets_dropped": 0,
            "iat_avg_us": 1.5, "iat_max_us": 2500.0, "pdv_jitter_us": null,
            "cc_errors": 0, "pcr_accuracy_errors": 7, "pcr_discontinuity_errors": 0,
            "pcr_repetition_errors": 0, "pcr_deviation_ns": 74,
        })
    );
}

#[test]
fn the_history_of_what_is_not_there_is_empty_or_an_error() {
    let (edge, data_plane) = edge();
    assert_eq!(times(&edge, ""), [0_u64; 0]);
    assert_eq!(
        edge.get("/api/v1/stats/b/history").1["data"],
        json!({"flow_id": "b", "seconds": []})
    );
    assert_eq!(
        edge.get("/api/v1/stats/none/history"),
        failure(404, "Flow 'none' not found")
    );
    assert_eq!(
        edge.get("/api/v1/stats/a/history?since=now"),
        failure(
            400,
            "since 'now': must be a time in microseconds since 1970, a non-negative integer"
        )
    );
    assert_eq!(
        edge.get("/api/v1/stats/a/history?last=-1"),
        failure(
            400,
            "last '-1': must be a number of seconds, a non-negative integer"
        )
    );
    data_plane.push_history("a", &second(unix_us(), 0));
    drop(data_plane);
    edge.wait_for_data_plane("lost");
    assert_eq!(times(&edge, ""), [0_u64; 0]);
}

#[test]
fn an_answer_has_an_hour_at_most() {
    let (edge, data_plane) = edge();
    let now = unix_us();
    for second_ago in (1..=4_000).rev() {
        data_plane.push_history("a", &second(now - 1_000_000 * second_ago, 0));
    }
    let times = times(&edge, "");
    assert_eq!(times.len(), 3_600);
    assert_eq!(times.last(), Some(&(now - 1_000_000)));
}

/// The monitor port of a process, from its log.
fn monitor_address(process: &mut Process) -> String {
    loop {
        if let Some((_, address)) = process.read_line().split_once("monitor page on http://") {
            return address.trim().to_owned();
        }
    }
}

#[test]
fn the_monitor_port_shows_and_does_nothing_else() {
    let folder = Folder::new();
    let mut config = document(&[flow("a", 5000)]);
    config["server"]["auth"] = auth::auth();
    config["monitor"] = json!({"listen_addr": "127.0.0.1", "listen_port": 9090});
    folder.write_document(&config);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let mut process = Process::start(&folder, &["-p", "0", "--monitor-port", "0"]);
    let monitor = monitor_address(&mut process);
    let api = process.address();
    let client = Client::new(monitor.clone());

    wait_until("the flow to run", || {
        client.get("/health").1["active_flows"] == 1
    });
    data_plane.publish_flow(
        "a",
        &FlowRecord {
            state: FlowState::Running.code(),
            input_packets_received: 5,
            ..FlowRecord::default()
        },
    );
    data_plane.push_history("a", &second(unix_us(), 0));
    wait_until("fresh counters", || {
        client.get("/api/v1/stats").1["data"]["flows"][0]["input"]["packets_received"] == 5
    });
    assert_eq!(
        client.get("/api/v1/stats/a/history").1["data"]["seconds"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    for path in ["/api/v1/stats/a", "/api/v1/stats/a/pids", "/api/v1/events"] {
        assert_eq!(client.get(path).0, 200, "{path}");
    }
    for path in files(&monitor) {
        assert_eq!(get(&monitor, &path, &[]).status, 200, "{path}");
    }
    let page = get(&monitor, "/", &[]).body;
    assert!(page.contains("data-surface=\"monitor\""), "{page}");
    assert!(get(&api, "/", &[]).body.contains("data-surface=\"api\""));

    // Neither the configuration nor anything that changes it is there.
    for path in [
        "/api/v1/config",
        "/api/v1/flows",
        "/api/v1/flows/a",
        "/setup",
        "/metrics",
    ] {
        assert_eq!(client.get(path).0, 404, "{path}");
    }
    for (path, status) in [
        ("/api/v1/flows", 404),
        ("/api/v1/flows/a/stop", 404),
        ("/oauth/token", 404),
        ("/api/v1/stats", 405),
        ("/", 405),
    ] {
        assert_eq!(client.post(path, &Value::Null).0, status, "{path}");
    }
    assert_eq!(get(&api, "/api/v1/stats", &[]).status, 401);

    let (status, took) = process.end(rustix::process::Signal::TERM);
    assert!(
        status.success() && took < Duration::from_secs(2),
        "{took:?}"
    );
}

#[test]
fn a_monitor_port_that_is_taken_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = Folder::new();
    let mut config = document(&[]);
    config["monitor"] = json!({"listen_addr": "127.0.0.1", "listen_port": port});
    folder.write_document(&config);
    let (code, log) = Process::start(&folder, &["-p", "0"]).fail();
    assert_eq!(code, Some(1));
    let told = format!("the monitor page cannot listen on 127.0.0.1:{port}: ");
    assert!(log.contains(&told), "{log}");
}
