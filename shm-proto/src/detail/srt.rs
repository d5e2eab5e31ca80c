//! Who is connected to the SRT legs of a flow that listen.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::is_zero;

/// Callers of an SRT leg that listens.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SrtListenerDetail {
    /// The output that it belongs to; `None` for the input.
    pub output_id: Option<String>,
    /// Number of the leg: 1 or 2.
    pub leg: u8,
    /// Its callers, those that have been there for longest first, as far as they fit.
    pub callers: Vec<SrtCallerDetail>,
    /// Callers that did not fit.
    pub left_out: u64,
}

/// A connected caller. Its names in the JSON are short, for there may be hundreds of them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SrtCallerDetail {
    /// Where it calls from.
    #[serde(rename = "a")]
    pub remote: SocketAddr,
    /// Its stream id.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<String>,
    /// Code of its [`EndpointState`](crate::counters::EndpointState).
    #[serde(rename = "s")]
    pub state: u64,
    /// Age of the connection in milliseconds.
    #[serde(rename = "u")]
    pub uptime_ms: u64,
    /// Smoothed round-trip time in microseconds; absent before the first measurement.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
    /// Our latency as agreed, in milliseconds.
    #[serde(rename = "lr")]
    pub recv_latency_ms: u64,
    /// Its latency as agreed, in milliseconds.
    #[serde(rename = "ls")]
    pub send_latency_ms: u64,
    /// Rate of everything that is sent, in bits per second.
    #[serde(rename = "bs", default, skip_serializing_if = "is_zero")]
    pub send_bps: u64,
    /// Rate of everything that is received, in bits per second.
    #[serde(rename = "br", default, skip_serializing_if = "is_zero")]
    pub recv_bps: u64,
    /// Data packets sent, those sent again included.
    #[serde(rename = "ps", default, skip_serializing_if = "is_zero")]
    pub packets_sent: u64,
    /// Data packets received.
    #[serde(rename = "pr", default, skip_serializing_if = "is_zero")]
    pub packets_received: u64,
    /// Bytes sent.
    #[serde(rename = "os", default, skip_serializing_if = "is_zero")]
    pub bytes_sent: u64,
    /// Bytes received.
    #[serde(rename = "or", default, skip_serializing_if = "is_zero")]
    pub bytes_received: u64,
    /// Packets sent again.
    #[serde(rename = "x", default, skip_serializing_if = "is_zero")]
    pub retransmitted: u64,
    /// Packets lost: of those sent, what the far end reported.
    #[serde(rename = "l", default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Packets given up because they were too late.
    #[serde(rename = "d", default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
}

/// Adds the listeners to the object in `json`, which then has at most `bytes_max` bytes. Each gets the same share of the
/// room, and what it leaves goes to those behind it; callers that do not fit are taken out and counted. A listener that has
/// not even room for its name is taken out.
pub(super) fn append(listeners: &mut Vec<SrtListenerDetail>, json: &mut Vec<u8>, bytes_max: usize) {
    let (whole, mut waiting) = (json.len(), listeners.len());
    if json.pop() != Some(b'}') {
        json.truncate(whole);
        return;
    }
    let start = json.len();
    if json.last() != Some(&b'{') {
        json.push(b',');
    }
    json.extend_from_slice(b"\"srt_listeners\":[");
    let first = json.len();
    listeners.retain_mut(|listener| {
        let room = bytes_max.saturating_sub(json.len() + CLOSING.len());
        let end = json.len() + room / waiting;
        waiting -= 1;
        listener.append(json, json.len() > first, end)
    });
    if listeners.is_empty() {
        json.truncate(start);
        json.push(b'}');
    } else {
        json.extend_from_slice(CLOSING);
    }
}

/// What ends the list and the object around it.
const CLOSING: &[u8] = b"]}";

/// What ends a listener takes at most: its name and twenty digits.
const LISTENER_END_BYTES_MAX: usize = b"],\"left_out\":}".len() + 20;

impl SrtListenerDetail {
    /// Writes it up to `end` at most; false when there is no room, and nothing has been written.
    fn append(&mut self, json: &mut Vec<u8>, is_next: bool, end: usize) -> bool {
        let start = json.len();
        if is_next {
            json.push(b',');
        }
        json.extend_from_slice(b"{\"output_id\":");
        let has_id = serde_json::to_writer(&mut *json, &self.output_id).is_ok();
        json.extend_from_slice(b",\"leg\":");
        let has_leg = serde_json::to_writer(&mut *json, &self.leg).is_ok();
        json.extend_from_slice(b",\"callers\":[");
        if !has_id || !has_leg || json.len() + LISTENER_END_BYTES_MAX > end {
            json.truncate(start);
            return false;
        }
        let fit = self.callers.iter().enumerate().position(|(index, caller)| {
            let before = json.len();
            if index > 0 {
                json.push(b',');
            }
            let is_written = serde_json::to_writer(&mut *json, caller).is_ok();
            let fits = is_written && json.len() + LISTENER_END_BYTES_MAX <= end;
            if !fits {
                json.truncate(before);
            }
            !fits
        });
        if let Some(fit) = fit {
            self.left_out += (self.callers.len() - fit) as u64;
            self.callers.truncate(fit);
        }
        json.extend_from_slice(b"],\"left_out\":");
        // A number always is JSON, and a vector takes every byte.
        let is_written = serde_json::to_writer(&mut *json, &self.left_out).is_ok();
        json.push(b'}');
        is_written
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PidDetail, StreamDetail};
    use super::*;

    fn caller(number: u16, stream_id: Option<&str>) -> SrtCallerDetail {
        SrtCallerDetail {
            remote: SocketAddr::new([192, 0, 2, 17].into(), number),
            stream_id: stream_id.map(str::to_owned),
            state: 2,
            uptime_ms: 86_400_000,
            rtt_us: Some(40_123),
            recv_latency_ms: 120,
            send_latency_ms: 400,
            send_bps: 20_123_456,
            recv_bps: 0,
            packets_sent: 123_456_789,
            packets_received: 0,
            bytes_sent: 162_469_134_324,
            bytes_received: 0,
            retransmitted: 1_234,
            lost: 1_200,
            dropped: 3,
        }
    }

    fn listener(output_id: Option<&str>, callers: usize) -> SrtListenerDetail {
        SrtListenerDetail {
            output_id: output_id.map(str::to_owned),
            leg: 1,
            callers: (0..callers)
                .map(|number| caller(number as u16, Some("#!::r=live,u=a-customer")))
                .collect(),
            left_out: 0,
        }
    }

    fn written(detail: &mut StreamDetail, bytes_max: usize) -> StreamDetail {
        let mut json = Vec::new();
        detail.write_json(&mut json, bytes_max);
        assert!(json.len() <= bytes_max, "{} bytes", json.len());
        let read = serde_json::from_slice(&json).unwrap();
        assert_eq!(read, *detail, "what was left out is gone here too");
        read
    }

    #[test]
    fn callers_are_read_back() {
        let mut bare = listener(Some("a \"name\""), 1);
        bare.callers[0].stream_id = None;
        bare.callers[0].rtt_us = None;
        bare.leg = 2;
        let listeners = vec![listener(None, 1), bare, listener(Some("idle"), 0)];
        let mut detail = StreamDetail {
            srt_listeners: listeners.clone(),
            ..StreamDetail::default()
        };
        assert_eq!(written(&mut detail, 16_000).srt_listeners, listeners);
    }

    #[test]
    fn the_full_house_of_one_output_fits() {
        let pid = PidDetail {
            role: "stream".to_owned(),
            packets: 1_234_567,
            bitrate_bps: 5_000_000,
            ..PidDetail::default()
        };
        let mut detail = StreamDetail {
            pids: vec![pid; 16],
            srt_listeners: vec![listener(Some("out"), 256)],
            ..StreamDetail::default()
        };
        let read = written(&mut detail, crate::shm::DETAIL_BYTES_MAX);
        assert_eq!(read.srt_listeners[0].left_out, 0);
        assert_eq!(read.srt_listeners[0].callers.len(), 256);
    }

    #[test]
    fn the_stream_stays_whole_and_callers_that_do_not_fit_are_counted() {
        let stream = StreamDetail {
            pids: vec![PidDetail::default(); 40],
            ..StreamDetail::default()
        };
        let full = serde_json::to_vec(&stream).unwrap().len();
        for bytes_max in (full..full + 8_000).step_by(97) {
            let mut detail = StreamDetail {
                srt_listeners: vec![listener(Some("a"), 40), listener(Some("b"), 3)],
                ..stream.clone()
            };
            let read = written(&mut detail, bytes_max);
            assert_eq!(read.pids, stream.pids);
            for listener in &read.srt_listeners {
                let all = if listener.output_id.as_deref() == Some("a") {
                    40
                } else {
                    3
                };
                assert_eq!(listener.callers.len() as u64 + listener.left_out, all);
            }
        }
        let mut detail = StreamDetail {
            srt_listeners: vec![listener(Some("a"), 100), listener(Some("b"), 3)],
            ..stream
        };
        let read = written(&mut detail, full + 4_000);
        assert!(read.srt_listeners[0].left_out > 0);
        assert_eq!(read.srt_listeners[1].left_out, 0, "it has its share");
    }

    #[test]
    fn a_long_stream_id_breaks_no_bound() {
        let long = "\u{1}".repeat(512);
        let mut callers = listener(Some("a"), 2);
        callers.callers.push(caller(9, Some(&long)));
        let mut detail = StreamDetail {
            srt_listeners: vec![callers],
            ..StreamDetail::default()
        };
        let read = written(&mut detail, 2_000);
        assert_eq!(read.srt_listeners[0].callers.len(), 2);
        assert_eq!(read.srt_listeners[0].left_out, 1);
        assert!(written(&mut detail, 40).srt_listeners.is_empty());
    }
}
