//! The built-in test source is a stream that others accept.

use std::fs;
use std::time::Duration;

use bilbycast_rtp::RtpView;
use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::{Recorder, joined};
use bilbycast_tests::{address, ffmpeg, flows, ts};

const BITRATE_MBPS: f64 = 10.0;

#[test]
fn it_is_a_clean_stream_of_the_set_rate() {
    let udp_out = Recorder::start(address::next_addr());
    let rtp_out = Recorder::start(address::next_addr());
    let outputs = [
        flows::udp_output("udp", udp_out.address()),
        flows::rtp_output("rtp", rtp_out.address()),
    ];
    let flow = flows::flow("test", flows::test_input(BITRATE_MBPS), &outputs);
    let node = Node::start(&[flow]);
    // Six seconds at 950 datagrams a second.
    udp_out.wait_count(5_700, Duration::from_secs(12));
    let stats = node.api().stats("test");
    assert_eq!(stats["input"]["input_type"], "test", "{stats:#}");
    assert_eq!(stats["input"]["state"], "receiving", "{stats:#}");
    let bitrate = stats["input"]["bitrate_bps"].as_f64().unwrap() / 1e6;
    assert!((bitrate / BITRATE_MBPS - 1.0).abs() < 0.05, "{stats:#}");
    let _stopped = node.api().act("/api/v1/flows/test/stop").data();
    let silence = Duration::from_millis(200);
    let udp = udp_out.finish(silence);
    let rtp = rtp_out.finish(silence);

    let stream = joined(&udp, 0);
    assert!(udp.iter().all(|datagram| datagram.bytes.len() == 1316));
    assert!(joined(&rtp, 12) == stream, "both outputs carry the same");
    let view = RtpView::parse(&rtp[0].bytes).unwrap();
    assert_eq!(view.payload_type(), 33);

    let report = ts::inspect(&stream);
    assert_eq!(
        (report.misaligned, report.continuity_errors),
        (0, 0),
        "{report:?}"
    );
    let file = node.folder().join("test.ts");
    fs::write(&file, &stream).unwrap();
    assert_eq!(ffmpeg::codecs(&file), ["h264", "mp2"]);
    assert_eq!(ffmpeg::complaints(&file, 5), "");

    let first = udp.first().unwrap();
    let last = udp.last().unwrap();
    let seconds = (last.arrived_ns - first.arrived_ns) as f64 / 1e9;
    // The first datagram opens the measured time and does not belong to it.
    let bits = (stream.len() - first.bytes.len()) as f64 * 8.0;
    let measured = bits / seconds / 1e6;
    assert!(
        (measured / BITRATE_MBPS - 1.0).abs() < 0.01,
        "{measured} Mb/s over {seconds} s"
    );
}
