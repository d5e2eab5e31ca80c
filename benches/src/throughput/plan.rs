//! How long each measurement takes, and at which rates.

use std::path::PathBuf;

use dataplane::net::cores::CoreList;

use super::floor::Wake;
use super::load::Arrivals;
use crate::BenchError;
use crate::host::target_folder;

/// What the caller chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Fewer rates and rounds.
    pub quick: bool,
    /// The data plane to measure.
    pub dataplane: PathBuf,
    /// CPU of what is measured.
    pub gateway_cpu: u32,
    /// CPU of sender and sink.
    pub load_cpu: u32,
}

impl Settings {
    /// Fills in what was not said: the data plane beside this program, the last CPU for what is measured, the first
    /// for sender and sink.
    ///
    /// # Errors
    ///
    /// [`BenchError::Cores`] when a CPU is not available to this process.
    pub fn new(
        quick: bool,
        dataplane: Option<PathBuf>,
        gateway_cpu: Option<u32>,
        load_cpu: Option<u32>,
    ) -> Result<Self, BenchError> {
        let available = CoreList::available()?;
        let cpus = available.cpus();
        let pick = |asked: Option<u32>, default: Option<&u32>| -> Result<u32, BenchError> {
            let cpu = asked.or_else(|| default.copied()).unwrap_or(0);
            let list: CoreList = cpu.to_string().parse()?;
            list.checked()?;
            Ok(cpu)
        };
        let dataplane = match dataplane {
            Some(path) => path,
            None => target_folder()?.join(PROFILE).join("bilbycast-dataplane"),
        };
        Ok(Self {
            quick,
            dataplane,
            gateway_cpu: pick(gateway_cpu, cpus.last())?,
            load_cpu: pick(load_cpu, cpus.first())?,
        })
    }
}

/// Cargo's folder for optimised programs: anything else is not worth measuring.
const PROFILE: &str = "release";

/// Datagrams a second of the latency measurement (architecture.md, "Speed to reach").
pub(super) const LATENCY_RATE: u64 = 100_000;

/// Flows of the idle measurement.
pub(super) const IDLE_FLOWS: usize = 10;

/// One comparison of cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct CostCase {
    pub(super) arrivals: Arrivals,
    pub(super) rate: u64,
    pub(super) floor_wake: Wake,
}

/// One search.
#[derive(Clone, Copy, Debug)]
pub(super) struct SearchCase {
    pub(super) arrivals: Arrivals,
    pub(super) first_rate: u64,
}

/// Times and rates of a whole run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) costs: &'static [CostCase],
    pub(super) rounds: usize,
    pub(super) warm_ms: u64,
    pub(super) cost_window_ms: u64,
    pub(super) searches: &'static [SearchCase],
    pub(super) search_steps: usize,
    pub(super) search_window_ms: u64,
    pub(super) latency_rounds: usize,
    pub(super) latency_window_ms: u64,
    pub(super) idle_window_ms: u64,
}

impl Plan {
    pub(super) const fn of(quick: bool) -> Self {
        if quick { QUICK } else { FULL }
    }
}

const fn cost(arrivals: Arrivals, rate: u64, floor_wake: Wake) -> CostCase {
    CostCase {
        arrivals,
        rate,
        floor_wake,
    }
}

const SEARCHES: &[SearchCase] = &[
    SearchCase {
        arrivals: Arrivals::Single,
        first_rate: 200_000,
    },
    SearchCase {
        arrivals: Arrivals::Coalesced,
        first_rate: 800_000,
    },
];

/// 5 cases x 2 x 5 rounds x 1.3 s, 4 searches x 6 steps x 2.3 s, 3 paths x 6 rounds x 1.6 s, 6 s: 156 s.
const FULL: Plan = Plan {
    costs: &[
        cost(Arrivals::Single, 10_000, Wake::Tick),
        cost(Arrivals::Single, 50_000, Wake::Tick),
        cost(Arrivals::Single, 100_000, Wake::Tick),
        cost(Arrivals::Single, 100_000, Wake::Blocking),
        cost(Arrivals::Coalesced, 400_000, Wake::Tick),
    ],
    rounds: 5,
    warm_ms: 250,
    cost_window_ms: 1_000,
    searches: SEARCHES,
    search_steps: 6,
    search_window_ms: 1_750,
    latency_rounds: 6,
    latency_window_ms: 1_500,
    idle_window_ms: 5_000,
};

/// 2 cases x 2 x 3 rounds x 0.7 s, 4 searches x 4 steps x 0.5 s, 3 paths x 0.9 s, 2 s: 20 s at most.
const QUICK: Plan = Plan {
    costs: &[
        cost(Arrivals::Single, 100_000, Wake::Tick),
        cost(Arrivals::Coalesced, 400_000, Wake::Tick),
    ],
    rounds: 3,
    warm_ms: 150,
    cost_window_ms: 450,
    searches: SEARCHES,
    search_steps: 4,
    search_window_ms: 250,
    latency_rounds: 1,
    latency_window_ms: 800,
    idle_window_ms: 1_200,
};
