//! The configuration after validation: every value legal, every optional field as it was written.
//!
//! Defaults are not filled in (but for `enabled` and `media_analysis`), so that the API returns what the operator
//! wrote; [`super::spec`] fills them in on the way to the data plane.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use bilbycast_shm_proto::model::PAYLOAD_TYPE_MP2T;

/// The only schema version.
pub const VERSION: u32 = 1;

/// Most flows on a node: what one list of running flows can carry over the control socket.
pub const FLOWS_MAX: usize = 4_096;

/// Port of the API when no configuration names one.
pub const LISTEN_PORT_DEFAULT: u16 = 8080;

/// The whole configuration (configuration.md 2).
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
    /// The manager link, kept as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<Opaque>,
    /// NMOS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nmos: Option<NmosConfig>,
    /// The flows; ids are unique.
    pub flows: Vec<FlowConfig>,
    /// Tunnels, kept as they were written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tunnels: Vec<Opaque>,
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

/// Fields of `manager` that never leave the node (configuration.md 1.2).
pub(super) const MANAGER_SECRETS: [&str; 2] = ["registration_token", "node_secret"];

/// Fields of a tunnel that never leave the node (configuration.md 1.2).
pub(super) const TUNNEL_SECRETS: [&str; 5] = [
    "tunnel_encryption_key",
    "tunnel_bind_secret",
    "tunnel_psk",
    "tls_cert_pem",
    "tls_key_pem",
];

/// A section that this version keeps and does not interpret. It may hold secrets, so it is never printed.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Opaque(pub Map<String, Value>);

impl fmt::Debug for Opaque {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Opaque(..)")
    }
}

/// The API listener (configuration.md 3.1).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerConfig {
    /// Address to bind.
    pub listen_addr: IpAddr,
    /// Port, 1-65535.
    pub listen_port: u16,
    /// TLS, kept as it was written; secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Opaque>,
    /// Authentication, kept as it was written; secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Opaque>,
}

/// The listener of the status page (configuration.md 3.4).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MonitorConfig {
    /// Address to bind.
    pub listen_addr: IpAddr,
    /// Port, 1-65535.
    pub listen_port: u16,
}

/// NMOS (configuration.md 3.8).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NmosConfig {
    /// False: nothing is served, announced or registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How a registry is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<NmosRegistration>,
    /// Names of network interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<String>>,
    /// Name or address in every endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Payload type of TS that this node wraps, 0-127.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_payload_type: Option<u8>,
    /// Whether NMOS routes need a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_auth: Option<bool>,
}

/// How an NMOS registry is found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NmosRegistration {
    /// `mdns`, `unicast`, `static` or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// DNS domain of `unicast`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// DNS server of `unicast`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_server: Option<SocketAddr>,
    /// Registration API of `static`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
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

    /// The output with this id.
    #[must_use]
    pub fn output(&self, id: &str) -> Option<&OutputConfig> {
        self.outputs.iter().find(|output| output.id == id)
    }
}

/// An input (configuration.md 5).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InputConfig {
    /// RTP.
    Rtp(Box<RtpInputConfig>),
    /// The built-in source.
    Test(TestInputConfig),
    /// Raw UDP.
    Udp(UdpInputConfig),
}

impl InputConfig {
    /// The configured `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Rtp(_) => "rtp",
            Self::Test(_) => "test",
            Self::Udp(_) => "udp",
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
            Self::Test(_) | Self::Udp(_) => true,
        }
    }
}

/// What one leg receives; addresses of one family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReceiveConfig {
    /// Address or group, and port.
    pub bind_addr: SocketAddr,
    /// Address of the interface for a join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_addr: Option<IpAddr>,
    /// Source of a source-specific join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_addr: Option<IpAddr>,
    /// RTP only: whether this leg receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_enabled: Option<bool>,
}

impl ReceiveConfig {
    /// False: this leg is switched off.
    pub(super) fn is_on(&self) -> bool {
        self.rtp_enabled.unwrap_or(true)
    }
}

/// RTP input (configuration.md 5.1).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RtpInputConfig {
    /// Leg 1.
    #[serde(flatten)]
    pub receive: ReceiveConfig,
    /// ST 2022-1 decoding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fec_decode: Option<FecConfig>,
    /// Whether TR-07 is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tr07_mode: Option<bool>,
    /// Sources that may send; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_sources: Option<Vec<IpAddr>>,
    /// Payload types that may come, 0-127; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_payload_types: Option<Vec<u8>>,
    /// Policer in Mb/s, above 0, at most 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bitrate_mbps: Option<f64>,
    /// ST 2022-7 leg 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redundancy: Option<InputRedundancy>,
    /// NMOS: whether any leg receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_enable: Option<bool>,
}

/// Leg 2 of an RTP input (configuration.md 7.2).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputRedundancy {
    /// What it receives.
    #[serde(flatten)]
    pub receive: ReceiveConfig,
    /// Merge buffer in milliseconds, 1-2000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_differential_ms: Option<u32>,
}

/// Raw UDP input (configuration.md 5.2).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UdpInputConfig {
    /// What it receives; `rtp_enabled` is never set.
    #[serde(flatten)]
    pub receive: ReceiveConfig,
}

/// The built-in test source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestInputConfig {
    /// Rate of the multiplex in Mb/s, 0.3-10,000; absent: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate_mbps: Option<f64>,
}

/// ST 2022-1 (configuration.md 7.3).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FecConfig {
    /// L, 1-20.
    pub columns: u8,
    /// D, 4-20.
    pub rows: u8,
}

impl FecConfig {
    /// Whether the matrix lies outside what the standard allows (configuration.md 7.3).
    #[must_use]
    pub fn is_beyond_the_standard(&self) -> bool {
        //= ST 2022-1 5: L * D at most 100, and at least 4 columns when both dimensions are used.
        u16::from(self.columns) * u16::from(self.rows) > 100 || self.columns < 4
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
    /// RTP.
    Rtp(Box<RtpOutputConfig>),
    /// Raw TS.
    Udp(SendConfig),
}

impl OutputKindConfig {
    /// The configured `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Rtp(_) => "rtp",
            Self::Udp(_) => "udp",
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
            Self::Udp(_) => true,
        }
    }
}

/// Where one leg sends; addresses of one family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SendConfig {
    /// Address or group, and port.
    pub dest_addr: SocketAddr,
    /// Local address; absent: the kernel chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_addr: Option<SocketAddr>,
    /// Address of the interface for multicast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_addr: Option<IpAddr>,
    /// 0-63; absent: 46, on leg 2 that of leg 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dscp: Option<u8>,
    /// RTP only: whether this leg sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_enabled: Option<bool>,
}

impl SendConfig {
    /// False: this leg is switched off.
    pub(super) fn is_on(&self) -> bool {
        self.rtp_enabled.unwrap_or(true)
    }
}

/// RTP output (configuration.md 6.1).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RtpOutputConfig {
    /// Leg 1.
    #[serde(flatten)]
    pub send: SendConfig,
    /// ST 2022-1 encoding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fec_encode: Option<FecConfig>,
    /// ST 2022-7 leg 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redundancy: Option<SendConfig>,
    /// Rewrites the payload type, 0-127.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_type: Option<u8>,
    /// NMOS: whether any leg sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_enable: Option<bool>,
}
