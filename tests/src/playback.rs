//! Transport streams that are played once, each packet at its time, and what the API shows of them meanwhile.

use std::net::UdpSocket;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::node::Node;
use crate::rtp::RtpPacket;
use crate::{cpu, wait};

/// A packet of a transport stream.
pub type TsPacket = [u8; 188];

/// A transport stream in RTP, seven packets a datagram and the rest in the last one.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    datagrams: Vec<Datagram>,
}

#[derive(Clone, Debug)]
struct Datagram {
    due: Duration,
    bytes: Vec<u8>,
}

impl Stream {
    /// From packets with the times at which they are sent, in nanoseconds, ascending. A datagram leaves with its last packet.
    #[must_use]
    pub fn new(ssrc: u32, packets: &[(TsPacket, u64)]) -> Self {
        let datagram = |(number, packets): (usize, &[(TsPacket, u64)])| {
            let (_, due_ns) = packets.last().expect("chunks are not empty");
            let ticks = u128::from(*due_ns) * 90_000 / 1_000_000_000;
            let packet = RtpPacket {
                payload_type: 33,
                sequence: u16::try_from(number % 0x1_0000).expect("a remainder of 2^16"),
                timestamp: u32::try_from(ticks % (1 << 32)).expect("a remainder of 2^32"),
                ssrc,
                payload: packets.iter().flat_map(|(packet, _)| *packet).collect(),
                ..RtpPacket::default()
            };
            Datagram {
                due: Duration::from_nanos(*due_ns),
                bytes: packet.to_bytes(),
            }
        };
        let datagrams = packets.chunks(7).enumerate().map(datagram).collect();
        Self { datagrams }
    }

    /// Number of datagrams.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.datagrams.len()
    }

    /// When the last one leaves.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.datagrams
            .last()
            .map_or(Duration::ZERO, |last| last.due)
    }
}

/// Streams that are being played.
#[derive(Debug)]
pub struct Playback {
    start: Instant,
    thread: JoinHandle<Duration>,
}

impl Playback {
    /// Plays all streams at once, each to its socket.
    #[must_use]
    pub fn start(streams: Vec<(UdpSocket, Stream)>) -> Self {
        let mut schedule: Vec<(Duration, usize, usize)> = Vec::new();
        for (stream, (_, played)) in streams.iter().enumerate() {
            let datagrams = played.datagrams.iter().enumerate();
            schedule.extend(datagrams.map(|(number, datagram)| (datagram.due, stream, number)));
        }
        schedule.sort_unstable();
        let start = Instant::now() + START_DELAY;
        let thread = thread::spawn(move || {
            cpu::leave_packet_cpu();
            let mut latest = Duration::ZERO;
            for (due, stream, number) in schedule {
                let at = start + due;
                thread::sleep(at.saturating_duration_since(Instant::now()));
                let (socket, played) = &streams[stream];
                // A refusal tells of an earlier packet that found nobody at the destination.
                let _sent = socket.send(&played.datagrams[number].bytes);
                latest = latest.max(at.elapsed());
            }
            latest
        });
        Self { start, thread }
    }

    /// Waits for the end; returns how late the latest datagram left.
    #[must_use]
    pub fn finish(self) -> Duration {
        self.thread.join().expect("the player does not fail")
    }
}

/// What the API showed of a flow while its stream was played.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Each health from the first datagram on, without repetitions.
    pub health: Vec<String>,
    /// The statistics of the flow, the first that had every datagram.
    pub stats: Value,
    /// The events of the flow until then, the newest first.
    pub events: Vec<Value>,
    /// How long after the end of the stream these were read, at most.
    pub age: Duration,
    /// `GET /api/v1/stats/{flow_id}/pids`, the first that had every packet.
    pub pids: Value,
    /// `media_analysis` of the same moment.
    pub media: Value,
}

/// A flow that is watched.
#[derive(Debug)]
pub struct Watched<'a> {
    /// Its id.
    pub flow_id: &'a str,
    /// What is sent to it.
    pub stream: &'a Stream,
}

/// Watches flows until everything that `playback` sends them has been counted and listed.
///
/// # Panics
///
/// When that does not come about within [`WATCH_LIMIT`] from when the last datagram has left.
#[must_use]
pub fn watch(node: &Node, playback: &Playback, flows: &[Watched<'_>]) -> Vec<Seen> {
    let blank = Seen {
        health: Vec::new(),
        stats: Value::Null,
        events: Vec::new(),
        age: Duration::ZERO,
        pids: Value::Null,
        media: Value::Null,
    };
    let mut seen = vec![blank; flows.len()];
    let mut deadline = None;
    loop {
        let stats = node.api().get("/api/v1/stats").data();
        let mut complete = Vec::new();
        for (flow, seen) in flows.iter().zip(&mut seen) {
            let found = stats["flows"].as_array().into_iter().flatten();
            let mut found = found.filter(|stats| stats["flow_id"] == flow.flow_id);
            let stats = found.next().expect("a flow that is configured is listed");
            if seen.stats != Value::Null {
                seen.take_detail(node, flow.flow_id);
            } else if seen.take_stats(flow.stream, stats) {
                complete.push((flow, seen));
            }
        }
        if !complete.is_empty() {
            let events = node.api().get("/api/v1/events").data();
            let now = Instant::now();
            for (flow, seen) in complete {
                let events = events["events"].as_array().into_iter().flatten();
                let events = events.filter(|event| event["flow_id"] == flow.flow_id);
                seen.events = events.cloned().collect();
                seen.age = now.saturating_duration_since(playback.start + flow.stream.end());
            }
        }
        if seen.iter().all(|seen| seen.pids != Value::Null) {
            return seen;
        }
        if playback.thread.is_finished() {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + WATCH_LIMIT);
            assert!(
                Instant::now() < deadline,
                "every packet should have been counted, of datagrams {:?}: {:#}",
                flows
                    .iter()
                    .map(|flow| flow.stream.datagrams())
                    .collect::<Vec<_>>(),
                stats["flows"]
            );
        }
        wait::pass(POLL);
    }
}

impl Seen {
    /// True when everything has been received.
    fn take_stats(&mut self, stream: &Stream, stats: &Value) -> bool {
        let received = stats["input"]["packets_received"].as_u64().unwrap_or(0);
        let health = stats["health"].as_str().expect("health is a text");
        if received > 0 && self.health.last().is_none_or(|last| last != health) {
            self.health.push(health.to_owned());
        }
        let is_complete = received >= stream.datagrams() as u64;
        if is_complete {
            self.stats = stats.clone();
        }
        is_complete
    }

    /// The details are published once a second, so they come a little later than the counters.
    fn take_detail(&mut self, node: &Node, flow_id: &str) {
        if self.pids != Value::Null {
            return;
        }
        let pids = node.api().get(&format!("/api/v1/stats/{flow_id}/pids"));
        let pids = pids.data();
        let listed = pids["pids"].as_array().into_iter().flatten();
        let listed: u64 = listed.filter_map(|pid| pid["packets"].as_u64()).sum();
        let tr101290 = &self.stats["tr101290"];
        let count = |name: &str| tr101290[name].as_u64().unwrap_or(0);
        if listed + count("null_packets") >= count("ts_packets_analyzed") {
            self.media = node.api().stats(flow_id)["media_analysis"].clone();
            self.pids = pids;
        }
    }
}

/// How long after the last datagram everything must have been counted. The details take a second.
pub const WATCH_LIMIT: Duration = Duration::from_secs(5);

/// The first datagrams of many streams are due together; the player is awake by then.
const START_DELAY: Duration = Duration::from_millis(50);

/// Counters are published ten times a second; what is looked for must not be missed between two looks.
const POLL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_leave_with_their_last_packets() {
        let packets: Vec<_> = (0..16).map(|n| ([0x47; 188], n * 1_000_000)).collect();
        let stream = Stream::new(1, &packets);
        let sizes: Vec<_> = stream.datagrams.iter().map(|d| d.bytes.len()).collect();
        assert_eq!(sizes, [12 + 7 * 188, 12 + 7 * 188, 12 + 2 * 188]);
        let due: Vec<_> = stream.datagrams.iter().map(|d| d.due.as_millis()).collect();
        assert_eq!(due, [6, 13, 15]);
        assert_eq!(stream.end(), Duration::from_millis(15));
    }
}
