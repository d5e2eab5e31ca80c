//! The whole node with a thousand flows: its REST API timed while a stream runs through it.
//!
//! # What is measured
//!
//! Both release binaries run in a folder of their own, with 1,000 flows of two outputs that nobody sends anything to,
//! and one more flow that carries RTP at 100 Mb/s to a counting sink.
//!
//! * **Start**: from the start of the control plane, whose data plane runs already and has nothing to do, until every
//!   flow runs.
//! * **Memory**: what is resident of both processes with all flows idle, less what was resident without flows.
//! * **Requests**: one client, one HTTP/1.1 connection, one request after another without a pause, timed from the
//!   first byte written to the last byte read: `GET /api/v1/stats`, `GET /metrics`, and `POST /api/v1/flows` of an
//!   enabled flow with the DELETE of the same flow.
//! * **The stream**: a phase without requests and a phase for each kind of request have a run of the stream of their
//!   own, so that a loss is laid at the right door. Every datagram is checked for its number, its RTP sequence number
//!   and its length ([`RunRecord`]).
//!
//! # Cores
//!
//! The data plane has the last CPU, sender and sink have the first, and the control plane and the client have all but
//! the last. On a host of two CPUs the sender, which outranks the control plane, and the client are therefore in the
//! way of the requests that they measure: the figures are those of a busy host. The control plane's own CPU time for
//! each request stands beside them.
//!
//! # Noise
//!
//! What the CPUs did for anybody but the node and this program is in `others_percent`. A goal that is missed while
//! that is above 10 % of a CPU is open, not missed, unless the control plane's own CPU time for each request misses it
//! already. A lost datagram misses the goal, in the phase without requests too, unless the sink's own full buffer
//! accounts for it: the data plane outranks what else runs on its CPU, so a busy machine is no excuse.
//!
//! All traffic stays on loopback, on addresses of this process's own, and ends with it.
//!
//! # `target/bench/api.json`
//!
//! ```json
//! {
//!   "schema": 1, "quick": false, "started_unix_us": 0, "run_s": 50.0,
//!   "machine": { "cpu_model": "...", "cpus": 2, "kernel": "..." },
//!   "gateway_cpu": 1, "load_cpu": 0, "flows": 1001, "outputs_per_flow": 2,
//!   "start": { "listening_s": 0.1, "running_s": 0.5, "others_percent": 0.0 },
//!   "memory": { "dataplane": PROCESS, "controlplane": PROCESS },
//!   "phases": [ { "name": "stats", "requests": [ { "request": "GET /api/v1/stats", "count": 300, "p50_ms": 20.0,
//!                 "p99_ms": 30.0, "max_ms": 35.0, "body_bytes": 3000000 } ], "controlplane_cpu_ms": 18.0,
//!                 "controlplane_wait_percent": 10.0, "others_percent": 1.0, "is_covered": true, "stream_p50_us": 250.0,
//!                 "stream_p999_us": 900.0, "stream_max_us": 1500.0, "stream": RUN } ],
//!   "goals": [ { "name": "...", "unit": "...", "comparison": "at_most", "goal": 50.0, "measured": 30.0, "met": true } ]
//! }
//! ```
//!
//! RUN is a [`RunRecord`] and PROCESS a [`ProcessMemory`] with their fields by name.
//!
//! [`RunRecord`]: crate::throughput::RunRecord

mod client;
mod flows;
mod host;
mod node;
mod phase;
mod plan;
mod report;
mod table;

pub use node::{ProcessMemory, Resident};
pub use phase::{Phase, RequestTimes};
pub use plan::Settings;
pub use report::{Memory, Report, Start};

use dataplane::net::clock::{monotonic_ns, unix_us};

use crate::BenchError;
use crate::host::Machine;
use crate::throughput::sink::Sink;
use flows::Addresses;
use node::Node;
use phase::Operation;

/// Measures everything. Takes about 50 s, with [`Settings::quick`] about 20 s, never more than 90 s, and says on standard
/// error what it is at.
///
/// # Errors
///
/// [`BenchError`] when something cannot be started, or the API refuses something. What is merely slow or lossy is a
/// result, not an error.
pub fn run(settings: &Settings) -> Result<Report, BenchError> {
    let started_unix_us = unix_us();
    let start_ns = monotonic_ns();
    let addresses = Addresses::of_this_process();
    let sink = Sink::open(addresses.sink())?;

    eprintln!("start: {} flows", flows::FLOWS);
    let (node, start, memory) = Node::start(settings, &addresses)?;
    let mut phases = Vec::new();
    for operation in Operation::ALL {
        eprintln!("requests: {operation}");
        phases.push(phase::run(settings, &node, &addresses, &sink, operation)?);
    }
    let memory = Memory {
        dataplane: memory.dataplane.after(node.dataplane_resident()?),
        controlplane: memory.controlplane.after(node.controlplane_resident()?),
    };
    drop(node);
    Ok(Report::new(
        settings,
        Machine::read()?,
        started_unix_us,
        (monotonic_ns() - start_ns) as f64 / 1e9,
        start,
        memory,
        phases,
    ))
}
