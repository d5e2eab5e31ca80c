//! SRT inputs and outputs as the data plane runs them.

use bilbycast_shm_proto::model::{
    SrtInputRedundancySpec, SrtInputSpec, SrtLegSpec, SrtMode as Mode, SrtOutputSpec, SrtPassphrase,
};

use super::PATH_DIFFERENTIAL_MS_DEFAULT;
use crate::config::model::{
    SRT_LATENCY_MS_DEFAULT, SrtCryptoMode, SrtInputConfig, SrtLegConfig, SrtMode, SrtOutputConfig,
    SrtRetransmitAlgo, SrtSocketConfig,
};

pub(super) fn input_spec(srt: &SrtInputConfig) -> SrtInputSpec {
    SrtInputSpec {
        leg: leg_spec(&srt.leg, &srt.socket),
        redundancy: srt
            .redundancy
            .as_ref()
            .map(|redundancy| SrtInputRedundancySpec {
                leg: leg_spec(&redundancy.leg, &SrtSocketConfig::default()),
                path_differential_ms: redundancy
                    .path_differential_ms
                    .unwrap_or(PATH_DIFFERENTIAL_MS_DEFAULT),
            }),
    }
}

pub(super) fn output_spec(srt: &SrtOutputConfig, wrap_payload_type: u8) -> SrtOutputSpec {
    SrtOutputSpec {
        leg: leg_spec(&srt.leg, &srt.socket),
        redundancy: srt
            .redundancy
            .as_ref()
            .map(|leg| leg_spec(leg, &SrtSocketConfig::default())),
        wrap_payload_type,
    }
}

/// The defaults of configuration.md 7.1.
fn leg_spec(leg: &SrtLegConfig, socket: &SrtSocketConfig) -> SrtLegSpec {
    let latency_ms = leg.latency_ms.unwrap_or(SRT_LATENCY_MS_DEFAULT);
    // The parser keeps latencies to 16 bits, times to a day, and caps at -1 or above.
    let millis =
        |value: Option<u64>| u16::try_from(value.unwrap_or(latency_ms)).unwrap_or(u16::MAX);
    let seconds = |value: Option<u64>, default| {
        value.map_or(default, |value| u32::try_from(value).unwrap_or(u32::MAX))
    };
    SrtLegSpec {
        mode: match leg.mode {
            SrtMode::Caller => Mode::Caller,
            SrtMode::Listener => Mode::Listener,
            SrtMode::Rendezvous => Mode::Rendezvous,
        },
        local_addr: leg.local_addr,
        remote_addr: leg.remote_addr,
        recv_latency_ms: millis(leg.recv_latency_ms),
        peer_latency_ms: millis(leg.peer_latency_ms),
        peer_idle_timeout_secs: seconds(leg.peer_idle_timeout_secs, 30),
        passphrase: leg
            .passphrase
            .as_ref()
            .map(|passphrase| SrtPassphrase(passphrase.expose().to_owned())),
        aes_key_len: leg
            .passphrase
            .is_some()
            .then(|| leg.aes_key_len.unwrap_or(AES_KEY_LEN)),
        aes_gcm: leg.crypto_mode == Some(SrtCryptoMode::AesGcm),
        enforced_encryption: socket.enforced_encryption.unwrap_or(true),
        stream_id: leg.stream_id.clone(),
        packet_filter: socket.packet_filter.as_ref().map(ToString::to_string),
        mss: leg.mss.unwrap_or(1_500),
        flight_flag_size: socket.flight_flag_size.unwrap_or(25_600),
        send_buffer_size: socket.send_buffer_size.unwrap_or(8_192),
        recv_buffer_size: socket.recv_buffer_size.unwrap_or(8_192),
        payload_size: socket.payload_size.unwrap_or(1_316),
        tlpkt_drop: leg.tlpkt_drop.unwrap_or(true),
        max_bw: socket.max_bw.and_then(|bytes| u64::try_from(bytes).ok()),
        input_bw: socket
            .input_bw
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or(0),
        overhead_bw: socket.overhead_bw.unwrap_or(25),
        max_rexmit_bw: leg
            .max_rexmit_bw
            .and_then(|bytes| u64::try_from(bytes).ok()),
        reduced_retransmission: socket.retransmit_algo == Some(SrtRetransmitAlgo::Reduced),
        send_drop_delay_ms: socket
            .send_drop_delay
            .and_then(|millis| u32::try_from(millis).ok()),
        loss_max_ttl: socket.loss_max_ttl.unwrap_or(0),
        ip_tos: socket.ip_tos.unwrap_or(0),
        ip_ttl: leg.ip_ttl.unwrap_or(64),
        connect_timeout_secs: seconds(socket.connect_timeout_secs, 3),
        km_refresh_rate: socket.km_refresh_rate,
        km_pre_announce: socket.km_pre_announce,
    }
}

const AES_KEY_LEN: u8 = 16;
