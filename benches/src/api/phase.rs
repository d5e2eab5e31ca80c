//! One kind of request, again and again, while the stream runs.

use std::fmt;
use std::thread::{self, ScopedJoinHandle};

use dataplane::net::clock::monotonic_ns;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;
use serde_json::Value;

use super::client::Client;
use super::flows::{self, Addresses, FLOWS};
use super::host::CpuTime;
use super::node::Node;
use super::plan::{STREAM_BPS, Settings, TAIL_MS, WARM_MS};
use crate::BenchError;
use crate::throughput::load::{self, LoadSpec, Packing, Target, sleep_until};
use crate::throughput::sink::Sink;
use crate::throughput::stream::DATAGRAM_BYTES;
use crate::throughput::{Arrivals, RunRecord, proc};

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    /// Nothing: what the stream does without anybody's requests.
    Nothing,
    /// The statistics of all flows.
    Stats,
    /// A scrape.
    Metrics,
    /// A flow that is created, started, stopped and deleted.
    Flows,
}

/// What one phase showed.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// `nothing`, `stats`, `metrics` or `flows`.
    pub(super) name: Operation,
    /// The requests, by kind.
    pub requests: Vec<RequestTimes>,
    /// CPU time of the control plane for each request, whatever else it did meanwhile included, in milliseconds.
    pub controlplane_cpu_ms: f64,
    /// Share of the time, in per cent, that threads of the control plane were ready but something else had their CPU.
    pub controlplane_wait_percent: f64,
    /// What the CPUs did for anybody but the node and this program, in per cent of one CPU.
    pub others_percent: f64,
    /// Whether the stream still ran when the last answer came.
    pub is_covered: bool,
    /// Time of the stream's datagrams from sender to sink, median, in microseconds.
    pub stream_p50_us: f64,
    /// 999 of 1,000 took at most this long.
    pub stream_p999_us: f64,
    /// The longest.
    pub stream_max_us: f64,
    /// What became of the stream.
    pub stream: RunRecord,
}

/// Answer times of one kind of request.
#[derive(Clone, Debug, Serialize)]
pub struct RequestTimes {
    /// Method and path.
    pub request: &'static str,
    /// How many were answered.
    pub count: usize,
    /// Median, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took at most this long.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Length of the last answer, in bytes.
    pub body_bytes: usize,
}

impl Operation {
    /// In the order in which they are measured.
    pub(super) const ALL: [Self; 4] = [Self::Nothing, Self::Stats, Self::Metrics, Self::Flows];
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Nothing => "nothing",
            Self::Stats => "stats",
            Self::Metrics => "metrics",
            Self::Flows => "flows",
        })
    }
}

/// Runs the stream and, in the middle of it, the requests.
pub(super) fn run(
    settings: &Settings,
    node: &Node,
    addresses: &Addresses,
    sink: &Sink,
    operation: Operation,
) -> Result<Phase, BenchError> {
    let window_ms = settings.window_ms();
    let spec = LoadSpec {
        arrivals: Arrivals::Single,
        packing: Packing::Rtp,
        rate: STREAM_BPS.div_ceil(8 * DATAGRAM_BYTES as u64),
        warm_ms: WARM_MS,
        window_ms: window_ms + TAIL_MS,
    };
    let target = Target {
        input: addresses.stream(),
        pid: Some(node.dataplane_pid()),
        load_cpu: settings.load_cpu,
    };
    let start_ns = monotonic_ns();
    let first_ns = start_ns + WARM_MS * 1_000_000;
    let last_ns = first_ns + window_ms * 1_000_000;
    let end_ns = last_ns + TAIL_MS * 1_000_000;
    let (streamed, asked) = thread::scope(|scope| {
        let client = thread::Builder::new()
            .name("client".to_owned())
            .spawn_scoped(scope, || {
                run_on(&settings.client_cpus)?;
                ask(node, addresses, operation, first_ns, last_ns)
            })
            .map_err(BenchError::system("start the client thread"))?;
        let streamed = load::run(&spec, &target, sink);
        Ok::<_, BenchError>((streamed, joined(client)))
    })?;
    let (asked, (stream, tally)) = (asked?, streamed?);
    let requests: usize = asked.requests.iter().map(|times| times.count).sum();
    let window_ns = asked.window_ns.max(1);
    Ok(Phase {
        name: operation,
        controlplane_cpu_ms: asked.controlplane.run_ns as f64 / 1e6 / requests.max(1) as f64,
        controlplane_wait_percent: 100.0 * asked.controlplane.wait_ns as f64 / window_ns as f64,
        others_percent: asked.others_percent,
        is_covered: asked.answered_ns <= end_ns,
        requests: asked.requests,
        stream_p50_us: tally.latency.quantile_us(0.5),
        stream_p999_us: tally.latency.quantile_us(0.999),
        stream_max_us: tally.latency.max_us(),
        stream,
    })
}

/// What the client saw.
struct Asked {
    requests: Vec<RequestTimes>,
    answered_ns: u64,
    window_ns: u64,
    controlplane: proc::Scheduled,
    others_percent: f64,
}

/// Asks from `first_ns` to `last_ns`. The times of the processes are read in here, while the sender's thread lives: a
/// thread that has ended takes its time with it.
fn ask(
    node: &Node,
    addresses: &Addresses,
    operation: Operation,
    first_ns: u64,
    last_ns: u64,
) -> Result<Asked, BenchError> {
    let mut client = Client::connect(node.api())?;
    check(&mut client, operation)?;
    let pids = [node.dataplane_pid(), node.controlplane_pid()];
    sleep_until(first_ns);
    let cpu_before = CpuTime::read(&pids)?;
    let before = proc::scheduled(node.controlplane_pid())?;
    let begin_ns = monotonic_ns();
    let requests = match operation {
        Operation::Nothing => {
            sleep_until(last_ns);
            Vec::new()
        }
        Operation::Stats => vec![get_again(&mut client, STATS, last_ns)?],
        Operation::Metrics => vec![get_again(&mut client, METRICS, last_ns)?],
        Operation::Flows => come_and_go(&mut client, addresses, last_ns)?,
    };
    let answered_ns = monotonic_ns();
    let window_ns = answered_ns - begin_ns;
    let controlplane = proc::scheduled(node.controlplane_pid())?.since(before);
    let cpu = CpuTime::read(&pids)?;
    Ok(Asked {
        requests,
        answered_ns,
        window_ns,
        controlplane,
        others_percent: cpu.others_percent_since(cpu_before),
    })
}

/// An error when the answers are not what their times would be about.
fn check(client: &mut Client, operation: Operation) -> Result<(), BenchError> {
    let problem = match operation {
        Operation::Nothing | Operation::Flows => None,
        Operation::Stats => {
            let answer: Value =
                serde_json::from_slice(client.ask("GET", STATS, "")?).unwrap_or_default();
            let flows = answer["data"]["flows"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            let live = flows.iter().filter(|flow| flow["uptime_secs"] != 0).count();
            (live != FLOWS).then(|| format!("{live} of {FLOWS} flows have counters"))
        }
        Operation::Metrics => {
            let text = String::from_utf8_lossy(client.ask("GET", METRICS, "")?);
            let last = format!("\"idle-{}\"", flows::FLOWS_IDLE - 1);
            (!text.contains(&last)).then(|| format!("no metrics of flow {last}"))
        }
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(BenchError::Answer {
            request: format!("check of {operation}"),
            problem,
        }),
    }
}

fn get_again(
    client: &mut Client,
    path: &'static str,
    last_ns: u64,
) -> Result<RequestTimes, BenchError> {
    let mut times = Times::default();
    while monotonic_ns() < last_ns {
        times.take(client, "GET", path, "")?;
    }
    Ok(times.summary(if path == STATS {
        "GET /api/v1/stats"
    } else {
        "GET /metrics"
    }))
}

fn come_and_go(
    client: &mut Client,
    addresses: &Addresses,
    last_ns: u64,
) -> Result<Vec<RequestTimes>, BenchError> {
    let (mut created, mut deleted) = (Times::default(), Times::default());
    let mut number = 0;
    while monotonic_ns() < last_ns {
        let id = format!("visitor-{number}");
        let flow = flows::visitor(addresses, &id).to_string();
        created.take(client, "POST", FLOWS_PATH, &flow)?;
        deleted.take(client, "DELETE", &format!("{FLOWS_PATH}/{id}"), "")?;
        number += 1;
    }
    Ok(vec![
        created.summary("POST /api/v1/flows"),
        deleted.summary("DELETE /api/v1/flows/ID"),
    ])
}

const STATS: &str = "/api/v1/stats";
const METRICS: &str = "/metrics";
const FLOWS_PATH: &str = "/api/v1/flows";

#[derive(Debug, Default)]
struct Times {
    ns: Vec<u64>,
    body_bytes: usize,
}

impl Times {
    fn take(
        &mut self,
        client: &mut Client,
        method: &str,
        path: &str,
        json: &str,
    ) -> Result<(), BenchError> {
        let asked_ns = monotonic_ns();
        self.body_bytes = client.ask(method, path, json)?.len();
        self.ns.push(monotonic_ns() - asked_ns);
        Ok(())
    }

    fn summary(mut self, request: &'static str) -> RequestTimes {
        self.ns.sort_unstable();
        let ms = |share: f64| {
            let rank = (self.ns.len() as f64 * share).ceil() as usize;
            let time_ns = self.ns.get(rank.saturating_sub(1));
            time_ns.map_or(0.0, |ns| *ns as f64 / 1e6)
        };
        RequestTimes {
            request,
            count: self.ns.len(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            max_ms: ms(1.0),
            body_bytes: self.body_bytes,
        }
    }
}

/// Keeps the calling thread on these CPUs.
fn run_on(cpus: &[u32]) -> Result<(), BenchError> {
    let fail = || BenchError::system(format!("run on CPUs {cpus:?}"));
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu as usize).map_err(fail())?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).map_err(fail())
}

fn joined(client: ScopedJoinHandle<'_, Result<Asked, BenchError>>) -> Result<Asked, BenchError> {
    client.join().unwrap_or_else(|_| {
        Err(BenchError::Process {
            who: "client thread",
            problem: "it panicked".to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = Times {
            ns: (1..=200).rev().map(|ms| ms * 1_000_000).collect(),
            body_bytes: 7,
        };
        let summary = times.summary("GET /");
        assert_eq!(
            (summary.p50_ms, summary.p99_ms, summary.max_ms),
            (100.0, 198.0, 200.0)
        );
        assert_eq!((summary.count, summary.body_bytes), (200, 7));
        assert_eq!(Times::default().summary("GET /").p99_ms, 0.0);
    }
}
