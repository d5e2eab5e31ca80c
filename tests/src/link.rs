//! A link between two UDP ends that delays, loses and reorders in both directions, the same way at each run.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::udp::DATAGRAM_BYTES_MAX;

/// What a link does to each datagram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Impairment {
    /// Datagrams in a thousand that are lost, in each direction.
    pub loss_per_mille: u32,
    /// Time on the way, in each direction.
    pub delay: Duration,
    /// What is added to it at random.
    pub jitter: Duration,
}

/// A running link. Whoever sends to its address first is the near end.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// While it is set nothing passes.
    cut: AtomicBool,
    passed: AtomicU64,
    lost: AtomicU64,
    near: Mutex<Option<SocketAddr>>,
}

impl Link {
    /// A link from `address` to `far`.
    #[must_use]
    pub fn start(address: SocketAddr, far: SocketAddr, impairment: Impairment) -> Self {
        let bind = |address: SocketAddr| {
            let socket = UdpSocket::bind(address)
                .unwrap_or_else(|error| panic!("cannot bind {address}: {error}"));
            let _larger = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
            socket
                .set_read_timeout(Some(LOOK))
                .expect("a socket takes a timeout");
            socket
        };
        let near = bind(address);
        let far_side = bind(SocketAddr::new(address.ip(), 0));
        let shared = Arc::new(Shared::default());
        let clone =
            |socket: &UdpSocket| socket.try_clone().expect("a descriptor can be duplicated");
        let threads = vec![
            {
                let (from, to) = (clone(&near), clone(&far_side));
                let shared = Arc::clone(&shared);
                thread::spawn(move || run(&from, &to, Toward::Far(far), impairment, 1, &shared))
            },
            {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    run(&far_side, &near, Toward::Near, impairment, 2, &shared);
                })
            },
        ];
        Self {
            address,
            shared,
            threads,
        }
    }

    /// Where the near end sends to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the link, or mends it.
    pub fn set_cut(&self, is_cut: bool) {
        self.shared.cut.store(is_cut, Ordering::Release);
    }

    /// Datagrams that came to the link, and those of them that it lost.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let lost = self.shared.lost.load(Ordering::Acquire);
        (self.shared.passed.load(Ordering::Acquire) + lost, lost)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A panic of the link was shown already.
            let _ended = thread.join();
        }
    }
}

#[derive(Clone, Copy)]
enum Toward {
    Far(SocketAddr),
    Near,
}

const LOOK: Duration = Duration::from_millis(1);

fn run(
    from: &UdpSocket,
    to: &UdpSocket,
    toward: Toward,
    impairment: Impairment,
    seed: u64,
    shared: &Shared,
) {
    let mut random = seed;
    let mut draw = move || {
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) >> 16
    };
    let mut on_the_way: BTreeMap<(Instant, u64), Vec<u8>> = BTreeMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut number = 0;
    while !shared.stop.load(Ordering::Acquire) {
        let due = on_the_way.first_key_value().map(|((due, _), _)| *due);
        let wait = due.map_or(LOOK, |due| {
            due.saturating_duration_since(Instant::now()).min(LOOK)
        });
        if wait.is_zero() {
            if let (Some(((_, _), datagram)), Some(dest)) =
                (on_the_way.pop_first(), destination(toward, shared))
            {
                // Nobody may be there yet.
                let _sent = to.send_to(&datagram, dest);
            }
            continue;
        }
        from.set_read_timeout(Some(wait))
            .expect("a socket takes a timeout");
        let Ok((bytes, source)) = from.recv_from(&mut buffer) else {
            continue;
        };
        if matches!(toward, Toward::Far(_)) {
            *shared.near.lock().expect("no holder panics") = Some(source);
        }
        let is_lost = shared.cut.load(Ordering::Acquire)
            || draw() % 1_000 < u64::from(impairment.loss_per_mille);
        if is_lost {
            shared.lost.fetch_add(1, Ordering::AcqRel);
            continue;
        }
        shared.passed.fetch_add(1, Ordering::AcqRel);
        let jitter_us = impairment.jitter.as_micros() as u64;
        let jitter = Duration::from_micros(if jitter_us == 0 {
            0
        } else {
            draw() % jitter_us
        });
        number += 1;
        on_the_way.insert(
            (Instant::now() + impairment.delay + jitter, number),
            buffer[..bytes].to_vec(),
        );
    }
}

fn destination(toward: Toward, shared: &Shared) -> Option<SocketAddr> {
    match toward {
        Toward::Far(far) => Some(far),
        Toward::Near => *shared.near.lock().expect("no holder panics"),
    }
}
