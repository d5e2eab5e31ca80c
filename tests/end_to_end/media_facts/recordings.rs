//! The recordings beside the repository and the facts that three other analysers found in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bilbycast_analyze::timeline::{Sent, Timeline};
use bilbycast_mpegts::TsPacket as View;
use bilbycast_tests::playback::{Seen, Stream, TsPacket};
use bilbycast_tests::ts::{self, TsReport};
use serde_json::Value;

use super::{Counts, Played, assert_arrived, errors, play, told};

/// 80 s long, with a PCR a second. Only its beginning is played, as long as the others are; it has all of the file's
/// peculiarities. `BILBYCAST_LONG=1` asks for all of it.
const LONG_FILE: &str = "eyevinn-80s_with_ad.ts";

/// 12 s, up to a PCR.
const CUT_PACKETS: usize = 1_852;

fn plays_whole_files() -> bool {
    std::env::var("BILBYCAST_LONG").is_ok_and(|value| value == "1")
}

/// It has no clock. It is sent at a rate that its tables were not made for, so that its intervals mean nothing.
const CLOCKLESS_FILE: &str = "tsduck-test-030.ts";

const CLOCKLESS_BITRATE_BPS: u64 = 1_000_000;

/// PAT and PMT come 0.99 s apart: a datagram that is 5 ms late makes it another error, and 2 ms after the end the last ones
/// have been missing for another half second.
const SPARSE_FILE: &str = "eyevinn-obs_hevc_aac.ts";

/// A recording as it is played.
struct Recording {
    file: String,
    facts: Value,
    /// Only the first [`CUT_PACKETS`] are played.
    is_cut: bool,
    packets: Vec<TsPacket>,
    report: TsReport,
    played: Played,
}

#[test]
fn recordings_have_the_facts_that_others_found() {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    let Ok(facts) = fs::read_to_string(media.join("FACTS.json")) else {
        println!("skipped: there are no recordings at {}", media.display());
        return;
    };
    let facts: BTreeMap<String, Value> = serde_json::from_str(&facts).unwrap();
    let recordings: Vec<Recording> = facts
        .into_iter()
        .zip(1..)
        .map(|((file, facts), ssrc)| Recording::read(&media.join("ts"), file, facts, ssrc))
        .collect();
    assert!(recordings.len() >= 11, "{}", recordings.len());
    let streams: Vec<&Played> = recordings
        .iter()
        .map(|recording| &recording.played)
        .collect();
    let seen = play(&streams);
    for (recording, seen) in recordings.iter().zip(&seen) {
        println!("{}", recording.file);
        assert_arrived(&recording.played, seen);
        recording.check_counts(seen);
        recording.check_health(seen);
        recording.check_pids(seen);
        recording.check_programmes(seen);
        recording.check_media(seen);
    }
}

impl Recording {
    fn read(folder: &Path, file: String, facts: Value, ssrc: u32) -> Self {
        let path: PathBuf = folder.join(&file);
        let mut bytes =
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(
            facts["bytes"],
            bytes.len(),
            "{file} is the file of the facts"
        );
        let is_cut = file == LONG_FILE && !plays_whole_files();
        if is_cut {
            println!("{file}: the first {CUT_PACKETS} packets");
            bytes.truncate(CUT_PACKETS * 188);
        }
        let (packets, rest) = bytes.as_chunks();
        assert!(rest.is_empty(), "{file}");
        let flow_id = file.replace('.', "-");
        Self {
            facts,
            is_cut,
            report: ts::inspect(&bytes),
            packets: packets.to_vec(),
            played: Played {
                flow_id,
                stream: Stream::new(ssrc, &timed(packets)),
            },
            file,
        }
    }

    fn packets_of(&self, pid: u16) -> impl Iterator<Item = View<'_>> {
        let packets = self.packets.iter().map(View::new);
        packets.filter(move |packet| packet.pid().value() == pid)
    }

    /// What TSDuck counted on the stream's own clock, and the sync errors that another analyser did.
    fn expected(&self) -> Counts {
        const NAMES: [(&str, &str); 12] = [
            ("Continuity_count_error", "cc_errors"),
            ("PAT_error_2", "pat_errors"),
            ("pmt_error_2", "pmt_errors"),
            ("PID_error", "pid_errors"),
            ("Transport_error", "tei_errors"),
            ("CRC_error", "crc_errors"),
            ("PCR_repetition_error", "pcr_repetition_errors"),
            (
                "PCR_discontinuity_indicator_error",
                "pcr_discontinuity_errors",
            ),
            ("PCR_accuracy_error", "pcr_accuracy_errors"),
            ("PTS_error", "pts_errors"),
            ("CAT_error", "cat_errors"),
            ("SDT_actual_error", "sdt_errors"),
        ];
        let known = &self.facts["tsduck_tr101290_pcrclock"];
        let mut counts: Counts = NAMES
            .iter()
            .filter_map(|(theirs, ours)| Some(((*ours).to_owned(), known[theirs].as_u64()?)))
            .collect();
        for (theirs, ours) in [
            ("sync_loss", "sync_loss_count"),
            ("sync_byte_errors", "sync_byte_errors"),
        ] {
            counts.insert(ours.to_owned(), self.facts["tsq"][theirs].as_u64().unwrap());
        }
        if self.file == LONG_FILE {
            // TSDuck's clock stands still from PCR to PCR, here for a second; a clock that runs misses no PAT and no SDT. The
            // only PTS gap is that of the first two PES packets of the sound, 717 ms; the only PMT gap is at the beginning,
            // where the second PMT is a repeat and no table.
            let pcrs = self.packets_of(256).filter(|packet| packet.pcr().is_some());
            let steps = pcrs.count() as u64 - 1;
            assert_eq!(steps, if self.is_cut { 11 } else { 79 });
            counts.extend(
                [
                    ("cc_errors", self.report.continuity_errors),
                    ("pat_errors", 0),
                    ("pcr_repetition_errors", steps),
                    ("pcr_discontinuity_errors", steps),
                    ("pts_errors", 1),
                    ("sdt_errors", 0),
                ]
                .map(|(name, count)| (name.to_owned(), count)),
            );
        }
        counts.retain(|_, count| *count > 0);
        counts
    }

    fn check_counts(&self, seen: &Seen) {
        let tr101290 = &seen.stats["tr101290"];
        assert_eq!(
            tr101290["ts_packets_analyzed"],
            self.packets.len(),
            "{tr101290:#}"
        );
        let null_packets = self.report.pids.get(&0x1fff).copied().unwrap_or(0);
        assert_eq!(tr101290["null_packets"], null_packets);
        assert_eq!(tr101290["scrambled_packets"], 0);
        if !self.is_cut {
            assert_eq!(tr101290["pat_count"], self.facts["tsq"]["pat_sections"]);
            let programs = self.facts["programs"].as_object().unwrap().values();
            let pmts: u64 = programs
                .filter_map(|program| program["pmt_sections"].as_u64())
                .sum();
            assert_eq!(tr101290["pmt_count"], pmts);
        }
        let mut found = errors(tr101290);
        let mut expected = self.expected();
        if self.file == CLOCKLESS_FILE {
            let timeless = [
                "cc_errors",
                "crc_errors",
                "sync_byte_errors",
                "sync_loss_count",
                "tei_errors",
            ];
            found.retain(|name, _| timeless.contains(&name.as_str()));
            // Whether packets with transport_error_indicator count for continuity is not agreed: 6 or 12.
            let either = [
                expected["cc_errors"],
                self.facts["tsq"]["cc_total"].as_u64().unwrap(),
            ];
            let cc_errors = found.get("cc_errors").copied().unwrap_or(0);
            assert!(
                either.contains(&cc_errors),
                "{cc_errors} is none of {either:?}"
            );
            expected.insert("cc_errors".to_owned(), cc_errors);
            expected.retain(|name, _| timeless.contains(&name.as_str()));
        }
        if self.file == SPARSE_FILE {
            for table in ["pat_errors", "pmt_errors"] {
                let count = found.get_mut(table).unwrap();
                let in_time = expected[table];
                assert!((in_time..=in_time + 2).contains(count), "{table}: {count}");
                *count = in_time;
            }
        }
        assert_eq!(found, expected, "{}: {tr101290:#}", self.file);
    }

    /// Health follows the priorities (configuration.md 12.1), and whatever is wrong is told, but not again and again.
    fn check_health(&self, seen: &Seen) {
        let rose = |names: &[&str]| {
            let found = errors(&seen.stats["tr101290"]);
            names.iter().any(|name| found.contains_key(*name))
        };
        let first = rose(&["cc_errors", "pat_errors", "pmt_errors"]);
        let second = rose(&[
            "tei_errors",
            "crc_errors",
            "pcr_discontinuity_errors",
            "pts_errors",
        ]);
        let was = |health: &str| seen.health.iter().any(|seen| seen == health);
        assert!(!was("Critical"), "{:?}", seen.health);
        assert_eq!(was("Error"), first, "{:?}", seen.health);
        if !first {
            assert_eq!(was("Warning"), second, "{:?}", seen.health);
        }
        // Each indicator and both steps of health, when they begin and when they have been over for ten seconds.
        let events = told(seen);
        let most = 2 * (errors(&seen.stats["tr101290"]).len() + 2);
        assert!(events.len() <= most, "{events:#?}");
        assert_eq!(events.is_empty(), seen.health == ["Healthy"], "{events:#?}");
    }

    fn check_pids(&self, seen: &Seen) {
        let facts = &self.facts;
        if !self.is_cut {
            for (pid, known) in facts["tsduck_tsanalyze"]["pids"].as_object().unwrap() {
                // TSDuck leaves packets with transport_error_indicator out.
                let counted = self.packets_of(pid.parse().unwrap());
                let counted = counted.filter(|packet| !packet.transport_error_indicator());
                assert_eq!(known["packets"], counted.count(), "{pid}");
            }
        }
        let listed = seen.pids["pids"].as_array().unwrap();
        assert_eq!(seen.pids["pids_left_out"], 0);
        for (pid, packets) in self.report.pids.iter().filter(|(pid, _)| **pid != 0x1fff) {
            let found: Vec<_> = listed.iter().filter(|found| found["pid"] == *pid).collect();
            assert_eq!(found.len(), 1, "PID {pid} is listed once");
            let found = found[0];
            assert_eq!(found["packets"], *packets, "{found:#}");
            assert_eq!(found["scrambled_packets"], 0, "{found:#}");
            let pid = pid.to_string();
            if !self.is_cut && self.file != CLOCKLESS_FILE {
                let errors = facts["tsq"]["cc_errors"][&pid].as_u64().unwrap_or(0);
                assert_eq!(found["cc_errors"], errors, "{found:#}");
                let pcrs = facts["pcr"][&pid]["count"].as_u64();
                assert_eq!(found["pcrs"].as_u64(), pcrs, "{found:#}");
            }
        }
        let tei_errors: u64 = listed
            .iter()
            .filter_map(|pid| pid["tei_errors"].as_u64())
            .sum();
        assert_eq!(facts["tsq"]["tei"], tei_errors);
    }

    fn check_programmes(&self, seen: &Seen) {
        let media = &seen.media;
        assert_eq!(media["protocol"], "rtp");
        assert_eq!(media["payload_format"], "rtp_ts");
        let listed = media["programs"].as_array().unwrap();
        let programs = self.facts["programs"].as_object().unwrap();
        let without_pmt = self.facts["tsq"]["missing_pmt"].as_array().unwrap();
        assert_eq!(
            media["program_count"],
            programs.len() + without_pmt.len(),
            "{media:#}"
        );
        assert_eq!(listed.len(), programs.len() + without_pmt.len());
        for number in without_pmt {
            assert!(
                listed
                    .iter()
                    .any(|found| found["program_number"] == *number),
                "{number}"
            );
        }
        let mut streams = 0;
        for (number, program) in programs {
            let number: u64 = number.parse().unwrap();
            let found = listed
                .iter()
                .find(|found| found["program_number"] == number)
                .unwrap();
            assert_eq!(found["pmt_pid"], program["pmt_pid"]);
            assert_eq!(found["pcr_pid"], program["pcr_pid"]);
            for known in program["es"].as_array().unwrap() {
                streams += 1;
                let found = stream(media, &known["pid"]);
                assert_eq!(found["program_number"], number, "{found:#}");
                let stream_type = format!("{:#04x}", found["stream_type"].as_u64().unwrap());
                assert_eq!(known["stream_type"], stream_type, "{found:#}");
                if let Some(language) = known["lang"].as_array().unwrap().first() {
                    assert_eq!(found["language"], *language, "{found:#}");
                }
                if known["stream_type"] == "0x86" {
                    assert_eq!(found["codec"], "SCTE-35", "{found:#}");
                }
            }
        }
        assert_eq!(all_streams(media).count(), streams, "{media:#}");
        if self.facts["is_cbr"] == true {
            for pcr in self.facts["pcr"].as_object().unwrap().values() {
                let known = pcr["ts_bitrate"].as_f64().unwrap();
                let found = media["total_bitrate_bps"].as_f64().unwrap();
                assert!(
                    (found / known - 1.0).abs() < 1e-4,
                    "{found} is not {known} b/s"
                );
            }
        }
    }

    fn check_media(&self, seen: &Seen) {
        for known in self.facts["ffprobe"].as_array().unwrap() {
            let Some(codec) = known["codec_name"].as_str().filter(|codec| *codec != "epg") else {
                continue;
            };
            let id = known["id"].as_str().unwrap().trim_start_matches("0x");
            let pid = Value::from(u16::from_str_radix(id, 16).unwrap());
            let found = stream(&seen.media, &pid);
            let label = match codec {
                "aac" | "aac_latm" => "AAC-LC",
                "ac3" => "AC-3",
                "dvb_subtitle" => "DVB Subtitle",
                "eac3" => "E-AC-3",
                "h264" => "H.264/AVC",
                "hevc" => "H.265/HEVC",
                "mp2" => "MPEG-1 Layer II",
                "mpeg2video" => "MPEG-2 Video",
                other => panic!("{other} is new here"),
            };
            assert_eq!(found["codec"], label, "{found:#}");
            match codec {
                "dvb_subtitle" => assert_eq!(found["language"], known["language"], "{found:#}"),
                "h264" | "hevc" | "mpeg2video" => check_video(found, codec, known),
                _ => check_audio(found, known),
            }
        }
    }
}

fn check_video(found: &Value, codec: &str, known: &Value) {
    let size = format!("{}x{}", known["width"], known["height"]);
    assert_eq!(found["resolution"], size, "{found:#}");
    let rate = known["avg_frame_rate"].as_str().unwrap();
    let (frames, seconds) = rate.split_once('/').unwrap();
    let rate = frames.parse::<f64>().unwrap() / seconds.parse::<f64>().unwrap();
    // The API has two digits.
    assert!(
        (found["frame_rate"].as_f64().unwrap() - rate).abs() <= 0.005,
        "{found:#}"
    );
    assert_eq!(found["profile"], known["profile"], "{found:#}");
    let level = known["level"].as_u64().unwrap();
    let level = match codec {
        "h264" => format!("{}.{}", level / 10, level % 10),
        "hevc" => format!("{}.{}", level / 30, level % 30 / 3),
        // ISO/IEC 13818-2 table 8-3.
        _ if level == 8 => "Main".to_owned(),
        other => panic!("{other}: level {level} is new here"),
    };
    assert_eq!(found["level"], level, "{found:#}");
    assert_eq!(known["pix_fmt"], "yuv420p");
    assert_eq!(
        (&found["chroma"], &found["bit_depth"]),
        (&"4:2:0".into(), &8.into()),
        "{found:#}"
    );
    assert_eq!(
        found["interlaced"],
        known["field_order"] == "tt",
        "{found:#}"
    );
}

fn check_audio(found: &Value, known: &Value) {
    let rate = found["sample_rate_hz"].to_string();
    assert_eq!(known["sample_rate"], rate, "{found:#}");
    assert_eq!(known["channels"], found["channels"], "{found:#}");
}

fn all_streams(media: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["video_streams", "audio_streams", "data_streams"];
    lists
        .into_iter()
        .flat_map(|list| media[list].as_array().into_iter().flatten())
}

#[track_caller]
fn stream<'a>(media: &'a Value, pid: &Value) -> &'a Value {
    let mut found = all_streams(media).filter(|stream| stream["pid"] == *pid);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("PID {pid} is in no list: {media:#}"));
    assert!(
        found.next().is_none(),
        "PID {pid} is listed once: {media:#}"
    );
    first
}

/// The packets with their times by the stream's own clock.
fn timed(packets: &[TsPacket]) -> Vec<(TsPacket, u64)> {
    let mut timeline = Timeline::new(Some(CLOCKLESS_BITRATE_BPS));
    let mut timed = Vec::with_capacity(packets.len());
    let mut take = |sent: Sent<'_>| {
        if let Sent::Packet(packet, at_ns) = sent {
            timed.push((*packet, at_ns));
        }
    };
    for packet in packets {
        timeline.push(packet, &mut take);
    }
    timeline.finish(&mut take);
    timed
}
