//! What the analyser has found, in the words of the shared memory.

use bilbycast_mpegts::Analyser;
use bilbycast_mpegts::analysis::{MediaInfo, PidReport, Role, Stream, StreamKind};
use bilbycast_shm_proto::detail::{
    AudioDetail, DataDetail, PidDetail, ProgrammeDetail, StreamDetail, VideoDetail,
};

/// Everything that is known of the stream at this moment.
pub(super) fn of(analyser: &Analyser) -> StreamDetail {
    let mut detail = StreamDetail {
        transport_stream_id: analyser.transport_stream_id(),
        programmes: analyser
            .programmes()
            .map(|programme| ProgrammeDetail {
                number: programme.number,
                pmt_pid: programme.pmt_pid,
                pcr_pid: programme.pcr_pid,
            })
            .collect(),
        total_bitrate_bps: analyser.total_bitrate_bps(),
        null_bitrate_bps: analyser.null_bitrate_bps(),
        jpeg_xs_pid: analyser.jpeg_xs_pid(),
        pids: analyser.pids().map(|report| pid(&report)).collect(),
        ..StreamDetail::default()
    };
    for stream in analyser.streams() {
        let bitrate_bps = analyser
            .pid(stream.pid)
            .map_or(0, |report| report.bitrate_bps);
        match stream.codec.kind() {
            StreamKind::Audio => detail.audio_streams.push(audio(stream, bitrate_bps)),
            StreamKind::Data => detail.data_streams.push(data(stream, bitrate_bps)),
            StreamKind::Video => detail.video_streams.push(video(stream, bitrate_bps)),
        }
    }
    detail
}

fn video(stream: &Stream, bitrate_bps: u64) -> VideoDetail {
    let info = match stream.media {
        MediaInfo::Video(info) => info,
        MediaInfo::Audio(_) | MediaInfo::Unknown => Default::default(),
    };
    VideoDetail {
        pid: stream.pid,
        codec: stream.codec.label().to_owned(),
        stream_type: stream.stream_type,
        resolution: info.size.map(|(width, height)| format!("{width}x{height}")),
        // Two digits, as people write it: 29.97.
        frame_rate: info
            .frame_rate
            .map(|rate| (rate.per_second() * 100.0).round() / 100.0),
        profile: known(info.profile),
        level: known(info.level),
        bitrate_bps,
        program_number: stream.program_number,
        chroma: known(info.chroma),
        bit_depth: (info.bit_depth > 0).then_some(info.bit_depth),
        interlaced: info.interlaced,
    }
}

fn audio(stream: &Stream, bitrate_bps: u64) -> AudioDetail {
    let info = match stream.media {
        MediaInfo::Audio(info) => Some(info),
        MediaInfo::Unknown | MediaInfo::Video(_) => None,
    };
    AudioDetail {
        pid: stream.pid,
        codec: info
            .map_or_else(|| stream.codec.label(), |info| info.codec)
            .to_owned(),
        stream_type: stream.stream_type,
        sample_rate_hz: info
            .map(|info| info.sample_rate_hz)
            .filter(|rate| *rate > 0),
        channels: info
            .map(|info| info.channels)
            .filter(|channels| *channels > 0),
        language: language(stream),
        bitrate_bps,
        program_number: stream.program_number,
    }
}

fn data(stream: &Stream, bitrate_bps: u64) -> DataDetail {
    DataDetail {
        pid: stream.pid,
        codec: stream.codec.label().to_owned(),
        stream_type: stream.stream_type,
        language: language(stream),
        bitrate_bps,
        program_number: stream.program_number,
    }
}

fn pid(report: &PidReport) -> PidDetail {
    PidDetail {
        pid: report.pid,
        role: role(report.role).to_owned(),
        packets: report.packets,
        bitrate_bps: report.bitrate_bps,
        cc_errors: report.cc_errors.into(),
        tei_errors: report.tei_errors.into(),
        scrambled_packets: report.scrambled_packets.into(),
        pcrs: report.clock.map(|clock| clock.pcrs),
        pcr_accuracy_errors: report.clock.map(|clock| clock.accuracy_errors.into()),
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Cat => "cat",
        Role::ConditionalAccess => "conditional_access",
        Role::Eit => "eit",
        Role::Nit => "nit",
        Role::OtherTables => "other_tables",
        Role::Pat => "pat",
        Role::Pcr => "pcr",
        Role::Pmt => "pmt",
        Role::Sdt => "sdt",
        Role::Stream => "stream",
        Role::Tdt => "tdt",
        Role::Unreferenced => "unreferenced",
        _ => "other",
    }
}

fn language(stream: &Stream) -> Option<String> {
    stream
        .language
        .as_ref()
        .map(|language| language.as_str().to_owned())
}

fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
