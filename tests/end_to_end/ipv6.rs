//! IPv6, unicast and multicast, on the loopback interface.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::recorder::{Datagram, Recorder, joined};
use bilbycast_tests::rtp::RtpPacket;
use bilbycast_tests::udp::{self, Receiver};
use bilbycast_tests::{address, flows, netns};

const LOCALHOST: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

const PACKETS: u16 = 200;

/// Why this host cannot show anything, when it cannot.
fn without_ipv6() -> Option<String> {
    let error = Receiver::try_bind(SocketAddr::new(LOCALHOST, 0)).err()?;
    Some(format!(
        "skipped: no IPv6 on the loopback interface: {error}"
    ))
}

fn send(dest: SocketAddr) -> Vec<Vec<u8>> {
    let socket = udp::sending(LOCALHOST, dest).unwrap();
    let packets: Vec<Vec<u8>> = (0..PACKETS)
        .map(|sequence| RtpPacket::plain(6, sequence).to_bytes())
        .collect();
    for packet in &packets {
        socket.send(packet).unwrap();
    }
    packets
}

fn bytes(datagrams: Vec<Datagram>) -> Vec<Vec<u8>> {
    datagrams
        .into_iter()
        .map(|datagram| datagram.bytes)
        .collect()
}

#[test]
fn unicast_in_and_out_with_its_traffic_class() {
    if let Some(reason) = without_ipv6() {
        println!("{reason}");
        return;
    }
    let bind_addr = address::next_addr_v6();
    let rtp_out = Recorder::start(address::next_addr_v6());
    let udp_out = Recorder::start(address::next_addr_v6());
    let to_ipv4 = Recorder::start(address::next_addr());
    let outputs = [
        flows::with(flows::rtp_output("rtp", rtp_out.address()), "dscp", 34),
        flows::udp_output("udp", udp_out.address()),
        flows::rtp_output("v4", to_ipv4.address()),
    ];
    let node = Node::start(&[flows::flow("six", flows::rtp_input(bind_addr), &outputs)]);
    let sent = send(bind_addr);
    rtp_out.wait_count(PACKETS.into(), Duration::from_secs(3));
    let silence = Duration::from_millis(200);
    let rtp = rtp_out.finish(silence);
    assert!(rtp.iter().all(|datagram| datagram.traffic_class >> 2 == 34));
    assert!(bytes(rtp) == sent);
    let udp = udp_out.finish(silence);
    assert!(udp.iter().all(|datagram| datagram.traffic_class >> 2 == 46));
    let payload: Vec<u8> = sent
        .iter()
        .flat_map(|packet| packet[12..].to_vec())
        .collect();
    assert!(joined(&udp, 0) == payload);
    assert!(bytes(to_ipv4.finish(silence)) == sent);
    let stats = node.api().stats("six");
    assert_eq!(stats["input"]["packets_received"], PACKETS, "{stats:#}");
}

#[test]
fn a_group_in_and_out() {
    // Most hosts have no route for IPv6 groups on `lo`; a network of the test's own can be given one.
    let routed = netns::enter().and_then(|()| {
        let route = [
            "-6",
            "route",
            "add",
            "multicast",
            "ff00::/8",
            "dev",
            "lo",
            "table",
            "local",
        ];
        netns::run("ip", &route)
    });
    if let Err(reason) = routed {
        println!("skipped: {reason}");
        return;
    }
    let group = SocketAddr::new(address::group_v6(), address::next_port());
    let out_group = SocketAddr::new(address::group_v6(), address::next_port());
    if let Some(reason) = without_ipv6_multicast(SocketAddr::new(group.ip(), address::next_port()))
    {
        println!("{reason}");
        return;
    }
    let output = Recorder::start(out_group);
    let input = flows::with(flows::rtp_input(group), "interface_addr", "::1");
    let rtp = flows::rtp_output("out", output.address());
    let rtp = flows::with(rtp, "interface_addr", "::1");
    let _node = Node::start(&[flows::flow("six", input, &[rtp])]);
    let sent = send(group);
    output.wait_count(PACKETS.into(), Duration::from_secs(3));
    assert!(bytes(output.finish(Duration::from_millis(200))) == sent);
}

/// Two plain sockets find out whether the loopback interface carries groups here.
fn without_ipv6_multicast(group: SocketAddr) -> Option<String> {
    let probe = || {
        let mut receiver = Receiver::try_bind(group)?;
        udp::sending(LOCALHOST, group)?.send(b"probe")?;
        let received = receiver.receive(&mut [0; 16]);
        received.ok_or_else(|| std::io::Error::other("a probe did not come back"))
    };
    let error = probe().err()?;
    Some(format!(
        "skipped: no IPv6 groups on the loopback interface: {error}"
    ))
}
