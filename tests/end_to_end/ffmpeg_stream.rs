//! A live stream of ffmpeg comes out of every output byte for byte, and is counted exactly.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use bilbycast_rtp::RtpView;
use bilbycast_tests::ffmpeg::{self, Encoder};
use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::{self, Datagram, Recorder, joined};
use bilbycast_tests::{address, flows, ts};
use serde_json::Value;

/// Seconds of live media; `BILBYCAST_LONG=1` asks for the minute of the acceptance test.
fn seconds() -> u64 {
    match std::env::var("BILBYCAST_LONG") {
        Ok(value) if value == "1" => 60,
        _ => 20,
    }
}

const MUX_BPS: u64 = 4_000_000;

const RTP_HEADER: usize = 12;

/// A node with one flow `live`, what went into it, and what came out of its two outputs.
struct Run {
    node: Node,
    fed: Recorder,
    rtp_out: Recorder,
    udp_out: Recorder,
}

impl Run {
    fn start(input: fn(SocketAddr) -> Value) -> Self {
        let bind_addr = address::next_addr();
        let rtp_out = Recorder::start(address::next_addr());
        let udp_out = Recorder::start(address::next_addr());
        let outputs = [
            flows::rtp_output("rtp", rtp_out.address()),
            flows::udp_output("udp", udp_out.address()),
        ];
        let node = Node::start(&[flows::flow("live", input(bind_addr), &outputs)]);
        Self {
            node,
            // ffmpeg writes other clock values into every mux it makes, so only what really went in can be compared.
            fed: Recorder::relay(address::next_addr(), bind_addr),
            rtp_out,
            udp_out,
        }
    }

    fn stats(&self) -> Value {
        self.node.api().stats("live")
    }

    /// Streams for a while, checks the figures in the middle, and waits for the end.
    fn stream(&self, format: &str, url: &str) {
        let mut encoder = Encoder::start(self.node.folder(), seconds(), MUX_BPS, format, url);
        // Three seconds of media: the one-second window of the bitrate lies wholly inside the stream.
        let packets = usize::try_from(3 * MUX_BPS / 8 / 1316).unwrap();
        self.fed.wait_count(packets, Duration::from_secs(20));
        let stats = self.stats();
        assert!(!encoder.has_ended(), "still in the middle of the stream");
        assert_eq!(stats["state"], "Running", "{stats:#}");
        assert_eq!(stats["health"], "Healthy", "{stats:#}");
        assert_eq!(stats["input"]["state"], "receiving", "{stats:#}");
        for output in stats["outputs"].as_array().unwrap() {
            assert_eq!(output["state"], "active", "{stats:#}");
            self.assert_bitrate(output, &stats);
        }
        self.assert_bitrate(&stats["input"], &stats);
        encoder.finish();
        self.node.wait_stats(
            "live",
            "the bitrate is 0 again",
            Duration::from_secs(3),
            |stats| {
                let quiet = |part: &Value| part["bitrate_bps"] == 0;
                quiet(&stats["input"])
                    && stats["outputs"].as_array().unwrap().iter().all(quiet)
                    && stats["input"]["state"] == "waiting"
            },
        );
    }

    /// ffmpeg sends in lumps, so what a second holds depends on where it begins; the figure must be that of some second
    /// lately. A datagram of an output may differ from that of the input by an RTP header.
    fn assert_bitrate(&self, part: &Value, stats: &Value) {
        let bitrate = part["bitrate_bps"].as_u64().unwrap();
        let (lowest, highest) = recorder::rates(&self.fed.so_far(), 3);
        let range = lowest * 97 / 100..=highest * 103 / 100;
        assert!(
            range.contains(&bitrate),
            "{bitrate} b/s, fed {range:?}: {stats:#}"
        );
    }
}

fn bytes_of(datagrams: &[Datagram]) -> u64 {
    datagrams
        .iter()
        .map(|datagram| datagram.bytes.len() as u64)
        .sum()
}

/// An output that cuts into 7 x 188 bytes may keep an unfinished datagram of at most six TS packets at the end.
fn assert_same_stream(name: &str, fed: &[u8], got: &[u8]) {
    let first_difference = fed.iter().zip(got).position(|(one, other)| one != other);
    assert_eq!(first_difference, None, "{name}: first byte that differs");
    assert!(
        got.len() <= fed.len() && fed.len() - got.len() < 1316,
        "{name}: {} bytes fed, {} came out",
        fed.len(),
        got.len()
    );
}

fn assert_ts_datagrams(name: &str, datagrams: &[Datagram], header: usize) {
    let (last, whole) = datagrams.split_last().unwrap();
    for datagram in whole {
        assert_eq!(datagram.bytes.len(), header + 1316, "{name}");
    }
    assert_eq!((last.bytes.len() - header) % 188, 0, "{name}: the last one");
}

/// ffprobe and a decoder find H.264 and MP2 in the stream and nothing to complain about.
fn assert_clean(node: &Node, name: &str, stream: &[u8]) {
    let report = ts::inspect(stream);
    assert_eq!(
        (report.misaligned, report.continuity_errors),
        (0, 0),
        "{name}: {report:?}"
    );
    let file = node.folder().join(format!("{name}.ts"));
    fs::write(&file, stream).unwrap();
    assert_eq!(ffmpeg::codecs(&file), ["h264", "mp2"], "{name}");
    assert_eq!(ffmpeg::complaints(&file, seconds() - 1), "", "{name}");
}

#[test]
fn rtp_comes_out_as_rtp_and_as_udp() {
    let run = Run::start(flows::rtp_input);
    let relay = run.fed.address();
    run.stream("rtp_mpegts", &format!("rtp://{relay}?pkt_size=1328"));
    let stats = run.stats();
    let silence = Duration::from_millis(300);
    let fed = run.fed.finish(silence);
    let rtp = run.rtp_out.finish(silence);
    let udp = run.udp_out.finish(silence);

    assert_eq!(fed.len(), rtp.len(), "every RTP packet comes out");
    for (index, (one, other)) in fed.iter().zip(&rtp).enumerate() {
        assert!(
            one.bytes == other.bytes,
            "RTP packet {index} of {} differs",
            fed.len()
        );
    }
    assert_ts_datagrams("udp", &udp, 0);
    let payload = joined(&fed, RTP_HEADER);
    assert_same_stream("udp", &payload, &joined(&udp, 0));
    assert_clean(&run.node, "udp", &joined(&udp, 0));

    assert_eq!(stats["input"]["packets_received"], fed.len(), "{stats:#}");
    assert_eq!(
        stats["input"]["bytes_received"],
        bytes_of(&fed),
        "{stats:#}"
    );
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    for (output, sent) in [(&stats["outputs"][0], &rtp), (&stats["outputs"][1], &udp)] {
        assert_eq!(output["packets_sent"], sent.len(), "{stats:#}");
        assert_eq!(output["bytes_sent"], bytes_of(sent), "{stats:#}");
        assert_eq!(output["packets_dropped"], 0, "{stats:#}");
    }
}

#[test]
fn udp_of_seven_packets_is_wrapped_in_rtp() {
    wrapped("1316");
}

/// Datagrams that cut TS packets in two are put together again.
#[test]
fn udp_of_odd_sizes_is_realigned_and_wrapped_in_rtp() {
    wrapped("1003");
}

fn wrapped(datagram_bytes: &str) {
    let run = Run::start(flows::udp_input);
    let relay = run.fed.address();
    run.stream(
        "mpegts",
        &format!("udp://{relay}?pkt_size={datagram_bytes}"),
    );
    let stats = run.stats();
    let silence = Duration::from_millis(300);
    let fed = run.fed.finish(silence);
    let rtp = run.rtp_out.finish(silence);
    let udp = run.udp_out.finish(silence);

    let payload = joined(&fed, 0);
    assert_ts_datagrams("udp", &udp, 0);
    assert_same_stream("udp", &payload, &joined(&udp, 0));
    assert_ts_datagrams("rtp", &rtp, RTP_HEADER);
    assert_same_stream("rtp", &payload, &joined(&rtp, RTP_HEADER));
    assert_clean(&run.node, "rtp", &joined(&rtp, RTP_HEADER));
    assert_numbered(&rtp);

    assert_eq!(stats["input"]["packets_received"], fed.len(), "{stats:#}");
    assert_eq!(
        stats["input"]["bytes_received"],
        bytes_of(&fed),
        "{stats:#}"
    );
    assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    assert_eq!(stats["outputs"][0]["packets_sent"], rtp.len(), "{stats:#}");
    assert_eq!(stats["outputs"][1]["packets_sent"], udp.len(), "{stats:#}");
}

/// RFC 2250 2: payload type 33, a 90 kHz clock; RFC 3550 5.1: numbers that count up, one source.
fn assert_numbered(datagrams: &[Datagram]) {
    // The last one may have waited for a rest of the stream that never came, and left late.
    let datagrams = &datagrams[..datagrams.len() - 1];
    let views: Vec<RtpView<'_>> = datagrams
        .iter()
        .map(|datagram| RtpView::parse(&datagram.bytes).expect("an RTP packet"))
        .collect();
    let mut ticks = 0_u64;
    for (index, pair) in views.windows(2).enumerate() {
        assert_eq!(
            pair[1].sequence(),
            pair[0].sequence().next(),
            "after packet {index}"
        );
        assert_eq!(pair[1].ssrc(), pair[0].ssrc(), "after packet {index}");
        let step = pair[1].timestamp().wrapping_sub(pair[0].timestamp());
        assert!(
            step < 90_000,
            "packet {index}: the timestamp goes on by {step}"
        );
        ticks += u64::from(step);
    }
    assert!(views.iter().all(|view| view.payload_type() == 33));
    assert!(datagrams.iter().all(|datagram| datagram.bytes[0] == 0x80));
    let first = datagrams.first().unwrap().arrived_ns;
    let last = datagrams.last().unwrap().arrived_ns;
    let by_clock = (last - first) as f64 / 1e9;
    let by_timestamps = ticks as f64 / 90_000.0;
    assert!(
        (by_clock - by_timestamps).abs() < 0.1,
        "{by_timestamps} s by timestamps, {by_clock} s by the clock"
    );
}
