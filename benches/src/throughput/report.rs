//! What was measured, for people and for programs.

pub(crate) mod table;

use std::fmt;
use std::path::Path;

use dataplane::net::clock::unix_us;
use serde::Serialize;

use super::floor::{TICK_NS, Wake};
use super::load::{Arrivals, RunRecord};
use super::plan::{LATENCY_RATE, Settings};
use super::stream::DATAGRAM_BYTES;
use crate::BenchError;
use crate::host::Machine;
use crate::micro::write_json;

/// Everything that one call of [`run`](super::run) measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this document.
    pub schema: u32,
    /// Fewer rates and rounds than usual.
    pub quick: bool,
    /// Unix time of the start, in microseconds.
    pub started_unix_us: u64,
    /// How long it took, in seconds.
    pub run_s: f64,
    /// What it was measured on.
    pub machine: Machine,
    /// CPU of what is measured.
    pub gateway_cpu: u32,
    /// CPU of sender and sink.
    pub load_cpu: u32,
    /// Bytes of a datagram.
    pub datagram_bytes: usize,
    /// Period of the bare loop's tick, in microseconds.
    pub tick_us: u64,
    /// CPU for each datagram.
    pub cost: Vec<Cost>,
    /// Highest lossless rates.
    pub lossless: Vec<Lossless>,
    /// Times from sender to sink.
    pub latency: Vec<Latency>,
    /// What the gateway adds to them.
    pub added_latency: AddedLatency,
    /// What the bare loop adds to them.
    pub floor_added_latency: AddedLatency,
    /// CPU without traffic.
    pub idle: Idle,
    /// What was to be reached.
    pub goals: Vec<Goal>,
}

/// A way from sender to sink.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PathName {
    /// Nothing between them.
    Direct,
    /// The bare loop.
    Floor,
    /// The data plane.
    Gateway,
}

impl fmt::Display for PathName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Direct => "direct",
            Self::Floor => "floor",
            Self::Gateway => "gateway",
        })
    }
}

/// CPU time for each datagram at one rate: medians of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// How the datagrams came.
    pub arrivals: Arrivals,
    /// Datagrams a second.
    pub rate: u64,
    /// How the bare loop waited.
    pub floor_wake: Wake,
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
    /// Datagrams that a receive call of the data plane brought, by its own account.
    pub datagrams_per_receive: f64,
    /// Datagrams that a send call of the data plane took, by its own account.
    pub datagrams_per_send: f64,
    /// The rounds of the bare loop.
    pub floor_runs: Vec<RunRecord>,
    /// The rounds of the data plane.
    pub gateway_runs: Vec<RunRecord>,
}

/// The highest rate at which nothing was lost.
#[derive(Clone, Debug, Serialize)]
pub struct Lossless {
    /// Over which way.
    pub path: PathName,
    /// How the datagrams came.
    pub arrivals: Arrivals,
    /// Datagrams a second that were really sent; 0 when every step lost something.
    pub rate: f64,
    /// The same in Gb/s of datagram bytes.
    pub gbps: f64,
    /// What ended the search.
    pub limited_by: LimitedBy,
    /// The steps in order.
    pub runs: Vec<RunRecord>,
}

/// What ended a search.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitedBy {
    /// The sender could make no more, or the sink could take no more: the gateway carried it all.
    Load,
    /// A higher rate lost something.
    Loss,
    /// The number of steps.
    Steps,
}

impl fmt::Display for LimitedBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Load => "sender or sink (lower bound)",
            Self::Loss => "loss above",
            Self::Steps => "the number of steps (lower bound)",
        })
    }
}

/// Times from the sender's call to the sink's socket.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Over which way.
    pub path: PathName,
    /// Datagrams a second.
    pub rate: u64,
    /// How many were timed.
    pub datagrams: u64,
    /// Median, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 took at most this long.
    pub p99_us: f64,
    /// 999 of 1,000 took at most this long.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
    /// Datagrams that never came.
    pub lost: u64,
    /// Share of the time, in per cent, that the measured process was ready but something else had its CPU.
    pub cpu_wait_percent: f64,
    /// The same for sender and sink.
    pub load_wait_percent: f64,
}

/// Percentiles of a path less those of the direct path.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct AddedLatency {
    /// Of the median, in microseconds.
    pub p50_us: f64,
    /// Of the 99th percentile.
    pub p99_us: f64,
    /// Of the 99.9th percentile.
    pub p999_us: f64,
}

/// CPU without traffic.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// Running flows.
    pub flows: usize,
    /// How long it was watched, in seconds.
    pub window_s: f64,
    /// Share of one CPU, all threads together.
    pub cpu_percent: f64,
}

/// A figure to reach.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// Which figure.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// `at_most` or `at_least`.
    pub comparison: &'static str,
    /// What was to be reached.
    pub goal: f64,
    /// What was measured.
    pub measured: f64,
    /// Whether it was reached; absent when something else ended the measurement before it could show, such as a
    /// sender that makes no more.
    pub met: Option<bool>,
}

impl Goal {
    pub(super) fn at_most(name: String, unit: &'static str, goal: f64, measured: f64) -> Self {
        Self {
            name,
            unit,
            comparison: AT_MOST,
            goal,
            measured,
            met: Some(measured <= goal),
        }
    }
}

/// A document with figures and what they were to reach.
pub trait Document: Serialize + fmt::Display + Sized {
    /// What was to be reached.
    fn goals(&self) -> &[Goal];

    /// True when no goal was missed.
    fn goals_are_met(&self) -> bool {
        self.goals().iter().all(|goal| goal.met != Some(false))
    }

    /// Writes the JSON document, and makes its folder.
    ///
    /// # Errors
    ///
    /// [`BenchError::System`] with the path.
    fn write(&self, path: &Path) -> Result<(), BenchError> {
        write_json(path, self)
    }
}

/// Where and when a document was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// Version of the document.
    pub schema: u32,
    /// Fewer rates and rounds than usual.
    pub quick: bool,
    /// Unix time of the start, in microseconds.
    pub started_unix_us: u64,
    /// What it was measured on.
    pub machine: Machine,
    /// CPU of what is measured.
    pub gateway_cpu: u32,
    /// CPU of everything else.
    pub load_cpu: u32,
}

impl Facts {
    pub(super) fn now(settings: &Settings) -> Result<Self, BenchError> {
        Ok(Self {
            schema: 1,
            quick: settings.quick,
            started_unix_us: unix_us(),
            machine: Machine::read()?,
            gateway_cpu: settings.gateway_cpu,
            load_cpu: settings.load_cpu,
        })
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        write!(
            f,
            "{}, {} CPUs, Linux {}; measured on CPU {}, the rest on CPU {}",
            machine.cpu_model, machine.cpus, machine.kernel, self.gateway_cpu, self.load_cpu
        )
    }
}

impl Document for Report {
    fn goals(&self) -> &[Goal] {
        &self.goals
    }
}

impl Report {
    #[expect(
        clippy::too_many_arguments,
        reason = "one for each part of the document"
    )]
    pub(super) fn new(
        settings: &Settings,
        machine: Machine,
        started_unix_us: u64,
        run_s: f64,
        cost: Vec<Cost>,
        lossless: Vec<Lossless>,
        latency: Vec<Latency>,
        idle: Idle,
    ) -> Self {
        let gateway_added = added_latency(&latency, PathName::Gateway);
        let floor_added = added_latency(&latency, PathName::Floor);
        let goals = goals(&cost, &lossless, gateway_added, floor_added, idle);
        Self {
            schema: 1,
            quick: settings.quick,
            started_unix_us,
            run_s,
            machine,
            gateway_cpu: settings.gateway_cpu,
            load_cpu: settings.load_cpu,
            datagram_bytes: DATAGRAM_BYTES,
            tick_us: TICK_NS / 1_000,
            cost,
            lossless,
            latency,
            added_latency: gateway_added,
            floor_added_latency: floor_added,
            idle,
            goals,
        }
    }
}

/// The middle value; the mean of the two middle ones of an even number.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

pub(crate) const AT_MOST: &str = "at_most";
const AT_LEAST: &str = "at_least";

/// Costs at most this many times the bare loop, with TR 101 290 and media analysis of every packet (architecture brief,
/// "Speed to reach"); 1.2 was the goal of forwarding alone.
const RATIO_GOAL: f64 = 1.3;

/// Coalesced datagrams on one core, in Gb/s (architecture.md, "Speed to reach").
const COALESCED_GBPS_GOAL: f64 = 10.0;

/// Added latency, 99.9 %, in microseconds.
const ADDED_US_GOAL: f64 = 1_000.0;

/// CPU of a quiet node, in per cent of one core.
const IDLE_PERCENT_GOAL: f64 = 1.0;

fn added_latency(latency: &[Latency], over: PathName) -> AddedLatency {
    let of = |path| latency.iter().find(|latency| latency.path == path);
    let (Some(path), Some(direct)) = (of(over), of(PathName::Direct)) else {
        return AddedLatency::default();
    };
    AddedLatency {
        p50_us: path.p50_us - direct.p50_us,
        p99_us: path.p99_us - direct.p99_us,
        p999_us: path.p999_us - direct.p999_us,
    }
}

fn goals(
    cost: &[Cost],
    lossless: &[Lossless],
    added: AddedLatency,
    floor_added: AddedLatency,
    idle: Idle,
) -> Vec<Goal> {
    // The tick is the cheaper way to wait, and so the stricter floor.
    let ticking = cost.iter().filter(|cost| cost.floor_wake == Wake::Tick);
    let mut goals: Vec<Goal> = ticking
        .map(|cost| {
            let name = format!(
                "CPU against the bare loop, {}, {}/s",
                arrivals_name(cost.arrivals),
                cost.rate
            );
            Goal::at_most(name, "times", RATIO_GOAL, cost.ratio)
        })
        .collect();
    let coalesced = lossless
        .iter()
        .find(|found| found.path == PathName::Gateway && found.arrivals == Arrivals::Coalesced);
    goals.extend(coalesced.map(|found| {
        Goal {
            name: "lossless, coalesced, one core".to_owned(),
            unit: "Gb/s",
            comparison: AT_LEAST,
            goal: COALESCED_GBPS_GOAL,
            measured: found.gbps,
            met: (found.gbps >= COALESCED_GBPS_GOAL || found.limited_by == LimitedBy::Loss)
                .then_some(found.gbps >= COALESCED_GBPS_GOAL),
        }
    }));
    let mut latency_goal = Goal::at_most(
        format!("added latency p99.9, single, {LATENCY_RATE}/s"),
        "us",
        ADDED_US_GOAL,
        added.p999_us,
    );
    // Where the bare loop does not reach it either, other work on this machine is in the way.
    if latency_goal.met == Some(false) && floor_added.p999_us > ADDED_US_GOAL {
        latency_goal.met = None;
    }
    goals.push(latency_goal);
    goals.push(Goal::at_most(
        format!("{} flows without traffic", idle.flows),
        "% of a CPU",
        IDLE_PERCENT_GOAL,
        idle.cpu_percent,
    ));
    goals
}

/// For the table and the names of the goals.
const fn arrivals_name(arrivals: Arrivals) -> &'static str {
    match arrivals {
        Arrivals::Coalesced => "coalesced",
        Arrivals::Single => "single",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median(std::iter::empty()), 0.0);
    }

    #[test]
    fn added_latency_is_the_gateway_less_the_direct_path() {
        let latency = |path, p50_us: f64| Latency {
            path,
            rate: LATENCY_RATE,
            datagrams: 1,
            p50_us,
            p99_us: 2.0 * p50_us,
            p999_us: 1_500.0 * p50_us,
            max_us: 0.0,
            lost: 0,
            cpu_wait_percent: 0.0,
            load_wait_percent: 0.0,
        };
        let quiet = [
            latency(PathName::Direct, 1.0),
            latency(PathName::Floor, 1.5),
            latency(PathName::Gateway, 3.0),
        ];
        let added = added_latency(&quiet, PathName::Gateway);
        assert_eq!((added.p50_us, added.p99_us), (2.0, 4.0));
        let floor_added = added_latency(&quiet, PathName::Floor);
        let idle = Idle {
            flows: 10,
            window_s: 1.0,
            cpu_percent: 0.5,
        };
        let met = |floor_added| -> Vec<Option<bool>> {
            let goals = goals(&[], &[], added, floor_added, idle);
            goals.iter().map(|goal| goal.met).collect()
        };
        assert_eq!(met(floor_added), [Some(false), Some(true)]);
        assert_eq!(met(added), [None, Some(true)]);
    }
}
