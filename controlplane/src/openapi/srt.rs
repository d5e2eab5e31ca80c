//! SRT addresses and socket parameters (configuration.md 7.1 and 7.2).

use utoipa::openapi::schema::ObjectBuilder;

use super::endpoints::path_differential;
use super::shape::{
    Fields, SOCKET_ADDRESS, choice, count, flag, formatted, integer, integer_from, number_of,
    object, seconds, text_of, with_default,
};

/// Who calls whom, and where.
pub(super) fn addresses(fields: Fields) -> Fields {
    fields
        .required(
            "mode",
            choice(&["caller", "listener", "rendezvous"], "Who calls whom."),
        )
        .required(
            "local_addr",
            formatted(
                SOCKET_ADDRESS,
                "Local address; of a caller usually 0.0.0.0:0.",
            ),
        )
        .optional(
            "remote_addr",
            formatted(SOCKET_ADDRESS, "Far end; needed by caller and rendezvous."),
        )
}

/// What leg 1 and leg 2 have in common; an `mss` below `mss_least` has no room for what is sent.
fn common(fields: Fields, mss_least: i64) -> Fields {
    fields
        .optional(
            "latency_ms",
            with_default(latency("Latency of both directions in milliseconds."), 120),
        )
        .optional(
            "recv_latency_ms",
            latency("Receiver buffer in milliseconds; absent: latency_ms."),
        )
        .optional(
            "peer_latency_ms",
            latency("Least latency asked of the far end in milliseconds; absent: latency_ms."),
        )
        .optional(
            "peer_idle_timeout_secs",
            with_default(
                integer(2, 86_400, "Silence that ends the connection, in seconds."),
                30,
            ),
        )
        .optional(
            "passphrase",
            text_of(10, 79, "Encrypts, at most 79 bytes; absent: clear."),
        )
        .optional(
            "aes_key_len",
            number_of(
                &[16, 24, 32],
                "Length of the key in bytes; with a passphrase only.",
            ),
        )
        .optional(
            "crypto_mode",
            with_default(
                choice(
                    &["aes-ctr", "aes-gcm"],
                    "Cipher mode; aes-gcm not with 24 bytes.",
                ),
                "aes-ctr",
            ),
        )
        .optional(
            "stream_id",
            text_of(
                0,
                512,
                "Sent by a caller, demanded by a listener: every key of #!::key=value,... with its value, or free text as it is.",
            ),
        )
        .optional(
            "max_rexmit_bw",
            with_default(
                integer_from(-1, "Retransmission in bytes per second; -1: without limit."),
                -1,
            ),
        )
        .optional(
            "mss",
            with_default(
                integer(mss_least, 9_000, "Largest packet in bytes."),
                1_500,
            ),
        )
        .optional(
            "tlpkt_drop",
            with_default(flag("Whether packets that are too late are dropped."), true),
        )
        .optional("ip_ttl", with_default(integer(1, 255, "Time to live."), 64))
}

/// All socket parameters of an input.
pub(super) fn input_parameters(fields: Fields) -> Fields {
    parameters(fields, MSS_MIN)
}

/// All socket parameters of an output.
pub(super) fn output_parameters(fields: Fields) -> Fields {
    parameters(fields, MSS_MIN_TS)
}

fn parameters(fields: Fields, mss_least: i64) -> Fields {
    common(fields, mss_least)
        .optional(
            "packet_filter",
            text_of(0, 512, "fec,cols:C,rows:R,layout:X,arq:Y").pattern(Some("^fec,")),
        )
        .optional(
            "max_bw",
            count("Total in bytes per second; absent: without limit."),
        )
        .optional(
            "input_bw",
            with_default(count("Expected rate in bytes per second; 0: estimated."), 0),
        )
        .optional(
            "overhead_bw",
            with_default(integer(5, 100, "Overhead in percent."), 25),
        )
        .optional(
            "retransmit_algo",
            with_default(
                choice(&["default", "reduced"], "Retransmission."),
                "default",
            ),
        )
        .optional(
            "send_drop_delay",
            with_default(
                integer(
                    -1,
                    i32::MAX.into(),
                    "Extra delay of the sender's drop in milliseconds.",
                ),
                -1,
            ),
        )
        .optional(
            "loss_max_ttl",
            with_default(
                integer(0, PACKETS_MAX, "Tolerance of reordering in packets."),
                0,
            ),
        )
        .optional(
            "flight_flag_size",
            with_default(integer(32, PACKETS_MAX, "Packets in flight."), 25_600),
        )
        .optional(
            "send_buffer_size",
            with_default(integer(32, PACKETS_MAX, "Sender buffer in packets."), 8_192),
        )
        .optional(
            "recv_buffer_size",
            with_default(
                integer(32, PACKETS_MAX, "Receiver buffer in packets."),
                8_192,
            ),
        )
        .optional(
            "payload_size",
            with_default(integer(188, 1_456, "Payload of a packet in bytes."), 1_316),
        )
        .optional(
            "ip_tos",
            with_default(integer(0, 255, "Type of service."), 0),
        )
        .optional(
            "connect_timeout_secs",
            with_default(seconds("Patience with the far end in seconds."), 3),
        )
        .optional(
            "enforced_encryption",
            with_default(flag("Whether both ends must agree on encryption."), true),
        )
        .optional(
            "km_refresh_rate",
            integer(1, KEY_PACKETS_MAX, "Packets between two keys."),
        )
        .optional(
            "km_pre_announce",
            with_default(
                integer(
                    1,
                    KEY_PACKETS_MAX,
                    "Packets between announcement and change of a key; at most km_refresh_rate.",
                ),
                4_096,
            ),
        )
}

/// Leg 2 of an output.
pub(super) fn output_leg_2() -> Fields {
    leg_2(MSS_MIN_TS + RTP_HEADER_BYTES)
}

/// Leg 2 of an input.
pub(super) fn input_leg_2() -> Fields {
    leg_2(MSS_MIN).with(path_differential)
}

fn leg_2(mss_least: i64) -> Fields {
    object("ST 2022-7 leg 2.")
        .with(addresses)
        .with(|fields| common(fields, mss_least))
}

fn latency(description: &str) -> ObjectBuilder {
    //= draft-sharabayko-srt 3.2.1.1: a delay has 16 bits on the wire.
    integer(0, u16::MAX.into(), description)
}

/// Least `mss`, and the least with which a packet of transport stream can be sent.
const MSS_MIN: i64 = 76;
const MSS_MIN_TS: i64 = 44 + 188;
const RTP_HEADER_BYTES: i64 = 12;

/// Largest buffer and window, in packets.
const PACKETS_MAX: i64 = 1 << 20;

/// Most packets between two changes of a key.
const KEY_PACKETS_MAX: i64 = (1 << 31) - 1;
