//! `/metrics`.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use bilbycast_shm_proto::control::ControlErrorKind;
use bilbycast_shm_proto::counters::{
    CoreRecord, EndpointState, FlowRecord, FlowState, OutputRecord,
};
use serde_json::json;

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, disabled, flow, wait_until};
use crate::stats::one_programme;

/// Quotes, a backslash and letters of two scripts.
const ODD_ID: &str = "ö \"x\"\\ 局";

fn both() -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    let mut odd = flow("odd", 5004);
    odd["id"] = json!(ODD_ID);
    folder.write_config(&[flow("a", 5000), disabled(flow("b", 5002)), odd]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(2);
    data_plane.publish_flow(
        "a",
        &FlowRecord {
            state: FlowState::Running.code(),
            input_packets_received: 1_000,
            input_bytes_received: 1_316_000,
            input_bitrate_bps: 50_000_000,
            input_packets_lost: 12,
            ..FlowRecord::default()
        },
    );
    data_plane.publish_output(
        "a",
        "out",
        &OutputRecord {
            packets_sent: 988,
            packets_dropped: u64::MAX,
            ..OutputRecord::default()
        },
    );
    data_plane.publish_core(&CoreRecord {
        cpu: 3,
        flows: 2,
        packets_received: 1_000,
        packets_sent: 988,
        longest_pass_ns: 1_500_000,
        ..CoreRecord::default()
    });
    wait_until("fresh counters", || {
        edge.stats_of("a")["state"] == "Running"
    });
    (edge, data_plane)
}

fn scrape(edge: &ControlPlane) -> (String, String) {
    let mut response = ureq::get(format!("http://{}/metrics", edge.address()))
        .call()
        .unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap();
    let kind = kind.to_owned();
    (kind, response.body_mut().read_to_string().unwrap())
}

/// Values that no two runs share become `[v]`.
fn redacted(text: &str) -> String {
    let is_volatile = |line: &str| {
        !line.starts_with('#')
            && ["_seconds", "_process_", "http_requests", "events_total"]
                .iter()
                .any(|part| line.contains(part))
            && !line.contains("longest_pass")
    };
    let mut redacted = String::new();
    for line in text.lines() {
        match line.rsplit_once(' ') {
            Some((name, value)) if is_volatile(line) => {
                assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
                redacted.push_str(&format!("{name} [v]\n"));
            }
            _ => redacted.push_str(&format!("{line}\n")),
        }
    }
    redacted.replace(env!("CARGO_PKG_VERSION"), "[version]")
}

#[test]
fn the_text_is_that_of_the_contract() {
    let (edge, _data_plane) = both();
    let (kind, text) = scrape(&edge);
    assert_eq!(kind, "text/plain; version=0.0.4");
    insta::assert_snapshot!(redacted(&text));
}

/// Name, type and labels of every family that the reference names and that is measured.
const CONTRACT: [(&str, &str, &[&str]); 31] = [
    ("info", "gauge", &["version"]),
    ("uptime_seconds", "gauge", &[]),
    ("flows_total", "gauge", &[]),
    ("flows_active", "gauge", &[]),
    ("flow_input_packets_total", "counter", &["flow_id"]),
    ("flow_input_bytes_total", "counter", &["flow_id"]),
    ("flow_input_bitrate_bps", "gauge", &["flow_id"]),
    ("flow_input_packets_lost", "counter", &["flow_id"]),
    ("flow_input_fec_recovered_total", "counter", &["flow_id"]),
    (
        "flow_input_redundancy_switches_total",
        "counter",
        &["flow_id"],
    ),
    ("flow_input_packets_filtered", "counter", &["flow_id"]),
    (
        "flow_output_packets_total",
        "counter",
        &["flow_id", "output_id"],
    ),
    (
        "flow_output_bytes_total",
        "counter",
        &["flow_id", "output_id"],
    ),
    (
        "flow_output_bitrate_bps",
        "gauge",
        &["flow_id", "output_id"],
    ),
    (
        "flow_output_packets_dropped",
        "counter",
        &["flow_id", "output_id"],
    ),
    (
        "flow_output_fec_sent_total",
        "counter",
        &["flow_id", "output_id"],
    ),
    ("flow_pdv_jitter_us", "gauge", &["flow_id"]),
    ("flow_iat_avg_us", "gauge", &["flow_id"]),
    ("tr101290_ts_packets_total", "counter", &["flow_id"]),
    ("tr101290_sync_byte_errors_total", "counter", &["flow_id"]),
    ("tr101290_cc_errors_total", "counter", &["flow_id"]),
    ("tr101290_pat_errors_total", "counter", &["flow_id"]),
    ("tr101290_pmt_errors_total", "counter", &["flow_id"]),
    ("tr101290_tei_errors_total", "counter", &["flow_id"]),
    (
        "tr101290_pcr_discontinuity_errors_total",
        "counter",
        &["flow_id"],
    ),
    (
        "tr101290_pcr_accuracy_errors_total",
        "counter",
        &["flow_id"],
    ),
    (
        "media_video_info",
        "gauge",
        &["flow_id", "pid", "codec", "resolution", "profile", "level"],
    ),
    ("media_video_framerate", "gauge", &["flow_id", "pid"]),
    (
        "media_audio_info",
        "gauge",
        &[
            "flow_id",
            "pid",
            "codec",
            "sample_rate",
            "channels",
            "language",
        ],
    ),
    (
        "media_pid_bitrate_bps",
        "gauge",
        &["flow_id", "pid", "type"],
    ),
    ("media_total_bitrate_bps", "gauge", &["flow_id"]),
];

#[test]
fn names_types_and_labels_are_exact() {
    let (edge, data_plane) = both();
    data_plane.publish_detail("a", &one_programme());
    wait_until("media", || scrape(&edge).1.contains("media_audio_info"));
    let (_, text) = scrape(&edge);
    let types: HashMap<_, _> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE bilbycast_edge_")?.split_once(' '))
        .collect();
    for (name, kind, labels) in CONTRACT {
        assert_eq!(types.get(name), Some(&kind), "{name}");
        let prefix = format!("bilbycast_edge_{name}");
        let sample = text
            .lines()
            .find(|line| {
                line.strip_prefix(&prefix)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
            .unwrap();
        let found: Vec<_> = match sample.split_once('{') {
            Some((_, rest)) => rest
                .split(',')
                .map(|label| label.split_once('=').unwrap().0)
                .collect(),
            None => Vec::new(),
        };
        assert_eq!(found, labels, "{sample}");
    }
    let mut seen = HashSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("bilbycast_edge_"), "{line}");
        assert!(
            seen.insert(line.rsplit_once(' ').unwrap().0),
            "twice: {line}"
        );
    }
}

#[test]
fn only_running_flows_are_there() {
    let (edge, data_plane) = both();
    let (_, text) = scrape(&edge);
    assert!(!text.contains("flow_id=\"b\""), "{text}");
    assert_eq!(edge.act("/api/v1/flows/a/stop").0, 200);
    let (_, text) = scrape(&edge);
    assert!(!text.contains("flow_id=\"a\""), "{text}");
    assert!(text.contains("\nbilbycast_edge_flows_active 1\n"), "{text}");
    // One is disabled and one was stopped on purpose.
    assert!(
        text.contains("\nbilbycast_edge_flows_missing 0\n"),
        "{text}"
    );
    drop(data_plane);
    edge.wait_for_data_plane("lost");
    let (_, text) = scrape(&edge);
    assert!(
        !text.contains("flow_id") && !text.contains("_core_"),
        "{text}"
    );
    assert!(
        text.contains("\nbilbycast_edge_data_plane_up 0\n"),
        "{text}"
    );
    assert!(text.contains("\nbilbycast_edge_flows_active 0\n"), "{text}");
}

/// Nothing comes from what is switched off, and nobody shall be alarmed by it.
#[test]
fn what_is_switched_off_is_not_expected() {
    let (edge, data_plane) = both();
    let publish = |state: EndpointState| {
        let input_state = state.code();
        data_plane.publish_flow(
            "a",
            &FlowRecord {
                state: FlowState::Running.code(),
                input_state,
                ..FlowRecord::default()
            },
        );
        data_plane.publish_output(
            "a",
            "out",
            &OutputRecord {
                state: state.code(),
                ..OutputRecord::default()
            },
        );
    };
    for (state, expected) in [(EndpointState::Waiting, 1), (EndpointState::Idle, 0)] {
        publish(state);
        let input = format!("\nbilbycast_edge_flow_input_expected{{flow_id=\"a\"}} {expected}\n");
        let output = format!(
            "\nbilbycast_edge_flow_output_expected{{flow_id=\"a\",output_id=\"out\"}} {expected}\n"
        );
        wait_until("it says so", || {
            let (_, text) = scrape(&edge);
            text.contains(&input) && text.contains(&output)
        });
    }
}

#[test]
fn a_flow_that_should_run_and_does_not_is_missing() {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000), disabled(flow("b", 5002)), flow("c", 5004)]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    data_plane.refuse("c", ControlErrorKind::Bind, "bind_addr: in use");
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    let is_missing = |flows: usize| {
        let line = format!("\nbilbycast_edge_flows_missing {flows}\n");
        scrape(&edge).1.contains(&line)
    };
    wait_until("one is missing", || is_missing(1));
    // One more that runs replaces none that does not.
    assert_eq!(edge.act("/api/v1/flows/b/start").0, 200);
    assert!(is_missing(1));
    data_plane.accept("c");
    assert_eq!(edge.act("/api/v1/flows/c/start").0, 200);
    assert!(is_missing(0));
}

#[test]
fn requests_are_counted_by_class() {
    let (edge, _data_plane) = both();
    let counted = |class: &str| {
        let (_, text) = scrape(&edge);
        let prefix = format!("bilbycast_edge_http_requests_total{{status=\"{class}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
        value.unwrap().parse::<u64>().unwrap()
    };
    let before = counted("4xx");
    assert_eq!(edge.get("/api/v1/flows/nonexistent").0, 404);
    assert_eq!(edge.get("/nonexistent").0, 404);
    assert_eq!(edge.post("/api/v1/stats", &json!(null)).0, 405);
    assert_eq!(counted("4xx"), before + 3);
    let before = counted("2xx");
    assert_eq!(counted("2xx"), before + 1);
}

#[test]
fn promtool_accepts_it() {
    let (edge, _data_plane) = both();
    let (_, text) = scrape(&edge);
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bilbycast_test_peers::skip("no promtool (Debian package prometheus)");
            return;
        }
        Err(error) => panic!("promtool: {error}"),
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8(words).unwrap();
    // Complaints about the names that the contract dictates, and about nothing else.
    let ours: Vec<_> = words
        .lines()
        .filter(|line| {
            !CONTRACT.iter().any(|(name, ..)| {
                line.strip_prefix("bilbycast_edge_")
                    .and_then(|rest| rest.strip_prefix(name))
                    .is_some_and(|rest| rest.starts_with(' '))
            })
        })
        .collect();
    assert!(ours.is_empty(), "{ours:#?}");
    assert!(
        [Some(0), Some(3)].contains(&output.status.code()),
        "{words}"
    );
}
