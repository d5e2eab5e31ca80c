//! Sender and sink: one thread on a core of its own.
//!
//! One thread and not two: on a machine of two cores they would have to share the second core anyway, and switching
//! between them costs more than the sink's work. The kernel stamps arrivals, so a sink that looks only after the
//! sender's turn measures the same.

mod feed;

use std::net::SocketAddrV4;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use dataplane::net::clock::monotonic_ns;
use dataplane::net::scheduling;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use nix::unistd::Pid;
use serde::Serialize;

use super::proc::{self, Scheduled};
use super::sink::{Collector, Sink, Tally};
use crate::BenchError;
use feed::{BATCH_DATAGRAMS, Sender};
pub(super) use feed::{Feed, Offered, new_stream, open_socket};

/// How the datagrams come to the input socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// In trains of 48, as a network card with receive offload delivers them: sent with `UDP_SEGMENT`, and loopback
    /// hands a train to a socket with `UDP_GRO` as it is.
    Coalesced,
    /// One by one, as a card without receive offload delivers them: loopback never coalesces by itself.
    Single,
}

/// What is around the transport stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Packing {
    /// Nothing.
    RawTs,
    /// An RTP header.
    Rtp,
}

/// What to send, for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadSpec {
    pub(crate) arrivals: Arrivals,
    pub(crate) packing: Packing,
    /// Datagrams of the stream a second.
    pub(crate) rate: u64,
    /// Before the measured part, in milliseconds.
    pub(crate) warm_ms: u64,
    /// The measured part, in milliseconds.
    pub(crate) window_ms: u64,
}

/// Where to send, and what to watch meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The input socket.
    pub(crate) input: SocketAddrV4,
    /// The process whose CPU time is wanted.
    pub(crate) pid: Option<u32>,
    /// CPU of sender and sink.
    pub(crate) load_cpu: u32,
}

/// What one run showed. Counts are of the whole run, warm-up included, unless said otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord {
    /// Datagrams a second that were asked for.
    pub rate_wanted: u64,
    /// Datagrams a second that the kernel took from the sender.
    pub rate_sent: f64,
    /// Datagrams that the kernel took from the sender.
    pub sent: u64,
    /// Datagrams that the sender could not make in time.
    pub not_offered: u64,
    /// Datagrams that the sender's own socket refused.
    pub refused: u64,
    /// Datagrams that came to the sink.
    pub received: u64,
    /// Sent but never received.
    pub lost: u64,
    /// What found the receive buffer of the measured process full, as the kernel counts: a coalesced train is one.
    pub dropped_at_input: u64,
    /// What found the receive buffer of the sink full, as the kernel counts: a train that was sent as one is one.
    pub dropped_at_sink: u64,
    /// Came after a later one, or twice.
    pub out_of_order: u64,
    /// Came changed.
    pub damaged: u64,
    /// CPU time of the measured process in the window, in nanoseconds.
    pub cpu_ns: u64,
    /// Time in the window, in nanoseconds, that threads of the measured process were ready to run while something else
    /// had their CPU: the noise of the machine.
    pub cpu_wait_ns: u64,
    /// The same for sender and sink.
    pub load_wait_ns: u64,
    /// Length of the window, in nanoseconds.
    pub window_ns: u64,
    /// Datagrams that came to the sink in the window.
    pub window_received: u64,
    /// Datagrams that the kernel took from the sender in the window, those of all legs and of FEC together.
    pub window_offered: u64,
}

impl RunRecord {
    /// CPU time of the measured process for each datagram, in microseconds.
    #[must_use]
    pub fn cpu_us_per_datagram(&self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.window_received.max(1) as f64
    }

    /// CPU time of the measured process for each datagram that was sent to it, in microseconds.
    #[must_use]
    pub fn cpu_us_per_offered(&self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.window_offered.max(1) as f64
    }

    /// True when everything that was sent came, once, in order and unchanged.
    #[must_use]
    pub const fn is_lossless(&self) -> bool {
        self.lost == 0 && self.out_of_order == 0 && self.damaged == 0
    }

    /// True when the sink's full buffer accounts for all that was lost.
    #[must_use]
    pub const fn lost_only_at_sink(&self) -> bool {
        self.lost > 0
            && self.out_of_order == 0
            && self.damaged == 0
            && self.dropped_at_input == 0
            && self.lost <= self.dropped_at_sink * TRAIN_DATAGRAMS as u64
    }

    /// True when the sender made nearly all that was asked for.
    #[must_use]
    pub const fn sender_kept_pace(&self) -> bool {
        (self.not_offered + self.refused) * 100 <= self.sent
    }
}

/// Sends and counts. The thread that does it ends with the run, so that nothing else inherits its core and priority.
pub(crate) fn run(
    spec: &LoadSpec,
    target: &Target,
    sink: &Sink,
) -> Result<(RunRecord, Tally), BenchError> {
    run_feed(spec, target, sink, || Sender::open(spec, target))
}

/// The same with another sender.
pub(super) fn run_feed<F: Feed>(
    spec: &LoadSpec,
    target: &Target,
    sink: &Sink,
    open: impl FnOnce() -> Result<F, BenchError> + Send,
) -> Result<(RunRecord, Tally), BenchError> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("load".to_owned())
            .spawn_scoped(scope, || run_here(spec, target, sink, open))
            .map_err(BenchError::system("start the load thread"))?;
        worker.join().unwrap_or_else(|_| {
            Err(BenchError::Process {
                who: "load thread",
                problem: "it panicked".to_owned(),
            })
        })
    })
}

/// Pins the calling thread.
pub(crate) fn pin(cpu: u32) -> Result<(), BenchError> {
    let fail = || BenchError::system(format!("run on CPU {cpu}"));
    let mut cpus = CpuSet::new();
    cpus.set(cpu as usize).map_err(fail())?;
    sched_setaffinity(Pid::from_raw(0), &cpus).map_err(fail())
}

/// Sleeps to an instant of CLOCK_MONOTONIC.
pub(crate) fn sleep_until(instant_ns: u64) {
    let instant = TimeSpec::from_duration(Duration::from_nanos(instant_ns));
    // Interrupted by a signal, the caller's loop looks at the clock and comes back.
    let _ = clock_nanosleep(
        ClockId::CLOCK_MONOTONIC,
        ClockNanosleepFlags::TIMER_ABSTIME,
        &instant,
    );
}

/// Datagrams of one train: what fits into one UDP packet.
pub(crate) const TRAIN_DATAGRAMS: usize = 48;

/// How often the sender wakes: the grid of its pacing.
const PACE_NS: u64 = 100_000;

/// A sender that was held up longer than this leaves out what it missed. Catching up at full speed would be a rate
/// that nobody asked for, and its losses would be laid at the gateway's door.
const CATCH_UP_NS: u64 = 2_000_000;

/// How long the sink waits for the last datagrams. A merge keeps the end of a stream, which nothing follows, for 100 ms
/// beyond its delay.
const TAIL_NS: u64 = 400_000_000;

/// What stood where at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    at_ns: u64,
    measured: Scheduled,
    load: Scheduled,
    received: u64,
    offered: u64,
}

fn run_here<F: Feed>(
    spec: &LoadSpec,
    target: &Target,
    sink: &Sink,
    open: impl FnOnce() -> Result<F, BenchError>,
) -> Result<(RunRecord, Tally), BenchError> {
    pin(target.load_cpu)?;
    // Without the privilege the run goes on at equal terms with whatever else runs on this core.
    let _ = scheduling::favour_this_thread();
    scheduling::exact_timers();
    let mut sender = open()?;
    let mut collector = sink.collect(sender.stream_id());
    let inputs = sender.inputs();
    let drops_before = (drops(&inputs), drops(&[sink.address()]));

    let warm_ns = spec.warm_ms * 1_000_000;
    let end_ns = warm_ns + spec.window_ms * 1_000_000;
    let start_ns = monotonic_ns();
    send_paced(spec, &mut sender, &mut collector, start_ns, warm_ns);
    let first = read(target, &collector, &sender)?;
    send_paced(spec, &mut sender, &mut collector, start_ns, end_ns);
    let last = read(target, &collector, &sender)?;
    let sent_ns = monotonic_ns() - start_ns;
    let offered = sender.offered();
    wait_for_tail(&mut collector, offered.sent);

    let drops_after = (drops(&inputs), drops(&[sink.address()]));
    let tally = collector.into_tally();
    let measured = last.measured.since(first.measured);
    let record = RunRecord {
        rate_wanted: spec.rate,
        rate_sent: offered.sent as f64 * 1e9 / sent_ns as f64,
        sent: offered.sent,
        not_offered: offered.not_offered,
        refused: offered.refused,
        received: tally.received,
        lost: offered.sent.saturating_sub(tally.received),
        dropped_at_input: if inputs.contains(&sink.address()) {
            0
        } else {
            drops_after.0.saturating_sub(drops_before.0)
        },
        dropped_at_sink: drops_after.1.saturating_sub(drops_before.1),
        out_of_order: tally.out_of_order,
        damaged: tally.damaged,
        cpu_ns: measured.run_ns,
        cpu_wait_ns: measured.wait_ns,
        load_wait_ns: last.load.since(first.load).wait_ns,
        window_ns: last.at_ns - first.at_ns,
        window_received: last.received - first.received,
        window_offered: last.offered - first.offered,
    };
    Ok((record, tally))
}

/// Sends what becomes due until `end_ns`, counted from `start_ns`.
fn send_paced(
    spec: &LoadSpec,
    sender: &mut impl Feed,
    collector: &mut Collector<'_>,
    start_ns: u64,
    end_ns: u64,
) {
    let due_after = |elapsed_ns: u64| {
        let due = u128::from(elapsed_ns) * u128::from(spec.rate) / 1_000_000_000;
        u64::try_from(due).unwrap_or(u64::MAX)
    };
    let catch_up_max = due_after(CATCH_UP_NS).max(2 * BATCH_DATAGRAMS as u64);
    loop {
        let elapsed_ns = monotonic_ns() - start_ns;
        if elapsed_ns >= end_ns {
            return;
        }
        let has_sent = sender.send(due_after(elapsed_ns), catch_up_max);
        let taken = collector.drain();
        if !has_sent && taken == 0 {
            sleep_until(start_ns + (elapsed_ns / PACE_NS + 1) * PACE_NS);
        }
    }
}

/// Datagrams that the sockets of these addresses could not keep so far.
fn drops(addresses: &[SocketAddrV4]) -> u64 {
    let of = |&address| proc::udp_drops(address).unwrap_or(0);
    addresses.iter().map(of).sum()
}

fn read(
    target: &Target,
    collector: &Collector<'_>,
    sender: &impl Feed,
) -> Result<Reading, BenchError> {
    Ok(Reading {
        at_ns: monotonic_ns(),
        measured: target
            .pid
            .map_or_else(|| Ok(Scheduled::default()), proc::scheduled)?,
        load: proc::scheduled_here()?,
        received: collector.tally().received,
        offered: sender.offered().in_all,
    })
}

fn wait_for_tail(collector: &mut Collector<'_>, sent: u64) {
    let mut quiet_since_ns = monotonic_ns();
    while collector.tally().received < sent && monotonic_ns() < quiet_since_ns + TAIL_NS {
        if collector.drain() > 0 {
            quiet_since_ns = monotonic_ns();
        } else {
            sleep_until(monotonic_ns() + PACE_NS);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn free_address() -> SocketAddrV4 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        match socket.local_addr().unwrap() {
            std::net::SocketAddr::V4(address) => address,
            std::net::SocketAddr::V6(_) => unreachable!("bound to IPv4"),
        }
    }

    #[test]
    fn what_is_sent_straight_to_the_sink_is_counted() {
        for (arrivals, packing) in [
            (Arrivals::Single, Packing::Rtp),
            (Arrivals::Single, Packing::RawTs),
            (Arrivals::Coalesced, Packing::Rtp),
        ] {
            let sink = Sink::open(free_address()).unwrap();
            let spec = LoadSpec {
                arrivals,
                packing,
                rate: 9_600,
                warm_ms: 20,
                window_ms: 100,
            };
            let target = Target {
                input: sink.address(),
                pid: Some(std::process::id()),
                load_cpu: 0,
            };
            let (record, tally) = run(&spec, &target, &sink).unwrap();
            assert!(record.is_lossless(), "{record:?}");
            assert_eq!(record.sent, record.received);
            // A machine that is busy may hold the sender up, but what it leaves out must be accounted for.
            let wanted = 9_600 * 120 / 1_000;
            let offered = record.sent + record.not_offered + record.refused;
            assert!(offered.abs_diff(wanted) <= 96, "{record:?}");
            assert_eq!(tally.latency.total(), record.received);
        }
    }
}
