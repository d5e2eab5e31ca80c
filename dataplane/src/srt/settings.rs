//! From a specification to the engine's settings.

use bilbycast_shm_proto::model::SrtLegSpec;
use bilbycast_srt::Micros;
use bilbycast_srt::crypto::{CryptoMode, KeyLength, Passphrase, PassphraseError, RefreshPolicy};
use bilbycast_srt::handshake::{RetransmitAlgorithm, Settings, SettingsError};

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

/// Bytes of RTP header that a payload needs room for when RTP packets travel whole.
const RTP_HEADER_BYTES: usize = 12;

/// The engine's settings; `carries_rtp`: 7 x 188 bytes come with an RTP header.
///
/// # Errors
///
/// [`LegSettingsError`].
pub fn settings(spec: &SrtLegSpec, carries_rtp: bool) -> Result<Settings, LegSettingsError> {
    let payload_size = usize::from(spec.payload_size);
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
        peer_idle_timeout: Micros::from_secs(spec.peer_idle_timeout_secs.into()),
        payload_size: if carries_rtp {
            payload_size + RTP_HEADER_BYTES
        } else {
            payload_size
        },
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
