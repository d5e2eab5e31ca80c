//! SRT alone, in memory: what a packet costs at the sender and at the receiver, without any socket.
//!
//! The throughput that criterion shows is payload; its inverse is CPU seconds per byte.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bilbycast_srt::crypto::{KeyLength, Passphrase};
use bilbycast_srt::handshake::{
    Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Outcome, Settings,
};
use bilbycast_srt::wire::{Packet, SeqNumber, SocketId};
use bilbycast_srt::{Connection, Micros};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Datagrams of one batch: 64 kB, as `UDP_SEGMENT` and `UDP_GRO` carry them.
const BATCH: usize = 48;
const PAYLOAD_BYTES: usize = 1_316;
const DATAGRAM_BYTES_MAX: usize = 1_472;
const CALLER_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9_000);

/// Two connections, and the time in which 200 Mb/s bring a batch.
struct Pair {
    sender: Connection,
    receiver: Connection,
    now: Micros,
    out: Vec<u8>,
    lengths: Vec<usize>,
    back: Vec<u8>,
}

/// Time that each side took.
#[derive(Clone, Copy, Default)]
struct Spent {
    send: Duration,
    receive: Duration,
}

impl Pair {
    fn new(settings: &Settings) -> Self {
        let now = Micros::from_secs(1);
        let mut caller = Caller::new(
            settings.clone(),
            SocketId(1),
            SeqNumber::new(0),
            CALLER_AT.ip(),
            now,
        )
        .expect("the settings are legal");
        let mut listener = Listener::new(settings.clone(), SocketId(2), &[1; 32], now)
            .expect("the settings are legal");
        let mut request = [0; HANDSHAKE_PACKET_BYTES_MAX];
        let mut answer = [0; HANDSHAKE_PACKET_BYTES_MAX];
        let mut accepted = None;
        loop {
            let length = caller
                .poll_transmit(now, &mut request)
                .ok()
                .flatten()
                .expect("every answer leads to a question");
            let packet = Packet::parse(&request[..length]).expect("the caller wrote it");
            let length = match listener.handle(now, CALLER_AT, &packet, &mut answer) {
                Action::Reply(length) => length,
                Action::Accept(request) => {
                    let side = listener
                        .accept(now, *request, settings, SocketId(3), &mut answer)
                        .expect("both have the same settings");
                    accepted = Some(side.negotiated);
                    side.reply
                }
                Action::Ignore => panic!("the listener ignores our caller"),
            };
            let packet = Packet::parse(&answer[..length]).expect("the listener wrote it");
            caller.handle(now, &packet);
            if let Some(Outcome::Connected(negotiated)) = caller.poll_outcome() {
                let accepted = accepted.take().expect("it accepted before it answered");
                return Self {
                    sender: Connection::new(*negotiated, settings, now),
                    receiver: Connection::new(*accepted, settings, now),
                    now,
                    out: vec![0; BATCH * 2 * DATAGRAM_BYTES_MAX],
                    lengths: Vec::with_capacity(2 * BATCH),
                    back: vec![0; DATAGRAM_BYTES_MAX],
                };
            }
        }
    }

    /// Sends a batch, takes it in at the other end, delivers what is due, and returns what the receiver has to say.
    fn batch(&mut self, payload: &[u8], spent: &mut Spent) {
        self.now += Micros((BATCH * PAYLOAD_BYTES * 8 / 200) as u64);
        let now = self.now;

        let start = Instant::now();
        for _ in 0..BATCH {
            self.sender
                .send(now, &[black_box(payload)])
                .expect("everything is acknowledged in time");
        }
        self.sender.handle_timeout(now);
        self.lengths.clear();
        for cell in self.out.chunks_exact_mut(DATAGRAM_BYTES_MAX) {
            let Some(length) = self.sender.poll_transmit(now, cell) else {
                break;
            };
            self.lengths.push(length);
        }
        spent.send += start.elapsed();

        let start = Instant::now();
        let cells = self.out.chunks_exact_mut(DATAGRAM_BYTES_MAX);
        for (cell, length) in cells.zip(&self.lengths) {
            self.receiver.handle_packet(now, &mut cell[..*length]);
        }
        self.receiver.handle_timeout(now);
        while let Some(received) = self.receiver.receive(now, &mut self.back) {
            black_box(received);
        }
        spent.receive += start.elapsed();

        // What the receiver answers is its cost, and the sender's when it takes it in.
        loop {
            let start = Instant::now();
            let length = self.receiver.poll_transmit(now, &mut self.back);
            spent.receive += start.elapsed();
            let Some(length) = length else { break };
            let start = Instant::now();
            self.sender.handle_packet(now, &mut self.back[..length]);
            spent.send += start.elapsed();
        }
        let mut answer = [0; DATAGRAM_BYTES_MAX];
        loop {
            let start = Instant::now();
            let length = self.sender.poll_transmit(now, &mut answer);
            spent.send += start.elapsed();
            let Some(length) = length else { break };
            let start = Instant::now();
            self.receiver.handle_packet(now, &mut answer[..length]);
            spent.receive += start.elapsed();
        }
    }
}

fn settings(key: Option<KeyLength>, filter: Option<&str>) -> Settings {
    Settings {
        passphrase: key.and_then(|_| Passphrase::new("a passphrase of the bench").ok()),
        aes_key_len: key,
        packet_filter: filter.map(str::to_owned),
        ..Settings::default()
    }
}

fn srt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srt");
    group.throughput(Throughput::Bytes((BATCH * PAYLOAD_BYTES) as u64));
    let payload = vec![0x47; PAYLOAD_BYTES];
    for (name, settings) in [
        ("clear", settings(None, None)),
        ("aes-128", settings(Some(KeyLength::Aes128), None)),
        ("aes-256", settings(Some(KeyLength::Aes256), None)),
        (
            "fec 10x5",
            settings(None, Some("fec,cols:10,rows:5,layout:staircase,arq:onreq")),
        ),
    ] {
        for side in ["send", "receive"] {
            let mut pair = Pair::new(&settings);
            group.bench_function(format!("{name} {side}"), |bencher| {
                bencher.iter_custom(|iterations| {
                    let mut spent = Spent::default();
                    for _ in 0..iterations {
                        pair.batch(&payload, &mut spent);
                    }
                    if side == "send" {
                        spent.send
                    } else {
                        spent.receive
                    }
                });
            });
            let stats = pair.receiver.stats(pair.now);
            assert_eq!(stats.receive.counts.skipped, 0, "{name}: all is delivered");
            assert!(stats.receive.delivered > 0);
        }
    }
    group.finish();
}

/// The dearest packets that a far end can send: none may cost a millisecond.
fn srt_worst(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srt worst packet");
    group.sample_size(10);
    let window = 8_192;
    let word = |word: u32| word.to_be_bytes();
    let control = |kind: u32, to: SocketId, body: &[u32]| -> Vec<u8> {
        [0x8000_0000 | kind << 16, 0, 0, to.0]
            .iter()
            .chain(body)
            .flat_map(|value| word(*value))
            .collect()
    };

    group.bench_function(
        "NAK of 180 ranges over 8,192 packets in flight",
        |bencher| {
            bencher.iter_batched(
                || {
                    let mut pair = Pair::new(&settings(None, None));
                    for _ in 0..window {
                        let _ = pair.sender.send(pair.now, &[&[0x47; PAYLOAD_BYTES]]);
                    }
                    while pair.sender.poll_transmit(pair.now, &mut pair.out).is_some() {}
                    let body = [0x8000_0000, 0x3fff_ffff].repeat(180);
                    let nak = control(3, pair.sender.local_socket(), &body);
                    (pair, nak)
                },
                |(mut pair, mut nak)| {
                    pair.sender.handle_packet(pair.now, &mut nak);
                    pair
                },
                BatchSize::PerIteration,
            );
        },
    );

    let gap = |window: u32, to: SocketId| -> Vec<u8> {
        let header = [window - 1, 0xc000_0001, 0, to.0];
        let mut packet: Vec<u8> = header.iter().flat_map(|value| word(*value)).collect();
        packet.resize(16 + PAYLOAD_BYTES, 0x47);
        packet
    };
    for filter in [None, Some("fec,cols:256,rows:256,arq:onreq")] {
        let name = format!("data packet behind a gap of the window, filter {filter:?}");
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let pair = Pair::new(&settings(None, filter));
                    let packet = gap(window, pair.receiver.local_socket());
                    (pair, packet)
                },
                |(mut pair, mut packet)| {
                    pair.receiver.handle_packet(pair.now, &mut packet);
                    pair
                },
                BatchSize::PerIteration,
            );
        });
    }

    group.bench_function(
        "DROPREQ of everything behind a gap of the window",
        |bencher| {
            bencher.iter_batched(
                || {
                    let mut pair = Pair::new(&settings(None, None));
                    let to = pair.receiver.local_socket();
                    pair.receiver.handle_packet(pair.now, &mut gap(window, to));
                    (pair, control(7, to, &[0, 0x3fff_ffff]))
                },
                |(mut pair, mut request)| {
                    pair.receiver.handle_packet(pair.now, &mut request);
                    pair
                },
                BatchSize::PerIteration,
            );
        },
    );
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = srt, srt_worst
}
criterion_main!(benches);
