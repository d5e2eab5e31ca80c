//! Inputs and outputs of datagrams: RTP, raw UDP and the built-in source (configuration.md 5.1, 5.2, 6.1, 6.2).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use bilbycast_shm_proto::model::IpPrefix;
use serde::{Serialize, Serializer};

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
    pub allowed_sources: Option<Vec<SourceRange>>,
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
    /// Encoder only; absent: both dimensions, but for L = 1, whose rows would be copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FecMode>,
    /// Encoder only; absent: block-aligned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<FecLayout>,
}

/// Dimensions of ST 2022-1, as NMOS names them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum FecMode {
    /// Columns.
    #[serde(rename = "1D")]
    OneDimensional,
    /// Columns and rows.
    #[serde(rename = "2D")]
    TwoDimensional,
}

/// When the columns of ST 2022-1 begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FecLayout {
    /// All with the block.
    BlockAligned,
    /// Each one packet later than the one before.
    Staircase,
}

/// An address, or a range of them, that may send (RP 2129 C5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SourceRange(IpPrefix);

impl SourceRange {
    /// As the data plane takes it.
    #[must_use]
    pub const fn prefix(self) -> IpPrefix {
        self.0
    }
}

impl FromStr for SourceRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (addr, bits) = match text.split_once('/') {
            None => (text, None),
            Some((addr, bits)) => (addr, Some(bits)),
        };
        let host = IpPrefix::host(addr.parse().map_err(|_| NotARange)?);
        let Some(bits) = bits else {
            return Ok(Self(host));
        };
        let is_number = !bits.is_empty() && bits.bytes().all(|digit| digit.is_ascii_digit());
        match bits.parse::<u8>() {
            Ok(bits) if is_number && bits <= host.bits => Ok(Self(IpPrefix { bits, ..host })),
            _ => Err(NotARange),
        }
    }
}

/// The text is neither an IP address nor one with the length of a prefix behind a slash.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an IP address or a range of them")]
pub struct NotARange;

impl fmt::Display for SourceRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpPrefix { addr, bits } = self.0;
        if self.0 == IpPrefix::host(addr) {
            write!(out, "{addr}")
        } else {
            write!(out, "{addr}/{bits}")
        }
    }
}

impl Serialize for SourceRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
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
