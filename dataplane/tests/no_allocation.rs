//! Once a flow runs, its packets allocate nothing: 100,000 of them through every form of output, counted.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::hint::black_box;
use std::net::UdpSocket;

use bilbycast_counting_allocator::{Counting, allocations_in};
use bilbycast_shm_proto::model::{
    InputSpec, OutputKind, OutputSpec, ReceiveSpec, RtpInputRedundancySpec, RtpInputSpec,
    RtpOutputSpec, SendSpec, UdpInputSpec, UdpOutputSpec,
};
use dataplane::control::open;
use dataplane::flow::analysis::Analysis;
use dataplane::flow::{Flow, PassBuffers};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn output(id: &str, sink: &UdpSocket, payload_type: Option<u8>, raw: bool) -> OutputSpec {
    let send = SendSpec {
        dest_addr: sink.local_addr().unwrap(),
        bind_addr: "127.0.0.1:0".parse().unwrap(),
        interface_addr: None,
        dscp: 46,
    };
    let kind = if raw {
        OutputKind::Udp(UdpOutputSpec { send })
    } else {
        OutputKind::Rtp(RtpOutputSpec {
            payload_type,
            ..RtpOutputSpec::plain(send)
        })
    };
    OutputSpec {
        id: id.to_owned(),
        kind,
    }
}

/// Sends `packets` datagrams of 12 + `packets_per_datagram` x 188 bytes through a flow in small bursts.
fn carry(input: &InputSpec, header: bool, ts_packets: usize, packets: u64) -> u64 {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    let outputs = [
        output("rtp", &sink, None, false),
        output("retyped", &sink, Some(99), false),
        output("ts", &sink, None, true),
    ];
    let opened = open::input("f", input, &mut Vec::new()).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = opened.receivers()[0].socket().local_addr().unwrap();
    sender.connect(address).unwrap();
    let outputs = outputs
        .iter()
        .map(|spec| open::output("f", input, spec).unwrap())
        .collect();
    let mut flow = Flow::new(
        "f".to_owned(),
        opened,
        outputs,
        Analysis::new(true, false),
        None,
        0,
        0,
    );
    let mut buffers = PassBuffers::new();
    let mut datagram = vec![0; if header { 12 } else { 0 }];
    for _ in 0..ts_packets {
        let mut packet = [0xff; 188];
        packet[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
        datagram.extend_from_slice(&packet);
    }
    let mut taken = 0;
    let mut work = |count: u64| {
        let end = taken + count;
        let mut sequence = taken as u16;
        while taken < end {
            for _ in 0..32 {
                if header {
                    datagram[0] = 0x80;
                    datagram[2..4].copy_from_slice(&sequence.to_be_bytes());
                    sequence = sequence.wrapping_add(1);
                }
                sender.send(&datagram).unwrap();
            }
            let mut received = 0;
            while received < 32 {
                received += flow.pass(&mut buffers, taken).received;
            }
            taken += received;
        }
    };
    // The first passes touch thread-local state of the standard library.
    work(64);
    allocations_in(|| work(packets))
}

#[test]
fn a_running_flow_allocates_nothing_per_packet() {
    let receive = ReceiveSpec {
        bind_addr: "127.0.0.1:0".parse().unwrap(),
        interface_addr: None,
        source_addr: None,
    };
    let rtp = InputSpec::Rtp(RtpInputSpec::plain(receive.clone()));
    let repaired = InputSpec::Rtp(RtpInputSpec {
        redundancy: Some(RtpInputRedundancySpec {
            receive: Some(receive.clone()),
            path_differential_ms: 1,
        }),
        ..RtpInputSpec::plain(receive.clone())
    });
    let udp = InputSpec::Udp(UdpInputSpec { receive });
    assert_eq!(carry(&rtp, true, 7, 60_000), 0, "RTP of 7 x 188");
    assert_eq!(
        carry(&rtp, true, 4, 20_000),
        0,
        "RTP of 4 x 188, put together anew"
    );
    assert_eq!(carry(&udp, false, 7, 20_000), 0, "raw, wrapped");
    assert_eq!(carry(&repaired, true, 7, 20_000), 0, "a leg of two");
    assert_eq!(
        allocations_in(|| drop(black_box(Box::new(1_u64)))),
        1,
        "the counter counts"
    );
}
