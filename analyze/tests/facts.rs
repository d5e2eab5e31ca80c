//! Every recording beside the repository has exactly the facts that three other analysers found in it.
//!
//! `made-e00_clean.ts` and its like were made with ffmpeg 5.1.9; the others are public test streams. TSDuck counts by a
//! clock that stands still between PCRs; where that makes a difference (`eyevinn-80s_with_ad.ts`, one PCR a second) the figure
//! here is that of a clock that runs. TSDuck's are in `tsduck.rs`.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::path::{Path, PathBuf};

use bilbycast_analyze::timeline::{Sent, Timeline};
use bilbycast_analyze::{Options, Report, analyse};
use bilbycast_mpegts::analysis::Counters;
use bilbycast_mpegts::{Analyser, AnalyserConfig};
use serde_json::Value;

/// The recordings; `None`, with the reason printed, when they are not there.
fn media() -> Option<PathBuf> {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    if media.join("FACTS.json").is_file() {
        return Some(media);
    }
    eprintln!("skipped: no recordings at {}", media.display());
    None
}

fn report(media: &Path, file: &str) -> Report {
    analyse(&media.join("ts").join(file), &Options::default()).unwrap()
}

fn facts(media: &Path) -> serde_json::Map<String, Value> {
    let text = std::fs::read_to_string(media.join("FACTS.json")).unwrap();
    let Value::Object(facts) = serde_json::from_str(&text).unwrap() else {
        panic!("FACTS.json is an object")
    };
    assert!(facts.len() >= 11);
    facts
}

/// Errors other than of TR 101 290 1.4 and 2.x that differ by method are listed where they occur.
#[derive(Debug, Default, PartialEq)]
struct Errors {
    sync_loss_count: u64,
    sync_byte_errors: u64,
    pat_errors: u64,
    cc_errors: u64,
    pmt_errors: u64,
    pid_errors: u64,
    tei_errors: u64,
    crc_errors: u64,
    pcr_repetition_errors: u64,
    pcr_discontinuity_errors: u64,
    pcr_accuracy_errors: u64,
    pts_errors: u64,
    cat_errors: u64,
    priority3: u64,
}

fn errors(report: &Report) -> Errors {
    let t = &report.tr101290;
    let known = |count: Option<u64>| count.unwrap_or(0);
    Errors {
        sync_loss_count: t.sync_loss_count,
        sync_byte_errors: t.sync_byte_errors,
        pat_errors: t.pat_errors,
        cc_errors: t.cc_errors,
        pmt_errors: t.pmt_errors,
        pid_errors: known(t.pid_errors),
        tei_errors: t.tei_errors,
        crc_errors: t.crc_errors,
        pcr_repetition_errors: known(t.pcr_repetition_errors),
        pcr_discontinuity_errors: t.pcr_discontinuity_errors,
        pcr_accuracy_errors: t.pcr_accuracy_errors,
        pts_errors: known(t.pts_errors),
        cat_errors: t.cat_errors,
        priority3: [
            t.nit_errors,
            t.si_repetition_errors,
            t.unreferenced_pids,
            t.sdt_errors,
            t.eit_errors,
            t.tdt_errors,
        ]
        .into_iter()
        .map(known)
        .sum(),
    }
}

#[test]
fn every_count_of_tr_101_290_is_right() {
    let Some(media) = media() else { return };
    let expected = [
        (
            "eyevinn-80s_with_ad.ts",
            Errors {
                cc_errors: 332,
                pmt_errors: 1,
                pcr_repetition_errors: 79,
                pcr_discontinuity_errors: 79,
                // The first two PES packets of the sound are 717 ms apart.
                pts_errors: 1,
                ..Errors::default()
            },
        ),
        (
            "eyevinn-obs_hevc_aac.ts",
            Errors {
                pat_errors: 2,
                pmt_errors: 2,
                ..Errors::default()
            },
        ),
        ("made-e00_clean.ts", Errors::default()),
        (
            "made-e04_cc_drop.ts",
            Errors {
                cc_errors: 5,
                ..Errors::default()
            },
        ),
        (
            "made-e09_pcr_jump_no_flag.ts",
            Errors {
                pcr_discontinuity_errors: 2,
                ..Errors::default()
            },
        ),
        ("made-h264_1080i25_mp2_latm.ts", Errors::default()),
        ("made-two_programs.ts", Errors::default()),
        ("tsduck-test-025.ts", Errors::default()),
        (
            "tsduck-test-030.ts",
            Errors {
                cc_errors: 6,
                tei_errors: 9,
                crc_errors: 7,
                ..Errors::default()
            },
        ),
        (
            "tsduck-test-089.000002.ts",
            Errors {
                cc_errors: 43,
                ..Errors::default()
            },
        ),
        ("tsduck-test-138.1.ts", Errors::default()),
    ];
    assert_eq!(
        facts(&media).len(),
        expected.len(),
        "a recording without a test"
    );
    for (file, expected) in expected {
        assert_eq!(errors(&report(&media, file)), expected, "{file}");
    }
}

#[test]
fn programmes_pids_and_streams_are_those_of_the_facts() {
    let Some(media) = media() else { return };
    for (file, facts) in facts(&media) {
        let report = report(&media, &file);
        let analysis = &report.media_analysis;
        assert_eq!(
            facts["packets"], report.tr101290.ts_packets_analyzed,
            "{file}"
        );
        let tsq = &facts["tsq"];
        assert_eq!(tsq["pat_sections"], report.tr101290.pat_count, "{file}");
        assert_eq!(tsq["tei"], report.tr101290.tei_errors, "{file}");
        let null_percent = tsq["null_pct"].as_f64().unwrap();
        assert!(
            (analysis.null_percent - null_percent).abs() < 0.01,
            "{file}"
        );
        for (pid, errors) in tsq["cc_errors"].as_object().unwrap() {
            if file != "tsduck-test-030.ts" {
                let entry = pid_entry(&report, pid);
                assert_eq!(*errors, entry.cc_errors, "{file} {pid}");
            }
        }
        for (number, program) in facts["programs"].as_object().unwrap() {
            let found = analysis
                .programs
                .iter()
                .find(|found| found.number.to_string() == *number)
                .unwrap();
            assert_eq!(program["pmt_pid"], found.pmt_pid, "{file}");
            assert_eq!(program["pcr_pid"], found.pcr_pid.unwrap(), "{file}");
            assert_eq!(program["version"], found.pmt_version.unwrap(), "{file}");
            let named: Vec<u64> = program["es"]
                .as_array()
                .unwrap()
                .iter()
                .map(|es| es["pid"].as_u64().unwrap())
                .collect();
            let pids: Vec<u64> = found.stream_pids.iter().map(|&pid| pid.into()).collect();
            assert_eq!(named, pids, "{file}");
            for es in program["es"].as_array().unwrap() {
                check_stream(&file, &report, es);
            }
        }
        if let Some(sections) = pmt_sections(&facts) {
            assert_eq!(sections, report.tr101290.pmt_count, "{file}");
        }
        for (pid, pcr) in facts["pcr"].as_object().unwrap() {
            assert_eq!(pcr["count"], pid_entry(&report, pid).pcrs, "{file} {pid}");
        }
        if let Some(rates) = facts["bitrate_by_pid"].as_object() {
            for (pid, rate) in rates.iter().filter(|(pid, _)| *pid != "8191") {
                // The facts count from the first PCR to the last, the report from the first packet to the last.
                let found = pid_entry(&report, pid).bitrate_bps as f64;
                let rate = rate.as_f64().unwrap();
                assert!(
                    (found / rate - 1.0).abs() < 0.01,
                    "{file} {pid}: {found} {rate}"
                );
            }
        }
        if facts["is_cbr"] == Value::Bool(true) {
            for (_, pcr) in facts["pcr"].as_object().unwrap() {
                if let Some(rate) = pcr["ts_bitrate"].as_u64() {
                    assert!(analysis.total_bitrate_bps.abs_diff(rate) <= 2, "{file}");
                }
            }
        }
    }
}

fn pmt_sections(facts: &Value) -> Option<u64> {
    let programs = facts["programs"].as_object()?;
    programs
        .values()
        .map(|program| program["pmt_sections"].as_u64())
        .sum()
}

fn pid_entry<'a>(report: &'a Report, pid: &str) -> &'a bilbycast_analyze::report::PidEntry {
    report
        .pids
        .iter()
        .find(|entry| entry.pid.to_string() == pid)
        .unwrap()
}

fn check_stream(file: &str, report: &Report, es: &Value) {
    let analysis = &report.media_analysis;
    let pid = es["pid"].as_u64().unwrap();
    let video = analysis
        .video_streams
        .iter()
        .map(|s| (s.pid, s.stream_type, None));
    let audio = analysis
        .audio_streams
        .iter()
        .map(|s| (s.pid, s.stream_type, s.language.clone()));
    let data = analysis
        .data_streams
        .iter()
        .map(|s| (s.pid, s.stream_type, s.language.clone()));
    let (_, stream_type, language) = video
        .chain(audio)
        .chain(data)
        .find(|stream| u64::from(stream.0) == pid)
        .unwrap();
    assert_eq!(
        es["stream_type"],
        format!("{stream_type:#04x}"),
        "{file} {pid}"
    );
    if let Some(expected) = es["lang"]
        .as_array()
        .and_then(|languages| languages.first())
    {
        assert_eq!(*expected, language.unwrap(), "{file} {pid}");
    }
}

#[test]
fn pictures_and_sound_are_those_of_ffprobe() {
    let Some(media) = media() else { return };
    let mut checked = 0;
    for (file, facts) in facts(&media) {
        let report = report(&media, &file);
        for stream in facts["ffprobe"].as_array().unwrap() {
            let id = stream["id"].as_str().unwrap().trim_start_matches("0x");
            let pid = u16::from_str_radix(id, 16).unwrap();
            let Some(codec) = stream["codec_name"].as_str() else {
                continue;
            };
            checked += 1;
            if stream["width"].is_u64() {
                check_video(&file, &report, pid, codec, stream);
            } else if stream["channels"].is_u64() {
                check_audio(&file, &report, pid, codec, stream);
            } else if codec == "dvb_subtitle" {
                let found = report
                    .media_analysis
                    .data_streams
                    .iter()
                    .find(|s| s.pid == pid);
                let found = found.unwrap();
                assert_eq!(found.codec, "DVB Subtitle", "{file} {pid}");
                assert_eq!(stream["language"], *found.language.as_ref().unwrap());
            }
        }
    }
    assert!(checked >= 25, "{checked}");
}

fn check_video(file: &str, report: &Report, pid: u16, codec: &str, expected: &Value) {
    let found = report
        .media_analysis
        .video_streams
        .iter()
        .find(|s| s.pid == pid);
    let found = found.unwrap();
    let at = format!("{file} {pid}");
    let label = match codec {
        "h264" => "H.264/AVC",
        "hevc" => "H.265/HEVC",
        "mpeg2video" => "MPEG-2 Video",
        other => panic!("{other}"),
    };
    assert_eq!(found.codec, label, "{at}");
    let size = format!("{}x{}", expected["width"], expected["height"]);
    assert_eq!(found.resolution.as_deref(), Some(&size[..]), "{at}");
    let (frames, seconds) = expected["avg_frame_rate"]
        .as_str()
        .unwrap()
        .split_once('/')
        .unwrap();
    let rate = frames.parse::<f64>().unwrap() / seconds.parse::<f64>().unwrap();
    assert!((found.frame_rate.unwrap() - rate).abs() < 0.001, "{at}");
    assert_eq!(found.profile, expected["profile"].as_str(), "{at}");
    let level = expected["level"].as_u64().unwrap();
    let level = match codec {
        "h264" => format!("{}.{}", level / 10, level % 10),
        "hevc" => format!("{}.{}", level / 30, level % 30 / 3),
        // ISO/IEC 13818-2 table 8-3: 8 is the main level.
        _ => "Main".to_owned(),
    };
    assert_eq!(found.level, Some(&level[..]), "{at}");
    assert_eq!(
        (found.chroma, found.bit_depth),
        (Some("4:2:0"), Some(8)),
        "{at}"
    );
    let fields = expected["field_order"].as_str();
    assert_eq!(found.interlaced, Some(fields == Some("tt")), "{at}");
}

fn check_audio(file: &str, report: &Report, pid: u16, codec: &str, expected: &Value) {
    let found = report
        .media_analysis
        .audio_streams
        .iter()
        .find(|s| s.pid == pid);
    let found = found.unwrap();
    let at = format!("{file} {pid}");
    let label = match codec {
        "aac" | "aac_latm" => "AAC-LC",
        "ac3" => "AC-3",
        "eac3" => "E-AC-3",
        "mp2" => "MPEG-1 Layer II",
        other => panic!("{other}"),
    };
    assert_eq!(found.codec, label, "{at}");
    let rate = found.sample_rate_hz.unwrap().to_string();
    assert_eq!(expected["sample_rate"], rate, "{at}");
    assert_eq!(expected["channels"], found.channels.unwrap(), "{at}");
}

/// The counters of a stream that arrives as RTP would carry it: seven packets at once, when the last of them was sent, with
/// up to 2 ms of network in between.
fn live(path: &Path, per_datagram: usize) -> Counters {
    let mut packets = Vec::new();
    let mut timeline = Timeline::new(Some(1_000_000));
    let mut take = |sent: Sent<'_>| {
        if let Sent::Packet(packet, at_ns) = sent {
            packets.push((*packet, at_ns));
        }
    };
    let bytes = std::fs::read(path).unwrap();
    for packet in bytes.as_chunks().0 {
        timeline.push(packet, &mut take);
    }
    timeline.finish(&mut take);
    let mut analyser = Analyser::new(AnalyserConfig::default());
    let mut random = 1_u64;
    let mut newest_ns = 0;
    for datagram in packets.chunks(per_datagram) {
        let payload: Vec<u8> = datagram.iter().flat_map(|(packet, _)| *packet).collect();
        let (_, sent_ns) = datagram[datagram.len() - 1];
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        newest_ns = newest_ns.max(5_000_000_000 + sent_ns + (random >> 33) % 2_000_000);
        analyser.on_payload(&payload, newest_ns);
    }
    *analyser.counters()
}

#[test]
fn arriving_live_raises_the_same_counters() {
    let Some(media) = media() else { return };
    for file in facts(&media).keys() {
        let report = report(&media, file);
        let expected = errors(&report);
        for per_datagram in [1, 7] {
            let found = live(&media.join("ts").join(file), per_datagram);
            let at = format!("{file}, {per_datagram} packets");
            assert_eq!(found.packets, report.tr101290.ts_packets_analyzed, "{at}");
            assert_eq!(found.sync_losses + found.sync_byte_errors, 0, "{at}");
            assert_eq!(found.cc_errors, expected.cc_errors, "{at}");
            assert_eq!(found.tei_errors, expected.tei_errors, "{at}");
            assert_eq!(found.crc_errors, expected.crc_errors, "{at}");
            assert_eq!(
                found.pcr_repetition_errors, expected.pcr_repetition_errors,
                "{at}"
            );
            assert_eq!(
                found.pcr_discontinuity_errors, expected.pcr_discontinuity_errors,
                "{at}"
            );
            assert_eq!(
                found.pcr_accuracy_errors, expected.pcr_accuracy_errors,
                "{at}"
            );
            assert_eq!(found.pts_errors, expected.pts_errors, "{at}");
            if file == "tsduck-test-030.ts" {
                // A clock of 1 Mb/s, under which its programmes have no PMT and its EIT comes too fast.
                continue;
            }
            // What is missing at the end of the file is counted once the time has passed.
            let at_the_end = u64::from(file == "eyevinn-obs_hevc_aac.ts");
            assert!(expected.pat_errors - found.pat_errors <= at_the_end, "{at}");
            assert!(expected.pmt_errors - found.pmt_errors <= at_the_end, "{at}");
            assert_eq!(found.priority3(), expected.priority3, "{at}");
        }
    }
}

#[test]
fn captures_are_read_as_the_streams_in_them() {
    let Some(media) = media() else { return };
    for (file, port, packets, lost) in [
        ("fec/ffmpeg-L5xD5-port21004.pcap", 21_004, 819 * 6, 0),
        ("fec/gstreamer-L4xD4-port22204.pcap", 22_204, 600 * 7 + 2, 0),
        // Of the 52 and 44 that are lost some are at the ends, where there is no gap.
        (
            "st2022-7/s01_skew8ms_disjoint_loss.pcap",
            31_004,
            1048 * 7,
            49,
        ),
        (
            "st2022-7/s01_skew8ms_disjoint_loss.pcap",
            31_104,
            1056 * 7,
            40,
        ),
    ] {
        let options = Options {
            port: Some(port),
            ..Options::default()
        };
        let report = analyse(&media.join(file), &options).unwrap();
        assert_eq!(
            report.tr101290.ts_packets_analyzed, packets,
            "{file} {port}"
        );
        let capture = report.source.capture.unwrap();
        assert_eq!(capture.destination, Some(format!("127.0.0.1:{port}")));
        assert_eq!(capture.rtp_packets_lost, Some(lost), "{file} {port}");
        assert_eq!(report.tr101290.cc_errors > 0, lost > 0, "{file} {port}");
        assert_eq!(report.tr101290.pcr_accuracy_errors, 0, "{file} {port}");
        let video = &report.media_analysis.video_streams[0];
        assert_eq!(video.resolution.as_deref(), Some("640x360"));
    }
}
