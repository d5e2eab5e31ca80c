//! What SRT costs: the data plane beside `srt-live-transmit` of libsrt, doing the same in the same run.
//!
//! # What is measured
//!
//! A stream of raw TS in datagrams of 1,316 bytes goes from the sender over UDP to a caller, over one SRT connection of
//! 120 ms latency to a listener, and over UDP to the sink. *Receive* measures the listener's process, *send* that of the
//! caller: CPU time of all its threads for each GB of payload that came to the sink meanwhile. The process that is
//! measured has a CPU of its own; the one at the far end, which shares the other CPU with sender and sink, is named in
//! `far_end`. It is the same for both that are compared. The data plane does all that it always does, TR 101 290 and media analysis
//! included; `srt-live-transmit` only carries.
//!
//! Both have the same priority, the same latency, room for 32,768 packets in every buffer, and a cap of 2 Gb/s. The two take turns; the
//! ratio is the median of the rounds' ratios. Of what was lost each run tells. `srt-live-transmit` may be unable to
//! carry a rate on one CPU: then its cost is that of what it did carry.
//!
//! Without `srt-live-transmit` (Debian: `srt-tools`) only the data plane is measured, with itself as the far end, and
//! the ratios are null and no goal is judged; `skipped` says why.
//!
//! # `target/bench/srt.json`
//!
//! ```json
//! {
//!   "schema": 1, "quick": false, "started_unix_us": 0, "machine": { "cpu_model": "...", "cpus": 2, "kernel": "..." },
//!   "gateway_cpu": 1, "load_cpu": 0, "libsrt": "1.5.1", "skipped": null, "latency_ms": 120,
//!   "cost": [ { "direction": "receive", "megabits": 200, "far_end": "gateway", "gateway_s_per_gb": 1.0,
//!               "libsrt_s_per_gb": 3.0, "ratio": 0.33, "ratio_low": 0.3, "ratio_high": 0.4,
//!               "gateway_runs": [RUN], "libsrt_runs": [RUN] } ],
//!   "goals": [ { "name": "...", "unit": "...", "comparison": "at_most", "goal": 0.7, "measured": 0.33, "met": true } ]
//! }
//! ```
//!
//! RUN is a [`RunRecord`].

mod ends;

use std::fmt;

use dataplane::net::clock::monotonic_ns;
use serde::Serialize;

use super::load::{self, Arrivals, LoadSpec, Packing, RunRecord, Target, sleep_until};
use super::plan::Settings;
use super::proc;
use super::report::table::{write_goals, write_losses};
use super::report::{Document, Facts, Goal, median};
use super::session::free_address;
use super::sink::Sink;
use super::stream::PAYLOAD_BYTES;
use crate::BenchError;
pub use ends::{Direction, Program};
use ends::{End, Libsrt};
pub(super) use ends::{LATENCY_MS, leg};

/// Everything that one call of [`run`] measured.
#[derive(Clone, Debug, Serialize)]
pub struct SrtReport {
    /// Where and when.
    #[serde(flatten)]
    pub facts: Facts,
    /// Version of libsrt.
    pub libsrt: Option<String>,
    /// Why nothing is compared.
    pub skipped: Option<&'static str>,
    /// Latency of the connections, in milliseconds.
    pub latency_ms: u16,
    /// CPU for each GB.
    pub cost: Vec<SrtCost>,
    /// What was to be reached.
    pub goals: Vec<Goal>,
}

/// CPU time for each GB of payload at one rate: medians of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct SrtCost {
    /// Which way.
    pub direction: Direction,
    /// Payload, in Mb/s.
    pub megabits: u64,
    /// Who is at the other end.
    pub far_end: Program,
    /// CPU time of the data plane, in seconds.
    pub gateway_s_per_gb: f64,
    /// CPU time of `srt-live-transmit`, in seconds.
    pub libsrt_s_per_gb: Option<f64>,
    /// Data plane to `srt-live-transmit`: median of the rounds' ratios.
    pub ratio: Option<f64>,
    /// Lowest ratio of a round.
    pub ratio_low: Option<f64>,
    /// Highest ratio of a round.
    pub ratio_high: Option<f64>,
    /// The rounds of the data plane.
    pub gateway_runs: Vec<RunRecord>,
    /// The rounds of `srt-live-transmit`.
    pub libsrt_runs: Vec<RunRecord>,
}

/// Measures what SRT costs, in at most three minutes, with [`Settings::quick`] 30 s.
///
/// # Errors
///
/// [`BenchError`] when something cannot be started or opened, or two ends do not find each other.
pub fn run(settings: &Settings) -> Result<SrtReport, BenchError> {
    let facts = Facts::now(settings)?;
    let libsrt = Libsrt::version();
    let skipped = libsrt
        .is_none()
        .then_some("srt-live-transmit is not there (Debian: srt-tools)");
    if let Some(reason) = skipped {
        eprintln!("srt: not compared: {reason}");
    }
    let sink = Sink::open(free_address(1)?)?;
    let mut cost = Vec::new();
    for case in CASES {
        let needs_libsrt = case.far_end == Program::Libsrt;
        if needs_libsrt && (libsrt.is_none() || settings.quick) {
            continue;
        }
        eprintln!(
            "srt: {}, {} Mb/s, far end {}",
            case.direction.name(),
            case.megabits,
            case.far_end.name()
        );
        cost.push(measure(settings, &sink, case, libsrt.is_some())?);
    }
    Ok(SrtReport {
        facts,
        libsrt,
        skipped,
        latency_ms: LATENCY_MS,
        goals: cost.iter().filter_map(goal).collect(),
        cost,
    })
}

#[derive(Clone, Copy, Debug)]
struct Case {
    direction: Direction,
    megabits: u64,
    far_end: Program,
}

const fn case(direction: Direction, megabits: u64, far_end: Program) -> Case {
    Case {
        direction,
        megabits,
        far_end,
    }
}

/// At 1 Gb/s `srt-live-transmit` cannot be the far end: it would need more of the CPU that it shares than there is.
const CASES: [Case; 6] = [
    case(Direction::Receive, 200, Program::Gateway),
    case(Direction::Receive, 200, Program::Libsrt),
    case(Direction::Receive, 1_000, Program::Gateway),
    case(Direction::Send, 200, Program::Gateway),
    case(Direction::Send, 200, Program::Libsrt),
    case(Direction::Send, 1_000, Program::Gateway),
];

/// What may be spent, as a multiple of `srt-live-transmit`.
const RATIO_GOAL: f64 = 0.7;

/// Before the measured part: longer than the latency, and than libsrt's first estimate of the rate.
const WARM_MS: u64 = 1_000;

fn measure(
    settings: &Settings,
    sink: &Sink,
    case: Case,
    with_libsrt: bool,
) -> Result<SrtCost, BenchError> {
    let (rounds, window_ms) = if settings.quick {
        (1, 1_000)
    } else {
        (3, 2_000)
    };
    let spec = LoadSpec {
        arrivals: Arrivals::Single,
        packing: Packing::RawTs,
        rate: case.megabits * 1_000_000 / (8 * PAYLOAD_BYTES as u64),
        warm_ms: WARM_MS,
        window_ms,
    };
    let mut gateway_runs = Vec::with_capacity(rounds);
    let mut libsrt_runs = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        gateway_runs.push(run_one(settings, sink, case, Program::Gateway, &spec)?);
        if with_libsrt {
            libsrt_runs.push(run_one(settings, sink, case, Program::Libsrt, &spec)?);
        }
    }
    let ratios: Vec<f64> = gateway_runs
        .iter()
        .zip(&libsrt_runs)
        .map(|(ours, theirs)| s_per_gb(ours) / s_per_gb(theirs))
        .collect();
    let of_ratios = |pick: fn(&[f64]) -> f64| (!ratios.is_empty()).then(|| pick(&ratios));
    Ok(SrtCost {
        direction: case.direction,
        megabits: case.megabits,
        far_end: case.far_end,
        gateway_s_per_gb: median(gateway_runs.iter().map(s_per_gb)),
        libsrt_s_per_gb: with_libsrt.then(|| median(libsrt_runs.iter().map(s_per_gb))),
        ratio: of_ratios(|ratios| median(ratios.iter().copied())),
        ratio_low: of_ratios(|ratios| ratios.iter().copied().fold(f64::INFINITY, f64::min)),
        ratio_high: of_ratios(|ratios| ratios.iter().copied().fold(0.0, f64::max)),
        gateway_runs,
        libsrt_runs,
    })
}

/// One connection with `measured` at the end that the case names.
fn run_one(
    settings: &Settings,
    sink: &Sink,
    case: Case,
    measured: Program,
    spec: &LoadSpec,
) -> Result<RunRecord, BenchError> {
    let feed = free_address(2)?;
    let link = free_address(3)?;
    let (caller, listener) = match case.direction {
        Direction::Receive => (case.far_end, measured),
        Direction::Send => (measured, case.far_end),
    };
    let cpu_of = |direction| {
        if direction == case.direction {
            settings.gateway_cpu
        } else {
            settings.load_cpu
        }
    };
    let start = |program, direction, from, to| {
        End::start(program, settings, cpu_of(direction), direction, from, to)
    };
    let listener = start(listener, Direction::Receive, link, sink.address())?;
    wait_until("the listener", || proc::udp_drops(link).is_some())?;
    let caller = start(caller, Direction::Send, feed, link)?;
    wait_until("the caller", || proc::udp_drops(feed).is_some())?;
    let measured = match case.direction {
        Direction::Receive => &listener,
        Direction::Send => &caller,
    };
    let target = Target {
        input: feed,
        pid: Some(measured.pid()),
        load_cpu: settings.load_cpu,
    };
    wait_until_connected(&target, sink)?;
    Ok(load::run(spec, &target, sink)?.0)
}

/// Sends a little until all of it arrives.
fn wait_until_connected(target: &Target, sink: &Sink) -> Result<(), BenchError> {
    let spec = LoadSpec {
        arrivals: Arrivals::Single,
        packing: Packing::RawTs,
        rate: 1_000,
        warm_ms: 0,
        window_ms: 100,
    };
    let deadline_ns = monotonic_ns() + START_NS_MAX;
    while monotonic_ns() < deadline_ns {
        let (record, _) = load::run(&spec, target, sink)?;
        if record.sent > 0 && record.lost == 0 {
            return Ok(());
        }
    }
    Err(not_ready("the connection"))
}

fn wait_until(what: &'static str, is_true: impl Fn() -> bool) -> Result<(), BenchError> {
    let deadline_ns = monotonic_ns() + START_NS_MAX;
    while !is_true() {
        if monotonic_ns() > deadline_ns {
            return Err(not_ready(what));
        }
        sleep_until(monotonic_ns() + 10_000_000);
    }
    Ok(())
}

fn not_ready(who: &'static str) -> BenchError {
    BenchError::Process {
        who,
        problem: format!("not ready after {} s", START_NS_MAX / 1_000_000_000),
    }
}

/// How long ends may take to be there, and to find each other.
const START_NS_MAX: u64 = 10_000_000_000;

/// Nanoseconds for each byte are seconds for each GB.
fn s_per_gb(run: &RunRecord) -> f64 {
    run.cpu_ns as f64 / (run.window_received.max(1) * PAYLOAD_BYTES as u64) as f64
}

fn goal(cost: &SrtCost) -> Option<Goal> {
    let name = format!(
        "CPU against libsrt, {}, {} Mb/s, far end {}",
        cost.direction.name(),
        cost.megabits,
        cost.far_end.name()
    );
    Some(Goal::at_most(name, "times", RATIO_GOAL, cost.ratio?))
}

impl Document for SrtReport {
    fn goals(&self) -> &[Goal] {
        &self.goals
    }
}

impl fmt::Display for SrtReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.facts)?;
        match (&self.libsrt, self.skipped) {
            (_, Some(reason)) => writeln!(f, "Not compared: {reason}")?,
            (version, None) => writeln!(f, "libsrt {}", version.as_deref().unwrap_or("unknown"))?,
        }
        writeln!(
            f,
            "\nSRT: CPU s per GB of payload   Mb/s   far end   gateway   libsrt   ratio (lowest-highest)"
        )?;
        let or_none = |value: Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
        };
        for cost in &self.cost {
            writeln!(
                f,
                "  {:<25} {:>9} {:>9} {:>9.3} {:>8}   {} ({}-{})",
                cost.direction.name(),
                cost.megabits,
                cost.far_end.name(),
                cost.gateway_s_per_gb,
                or_none(cost.libsrt_s_per_gb),
                or_none(cost.ratio),
                or_none(cost.ratio_low),
                or_none(cost.ratio_high)
            )?;
            write_losses(f, "gateway", &cost.gateway_runs)?;
            write_losses(f, "libsrt", &cost.libsrt_runs)?;
        }
        write_goals(f, &self.goals)
    }
}
