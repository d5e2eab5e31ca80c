//! What was found in a recording, for people and for machines.
//!
//! Field names are those of the REST API where it has the same things.

mod text;

use std::path::PathBuf;

use bilbycast_mpegts::analysis::{
    Analyser, Counters, MediaInfo, Overflows, PidReport, Role, Stream, StreamKind,
};
use serde::Serialize;

use crate::timeline::{Clock, Timeline};

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was read.
    #[serde(flatten)]
    pub source: Source,
    /// Whose times were taken.
    pub time: Time,
    /// TR 101 290.
    pub tr101290: Tr101290,
    /// Programmes, and the streams by kind.
    pub media_analysis: MediaAnalysis,
    /// All PIDs, in order of their numbers.
    pub pids: Vec<PidEntry>,
    /// What did not fit into the memory of the analyser; all 0 for any stream that is on air.
    pub overflows: OverflowEntry,
}

/// What was read.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// Of a capture, which part.
    pub capture: Option<Capture>,
    /// Bytes that belong to no packet.
    pub bytes_discarded: u64,
}

/// Which part of a capture was analysed.
#[derive(Clone, Debug, Serialize)]
pub struct Capture {
    /// Address and port to which the stream was sent.
    pub destination: Option<String>,
    /// Datagrams to there.
    pub datagrams: u64,
    /// Gaps in the RTP sequence; `None` for transport stream without RTP.
    pub rtp_packets_lost: Option<u64>,
}

/// Whose times were taken.
#[derive(Clone, Debug, Serialize)]
pub struct Time {
    /// `pcr`, `pcr_steps`, `bitrate`, or `none`: then what depends on time has not been judged.
    pub base: &'static str,
    /// PID of the clock.
    pub pcr_pid: Option<u16>,
    /// Length of the recording in seconds; 0 without time.
    pub duration_seconds: f64,
}

/// Counters of TR 101 290. `None` where there is no time to judge by.
#[derive(Clone, Debug, Serialize)]
#[allow(
    missing_docs,
    reason = "the counters are explained at `Counters` of the analyser"
)]
pub struct Tr101290 {
    pub ts_packets_analyzed: u64,
    pub null_packets: u64,
    pub scrambled_packets: u64,
    pub pat_count: u64,
    pub pmt_count: u64,
    pub sync_loss_count: u64,
    pub sync_byte_errors: u64,
    pub pat_errors: u64,
    pub cc_errors: u64,
    pub pmt_errors: u64,
    pub pid_errors: Option<u64>,
    pub tei_errors: u64,
    pub crc_errors: u64,
    pub pcr_repetition_errors: Option<u64>,
    pub pcr_discontinuity_errors: u64,
    pub pcr_accuracy_errors: u64,
    pub pts_errors: Option<u64>,
    pub cat_errors: u64,
    pub nit_errors: Option<u64>,
    pub si_repetition_errors: Option<u64>,
    pub unreferenced_pids: Option<u64>,
    pub sdt_errors: Option<u64>,
    pub eit_errors: Option<u64>,
    pub tdt_errors: Option<u64>,
    /// No error of priority 1 in the whole recording.
    pub priority1_ok: bool,
    /// No error of priority 2.
    pub priority2_ok: bool,
    /// No error of priority 3.
    pub priority3_ok: bool,
}

/// Programmes, and the streams by kind.
#[derive(Clone, Debug, Serialize)]
pub struct MediaAnalysis {
    /// transport_stream_id of the PAT.
    pub transport_stream_id: Option<u16>,
    /// Programmes of the PAT.
    pub program_count: usize,
    /// The programmes.
    pub programs: Vec<ProgramEntry>,
    /// Pictures.
    pub video_streams: Vec<VideoEntry>,
    /// Sound.
    pub audio_streams: Vec<AudioEntry>,
    /// All else that a PMT names.
    pub data_streams: Vec<DataEntry>,
    /// PID of the JPEG XS stream, if there is one.
    pub jpeg_xs_pid: Option<u16>,
    /// Average of the whole stream, null packets included; 0 without time.
    pub total_bitrate_bps: u64,
    /// Share of null packets in percent.
    pub null_percent: f64,
}

/// A programme.
#[derive(Clone, Debug, Serialize)]
pub struct ProgramEntry {
    /// program_number.
    pub number: u16,
    /// PID of its PMT.
    pub pmt_pid: u16,
    /// PID of its clock.
    pub pcr_pid: Option<u16>,
    /// version_number of its PMT; `None` when that never came.
    pub pmt_version: Option<u8>,
    /// PIDs of its streams, in the order of the PMT.
    pub stream_pids: Vec<u16>,
}

/// A video stream.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of the REST API")]
pub struct VideoEntry {
    pub pid: u16,
    pub program: u16,
    pub codec: &'static str,
    pub stream_type: u8,
    pub resolution: Option<String>,
    pub frame_rate: Option<f64>,
    pub profile: Option<&'static str>,
    pub level: Option<&'static str>,
    pub chroma: Option<&'static str>,
    pub bit_depth: Option<u8>,
    pub interlaced: Option<bool>,
    pub bitrate_bps: u64,
}

/// An audio stream.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of the REST API")]
pub struct AudioEntry {
    pub pid: u16,
    pub program: u16,
    pub codec: &'static str,
    pub stream_type: u8,
    pub sample_rate_hz: Option<u32>,
    pub channels: Option<u8>,
    pub language: Option<String>,
    pub bitrate_bps: u64,
}

/// Another stream.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of the REST API")]
pub struct DataEntry {
    pub pid: u16,
    pub program: u16,
    pub codec: &'static str,
    pub stream_type: u8,
    pub language: Option<String>,
    pub bitrate_bps: u64,
}

/// A PID.
#[derive(Clone, Debug, Serialize)]
pub struct PidEntry {
    /// The PID.
    pub pid: u16,
    /// What it is for.
    pub role: &'static str,
    /// Packets.
    pub packets: u64,
    /// Packets with a scrambled payload.
    pub scrambled_packets: u32,
    /// Average over the recording in bits per second; 0 without time.
    pub bitrate_bps: u64,
    /// TR 101 290 1.4.
    pub cc_errors: u32,
    /// TR 101 290 2.1.
    pub tei_errors: u32,
    /// PCRs.
    pub pcrs: u64,
    /// TR 101 290 2.4; `None` when there are no PCRs.
    pub pcr_accuracy_errors: Option<u32>,
}

/// What did not fit.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs, reason = "explained at `Overflows` of the analyser")]
pub struct OverflowEntry {
    pub untracked_packets: u64,
    pub programs: u64,
    pub streams: u64,
    pub sections: u64,
    pub pcrs: u64,
}

impl Report {
    /// Gathers what the analyser found in the recording that `timeline` gave its times.
    #[must_use]
    pub fn new(source: Source, timeline: &Timeline, analyser: &Analyser) -> Self {
        let end_ns = if timeline.has_time() {
            timeline.end_ns()
        } else {
            0
        };
        let average = |packets: u64| bitrate_bps(packets, end_ns);
        let mut pids: Vec<_> = analyser
            .pids()
            .map(|pid| pid_entry(&pid, average))
            .collect();
        pids.sort_by_key(|entry| entry.pid);
        Self {
            source,
            time: Time {
                base: match timeline.reference() {
                    Some(_) if timeline.clock() == Clock::Steps => "pcr_steps",
                    Some(_) => "pcr",
                    None if timeline.has_time() => "bitrate",
                    None => "none",
                },
                pcr_pid: timeline.reference().map(|pid| pid.value()),
                duration_seconds: end_ns as f64 / 1e9,
            },
            tr101290: Tr101290::new(analyser.counters(), timeline.has_time()),
            media_analysis: MediaAnalysis::new(analyser, average),
            pids,
            overflows: OverflowEntry::new(analyser.overflows()),
        }
    }
}

impl Tr101290 {
    fn new(counters: &Counters, has_time: bool) -> Self {
        let timed = |count| has_time.then_some(count);
        Self {
            ts_packets_analyzed: counters.packets,
            null_packets: counters.null_packets,
            scrambled_packets: counters.scrambled_packets,
            pat_count: counters.pat_sections,
            pmt_count: counters.pmt_sections,
            sync_loss_count: counters.sync_losses,
            sync_byte_errors: counters.sync_byte_errors,
            pat_errors: counters.pat_errors,
            cc_errors: counters.cc_errors,
            pmt_errors: counters.pmt_errors,
            pid_errors: timed(counters.pid_errors),
            tei_errors: counters.tei_errors,
            crc_errors: counters.crc_errors,
            pcr_repetition_errors: timed(counters.pcr_repetition_errors),
            pcr_discontinuity_errors: counters.pcr_discontinuity_errors,
            pcr_accuracy_errors: counters.pcr_accuracy_errors,
            pts_errors: timed(counters.pts_errors),
            cat_errors: counters.cat_errors,
            nit_errors: timed(counters.nit_errors),
            si_repetition_errors: timed(counters.si_repetition_errors),
            unreferenced_pids: timed(counters.unreferenced_pids),
            sdt_errors: timed(counters.sdt_errors),
            eit_errors: timed(counters.eit_errors),
            tdt_errors: timed(counters.tdt_errors),
            priority1_ok: counters.priority1() == 0,
            priority2_ok: counters.priority2() == 0,
            priority3_ok: !has_time || counters.priority3() == 0,
        }
    }
}

impl MediaAnalysis {
    fn new(analyser: &Analyser, average: impl Fn(u64) -> u64) -> Self {
        let of_pid = |pid| average(analyser.pid(pid).map_or(0, |pid| pid.packets));
        let of_kind = |kind| {
            let streams = analyser.streams();
            streams.filter(move |stream| stream.codec.kind() == kind)
        };
        let counters = analyser.counters();
        Self {
            transport_stream_id: analyser.transport_stream_id(),
            program_count: analyser.programmes().len(),
            programs: analyser
                .programmes()
                .map(|programme| ProgramEntry {
                    number: programme.number,
                    pmt_pid: programme.pmt_pid,
                    pcr_pid: programme.pcr_pid,
                    pmt_version: programme.version,
                    stream_pids: analyser
                        .streams()
                        .filter(|stream| stream.program_number == programme.number)
                        .map(|stream| stream.pid)
                        .collect(),
                })
                .collect(),
            video_streams: of_kind(StreamKind::Video)
                .map(|stream| video_entry(stream, of_pid(stream.pid)))
                .collect(),
            audio_streams: of_kind(StreamKind::Audio)
                .map(|stream| audio_entry(stream, of_pid(stream.pid)))
                .collect(),
            data_streams: of_kind(StreamKind::Data)
                .map(|stream| DataEntry {
                    pid: stream.pid,
                    program: stream.program_number,
                    codec: stream.codec.label(),
                    stream_type: stream.stream_type,
                    language: language(stream),
                    bitrate_bps: of_pid(stream.pid),
                })
                .collect(),
            jpeg_xs_pid: analyser.jpeg_xs_pid(),
            total_bitrate_bps: average(counters.packets),
            null_percent: 100.0 * counters.null_packets as f64 / counters.packets.max(1) as f64,
        }
    }
}

impl OverflowEntry {
    const fn new(overflows: Overflows) -> Self {
        Self {
            untracked_packets: overflows.untracked_packets,
            programs: overflows.programmes,
            streams: overflows.streams,
            sections: overflows.sections,
            pcrs: overflows.pcrs,
        }
    }
}

fn video_entry(stream: &Stream, bitrate_bps: u64) -> VideoEntry {
    let video = match stream.media {
        MediaInfo::Video(video) => video,
        _ => bilbycast_mpegts::analysis::VideoInfo::default(),
    };
    VideoEntry {
        pid: stream.pid,
        program: stream.program_number,
        codec: stream.codec.label(),
        stream_type: stream.stream_type,
        resolution: video
            .size
            .map(|(width, height)| format!("{width}x{height}")),
        frame_rate: video
            .frame_rate
            .map(|rate| (rate.per_second() * 1000.0).round() / 1000.0),
        profile: known(video.profile),
        level: known(video.level),
        chroma: known(video.chroma),
        bit_depth: (video.bit_depth > 0).then_some(video.bit_depth),
        interlaced: video.interlaced,
        bitrate_bps,
    }
}

fn audio_entry(stream: &Stream, bitrate_bps: u64) -> AudioEntry {
    let audio = match stream.media {
        MediaInfo::Audio(audio) => Some(audio),
        _ => None,
    };
    AudioEntry {
        pid: stream.pid,
        program: stream.program_number,
        codec: audio.map_or_else(|| stream.codec.label(), |audio| audio.codec),
        stream_type: stream.stream_type,
        sample_rate_hz: audio.map(|audio| audio.sample_rate_hz),
        channels: audio
            .map(|audio| audio.channels)
            .filter(|&channels| channels > 0),
        language: language(stream),
        bitrate_bps,
    }
}

fn language(stream: &Stream) -> Option<String> {
    stream.language.map(|language| language.as_str().to_owned())
}

fn known(text: &'static str) -> Option<&'static str> {
    (!text.is_empty()).then_some(text)
}

fn pid_entry(pid: &PidReport, average: impl Fn(u64) -> u64) -> PidEntry {
    PidEntry {
        pid: pid.pid,
        role: role(pid.role),
        packets: pid.packets,
        scrambled_packets: pid.scrambled_packets,
        bitrate_bps: average(pid.packets),
        cc_errors: pid.cc_errors,
        tei_errors: pid.tei_errors,
        pcrs: pid.clock.map_or(0, |clock| clock.pcrs),
        pcr_accuracy_errors: pid.clock.map(|clock| clock.accuracy_errors),
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Cat => "cat",
        Role::ConditionalAccess => "conditional_access",
        Role::Eit => "eit",
        Role::Nit => "nit",
        Role::OtherTables => "tables",
        Role::Pat => "pat",
        Role::Pcr => "pcr",
        Role::Pmt => "pmt",
        Role::Sdt => "sdt",
        Role::Stream => "stream",
        Role::Tdt => "tdt",
        _ => "unreferenced",
    }
}

fn bitrate_bps(packets: u64, ns: u64) -> u64 {
    let bits = u128::from(packets) * 8 * bilbycast_mpegts::TS_PACKET_SIZE as u128;
    (bits * 1_000_000_000)
        .checked_div(u128::from(ns))
        .and_then(|bps| u64::try_from(bps).ok())
        .unwrap_or(0)
}
