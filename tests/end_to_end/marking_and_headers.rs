//! What an output writes into headers: the DSCP, and nothing else unless it is told to.

use std::time::Duration;

use bilbycast_rtp::RtpView;
use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::{Datagram, Recorder, joined};
use bilbycast_tests::rtp::{RtpPacket, ts_payload};
use bilbycast_tests::{address, flows, udp};
use serde_json::Value;

/// Expedited Forwarding, the default (configuration.md 6).
const DSCP_DEFAULT: u8 = 46;

/// Packets whose headers use every part of RFC 3550 5.1.
fn odd_packets() -> Vec<RtpPacket> {
    let plain = |sequence| RtpPacket {
        payload: ts_payload(sequence as u8),
        ..RtpPacket::plain(5, sequence)
    };
    vec![
        plain(1),
        RtpPacket {
            marker: true,
            ..plain(2)
        },
        RtpPacket {
            csrcs: vec![1, 2],
            ..plain(3)
        },
        RtpPacket {
            extension: Some((0xbede, vec![0x1022_3344, 5])),
            ..plain(4)
        },
        RtpPacket {
            extension: Some((0, Vec::new())),
            ..plain(5)
        },
        RtpPacket {
            padding: 8,
            ..plain(6)
        },
        RtpPacket {
            marker: true,
            payload_type: 96,
            csrcs: (0..15).collect(),
            extension: Some((1, vec![7; 3])),
            padding: 4,
            ..plain(7)
        },
        plain(8),
    ]
}

/// Feeds the odd packets through a flow with these outputs and returns what each sent and the flow's statistics.
fn feed(outputs: &[fn(&Recorder) -> Value]) -> (Vec<Vec<Datagram>>, Value) {
    let bind_addr = address::next_addr();
    let recorders: Vec<Recorder> = outputs
        .iter()
        .map(|_| Recorder::start(address::next_addr()))
        .collect();
    let outputs: Vec<Value> = outputs
        .iter()
        .zip(&recorders)
        .map(|(output, recorder)| output(recorder))
        .collect();
    let node = Node::start(&[flows::flow("odd", flows::rtp_input(bind_addr), &outputs)]);
    let socket = udp::sending(address::own_ip().into(), bind_addr).unwrap();
    // Once in a burst, which the kernel may coalesce, and once one by one.
    for packet in odd_packets() {
        socket.send(&packet.to_bytes()).unwrap();
    }
    let count = odd_packets().len();
    recorders[0].wait_count(count, Duration::from_secs(2));
    for (index, packet) in odd_packets().into_iter().enumerate() {
        socket.send(&packet.to_bytes()).unwrap();
        recorders[0].wait_count(count + index + 1, Duration::from_secs(2));
    }
    let recorders = recorders.into_iter();
    let got = recorders.map(|recorder| recorder.finish(Duration::from_millis(200)));
    (got.collect(), node.api().stats("odd"))
}

fn expected() -> Vec<Vec<u8>> {
    let twice = odd_packets().into_iter().chain(odd_packets());
    twice.map(|packet| packet.to_bytes()).collect()
}

#[test]
fn an_rtp_header_goes_through_untouched() {
    let (got, stats) = feed(&[|recorder| flows::rtp_output("out", recorder.address())]);
    let got: Vec<Vec<u8>> = got[0]
        .iter()
        .map(|datagram| datagram.bytes.clone())
        .collect();
    assert_eq!(got, expected());
    assert_eq!(stats["input"]["packets_invalid"], 0, "{stats:#}");
}

#[test]
fn a_udp_output_carries_the_payload_alone() {
    let (got, _stats) = feed(&[|recorder| flows::udp_output("out", recorder.address())]);
    let twice = odd_packets().into_iter().chain(odd_packets());
    let payload: Vec<u8> = twice.flat_map(|packet| packet.payload).collect();
    assert!(got[0].iter().all(|datagram| datagram.bytes.len() == 1316));
    assert!(joined(&got[0], 0) == payload);
}

#[test]
fn a_payload_type_is_rewritten_when_asked_for_and_for_that_output_alone() {
    let (got, _stats) = feed(&[
        |recorder| flows::rtp_output("plain", recorder.address()),
        |recorder| {
            let output = flows::rtp_output("changed", recorder.address());
            flows::with(output, "payload_type", 100)
        },
    ]);
    let plain: Vec<Vec<u8>> = got[0]
        .iter()
        .map(|datagram| datagram.bytes.clone())
        .collect();
    assert_eq!(plain, expected());
    assert_eq!(got[1].len(), plain.len());
    for (datagram, mut original) in got[1].iter().zip(plain) {
        let view = RtpView::parse(&datagram.bytes).unwrap();
        assert_eq!(view.payload_type(), 100);
        // The marker and everything behind the second byte stay.
        original[1] = (original[1] & 0x80) | 100;
        assert_eq!(datagram.bytes, original);
    }
}

#[test]
fn datagrams_carry_the_configured_dscp() {
    let (got, _stats) = feed(&[
        |recorder| flows::rtp_output("default", recorder.address()),
        |recorder| flows::with(flows::rtp_output("low", recorder.address()), "dscp", 10),
        |recorder| flows::with(flows::udp_output("none", recorder.address()), "dscp", 0),
        |recorder| flows::with(flows::udp_output("top", recorder.address()), "dscp", 63),
    ]);
    for (datagrams, dscp) in got.iter().zip([DSCP_DEFAULT, 10, 0, 63]) {
        assert!(!datagrams.is_empty());
        for datagram in datagrams {
            // RFC 2474 3: the upper six bits.
            assert_eq!(datagram.traffic_class >> 2, dscp);
        }
    }
}
