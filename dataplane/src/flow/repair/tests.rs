//! Legs, FEC and filters on real sockets, moved by hand.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bilbycast_shm_proto::counters::{ABSENT, FlowRecord, Health, LegRecord};
use bilbycast_shm_proto::model::{
    BandwidthAction, BandwidthLimitSpec, FecSpec, IngressFilterSpec, InputSpec, IpPrefix, LEGS_MAX,
    OutputKind, OutputSpec, ReceiveSpec, RtpInputRedundancySpec, RtpInputSpec, RtpOutputSpec,
    SendSpec,
};

use crate::control::open;
use crate::flow::analysis::Analysis;
use crate::flow::observe::Observed;
use crate::flow::{Flow, PassBuffers};
use crate::net::clock;

mod foreign;

fn receive(bind_addr: SocketAddr) -> ReceiveSpec {
    ReceiveSpec {
        bind_addr,
        interface_addr: None,
        source_addr: None,
    }
}

/// A port whose neighbours for FEC are free as well, at this moment.
fn free_port() -> SocketAddr {
    loop {
        let media = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = media.local_addr().unwrap();
        let is_free = [2, 4].into_iter().all(|offset| {
            let port = address.port().checked_add(offset);
            port.is_some_and(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
        });
        if is_free {
            return address;
        }
    }
}

fn two_legs(path_differential_ms: u32) -> RtpInputSpec {
    RtpInputSpec {
        redundancy: Some(RtpInputRedundancySpec {
            receive: Some(receive(free_port())),
            path_differential_ms,
        }),
        ..RtpInputSpec::plain(receive(free_port()))
    }
}

fn to(dest_addr: SocketAddr) -> SendSpec {
    SendSpec {
        dest_addr,
        bind_addr: "127.0.0.1:0".parse().unwrap(),
        interface_addr: None,
        dscp: 0,
    }
}

fn sink() -> UdpSocket {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    sink.set_nonblocking(true).unwrap();
    sink
}

fn rtp(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 33];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 90).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    let body = (0..1_316_u32).map(|index| (index * u32::from(sequence)) as u8);
    packet.extend(body);
    packet
}

struct Bench {
    flow: Flow,
    buffers: PassBuffers,
    /// One for each leg, connected to it.
    senders: Vec<UdpSocket>,
    sink: UdpSocket,
    /// What has come out and nobody has asked for.
    received: Vec<Vec<u8>>,
    now_ns: u64,
}

impl Bench {
    fn new(rtp: RtpInputSpec, limit: Option<BandwidthLimitSpec>) -> Self {
        let sink = sink();
        let senders = rtp.legs().into_iter().flatten().map(|leg| {
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.connect(leg.bind_addr).unwrap();
            sender
        });
        let senders = senders.collect();
        let input = InputSpec::Rtp(rtp);
        let opened = open::input("f", &input, &mut Vec::new()).unwrap();
        let spec = OutputSpec {
            id: "o".to_owned(),
            kind: OutputKind::Rtp(RtpOutputSpec::plain(to(sink.local_addr().unwrap()))),
        };
        let output = open::output("f", &input, &spec).unwrap();
        let analysis = Analysis::new(true, false);
        let now_ns = clock::monotonic_ns();
        Self {
            flow: Flow::new(
                "f".to_owned(),
                opened,
                vec![output],
                analysis,
                limit,
                now_ns,
                7,
            ),
            buffers: PassBuffers::new(),
            senders,
            sink,
            received: Vec::new(),
            now_ns,
        }
    }

    fn send(&mut self, leg: usize, packet: &[u8]) {
        self.senders[leg].send(packet).unwrap();
    }

    fn pass(&mut self) {
        self.now_ns = clock::monotonic_ns();
        self.flow.pass(&mut self.buffers, self.now_ns);
        let mut buffer = [0; 2_048];
        while let Ok(bytes) = self.sink.recv(&mut buffer) {
            self.received.push(buffer[..bytes].to_vec());
        }
    }

    /// Passes until so many packets have come out.
    fn out(&mut self, count: usize) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.received.len() < count {
            self.pass();
            let received = self.received.len();
            assert!(Instant::now() < deadline, "{received} of {count} packets");
        }
        std::mem::take(&mut self.received)
    }

    /// Record, legs and what was told at `now_ns`.
    fn observe(&mut self, now_ns: u64) -> (FlowRecord, [LegRecord; LEGS_MAX], Vec<String>) {
        let mut legs = [LegRecord::default(); LEGS_MAX];
        let mut notices = Vec::new();
        let (record, _) = self
            .flow
            .observe(now_ns, clock::unix_us(), |observed| match observed {
                Observed::Legs(found) => legs = *found,
                Observed::Notice(notice) => notices.push(format!("{notice:?}")),
                Observed::InputSrt(_) | Observed::Output(..) | Observed::OutputSrt(..) => {}
            });
        (record, legs, notices)
    }
}

#[test]
fn what_one_leg_lacks_the_other_brings() {
    let mut bench = Bench::new(two_legs(200), None);
    let source: Vec<Vec<u8>> = (65_500..65_536)
        .chain(0..24)
        .map(|sequence| rtp(sequence as u16, 9))
        .collect();
    for (index, packet) in source.iter().enumerate() {
        if index % 3 != 1 {
            bench.send(0, packet);
        }
        if index % 3 != 2 || index == 0 {
            bench.send(1, packet);
        }
        bench.pass();
    }
    assert_eq!(bench.out(source.len()), source);
    let (record, legs, _) = bench.observe(bench.now_ns);
    assert_eq!(
        (record.input_packets_received, record.input_packets_lost),
        (60, 0)
    );
    assert_eq!((legs[0].configured, legs[1].configured), (1, 1));
    assert_eq!((legs[0].up, legs[1].up), (1, 1));
    assert_eq!(legs[0].packets_received + legs[1].packets_received, 60 + 20);
    assert_eq!(legs[0].packets_used + legs[1].packets_used, 60);
    assert!(record.input_redundancy_switches > 0);
    assert_eq!(record.input_repair_delay, 200_000_000);
}

#[test]
fn a_leg_that_goes_and_comes_is_told_once_each_time() {
    let mut bench = Bench::new(two_legs(5), None);
    let second_ns = 1_000_000_000;
    for sequence in 0..4 {
        bench.send(0, &rtp(sequence, 9));
    }
    bench.out(4);
    // Leg 2 never came; fifteen seconds are its time.
    let start_ns = bench.now_ns;
    let (_, _, notices) = bench.observe(start_ns + second_ns);
    assert!(notices.is_empty(), "{notices:?}");
    bench.send(1, &rtp(4, 9));
    bench.out(1);
    let (record, legs, notices) = bench.observe(start_ns + 16 * second_ns);
    assert!(
        notices.iter().any(|text| text == "LegLost { leg: 1 }"),
        "{notices:?}"
    );
    assert!(
        notices.iter().any(|text| text == "LegLost { leg: 2 }"),
        "{notices:?}"
    );
    assert!(
        notices.iter().any(|text| text == "BothLegsLost"),
        "{notices:?}"
    );
    assert_eq!((record.health, legs[0].up), (Health::Critical.code(), 0));
    let (_, _, notices) = bench.observe(start_ns + 17 * second_ns);
    assert!(
        notices.iter().all(|text| !text.contains("Leg")),
        "{notices:?}"
    );
    bench.send(0, &rtp(5, 9));
    bench.out(1);
    let (record, _, notices) = bench.observe(bench.now_ns);
    assert!(
        notices.iter().any(|text| text == "LegBack { leg: 1 }"),
        "{notices:?}"
    );
    // Leg 2 brought its last packet a moment ago on the clock of this test.
    assert!(record.health <= Health::Warning.code());
}

#[test]
fn fec_of_an_output_repairs_an_input() {
    for (columns, rows, row_fec, staircase) in [
        (5, 5, true, false),
        (5, 5, false, true),
        (1, 10, false, false),
        (8, 4, true, true),
    ] {
        let fec = FecSpec {
            columns,
            rows,
            row_fec,
            staircase,
        };
        let mut bench = Bench::new(
            RtpInputSpec {
                fec: Some(fec),
                ..RtpInputSpec::plain(receive(free_port()))
            },
            None,
        );
        // A flow in front, whose output makes the FEC; between them a network that loses every eleventh media packet.
        let network: Vec<UdpSocket> = loop {
            let address = free_port();
            let ports =
                [0, 2, 4].map(|offset| UdpSocket::bind(("127.0.0.1", address.port() + offset)));
            if let [Ok(media), Ok(column), Ok(row)] = ports {
                break vec![media, column, row];
            }
        };
        for socket in &network {
            socket.set_nonblocking(true).unwrap();
        }
        let input = InputSpec::Rtp(RtpInputSpec::plain(receive("127.0.0.1:0".parse().unwrap())));
        let spec = OutputSpec {
            id: "o".to_owned(),
            kind: OutputKind::Rtp(RtpOutputSpec {
                fec: Some(fec),
                ..RtpOutputSpec::plain(to(network[0].local_addr().unwrap()))
            }),
        };
        let opened = open::input("front", &input, &mut Vec::new()).unwrap();
        let address = opened.receivers()[0].socket().local_addr().unwrap();
        let output = open::output("front", &input, &spec).unwrap();
        let analysis = Analysis::new(false, false);
        let mut front = Flow::new(
            "front".to_owned(),
            opened,
            vec![output],
            analysis,
            None,
            0,
            0,
        );

        let count = 400_u16;
        let source: Vec<Vec<u8>> = (0..count)
            .map(|index| rtp(index.wrapping_add(65_400), 77))
            .collect();
        let target = match &bench.flow.input().receivers()[..] {
            [media, column, row] => [media, column, row].map(|receiver| receiver.spec().bind_addr),
            others => panic!("{} sockets", others.len()),
        };
        let onward = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut lost, mut buffer) = (0, [0; 2_048]);
        for packet in &source {
            onward.send_to(packet, address).unwrap();
            while front.pass(&mut bench.buffers, 0).received == 0 {}
            for (socket, target) in network.iter().zip(target) {
                while let Ok(bytes) = socket.recv(&mut buffer) {
                    let sequence = u16::from_be_bytes([buffer[2], buffer[3]]);
                    let is_media = target == bench.flow.input().receivers()[0].spec().bind_addr;
                    // Columns of a staircase begin one after the other, and the last block has no FEC yet.
                    let index = sequence.wrapping_sub(65_400);
                    if is_media && index % 11 == 3 && (100..count - 100).contains(&index) {
                        lost += 1;
                        continue;
                    }
                    onward.send_to(&buffer[..bytes], target).unwrap();
                }
            }
            bench.pass();
        }
        assert!(lost > 15, "{fec:?}");
        assert_eq!(bench.out(source.len()), source, "{fec:?}");
        let (record, _, notices) = bench.observe(bench.now_ns);
        assert_eq!(record.input_packets_recovered_fec, lost, "{fec:?}");
        assert_eq!(record.input_packets_lost, 0, "{fec:?}");
        assert!(record.input_fec_packets_received > 0 && record.input_repair_packets != ABSENT);
        assert!(
            notices.iter().all(|text| !text.contains("Fec")),
            "{notices:?}"
        );
        assert!(front.outputs()[0].counts().fec_packets > 0);
    }
}

#[test]
fn a_leg_lets_in_what_its_filters_say() {
    let address: IpAddr = "127.0.0.2".parse().unwrap();
    let filter = IngressFilterSpec {
        sources: Some(vec![IpPrefix::host(address)]),
        payload_types: Some(vec![33]),
        max_bps: None,
    };
    for repaired in [false, true] {
        let spec = if repaired {
            two_legs(1)
        } else {
            RtpInputSpec::plain(receive(free_port()))
        };
        let mut bench = Bench::new(
            RtpInputSpec {
                filter: filter.clone(),
                ..spec
            },
            None,
        );
        let friend = UdpSocket::bind("127.0.0.2:0").unwrap();
        let to = bench.flow.input().receivers()[0].spec().bind_addr;
        let good = rtp(1, 5);
        let mut other_type = rtp(2, 5);
        other_type[1] = 96;
        bench.send(0, &rtp(7, 5));
        friend.send_to(&other_type, to).unwrap();
        friend.send_to(b"not RTP", to).unwrap();
        friend.send_to(&good, to).unwrap();
        assert_eq!(bench.out(1), [good]);
        let (record, _, _) = bench.observe(bench.now_ns);
        assert_eq!(record.input_packets_filtered, 2, "repaired: {repaired}");
        assert_eq!(
            (record.input_packets_received, record.input_packets_invalid),
            (1, 1)
        );
    }
}

#[test]
fn a_limit_blocks_and_opens_again() {
    let limit = BandwidthLimitSpec {
        max_bps: 1_000_000,
        action: BandwidthAction::Block,
        grace_secs: 1,
    };
    let mut bench = Bench::new(RtpInputSpec::plain(receive(free_port())), Some(limit));
    let (start_ns, mut sequence) = (bench.now_ns, 0);
    let mut told = Vec::new();
    // Three seconds of 2 Mb/s on the clock of this test, then nothing.
    for step in 1..=60_u64 {
        if step <= 30 {
            for _ in 0..19 {
                bench.send(0, &rtp(sequence, 5));
                sequence += 1;
            }
            for _ in 0..50 {
                bench.pass();
            }
        }
        let (record, _, notices) = bench.observe(start_ns + step * 100_000_000);
        told.extend(
            notices
                .into_iter()
                .filter(|text| text.contains("Bandwidth")),
        );
        if step == 30 {
            assert_eq!(
                (record.bandwidth_exceeded, record.bandwidth_blocked),
                (1, 1)
            );
            assert!(record.input_packets_filtered > 0);
            let out = bench.flow.outputs()[0].counts().packets;
            assert_eq!(
                record.input_packets_received,
                out + record.input_packets_filtered
            );
        }
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("Exceeded") && told[1].contains("Kept"),
        "{told:?}"
    );
    bench.send(0, &rtp(sequence, 5));
    let before = bench.flow.outputs()[0].counts().packets;
    let deadline = Instant::now() + Duration::from_secs(5);
    while bench.flow.outputs()[0].counts().packets == before {
        bench.pass();
        assert!(Instant::now() < deadline, "the flow is open again");
    }
}
