//! SRT inputs and outputs (configuration.md 5.3, 6.3, 7.1, 7.2).

use std::fmt;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::Credential;

/// SRT input (configuration.md 5.3).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SrtInputConfig {
    /// Leg 1.
    #[serde(flatten)]
    pub leg: SrtLegConfig,
    /// Socket parameters of leg 1.
    #[serde(flatten)]
    pub socket: SrtSocketConfig,
    /// ST 2022-7 leg 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redundancy: Option<SrtInputRedundancy>,
}

/// SRT output (configuration.md 6.3).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SrtOutputConfig {
    /// Leg 1.
    #[serde(flatten)]
    pub leg: SrtLegConfig,
    /// Socket parameters of leg 1.
    #[serde(flatten)]
    pub socket: SrtSocketConfig,
    /// ST 2022-7 leg 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redundancy: Option<SrtLegConfig>,
}

/// Leg 2 of an SRT input (configuration.md 7.2).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SrtInputRedundancy {
    /// The leg.
    #[serde(flatten)]
    pub leg: SrtLegConfig,
    /// Merge buffer in milliseconds, 1-2000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_differential_ms: Option<u32>,
}

/// What both legs of SRT can be told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SrtLegConfig {
    /// Who dials.
    pub mode: SrtMode,
    /// Caller: where packets leave from. Listener: where callers are awaited. Rendezvous: both.
    pub local_addr: SocketAddr,
    /// The far end, of the same family; there unless the mode is listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<SocketAddr>,
    /// Receiver's and sender's latency in milliseconds, 0-65535; absent: 120.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Receiver's latency in milliseconds, 0-65535; absent: `latency_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recv_latency_ms: Option<u64>,
    /// Least latency asked of the far end in milliseconds, 0-65535; absent: `latency_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_latency_ms: Option<u64>,
    /// Silence in seconds after which a connection is dropped, 1-86400; absent: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_idle_timeout_secs: Option<u64>,
    /// 10-79 characters; absent: not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Credential>,
    /// 16, 24 or 32 bytes; only with a passphrase, not 24 with AES-GCM; absent: 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aes_key_len: Option<u8>,
    /// Absent: AES-CTR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crypto_mode: Option<SrtCryptoMode>,
    /// At most 512 characters. A caller sends it, a listener demands it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<String>,
    /// Cap of retransmission in bytes a second; -1: none, 0: no retransmission; absent: -1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rexmit_bw: Option<i64>,
    /// Largest packet in bytes, IP header included, 76-9000; absent: 1500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mss: Option<u16>,
    /// Whether packets that come too late are dropped; absent: they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlpkt_drop: Option<bool>,
    /// Time to live of IP packets, 1-255; absent: 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_ttl: Option<u8>,
}

/// What leg 1 of SRT can be told besides (configuration.md 7.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SrtSocketConfig {
    /// Not with rendezvous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_filter: Option<SrtPacketFilter>,
    /// Cap of everything sent in bytes a second, 0 or more; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bw: Option<i64>,
    /// Rate of the stream in bytes a second; 0: estimated; absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_bw: Option<i64>,
    /// Room for retransmission over `input_bw` in percent, 5-100; absent: 25.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead_bw: Option<u8>,
    /// Absent: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmit_algo: Option<SrtRetransmitAlgo>,
    /// How much later the sender drops than the latency says, in milliseconds; -1: it does not; absent: -1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_drop_delay: Option<i32>,
    /// Reordering that is not yet loss, in packets; absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_max_ttl: Option<u32>,
    /// Packets under way, 32 to 2^20; absent: 25600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flight_flag_size: Option<u32>,
    /// In packets, 32 to 2^20; absent: 8192.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_buffer_size: Option<u32>,
    /// In packets, 32 to 2^20; absent: 8192.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recv_buffer_size: Option<u32>,
    /// Largest payload in bytes, 188-1456; absent: 1316.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_size: Option<u16>,
    /// IPv4 type of service or IPv6 traffic class, 0-255; absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_tos: Option<u8>,
    /// For a handshake, in seconds, 1-86400; absent: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout_secs: Option<u64>,
    /// Whether a far end with another passphrase, or none, is refused; absent: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforced_encryption: Option<bool>,
    /// Packets after which the key changes, above 0; absent: about 16 million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub km_refresh_rate: Option<u32>,
    /// Packets before that at which the next key is told, above 0; absent: 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub km_pre_announce: Option<u32>,
}

/// Latency of a leg that says nothing, in milliseconds (configuration.md 7.1).
pub(crate) const SRT_LATENCY_MS_DEFAULT: u64 = 120;

impl SrtLegConfig {
    /// Receiver's latency in milliseconds, as far as this end decides: the far end may ask for more.
    #[must_use]
    pub fn receive_latency_ms(&self) -> u64 {
        let both = self.latency_ms.unwrap_or(SRT_LATENCY_MS_DEFAULT);
        self.recv_latency_ms.unwrap_or(both)
    }
}

/// Who dials.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SrtMode {
    /// This end.
    Caller,
    /// The far end.
    Listener,
    /// Both at once.
    Rendezvous,
}

/// Cipher modes of SRT.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum SrtCryptoMode {
    /// Every SRT knows it.
    #[serde(rename = "aes-ctr")]
    AesCtr,
    /// Authenticated; libsrt from 1.5.2 knows it.
    #[serde(rename = "aes-gcm")]
    AesGcm,
}

/// When SRT sends a packet again that is reported lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SrtRetransmitAlgo {
    /// On every report.
    Default,
    /// Not before a round trip has passed.
    Reduced,
}

/// The FEC of SRT, `fec,cols:C,rows:R,layout:X,arq:Y`. Serialised as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SrtPacketFilter {
    /// As it was written, at most 512 characters.
    pub(in super::super) text: String,
    /// C, 1-256.
    pub columns: u16,
    /// R, 1-256; 1: rows alone.
    pub rows: u16,
    /// How columns begin.
    pub layout: SrtFecLayout,
    /// When loss is reported besides.
    pub arq: SrtFecArq,
}

impl fmt::Display for SrtPacketFilter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Serialize for SrtPacketFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// How the columns of SRT's FEC begin.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SrtFecLayout {
    /// All at one packet.
    Even,
    /// Each a row after the one before.
    #[default]
    Staircase,
}

/// When SRT reports loss beside FEC.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SrtFecArq {
    /// At once.
    Always,
    /// Never.
    Never,
    /// When FEC could not repair it.
    #[default]
    OnRequest,
}
