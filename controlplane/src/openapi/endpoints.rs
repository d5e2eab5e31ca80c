//! Inputs and outputs (configuration.md 5 to 7).

use super::config::{id, name};
use super::shape::{
    Fields, IP_ADDRESS, SOCKET_ADDRESS, Shape, choice, flag, formatted, integer, list, named,
    number, object, seconds, tagged, text, text_of, with_default,
};
use super::srt;
use crate::setup::{NAME_CHARS_MAX, TOKEN_CHARS_MAX, URL_CHARS_MAX};

pub(super) fn schemas() -> Vec<(&'static str, Shape)> {
    let inputs = [
        ("rtmp", "RtmpInput"),
        ("rtp", "RtpInput"),
        ("rtsp", "RtspInput"),
        ("srt", "SrtInput"),
        ("test", "TestInput"),
        ("udp", "UdpInput"),
        ("webrtc", "WebrtcInput"),
        ("whep", "WhepInput"),
    ];
    let outputs = [
        ("hls", "HlsOutput"),
        ("rtmp", "RtmpOutput"),
        ("rtp", "RtpOutput"),
        ("srt", "SrtOutput"),
        ("udp", "UdpOutput"),
        ("webrtc", "WebrtcOutput"),
    ];
    vec![
        ("FecConfig", fec().into()),
        ("HlsOutput", hls_output().into()),
        ("InputConfig", tagged(&inputs, "Where a flow comes from.")),
        ("OutputConfig", tagged(&outputs, "Where a flow goes.")),
        ("RtmpInput", rtmp_input().into()),
        ("RtmpOutput", rtmp_output().into()),
        ("RtpInput", rtp_input().into()),
        ("RtpInputLeg2", rtp_input_leg_2().into()),
        ("RtpOutput", rtp_output().into()),
        ("RtpOutputLeg2", rtp_output_leg_2().into()),
        ("RtspInput", rtsp_input().into()),
        ("SrtInput", srt_input().into()),
        ("SrtInputLeg2", srt::input_leg_2().into()),
        ("SrtOutput", srt_output().into()),
        ("SrtOutputLeg2", srt::output_leg_2().into()),
        ("TestInput", test_input().into()),
        ("UdpInput", udp_input().into()),
        ("UdpOutput", udp_output().into()),
        ("WebrtcInput", webrtc_input().into()),
        ("WebrtcOutput", webrtc_output().into()),
        ("WhepInput", whep_input().into()),
    ]
}

fn input(kind: &str, description: &str) -> Fields {
    object(description).required("type", choice(&[kind], "Kind of the input."))
}

fn output(kind: &str, description: &str) -> Fields {
    object(description)
        .required("type", choice(&[kind], "Kind of the output."))
        .required("id", id("Unique within the flow."))
        .required("name", name())
}

/// Where one leg receives.
fn receive(fields: Fields) -> Fields {
    fields
        .required(
            "bind_addr",
            formatted(SOCKET_ADDRESS, "Address or multicast group, and port."),
        )
        .optional(
            "interface_addr",
            formatted(IP_ADDRESS, "Address of the network interface for the join."),
        )
        .optional(
            "source_addr",
            formatted(IP_ADDRESS, "Source of a source-specific join."),
        )
}

/// Where one leg sends.
fn send(fields: Fields) -> Fields {
    fields
        .required(
            "dest_addr",
            formatted(SOCKET_ADDRESS, "Address or multicast group, and port."),
        )
        .optional(
            "bind_addr",
            formatted(SOCKET_ADDRESS, "Local address; absent: the system chooses."),
        )
        .optional(
            "interface_addr",
            formatted(
                IP_ADDRESS,
                "Address of the network interface for multicast.",
            ),
        )
        .optional(
            "dscp",
            integer(
                0,
                63,
                "Differentiated services code point; absent: 46, on leg 2 that of leg 1.",
            ),
        )
}

fn rtp_enabled(fields: Fields) -> Fields {
    fields.optional(
        "rtp_enabled",
        with_default(flag("Whether this leg is on; written by NMOS."), true),
    )
}

fn master_enable(fields: Fields) -> Fields {
    fields.optional(
        "master_enable",
        with_default(flag("Whether any leg is on; written by NMOS."), true),
    )
}

fn fec() -> Fields {
    object(
        "Forward error correction, SMPTE ST 2022-1. The FEC ports are the media port + 2 and + 4.",
    )
    .required("columns", integer(1, 20, "L."))
    .required("rows", integer(4, 20, "D."))
    .optional(
        "mode",
        choice(
            &["1D", "2D"],
            "Encoder: column FEC alone, or row FEC as well; absent: 2D, and 1D when L is 1.",
        ),
    )
    .optional(
        "layout",
        choice(
            &["block_aligned", "staircase"],
            "Encoder: when the columns begin; absent: block_aligned.",
        ),
    )
}

fn mbps(description: &str) -> utoipa::openapi::schema::ObjectBuilder {
    number(0.000_001, 10_000.0, description)
}

fn rtp_input() -> Fields {
    input("rtp", "RTP.")
        .with(receive)
        .with(rtp_enabled)
        .with(master_enable)
        .optional("fec_decode", named("FecConfig"))
        .optional("tr07_mode", flag("Whether TR-07 (JPEG XS) is reported."))
        .optional(
            "allowed_sources",
            list(
                text("An IP address, or a range of them such as 192.0.2.0/24."),
                "Sources that may send; absent: all.",
            )
            .min_items(Some(1)),
        )
        .optional(
            "allowed_payload_types",
            list(
                integer(0, 127, "A payload type."),
                "Payload types that may come; absent: all.",
            )
            .min_items(Some(1)),
        )
        .optional("max_bitrate_mbps", mbps("Policer in Mb/s."))
        .optional("redundancy", named("RtpInputLeg2"))
}

fn rtp_input_leg_2() -> Fields {
    object("ST 2022-7 leg 2.")
        .with(receive)
        .with(rtp_enabled)
        .with(path_differential)
}

/// Merge buffer of an input with two legs.
pub(super) fn path_differential(fields: Fields) -> Fields {
    fields.optional(
        "path_differential_ms",
        with_default(integer(1, 2_000, "Merge buffer in milliseconds."), 50),
    )
}

fn udp_input() -> Fields {
    input("udp", "Raw UDP.").with(receive)
}

fn test_input() -> Fields {
    let rate = number(0.3, 10_000.0, "Rate of the multiplex in Mb/s.");
    input("test", "The built-in source of a test picture and tone.")
        .optional("bitrate_mbps", with_default(rate, 10))
}

fn srt_input() -> Fields {
    input("srt", "SRT.")
        .with(srt::addresses)
        .with(srt::input_parameters)
        .optional("redundancy", named("SrtInputLeg2"))
}

fn rtmp_input() -> Fields {
    input("rtmp", "An RTMP server.")
        .required(
            "listen_addr",
            formatted(
                SOCKET_ADDRESS,
                "Address to listen on; the usual port is 1935.",
            ),
        )
        .optional(
            "app",
            with_default(
                text_of(
                    1,
                    NAME_CHARS_MAX,
                    "First part of the URL path, without /, ?, # and spaces.",
                ),
                "live",
            ),
        )
        .optional(
            "stream_key",
            text_of(1, TOKEN_CHARS_MAX, "Key of the publisher; absent: any."),
        )
        .optional(
            "max_publishers",
            with_default(
                integer(1, u32::MAX.into(), "Publishers at the same time."),
                1,
            ),
        )
}

fn rtsp_input() -> Fields {
    input("rtsp", "An RTSP client.")
        .required("rtsp_url", url("^rtsps?://.", "Source."))
        .optional(
            "username",
            text_of(1, TOKEN_CHARS_MAX, "For Digest or Basic."),
        )
        .optional(
            "password",
            text_of(1, TOKEN_CHARS_MAX, "For Digest or Basic."),
        )
        .optional(
            "transport",
            with_default(choice(&["tcp", "udp"], "How RTP comes."), "tcp"),
        )
        .optional(
            "timeout_secs",
            with_default(seconds("Patience with the server in seconds."), 10),
        )
        .optional(
            "reconnect_delay_secs",
            with_default(seconds("Pause before another attempt in seconds."), 5),
        )
}

fn webrtc_input() -> Fields {
    input("webrtc", "A WHIP server.")
        .optional(
            "bearer_token",
            text_of(1, TOKEN_CHARS_MAX, "Demanded from publishers."),
        )
        .optional(
            "video_only",
            with_default(flag("Whether audio is ignored."), false),
        )
        .optional(
            "public_ip",
            formatted(IP_ADDRESS, "Advertised ICE candidate."),
        )
        .optional(
            "stun_server",
            text_of(1, URL_CHARS_MAX, "host:port or stun:host:port.")
                .pattern(Some("^(stun:)?[^:]")),
        )
}

fn whep_input() -> Fields {
    input("whep", "A WHEP client.")
        .required("whep_url", url("^https?://.", "Source."))
        .optional(
            "bearer_token",
            text_of(1, TOKEN_CHARS_MAX, "Sent to the server."),
        )
        .optional(
            "video_only",
            with_default(flag("Whether audio is ignored."), false),
        )
}

fn url(pattern: &str, description: &str) -> utoipa::openapi::schema::ObjectBuilder {
    text_of(1, URL_CHARS_MAX, description).pattern(Some(pattern))
}

fn rtp_output() -> Fields {
    output("rtp", "RTP.")
        .with(send)
        .with(rtp_enabled)
        .with(master_enable)
        .optional("fec_encode", named("FecConfig"))
        .optional(
            "payload_type",
            integer(0, 127, "Rewrites the payload type."),
        )
        .optional("redundancy", named("RtpOutputLeg2"))
}

fn rtp_output_leg_2() -> Fields {
    object("ST 2022-7 leg 2.").with(send).with(rtp_enabled)
}

fn udp_output() -> Fields {
    output("udp", "Transport stream packets in raw UDP.").with(send)
}

fn srt_output() -> Fields {
    output("srt", "SRT.")
        .with(srt::addresses)
        .with(srt::output_parameters)
        .optional("redundancy", named("SrtOutputLeg2"))
}

fn rtmp_output() -> Fields {
    output("rtmp", "An RTMP publisher.")
        .required("dest_url", url("^rtmps?://.", "Server and application."))
        .required(
            "stream_key",
            text_of(1, TOKEN_CHARS_MAX, "Key of the stream."),
        )
        .optional(
            "reconnect_delay_secs",
            with_default(seconds("Pause before another attempt in seconds."), 5),
        )
        .optional(
            "max_reconnect_attempts",
            integer(0, u32::MAX.into(), "Attempts in a row; absent: any number."),
        )
}

fn hls_output() -> Fields {
    output("hls", "HLS by HTTP PUT or POST.")
        .required("ingest_url", url("^https?://.", "Where segments go."))
        .optional(
            "segment_duration_secs",
            with_default(number(0.5, 10.0, "Length of a segment in seconds."), 2),
        )
        .optional(
            "auth_token",
            text_of(1, TOKEN_CHARS_MAX, "Sent as bearer token."),
        )
        .optional(
            "max_segments",
            with_default(integer(1, 30, "Segments in the list."), 5),
        )
}

fn webrtc_output() -> Fields {
    output("webrtc", "WebRTC.")
        .optional(
            "mode",
            with_default(
                choice(&["whep_server", "whip_client"], "Who calls whom."),
                "whip_client",
            ),
        )
        .optional(
            "whip_url",
            url("^https?://.", "Server; needed by a WHIP client."),
        )
        .optional(
            "bearer_token",
            text_of(1, TOKEN_CHARS_MAX, "Sent by WHIP, demanded by WHEP."),
        )
        .optional(
            "max_viewers",
            with_default(integer(1, 100, "Viewers of a WHEP server."), 10),
        )
        .optional(
            "public_ip",
            formatted(IP_ADDRESS, "Advertised ICE candidate."),
        )
        .optional(
            "video_only",
            with_default(flag("Whether audio is left out."), false),
        )
}
