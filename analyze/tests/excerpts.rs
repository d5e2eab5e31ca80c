//! What the codec parsers read from real encoders, wherever the tests run.
//!
//! The excerpts are the first packets of each PID of streams that were made with ffmpeg 5.1.9 (x264, x265, mp2, aac, ac3), without
//! null packets; so their bitrates and times mean nothing.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::path::Path;

use bilbycast_analyze::{Options, Report, analyse};

fn report(file: &str) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/media")
        .join(file);
    let report = analyse(&path, &Options::default()).unwrap();
    assert_eq!(report.tr101290.cc_errors, 0);
    assert_eq!(report.tr101290.crc_errors, 0);
    report
}

/// Program, PID, codec, resolution, frame rate, profile, level, interlaced.
type Video<'a> = (u16, u16, &'a str, &'a str, f64, &'a str, &'a str, bool);

fn videos(report: &Report) -> Vec<Video<'_>> {
    report
        .media_analysis
        .video_streams
        .iter()
        .map(|v| {
            (
                v.program,
                v.pid,
                v.codec,
                v.resolution.as_deref().unwrap(),
                v.frame_rate.unwrap(),
                v.profile.unwrap(),
                v.level.unwrap(),
                v.interlaced.unwrap(),
            )
        })
        .collect()
}

/// PID, codec, sampling rate, channels, language.
type Audio<'a> = (u16, &'a str, u32, u8, &'a str);

fn audios(report: &Report) -> Vec<Audio<'_>> {
    report
        .media_analysis
        .audio_streams
        .iter()
        .map(|a| {
            (
                a.pid,
                a.codec,
                a.sample_rate_hz.unwrap(),
                a.channels.unwrap(),
                a.language.as_deref().unwrap(),
            )
        })
        .collect()
}

#[test]
fn two_programmes_with_hevc_and_avc() {
    let report = report("two_programs.ts");
    assert_eq!(
        videos(&report),
        [
            (
                101,
                256,
                "H.265/HEVC",
                "1920x1080",
                25.0,
                "Main",
                "4.0",
                false
            ),
            (
                202,
                258,
                "H.264/AVC",
                "1280x720",
                50.0,
                "Constrained Baseline",
                "3.2",
                false
            ),
        ]
    );
    assert_eq!(
        audios(&report),
        [
            (257, "AAC-LC", 48_000, 2, "eng"),
            (259, "AC-3", 48_000, 2, "deu"),
        ]
    );
}

#[test]
fn interlaced_avc_with_layer_ii_and_latm() {
    let report = report("h264_1080i_mp2_latm.ts");
    assert_eq!(
        videos(&report),
        [(1, 256, "H.264/AVC", "1920x1080", 25.0, "High", "4.0", true)]
    );
    assert_eq!(
        audios(&report),
        [
            (257, "MPEG-1 Layer II", 48_000, 2, "ger"),
            (258, "AAC-LC", 44_100, 2, "fre"),
        ]
    );
}
