//! RTP header views and sequence accounting over one receive batch.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::Duration;

use bilbycast_rtp::{HEADER_BYTES_MIN, RtpView, RtpWrapper, SeqNo, SequenceTracker, Ssrc};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Datagrams of one `recvmmsg`.
const BATCH: usize = 64;
const DATAGRAM_BYTES: usize = HEADER_BYTES_MIN + 7 * 188;

/// One whole turn of the sequence numbers, so that every batch continues the one before.
fn datagrams() -> Vec<u8> {
    let mut wrapper = RtpWrapper::new(33, Ssrc(1), SeqNo(0));
    let mut bytes = vec![0x47; (1 << 16) * HEADER_BYTES_MIN];
    for header in bytes.chunks_exact_mut(HEADER_BYTES_MIN) {
        header.copy_from_slice(&wrapper.next_header(0));
    }
    bytes
}

fn rtp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rtp");
    group.throughput(Throughput::Elements(BATCH as u64));

    let mut wrapper = RtpWrapper::new(33, Ssrc(1), SeqNo(0));
    let mut batch = vec![0x47; BATCH * DATAGRAM_BYTES];
    for datagram in batch.chunks_exact_mut(DATAGRAM_BYTES) {
        datagram[..HEADER_BYTES_MIN].copy_from_slice(&wrapper.next_header(0));
    }
    group.bench_function("RtpView::parse", |bencher| {
        bencher.iter(|| {
            black_box(&batch)
                .chunks_exact(DATAGRAM_BYTES)
                .filter_map(RtpView::parse)
                .map(|view| view.payload_offset() + usize::from(view.sequence().0))
                .sum::<usize>()
        });
    });

    let turn = datagrams();
    let mut batches = turn.chunks_exact(BATCH * HEADER_BYTES_MIN).cycle();
    let mut tracker = SequenceTracker::new();
    group.bench_function("RtpView::parse + SequenceTracker::on_packet", |bencher| {
        bencher.iter(|| {
            for header in batches
                .next()
                .unwrap_or_default()
                .chunks_exact(HEADER_BYTES_MIN)
            {
                if let Some(view) = RtpView::parse(black_box(header)) {
                    black_box(tracker.on_packet(view.ssrc(), view.sequence()));
                }
            }
        });
    });
    assert_eq!(tracker.lost(), 0, "the batches continue one another");
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = rtp
}
criterion_main!(benches);
