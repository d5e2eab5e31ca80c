//! What the machine itself does to time: how late a thread wakes that asks for nothing but a short sleep.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::unistd::gettid;

use crate::{cpu, udp};

/// A thread on the data plane's CPU that sleeps and looks at the clock.
#[derive(Debug)]
pub struct NoiseMeter {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Lateness>>,
}

/// A wake-up and how late it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lateness {
    /// When it came: Unix time in nanoseconds.
    pub at_ns: u64,
    /// How late it was, in nanoseconds.
    pub late_ns: u64,
}

impl NoiseMeter {
    /// Starts measuring.
    #[must_use]
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&stop);
        let thread = thread::spawn(move || measure(&of_thread));
        Self { stop, thread }
    }

    /// Stops and returns what was measured.
    #[must_use]
    pub fn stop(self) -> Vec<Lateness> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("a meter does not fail")
    }
}

/// The delays that packets, one each [`VIRTUAL_STEP_NS`], would have suffered from these stalls.
///
/// A stall shows in one wake-up but hits every packet that arrives during it, the first for its whole length and the
/// last hardly at all. Only spread out like this is it comparable with delays of packets.
#[must_use]
pub fn virtual_delays(stalls: impl Iterator<Item = Lateness>) -> Vec<u64> {
    let mut delays = Vec::new();
    for Lateness { late_ns, .. } in stalls {
        // A sleep is spread over its whole step, for most packets of it wait for nothing.
        let quiet = usize::try_from(SLEEP_NS / VIRTUAL_STEP_NS).unwrap_or(1);
        delays.extend(std::iter::repeat_n(0, quiet.saturating_sub(1)));
        delays.push(late_ns);
        delays.extend((1..late_ns / VIRTUAL_STEP_NS).map(|step| late_ns - step * VIRTUAL_STEP_NS));
    }
    delays
}

fn measure(stop: &AtomicBool) -> Vec<Lateness> {
    cpu::bind_thread(cpu::packet_cpu());
    // A thread of the data plane's own rank, as far as this process may have it; without the privilege the data plane
    // does not have it either.
    let _refused = Command::new("renice")
        .args(["-n", "-15", "-p", &gettid().to_string()])
        .output();
    let mut wakes = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let asleep = Instant::now();
        thread::sleep(Duration::from_nanos(SLEEP_NS));
        let slept_ns = u64::try_from(asleep.elapsed().as_nanos()).unwrap_or(u64::MAX);
        wakes.push(Lateness {
            at_ns: udp::now_ns(),
            late_ns: slept_ns.saturating_sub(SLEEP_NS),
        });
    }
    wakes
}

/// Between two looks at the clock.
const SLEEP_NS: u64 = 1_000_000;

/// About the distance of packets at 100 Mb/s.
const VIRTUAL_STEP_NS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_hits_every_packet_that_arrives_during_it() {
        let stall = Lateness {
            at_ns: 0,
            late_ns: 400_000,
        };
        let delays = virtual_delays([stall].into_iter());
        let waiting: Vec<u64> = delays.into_iter().filter(|delay| *delay > 0).collect();
        assert_eq!(waiting, [400_000, 300_000, 200_000, 100_000]);
    }
}
