//! What happened, told to people: raised on transitions, never periodically (configuration.md 13).

use serde::{Deserialize, Serialize};

/// How much an event matters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Needs a look.
    Warning,
    /// Needs hands.
    Critical,
}

/// Which part of the product an event is about. The names are those of configuration.md 13.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Bandwidth limits.
    Bandwidth,
    /// Applying and saving the configuration.
    Config,
    /// The data plane as seen by the control plane.
    DataPlane,
    /// Flows and outputs.
    Flow,
    /// HLS outputs.
    Hls,
    /// The manager link.
    Manager,
    /// Registration with NMOS registries.
    Nmos,
    /// SMPTE ST 2022-7 legs.
    Redundancy,
    /// RTMP.
    Rtmp,
    /// RTSP.
    Rtsp,
    /// SRT.
    Srt,
    /// CPU and memory of the host.
    SystemResources,
    /// Tunnels.
    Tunnel,
    /// WebRTC.
    Webrtc,
}

/// One event. Its id is given by the control plane (configuration.md 10.2).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Event {
    /// Unix time of its creation, in microseconds.
    pub timestamp_us: u64,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub category: Category,
    /// One sentence for a person.
    pub message: String,
    /// The flow that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// Figures for programs; `error_code` where configuration.md 13 names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}
