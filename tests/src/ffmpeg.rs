//! ffmpeg as an encoder and as a judge. Every run is bounded in time.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::Process;

/// An encoder that sends a live stream: a moving picture (H.264) and a tone (MPEG-1 layer II). The transport stream has a
/// constant rate with `mpegts`; `rtp_mpegts` sends no stuffing.
#[derive(Debug)]
pub struct Encoder {
    process: Process,
    limit: Duration,
}

impl Encoder {
    /// Sends `seconds` of media at the pace of the clock.
    ///
    /// `format` and `url` are those of ffmpeg (`rtp_mpegts` or `mpegts`).
    #[must_use]
    pub fn start(folder: &Path, seconds: u64, mux_bps: u64, format: &str, url: &str) -> Self {
        let duration = seconds.to_string();
        let video_bps = (mux_bps * 6 / 10).to_string();
        let mut command = Command::new("ffmpeg");
        command
            .args(["-nostdin", "-hide_banner", "-loglevel", "warning", "-re"])
            .args(["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"])
            .args(["-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000"])
            .args(["-t", &duration, "-pix_fmt", "yuv420p"])
            .args([
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-tune",
                "zerolatency",
                "-g",
                "25",
            ])
            .args([
                "-b:v", &video_bps, "-maxrate", &video_bps, "-bufsize", "500k",
            ])
            .args(["-c:a", "mp2", "-b:a", "192k", "-ac", "2"])
            .args(["-muxrate", &mux_bps.to_string(), "-f", format, url]);
        Self {
            process: Process::start("ffmpeg-encoder", folder, &mut command),
            limit: Duration::from_secs(seconds + 20),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    /// Waits for its end.
    pub fn finish(mut self) {
        let status = self.process.wait(self.limit);
        assert!(
            status.success(),
            "ffmpeg: {status}:\n{}",
            self.process.printed()
        );
    }
}

/// The streams that ffprobe sees in a file.
#[must_use]
pub fn streams(file: &Path) -> Vec<Value> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_streams", "-of", "json"])
        .arg(file)
        .output()
        .expect("ffprobe can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "ffprobe: {said}"
    );
    let answer: Value = serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON");
    answer["streams"].as_array().cloned().unwrap_or_default()
}

/// The codec names of a file's streams, sorted.
#[must_use]
pub fn codecs(file: &Path) -> Vec<String> {
    let mut codecs: Vec<String> = streams(file)
        .iter()
        .filter_map(|stream| stream["codec_name"].as_str().map(str::to_owned))
        .collect();
    codecs.sort();
    codecs
}

/// Decodes the first `seconds` of a file and returns every complaint of demultiplexer and decoders; empty when the
/// stream is clean.
///
/// A recording ends in the middle of something, and the `rtp_mpegts` of ffmpeg never sends the last bytes of its own
/// stream; so `seconds` must lie before the end.
#[must_use]
pub fn complaints(file: &Path, seconds: u64) -> String {
    let stream = File::open(file).expect("the file was just written");
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "warning", "-xerror"])
        // From a file, ffmpeg would look at the very end to learn the duration.
        .args([
            "-t",
            &seconds.to_string(),
            "-i",
            "pipe:0",
            "-f",
            "null",
            "-",
        ])
        .stdin(stream)
        .output()
        .expect("ffmpeg can be started");
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        said.push_str(&format!("\n{}", output.status));
    }
    said
}
