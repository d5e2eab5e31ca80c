//! Inputs and outputs that speak a streaming protocol: RTMP, RTSP, HLS and WebRTC (configuration.md 5.4 to 5.7, 6.4 to
//! 6.6).

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::{Credential, MediaUrl};

/// RTMP server (configuration.md 5.4).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RtmpInputConfig {
    /// Where publishers are awaited.
    pub listen_addr: SocketAddr,
    /// First part of the URL's path, 1-256 characters; absent: `live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Second part, 1-4096 characters; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_key: Option<Credential>,
    /// At the same time, 1 or more; absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_publishers: Option<u32>,
}

/// RTSP client (configuration.md 5.5).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RtspInputConfig {
    /// `rtsp://` or `rtsps://`.
    pub rtsp_url: MediaUrl,
    /// 1-4096 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Credential>,
    /// 1-4096 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Credential>,
    /// Absent: TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<RtspTransport>,
    /// Patience with the server in seconds, 1-86400; absent: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_secs: Option<u64>,
    /// Seconds before the next attempt, 1-86400; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_delay_secs: Option<u64>,
}

/// What RTSP's media come over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RtspTransport {
    /// Interleaved with the commands.
    Tcp,
    /// RTP over UDP.
    Udp,
}

/// WHIP server (configuration.md 5.6).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebrtcInputConfig {
    /// Demanded from publishers, 1-4096 characters; absent: nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<Credential>,
    /// Whether sound is ignored; absent: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_only: Option<bool>,
    /// Address of the ICE candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<IpAddr>,
    /// `host:port`, `stun:` may stand before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stun_server: Option<String>,
}

/// WHEP client (configuration.md 5.7).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WhepInputConfig {
    /// `http://` or `https://`.
    pub whep_url: MediaUrl,
    /// Sent along, 1-4096 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<Credential>,
    /// Whether sound is ignored; absent: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_only: Option<bool>,
}

/// RTMP client (configuration.md 6.4).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RtmpOutputConfig {
    /// `rtmp://` or `rtmps://`.
    pub dest_url: MediaUrl,
    /// 1-4096 characters.
    pub stream_key: Credential,
    /// Seconds before the next attempt, 1-86400; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_delay_secs: Option<u64>,
    /// Absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_reconnect_attempts: Option<u32>,
}

/// HLS push (configuration.md 6.5).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HlsOutputConfig {
    /// `http://` or `https://`.
    pub ingest_url: MediaUrl,
    /// Length of a segment in seconds, 0.5-10; absent: 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_duration_secs: Option<f64>,
    /// Sent along, 1-4096 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<Credential>,
    /// Segments in the playlist, 1-30; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_segments: Option<u32>,
}

/// WebRTC output (configuration.md 6.6).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebrtcOutputConfig {
    /// Absent: WHIP client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<WebrtcMode>,
    /// `http://` or `https://`; there for a WHIP client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whip_url: Option<MediaUrl>,
    /// WHIP: sent along. WHEP: demanded. 1-4096 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<Credential>,
    /// WHEP: at the same time, 1-100; absent: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_viewers: Option<u32>,
    /// Address of the ICE candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<IpAddr>,
    /// Whether sound is left out; absent: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_only: Option<bool>,
}

/// How a WebRTC output is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebrtcMode {
    /// Viewers come here.
    WhepServer,
    /// This node publishes.
    WhipClient,
}
