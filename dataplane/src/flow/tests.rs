//! Whole flows over loopback sockets, moved by hand: no executor, no sleeping, the clock an argument.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bilbycast_rtp::RtpView;
use bilbycast_shm_proto::counters::{EndpointState, Health, OutputRecord};
use bilbycast_shm_proto::model::{
    InputSpec, OutputKind, OutputSpec, ReceiveSpec, RtpInputSpec, RtpOutputSpec, SendSpec,
    TestInputSpec, UdpInputSpec, UdpOutputSpec,
};

use super::analysis::Analysis;
use super::observe::Observed;
use super::*;
use crate::control::open;

const TS_DATAGRAM: usize = 1_316;

fn receive() -> ReceiveSpec {
    ReceiveSpec {
        bind_addr: "127.0.0.1:0".parse().unwrap(),
        interface_addr: None,
        source_addr: None,
    }
}

fn rtp_in() -> InputSpec {
    InputSpec::Rtp(RtpInputSpec::plain(receive()))
}

fn udp_in() -> InputSpec {
    InputSpec::Udp(UdpInputSpec { receive: receive() })
}

fn send_to(sink: &UdpSocket) -> SendSpec {
    SendSpec {
        dest_addr: sink.local_addr().unwrap(),
        bind_addr: "127.0.0.1:0".parse().unwrap(),
        interface_addr: None,
        dscp: 46,
    }
}

fn rtp_out(id: &str, sink: &UdpSocket, payload_type: Option<u8>) -> OutputSpec {
    OutputSpec {
        id: id.to_owned(),
        kind: OutputKind::Rtp(RtpOutputSpec {
            payload_type,
            ..RtpOutputSpec::plain(send_to(sink))
        }),
    }
}

fn udp_out(id: &str, sink: &UdpSocket) -> OutputSpec {
    OutputSpec {
        id: id.to_owned(),
        kind: OutputKind::Udp(UdpOutputSpec {
            send: send_to(sink),
        }),
    }
}

fn sink() -> UdpSocket {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    sink.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    sink
}

/// A flow, its buffers, and a sender to its input.
struct Bench {
    flow: Flow,
    input: InputSpec,
    buffers: PassBuffers,
    sender: UdpSocket,
    now_ns: u64,
}

impl Bench {
    fn new(input: InputSpec, outputs: &[OutputSpec]) -> Self {
        let opened = open::input("f", &input, &mut Vec::new()).unwrap();
        let outputs = outputs
            .iter()
            .map(|spec| open::output("f", &input, spec).unwrap())
            .collect();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Some(receiver) = opened.receivers().first() {
            let address = receiver.socket().local_addr().unwrap();
            sender.connect(address).unwrap();
        }
        Self {
            flow: Flow::new(
                "f".to_owned(),
                opened,
                outputs,
                Analysis::new(true, false),
                None,
                0,
                7,
            ),
            input,
            buffers: PassBuffers::new(),
            sender,
            now_ns: 0,
        }
    }

    /// Sends a datagram and passes until it has come in.
    fn feed(&mut self, datagram: &[u8]) {
        self.sender.send(datagram).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.flow.pass(&mut self.buffers, self.now_ns).received == 0 {
            assert!(Instant::now() < deadline, "the datagram did not come in");
        }
    }

    fn observe(&mut self) -> (bilbycast_shm_proto::counters::FlowRecord, Vec<OutputRecord>) {
        let mut outputs = Vec::new();
        let (record, _) = self.flow.observe(self.now_ns, 7_000, |observed| {
            if let Observed::Output(_, record) = observed {
                outputs.push(record);
            }
        });
        (record, outputs)
    }
}

fn rtp(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0x80 | 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 1, 2, 9, 8, 7, 6]);
    packet.extend_from_slice(payload);
    packet
}

fn ts(first: u8, packets: usize) -> Vec<u8> {
    (0..packets)
        .flat_map(|index| {
            let mut packet = [first.wrapping_add(index as u8); 188];
            packet[0] = 0x47;
            packet
        })
        .collect()
}

fn received(sink: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2_000];
    let bytes = sink.recv(&mut buffer).expect("a datagram within 5 s");
    buffer[..bytes].to_vec()
}

fn local(sink: &UdpSocket) -> SocketAddr {
    sink.local_addr().unwrap()
}

#[test]
fn rtp_goes_on_untouched_and_without_its_header() {
    let (a, b, c) = (sink(), sink(), sink());
    let mut bench = Bench::new(
        rtp_in(),
        &[
            rtp_out("a", &a, None),
            udp_out("b", &b),
            rtp_out("c", &c, Some(33)),
        ],
    );
    // Two CSRCs, an extension of one word, three bytes of padding: none of it is payload.
    let mut odd = vec![0x80 | 0x20 | 0x10 | 2, 96, 0, 6, 1, 2, 3, 4, 9, 8, 7, 6];
    odd.extend_from_slice(&[1; 8]);
    odd.extend_from_slice(&[0xbe, 0xde, 0, 1, 5, 5, 5, 5]);
    let payload = ts(40, 7);
    odd.extend_from_slice(&payload);
    odd.extend_from_slice(&[0, 0, 3]);
    for packet in [rtp(5, &ts(1, 7)), odd] {
        bench.feed(&packet);
        assert_eq!(received(&a), packet);
        let mut retyped = packet.clone();
        retyped[1] = (packet[1] & 0x80) | 33;
        assert_eq!(received(&c), retyped);
        let view = RtpView::parse(&packet).unwrap();
        assert_eq!(received(&b), view.payload());
    }
    let (record, outputs) = bench.observe();
    assert_eq!(
        (record.input_packets_received, record.input_packets_lost),
        (2, 0)
    );
    assert!(outputs.iter().all(|output| output.packets_sent == 2));
}

#[test]
fn raw_stream_is_wrapped_with_consecutive_numbers() {
    let (a, b) = (sink(), sink());
    let mut bench = Bench::new(udp_in(), &[rtp_out("a", &a, None), udp_out("b", &b)]);
    let mut numbers = Vec::new();
    for first in 0..4 {
        let payload = ts(first, 7);
        bench.feed(&payload);
        let packet = received(&a);
        let view = RtpView::parse(&packet).unwrap();
        assert_eq!((view.payload_type(), view.payload_offset()), (33, 12));
        assert_eq!(view.payload(), payload);
        assert_eq!(received(&b), payload);
        numbers.push(view.sequence());
    }
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].next()));
}

#[test]
fn payloads_of_any_size_leave_in_datagrams_of_seven_packets() {
    let a = sink();
    let mut bench = Bench::new(udp_in(), &[udp_out("a", &a)]);
    let stream = ts(0, 21);
    for part in stream.chunks(500) {
        bench.feed(part);
    }
    for index in 0..2 {
        assert_eq!(received(&a), stream[index * TS_DATAGRAM..][..TS_DATAGRAM]);
    }
}

#[test]
fn the_end_of_a_stream_does_not_wait_for_the_next() {
    let a = sink();
    let mut bench = Bench::new(rtp_in(), &[udp_out("a", &a)]);
    bench.feed(&rtp(1, &ts(0, 3)));
    assert_eq!(bench.flow.flush_leftover(&mut bench.buffers, 1_000_000), 0);
    assert_eq!(
        bench.flow.flush_leftover(&mut bench.buffers, 1_000_000_000),
        1
    );
    assert_eq!(received(&a), ts(0, 3));
}

#[test]
fn rubbish_is_counted_and_disturbs_nothing() {
    let a = sink();
    let mut bench = Bench::new(rtp_in(), &[rtp_out("a", &a, None)]);
    bench.feed(&rtp(1, &ts(0, 7)));
    bench.feed(b"GET / HTTP/1.1");
    bench.feed(&[0x8f; 20]);
    bench.feed(&rtp(2, &ts(7, 7)));
    assert_eq!(received(&a), rtp(1, &ts(0, 7)));
    assert_eq!(received(&a), rtp(2, &ts(7, 7)));
    let (record, _) = bench.observe();
    assert_eq!(
        (record.input_packets_received, record.input_packets_invalid),
        (2, 2)
    );
    assert_eq!(record.input_packets_lost, 0);
}

#[test]
fn outputs_are_exchanged_between_two_passes() {
    let (a, b) = (sink(), sink());
    let mut bench = Bench::new(rtp_in(), &[rtp_out("a", &a, None)]);
    bench.feed(&rtp(1, &ts(0, 7)));
    let added = open::output("f", &bench.input, &udp_out("b", &b)).unwrap();
    let gone = bench
        .flow
        .exchange_outputs(&["a".to_owned(), "unknown".to_owned()], vec![added]);
    assert_eq!(gone.len(), 1);
    bench.feed(&rtp(2, &ts(9, 7)));
    assert_eq!(received(&b), ts(9, 7));
    assert_eq!(received(&a), rtp(1, &ts(0, 7)));
    a.set_nonblocking(true).unwrap();
    assert!(a.recv(&mut [0; 10]).is_err());
}

#[test]
fn states_and_health_say_what_is_so() {
    let a = sink();
    let mut bench = Bench::new(rtp_in(), &[rtp_out("a", &a, None)]);
    let (record, outputs) = bench.observe();
    assert_eq!(record.input_state, EndpointState::Waiting.code());
    assert_eq!(outputs[0].state, EndpointState::Waiting.code());
    assert_eq!(record.health, Health::Healthy.code());

    bench.feed(&rtp(1, &ts(0, 7)));
    let (record, outputs) = bench.observe();
    assert_eq!(record.input_state, EndpointState::Receiving.code());
    assert_eq!(outputs[0].state, EndpointState::Active.code());

    // A gap, and the second after it is over.
    bench.feed(&rtp(3, &ts(0, 7)));
    for _ in 0..3 {
        bench.now_ns += 1_000_000_000;
        bench.feed(&rtp(4, &ts(0, 7)));
        bench.observe();
    }
    assert_eq!(bench.observe().0.input_packets_lost, 1);

    bench.now_ns += 2_000_000_000;
    let (record, outputs) = bench.observe();
    assert_eq!(record.input_state, EndpointState::Waiting.code());
    assert_eq!(outputs[0].state, EndpointState::Waiting.code());
    assert_eq!(record.health, Health::Critical.code());
    assert_eq!(record.input_bitrate_bps, 0);
}

#[test]
fn the_built_in_source_keeps_its_rate_and_does_not_make_up_for_a_standstill() {
    let a = sink();
    let input = InputSpec::Test(TestInputSpec {
        bitrate_bps: 1_316 * 8 * 1_000,
    });
    let mut bench = Bench::new(input, &[udp_out("a", &a)]);
    assert_eq!(bench.flow.pass(&mut bench.buffers, 5_000_000).received, 0);
    assert_eq!(bench.flow.pass(&mut bench.buffers, 25_000_000).received, 20);
    for _ in 0..20 {
        assert_eq!(received(&a).len(), TS_DATAGRAM);
    }
    // Ten seconds later it goes on where it was.
    assert_eq!(
        bench.flow.pass(&mut bench.buffers, 10_025_000_000).received,
        0
    );
    assert_eq!(
        bench.flow.pass(&mut bench.buffers, 10_035_000_000).received,
        10
    );
}

#[test]
fn what_is_switched_off_is_idle_and_binds_nothing() {
    let a = sink();
    let mut spec = rtp_out("a", &a, None);
    if let OutputKind::Rtp(rtp) = &mut spec.kind {
        rtp.legs = [None, None];
    }
    let input = InputSpec::Rtp(RtpInputSpec {
        receive: None,
        ..RtpInputSpec::plain(receive())
    });
    let mut bench = Bench::new(input, &[spec]);
    assert!(bench.flow.input().receivers().is_empty());
    bench.now_ns = 10_000_000_000;
    let (record, outputs) = bench.observe();
    assert_eq!(record.input_state, EndpointState::Idle.code());
    assert_eq!(outputs[0].state, EndpointState::Idle.code());
    assert_eq!(record.health, Health::Healthy.code());
}

#[test]
fn an_output_that_nobody_listens_to_harms_no_sibling() {
    let (a, b) = (sink(), sink());
    let dead = sink();
    let outputs = [
        rtp_out("dead", &dead, None),
        rtp_out("a", &a, None),
        udp_out("b", &b),
    ];
    let address = local(&dead);
    drop(dead);
    let mut bench = Bench::new(rtp_in(), &outputs);
    for sequence in 0..50 {
        let packet = rtp(sequence, &ts(sequence as u8, 7));
        bench.feed(&packet);
        assert_eq!(received(&a), packet, "with a dead sibling at {address}");
        assert_eq!(received(&b), packet[12..]);
    }
}

/// Packets of PID 0x100 with these continuity counters.
fn counted(counters: impl IntoIterator<Item = u8>) -> Vec<u8> {
    counters
        .into_iter()
        .flat_map(|counter| {
            let mut packet = [0xff; 188];
            packet[..4].copy_from_slice(&[0x47, 0x01, 0x00, 0x10 | (counter & 0x0f)]);
            packet
        })
        .collect()
}

#[test]
fn errors_of_the_stream_are_counted_and_told_once() {
    let mut bench = Bench::new(udp_in(), &[]);
    let mut notices = Vec::new();
    let mut observe = |bench: &mut Bench| {
        let now_ns = bench.now_ns;
        let unix_us = crate::net::clock::unix_us();
        let (record, _) = bench.flow.observe(now_ns, unix_us, |observed| {
            if let Observed::Notice(notice) = observed {
                notices.push(format!("{notice:?}"));
            }
        });
        record
    };
    bench.feed(&counted(0..7));
    assert_eq!(observe(&mut bench).tr101290_cc_errors, 0);
    // One packet is missing in each of these.
    for round in 1..=5 {
        bench.feed(&counted((0..7).map(|index| round * 8 + index)));
        bench.now_ns += 1_000_000;
        let record = observe(&mut bench);
        assert_eq!(record.tr101290_cc_errors, u64::from(round));
        assert_eq!(record.tr101290_priority1_ok, 0);
        assert_eq!(record.health, Health::Error.code());
    }
    let cc: Vec<&String> = notices.iter().filter(|text| text.contains("1.4")).collect();
    assert_eq!(cc.len(), 1, "{notices:?}");
    let health: Vec<&String> = notices
        .iter()
        .filter(|text| text.contains("Health"))
        .collect();
    assert_eq!(health.len(), 1, "{notices:?}");
}
