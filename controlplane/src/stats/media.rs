//! What is in a flow's stream: `media_analysis` of the statistics, and the list of PIDs.

use bilbycast_shm_proto::counters::{ABSENT, FlowRecord};
use bilbycast_shm_proto::detail::{
    AudioDetail, DataDetail, PidDetail, ProgrammeDetail, StreamDetail, VideoDetail,
};
use bilbycast_shm_proto::shm::FlowSnapshot;

use super::{Tree, endpoint};
use crate::config::{
    FecConfig, FlowConfig, InputConfig, PATH_DIFFERENTIAL_MS_DEFAULT, SrtPacketFilter,
};

/// `media_analysis` of a flow.
pub(super) fn analysis<'a>(
    flow: &'a FlowConfig,
    values: &FlowSnapshot,
    detail: &'a StreamDetail,
) -> Tree<'a> {
    let record = &values.record;
    let payload_format = match flow.input {
        InputConfig::Rtp(_) => "rtp_ts",
        // Whether its messages are RTP is the sender's choice.
        InputConfig::Srt(_) if record.input_payload_type != ABSENT => "rtp_ts",
        _ => "raw_ts",
    };
    let mut tree = Tree::with_room(FIELDS_USUAL);
    tree.set("protocol", flow.input.type_name());
    tree.set("payload_format", payload_format);
    tree.set("fec", fec(flow, values));
    tree.set("redundancy", redundancy(flow, values));
    tree.set("program_count", detail.programmes.len() as u64);
    tree.set("video_streams", list(&detail.video_streams, video));
    tree.set("audio_streams", list(&detail.audio_streams, audio));
    tree.set("total_bitrate_bps", detail.total_bitrate_bps);
    tree.set("null_bitrate_bps", detail.null_bitrate_bps);
    tree.set("transport_stream_id", number(detail.transport_stream_id));
    tree.set("programs", list(&detail.programmes, programme));
    tree.set("data_streams", list(&detail.data_streams, data));
    tree
}

/// What repairs single packets; null when nothing does.
fn fec<'a>(flow: &'a FlowConfig, values: &FlowSnapshot) -> Tree<'a> {
    match &flow.input {
        InputConfig::Rtp(rtp) => {
            let fec = rtp.fec_decode.as_ref();
            fec.map_or(Tree::Null, |fec| matrix(fec, &values.record))
        }
        InputConfig::Srt(srt) => {
            let filter = srt.socket.packet_filter.as_ref();
            filter.map_or(Tree::Null, |filter| packet_filter(filter, values))
        }
        _ => Tree::Null,
    }
}

fn matrix<'a>(fec: &FecConfig, record: &FlowRecord) -> Tree<'a> {
    let mut tree = Tree::object();
    tree.set("standard", "SMPTE ST 2022-1");
    tree.set("columns", u64::from(fec.columns));
    tree.set("rows", u64::from(fec.rows));
    tree.set("packets_received", record.input_fec_packets_received);
    tree.set("packets_recovered", record.input_packets_recovered_fec);
    tree.set("mismatch", record.input_fec_mismatch != 0);
    tree
}

/// The FEC of SRT. Leg 2 has none.
fn packet_filter<'a>(filter: &'a SrtPacketFilter, values: &FlowSnapshot) -> Tree<'a> {
    let [leg, _] = &values.srt;
    let recovered = leg.as_ref().map_or(0, |leg| leg.pkt_filter_recovered_total);
    let mut tree = Tree::object();
    tree.set("standard", "SRT packet filter");
    tree.set("columns", u64::from(filter.columns));
    tree.set("rows", u64::from(filter.rows));
    tree.set("packets_recovered", recovered);
    tree
}

/// What repairs whole outages; null when nothing does.
fn redundancy<'a>(flow: &FlowConfig, values: &FlowSnapshot) -> Tree<'a> {
    let record = &values.record;
    let path_differential_ms = match &flow.input {
        InputConfig::Rtp(rtp) => rtp.redundancy.as_ref().map(|leg| leg.path_differential_ms),
        InputConfig::Srt(srt) => srt.redundancy.as_ref().map(|leg| leg.path_differential_ms),
        _ => None,
    };
    let Some(path_differential_ms) = path_differential_ms else {
        return Tree::Null;
    };
    let mut tree = Tree::object();
    tree.set("standard", "SMPTE ST 2022-7");
    tree.set(
        "path_differential_ms",
        u64::from(path_differential_ms.unwrap_or(PATH_DIFFERENTIAL_MS_DEFAULT)),
    );
    tree.set("switches", record.input_redundancy_switches);
    tree.set("packets_late", record.input_packets_late);
    let legs = (1_u64..).zip(&values.legs).filter_map(|(number, leg)| {
        let leg = leg.as_ref()?;
        let mut tree = Tree::with_room(FIELDS_USUAL);
        tree.set("leg", number);
        tree.set("state", or_null(endpoint(leg.state)));
        tree.set("packets_received", leg.packets_received);
        tree.set("packets_used", leg.packets_used);
        tree.set("packets_lost", leg.packets_lost);
        tree.set("packets_late", leg.packets_late);
        tree.set("packets_duplicate", leg.packets_duplicate);
        tree.set("packets_foreign", leg.packets_foreign);
        Some(tree)
    });
    tree.set("legs", Tree::List(legs.collect()));
    tree
}

/// The PIDs of a flow; none while it does not run.
pub(super) fn pids<'a>(flow_id: &'a str, detail: Option<&'a StreamDetail>) -> Tree<'a> {
    let mut tree = Tree::object();
    tree.set("flow_id", flow_id);
    let known = detail.map_or(&[][..], |detail| &detail.pids);
    tree.set("pids", list(known, pid));
    tree.set(
        "pids_left_out",
        detail.map_or(0, |detail| detail.pids_left_out),
    );
    tree
}

fn video(stream: &VideoDetail) -> Tree<'_> {
    let mut tree = Tree::with_room(FIELDS_USUAL);
    tree.set("pid", u64::from(stream.pid));
    tree.set("codec", stream.codec.as_str());
    tree.set("stream_type", u64::from(stream.stream_type));
    tree.set("resolution", text(stream.resolution.as_deref()));
    tree.set("frame_rate", or_null(stream.frame_rate));
    tree.set("profile", text(stream.profile.as_deref()));
    tree.set("level", text(stream.level.as_deref()));
    tree.set("bitrate_bps", stream.bitrate_bps);
    tree.set("program_number", u64::from(stream.program_number));
    tree.set("chroma", text(stream.chroma.as_deref()));
    tree.set("bit_depth", number(stream.bit_depth));
    tree.set("interlaced", or_null(stream.interlaced));
    tree
}

fn audio(stream: &AudioDetail) -> Tree<'_> {
    let mut tree = Tree::with_room(FIELDS_USUAL);
    tree.set("pid", u64::from(stream.pid));
    tree.set("codec", stream.codec.as_str());
    tree.set("stream_type", u64::from(stream.stream_type));
    tree.set("sample_rate_hz", number(stream.sample_rate_hz));
    tree.set("channels", number(stream.channels));
    tree.set("language", text(stream.language.as_deref()));
    tree.set("bitrate_bps", stream.bitrate_bps);
    tree.set("program_number", u64::from(stream.program_number));
    tree
}

fn data(stream: &DataDetail) -> Tree<'_> {
    let mut tree = Tree::with_room(FIELDS_USUAL);
    tree.set("pid", u64::from(stream.pid));
    tree.set("codec", stream.codec.as_str());
    tree.set("stream_type", u64::from(stream.stream_type));
    tree.set("language", text(stream.language.as_deref()));
    tree.set("bitrate_bps", stream.bitrate_bps);
    tree.set("program_number", u64::from(stream.program_number));
    tree
}

fn programme(programme: &ProgrammeDetail) -> Tree<'_> {
    let mut tree = Tree::object();
    tree.set("program_number", u64::from(programme.number));
    tree.set("pmt_pid", u64::from(programme.pmt_pid));
    tree.set("pcr_pid", number(programme.pcr_pid));
    tree
}

fn pid(pid: &PidDetail) -> Tree<'_> {
    let mut tree = Tree::with_room(FIELDS_USUAL);
    tree.set("pid", u64::from(pid.pid));
    tree.set("role", pid.role.as_str());
    tree.set("packets", pid.packets);
    tree.set("bitrate_bps", pid.bitrate_bps);
    tree.set("cc_errors", pid.cc_errors);
    tree.set("tei_errors", pid.tei_errors);
    tree.set("scrambled_packets", pid.scrambled_packets);
    tree.set("pcrs", number(pid.pcrs));
    tree.set("pcr_accuracy_errors", number(pid.pcr_accuracy_errors));
    tree
}

fn list<'a, T>(items: &'a [T], tree: impl Fn(&'a T) -> Tree<'a>) -> Tree<'a> {
    Tree::List(items.iter().map(tree).collect())
}

fn text(text: Option<&str>) -> Tree<'_> {
    or_null(text)
}

fn number<'a>(number: Option<impl Into<u64>>) -> Tree<'a> {
    or_null(number.map(Into::into))
}

fn or_null<'a>(value: Option<impl Into<Tree<'a>>>) -> Tree<'a> {
    value.map_or(Tree::Null, Into::into)
}

const FIELDS_USUAL: usize = 12;
