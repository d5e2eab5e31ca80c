//! What one side of a connection is configured with.

use super::filter::FilterText;
use crate::crypto::{CryptoMode, KeyLength, Passphrase, RefreshPolicy};
use crate::time::Micros;
use crate::wire::STREAM_ID_BYTES_MAX;

/// The parameters of one side of a connection; the names are those of the node's configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    // Agreed upon in the handshake.
    /// Delay that we keep as a receiver, in milliseconds.
    pub recv_latency_ms: u16,
    /// Delay that we ask of the far end as a receiver, in milliseconds.
    pub peer_latency_ms: u16,
    /// Shared secret; none for clear payloads.
    pub passphrase: Option<Passphrase>,
    /// Length of the keys; none follows the far end, or is 16 bytes when it says nothing.
    pub aes_key_len: Option<KeyLength>,
    /// How payloads are encrypted.
    pub crypto_mode: CryptoMode,
    /// Whether a connection without a common passphrase is refused.
    pub enforced_encryption: bool,
    /// Caller: the stream id to send. Listener: what callers' ids have to fit, by
    /// [`stream_id::check`](crate::stream_id::check).
    pub stream_id: Option<String>,
    /// Packet filter, such as `fec,cols:10,rows:5`.
    pub packet_filter: Option<String>,
    /// Largest packet in bytes, IP and UDP headers included.
    pub mss: u32,
    /// Most packets in flight.
    pub flight_flag_size: u32,
    /// Whether packets that are too late are dropped.
    pub tlpkt_drop: bool,
    /// Whether we repeat NAKs.
    pub nak_report: bool,
    /// How long a handshake may take.
    pub connect_timeout: Micros,
    /// When keys are refreshed.
    pub key_refresh: RefreshPolicy,

    // Used by the connection alone.
    /// Which way messages go.
    pub direction: Direction,
    /// Silence after which the far end counts as gone.
    pub peer_idle_timeout: Micros,
    /// Largest payload in bytes.
    pub payload_size: usize,
    /// Room for packets that are sent and not yet acknowledged.
    pub send_buffer_packets: usize,
    /// Room for packets that are received and not yet delivered.
    pub recv_buffer_packets: usize,
    /// Cap of everything that is sent, in bytes per second; none for no cap.
    pub max_bw: Option<u64>,
    /// Rate of the stream in bytes per second; zero estimates it.
    pub input_bw: u64,
    /// Room for retransmission above the rate of the stream, in percent.
    pub overhead_bw: u32,
    /// Cap of retransmission in bytes per second; none for no cap, zero for no retransmission.
    pub max_rexmit_bw: Option<u64>,
    /// Which packets are retransmitted.
    pub retransmit_algo: RetransmitAlgorithm,
    /// Extra delay before the sender drops, in milliseconds; none keeps packets however late they are.
    pub send_drop_delay_ms: Option<u32>,
    /// Packets by which another may be overtaken before it counts as lost.
    pub loss_max_ttl: u32,
}

/// Which way messages go on a connection, seen from our side.
///
/// A side that only sends discards what the far end sends all the same, and a side that only receives queues next to
/// nothing, so that the unused direction costs no memory, whatever the far end does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// We receive.
    Receives,
    /// We send.
    Sends,
}

/// Which packets a sender retransmits (`retransmit_algo`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RetransmitAlgorithm {
    /// Every packet that a NAK names, unless its retransmission can still be under way: within the round-trip time, its
    /// variance and 2 ms.
    #[default]
    Default,
    /// The same with four times the variance.
    Reduced,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            recv_latency_ms: 120,
            peer_latency_ms: 120,
            passphrase: None,
            aes_key_len: None,
            crypto_mode: CryptoMode::Ctr,
            enforced_encryption: true,
            stream_id: None,
            packet_filter: None,
            mss: 1_500,
            flight_flag_size: 25_600,
            tlpkt_drop: true,
            nak_report: true,
            connect_timeout: Micros::from_secs(3),
            key_refresh: RefreshPolicy::default(),
            direction: Direction::Both,
            peer_idle_timeout: Micros::from_secs(30),
            payload_size: 1_316,
            send_buffer_packets: 8_192,
            recv_buffer_packets: 8_192,
            max_bw: None,
            input_bw: 0,
            overhead_bw: 25,
            max_rexmit_bw: None,
            retransmit_algo: RetransmitAlgorithm::Default,
            send_drop_delay_ms: None,
            loss_max_ttl: 0,
        }
    }
}

impl Settings {
    /// Checks what the handshake relies on. Roles call it when they are made.
    ///
    /// # Errors
    /// [`SettingsError`] names the field and its value.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.crypto_mode == CryptoMode::Gcm && self.aes_key_len == Some(KeyLength::Aes192) {
            return Err(SettingsError::Gcm192);
        }
        if let Some(id) = &self.stream_id
            && (id.len() > STREAM_ID_BYTES_MAX || id.contains('\0'))
        {
            return Err(SettingsError::StreamId { bytes: id.len() });
        }
        if let Some(filter) = &self.packet_filter
            && FilterText::parse(filter).is_none()
        {
            return Err(SettingsError::PacketFilter(filter.clone()));
        }
        if !(MSS_MIN..=MSS_MAX).contains(&self.mss) {
            return Err(SettingsError::Mss(self.mss));
        }
        if !(FLIGHT_MIN..=FLIGHT_MAX).contains(&self.flight_flag_size) {
            return Err(SettingsError::FlightFlagSize(self.flight_flag_size));
        }
        let refresh = self.key_refresh;
        if refresh.refresh_packets == 0
            || refresh.pre_announce_packets == 0
            || refresh.pre_announce_packets > refresh.refresh_packets
        {
            return Err(SettingsError::KeyRefresh {
                refresh: refresh.refresh_packets,
                pre_announce: refresh.pre_announce_packets,
            });
        }
        Ok(())
    }
}

/// A setting that no handshake can be made with.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// More than can be in flight on a circle of 2^31 numbers, or less than 32.
    #[error("flight_flag_size: {0}, 32 to 1,000,000,000 allowed")]
    FlightFlagSize(u32),
    /// AES-GCM with 24 bytes.
    #[error("aes_key_len: 24 is not allowed with crypto_mode aes-gcm")]
    Gcm192,
    /// A refresh that would never come, or be announced before it is possible.
    #[error(
        "km_refresh_rate {refresh} and km_pre_announce {pre_announce}: the second must be 1 to the first"
    )]
    KeyRefresh {
        /// Packets of a key.
        refresh: u64,
        /// Packets of the announcement.
        pre_announce: u64,
    },
    /// Not a packet size.
    #[error("mss: {0}, 76 to 9,000 allowed")]
    Mss(u32),
    /// Not a packet filter.
    #[error("packet_filter: {0:?} is not of the form fec,cols:C,rows:R,layout:X,arq:Y")]
    PacketFilter(String),
    /// Too long, or with a zero byte.
    #[error("stream_id: {bytes} bytes; at most 512 and no zero byte allowed")]
    StreamId {
        /// Bytes that it has.
        bytes: usize,
    },
}

/// Least and largest packet that a peer may have.
pub(super) const MSS_MIN: u32 = 76;
pub(super) const MSS_MAX: u32 = 9_000;

const FLIGHT_MIN: u32 = 32;
/// Less than 2^30, so that the numbers in flight have an order.
pub(super) const FLIGHT_MAX: u32 = 1_000_000_000;
