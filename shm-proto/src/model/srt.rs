//! SRT inputs and outputs, every default filled in (configuration.md 5.3, 6.3, 7.1, 7.2).

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// An SRT input.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SrtInputSpec {
    /// Leg 1.
    pub leg: SrtLegSpec,
    /// SMPTE ST 2022-7 with a second leg; absent: there is one leg.
    pub redundancy: Option<SrtInputRedundancySpec>,
}

impl SrtInputSpec {
    /// Its legs, leg 1 first.
    pub fn legs(&self) -> impl Iterator<Item = &SrtLegSpec> {
        let second = self.redundancy.as_ref().map(|second| &second.leg);
        std::iter::once(&self.leg).chain(second)
    }
}

/// Leg 2 of an SRT input.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SrtInputRedundancySpec {
    /// The leg.
    pub leg: SrtLegSpec,
    /// How much later one leg may be than the other, in milliseconds: the delay of the merge.
    pub path_differential_ms: u32,
}

/// An SRT output.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SrtOutputSpec {
    /// Leg 1.
    pub leg: SrtLegSpec,
    /// Leg 2 of SMPTE ST 2022-7; absent: there is one leg, and it carries raw TS.
    pub redundancy: Option<SrtLegSpec>,
    /// Payload type of raw TS that is wrapped for two legs.
    pub wrap_payload_type: u8,
}

impl SrtOutputSpec {
    /// Its legs, leg 1 first.
    pub fn legs(&self) -> impl Iterator<Item = &SrtLegSpec> {
        std::iter::once(&self.leg).chain(&self.redundancy)
    }
}

/// One end of SRT connections.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SrtLegSpec {
    /// Who dials.
    pub mode: SrtMode,
    /// Address and port to bind.
    pub local_addr: SocketAddr,
    /// The far end; there unless this end listens.
    pub remote_addr: Option<SocketAddr>,
    /// Latency of what is received, in milliseconds.
    pub recv_latency_ms: u16,
    /// Latency that is asked of the far end, in milliseconds.
    pub peer_latency_ms: u16,
    /// Silence in seconds after which a connection is dropped.
    pub peer_idle_timeout_secs: u32,
    /// Absent: not encrypted.
    pub passphrase: Option<SrtPassphrase>,
    /// 16, 24 or 32; absent: that of the far end, or 16.
    pub aes_key_len: Option<u8>,
    /// AES-GCM in place of AES-CTR.
    pub aes_gcm: bool,
    /// Whether a far end with another passphrase, or none, is refused.
    pub enforced_encryption: bool,
    /// A caller sends it, a listener demands it.
    pub stream_id: Option<String>,
    /// As `fec,cols:10,rows:5`.
    pub packet_filter: Option<String>,
    /// Largest packet in bytes, IP header included.
    pub mss: u16,
    /// Packets under way.
    pub flight_flag_size: u32,
    /// Room in packets.
    pub send_buffer_size: u32,
    /// Room in packets.
    pub recv_buffer_size: u32,
    /// Largest payload in bytes.
    pub payload_size: u16,
    /// Packets that come too late are dropped.
    pub tlpkt_drop: bool,
    /// Cap of everything that is sent, in bytes a second.
    pub max_bw: Option<u64>,
    /// Rate of the stream in bytes a second; 0: estimated.
    pub input_bw: u64,
    /// Room for retransmission in percent of it.
    pub overhead_bw: u8,
    /// Cap of retransmission in bytes a second; 0: none is made.
    pub max_rexmit_bw: Option<u64>,
    /// Not before a round trip has passed is a packet sent again.
    pub reduced_retransmission: bool,
    /// How much later than the latency says the sender drops, in milliseconds; absent: it does not.
    pub send_drop_delay_ms: Option<u32>,
    /// Reordering that is not yet loss, in packets.
    pub loss_max_ttl: u32,
    /// IPv4 type of service, or IPv6 traffic class.
    pub ip_tos: u8,
    /// Time to live of IP packets.
    pub ip_ttl: u8,
    /// For a handshake, in seconds.
    pub connect_timeout_secs: u32,
    /// Packets after which the key changes; absent: the protocol's own.
    pub km_refresh_rate: Option<u32>,
    /// Packets before that at which the next key is told; absent: the protocol's own.
    pub km_pre_announce: Option<u32>,
}

/// Who dials.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SrtMode {
    /// This end.
    Caller,
    /// The far end.
    Listener,
    /// Both at once.
    Rendezvous,
}

/// The passphrase of an SRT leg, which no log may show.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SrtPassphrase(pub String);

impl fmt::Debug for SrtPassphrase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SrtPassphrase(..)")
    }
}
