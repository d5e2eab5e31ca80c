//! `/api/v1/stats` and `/health`.

use bilbycast_shm_proto::control::Command;
use bilbycast_shm_proto::counters::{
    ABSENT, EndpointState, FlowRecord, FlowState, Health, OutputRecord,
};
use bilbycast_shm_proto::detail::{
    AudioDetail, PidDetail, ProgrammeDetail, StreamDetail, VideoDetail,
};
use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, disabled, failure, flow, wait_until};

fn both() -> (ControlPlane, FakeDataPlane) {
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

/// What `GET` answers for a flow that does not run.
fn quiet(id: &str, state: &str, health: &str) -> Value {
    json!({
        "flow_id": id, "flow_name": format!("Flow {id}"),
        "state": state, "health": health, "uptime_secs": 0,
        "input": {
            "input_type": "udp", "state": "idle",
            "packets_received": 0, "bytes_received": 0, "bitrate_bps": 0, "packets_lost": 0,
            "packets_filtered": 0, "packets_recovered_fec": 0, "redundancy_switches": 0,
            "packets_invalid": 0, "packets_duplicate": 0, "packets_reordered": 0,
            "source_restarts": 0, "packets_dropped_kernel": 0, "bytes_unaligned": 0,
            "receive_batches": 0, "srt_stats": null, "srt_leg2_stats": null,
        },
        "outputs": [{
            "output_id": "out", "output_name": "Output out", "output_type": "udp", "state": "idle",
            "packets_sent": 0, "bytes_sent": 0, "bitrate_bps": 0, "packets_dropped": 0,
            "fec_packets_sent": 0, "send_batches": 0, "send_errors": 0,
            "srt_stats": null, "srt_leg2_stats": null,
        }],
        "tr101290": null, "media_analysis": null, "iat": null, "pdv_jitter_us": null,
    })
}

/// Compared without rows that the table of counters may have gained.
fn assert_holds(found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (name, value) in expected {
                let field = found.get(name);
                assert!(field.is_some(), "{name} is missing in {found:?}");
                assert_holds(field.unwrap(), value);
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert_holds(found, expected);
            }
        }
        _ => assert_eq!(found, expected),
    }
}

/// A programme as in the example of the API reference.
pub(crate) fn one_programme() -> StreamDetail {
    StreamDetail {
        programmes: vec![ProgrammeDetail {
            number: 1,
            pmt_pid: 4_096,
            pcr_pid: Some(256),
        }],
        video_streams: vec![VideoDetail {
            pid: 256,
            codec: "H.264/AVC".to_owned(),
            stream_type: 27,
            resolution: Some("1920x1080".to_owned()),
            frame_rate: Some(29.97),
            profile: Some("High".to_owned()),
            level: Some("4.0".to_owned()),
            bitrate_bps: 5_000_000,
            ..VideoDetail::default()
        }],
        audio_streams: vec![AudioDetail {
            pid: 257,
            codec: "AAC-LC".to_owned(),
            stream_type: 15,
            sample_rate_hz: Some(48_000),
            channels: Some(2),
            language: Some("eng".to_owned()),
            bitrate_bps: 128_000,
            ..AudioDetail::default()
        }],
        total_bitrate_bps: 5_200_000,
        pids: vec![PidDetail {
            pid: 256,
            role: "stream".to_owned(),
            packets: 9,
            ..PidDetail::default()
        }],
        ..StreamDetail::default()
    }
}

#[test]
fn counters_come_from_the_shared_memory() {
    let (edge, data_plane) = both();
    data_plane.publish_flow(
        "a",
        &FlowRecord {
            state: FlowState::Running.code(),
            health: Health::Warning.code(),
            started_unix_us: unix_us() - 90_500_000,
            input_state: EndpointState::Receiving.code(),
            input_packets_received: 1_000,
            input_bytes_received: 1_316_000,
            input_bitrate_bps: 50_000_000,
            input_packets_lost: 12,
            input_packets_dropped_kernel: 3,
            tr101290_packets: 7_000,
            tr101290_cc_errors: 4,
            tr101290_priority2_ok: 1,
            tr101290_jpeg_xs_pid: ABSENT,
            iat_min: 120_500,
            iat_max: 180_300,
            iat_avg: 142_700,
            pdv_jitter: 15_200,
            mdi_delay_factor_us: ABSENT,
            ..FlowRecord::default()
        },
    );
    data_plane.publish_output(
        "a",
        "out",
        &OutputRecord {
            state: EndpointState::Active.code(),
            packets_sent: 988,
            ..OutputRecord::default()
        },
    );
    data_plane.publish_detail("a", &one_programme());
    wait_until("fresh counters", || {
        let stats = edge.stats_of("a");
        stats["state"] == "Running" && !stats["media_analysis"].is_null()
    });
    let stats = edge.stats_of("a");
    let mut expected = quiet("a", "Running", "Warning");
    expected["uptime_secs"] = stats["uptime_secs"].clone();
    assert!((90..100).contains(&stats["uptime_secs"].as_u64().unwrap()));
    let input = &mut expected["input"];
    input["state"] = json!("receiving");
    input["packets_received"] = json!(1_000);
    input["bytes_received"] = json!(1_316_000);
    input["bitrate_bps"] = json!(50_000_000);
    input["packets_lost"] = json!(12);
    input["packets_dropped_kernel"] = json!(3);
    let output = &mut expected["outputs"][0];
    output["state"] = json!("active");
    output["packets_sent"] = json!(988);
    expected["tr101290"] = json!({
        "ts_packets_analyzed": 7_000, "cc_errors": 4, "pat_errors": 0,
        "priority1_ok": false, "priority2_ok": true, "tr07_compliant": false, "jpeg_xs_pid": null,
    });
    expected["iat"] = json!({"min_us": 120.5, "max_us": 180.3, "avg_us": 142.7});
    expected["pdv_jitter_us"] = json!(15.2);
    expected["mdi"] = json!({"delay_factor_us": null, "media_loss_rate": 0});
    expected["media_analysis"] = json!({
        "protocol": "udp", "payload_format": "raw_ts", "fec": null, "redundancy": null,
        "program_count": 1,
        "video_streams": [{
            "pid": 256, "codec": "H.264/AVC", "stream_type": 27, "resolution": "1920x1080",
            "frame_rate": 29.97, "profile": "High", "level": "4.0", "bitrate_bps": 5_000_000,
        }],
        "audio_streams": [{
            "pid": 257, "codec": "AAC-LC", "stream_type": 15, "sample_rate_hz": 48_000,
            "channels": 2, "language": "eng", "bitrate_bps": 128_000,
        }],
        "total_bitrate_bps": 5_200_000,
    });
    assert_holds(&stats, &expected);
    let (status, pids) = edge.get("/api/v1/stats/a/pids");
    assert_eq!(status, 200);
    let expected_pids =
        json!({"flow_id": "a", "pids": [{"pid": 256, "role": "stream", "packets": 9}]});
    assert_holds(&pids["data"], &expected_pids);
    let (status, none) = edge.get("/api/v1/stats/b/pids");
    assert_eq!((status, &none["data"]["pids"]), (200, &json!([])));
    assert_eq!(edge.get("/api/v1/stats/c/pids").0, 404);

    let (status, all) = edge.get("/api/v1/stats");
    assert_eq!(status, 200);
    assert_holds(
        &all["data"],
        &json!({
            "system": {"total_flows": 2, "active_flows": 1, "version": env!("CARGO_PKG_VERSION")},
            "flows": [expected, quiet("b", "Stopped", "Healthy")],
        }),
    );
}

#[test]
fn counters_survive_a_restart_of_the_control_plane() {
    let (edge, data_plane) = both();
    data_plane.publish_flow(
        "a",
        &FlowRecord {
            state: FlowState::Running.code(),
            started_unix_us: unix_us() - 90_500_000,
            input_packets_received: 1_000,
            input_packets_lost: 3,
            ..FlowRecord::default()
        },
    );
    wait_until("fresh counters", || {
        edge.stats_of("a")["input"]["packets_received"] == 1_000
    });
    data_plane.take_commands();
    let edge = ControlPlane::start(edge.stop());
    edge.wait_for_active(1);
    assert_holds(
        &edge.stats_of("a"),
        &json!({
            "state": "Running", "health": "Healthy",
            "input": {"packets_received": 1_000, "packets_lost": 3},
        }),
    );
    assert!(edge.stats_of("a")["uptime_secs"].as_u64().unwrap() >= 90);
    assert_eq!(data_plane.take_commands(), [Command::ListFlows]);
}

#[test]
fn new_names_show_at_once_and_touch_no_flow() {
    let (edge, data_plane) = both();
    data_plane.take_commands();
    let mut renamed = flow("a", 5000);
    renamed["name"] = json!("New");
    renamed["outputs"][0]["name"] = json!("New output");
    assert_eq!(edge.put("/api/v1/flows/a", &renamed).0, 200);
    assert_holds(
        &edge.stats_of("a"),
        &json!({"flow_name": "New", "outputs": [{"output_name": "New output"}]}),
    );
    assert!(data_plane.take_commands().is_empty());
}

#[test]
fn flows_that_wait_for_their_start_are_starting() {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000)]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let (reached, first) = std::sync::mpsc::channel();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    data_plane.on_apply(move || {
        reached.send(()).unwrap();
        waits.recv().unwrap();
    });
    let edge = ControlPlane::start(folder);
    first.recv().unwrap();
    assert_holds(&edge.stats_of("a"), &quiet("a", "Starting", "Healthy"));
    go_on.send(()).unwrap();
    edge.wait_for_active(1);
}

#[test]
fn an_unknown_flow_has_no_statistics() {
    let (edge, _data_plane) = both();
    assert_eq!(
        edge.get("/api/v1/stats/nonexistent"),
        failure(404, "Flow 'nonexistent' not found")
    );
}

#[test]
fn a_lost_data_plane_shows() {
    let (edge, data_plane) = both();
    let health = edge.get("/health").1;
    assert_holds(
        &health,
        &json!({
            "status": "ok", "version": env!("CARGO_PKG_VERSION"), "active_flows": 1,
            "total_flows": 2, "data_plane": "connected",
        }),
    );
    drop(data_plane);
    edge.wait_for_data_plane("lost");
    let health = edge.get("/health").1;
    assert_holds(
        &health,
        &json!({"status": "ok", "active_flows": 0, "total_flows": 2, "data_plane": "lost"}),
    );
    assert_holds(&edge.stats_of("a"), &quiet("a", "Error", "Critical"));
    assert_holds(&edge.stats_of("b"), &quiet("b", "Stopped", "Healthy"));
    assert_eq!(
        edge.get("/api/v1/stats").1["data"]["system"]["active_flows"],
        0
    );
}
