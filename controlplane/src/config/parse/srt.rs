//! SRT inputs and outputs (configuration.md 5.3, 6.3, 7.1, 7.2).

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::super::error::{ConfigError, Problem};
use super::super::model::{
    Credential, SrtCryptoMode, SrtInputConfig, SrtInputRedundancy, SrtLegConfig, SrtMode,
    SrtOutputConfig, SrtRetransmitAlgo, SrtSocketConfig,
};
use super::super::raw::{Object, UnknownFields};
use super::{SECONDS, leg, srt_filter};

pub(super) fn input(
    object: &mut Object,
    unknown: &mut UnknownFields,
) -> Result<SrtInputConfig, ConfigError> {
    let leg_1 = srt_leg(object)?;
    let socket = socket(object, leg_1.mode)?;
    let redundancy = match object.object("redundancy", "redundancy")? {
        None => None,
        Some(mut leg_2) => {
            let redundancy = SrtInputRedundancy {
                leg: srt_leg(&mut leg_2)?,
                path_differential_ms: leg::path_differential(&mut leg_2)?,
            };
            leg_2.finish(unknown);
            Some(redundancy)
        }
    };
    Ok(SrtInputConfig {
        leg: leg_1,
        socket,
        redundancy,
    })
}

pub(super) fn output(
    object: &mut Object,
    unknown: &mut UnknownFields,
) -> Result<SrtOutputConfig, ConfigError> {
    let leg_1 = srt_leg(object)?;
    let socket = socket(object, leg_1.mode)?;
    let redundancy = match object.object("redundancy", "redundancy")? {
        None => {
            fits(object, &leg_1, &socket)?;
            None
        }
        Some(mut leg_2) => {
            let leg = srt_leg(&mut leg_2)?;
            fits_with_rtp(object, &leg_1, &socket, &socket)?;
            fits_with_rtp(&leg_2, &leg, &SrtSocketConfig::default(), &socket)?;
            leg_2.finish(unknown);
            Some(leg)
        }
    };
    Ok(SrtOutputConfig {
        leg: leg_1,
        socket,
        redundancy,
    })
}

//= draft-sharabayko-srt 3.2.1.1: a delay has 16 bits on the wire.
const LATENCIES_MS: RangeInclusive<u64> = 0..=65_535;

/// Lengths of a passphrase, in characters (configuration.md 17) and, as keys are derived from it, in bytes.
const PASSPHRASE_CHARS: RangeInclusive<usize> = 10..=79;

/// Far ends that have nothing to say say so once a second, so that a silence of one second is none.
const IDLE_SECONDS: RangeInclusive<u64> = 2..=86_400;

/// Packets of a key, when nothing is configured (configuration.md 7.1).
const KM_REFRESH_RATE_DEFAULT: u32 = 1 << 24;

/// Bytes of payload, when nothing is configured.
const PAYLOAD_SIZE_DEFAULT: u16 = 1_316;
const MSS_DEFAULT: u16 = 1_500;

/// Bytes of IPv4, UDP and SRT headers; SRT counts the same for IPv6.
const HEADERS_BYTES: u16 = 44;
/// What AES-GCM adds to a payload.
const GCM_TAG_BYTES: u16 = 16;
/// What the packet filter puts in front of one.
const FILTER_BYTES: u16 = 4;
const RTP_HEADER_BYTES: u16 = 12;
const TS_PACKET_BYTES: u16 = 188;

/// Longest stream id, in characters and, as the handshake carries it, in bytes.
const STREAM_ID_MAX: usize = 512;

/// Sizes of buffers and windows in packets; the largest holds 10 s at 1 Gb/s.
const PACKETS: RangeInclusive<u32> = 32..=1 << 20;

/// Numbers of packets between two changes of a key; sequence numbers have 31 bits.
const KEY_PACKETS: RangeInclusive<u32> = 1..=(1 << 31) - 1;

fn srt_leg(object: &mut Object) -> Result<SrtLegConfig, ConfigError> {
    let mode = object.word(
        "mode",
        &[
            ("caller", SrtMode::Caller),
            ("listener", SrtMode::Listener),
            ("rendezvous", SrtMode::Rendezvous),
        ],
    )?;
    let mode = object.required("mode", mode)?;
    let local_addr = local_addr(object)?;
    let leg = SrtLegConfig {
        mode,
        local_addr,
        remote_addr: remote_addr(object, mode, local_addr)?,
        latency_ms: object.integer("latency_ms", LATENCIES_MS)?,
        recv_latency_ms: object.integer("recv_latency_ms", LATENCIES_MS)?,
        peer_latency_ms: object.integer("peer_latency_ms", LATENCIES_MS)?,
        peer_idle_timeout_secs: object.integer("peer_idle_timeout_secs", IDLE_SECONDS)?,
        passphrase: passphrase(object)?,
        aes_key_len: aes_key_len(object)?,
        crypto_mode: object.word(
            "crypto_mode",
            &[
                ("aes-ctr", SrtCryptoMode::AesCtr),
                ("aes-gcm", SrtCryptoMode::AesGcm),
            ],
        )?,
        stream_id: stream_id(object)?,
        max_rexmit_bw: object.integer("max_rexmit_bw", -1..=i64::MAX)?,
        mss: object.integer("mss", 76..=9_000)?,
        tlpkt_drop: object.flag("tlpkt_drop")?,
        ip_ttl: object.integer("ip_ttl", 1..=255)?,
    };
    if let Some(aes_key_len) = leg.aes_key_len {
        if leg.passphrase.is_none() {
            let rule = "without a passphrase nothing is encrypted";
            return Err(object.error("aes_key_len", Problem::rule(aes_key_len, rule)));
        }
        if aes_key_len == 24 && leg.crypto_mode == Some(SrtCryptoMode::AesGcm) {
            let rule = "with crypto_mode \"aes-gcm\" it is 16 or 32";
            return Err(object.error("aes_key_len", Problem::rule(aes_key_len, rule)));
        }
    }
    Ok(leg)
}

fn local_addr(object: &mut Object) -> Result<SocketAddr, ConfigError> {
    let address = leg::socket_addr(object, "local_addr")?;
    let address = object.required("local_addr", address)?;
    if leg::is_unicast(address.ip()) || address.ip().is_unspecified() {
        Ok(address)
    } else {
        let rule = "SRT runs between unicast addresses";
        Err(leg::broken(object, "local_addr", address, rule))
    }
}

fn remote_addr(
    object: &mut Object,
    mode: SrtMode,
    local_addr: SocketAddr,
) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(address) = leg::socket_addr(object, "remote_addr")? else {
        let by = match mode {
            SrtMode::Caller => "mode caller",
            SrtMode::Listener => return Ok(None),
            SrtMode::Rendezvous => "mode rendezvous",
        };
        return Err(object.error("remote_addr", Problem::Required { by: by.to_owned() }));
    };
    let refuse = |rule: &str| Err(leg::broken(object, "remote_addr", address, rule));
    if !leg::is_unicast(address.ip()) || address.port() == 0 {
        return refuse("the far end has a unicast address and a port other than 0");
    }
    leg::same_family(object, "remote_addr", address, ("local_addr", local_addr))?;
    if mode == SrtMode::Caller && address == local_addr {
        return refuse("it is the same as local_addr, and a caller cannot call itself");
    }
    Ok(Some(address))
}

fn aes_key_len(object: &mut Object) -> Result<Option<u8>, ConfigError> {
    let Some(value) = object.value("aes_key_len") else {
        return Ok(None);
    };
    match value.as_u64() {
        Some(16) => Ok(Some(16)),
        Some(24) => Ok(Some(24)),
        Some(32) => Ok(Some(32)),
        _ => {
            let problem = Problem::unexpected(&value, "16, 24 or 32 (bytes)");
            Err(object.error("aes_key_len", problem))
        }
    }
}

fn passphrase(object: &mut Object) -> Result<Option<Credential>, ConfigError> {
    let passphrase = object.credential("passphrase", PASSPHRASE_CHARS)?;
    match passphrase {
        Some(passphrase) if !PASSPHRASE_CHARS.contains(&passphrase.expose().len()) => {
            let expected = "a string of 10 to 79 characters and at most 79 bytes".to_owned();
            Err(object.error("passphrase", Problem::Secret { expected }))
        }
        other => Ok(other),
    }
}

fn stream_id(object: &mut Object) -> Result<Option<String>, ConfigError> {
    let text = object.text("stream_id", 0..=STREAM_ID_MAX)?;
    match text {
        //= draft-sharabayko-srt 3.2.1.3: the extension carries 512 bytes at most.
        Some(text) if text.len() > STREAM_ID_MAX => {
            let expected = format!("at most {STREAM_ID_MAX} bytes");
            Err(object.error(
                "stream_id",
                Problem::unexpected(&Value::from(text), expected),
            ))
        }
        // The handshake fills up with zeros, so that a text that has one ends there.
        Some(text) if text.contains('\0') => {
            let expected = "a string without the character U+0000";
            let problem = Problem::unexpected(&Value::from(text), expected);
            Err(object.error("stream_id", problem))
        }
        other => Ok(other),
    }
}

fn socket(object: &mut Object, mode: SrtMode) -> Result<SrtSocketConfig, ConfigError> {
    let socket = SrtSocketConfig {
        packet_filter: srt_filter::packet_filter(object)?,
        max_bw: object.integer("max_bw", 0..=i64::MAX)?,
        input_bw: object.integer("input_bw", 0..=i64::MAX)?,
        overhead_bw: object.integer("overhead_bw", 5..=100)?,
        retransmit_algo: object.word(
            "retransmit_algo",
            &[
                ("default", SrtRetransmitAlgo::Default),
                ("reduced", SrtRetransmitAlgo::Reduced),
            ],
        )?,
        send_drop_delay: object.integer("send_drop_delay", -1..=i32::MAX)?,
        loss_max_ttl: object.integer("loss_max_ttl", 0..=*PACKETS.end())?,
        flight_flag_size: object.integer("flight_flag_size", PACKETS)?,
        send_buffer_size: object.integer("send_buffer_size", PACKETS)?,
        recv_buffer_size: object.integer("recv_buffer_size", PACKETS)?,
        payload_size: object.integer("payload_size", 188..=1_456)?,
        ip_tos: object.integer("ip_tos", 0..=255)?,
        connect_timeout_secs: object.integer("connect_timeout_secs", SECONDS)?,
        enforced_encryption: object.flag("enforced_encryption")?,
        km_refresh_rate: object.integer("km_refresh_rate", KEY_PACKETS)?,
        km_pre_announce: object.integer("km_pre_announce", KEY_PACKETS)?,
    };
    let refresh = socket.km_refresh_rate.unwrap_or(KM_REFRESH_RATE_DEFAULT);
    if let Some(announce) = socket
        .km_pre_announce
        .filter(|announce| *announce > refresh)
    {
        let rule = format!("a key is announced within its life, and km_refresh_rate is {refresh}");
        return Err(object.error("km_pre_announce", Problem::rule(announce, rule)));
    }
    match &socket.packet_filter {
        Some(filter) if mode == SrtMode::Rendezvous => {
            let rule = "a packet filter is not possible with mode rendezvous";
            let found = Value::from(filter.to_string());
            Err(object.error("packet_filter", Problem::rule(found, rule)))
        }
        _ => Ok(socket),
    }
}

/// Bytes of the longest message that a packet of the leg has room for.
fn room(leg: &SrtLegConfig, socket: &SrtSocketConfig) -> u16 {
    let is_sealed = leg.passphrase.is_some() && leg.crypto_mode == Some(SrtCryptoMode::AesGcm);
    let tag_bytes = if is_sealed { GCM_TAG_BYTES } else { 0 };
    let filter_bytes = socket.packet_filter.as_ref().map_or(0, |_| FILTER_BYTES);
    let mss = leg.mss.unwrap_or(MSS_DEFAULT);
    mss.saturating_sub(HEADERS_BYTES + tag_bytes + filter_bytes)
}

/// Checks that transport stream can be sent: what does not fit into a packet is sent by nobody.
fn fits(object: &Object, leg: &SrtLegConfig, socket: &SrtSocketConfig) -> Result<(), ConfigError> {
    let room = room(leg, socket);
    if room < TS_PACKET_BYTES {
        let rule = format!("{room} bytes fit into a packet, and a TS packet has {TS_PACKET_BYTES}");
        let mss = leg.mss.unwrap_or(MSS_DEFAULT);
        return Err(object.error("mss", Problem::rule(mss, rule)));
    }
    match socket.payload_size.filter(|size| *size > room) {
        Some(payload_size) => {
            let rule = format!("{room} bytes fit into a packet (mss, encryption, packet filter)");
            Err(object.error("payload_size", Problem::rule(payload_size, rule)))
        }
        None => Ok(()),
    }
}

/// Checks that RTP packets can be sent whole on a leg, with the payload that is configured for both.
fn fits_with_rtp(
    object: &Object,
    leg: &SrtLegConfig,
    socket: &SrtSocketConfig,
    of_both: &SrtSocketConfig,
) -> Result<(), ConfigError> {
    let room = room(leg, socket);
    // Transport stream travels in datagrams of at most the default.
    let payload_size = of_both.payload_size.unwrap_or(PAYLOAD_SIZE_DEFAULT);
    let payload_size = payload_size.min(PAYLOAD_SIZE_DEFAULT);
    let needed = RTP_HEADER_BYTES + payload_size;
    if needed <= room {
        return Ok(());
    }
    let rule = format!(
        "{room} bytes fit into a packet, and an RTP packet with a payload of {payload_size} has {needed}"
    );
    let mss = leg.mss.unwrap_or(MSS_DEFAULT);
    Err(object.error("mss", Problem::rule(mss, rule)))
}
