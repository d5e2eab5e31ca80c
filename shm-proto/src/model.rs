//! A flow as the data plane runs it.
//!
//! These types are the result of the control plane's validation: every address is parsed, every default is filled in.
//! Names for people (flow and output names) are not part of them, so that a rename never reaches the packet path.
//! Two flows are the same flow exactly when their [`FlowSpec`]s are equal.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

mod srt;

pub use srt::{
    SrtInputRedundancySpec, SrtInputSpec, SrtLegSpec, SrtMode, SrtOutputSpec, SrtPassphrase,
};

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
    /// What happens when more arrives than was agreed; absent: nothing.
    pub bandwidth_limit: Option<BandwidthLimitSpec>,
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

    /// Ports that it binds by number, FEC ports included: two flows with a common one may stand in each other's way.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let mut ports = Vec::new();
        match &self.input {
            InputSpec::Rtp(rtp) => {
                for leg in rtp.legs().into_iter().flatten() {
                    let port = leg.bind_addr.port();
                    ports.push(port);
                    if rtp.fec.is_some() {
                        ports.push(port.saturating_add(COLUMN_FEC_PORT_OFFSET));
                        ports.push(port.saturating_add(ROW_FEC_PORT_OFFSET));
                    }
                }
            }
            InputSpec::Srt(srt) => ports.extend(srt.legs().map(|leg| leg.local_addr.port())),
            InputSpec::Test(_) => {}
            InputSpec::Udp(udp) => ports.push(udp.receive.bind_addr.port()),
        }
        for output in &self.outputs {
            match &output.kind {
                OutputKind::Rtp(rtp) => {
                    let legs = rtp.legs.iter().flatten();
                    ports.extend(legs.map(|leg| leg.bind_addr.port()));
                }
                OutputKind::Srt(srt) => {
                    ports.extend(srt.legs().map(|leg| leg.local_addr.port()));
                }
                OutputKind::Udp(udp) => ports.push(udp.send.bind_addr.port()),
            }
        }
        ports.retain(|port| *port != 0);
        ports
    }
}

/// The input of a flow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InputSpec {
    /// RTP version 2, any payload.
    Rtp(RtpInputSpec),
    /// SRT that carries raw MPEG-TS, or MPEG-TS in RTP.
    Srt(Box<SrtInputSpec>),
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
            Self::Srt(_) => "srt",
            Self::Test(_) => "test",
            Self::Udp(_) => "udp",
        }
    }
}

/// A limit of what a flow may carry (configuration.md 4.1).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BandwidthLimitSpec {
    /// Bits per second that arrive.
    pub max_bps: u64,
    /// What happens beyond it.
    pub action: BandwidthAction,
    /// How many seconds in a row the limit has to be exceeded, 1-60.
    pub grace_secs: u32,
}

/// What happens when a flow carries more than its limit.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BandwidthAction {
    /// People are told, and the flow runs on.
    Alarm,
    /// Nothing is forwarded until less arrives.
    Block,
}

impl BandwidthAction {
    /// As the configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Block => "block",
        }
    }
}

/// An RTP input.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RtpInputSpec {
    /// What leg 1 receives; absent: nothing is bound or joined for it, and with no other leg the input is `idle` (NMOS
    /// `master_enable` and `rtp_enabled`).
    pub receive: Option<ReceiveSpec>,
    /// SMPTE ST 2022-7 with a second leg; absent: there is one leg.
    pub redundancy: Option<RtpInputRedundancySpec>,
    /// SMPTE ST 2022-1 on each leg, before the merge; absent: FEC is not listened to.
    pub fec: Option<FecSpec>,
    /// What a leg lets in.
    pub filter: IngressFilterSpec,
    /// JPEG XS by VSF TR-07 is reported.
    pub tr07_mode: bool,
}

impl RtpInputSpec {
    /// An input that forwards what `receive` brings, with nothing around it.
    #[must_use]
    pub fn plain(receive: ReceiveSpec) -> Self {
        Self {
            receive: Some(receive),
            redundancy: None,
            fec: None,
            filter: IngressFilterSpec::default(),
            tr07_mode: false,
        }
    }

    /// What its legs receive, leg 1 first; absent is a leg that is switched off or not there.
    #[must_use]
    pub fn legs(&self) -> [Option<&ReceiveSpec>; LEGS_MAX] {
        let second = self.redundancy.as_ref();
        [
            self.receive.as_ref(),
            second.and_then(|second| second.receive.as_ref()),
        ]
    }
}

/// Legs of one stream (SMPTE ST 2022-7).
pub const LEGS_MAX: usize = 2;

/// Leg 2 of an RTP input.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RtpInputRedundancySpec {
    /// What it receives; absent: it is switched off.
    pub receive: Option<ReceiveSpec>,
    /// How much later one leg may be than the other, in milliseconds: the delay of the merge.
    pub path_differential_ms: u32,
}

/// A matrix of SMPTE ST 2022-1.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FecSpec {
    /// L, 1-20.
    pub columns: u8,
    /// D, 4-20.
    pub rows: u8,
    /// Row FEC goes out as well; what comes in is taken as it comes.
    pub row_fec: bool,
    /// Columns begin one packet later each, so that FEC packets leave at a steady pace; what comes in is taken as it comes.
    pub staircase: bool,
}

/// Distance of the column FEC port from that of the media (ST 2022-1 7).
pub const COLUMN_FEC_PORT_OFFSET: u16 = 2;

/// Distance of the row FEC port from that of the media (ST 2022-1 7).
pub const ROW_FEC_PORT_OFFSET: u16 = 4;

/// What a leg of an RTP input lets in (configuration.md 7.4).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct IngressFilterSpec {
    /// Source addresses; absent: all.
    pub sources: Option<Vec<IpPrefix>>,
    /// Payload types, 0-127; absent: all.
    pub payload_types: Option<Vec<u8>>,
    /// Bits per second of a leg; absent: any.
    pub max_bps: Option<u64>,
}

impl IngressFilterSpec {
    /// Whether it lets everything in.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.sources.is_none() && self.payload_types.is_none() && self.max_bps.is_none()
    }
}

/// A range of IP addresses.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IpPrefix {
    /// Any address of the range.
    pub addr: IpAddr,
    /// How many of its leading bits count: 0-32, or 0-128 for IPv6.
    pub bits: u8,
}

impl IpPrefix {
    /// One address alone.
    #[must_use]
    pub const fn host(addr: IpAddr) -> Self {
        let bits = match addr {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Self { addr, bits }
    }
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
    /// SRT: raw TS, and with two legs RTP.
    Srt(Box<SrtOutputSpec>),
    /// Raw TS in datagrams of 7 x 188 bytes.
    Udp(UdpOutputSpec),
}

impl OutputKind {
    /// The `type` of the configuration.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Rtp(_) => "rtp",
            Self::Srt(_) => "srt",
            Self::Udp(_) => "udp",
        }
    }
}

/// An RTP output.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RtpOutputSpec {
    /// Where to send: leg 1, and leg 2 of SMPTE ST 2022-7. One that is absent is switched off or not there; with none the
    /// output is `idle` (NMOS `master_enable` and `rtp_enabled`).
    pub legs: [Option<SendSpec>; LEGS_MAX],
    /// Rewrites the payload type of packets that came as RTP; absent: the header stays untouched (RP 2129 C8).
    pub payload_type: Option<u8>,
    /// Payload type of raw TS that this output wraps.
    pub wrap_payload_type: u8,
    /// SMPTE ST 2022-1, one stream of FEC for each leg; absent: none.
    pub fec: Option<FecSpec>,
}

impl RtpOutputSpec {
    /// An output to one place, with nothing around it.
    #[must_use]
    pub const fn plain(send: SendSpec) -> Self {
        Self {
            legs: [Some(send), None],
            payload_type: None,
            wrap_payload_type: PAYLOAD_TYPE_MP2T,
            fec: None,
        }
    }
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
