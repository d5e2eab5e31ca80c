//! Multicast on the loopback interface: joins, groups that share a port, sources.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::rtp::RtpPacket;
use bilbycast_tests::udp::Receiver;
use bilbycast_tests::{address, flows, udp};
use serde_json::Value;

const PACKETS: u16 = 200;

fn group_input(group: SocketAddr) -> Value {
    flows::with(flows::rtp_input(group), "interface_addr", "127.0.0.1")
}

/// Sends the packets `sequences` of the stream `ssrc` from `source`.
fn send(source: IpAddr, dest: SocketAddr, ssrc: u32, sequences: std::ops::Range<u16>) {
    let socket = udp::sending(source, dest).unwrap();
    for sequence in sequences {
        socket
            .send(&RtpPacket::plain(ssrc, sequence).to_bytes())
            .unwrap();
    }
}

fn packets(ssrc: u32, sequences: std::ops::Range<u16>) -> Vec<Vec<u8>> {
    sequences
        .map(|sequence| RtpPacket::plain(ssrc, sequence).to_bytes())
        .collect()
}

fn assert_got(output: Recorder, expected: &[Vec<u8>]) {
    output.wait_count(expected.len(), Duration::from_secs(3));
    // Whatever does not belong here would have come by then.
    let got = output.finish(Duration::from_millis(300));
    let got: Vec<Vec<u8>> = got.into_iter().map(|datagram| datagram.bytes).collect();
    assert_eq!(got.len(), expected.len());
    assert!(got == expected);
}

/// Linux gives a socket every group that anyone on the host has joined, unless it is told otherwise.
#[test]
fn two_groups_on_one_port_never_mix() {
    let port = address::next_port();
    let groups = [0, 1].map(|number| SocketAddr::new(address::group(number), port));
    let foreign = SocketAddr::new(address::group(2), port);
    let outputs = [0, 1].map(|_| Recorder::start(address::next_addr()));
    let configured = [0, 1].map(|index| {
        let output = flows::rtp_output("out", outputs[index].address());
        flows::flow(
            &format!("group-{index}"),
            group_input(groups[index]),
            &[output],
        )
    });
    let node = Node::start(&configured);
    // A third group on that port, joined by somebody else on this host.
    let _foreign = Receiver::bind(foreign);
    for sequence in 0..PACKETS {
        for (dest, ssrc) in [(groups[0], 1), (groups[1], 2), (foreign, 3)] {
            send(address::own_ip().into(), dest, ssrc, sequence..sequence + 1);
        }
    }
    // Unicast to the same port is not the group's either.
    send(
        address::own_ip().into(),
        SocketAddr::new(address::own_ip().into(), port),
        4,
        0..1,
    );
    for (ssrc, output) in [1, 2].into_iter().zip(outputs) {
        assert_got(output, &packets(ssrc, 0..PACKETS));
    }
    for flow in ["group-0", "group-1"] {
        let stats = node.api().stats(flow);
        assert_eq!(stats["input"]["packets_received"], PACKETS, "{stats:#}");
        assert_eq!(stats["input"]["packets_lost"], 0, "{stats:#}");
    }
}

#[test]
fn two_flows_may_join_one_group() {
    let group = SocketAddr::new(address::group(0), address::next_port());
    let outputs = [0, 1].map(|_| Recorder::start(address::next_addr()));
    let configured = [0, 1].map(|index| {
        let output = flows::rtp_output("out", outputs[index].address());
        flows::flow(&format!("join-{index}"), group_input(group), &[output])
    });
    let _node = Node::start(&configured);
    send(address::own_ip().into(), group, 1, 0..PACKETS);
    for output in outputs {
        assert_got(output, &packets(1, 0..PACKETS));
    }
}

#[test]
fn a_source_specific_join_gets_only_its_source() {
    let group = SocketAddr::new(address::group(0), address::next_port());
    let output = Recorder::start(address::next_addr());
    let any = Recorder::start(address::next_addr());
    let wanted = IpAddr::from(address::own_ip());
    let other = IpAddr::from(address::other_ip());
    let input = flows::with(group_input(group), "source_addr", wanted.to_string());
    let _node = Node::start(&[
        flows::flow(
            "source",
            input,
            &[flows::rtp_output("out", output.address())],
        ),
        flows::flow(
            "any",
            group_input(group),
            &[flows::rtp_output("out", any.address())],
        ),
    ]);
    send(other, group, 2, 0..PACKETS);
    any.wait_count(PACKETS.into(), Duration::from_secs(3));
    send(wanted, group, 1, 0..PACKETS);
    assert_got(output, &packets(1, 0..PACKETS));
    assert_got(
        any,
        &[packets(2, 0..PACKETS), packets(1, 0..PACKETS)].concat(),
    );
}

#[test]
fn an_output_sends_to_a_group() {
    let bind_addr = address::next_addr();
    let output = Recorder::start(SocketAddr::new(address::group(0), address::next_port()));
    let rtp = flows::rtp_output("out", output.address());
    let rtp = flows::with(rtp, "interface_addr", "127.0.0.1");
    let _node = Node::start(&[flows::flow("to-group", flows::rtp_input(bind_addr), &[rtp])]);
    send(address::own_ip().into(), bind_addr, 1, 0..PACKETS);
    assert_got(output, &packets(1, 0..PACKETS));
}
