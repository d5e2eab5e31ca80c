//! FEC from memory: a matrix of 10 x 10 over packets of 1,328 bytes, on one core.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bilbycast_fec::{
    Decoder, DecoderConfig, Dimensions, Encoder, EncoderConfig, Layout, Matrix, Stream,
};
use bilbycast_rtp::{HEADER_BYTES_MIN, RtpWrapper, SeqNo, Ssrc};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const DATAGRAM_BYTES: usize = HEADER_BYTES_MIN + 7 * 188;
const SIDE: u8 = 10;

/// Media packets of one pass: 13 MB, far more than a core's own cache, and a divisor of a turn of sequence numbers that
/// holds no whole number of blocks, so that the numbers of the next pass are the only thing to be written.
const PACKETS: u16 = 10_000;

/// The media packet that is lost in each hundred, a different place in each block.
const fn is_lost(packet: u16) -> bool {
    packet % 100 == packet / 100 * 37 % 100
}

fn media() -> Vec<u8> {
    let mut state = 1_u64;
    let mut bytes = vec![0; usize::from(PACKETS) * DATAGRAM_BYTES];
    for word in bytes.chunks_exact_mut(8) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        word.copy_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// Numbers the packets anew, as a stream that goes on.
fn number(media: &mut [u8], wrapper: &mut RtpWrapper) {
    for datagram in media.chunks_exact_mut(DATAGRAM_BYTES) {
        datagram[..HEADER_BYTES_MIN].copy_from_slice(&wrapper.next_header(0));
    }
}

fn encoder(dimensions: Dimensions) -> Encoder {
    Encoder::new(EncoderConfig {
        matrix: Matrix::new(SIDE, SIDE).expect("a matrix within bounds"),
        dimensions,
        layout: Layout::BlockAligned,
        sequence_start: [0; 2],
    })
}

fn encode_all(encoder: &mut Encoder, media: &mut [u8], wrapper: &mut RtpWrapper) {
    number(media, wrapper);
    for datagram in black_box(media).chunks_exact(DATAGRAM_BYTES) {
        let (head, body) = datagram.split_at(HEADER_BYTES_MIN);
        encoder.push(head, body, &mut |stream, packet| {
            black_box((stream, packet));
        });
    }
}

/// Prints the median of some passes in the unit that the requirement is stated in: at least 20 Gb/s of media.
fn print_rate(name: &str, mut pass: impl FnMut()) {
    let mut times: Vec<_> = (0..51)
        .map(|_| {
            let start = Instant::now();
            pass();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let bits = f64::from(PACKETS) * DATAGRAM_BYTES as f64 * 8.0;
    let rate = bits / times[times.len() / 2].as_secs_f64() / 1e9;
    println!("fec/{name}: {rate:.1} Gb/s");
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fec");
    group.throughput(Throughput::Bytes(
        u64::from(PACKETS) * DATAGRAM_BYTES as u64,
    ));
    let mut media = media();
    let mut wrapper = RtpWrapper::new(33, Ssrc(1), SeqNo(0));
    for (name, dimensions) in [
        ("Encoder::push, columns and rows", Dimensions::ColumnAndRow),
        ("Encoder::push, columns", Dimensions::Column),
    ] {
        let mut encoder = encoder(dimensions);
        group.bench_function(name, |bencher| {
            bencher.iter(|| encode_all(&mut encoder, &mut media, &mut wrapper));
        });
        print_rate(name, || encode_all(&mut encoder, &mut media, &mut wrapper));
        assert_eq!(encoder.unprotected(), 0, "every packet takes part");
    }
    group.finish();
}

/// What arrives at a decoder in one pass: packets in order, each with where it came.
struct Arriving {
    bytes: Vec<u8>,
    packets: Vec<(Option<Stream>, usize)>,
}

impl Arriving {
    fn new(lossy: bool) -> Self {
        let mut media = media();
        let mut wrapper = RtpWrapper::new(33, Ssrc(1), SeqNo(0));
        number(&mut media, &mut wrapper);
        let mut encoder = encoder(Dimensions::ColumnAndRow);
        let mut arriving = Self {
            bytes: Vec::new(),
            packets: Vec::new(),
        };
        for (n, datagram) in (0..).zip(media.chunks_exact(DATAGRAM_BYTES)) {
            if !(lossy && is_lost(n)) {
                arriving.add(None, datagram);
            }
            encoder.push(&[], datagram, &mut |stream, packet| {
                arriving.add(Some(stream), packet);
            });
        }
        arriving
    }

    fn add(&mut self, stream: Option<Stream>, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.packets.push((stream, packet.len()));
    }

    /// One pass of a receiver, which sees the same numbers as in the pass before, so it begins with a reset.
    fn decode(&self, decoder: &mut Decoder) {
        decoder.reset();
        let mut rest = self.bytes.as_slice();
        for &(stream, length) in &self.packets {
            let (packet, behind) = rest.split_at(length);
            rest = behind;
            let mut recovered = |packet: &[u8]| {
                black_box(packet);
            };
            match stream {
                None => decoder.push_media(packet, &mut recovered),
                Some(stream) => decoder.push_fec(stream, packet, &mut recovered),
            }
        }
    }
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fec");
    group.throughput(Throughput::Bytes(
        u64::from(PACKETS) * DATAGRAM_BYTES as u64,
    ));
    for (name, lossy) in [
        ("Decoder, 1 % lost", true),
        ("Decoder, nothing lost", false),
    ] {
        let arriving = Arriving::new(lossy);
        let mut decoder = Decoder::new(DecoderConfig {
            expected: Matrix::new(SIDE, SIDE).ok(),
        });
        arriving.decode(&mut decoder);
        // The columns of the last block are never sent; its rows are.
        let lost = if lossy { u64::from(PACKETS) / 100 } else { 0 };
        assert_eq!(decoder.stats().recovered, lost, "all come back");
        group.bench_function(name, |bencher| {
            bencher.iter(|| arriving.decode(black_box(&mut decoder)));
        });
        print_rate(name, || arriving.decode(black_box(&mut decoder)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = encode, decode
}
criterion_main!(benches);
