//! The gateway between a paced sender and a counting sink, beside a bare kernel loop in the same run.
//!
//! # What is measured
//!
//! * **Cost**: CPU time for each datagram of the data plane (RTP in, one RTP out; all its threads, everything it does:
//!   accounting, publishing, control) and of the bare loop ([`forward_bare`] says what that is and why it is the
//!   floor). CPU time is what the scheduler says of each thread, in nanoseconds (`/proc/PID/task/*/schedstat`); on
//!   loopback it includes the kernel's work of handing the datagrams over to the receiving socket. The two take turns,
//!   several rounds at each rate; the ratio is the median of the rounds' ratios.
//! * **Highest lossless rate** of each, by a search of bounded steps. `limited_by` says what ended it: `loss`, the
//!   `load` (the sender could make no more, or the sink could take no more: the figure is a lower bound), or `steps`.
//! * **Latency** at 100,000 single datagrams a second, from the sender's CLOCK_REALTIME right before the system call
//!   that sends a batch (about ten datagrams every 0.1 ms) to the kernel's receive time at the sink's socket
//!   (`SO_TIMESTAMPNS`). The direct path, sender to sink with nothing between, shows what the sender's own call and the
//!   machine's noise contribute; *added latency* is a percentile of the gateway less the same percentile of the
//!   direct path. The bare loop stands beside them: waiting for the 0.5 ms tick is part of its figure too.
//! * **Idle**: CPU of a data plane with ten flows and no traffic.
//!
//! [`repair`], [`srt`] and [`crowd`] are documents of their own.
//!
//! # Cores
//!
//! What is measured has a CPU of its own (by default the last). Sender and sink share another (by default the first)
//! in one thread that takes turns; arrival times come from the kernel, so a sink that looks late measures the same.
//! On a host of two CPUs the sender is therefore often what limits the lossless rate, and the report says so. With one
//! CPU all share it: costs still hold, rates and latencies do not, and the report says so too.
//!
//! # Where datagrams are lost
//!
//! Every run tells how many the sender really sent, did not make in time (`not_offered`: a sender that was held up
//! for more than 2 ms leaves out what it missed) or had refused (`refused`), how many were lost, and how many messages
//! found the receive buffer of the gateway (`dropped_at_input`) or of the sink (`dropped_at_sink`) full. The kernel counts
//! a coalesced train of up to 48 datagrams as one message. What these do not account for was lost by the gateway itself. Every datagram is checked for its number, its RTP sequence number and its length.
//!
//! # Noise
//!
//! Beside every figure stands how long the measured process, and sender and sink, were ready to run while something
//! else had their CPU (the second number of `schedstat`). On a machine that is doing other work, latencies and lossless
//! rates say more about that work than about the gateway; the costs hold much better.
//!
//! All traffic stays on loopback, on addresses of this process's own, and ends with it.
//!
//! # `target/bench/throughput.json`
//!
//! ```json
//! {
//!   "schema": 1, "quick": false, "started_unix_us": 0, "run_s": 150.0,
//!   "machine": { "cpu_model": "...", "cpus": 2, "kernel": "..." },
//!   "gateway_cpu": 1, "load_cpu": 0, "datagram_bytes": 1328, "tick_us": 500,
//!   "cost": [ { "arrivals": "single", "rate": 100000, "floor_wake": "tick", "floor_us": 1.0, "gateway_us": 1.1,
//!               "ratio": 1.1, "ratio_low": 1.0, "ratio_high": 1.2, "datagrams_per_receive": 50.0,
//!               "datagrams_per_send": 25.0, "floor_runs": [RUN], "gateway_runs": [RUN] } ],
//!   "lossless": [ { "path": "gateway", "arrivals": "single", "rate": 400000.0, "gbps": 4.2,
//!                   "limited_by": "load", "runs": [RUN] } ],
//!   "latency": [ { "path": "direct", "rate": 100000, "datagrams": 500000, "p50_us": 0.0, "p99_us": 0.0,
//!                  "p999_us": 0.0, "max_us": 0.0, "lost": 0, "cpu_wait_percent": 0.0, "load_wait_percent": 0.0 } ],
//!   "added_latency": { "p50_us": 0.0, "p99_us": 0.0, "p999_us": 0.0 },
//!   "floor_added_latency": { "p50_us": 0.0, "p99_us": 0.0, "p999_us": 0.0 },
//!   "idle": { "flows": 10, "window_s": 5.0, "cpu_percent": 0.1 },
//!   "goals": [ { "name": "...", "unit": "...", "comparison": "at_most", "goal": 1.2, "measured": 1.1, "met": true } ]
//! }
//! ```
//!
//! `arrivals` is `single` or `coalesced` ([`Arrivals`]), `path` is `direct`, `floor` or `gateway`, and RUN is a
//! [`RunRecord`] with its fields by name. `gbps` counts the bytes of the datagrams, without IP and UDP headers. `met` is null when
//! something else ended the measurement before it could show: a sender that makes no more, or a machine on which the bare
//! loop misses the latency too.

pub mod crowd;
mod floor;
mod gateway;
mod histogram;
pub(crate) mod load;
mod plan;
pub(crate) mod proc;
pub mod repair;
pub(crate) mod report;
mod search;
mod session;
pub(crate) mod sink;
pub mod srt;
pub(crate) mod stream;

pub use floor::{Wake, forward_bare};
pub use load::{Arrivals, RunRecord};
pub use plan::Settings;
pub use report::{
    AddedLatency, Cost, Document, Facts, Goal, Idle, Latency, LimitedBy, Lossless, PathName, Report,
};

use dataplane::net::clock::{monotonic_ns, unix_us};

use crate::BenchError;
use crate::host::Machine;
use plan::Plan;
use session::Session;

/// Measures forwarding. Takes at most three minutes, with [`Settings::quick`] at most 20 s, and says on standard error
/// what it is at.
///
/// # Errors
///
/// [`BenchError`] when something cannot be started or opened. What is merely slow or lossy is a result, not an error.
pub fn run(settings: &Settings) -> Result<Report, BenchError> {
    let plan = Plan::of(settings.quick);
    let started_unix_us = unix_us();
    let start_ns = monotonic_ns();
    let session = Session::start(settings)?;
    let mut cost = Vec::new();
    for case in plan.costs {
        eprintln!("cost: {:?}, {} datagrams/s", case.arrivals, case.rate);
        cost.push(session.cost(case, &plan)?);
    }
    let mut lossless = Vec::new();
    for case in plan.searches {
        for path in [PathName::Floor, PathName::Gateway] {
            eprintln!("highest lossless rate: {:?}, {path}", case.arrivals);
            lossless.push(search::highest_lossless(&session, path, case, &plan)?);
        }
    }
    eprintln!("latency: {} datagrams/s", plan::LATENCY_RATE);
    let latency = session.latency(&plan)?;
    drop(session);
    eprintln!("idle: {} flows", plan::IDLE_FLOWS);
    let idle = session::idle(settings, &plan)?;
    Ok(Report::new(
        settings,
        Machine::read()?,
        started_unix_us,
        (monotonic_ns() - start_ns) as f64 / 1e9,
        cost,
        lossless,
        latency,
        idle,
    ))
}
