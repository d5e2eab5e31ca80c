//! What is in a flow's stream: programmes, elementary streams, PIDs; and who calls its SRT listeners. Published once a
//! second as JSON, for it has no fixed size; the numbers that people plot are in [`crate::counters`].

use serde::{Deserialize, Serialize};

mod srt;

pub use srt::{SrtCallerDetail, SrtListenerDetail};

/// What the analyser of a flow has found.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct StreamDetail {
    /// transport_stream_id of the PAT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport_stream_id: Option<u16>,
    /// Programmes of the PAT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programmes: Vec<ProgrammeDetail>,
    /// Video streams of all PMTs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub video_streams: Vec<VideoDetail>,
    /// Audio streams of all PMTs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audio_streams: Vec<AudioDetail>,
    /// All other streams of all PMTs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_streams: Vec<DataDetail>,
    /// Rate of the multiplex in bits per second.
    #[serde(default)]
    pub total_bitrate_bps: u64,
    /// Rate of its null packets in bits per second.
    #[serde(default)]
    pub null_bitrate_bps: u64,
    /// PID of the first JPEG XS stream (VSF TR-07).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jpeg_xs_pid: Option<u16>,
    /// PIDs that were seen or that a table names, as far as they fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pids: Vec<PidDetail>,
    /// PIDs that did not fit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pids_left_out: u64,
    /// SRT legs of the flow that listen, with their callers, as far as they fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub srt_listeners: Vec<SrtListenerDetail>,
}

/// A programme.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ProgrammeDetail {
    /// program_number.
    pub number: u16,
    /// PID of its PMT.
    pub pmt_pid: u16,
    /// PID of its PCR; absent until its PMT has come.
    pub pcr_pid: Option<u16>,
}

/// A video stream.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct VideoDetail {
    /// PID.
    pub pid: u16,
    /// Name as the API shows it, such as `H.264/AVC`.
    pub codec: String,
    /// stream_type of the PMT.
    pub stream_type: u8,
    /// Width and height in pixels, such as `1920x1080`.
    pub resolution: Option<String>,
    /// Frames (not fields) in a second.
    pub frame_rate: Option<f64>,
    /// Profile.
    pub profile: Option<String>,
    /// Level.
    pub level: Option<String>,
    /// Over the last second, in bits per second.
    pub bitrate_bps: u64,
    /// program_number.
    pub program_number: u16,
    /// Chroma format, such as `4:2:0`.
    pub chroma: Option<String>,
    /// Bits of a luma sample.
    pub bit_depth: Option<u8>,
    /// The stream may have fields instead of whole frames.
    pub interlaced: Option<bool>,
}

/// An audio stream.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct AudioDetail {
    /// PID.
    pub pid: u16,
    /// Name as the API shows it, such as `AAC-LC`.
    pub codec: String,
    /// stream_type of the PMT.
    pub stream_type: u8,
    /// Sampling rate in hertz.
    pub sample_rate_hz: Option<u32>,
    /// Channels, low frequency effects included.
    pub channels: Option<u8>,
    /// ISO 639 code as the stream has it.
    pub language: Option<String>,
    /// Over the last second, in bits per second.
    pub bitrate_bps: u64,
    /// program_number.
    pub program_number: u16,
}

/// A stream that is neither.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct DataDetail {
    /// PID.
    pub pid: u16,
    /// What it is, such as `SCTE-35`.
    pub codec: String,
    /// stream_type of the PMT.
    pub stream_type: u8,
    /// ISO 639 code as the stream has it.
    pub language: Option<String>,
    /// Over the last second, in bits per second.
    pub bitrate_bps: u64,
    /// program_number.
    pub program_number: u16,
}

/// A PID.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct PidDetail {
    /// The PID.
    pub pid: u16,
    /// What it is for.
    pub role: String,
    /// Packets since the flow's start.
    pub packets: u64,
    /// Over the last second, in bits per second.
    pub bitrate_bps: u64,
    /// TR 101 290 1.4.
    pub cc_errors: u64,
    /// TR 101 290 2.1.
    pub tei_errors: u64,
    /// Packets with a scrambled payload.
    pub scrambled_packets: u64,
    /// PCRs; absent on a PID that carries none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcrs: Option<u64>,
    /// TR 101 290 2.4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcr_accuracy_errors: Option<u64>,
}

impl StreamDetail {
    /// Writes it as JSON of at most `bytes_max` bytes into `json`: of the PIDs as many as fit, and of the SRT callers as
    /// many as there is room for beside them. Allocates nothing when `json` has room and no PID is left out.
    pub fn write_json(&mut self, json: &mut Vec<u8>, bytes_max: usize) {
        let mut listeners = std::mem::take(&mut self.srt_listeners);
        self.write_stream(json, bytes_max);
        if !listeners.is_empty() {
            srt::append(&mut listeners, json, bytes_max);
        }
        self.srt_listeners = listeners;
    }

    fn write_stream(&mut self, json: &mut Vec<u8>, bytes_max: usize) {
        loop {
            json.clear();
            if serde_json::to_writer(&mut *json, self).is_ok() && json.len() <= bytes_max {
                return;
            }
            let keep = self.pids.len() / 2;
            if self.pids.is_empty() {
                // Streams alone never come near the limit; an empty object says that nothing is known.
                json.clear();
                json.extend_from_slice(b"{}");
                return;
            }
            self.pids_left_out += (self.pids.len() - keep) as u64;
            self.pids.truncate(keep);
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_counted() {
        let pid = PidDetail {
            role: "unreferenced".to_owned(),
            ..PidDetail::default()
        };
        let mut detail = StreamDetail {
            pids: vec![pid; 400],
            ..StreamDetail::default()
        };
        let mut json = Vec::new();
        detail.write_json(&mut json, 16_000);
        assert!(json.len() <= 16_000);
        let read: StreamDetail = serde_json::from_slice(&json).unwrap();
        assert_eq!(read.pids.len() as u64 + read.pids_left_out, 400);
        assert_eq!(read, detail);
        detail.write_json(&mut json, 10);
        assert_eq!(json, b"{}");
    }
}
