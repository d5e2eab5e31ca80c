//! Handshakes from addresses where nobody means to call.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bilbycast_srt::Micros;
use bilbycast_srt::handshake::{Caller, HANDSHAKE_PACKET_BYTES_MAX, Settings};
use bilbycast_srt::wire::{
    Control, ControlPacket, ExtensionField, Extensions, HEADER_BYTES, Handshake, HandshakeKind,
    Packet, PeerIp, SeqNumber, SocketId, Timestamp,
};
use bilbycast_tests::{address, cpu};

/// A flood, sent by a thread of its own.
#[derive(Debug)]
pub(super) struct Flood {
    shared: Arc<Shared>,
    thread: JoinHandle<Answers>,
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU32,
    is_over: AtomicBool,
}

/// What the listener answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    pub(super) count: u64,
    pub(super) bytes_max: usize,
    /// Bytes of the shortest question.
    pub(super) question_bytes_min: usize,
}

impl Flood {
    /// Sends `packets` handshakes to `listener`, so many a second.
    pub(super) fn start(listener: SocketAddr, packets: u32, per_second: u32) -> Self {
        let sources = sources(listener);
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            cpu::leave_packet_cpu();
            run(
                &sources,
                Forger::new(listener),
                packets,
                per_second,
                &of_thread,
            )
        });
        Self { shared, thread }
    }

    pub(super) fn sent(&self) -> u32 {
        self.shared.sent.load(Ordering::Acquire)
    }

    /// Whether all of it is sent.
    pub(super) fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Acquire) || self.thread.is_finished()
    }

    pub(super) fn finish(self) -> Answers {
        self.thread.join().expect("the flood does not fail")
    }
}

/// Addresses that the handshakes come from: an odd number, so that each asks in both ways.
const SOURCES: u8 = 251;

/// Sent at once after the machine held the sender up.
const BURST_MAX: u32 = 50;

fn sources(listener: SocketAddr) -> Vec<UdpSocket> {
    let [_, second, third, _] = address::other_ip().octets();
    let open = |host| {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, second | 64, third, host), 0)).unwrap();
        socket.connect(listener).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    (1..=SOURCES).map(open).collect()
}

fn run(
    sources: &[UdpSocket],
    mut forger: Forger,
    packets: u32,
    per_second: u32,
    shared: &Shared,
) -> Answers {
    let mut answers = Answers {
        count: 0,
        bytes_max: 0,
        question_bytes_min: usize::MAX,
    };
    let mut buffer = [0; 2_048];
    let start = Instant::now();
    let mut sent = 0;
    while sent < packets {
        let due = start.elapsed().as_micros() * u128::from(per_second) / 1_000_000;
        let due = u32::try_from(due).unwrap_or(packets).min(packets);
        let end = due.min(sent + BURST_MAX);
        for number in sent..end {
            let question = forger.forge(number);
            let source = &sources[number as usize % sources.len()];
            let least = answers.question_bytes_min.min(question.len());
            answers.question_bytes_min = least;
            // What the kernel refuses is not sent again: a flood does not care.
            let _sent = source.send(question);
            while let Ok(bytes) = source.recv(&mut buffer) {
                answers.count += 1;
                answers.bytes_max = answers.bytes_max.max(bytes);
            }
        }
        sent = end;
        shared.sent.store(sent, Ordering::Release);
        thread::sleep(Duration::from_millis(1));
    }
    shared.is_over.store(true, Ordering::Release);
    answers
}

/// Packets of a caller whose numbers are made up anew for each use.
#[derive(Debug)]
struct Forger {
    induction: Vec<u8>,
    conclusion: Vec<u8>,
}

impl Forger {
    /// Lets a caller conclude on a cookie that no listener has given.
    fn new(listener: SocketAddr) -> Self {
        let now = Micros::ZERO;
        let socket = SocketId(1);
        let first = SeqNumber::new(1);
        let mut caller =
            Caller::new(Settings::default(), socket, first, listener.ip(), now).unwrap();
        let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
        let length = caller.poll_transmit(now, &mut buffer).unwrap().unwrap();
        let induction = buffer[..length].to_vec();
        let answer = ControlPacket {
            timestamp: Timestamp::default(),
            destination: socket,
            control: Control::Handshake(Handshake {
                version: 5,
                encryption: 0,
                extension: ExtensionField::MAGIC,
                initial_sequence: first,
                mss: 1_500,
                flow_window: 8_192,
                kind: HandshakeKind::Induction,
                socket: SocketId(2),
                cookie: 1,
                peer_ip: PeerIp::default(),
                extensions: Extensions::NONE,
            }),
        };
        caller.handle(now, &Packet::Control(answer));
        let length = caller.poll_transmit(now, &mut buffer).unwrap().unwrap();
        Self {
            induction,
            conclusion: buffer[..length].to_vec(),
        }
    }

    /// Every other one asks for a cookie, the rest pretend to have one.
    fn forge(&mut self, number: u32) -> &[u8] {
        let cookie = number.wrapping_mul(0x9e37_79b9);
        let (packet, cookie) = if number.is_multiple_of(2) {
            (&mut self.induction, 0)
        } else {
            (&mut self.conclusion, cookie)
        };
        packet[SOCKET_AT..SOCKET_AT + 4].copy_from_slice(&(number + 1).to_be_bytes());
        packet[COOKIE_AT..COOKIE_AT + 4].copy_from_slice(&cookie.to_be_bytes());
        packet
    }
}

/// Where a handshake has the socket id of its sender and the cookie (draft-sharabayko-srt 3.2.1).
const SOCKET_AT: usize = HEADER_BYTES + 24;
const COOKIE_AT: usize = HEADER_BYTES + 28;
