//! The command itself, over the built-in test source.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bilbycast_mpegts::{TestSource, TestSourceConfig};

fn analyze(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bilbycast-analyze"))
        .args(arguments)
        .output()
        .unwrap()
}

fn test_stream(folder: &Path) -> PathBuf {
    let mut source = TestSource::new(&TestSourceConfig::new(4_000_000)).unwrap();
    let mut bytes = vec![0; 188 * 8_000];
    source.write(&mut bytes);
    let path = folder.join("source.ts");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn json_has_what_the_api_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = test_stream(folder.path());
    let output = analyze(&[path.to_str().unwrap(), "--json"]);
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["time"]["base"], "pcr");
    assert_eq!(report["tr101290"]["ts_packets_analyzed"], 8_000);
    assert_eq!(report["tr101290"]["priority1_ok"], true);
    assert_eq!(report["tr101290"]["priority2_ok"], true);
    let media = &report["media_analysis"];
    assert_eq!(media["program_count"], 1);
    assert_eq!(media["video_streams"][0]["codec"], "H.264/AVC");
    assert_eq!(media["video_streams"][0]["resolution"], "1920x1080");
    assert_eq!(media["video_streams"][0]["frame_rate"], 25.0);
    assert_eq!(media["audio_streams"][0]["language"], "eng");
    let bps = media["total_bitrate_bps"].as_u64().unwrap();
    assert!(bps.abs_diff(4_000_000) <= 4, "{bps}");
}

#[test]
fn time_in_steps_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = test_stream(folder.path());
    let output = analyze(&[path.to_str().unwrap(), "--clock", "steps", "--json"]);
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["time"]["base"], "pcr_steps");
    assert_eq!(report["tr101290"]["priority1_ok"], true);
    assert_eq!(report["tr101290"]["priority2_ok"], true);
    let output = analyze(&[path.to_str().unwrap(), "--clock", "sundial"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("sundial") && text.contains("steps"), "{text}");
}

#[test]
fn text_names_programmes_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = test_stream(folder.path());
    let output = analyze(&[path.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("Programme 1, PMT PID 4096, PCR PID 256"),
        "{text}"
    );
    assert!(text.contains("H.264/AVC 1920x1080p 25 frames/s"), "{text}");
    assert!(text.contains("1.4 continuity"), "{text}");
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing.ts");
    std::fs::write(&path, vec![7; 5000]).unwrap();
    let missing = folder.path().join("missing.ts");
    for (path, expected) in [(&path, "no transport packets"), (&missing, "cannot read")] {
        let output = analyze(&[path.to_str().unwrap()]);
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(expected) && text.contains(".ts"), "{text}");
    }
}
