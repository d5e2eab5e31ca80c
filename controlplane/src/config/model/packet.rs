//! Inputs and outputs of datagrams: RTP, raw UDP and the built-in source (configuration.md 5.1, 5.2, 6.1, 6.2).

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

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
    pub(in super::super) fn is_on(&self) -> bool {
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
    pub(in super::super) fn is_on(&self) -> bool {
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
