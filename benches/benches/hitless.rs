//! Merge of two legs from memory, all packets on both.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::Duration;

use bilbycast_hitless::{LegIndex, Merger, MergerConfig, Origin, PACKET_BYTES_MAX};
use bilbycast_rtp::{HEADER_BYTES_MIN, RtpWrapper, SeqNo, Ssrc};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Datagrams of one `recvmmsg`.
const BATCH: usize = 64;
const DATAGRAM_BYTES: usize = HEADER_BYTES_MIN + 7 * 188;
/// 1 Gb/s of datagrams of that size.
const INTERVAL_NS: u64 = 10_624;
/// Class B.
const PATH_DIFFERENTIAL_NS: u64 = 50_000_000;
/// How far leg 2 is behind, in batches: 8 ms.
const SKEW_BATCHES: u64 = 12;

/// Two legs with 1 Gb/s each, a batch of one and a batch of the other at a time.
struct Legs {
    merger: Merger,
    wrapper: RtpWrapper,
    /// The datagrams of the newest batches; the oldest of them is what leg 2 brings.
    batches: Vec<Vec<u8>>,
    turn: u64,
    out: Vec<u8>,
}

impl Legs {
    fn new(repair_packets: u32) -> Self {
        Self {
            merger: Merger::new(MergerConfig {
                legs: 2,
                path_differential_ns: PATH_DIFFERENTIAL_NS,
                repair_packets,
                packets_max: 32_768,
            }),
            wrapper: RtpWrapper::new(33, Ssrc(1), SeqNo(0)),
            batches: vec![vec![0x47; BATCH * DATAGRAM_BYTES]; SKEW_BATCHES as usize + 1],
            turn: 0,
            out: vec![0; PACKET_BYTES_MAX],
        }
    }

    /// A batch of each leg, and what is due then; returns the packets that were given out.
    fn turn(&mut self) -> u64 {
        let kept = self.batches.len();
        let start_ns = 1_700_000_000_000_000_000 + self.turn * BATCH as u64 * INTERVAL_NS;
        let newest = self.turn as usize % kept;
        for datagram in self.batches[newest].chunks_exact_mut(DATAGRAM_BYTES) {
            datagram[..HEADER_BYTES_MIN].copy_from_slice(&self.wrapper.next_header(0));
        }
        let oldest = (self.turn + 1) as usize % kept;
        for (leg, batch) in [(LegIndex::ONE, newest), (LegIndex::TWO, oldest)] {
            if leg == LegIndex::TWO && self.turn < SKEW_BATCHES {
                continue;
            }
            let mut arrival_ns = start_ns;
            for datagram in black_box(&self.batches[batch]).chunks_exact(DATAGRAM_BYTES) {
                let _ = black_box(
                    self.merger
                        .push(leg, Origin::Received, arrival_ns, datagram),
                );
                arrival_ns += INTERVAL_NS;
            }
        }
        self.turn += 1;
        let end_ns = start_ns + BATCH as u64 * INTERVAL_NS;
        let mut released = 0;
        while let Some(packet) = self.merger.pop(end_ns, &mut self.out) {
            black_box(&self.out[..packet.bytes]);
            released += 1;
        }
        released
    }
}

fn hitless(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hitless");
    // What both legs receive.
    group.throughput(Throughput::Bytes((2 * BATCH * DATAGRAM_BYTES) as u64));
    for (name, repair_packets) in [
        ("Merger::push + Merger::pop, two legs", 0),
        ("Merger::push + Merger::pop, two legs behind FEC", 100),
    ] {
        let mut legs = Legs::new(repair_packets);
        // Until as many come out as go in.
        while legs.turn() == 0 {}
        group.bench_function(name, |bencher| bencher.iter(|| legs.turn()));
        let stats = legs.merger.stats();
        assert!(stats.delivered > 0 && stats.lost == 0 && stats.late == 0);
        assert!(stats.legs[1].redundant > 0, "both copies come in time");
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = hitless
}
criterion_main!(benches);
