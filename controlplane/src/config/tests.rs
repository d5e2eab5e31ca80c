//! Tests, a file for each area.

mod auth;
mod flows;
mod kill;
mod node;
mod ports;
mod property;
mod sealed;
mod secrets;
mod spec;
mod srt;
mod store;
mod stream;
mod tunnel;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{AppConfig, FlowConfig, Parsed, parse_app, parse_flow};

const NODE_ID: Uuid = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);

fn default() -> AppConfig {
    AppConfig::default_with(NODE_ID)
}

/// A whole document with these flows.
fn document(flows: &Value) -> Value {
    json!({
        "version": 1,
        "server": {"listen_addr": "0.0.0.0", "listen_port": 8080},
        "flows": flows,
    })
}

/// A legal configuration.
fn app(document: Value) -> Parsed<AppConfig> {
    parse_app(document, &default()).unwrap()
}

/// A legal flow.
fn flow(document: Value) -> FlowConfig {
    parse_flow(document, None).unwrap().value
}

/// `object` with `fields` put over it; `null` removes.
fn with(object: &Value, fields: &Value) -> Value {
    let mut object = object.clone();
    for (field, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => object.as_object_mut().unwrap().remove(field),
            value => object
                .as_object_mut()
                .unwrap()
                .insert(field.clone(), value.clone()),
        };
    }
    object
}

/// A flow with every field of an RTP input and of RTP and UDP outputs.
fn full_flow() -> Value {
    json!({
        "id": "main", "name": "Main feed", "enabled": false, "media_analysis": false,
        "input": {
            "type": "rtp", "bind_addr": "239.1.1.1:5000", "interface_addr": "192.0.2.1",
            "source_addr": "192.0.2.99", "rtp_enabled": true, "master_enable": true,
            "fec_decode": {"columns": 10, "rows": 10}, "tr07_mode": true,
            "allowed_sources": ["192.0.2.99", "2001:db8::1"], "allowed_payload_types": [0, 127],
            "max_bitrate_mbps": 12.5,
            "redundancy": {"bind_addr": "[ff3e::1]:5000", "interface_addr": "2001:db8::2",
                "source_addr": "2001:db8::3", "rtp_enabled": false, "path_differential_ms": 50},
        },
        "outputs": [
            {"type": "rtp", "id": "a", "name": "A", "dest_addr": "192.0.2.50:5004",
                "bind_addr": "0.0.0.0:6000", "interface_addr": "192.0.2.1", "dscp": 0,
                "fec_encode": {"columns": 20, "rows": 4}, "payload_type": 96,
                "master_enable": true, "rtp_enabled": true,
                "redundancy": {"dest_addr": "[ff3e::9]:5004", "bind_addr": "[::]:6000",
                    "interface_addr": "2001:db8::2", "dscp": 63, "rtp_enabled": true}},
            {"type": "udp", "id": "b", "name": "B", "dest_addr": "239.1.1.2:5004",
                "bind_addr": "192.0.2.1:0", "interface_addr": "192.0.2.1", "dscp": 46},
        ],
    })
}
