//! A flow as the data plane runs it.
//!
//! These types are the result of the control plane's validation: every address is parsed, every default is filled in.
//! Names for people (flow and output names) are not part of them, so that a rename never reaches the packet path.
//! Two flows are the same flow exactly when their [`FlowSpec`]s are equal.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Longest flow or output id, in characters (configuration.md 17).
pub const ID_CHARS_MAX: usize = 64;

/// Longest flow or output id, in bytes of UTF-8: four for each character.
pub const ID_BYTES_MAX: usize = 4 * ID_CHARS_MAX;

/// Most outputs that one flow may have; keeps one flow from taking every output slot of its core.
pub const OUTPUTS_PER_FLOW_MAX: usize = 256;

/// DSCP when the configuration names none: Expedited Forwarding (RFC 3246), what media networks expect.
pub const DSCP_DEFAULT: u8 = 46;

/// Payload type of MPEG-TS in RTP (RFC 3551, table 5).
pub const PAYLOAD_TYPE_MP2T: u8 = 33;

/// One input and the outputs that it is fanned out to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FlowSpec {
    /// Unique on the node.
    pub id: String,
    /// Elementary streams are looked into: codecs, sizes, rates.
    pub media_analysis: bool,
    /// Where the packets come from.
    pub input: InputSpec,
    /// Where they go, in the order of the configuration.
    pub outputs: Vec<OutputSpec>,
}

impl FlowSpec {
    /// The output with this id.
    #[must_use]
    pub fn output(&self, id: &str) -> Option<&OutputSpec> {
        self.outputs.iter().find(|output| output.id == id)
    }
}

/// The input of a flow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InputSpec {
    /// RTP version 2, any payload.
    Rtp(RtpInputSpec),
    /// The built-in test source.
    Test(TestInputSpec),
    /// Raw MPEG-TS in UDP datagrams.
    Udp(UdpInputSpec),
}

impl InputSpec {
    /// The `type` of the configuration.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Rtp(_) => "rtp",
            Self::Test(_) => "test",
            Self::Udp(_) => "udp",
        }
    }
}

/// An RTP input.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RtpInputSpec {
    /// What to receive.
    pub receive: ReceiveSpec,
    /// False: nothing is bound or joined and the input is `idle` (NMOS `master_enable` and `rtp_enabled`).
    pub enabled: bool,
    /// JPEG XS by VSF TR-07 is reported.
    pub tr07_mode: bool,
}

/// A raw UDP input.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct UdpInputSpec {
    /// What to receive.
    pub receive: ReceiveSpec,
}

/// The built-in test source: a constant-bitrate transport stream with moving picture and sound.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TestInputSpec {
    /// Rate of the whole multiplex, in bits per second.
    pub bitrate_bps: u64,
}

/// What a UDP socket receives.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ReceiveSpec {
    /// Address and port to bind; a multicast group is joined.
    pub bind_addr: SocketAddr,
    /// Address of the network interface on which a group is joined; absent: the routing table decides.
    pub interface_addr: Option<IpAddr>,
    /// Source of a source-specific join (RFC 4607); absent: any source.
    pub source_addr: Option<IpAddr>,
}

/// One output of a flow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct OutputSpec {
    /// Unique within the flow.
    pub id: String,
    /// How the packets leave.
    #[serde(flatten)]
    pub kind: OutputKind,
}

/// How an output sends.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputKind {
    /// RTP: the header of an RTP input stays as it came; raw TS is wrapped.
    Rtp(RtpOutputSpec),
    /// Raw TS in datagrams of 7 x 188 bytes.
    Udp(UdpOutputSpec),
}

impl OutputKind {
    /// The `type` of the configuration.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Rtp(_) => "rtp",
            Self::Udp(_) => "udp",
        }
    }
}

/// An RTP output.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RtpOutputSpec {
    /// Where to send.
    pub send: SendSpec,
    /// Rewrites the payload type of packets that came as RTP; absent: the header stays untouched (RP 2129 C8).
    pub payload_type: Option<u8>,
    /// Payload type of raw TS that this output wraps.
    pub wrap_payload_type: u8,
    /// False: nothing is sent and the output is `idle` (NMOS `master_enable` and `rtp_enabled`).
    pub enabled: bool,
}

/// A raw UDP output.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct UdpOutputSpec {
    /// Where to send.
    pub send: SendSpec,
}

/// Where and how a UDP socket sends.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SendSpec {
    /// Destination, unicast or group.
    pub dest_addr: SocketAddr,
    /// Local address; the unspecified address and port 0 leave the choice to the kernel.
    pub bind_addr: SocketAddr,
    /// Address of the network interface for multicast egress.
    pub interface_addr: Option<IpAddr>,
    /// Differentiated services code point, 0-63.
    pub dscp: u8,
}
