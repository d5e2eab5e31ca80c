//! One receive batch and one send batch over loopback; the other end's work is not timed.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::time::{Duration, Instant};

use bilbycast_shm_proto::model::{DSCP_DEFAULT, ReceiveSpec, SendSpec};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dataplane::net::memory::{PACKETS_MAX, Packet, PacketMemory, RECEIVE_BATCH};
use dataplane::net::receive::{ReceiveBatch, Sources};
use dataplane::net::send::{Segmentation, SendBatch};
use dataplane::net::socket::{ReceiveSocket, SendSocket};

const DATAGRAM_BYTES: usize = 12 + 7 * 188;

/// Both ends of a loopback path with all that a core has for its batches.
struct Loopback {
    input: ReceiveSocket,
    output: SendSocket,
    receive: ReceiveBatch,
    send: SendBatch,
    memory: PacketMemory,
    packets: Vec<Packet>,
    datagrams: Vec<u8>,
}

impl Loopback {
    fn open() -> Self {
        let any = "127.0.0.1:0".parse().expect("an address");
        let input = ReceiveSocket::open(&ReceiveSpec {
            bind_addr: any,
            interface_addr: None,
            source_addr: None,
        })
        .expect("loopback can be bound");
        let output = SendSocket::open(&SendSpec {
            dest_addr: input.local_addr().expect("the socket is bound"),
            bind_addr: any,
            interface_addr: None,
            dscp: DSCP_DEFAULT,
        })
        .expect("loopback can be reached");
        Self {
            input,
            output,
            receive: ReceiveBatch::new(),
            send: SendBatch::new(),
            memory: PacketMemory::new(),
            packets: Vec::with_capacity(PACKETS_MAX),
            datagrams: vec![0x47; RECEIVE_BATCH * DATAGRAM_BYTES],
        }
    }

    fn send(&mut self, mut segmentation: Segmentation) {
        let mut outgoing = self.send.start();
        for datagram in self.datagrams.chunks_exact(DATAGRAM_BYTES) {
            outgoing.push(segmentation, &[], datagram);
        }
        let sent = outgoing.flush(&self.output, &mut segmentation);
        assert_eq!(sent.packets, RECEIVE_BATCH as u64, "loopback takes all");
    }

    /// One call; loopback has delivered everything by the time that the send call returns.
    fn receive(&mut self) {
        self.packets.clear();
        self.receive.receive(
            &self.input,
            &mut self.memory,
            &mut self.packets,
            Sources::Unasked,
        );
        assert_eq!(self.packets.len(), RECEIVE_BATCH, "loopback delivers all");
    }
}

fn net(criterion: &mut Criterion) {
    let mut loopback = Loopback::open();
    let mut group = criterion.benchmark_group("net");
    group.throughput(Throughput::Elements(RECEIVE_BATCH as u64));
    for (name, segmentation) in [
        ("single", Segmentation::NONE),
        ("coalesced", Segmentation::FULL),
    ] {
        group.bench_function(format!("ReceiveBatch::receive, {name}"), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    loopback.send(segmentation);
                    let start = Instant::now();
                    loopback.receive();
                    total += start.elapsed();
                }
                total
            });
        });
        group.bench_function(format!("SendBatch::flush, {name}"), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    let start = Instant::now();
                    loopback.send(segmentation);
                    total += start.elapsed();
                    loopback.receive();
                }
                total
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = net
}
criterion_main!(benches);
