//! Statistics. Counters come from the table in `shm-proto`, as they come into the answers: a new row needs no line
//! here.

use std::collections::BTreeMap;

use bilbycast_shm_proto::counters::{
    CounterInfo, CounterKind, EndpointState, FlowRecord, FlowState, Health, LegRecord,
    OutputRecord, SrtRecord,
};
use utoipa::openapi::schema::ObjectBuilder;

use super::shape::{
    Fields, SOCKET_ADDRESS, Shape, choice, count, flag, formatted, integer, list, measure, named,
    object, text,
};

pub(super) fn schemas() -> Vec<(&'static str, Shape)> {
    vec![
        ("AudioStream", audio_stream().into()),
        ("DataStream", data_stream().into()),
        ("FlowPids", pids().into()),
        ("FlowStats", flow().into()),
        ("Iat", iat().into()),
        ("InputLeg", leg().into()),
        ("InputStats", input().into()),
        ("MediaAnalysis", media_analysis().into()),
        ("OutputStats", output().into()),
        ("PidStats", pid_stats().into()),
        ("Program", program().into()),
        ("SrtLegStats", srt_leg().into()),
        ("SrtPeerStats", srt_peer().into()),
        ("Stats", stats().into()),
        ("SystemStats", system().into()),
        ("Tr101290", tr101290().into()),
        ("VideoStream", video_stream().into()),
    ]
}

fn stats() -> Fields {
    object("The statistics of the node.")
        .required("system", named("SystemStats"))
        .required("flows", list(named("FlowStats"), "All configured flows."))
}

fn system() -> Fields {
    object("The node itself.")
        .required(
            "uptime_secs",
            count("Seconds since the start of the control plane."),
        )
        .required("total_flows", count("Configured flows."))
        .required("active_flows", count("Flows that run."))
        .required("version", text("Version of the software."))
}

/// Objects inside a flow's statistics, by the first part of the path in the table.
const OBJECTS: [(&str, &str); 4] = [
    ("iat", "Iat"),
    ("input", "InputStats"),
    ("media_analysis", "MediaAnalysis"),
    ("tr101290", "Tr101290"),
];

fn flow() -> Fields {
    let mut flow =
        object("A flow. One that does not run has counters at 0 and null for what is measured.")
            .required("flow_id", text("Id of the flow."))
            .required("flow_name", text("Its name."))
            .required("uptime_secs", count("Seconds since its start."))
            .optional(
                "bandwidth_limit_mbps",
                measure("Limit of what it may carry, in Mb/s."),
            )
            .required("input", named("InputStats"))
            .required("outputs", list(named("OutputStats"), "Its outputs."))
            .nullable("tr101290", named("Tr101290"))
            .nullable("media_analysis", named("MediaAnalysis"))
            .nullable("iat", named("Iat"))
            .nullable(
                "pdv_jitter_us",
                measure("Jitter by RFC 3550 in microseconds."),
            );
    let mut others: BTreeMap<&str, Fields> = BTreeMap::new();
    for row in FlowRecord::FIELDS {
        match row
            .rest
            .map(|path| path.split_once('.').unwrap_or(("", path)))
        {
            Some(("", "pdv_jitter_us")) | None => {}
            Some(("", field)) => flow = with_row(flow, field, row),
            Some((name, _)) if OBJECTS.iter().any(|(known, _)| *known == name) => {}
            Some((name, field)) => {
                let fields = others.remove(name).unwrap_or_else(|| object(""));
                others.insert(name, with_row(fields, field, row));
            }
        }
    }
    for (name, fields) in others {
        flow = flow.optional(name, fields);
    }
    flow
}

fn input() -> Fields {
    let kinds = [
        "rtmp", "rtp", "rtsp", "srt", "test", "udp", "webrtc", "whep",
    ];
    counters("input", object("The input of a flow."))
        .required("input_type", choice(&kinds, "The configured type."))
        .nullable("srt_stats", named("SrtLegStats"))
        .nullable("srt_leg2_stats", named("SrtLegStats"))
        .optional(
            "legs",
            list(named("InputLeg"), "Its legs, when it is repaired."),
        )
}

fn output() -> Fields {
    let kinds = ["hls", "rtmp", "rtp", "srt", "udp", "webrtc"];
    let mut output = object("An output of a flow.")
        .required("output_id", text("Id of the output."))
        .required("output_name", text("Its name."))
        .required("output_type", choice(&kinds, "The configured type."))
        .nullable("srt_stats", named("SrtLegStats"))
        .nullable("srt_leg2_stats", named("SrtLegStats"));
    for row in OutputRecord::FIELDS {
        if let Some(field) = row.rest {
            output = with_row(output, field, row);
        }
    }
    output
}

/// The counters of one object of a flow.
fn counters(name: &str, mut fields: Fields) -> Fields {
    for row in FlowRecord::FIELDS {
        if let Some((object, field)) = row.rest.and_then(|path| path.split_once('.'))
            && object == name
        {
            fields = with_row(fields, field, row);
        }
    }
    fields
}

/// A field of the table.
pub(super) fn with_row(fields: Fields, field: &str, row: &CounterInfo) -> Fields {
    match row.kind {
        CounterKind::Mark => fields.optional(field, counter(row)),
        // The times of an object are there or the object is not.
        CounterKind::Nanoseconds if is_inside(row) => fields.required(field, counter(row)),
        kind if kind.may_be_absent() => fields.nullable(field, counter(row)),
        _ => fields.required(field, counter(row)),
    }
}

/// Whether the row stands in an object that is left out as a whole while nothing is measured.
fn is_inside(row: &CounterInfo) -> bool {
    row.rest.is_some_and(|path| path.starts_with("iat."))
}

fn counter(row: &CounterInfo) -> ObjectBuilder {
    match row.kind {
        CounterKind::Counter | CounterKind::Gauge | CounterKind::Optional => count(row.help.trim()),
        CounterKind::Flag | CounterKind::Mark => flag(row.help.trim()),
        CounterKind::Megabits
        | CounterKind::Milliseconds
        | CounterKind::Nanoseconds
        | CounterKind::Signed => measure(row.help.trim()),
        CounterKind::Code => {
            let texts: Vec<&str> = match row.name {
                "health" => texts(|code| Health::try_from(code).map(Health::as_str)),
                "state" if is_of_flow(row) => {
                    texts(|code| FlowState::try_from(code).map(FlowState::as_str))
                }
                _ => texts(|code| EndpointState::try_from(code).map(EndpointState::as_str)),
            };
            choice(&texts, row.help.trim())
        }
    }
}

fn is_of_flow(row: &CounterInfo) -> bool {
    FlowRecord::FIELDS.contains(row)
}

/// The texts of an enum of the table, whose codes count from 0.
fn texts<E>(text: impl Fn(u64) -> Result<&'static str, E>) -> Vec<&'static str> {
    (0..).map_while(|code| text(code).ok()).collect()
}

fn tr101290() -> Fields {
    counters("tr101290", object("Measurements by ETSI TR 101 290."))
}

fn media_analysis() -> Fields {
    object("What the flow carries.")
        .required("protocol", text("Type of the input."))
        .required("payload_format", text("raw_ts or rtp_ts."))
        .nullable("fec", anything("FEC of the input."))
        .nullable("redundancy", anything("Redundancy of the input."))
        .required("program_count", count("Programs of the PAT."))
        .required("video_streams", list(named("VideoStream"), "Video."))
        .required("audio_streams", list(named("AudioStream"), "Audio."))
        .required(
            "total_bitrate_bps",
            count("Rate of the multiplex in bits per second."),
        )
        .optional(
            "null_bitrate_bps",
            count("Rate of null packets in bits per second."),
        )
        .optional("transport_stream_id", count("Of the PAT."))
        .optional("programs", list(named("Program"), "Programs."))
        .optional("data_streams", list(named("DataStream"), "All others."))
}

fn video_stream() -> Fields {
    stream("A video stream.")
        .nullable("resolution", text("Width and height."))
        .nullable("frame_rate", measure("Frames per second."))
        .nullable("profile", text("Profile of the codec."))
        .nullable("level", text("Level of the codec."))
        .optional("chroma", text("Chroma format."))
        .optional("bit_depth", count("Bits of a sample."))
        .optional("interlaced", flag("Whether it is interlaced."))
}

fn audio_stream() -> Fields {
    stream("An audio stream.")
        .nullable("sample_rate_hz", count("Samples per second."))
        .nullable("channels", count("Channels."))
        .nullable("language", text("ISO 639-2 code."))
}

fn data_stream() -> Fields {
    stream("A stream that is neither video nor audio.")
        .nullable("language", text("ISO 639-2 code."))
}

fn program() -> Fields {
    object("A program.")
        .required("program_number", count("Number."))
        .required("pmt_pid", pid())
        .nullable("pcr_pid", pid())
}

fn pids() -> Fields {
    object("The PIDs of a flow; none while it does not run.")
        .required("flow_id", text("Id of the flow."))
        .required("pids", list(named("PidStats"), "The PIDs."))
        .required("pids_left_out", count("PIDs for which there was no room."))
}

fn pid_stats() -> Fields {
    object("A PID.")
        .required("pid", pid())
        .required("role", text("What it carries."))
        .required("packets", count("Packets."))
        .required("bitrate_bps", count("Bits per second."))
        .required("cc_errors", count("Continuity counter errors."))
        .required(
            "tei_errors",
            count("Packets with the transport error indicator."),
        )
        .required(
            "scrambled_packets",
            count("Packets with a scrambled payload."),
        )
        .nullable("pcrs", count("PCRs."))
        .nullable(
            "pcr_accuracy_errors",
            count("PCRs that are more than 500 ns off."),
        )
}

fn stream(description: &str) -> Fields {
    object(description)
        .required("pid", pid())
        .required("codec", text("Codec."))
        .required("stream_type", integer(0, 255, "Stream type of the PMT."))
        .required("bitrate_bps", count("Bits per second."))
        .optional("program_number", count("Program that it belongs to."))
}

fn pid() -> ObjectBuilder {
    integer(0, 0x1fff, "PID.")
}

fn anything(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
        .description(Some(description))
}

fn iat() -> Fields {
    object("Times between packets over the last second.")
        .required("min_us", measure("Shortest in microseconds."))
        .required("max_us", measure("Longest in microseconds."))
        .required("avg_us", measure("Mean in microseconds."))
}

/// A leg of an input that is repaired.
fn leg() -> Fields {
    let mut leg = object("A leg of an input with ST 2022-7 or ST 2022-1.")
        .required("leg", integer(1, 2, "Its number."))
        .optional("iat", named("Iat"))
        .optional("mdi", leg_mdi());
    for row in LegRecord::FIELDS {
        if let Some(field) = row.rest.filter(|field| !field.contains('.')) {
            leg = with_row(leg, field, row);
        }
    }
    leg
}

fn leg_mdi() -> Fields {
    object("Media delivery index of the leg over the last second (RFC 4445).")
        .optional(
            "delay_factor_us",
            count("Delay factor in microseconds; absent in the first second."),
        )
        .required("media_loss_rate", count("Packets lost, before any repair."))
}

fn srt_leg() -> Fields {
    let leg = object("An SRT leg. With many callers its figures are sums, or those of the worst.")
        .optional(
            "peers",
            list(
                named("SrtPeerStats"),
                "Its callers, longest there first; absent when it does not listen.",
            ),
        )
        .optional(
            "peers_left_out",
            count("Callers for which there was no room in the list."),
        );
    SrtRecord::FIELDS
        .iter()
        .fold(leg, |leg, row| match row.rest {
            Some(field) => with_row(leg, field, row),
            None => leg,
        })
}

/// What a leg and each of its callers have in common is described once, in the table.
fn srt_peer() -> Fields {
    let peer = object("A caller of an SRT leg that listens.")
        .required(
            "remote_addr",
            formatted(SOCKET_ADDRESS, "Where it calls from."),
        )
        .nullable("stream_id", text("What it asked for when it called."));
    PEER_FIELDS.iter().fold(peer, |peer, field| {
        let mut rows = SrtRecord::FIELDS.iter();
        match rows.find(|row| row.rest == Some(field)) {
            Some(row) => with_row(peer, field, row),
            None => peer,
        }
    })
}

const PEER_FIELDS: [&str; 14] = [
    "state",
    "uptime_ms",
    "rtt_ms",
    "recv_latency_ms",
    "send_latency_ms",
    "send_rate_mbps",
    "recv_rate_mbps",
    "pkt_sent_total",
    "pkt_recv_total",
    "bytes_sent_total",
    "bytes_recv_total",
    "pkt_retransmit_total",
    "pkt_loss_total",
    "pkt_drop_total",
];
