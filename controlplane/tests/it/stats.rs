//! `/api/v1/stats` and `/health`.

use bilbycast_shm_proto::counters::{EndpointState, FlowRecord, FlowState, Health, OutputRecord};
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
    wait_until("fresh counters", || {
        edge.stats_of("a")["state"] == "Running"
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
    assert_holds(&stats, &expected);

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
