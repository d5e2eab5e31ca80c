//! Keeps every datagram of a stream, and hands it on when asked to.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::udp::{DATAGRAM_BYTES_MAX, Receiver, sending};
use crate::{address, wait};

/// A datagram as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Datagram {
    /// Its payload.
    pub bytes: Vec<u8>,
    /// Kernel time of its arrival: Unix time in nanoseconds.
    pub arrived_ns: u64,
    /// The octet of the IP header whose upper six bits are the DSCP.
    pub traffic_class: u8,
}

/// A running recording.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    datagrams: Mutex<Vec<Datagram>>,
    dropped: Mutex<u32>,
    stop: AtomicBool,
}

impl Recorder {
    /// Records what arrives on `address`.
    #[must_use]
    pub fn start(address: SocketAddr) -> Self {
        Self::spawn(address, None)
    }

    /// Records what arrives on `address` and sends each datagram on to `dest`, so that what went in is known byte for
    /// byte whatever made it.
    #[must_use]
    pub fn relay(address: SocketAddr, dest: SocketAddr) -> Self {
        let onward = sending(address::own_ip().into(), dest)
            .unwrap_or_else(|error| panic!("cannot send to {dest}: {error}"));
        Self::spawn(address, Some(onward))
    }

    /// Where it receives.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared
            .datagrams
            .lock()
            .expect("no holder panics")
            .len()
    }

    /// A copy of what has come so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<Datagram> {
        self.shared
            .datagrams
            .lock()
            .expect("no holder panics")
            .clone()
    }

    /// Waits until at least this many have come.
    pub fn wait_count(&self, count: usize, limit: Duration) {
        let what = format!("{count} datagrams have reached {}", self.address);
        wait::until_true(&what, limit, || self.count() >= count);
    }

    /// Waits until nothing has come for `silence`, stops, and returns everything.
    ///
    /// # Panics
    ///
    /// When the recorder's own socket had to drop something: then the test proves nothing.
    #[must_use]
    pub fn finish(mut self, silence: Duration) -> Vec<Datagram> {
        let mut count = self.count();
        let mut since = Instant::now();
        while since.elapsed() < silence {
            wait::pass(Duration::from_millis(20));
            let now = self.count();
            if now != count {
                count = now;
                since = Instant::now();
            }
        }
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a recorder does not fail");
        }
        let dropped = *self.shared.dropped.lock().expect("no holder panics");
        assert_eq!(
            dropped, 0,
            "the test itself was too slow on {}",
            self.address
        );
        std::mem::take(&mut *self.shared.datagrams.lock().expect("no holder panics"))
    }

    fn spawn(address: SocketAddr, onward: Option<UdpSocket>) -> Self {
        let receiver = Receiver::bind(address);
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || run(receiver, onward.as_ref(), &of_thread));
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

/// The payloads one after the other, each without its first `skip` bytes.
#[must_use]
pub fn joined(datagrams: &[Datagram], skip: usize) -> Vec<u8> {
    let payloads = datagrams
        .iter()
        .filter_map(|datagram| datagram.bytes.get(skip..));
    payloads.flatten().copied().collect()
}

/// The lowest and the highest rate in bits per second of any window of one second that ends in the last
/// `seconds` of what has come so far.
#[must_use]
pub fn rates(datagrams: &[Datagram], seconds: u64) -> (u64, u64) {
    const SECOND_NS: u64 = 1_000_000_000;
    let first_ns = datagrams.first().map_or(0, |datagram| datagram.arrived_ns);
    let last_ns = datagrams.last().map_or(0, |datagram| datagram.arrived_ns);
    let from_ns = last_ns
        .saturating_sub(seconds * SECOND_NS)
        .max(first_ns + SECOND_NS);
    let bits = |datagram: &Datagram| datagram.bytes.len() as u64 * 8;
    let mut oldest = 0;
    let mut window = 0;
    let (mut lowest, mut highest) = (u64::MAX, 0);
    for datagram in datagrams {
        window += bits(datagram);
        while datagrams[oldest].arrived_ns + SECOND_NS < datagram.arrived_ns {
            window -= bits(&datagrams[oldest]);
            oldest += 1;
        }
        if datagram.arrived_ns >= from_ns {
            // Just before this datagram came, the window was smaller by it.
            lowest = lowest.min(window - bits(datagram));
            highest = highest.max(window);
        }
    }
    (lowest, highest)
}

fn run(mut receiver: Receiver, onward: Option<&UdpSocket>, shared: &Shared) {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    while !shared.stop.load(Ordering::Acquire) {
        let Some(received) = receiver.receive(&mut buffer) else {
            continue;
        };
        let bytes = &buffer[..received.bytes];
        if let Some(onward) = onward {
            // A refusal tells of an earlier datagram that found nobody; the comparison shows what it cost.
            let _sent = onward.send(bytes);
        }
        shared
            .datagrams
            .lock()
            .expect("no holder panics")
            .push(Datagram {
                bytes: bytes.to_vec(),
                arrived_ns: received.arrived_ns,
                traffic_class: received.traffic_class,
            });
        *shared.dropped.lock().expect("no holder panics") = received.dropped;
    }
}
