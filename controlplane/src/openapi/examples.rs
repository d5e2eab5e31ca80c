//! The examples of the API reference.

use bilbycast_shm_proto::counters::{CounterInfo, CounterKind, FlowRecord, OutputRecord};
use serde_json::{Value, json};

/// The example of the reference, and the counters that are here beyond it.
pub(super) fn stats() -> Value {
    let mut stats = parsed(include_str!("examples/stats.json"));
    for row in FlowRecord::FIELDS {
        add_counter(&mut stats["flows"][0], row);
    }
    for row in OutputRecord::FIELDS {
        add_counter(&mut stats["flows"][0]["outputs"][0], row);
    }
    stats
}

fn add_counter(stats: &mut Value, row: &CounterInfo) {
    let Some(path) = row.rest else {
        return;
    };
    // A field that the reference shows as null is not missing.
    let pointer = format!("/{}", path.replace('.', "/"));
    if stats.pointer(&pointer).is_some() {
        return;
    }
    let example = match row.kind {
        CounterKind::Mark => return,
        CounterKind::Code
        | CounterKind::Milliseconds
        | CounterKind::Optional
        | CounterKind::Signed => Value::Null,
        CounterKind::Counter | CounterKind::Gauge => json!(0),
        CounterKind::Flag => json!(true),
        CounterKind::Megabits | CounterKind::Nanoseconds => json!(0.0),
    };
    *path.split('.').fold(stats, |stats, name| &mut stats[name]) = example;
}

pub(super) fn flow_stats() -> Value {
    stats()["flows"][0].clone()
}

pub(super) fn flow_pids() -> Value {
    json!({"flow_id": "main-feed", "pids_left_out": 0, "pids": [{"pid": 256, "role": "video",
        "packets": 1000, "bitrate_bps": 5_000_000, "cc_errors": 0, "tei_errors": 0,
        "scrambled_packets": 0, "pcrs": 25, "pcr_accuracy_errors": 0}]})
}

pub(super) fn flow() -> Value {
    parsed(include_str!("examples/flow.json"))
}

pub(super) fn health() -> Value {
    json!({"status": "ok", "version": "0.1.0", "uptime_secs": 3661, "active_flows": 2, "total_flows": 3,
        "data_plane": "connected", "nmos": {"mode": "mdns", "state": "registered",
            "registry": "registry._nmos-register._tcp.local (http://192.0.2.10:8010)",
            "last_heartbeat_age_secs": 3, "reason": null,
            "registries": [
                {"name": "registry._nmos-register._tcp.local (http://192.0.2.10:8010)", "priority": 10,
                    "taken": true, "why": null},
                {"name": "old._nmos-register._tcp.local", "priority": 0, "taken": false,
                    "why": "api_ver is \"v1.2\", without v1.3"},
            ],
            "refused": [], "refused_total": 0}})
}

pub(super) fn flow_list() -> Value {
    json!({"flows": [
        {"id": "main-feed", "name": "Main Program Feed", "enabled": true, "input_type": "rtp", "output_count": 3},
        {"id": "backup-srt", "name": "SRT Backup Path", "enabled": true, "input_type": "srt", "output_count": 1},
    ]})
}

pub(super) fn new_flow() -> Value {
    json!({
        "id": "new-flow", "name": "New Feed", "enabled": true, "media_analysis": true,
        "input": {"type": "rtp", "bind_addr": "0.0.0.0:5000"},
        "outputs": [{"type": "rtp", "id": "out-1", "name": "Output 1", "dest_addr": "192.168.1.50:5004"}],
    })
}

pub(super) fn output() -> Value {
    json!({"type": "srt", "id": "srt-backup", "name": "SRT Backup Output", "mode": "caller",
        "local_addr": "0.0.0.0:0", "remote_addr": "203.0.113.20:9000", "latency_ms": 300})
}

pub(super) fn config() -> Value {
    json!({
        "version": 1,
        "node_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        "server": {"listen_addr": "0.0.0.0", "listen_port": 8080},
        "monitor": {"listen_addr": "0.0.0.0", "listen_port": 9090},
        "flows": [new_flow()],
    })
}

pub(super) fn setup_status() -> Value {
    json!({"listen_addr": "0.0.0.0", "listen_port": 8080, "manager_url": null, "accept_self_signed_cert": false,
        "registration_token": null, "device_name": null, "setup_enabled": true})
}

pub(super) fn setup_request() -> Value {
    json!({"listen_addr": "0.0.0.0", "listen_port": 8080, "manager_url": "wss://manager.example.com:8443/ws/node",
        "accept_self_signed_cert": false, "registration_token": "token-from-manager",
        "device_name": "Studio-A Encoder"})
}

pub(super) fn setup_saved() -> Value {
    json!({"success": true,
        "message": "Configuration saved. Restart the bilbycast-edge service to apply the new settings."})
}

pub(super) fn token_request() -> Value {
    json!({"grant_type": "client_credentials", "client_id": "admin-client",
        "client_secret": "super-secret-admin-password-here"})
}

pub(super) fn token() -> Value {
    json!({"access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.payload.signature", "token_type": "bearer",
        "expires_in": 3600, "role": "admin"})
}

pub(super) fn events() -> Value {
    json!({"events": [{"id": 1_709_820_000_000_000_u64, "timestamp": "2024-03-07T14:00:00Z", "severity": "info",
        "category": "flow", "message": "Flow 'main-feed' started", "flow_id": "main-feed"}], "dropped": 0})
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("the examples are JSON")
}
