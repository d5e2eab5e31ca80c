//! A receiver of stamped packets that checks each of them as it comes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::stamped::{self, Stamp};
use crate::udp::{DATAGRAM_BYTES_MAX, Receiver};
use crate::{cpu, wait};

/// What the datagrams of a stream are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// The bare payload.
    Raw,
    /// The packet as it was sent, RTP header included.
    Rtp,
}

/// A packet and when it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arrival {
    /// What it says about itself.
    pub stamp: Stamp,
    /// Kernel time of its arrival: Unix time in nanoseconds.
    pub arrived_ns: u64,
}

impl Arrival {
    /// Time from sending to arrival, in nanoseconds.
    #[must_use]
    pub fn delay_ns(&self) -> u64 {
        self.arrived_ns.saturating_sub(self.stamp.sent_ns)
    }
}

/// Everything that a sink received.
#[derive(Clone, Debug, Default)]
pub struct Harvest {
    /// Intact packets in the order of their arrival.
    pub arrivals: Vec<Arrival>,
    /// Datagrams that are not of the stream, or not byte for byte what was sent.
    pub corrupt: u64,
    /// Datagrams that the kernel dropped because the sink itself was too slow.
    pub dropped_here: u32,
}

/// Receives on a thread of its own.
#[derive(Debug)]
pub struct Sink {
    name: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    harvest: Mutex<Harvest>,
    received: AtomicU64,
    /// Number after the highest that has come.
    next: AtomicU64,
    stop: AtomicBool,
}

impl Sink {
    /// Receives the stream `ssrc` on `address`.
    #[must_use]
    pub fn start(name: &str, address: SocketAddr, ssrc: u32, framing: Framing) -> Self {
        let receiver = Receiver::bind(address);
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || run(receiver, ssrc, framing, &of_thread));
        Self {
            name: name.to_owned(),
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Where it receives.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams received so far, corrupt ones included.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Acquire)
    }

    /// Waits until packet `number` or a later one has come.
    pub fn wait_number(&self, number: u64, limit: Duration) {
        let what = format!("{} gets packet {number}", self.name);
        wait::until_true(&what, limit, || {
            self.shared.next.load(Ordering::Acquire) > number
        });
    }

    /// Ends the receiving, once the packets before `end` have come or nothing has come for [`DRAIN`], and returns
    /// everything.
    #[must_use]
    pub fn finish(mut self, end: u64) -> Harvest {
        let mut before = self.received();
        loop {
            let complete = self.shared.next.load(Ordering::Acquire) >= end;
            // One read limit longer than needed, so that a duplicate right behind the last packet is seen too.
            wait::pass(if complete { DRAIN / 4 } else { DRAIN });
            let now = self.received();
            if now == before {
                break;
            }
            before = now;
        }
        self.stop();
        std::mem::take(&mut *self.shared.harvest.lock().expect("the sink does not fail"))
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the sink does not fail");
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Harvest {
    /// What is wrong with it, when every packet from `first` to `end` (exclusive) should have come once and in order;
    /// empty when nothing is.
    #[must_use]
    pub fn faults(&self, first: u64, end: u64) -> Vec<String> {
        let mut faults = Vec::new();
        if self.dropped_here > 0 {
            faults.push(format!(
                "the test itself was too slow: {} datagrams dropped at its own socket",
                self.dropped_here
            ));
        }
        if self.corrupt > 0 {
            faults.push(format!("{} datagrams are not what was sent", self.corrupt));
        }
        let mut expected = first;
        for arrival in &self.arrivals {
            let number = arrival.stamp.number;
            if number > expected {
                faults.push(format!("{} lost from {expected} on", number - expected));
            } else if number < expected {
                faults.push(format!("{number} again or late, after {}", expected - 1));
            }
            expected = expected.max(number + 1);
        }
        if expected < end {
            faults.push(format!(
                "{} lost at the end, from {expected} on",
                end - expected
            ));
        }
        faults
    }

    /// The same in the order of the numbers, for a network that does not keep the order of arrival.
    #[must_use]
    pub fn in_order_of_numbers(mut self) -> Self {
        self.arrivals.sort_by_key(|arrival| arrival.stamp.number);
        self
    }

    /// # Panics
    ///
    /// When [`Self::faults`] finds any.
    #[track_caller]
    pub fn assert_complete(&self, name: &str, first: u64, end: u64) {
        let faults = self.faults(first, end);
        let shown = &faults[..faults.len().min(FAULTS_SHOWN)];
        assert!(
            faults.is_empty(),
            "{name}: {} faults in packets {first} to {end}: {}",
            faults.len(),
            shown.join("; ")
        );
    }
}

fn run(mut receiver: Receiver, ssrc: u32, framing: Framing, shared: &Shared) {
    cpu::leave_packet_cpu();
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    while !shared.stop.load(Ordering::Acquire) {
        let Some(received) = receiver.receive(&mut buffer) else {
            continue;
        };
        let datagram = &buffer[..received.bytes];
        let stamp = match framing {
            Framing::Raw => stamped::read_payload(ssrc, datagram),
            Framing::Rtp => stamped::read_packet(ssrc, datagram),
        };
        let mut harvest = shared
            .harvest
            .lock()
            .expect("no holder of this lock panics");
        harvest.dropped_here = received.dropped;
        match stamp {
            None => harvest.corrupt += 1,
            Some(stamp) => {
                harvest.arrivals.push(Arrival {
                    stamp,
                    arrived_ns: received.arrived_ns,
                });
                shared.next.fetch_max(stamp.number + 1, Ordering::AcqRel);
            }
        }
        shared.received.fetch_add(1, Ordering::AcqRel);
    }
}

/// Silence after which nothing more is expected.
const DRAIN: Duration = Duration::from_millis(400);

const FAULTS_SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn harvest(numbers: &[u64]) -> Harvest {
        let arrival = |number: &u64| Arrival {
            stamp: Stamp {
                number: *number,
                sent_ns: 0,
            },
            arrived_ns: 0,
        };
        Harvest {
            arrivals: numbers.iter().map(arrival).collect(),
            ..Harvest::default()
        }
    }

    #[test]
    fn a_complete_stream_has_no_faults() {
        assert!(harvest(&[3, 4, 5]).faults(3, 6).is_empty());
    }

    #[test]
    fn every_kind_of_damage_is_a_fault() {
        assert_eq!(harvest(&[3, 5]).faults(3, 6), ["1 lost from 4 on"]);
        assert_eq!(harvest(&[4, 5]).faults(3, 6), ["1 lost from 3 on"]);
        assert_eq!(
            harvest(&[3, 4]).faults(3, 6),
            ["1 lost at the end, from 5 on"]
        );
        assert_eq!(
            harvest(&[3, 3, 4, 5]).faults(3, 6),
            ["3 again or late, after 3"]
        );
        assert_eq!(harvest(&[3, 5, 4]).faults(3, 6).len(), 2);
        assert_eq!(harvest(&[]).faults(3, 6).len(), 1);
        let corrupt = Harvest {
            corrupt: 1,
            ..harvest(&[3])
        };
        assert_eq!(corrupt.faults(3, 4).len(), 1);
        let slow = Harvest {
            dropped_here: 1,
            ..harvest(&[3])
        };
        assert_eq!(slow.faults(3, 4).len(), 1);
    }
}
