//! What repair costs: two legs with FEC, merged, beside the bare kernel loop at the same rate of datagrams.
//!
//! # What is measured
//!
//! The flow merges two legs (SMPTE ST 2022-7), decodes FEC of 10 columns and 10 rows on each before that (SMPTE
//! ST 2022-1), analyses what comes out and sends it as RTP. Both legs arrive whole, which is the ordinary day: whatever
//! repair costs then is paid all the time. Each 100 media datagrams come as 240: twice the media, twice 20 of FEC.
//!
//! The figure is CPU time for each datagram that *arrives*, of media and of FEC, against that of the bare loop
//! ([`forward_bare`](super::forward_bare)) with the same number of datagrams a second. The bare loop sends all of them
//! on, the gateway 100 of 240: both do what their task asks. They take turns, and the ratio is the median of the
//! rounds' ratios. Nothing may be lost: what was sent on the legs must come out once, in order and unchanged.
//!
//! # `target/bench/repair.json`
//!
//! ```json
//! {
//!   "schema": 1, "quick": false, "started_unix_us": 0, "machine": { "cpu_model": "...", "cpus": 2, "kernel": "..." },
//!   "gateway_cpu": 1, "load_cpu": 0, "columns": 10, "rows": 10, "path_differential_ms": 50,
//!   "cost": [ { "rate": 20000, "floor_us": 1.0, "gateway_us": 1.5, "ratio": 1.5, "ratio_low": 1.4, "ratio_high": 1.6,
//!               "lost": 0, "floor_runs": [RUN], "gateway_runs": [RUN] } ],
//!   "goals": [ { "name": "...", "unit": "...", "comparison": "at_most", "goal": 2.0, "measured": 1.5, "met": true } ]
//! }
//! ```
//!
//! RUN is a [`RunRecord`]; for the gateway its `sent` and `received` count the stream, `window_offered` all datagrams
//! of both legs. `met` of a loss is null when the bare loop lost datagrams too, the sink's buffer was full, or other work
//! kept the gateway from its CPU for more than a tenth of the window.

mod feed;

use std::fmt;
use std::net::{SocketAddrV4, UdpSocket};

use bilbycast_shm_proto::model::{
    COLUMN_FEC_PORT_OFFSET, FecSpec, FlowSpec, IngressFilterSpec, InputSpec, OutputKind,
    OutputSpec, ROW_FEC_PORT_OFFSET, RtpInputRedundancySpec, RtpInputSpec, RtpOutputSpec,
};
use serde::Serialize;

use super::floor::{Floor, Wake};
use super::gateway::{Gateway, receive_spec, send_spec};
use super::load::{self, Arrivals, LoadSpec, Packing, RunRecord, Target};
use super::plan::Settings;
use super::report::table::{write_goals, write_losses};
use super::report::{Document, Facts, Goal, median};
use super::session::free_address;
use super::sink::Sink;
use crate::BenchError;
use feed::LegsFeed;

/// Everything that one call of [`run`] measured.
#[derive(Clone, Debug, Serialize)]
pub struct RepairReport {
    /// Where and when.
    #[serde(flatten)]
    pub facts: Facts,
    /// L of the matrix.
    pub columns: u8,
    /// D of the matrix.
    pub rows: u8,
    /// How much later one leg may be, in milliseconds.
    pub path_differential_ms: u32,
    /// CPU for each datagram.
    pub cost: Vec<RepairCost>,
    /// What was to be reached.
    pub goals: Vec<Goal>,
}

/// CPU time for each datagram received at one rate: medians of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct RepairCost {
    /// Datagrams a second of both legs, FEC included.
    pub rate: u64,
    /// CPU time of the bare loop, in microseconds.
    pub floor_us: f64,
    /// CPU time of the data plane, in microseconds.
    pub gateway_us: f64,
    /// Data plane to bare loop: median of the rounds' ratios.
    pub ratio: f64,
    /// Lowest ratio of a round.
    pub ratio_low: f64,
    /// Highest ratio of a round.
    pub ratio_high: f64,
    /// Datagrams of the stream that did not come out, of all rounds.
    pub lost: u64,
    /// The rounds of the bare loop.
    pub floor_runs: Vec<RunRecord>,
    /// The rounds of the data plane.
    pub gateway_runs: Vec<RunRecord>,
}

/// Measures what repair costs, in at most 30 s, with [`Settings::quick`] 10 s.
///
/// # Errors
///
/// [`BenchError`] when something cannot be started or opened, or when FEC does not reach the flow.
pub fn run(settings: &Settings) -> Result<RepairReport, BenchError> {
    let facts = Facts::now(settings)?;
    let bench = Bench::start(settings)?;
    let (rounds, window_ms) = if settings.quick { (3, 500) } else { (5, 1_000) };
    let mut cost = Vec::with_capacity(RATES.len());
    for rate in RATES {
        eprintln!("repair: {rate} datagrams/s on two legs with FEC");
        cost.push(bench.cost(rate, rounds, window_ms)?);
    }
    Ok(RepairReport {
        facts,
        columns: SIDE,
        rows: SIDE,
        path_differential_ms: PATH_DIFFERENTIAL_MS,
        goals: cost.iter().flat_map(goals).collect(),
        cost,
    })
}

/// Datagrams a second of both legs.
const RATES: [u64; 2] = [20_000, 50_000];

/// Columns and rows of the matrix.
const SIDE: u8 = 10;

/// The default of the configuration.
const PATH_DIFFERENTIAL_MS: u32 = 50;

/// What may be spent for each datagram, as a multiple of the bare loop.
const RATIO_GOAL: f64 = 2.0;

/// Before the measured part: longer than merge and matrix take to fill.
const WARM_MS: u64 = 400;

/// Datagrams of both legs for each `MEDIA` of the stream.
const IN_ALL: u64 = 2 * (MEDIA + 2 * SIDE as u64);
const MEDIA: u64 = SIDE as u64 * SIDE as u64;

struct Bench<'a> {
    settings: &'a Settings,
    sink: Sink,
    gateway: Gateway,
    legs: [SocketAddrV4; 2],
    floor_input: SocketAddrV4,
}

impl<'a> Bench<'a> {
    fn start(settings: &'a Settings) -> Result<Self, BenchError> {
        let sink = Sink::open(free_address(1)?)?;
        let gateway = Gateway::start(&settings.dataplane, settings.gateway_cpu)?;
        let legs = [free_leg(6)?, free_leg(7)?];
        gateway.apply_flow(flow(legs, sink.address()))?;
        Ok(Self {
            settings,
            sink,
            gateway,
            legs,
            floor_input: free_address(3)?,
        })
    }

    /// Bare loop and gateway in turn.
    fn cost(&self, rate: u64, rounds: usize, window_ms: u64) -> Result<RepairCost, BenchError> {
        let spec = |rate| LoadSpec {
            arrivals: Arrivals::Single,
            packing: Packing::Rtp,
            rate,
            warm_ms: WARM_MS,
            window_ms,
        };
        let mut floor_runs = Vec::with_capacity(rounds);
        let mut gateway_runs = Vec::with_capacity(rounds);
        let fec_before = self.fec_received()?;
        for _ in 0..rounds {
            floor_runs.push(self.run_floor(&spec(rate))?);
            gateway_runs.push(self.run_gateway(&spec(rate * MEDIA / IN_ALL))?);
        }
        let fec = self.fec_received()? - fec_before;
        let sent: u64 = gateway_runs.iter().map(|run| run.sent).sum();
        check_fec(fec, sent)?;
        let floor_us: Vec<f64> = floor_runs
            .iter()
            .map(RunRecord::cpu_us_per_datagram)
            .collect();
        let gateway_us: Vec<f64> = gateway_runs
            .iter()
            .map(RunRecord::cpu_us_per_offered)
            .collect();
        let ratios: Vec<f64> = floor_us
            .iter()
            .zip(&gateway_us)
            .map(|(floor, gateway)| gateway / floor)
            .collect();
        Ok(RepairCost {
            rate,
            floor_us: median(floor_us.iter().copied()),
            gateway_us: median(gateway_us.iter().copied()),
            ratio: median(ratios.iter().copied()),
            ratio_low: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratio_high: ratios.iter().copied().fold(0.0, f64::max),
            lost: gateway_runs.iter().map(|run| run.lost).sum(),
            floor_runs,
            gateway_runs,
        })
    }

    fn run_floor(&self, spec: &LoadSpec) -> Result<RunRecord, BenchError> {
        let (cpu, sink) = (self.settings.gateway_cpu, self.sink.address());
        let floor = Floor::start(cpu, self.floor_input, sink, Wake::Tick)?;
        let target = self.target(self.floor_input, floor.pid());
        Ok(load::run(spec, &target, &self.sink)?.0)
    }

    fn run_gateway(&self, spec: &LoadSpec) -> Result<RunRecord, BenchError> {
        let target = self.target(self.legs[0], self.gateway.pid());
        let open = || LegsFeed::open(self.legs, SIDE, spec.rate);
        Ok(load::run_feed(spec, &target, &self.sink, open)?.0)
    }

    const fn target(&self, input: SocketAddrV4, pid: u32) -> Target {
        Target {
            input,
            pid: Some(pid),
            load_cpu: self.settings.load_cpu,
        }
    }

    /// FEC packets that the flow took on both legs so far, by its own account of every 100 ms.
    fn fec_received(&self) -> Result<u64, BenchError> {
        let flows = self.gateway.flows()?;
        Ok(flows
            .iter()
            .map(|flow| flow.record.input_fec_packets_received)
            .sum())
    }
}

/// A cost without the FEC would not be the cost of repair. The first and the last of each run may be missing.
fn check_fec(received: u64, sent: u64) -> Result<(), BenchError> {
    let expected = sent * (IN_ALL - 2 * MEDIA) / MEDIA;
    if received * 10 >= expected * 8 {
        return Ok(());
    }
    Err(BenchError::Process {
        who: "data plane",
        problem: format!("it took {received} FEC packets of about {expected}"),
    })
}

fn flow(legs: [SocketAddrV4; 2], output: SocketAddrV4) -> FlowSpec {
    let input = RtpInputSpec {
        receive: Some(receive_spec(legs[0])),
        redundancy: Some(RtpInputRedundancySpec {
            receive: Some(receive_spec(legs[1])),
            path_differential_ms: PATH_DIFFERENTIAL_MS,
        }),
        fec: Some(FecSpec {
            columns: SIDE,
            rows: SIDE,
            row_fec: true,
            staircase: false,
        }),
        filter: IngressFilterSpec::default(),
        tr07_mode: false,
    };
    FlowSpec {
        id: "repair".to_owned(),
        media_analysis: true,
        bandwidth_limit: None,
        input: InputSpec::Rtp(input),
        outputs: vec![OutputSpec {
            id: "output".to_owned(),
            kind: OutputKind::Rtp(RtpOutputSpec::plain(send_spec(output))),
        }],
    }
}

/// Port of the media, of the columns and of the rows of a leg.
fn ports(leg: SocketAddrV4) -> [SocketAddrV4; 3] {
    [0, COLUMN_FEC_PORT_OFFSET, ROW_FEC_PORT_OFFSET]
        .map(|offset| SocketAddrV4::new(*leg.ip(), leg.port().saturating_add(offset)))
}

/// A free address whose FEC ports are free as well.
fn free_leg(host: u8) -> Result<SocketAddrV4, BenchError> {
    for _ in 0..TRIES_MAX {
        let leg = free_address(host)?;
        let free = ports(leg).iter().all(|port| UdpSocket::bind(port).is_ok());
        if free && leg.port() <= u16::MAX - ROW_FEC_PORT_OFFSET {
            return Ok(leg);
        }
    }
    Err(BenchError::Process {
        who: "load",
        problem: "no three free ports for a leg with FEC".to_owned(),
    })
}

/// Ports that are tried for a leg; on addresses of this process's own the first is free.
const TRIES_MAX: usize = 20;

/// A loss while other work kept the gateway from its CPU for more than one part in so many of the window shows nothing.
const HELD_UP_PART: u64 = 10;

fn goals(cost: &RepairCost) -> [Goal; 2] {
    let case = format!("FEC and two legs, {}/s", cost.rate);
    let ratio = Goal::at_most(
        format!("CPU against the bare loop, {case}"),
        "times",
        RATIO_GOAL,
        cost.ratio,
    );
    let mut lost = Goal::at_most(format!("lost, {case}"), "datagrams", 0.0, cost.lost as f64);
    // Where the bare loop loses too, the sink had no room or the gateway had no CPU, the gateway is not to blame.
    let floor_lost = cost.floor_runs.iter().any(|run| run.lost > 0);
    let is_excused =
        |run: &RunRecord| run.lost_only_at_sink() || run.cpu_wait_ns * HELD_UP_PART > run.window_ns;
    let mut lossy = cost.gateway_runs.iter().filter(|run| run.lost > 0);
    if cost.lost > 0 && (floor_lost || lossy.all(is_excused)) {
        lost.met = None;
    }
    [ratio, lost]
}

impl Document for RepairReport {
    fn goals(&self) -> &[Goal] {
        &self.goals
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.facts)?;
        writeln!(
            f,
            "\nTwo legs, FEC {} x {}: CPU us per datagram received\n    rate/s    floor  gateway   ratio (lowest-highest)     lost",
            self.columns, self.rows
        )?;
        for cost in &self.cost {
            writeln!(
                f,
                "  {:>8} {:>8.3} {:>8.3}   {:.3} ({:.3}-{:.3}) {:>16}",
                cost.rate,
                cost.floor_us,
                cost.gateway_us,
                cost.ratio,
                cost.ratio_low,
                cost.ratio_high,
                cost.lost
            )?;
            write_losses(f, "floor", &cost.floor_runs)?;
            write_losses(f, "gateway", &cost.gateway_runs)?;
        }
        write_goals(f, &self.goals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fec_that_does_not_arrive_is_an_error() {
        assert!(check_fec(400, 1_000).is_ok());
        assert!(check_fec(200, 1_000).is_err());
    }

    #[test]
    fn a_leg_has_three_free_ports() {
        let leg = free_leg(8).unwrap();
        let bound: Vec<UdpSocket> = ports(leg)
            .iter()
            .map(|port| UdpSocket::bind(port).unwrap())
            .collect();
        assert_eq!(bound[2].local_addr().unwrap().port(), leg.port() + 4);
    }
}
