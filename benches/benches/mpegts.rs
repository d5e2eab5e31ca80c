//! The built-in test source, alignment of datagrams, and analysis.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::Duration;

use bilbycast_mpegts::{Analyser, AnalyserConfig, TestSource, TestSourceConfig, TsAligner};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const TS_PACKET_BYTES: usize = 188;
/// 7 TS packets.
const PAYLOAD_BYTES: usize = 7 * TS_PACKET_BYTES;
/// Datagrams of one `recvmmsg`.
const BATCH: usize = 64;

fn source() -> TestSource {
    TestSource::new(&TestSourceConfig::new(100_000_000)).expect("100 Mb/s is within the range")
}

fn mpegts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mpegts");
    group.throughput(Throughput::Bytes((BATCH * PAYLOAD_BYTES) as u64));

    let mut batch = vec![0; BATCH * PAYLOAD_BYTES];
    let mut writer = source();
    group.bench_function("TestSource::write", |bencher| {
        bencher.iter(|| writer.write(black_box(&mut batch)));
    });

    source().write(&mut batch);
    let mut aligner = TsAligner::new();
    group.bench_function("TsAligner::take_aligned", |bencher| {
        bencher.iter(|| {
            black_box(&batch)
                .chunks_exact(PAYLOAD_BYTES)
                .filter(|datagram| aligner.take_aligned(datagram))
                .count()
        });
    });

    let mut packets = 0;
    let mut aligner = TsAligner::new();
    group.bench_function("TsAligner::push, aligned", |bencher| {
        bencher.iter(|| push_all(&mut aligner, black_box(&batch), &mut packets));
    });

    // Four seconds of stream, so that tables, clocks and headers come up as often as they do; datagram by datagram, as on
    // the packet path, and over again, which costs one disturbance in each turn.
    let seconds = 4;
    let packets_long = source().packets_due(Duration::from_secs(seconds)) as usize / 7 * 7;
    let mut long = vec![0; packets_long * TS_PACKET_BYTES];
    source().write(&mut long);
    group.throughput(Throughput::Bytes(long.len() as u64));
    group.bench_function("Analyser::on_payload", |bencher| {
        let mut analyser = Analyser::new(AnalyserConfig::default());
        let mut now_ns = 0;
        bencher.iter(|| {
            for payload in black_box(&long).chunks_exact(PAYLOAD_BYTES) {
                now_ns += seconds * 1_000_000_000 / (packets_long as u64 / 7);
                analyser.on_payload(payload, now_ns);
            }
        });
        assert!(analyser.counters().packets > 0, "packets are analysed");
    });
    group.throughput(Throughput::Bytes((BATCH * PAYLOAD_BYTES) as u64));

    // Cut 100 bytes off the grid: every datagram begins and ends within a packet.
    batch.rotate_left(100);
    let mut aligner = TsAligner::new();
    group.bench_function("TsAligner::push, misaligned", |bencher| {
        bencher.iter(|| push_all(&mut aligner, black_box(&batch), &mut packets));
    });
    black_box(packets);
    group.finish();
}

fn push_all(aligner: &mut TsAligner, batch: &[u8], packets: &mut u64) {
    for datagram in batch.chunks_exact(PAYLOAD_BYTES) {
        let discarded = aligner.push(datagram, |packet| {
            black_box(packet);
            *packets += 1;
        });
        let _ = black_box(discarded);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = mpegts
}
criterion_main!(benches);
