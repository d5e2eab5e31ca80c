//! A sender that keeps to a rate by the clock.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::stamped::{PACKET_BYTES, Stamp, Stamper};
use crate::{cpu, udp};

/// Sends stamped packets at a constant rate until it is stopped.
#[derive(Debug)]
pub struct PacedSender {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    stop: AtomicBool,
}

impl PacedSender {
    /// Sends each packet of the stream `ssrc` to every one of `sockets`, `bitrate_bps` to each, RTP header included.
    #[must_use]
    pub fn start(ssrc: u32, bitrate_bps: u64, sockets: Vec<UdpSocket>) -> Self {
        Self::start_lossy(ssrc, bitrate_bps, sockets, |_, _| false)
    }

    /// The same, but for packets that `loses` keeps from one of the sockets: it is given the place of the socket and the
    /// number of the packet.
    #[must_use]
    pub fn start_lossy(
        ssrc: u32,
        bitrate_bps: u64,
        sockets: Vec<UdpSocket>,
        loses: fn(usize, u64) -> bool,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || run(ssrc, bitrate_bps, &sockets, loses, &of_thread));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Packets sent so far: numbers 0 to this one, exclusive.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Acquire)
    }

    /// Stops and returns how many packets were sent.
    pub fn stop(mut self) -> u64 {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the sender does not fail");
        }
        self.sent()
    }
}

impl Drop for PacedSender {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

fn run(
    ssrc: u32,
    bitrate_bps: u64,
    sockets: &[UdpSocket],
    loses: fn(usize, u64) -> bool,
    shared: &Shared,
) {
    cpu::leave_packet_cpu();
    let mut stamper = Stamper::new(ssrc);
    let packet_bits = PACKET_BYTES as u128 * 8;
    let start = Instant::now();
    let mut number = 0;
    while !shared.stop.load(Ordering::Acquire) {
        let elapsed_ns = start.elapsed().as_nanos();
        let due = elapsed_ns * u128::from(bitrate_bps) / (packet_bits * 1_000_000_000);
        while u128::from(number) < due {
            let sent_ns = udp::now_ns();
            let packet = stamper.stamp(Stamp { number, sent_ns });
            for (place, socket) in sockets.iter().enumerate() {
                if loses(place, number) {
                    continue;
                }
                // A refusal tells of an earlier packet that found nobody at the destination.
                let _sent = socket.send(packet);
            }
            number += 1;
            shared.sent.store(number, Ordering::Release);
        }
        thread::sleep(STEP);
    }
}

/// A sender that wakes a thousand times a second is as bursty as a good encoder.
const STEP: Duration = Duration::from_millis(1);
