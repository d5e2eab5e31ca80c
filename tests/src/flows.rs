//! The JSON of flows, inputs and outputs.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// An enabled flow named like its id.
#[must_use]
pub fn flow(id: &str, input: Value, outputs: &[Value]) -> Value {
    json!({"id": id, "name": format!("Flow {id}"), "enabled": true, "input": input, "outputs": outputs})
}

/// An RTP input.
#[must_use]
pub fn rtp_input(bind_addr: SocketAddr) -> Value {
    json!({"type": "rtp", "bind_addr": bind_addr})
}

/// A raw UDP input.
#[must_use]
pub fn udp_input(bind_addr: SocketAddr) -> Value {
    json!({"type": "udp", "bind_addr": bind_addr})
}

/// The built-in source.
#[must_use]
pub fn test_input(bitrate_mbps: f64) -> Value {
    json!({"type": "test", "bitrate_mbps": bitrate_mbps})
}

/// An RTP output.
#[must_use]
pub fn rtp_output(id: &str, dest_addr: SocketAddr) -> Value {
    json!({"type": "rtp", "id": id, "name": format!("Output {id}"), "dest_addr": dest_addr})
}

/// A raw UDP output.
#[must_use]
pub fn udp_output(id: &str, dest_addr: SocketAddr) -> Value {
    json!({"type": "udp", "id": id, "name": format!("Output {id}"), "dest_addr": dest_addr})
}

/// `object` with one more field.
#[must_use]
pub fn with(mut object: Value, field: &str, value: impl Into<Value>) -> Value {
    object[field] = value.into();
    object
}
