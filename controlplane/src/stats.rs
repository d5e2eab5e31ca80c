//! Statistics in the words of the API: `GET /api/v1/stats`, and later the WebSocket and the manager.
//!
//! Counters come into the answer by the table in `shm-proto`: every row that names a REST path appears there, so that
//! a new counter needs no line here. What is written by hand is what is not counted: names, states, and the objects
//! of the contract that this version does not measure.

use std::time::{SystemTime, UNIX_EPOCH};

use bilbycast_shm_proto::counters::{
    CounterInfo, CounterKind, EndpointState, FlowRecord, FlowState, Health, OutputRecord,
};
use bilbycast_shm_proto::shm::{FlowSnapshot, OutputSnapshot};

use crate::config::{FlowConfig, OutputConfig};
use crate::node::Survey;

mod tree;

pub use tree::Tree;

/// `data` of `GET /api/v1/stats`.
#[must_use]
pub fn all(survey: &Survey) -> Tree {
    let now_us = unix_us();
    let mut system = Tree::object();
    system.set("uptime_secs", survey.uptime_secs);
    system.set("total_flows", survey.config.flows.len() as u64);
    system.set("active_flows", survey.runs.flows().len() as u64);
    system.set("version", env!("CARGO_PKG_VERSION"));

    let flows = survey.config.flows.iter();
    let flows: Vec<_> = flows.map(|flow| of_flow(survey, flow, now_us)).collect();
    let mut stats = Tree::object();
    stats.set("system", system);
    stats.set("flows", Tree::List(flows));
    stats
}

/// `data` of `GET /api/v1/stats/{flow_id}`; `None` when there is no such flow.
#[must_use]
pub fn one(survey: &Survey, flow_id: &str) -> Option<Tree> {
    let flow = survey.config.flow(flow_id)?;
    Some(of_flow(survey, flow, unix_us()))
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug)]
enum Condition<'a> {
    /// It should run and does not.
    Failed,
    /// The data plane runs it, and its counters cannot be read.
    Hidden,
    /// It runs.
    Live(&'a FlowSnapshot),
    /// It is being started.
    Starting,
    /// It does not run, and should not.
    Stopped,
}

fn condition<'a>(survey: &'a Survey, flow: &FlowConfig) -> Condition<'a> {
    let runs = &survey.runs;
    if runs.flows().contains_key(&flow.id) {
        return match &survey.counters {
            Some(counters) => match counters.flow(&flow.id) {
                Some(values) => Condition::Live(values),
                None if counters.is_readable() => Condition::Starting,
                None => Condition::Hidden,
            },
            None => Condition::Hidden,
        };
    }
    if runs.failure(&flow.id).is_some() {
        return Condition::Failed;
    }
    if !flow.enabled || runs.is_stopped_by_operator(&flow.id) {
        return Condition::Stopped;
    }
    if survey.counters.is_none() {
        Condition::Failed
    } else if runs.is_known() {
        Condition::Stopped
    } else {
        Condition::Starting
    }
}

fn of_flow(survey: &Survey, flow: &FlowConfig, now_us: u64) -> Tree {
    let condition = condition(survey, flow);
    let values = match condition {
        Condition::Live(values) => Some(values),
        _ => None,
    };
    let record = values.map_or_else(FlowRecord::default, |values| values.record);

    // First the order of the contract, then the counters into it.
    let mut stats = Tree::object();
    stats.set("flow_id", flow.id.as_str());
    stats.set("flow_name", flow.name.as_str());
    stats.set("state", Tree::Null);
    stats.set("health", Tree::Null);
    stats.set("uptime_secs", uptime_secs(&record, now_us));
    stats.set("input.input_type", flow.input.type_name());
    count(
        &mut stats,
        FlowRecord::FIELDS,
        &record.to_words(),
        flow_code,
    );
    stats.set("input.srt_stats", Tree::Null);
    stats.set("input.srt_leg2_stats", Tree::Null);
    let outputs = flow.outputs.iter().map(|output| {
        let values = values.and_then(|flow| {
            let mut outputs = flow.outputs.iter();
            outputs.find(|values| values.output_id == output.id)
        });
        of_output(output, values)
    });
    stats.set("outputs", Tree::List(outputs.collect()));
    for not_measured in ["tr101290", "media_analysis", "iat", "pdv_jitter_us"] {
        stats.set_absent(not_measured, Tree::Null);
    }

    let (state, health) = match condition {
        Condition::Failed => (FlowState::Error, Health::Critical),
        Condition::Hidden => (FlowState::Running, Health::Warning),
        Condition::Live(_) => {
            // It runs, but in an earlier form than the operator asked for.
            if survey.runs.failure(&flow.id).is_some() {
                stats.set("health", Health::Critical.as_str());
            }
            return stats;
        }
        Condition::Starting => (FlowState::Starting, Health::Healthy),
        Condition::Stopped => (FlowState::Stopped, Health::Healthy),
    };
    stats.set("state", state.as_str());
    stats.set("health", health.as_str());
    stats
}

fn of_output(output: &OutputConfig, values: Option<&OutputSnapshot>) -> Tree {
    let record = values.map_or_else(OutputRecord::default, |values| values.record);
    let mut stats = Tree::object();
    stats.set("output_id", output.id.as_str());
    stats.set("output_name", output.name.as_str());
    stats.set("output_type", output.kind.type_name());
    count(
        &mut stats,
        OutputRecord::FIELDS,
        &record.to_words(),
        |_, code| endpoint(code),
    );
    stats.set("srt_stats", Tree::Null);
    stats.set("srt_leg2_stats", Tree::Null);
    stats
}

/// Puts every counter that has a REST path there.
fn count(
    stats: &mut Tree,
    fields: &[CounterInfo],
    words: &[u64],
    code: impl Fn(&CounterInfo, u64) -> Option<&'static str>,
) {
    for (row, word) in fields.iter().zip(words) {
        let Some(path) = row.rest else {
            continue;
        };
        match row.kind {
            CounterKind::Code => match code(row, *word) {
                Some(text) => stats.set(path, text),
                None => stats.set(path, *word),
            },
            CounterKind::Counter | CounterKind::Gauge => stats.set(path, *word),
        }
    }
}

/// The text of a code; `None` when no state has it.
fn flow_code(row: &CounterInfo, code: u64) -> Option<&'static str> {
    match row.name {
        "health" => Health::try_from(code).ok().map(Health::as_str),
        "state" => FlowState::try_from(code).ok().map(FlowState::as_str),
        _ => endpoint(code),
    }
}

fn endpoint(code: u64) -> Option<&'static str> {
    EndpointState::try_from(code)
        .ok()
        .map(EndpointState::as_str)
}

const fn uptime_secs(record: &FlowRecord, now_us: u64) -> u64 {
    match record.started_unix_us {
        0 => 0,
        started => now_us.saturating_sub(started) / 1_000_000,
    }
}

fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}
