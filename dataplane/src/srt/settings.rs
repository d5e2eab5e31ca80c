//! From a specification to the engine's settings.

use bilbycast_shm_proto::model::SrtLegSpec;
use bilbycast_srt::Micros;
use bilbycast_srt::crypto::{CryptoMode, KeyLength, Passphrase, PassphraseError, RefreshPolicy};
use bilbycast_srt::filter::FILTER_HEADER_BYTES;
use bilbycast_srt::handshake::{Direction, RetransmitAlgorithm, Settings, SettingsError};
use bilbycast_srt::wire::HEADER_BYTES;

/// A specification that no connection can be made with. The control plane lets none pass.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LegSettingsError {
    /// Not a length of AES keys.
    #[error("aes_key_len {0}: 16, 24 or 32 allowed")]
    KeyLength(u8),
    /// Not of 10 to 79 bytes.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// A caller or a rendezvous without a far end.
    #[error("remote_addr is missing, and this end dials")]
    NoRemote,
    /// What the engine refuses.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// The engine's settings. `sends`: messages go to the far end; `carries_rtp`: they are RTP packets, which are sent as they
/// are, so that they may take all the room that a packet has.
///
/// # Errors
///
/// [`LegSettingsError`].
pub fn settings(
    spec: &SrtLegSpec,
    sends: bool,
    carries_rtp: bool,
) -> Result<Settings, LegSettingsError> {
    let payload_size = if carries_rtp {
        spec.mss
    } else {
        spec.payload_size
    };
    let settings = Settings {
        recv_latency_ms: spec.recv_latency_ms,
        peer_latency_ms: spec.peer_latency_ms,
        passphrase: match &spec.passphrase {
            None => None,
            Some(passphrase) => Some(Passphrase::new(&passphrase.0)?),
        },
        aes_key_len: match spec.aes_key_len {
            None => None,
            Some(16) => Some(KeyLength::Aes128),
            Some(24) => Some(KeyLength::Aes192),
            Some(32) => Some(KeyLength::Aes256),
            Some(other) => return Err(LegSettingsError::KeyLength(other)),
        },
        crypto_mode: if spec.aes_gcm {
            CryptoMode::Gcm
        } else {
            CryptoMode::Ctr
        },
        enforced_encryption: spec.enforced_encryption,
        stream_id: spec.stream_id.clone(),
        packet_filter: spec.packet_filter.clone(),
        mss: spec.mss.into(),
        flight_flag_size: spec.flight_flag_size,
        tlpkt_drop: spec.tlpkt_drop,
        nak_report: true,
        connect_timeout: Micros::from_secs(spec.connect_timeout_secs.into()),
        key_refresh: key_refresh(spec),
        direction: if sends {
            Direction::Sends
        } else {
            Direction::Receives
        },
        peer_idle_timeout: Micros::from_secs(spec.peer_idle_timeout_secs.into()),
        payload_size: payload_size.into(),
        send_buffer_packets: spec.send_buffer_size as usize,
        recv_buffer_packets: spec.recv_buffer_size as usize,
        max_bw: spec.max_bw,
        input_bw: spec.input_bw,
        overhead_bw: spec.overhead_bw.into(),
        max_rexmit_bw: spec.max_rexmit_bw,
        retransmit_algo: if spec.reduced_retransmission {
            RetransmitAlgorithm::Reduced
        } else {
            RetransmitAlgorithm::Default
        },
        send_drop_delay_ms: spec.send_drop_delay_ms,
        loss_max_ttl: spec.loss_max_ttl,
    };
    settings.check()?;
    Ok(settings)
}

/// Bytes of the longest message that a packet of the leg has room for, as far as its own configuration tells.
#[must_use]
pub fn message_bytes_max(spec: &SrtLegSpec) -> usize {
    let is_sealed = spec.aes_gcm && spec.passphrase.is_some();
    usize::from(spec.mss)
        .saturating_sub(IP_UDP_BYTES + HEADER_BYTES)
        .saturating_sub(if is_sealed { GCM_TAG_BYTES } else { 0 })
        .saturating_sub(match spec.packet_filter {
            None => 0,
            Some(_) => FILTER_HEADER_BYTES,
        })
}

/// SRT counts these for IPv6 too.
const IP_UDP_BYTES: usize = 20 + 8;

const GCM_TAG_BYTES: usize = 16;

fn key_refresh(spec: &SrtLegSpec) -> RefreshPolicy {
    let default = RefreshPolicy::default();
    let refresh_packets = spec
        .km_refresh_rate
        .map_or(default.refresh_packets, u64::from);
    RefreshPolicy {
        refresh_packets,
        // A key that changes more often than the default announces is announced half a life before.
        pre_announce_packets: spec.km_pre_announce.map_or_else(
            || {
                default
                    .pre_announce_packets
                    .min((refresh_packets / 2).max(1))
            },
            u64::from,
        ),
    }
}
