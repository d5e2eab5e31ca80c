//! One session: the sink, the data plane with its flow, and a bare loop whenever it is its turn.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use dataplane::net::clock::monotonic_ns;

use super::floor::{Floor, Wake};
use super::gateway::Gateway;
use super::histogram::Histogram;
use super::load::{self, Arrivals, LoadSpec, Packing, RunRecord, Target, sleep_until};
use super::plan::{CostCase, IDLE_FLOWS, LATENCY_RATE, Plan, Settings};
use super::proc;
use super::report::{Cost, Idle, Latency, PathName, median};
use super::sink::{Sink, Tally};
use crate::BenchError;

/// What all measurements with traffic share.
#[derive(Debug)]
pub(super) struct Session<'a> {
    settings: &'a Settings,
    sink: Sink,
    gateway: Gateway,
    gateway_input: SocketAddrV4,
    floor_input: SocketAddrV4,
}

impl<'a> Session<'a> {
    pub(super) fn start(settings: &'a Settings) -> Result<Self, BenchError> {
        let sink = Sink::open(free_address(1)?)?;
        let gateway = Gateway::start(&settings.dataplane, settings.gateway_cpu)?;
        let gateway_input = free_address(2)?;
        gateway.apply("bench", gateway_input, sink.address())?;
        Ok(Self {
            settings,
            sink,
            gateway,
            gateway_input,
            floor_input: free_address(3)?,
        })
    }

    /// One run over one path.
    pub(super) fn run(
        &self,
        path: PathName,
        wake: Wake,
        spec: &LoadSpec,
    ) -> Result<(RunRecord, Tally), BenchError> {
        // Ends when the run is over. The data plane stays: without traffic it waits, and costs the others nothing.
        let floor = match path {
            PathName::Floor => Some(Floor::start(
                self.settings.gateway_cpu,
                self.floor_input,
                self.sink.address(),
                wake,
            )?),
            PathName::Direct | PathName::Gateway => None,
        };
        let (input, pid) = match path {
            PathName::Direct => (self.sink.address(), None),
            PathName::Floor => (self.floor_input, floor.as_ref().map(Floor::pid)),
            PathName::Gateway => (self.gateway_input, Some(self.gateway.pid())),
        };
        let target = Target {
            input,
            pid,
            load_cpu: self.settings.load_cpu,
        };
        load::run(spec, &target, &self.sink)
    }

    /// Floor and gateway in turn.
    pub(super) fn cost(&self, case: &CostCase, plan: &Plan) -> Result<Cost, BenchError> {
        let spec = LoadSpec {
            arrivals: case.arrivals,
            packing: Packing::Rtp,
            rate: case.rate,
            warm_ms: plan.warm_ms,
            window_ms: plan.cost_window_ms,
        };
        let mut floor_runs = Vec::with_capacity(plan.rounds);
        let mut gateway_runs = Vec::with_capacity(plan.rounds);
        let calls_before = self.gateway_calls()?;
        for _ in 0..plan.rounds {
            floor_runs.push(self.run(PathName::Floor, case.floor_wake, &spec)?.0);
            gateway_runs.push(self.run(PathName::Gateway, case.floor_wake, &spec)?.0);
        }
        let calls = self.gateway_calls()?.since(calls_before);
        let us = |runs: &[RunRecord]| median(runs.iter().map(RunRecord::cpu_us_per_datagram));
        let ratios: Vec<f64> = floor_runs
            .iter()
            .zip(&gateway_runs)
            .map(|(floor, gateway)| gateway.cpu_us_per_datagram() / floor.cpu_us_per_datagram())
            .collect();
        Ok(Cost {
            arrivals: case.arrivals,
            rate: case.rate,
            floor_wake: case.floor_wake,
            floor_us: us(&floor_runs),
            gateway_us: us(&gateway_runs),
            ratio: median(ratios.iter().copied()),
            ratio_low: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratio_high: ratios.iter().copied().fold(0.0, f64::max),
            datagrams_per_receive: calls.received as f64 / calls.receive_calls.max(1) as f64,
            datagrams_per_send: calls.sent as f64 / calls.send_calls.max(1) as f64,
            floor_runs,
            gateway_runs,
        })
    }

    /// Direct path, floor and gateway in turn.
    pub(super) fn latency(&self, plan: &Plan) -> Result<Vec<Latency>, BenchError> {
        let spec = LoadSpec {
            arrivals: Arrivals::Single,
            packing: Packing::Rtp,
            rate: LATENCY_RATE,
            warm_ms: 0,
            window_ms: plan.latency_window_ms,
        };
        let paths = [PathName::Direct, PathName::Floor, PathName::Gateway];
        let mut all = paths.map(|path| (path, Histogram::new(), Vec::new()));
        for _ in 0..plan.latency_rounds {
            for (path, histogram, runs) in &mut all {
                let (record, tally) = self.run(*path, Wake::Tick, &spec)?;
                histogram.merge(&tally.latency);
                runs.push(record);
            }
        }
        let latency = |(path, histogram, runs): (PathName, Histogram, Vec<RunRecord>)| {
            let sum = |field: fn(&RunRecord) -> u64| runs.iter().map(field).sum::<u64>();
            let window_ns = sum(|run| run.window_ns).max(1) as f64;
            Latency {
                path,
                rate: LATENCY_RATE,
                datagrams: histogram.total(),
                p50_us: histogram.quantile_us(0.5),
                p99_us: histogram.quantile_us(0.99),
                p999_us: histogram.quantile_us(0.999),
                max_us: histogram.max_us(),
                lost: sum(|run| run.lost),
                cpu_wait_percent: 100.0 * sum(|run| run.cpu_wait_ns) as f64 / window_ns,
                load_wait_percent: 100.0 * sum(|run| run.load_wait_ns) as f64 / window_ns,
            }
        };
        Ok(all.into_iter().map(latency).collect())
    }

    fn gateway_calls(&self) -> Result<Calls, BenchError> {
        // The counters are published every 100 ms; a run's tail may be missing from one and appear in the next.
        let mut calls = Calls::default();
        for flow in self.gateway.flows()? {
            calls.received += flow.record.input_packets_received;
            calls.receive_calls += flow.record.input_receive_batches;
            for output in flow.outputs {
                calls.sent += output.record.packets_sent;
                calls.send_calls += output.record.send_batches;
            }
        }
        Ok(calls)
    }
}

/// CPU of a data plane with [`IDLE_FLOWS`] flows and no traffic.
pub(super) fn idle(settings: &Settings, plan: &Plan) -> Result<Idle, BenchError> {
    let gateway = Gateway::start(&settings.dataplane, settings.gateway_cpu)?;
    for index in 0..IDLE_FLOWS {
        gateway.apply(&format!("idle-{index}"), free_address(4)?, free_address(5)?)?;
    }
    sleep_until(monotonic_ns() + SETTLE_NS);
    let start_ns = monotonic_ns();
    let before = proc::scheduled(gateway.pid())?;
    sleep_until(start_ns + plan.idle_window_ms * 1_000_000);
    let used = proc::scheduled(gateway.pid())?.since(before);
    let window_ns = monotonic_ns() - start_ns;
    Ok(Idle {
        flows: IDLE_FLOWS,
        window_s: window_ns as f64 / 1e9,
        cpu_percent: 100.0 * used.run_ns as f64 / window_ns as f64,
    })
}

/// What the start of the flows leaves behind is not idle time.
const SETTLE_NS: u64 = 500_000_000;

/// The data plane's own account of its calls to the kernel.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    received: u64,
    receive_calls: u64,
    sent: u64,
    send_calls: u64,
}

impl Calls {
    const fn since(self, before: Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            receive_calls: self.receive_calls.saturating_sub(before.receive_calls),
            sent: self.sent.saturating_sub(before.sent),
            send_calls: self.send_calls.saturating_sub(before.send_calls),
        }
    }
}

/// A free port on a loopback address that only this process uses: two runs at once do not meet.
pub(super) fn free_address(host: u8) -> Result<SocketAddrV4, BenchError> {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // 127.64.0.0/10 and up, apart from what other tests take near 127.0.0.1.
    let ip = Ipv4Addr::new(127, 64 | (high & 0x3f), low, host);
    let fail = || BenchError::system(format!("find a free port on {ip}"));
    let address = UdpSocket::bind((ip, 0))
        .and_then(|socket| socket.local_addr())
        .map_err(fail())?;
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => unreachable!("bound to an IPv4 address"),
    }
}
