//! The configuration after validation: every value legal, every optional field as it was written.
//!
//! Defaults are not filled in (but for `enabled` and `media_analysis`), so that the API returns what the operator
//! wrote; [`super::spec`] fills them in on the way to the data plane.

mod manager;
mod nmos;
mod packet;
mod secret;
mod server;
mod srt;
mod stream;
mod tunnel;

use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;
use uuid::Uuid;

pub use bilbycast_shm_proto::model::BandwidthAction;
use bilbycast_shm_proto::model::PAYLOAD_TYPE_MP2T;

pub use manager::*;
pub use nmos::*;
pub use packet::*;
pub(super) use secret::shown_url;
pub use secret::{Credential, MediaUrl, Secret};
pub use server::*;
pub use srt::*;
pub use stream::*;
pub(super) use tunnel::tunnel_owner;
pub use tunnel::{TunnelConfig, TunnelDirection, TunnelMode, TunnelProtocol, TunnelSecrets};

/// The only schema version.
pub const VERSION: u32 = 1;

/// Most flows on a node: what one list of running flows can carry over the control socket.
pub const FLOWS_MAX: usize = 4_096;

/// Port of the API when no configuration names one.
pub const LISTEN_PORT_DEFAULT: u16 = 8080;

/// The whole configuration (configuration.md 2).
///
/// Serialised, it is what `config.json` holds and what the API shows: infrastructure secrets are left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppConfig {
    /// [`VERSION`].
    pub version: u32,
    /// NMOS node id and root of all NMOS ids.
    pub node_id: Uuid,
    /// Name for people, at most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Whether the setup page is open; absent: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup_enabled: Option<bool>,
    /// The API listener.
    pub server: ServerConfig,
    /// The status page; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorConfig>,
    /// The manager link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<ManagerConfig>,
    /// NMOS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nmos: Option<NmosConfig>,
    /// The flows; ids are unique.
    pub flows: Vec<FlowConfig>,
    /// The tunnels; ids are unique.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tunnels: Vec<TunnelConfig>,
}

impl AppConfig {
    /// The built-in default (configuration.md 1.1): no flows, and the API open on every address.
    #[must_use]
    pub const fn default_with(node_id: Uuid) -> Self {
        Self {
            version: VERSION,
            node_id,
            device_name: None,
            setup_enabled: None,
            server: ServerConfig {
                listen_addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                listen_port: LISTEN_PORT_DEFAULT,
                tls: None,
                auth: None,
            },
            monitor: None,
            manager: None,
            nmos: None,
            flows: Vec::new(),
            tunnels: Vec::new(),
        }
    }

    /// The flow with this id.
    #[must_use]
    pub fn flow(&self, id: &str) -> Option<&FlowConfig> {
        self.flows.iter().find(|flow| flow.id == id)
    }

    /// Payload type of raw TS that an RTP output wraps and has no payload type of its own for (configuration.md 3.8).
    #[must_use]
    pub fn wrap_payload_type(&self) -> u8 {
        let configured = self.nmos.as_ref().and_then(|nmos| nmos.rtp_payload_type);
        configured.unwrap_or(PAYLOAD_TYPE_MP2T)
    }
}

/// A flow (configuration.md 4).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowConfig {
    /// 1-64 characters, unique on the node.
    pub id: String,
    /// 1-256 characters.
    pub name: String,
    /// Whether it starts with the node and on creation.
    pub enabled: bool,
    /// Whether its content is analysed.
    pub media_analysis: bool,
    /// What happens when more arrives than was agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth_limit: Option<BandwidthLimitConfig>,
    /// Where it comes from.
    pub input: InputConfig,
    /// Where it goes; ids are unique, 256 at most.
    pub outputs: Vec<OutputConfig>,
}

impl FlowConfig {
    /// What messages call it. Ids come from outside; a line break in one must not forge a log line.
    pub(super) fn owner(&self) -> String {
        flow_owner(&self.id)
    }

    /// Its FEC matrices, each with the end that has it.
    pub(crate) fn fec_matrices(&self) -> Vec<(String, &FecConfig)> {
        let mut matrices = Vec::new();
        if let InputConfig::Rtp(rtp) = &self.input {
            matrices.extend(rtp.fec_decode.iter().map(|fec| ("input".to_owned(), fec)));
        }
        for output in &self.outputs {
            if let OutputKindConfig::Rtp(rtp) = &output.kind {
                let fec = rtp.fec_encode.iter();
                matrices.extend(fec.map(|fec| (output.owner(), fec)));
            }
        }
        matrices
    }

    /// The output with this id.
    #[must_use]
    pub fn output(&self, id: &str) -> Option<&OutputConfig> {
        self.outputs.iter().find(|output| output.id == id)
    }
}

/// A limit of what a flow carries (configuration.md 4.1).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BandwidthLimitConfig {
    /// Above 0, at most 10,000.
    pub max_bitrate_mbps: f64,
    /// What happens beyond it.
    pub action: BandwidthAction,
    /// For how many seconds in a row it has to be exceeded, 1-60; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_secs: Option<u32>,
}

/// An input (configuration.md 5).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InputConfig {
    /// RTMP server.
    Rtmp(RtmpInputConfig),
    /// RTP.
    Rtp(Box<RtpInputConfig>),
    /// RTSP client.
    Rtsp(RtspInputConfig),
    /// SRT.
    Srt(Box<SrtInputConfig>),
    /// The built-in source.
    Test(TestInputConfig),
    /// Raw UDP.
    Udp(UdpInputConfig),
    /// WHIP server.
    Webrtc(WebrtcInputConfig),
    /// WHEP client.
    Whep(WhepInputConfig),
}

impl InputConfig {
    /// The configured `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Rtmp(_) => "rtmp",
            Self::Rtp(_) => "rtp",
            Self::Rtsp(_) => "rtsp",
            Self::Srt(_) => "srt",
            Self::Test(_) => "test",
            Self::Udp(_) => "udp",
            Self::Webrtc(_) => "webrtc",
            Self::Whep(_) => "whep",
        }
    }

    /// False: every leg is switched off by `master_enable` or `rtp_enabled`, nothing is bound.
    #[must_use]
    pub fn is_on(&self) -> bool {
        match self {
            Self::Rtp(rtp) => {
                let leg_2 = rtp.redundancy.as_ref();
                rtp.master_enable.unwrap_or(true)
                    && (rtp.receive.is_on() || leg_2.is_some_and(|leg_2| leg_2.receive.is_on()))
            }
            Self::Rtmp(_)
            | Self::Rtsp(_)
            | Self::Srt(_)
            | Self::Test(_)
            | Self::Udp(_)
            | Self::Webrtc(_)
            | Self::Whep(_) => true,
        }
    }
}

/// An output (configuration.md 6).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputConfig {
    /// 1-64 characters, unique within the flow.
    pub id: String,
    /// 1-256 characters.
    pub name: String,
    /// How it sends.
    #[serde(flatten)]
    pub kind: OutputKindConfig,
}

impl OutputConfig {
    /// What messages call it, inside its flow.
    pub(super) fn owner(&self) -> String {
        output_owner(&self.id)
    }
}

/// What messages call the flow with this id.
pub(super) fn flow_owner(id: &str) -> String {
    format!("flow '{}'", id.escape_debug())
}

/// What messages call the output with this id, inside its flow.
pub(super) fn output_owner(id: &str) -> String {
    format!("output '{}'", id.escape_debug())
}

/// How an output sends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputKindConfig {
    /// HLS push.
    Hls(HlsOutputConfig),
    /// RTMP client.
    Rtmp(RtmpOutputConfig),
    /// RTP.
    Rtp(Box<RtpOutputConfig>),
    /// SRT.
    Srt(Box<SrtOutputConfig>),
    /// Raw TS.
    Udp(SendConfig),
    /// WHIP client or WHEP server.
    Webrtc(WebrtcOutputConfig),
}

impl OutputKindConfig {
    /// The configured `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Hls(_) => "hls",
            Self::Rtmp(_) => "rtmp",
            Self::Rtp(_) => "rtp",
            Self::Srt(_) => "srt",
            Self::Udp(_) => "udp",
            Self::Webrtc(_) => "webrtc",
        }
    }

    /// False: every leg is switched off by `master_enable` or `rtp_enabled`, nothing is sent.
    #[must_use]
    pub fn is_on(&self) -> bool {
        match self {
            Self::Rtp(rtp) => {
                let leg_2 = rtp.redundancy.as_ref();
                rtp.master_enable.unwrap_or(true)
                    && (rtp.send.is_on() || leg_2.is_some_and(SendConfig::is_on))
            }
            Self::Hls(_) | Self::Rtmp(_) | Self::Srt(_) | Self::Udp(_) | Self::Webrtc(_) => true,
        }
    }
}
