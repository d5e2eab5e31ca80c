//! What was measured, for people and for programs.

use std::path::Path;

use serde::Serialize;

use super::flows::{FLOWS, OUTPUTS_PER_FLOW};
use super::node::ProcessMemory;
use super::phase::{Operation, Phase};
use super::plan::Settings;
use crate::BenchError;
use crate::host::Machine;
use crate::micro::write_json;
use crate::throughput::Goal;
use crate::throughput::report::AT_MOST;

/// Everything that one call of [`run`](super::run) measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this document.
    pub schema: u32,
    /// Shorter phases than usual.
    pub quick: bool,
    /// Unix time of the start, in microseconds.
    pub started_unix_us: u64,
    /// How long it took, in seconds.
    pub run_s: f64,
    /// What it was measured on.
    pub machine: Machine,
    /// CPU of the data plane.
    pub gateway_cpu: u32,
    /// CPU of sender and sink.
    pub load_cpu: u32,
    /// Flows that run, the one with the stream included.
    pub flows: usize,
    /// Outputs of each of the others.
    pub outputs_per_flow: usize,
    /// How long the start took.
    pub start: Start,
    /// Resident memory.
    pub memory: Memory,
    /// The stream alone, and with requests of each kind.
    pub phases: Vec<Phase>,
    /// What was to be reached.
    pub goals: Vec<Goal>,
}

/// How long the start took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Start {
    /// From the start of the control plane until its API listened, in seconds.
    pub listening_s: f64,
    /// From the start of the control plane until every flow ran, in seconds.
    pub running_s: f64,
    /// What the CPUs did for anybody but the node and this program, in per cent of one CPU.
    pub others_percent: f64,
}

/// Resident memory of both processes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// The data plane.
    pub dataplane: ProcessMemory,
    /// The control plane.
    pub controlplane: ProcessMemory,
}

impl Report {
    pub(super) fn new(
        settings: &Settings,
        machine: Machine,
        started_unix_us: u64,
        run_s: f64,
        start: Start,
        memory: Memory,
        phases: Vec<Phase>,
    ) -> Self {
        let goals = goals(&memory, &phases);
        Self {
            schema: 1,
            quick: settings.quick,
            started_unix_us,
            run_s,
            machine,
            gateway_cpu: settings.gateway_cpu,
            load_cpu: settings.load_cpu,
            flows: FLOWS,
            outputs_per_flow: OUTPUTS_PER_FLOW,
            start,
            memory,
            phases,
            goals,
        }
    }

    /// True when no goal was missed.
    #[must_use]
    pub fn goals_are_met(&self) -> bool {
        self.goals.iter().all(|goal| goal.met != Some(false))
    }

    /// Writes the JSON document, and makes its folder.
    ///
    /// # Errors
    ///
    /// [`BenchError::System`] with the path.
    pub fn write(&self, path: &Path) -> Result<(), BenchError> {
        write_json(path, self)
    }
}

/// 99th percentiles of the answer times, in milliseconds; the first kind of request of each phase counts.
const ANSWER_GOALS: [(Operation, f64); 3] = [
    (Operation::Stats, 50.0),
    (Operation::Metrics, 150.0),
    (Operation::Flows, 20.0),
];

/// Memory of the data plane for each idle flow, in KiB (architecture.md, "Speed to reach").
const IDLE_KIB_GOAL: f64 = 256.0;

/// A machine that does more than this for others, in per cent of a CPU, is busy.
const BUSY_PERCENT: f64 = 10.0;

fn goals(memory: &Memory, phases: &[Phase]) -> Vec<Goal> {
    let mut goals: Vec<Goal> = ANSWER_GOALS
        .iter()
        .filter_map(|(operation, goal_ms)| {
            let phase = phases.iter().find(|phase| phase.name == *operation)?;
            answer_goal(phase, *goal_ms)
        })
        .collect();
    goals.push(stream_goal(phases));
    let kib = memory.dataplane.idle_kib_per_flow;
    goals.push(Goal {
        name: "memory of the data plane for each idle flow".to_owned(),
        unit: "KiB",
        comparison: AT_MOST,
        goal: IDLE_KIB_GOAL,
        measured: kib,
        met: Some(kib <= IDLE_KIB_GOAL),
    });
    goals
}

fn answer_goal(phase: &Phase, goal_ms: f64) -> Option<Goal> {
    let times = phase.requests.first()?;
    let is_met = times.p99_ms <= goal_ms;
    // What the control plane itself computes for longer than the goal misses it on any machine like this.
    let may_be_noise = phase.others_percent > BUSY_PERCENT && phase.controlplane_cpu_ms <= goal_ms;
    Some(Goal {
        name: format!("{} p99, {FLOWS} flows", times.request),
        unit: "ms",
        comparison: AT_MOST,
        goal: goal_ms,
        measured: times.p99_ms,
        met: (is_met || !may_be_noise).then_some(is_met),
    })
}

fn stream_goal(phases: &[Phase]) -> Goal {
    let wrong = |phase: &Phase| {
        let stream = &phase.stream;
        stream.lost + stream.out_of_order + stream.damaged
    };
    let lost: u64 = phases.iter().map(wrong).sum();
    let is_proven = phases
        .iter()
        .all(|phase| phase.is_covered && phase.stream.sender_kept_pace());
    let is_excused = phases
        .iter()
        .filter(|phase| wrong(phase) > 0)
        .all(|phase| phase.stream.lost_only_at_sink());
    Goal {
        name: "datagrams lost or out of order, 100 Mb/s".to_owned(),
        unit: "datagrams",
        comparison: AT_MOST,
        goal: 0.0,
        measured: lost as f64,
        met: match lost {
            0 => is_proven.then_some(true),
            _ => (!is_excused).then_some(false),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::phase::RequestTimes;
    use super::*;
    use crate::throughput::RunRecord;

    fn phase(name: Operation, p99_ms: f64, lost: u64) -> Phase {
        Phase {
            name,
            requests: vec![RequestTimes {
                request: "GET /x",
                count: 1,
                p50_ms: p99_ms,
                p99_ms,
                max_ms: p99_ms,
                body_bytes: 1,
            }],
            controlplane_cpu_ms: 1.0,
            controlplane_wait_percent: 0.0,
            others_percent: 0.0,
            is_covered: true,
            stream_p50_us: 0.0,
            stream_p999_us: 0.0,
            stream_max_us: 0.0,
            stream: RunRecord {
                rate_wanted: 1_000,
                rate_sent: 1_000.0,
                sent: 1_000,
                not_offered: 0,
                refused: 0,
                received: 1_000 - lost,
                lost,
                dropped_at_input: 0,
                dropped_at_sink: 0,
                out_of_order: 0,
                damaged: 0,
                cpu_ns: 0,
                cpu_wait_ns: 0,
                load_wait_ns: 0,
                window_ns: 1,
                window_received: 1_000,
                window_offered: 1_000,
            },
        }
    }

    #[test]
    fn a_slow_answer_is_missed_on_a_quiet_machine_and_open_on_a_busy_one() {
        let met = |phase: &Phase| answer_goal(phase, 50.0).unwrap().met;
        assert_eq!(met(&phase(Operation::Stats, 50.0, 0)), Some(true));
        let mut slow = phase(Operation::Stats, 51.0, 0);
        assert_eq!(met(&slow), Some(false));
        slow.others_percent = 11.0;
        assert_eq!(met(&slow), None);
        slow.controlplane_cpu_ms = 60.0;
        assert_eq!(met(&slow), Some(false));
    }

    #[test]
    fn a_loss_counts_unless_something_else_explains_it() {
        let met = |alone, asked: Phase| {
            let alone = phase(Operation::Nothing, 0.0, alone);
            stream_goal(&[alone, asked]).met
        };
        assert_eq!(met(0, phase(Operation::Stats, 1.0, 0)), Some(true));
        assert_eq!(met(0, phase(Operation::Stats, 1.0, 2)), Some(false));
        assert_eq!(met(1, phase(Operation::Stats, 1.0, 0)), Some(false));
        let mut at_sink = phase(Operation::Stats, 1.0, 2);
        at_sink.stream.dropped_at_sink = 2;
        assert_eq!(met(0, at_sink.clone()), None);
        assert_eq!(met(1, at_sink), Some(false));
        let mut uncovered = phase(Operation::Stats, 1.0, 0);
        uncovered.is_covered = false;
        assert_eq!(met(0, uncovered), None);
        let mut slow_sender = phase(Operation::Stats, 1.0, 0);
        slow_sender.stream.not_offered = 11;
        assert_eq!(met(0, slow_sender), None);
    }
}
