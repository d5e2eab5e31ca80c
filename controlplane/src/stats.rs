//! Statistics in the words of the API: `GET /api/v1/stats`, and later the WebSocket and the manager.
//!
//! Counters come into the answer by the table in `shm-proto`: every row that names a REST path appears there, so that
//! a new counter needs no line here. What is written by hand is what is not counted: names, states, and the objects
//! of the contract that this version does not measure.

use std::time::{SystemTime, UNIX_EPOCH};

use bilbycast_shm_proto::counters::{
    ABSENT, CounterInfo, CounterKind, EndpointState, FlowRecord, FlowState, Health, LegRecord,
    OutputRecord, SrtRecord,
};
use bilbycast_shm_proto::detail::StreamDetail;
use bilbycast_shm_proto::model::LEGS_MAX;
use bilbycast_shm_proto::shm::{FlowSnapshot, OutputSnapshot};

use crate::config::{FlowConfig, OutputConfig};
use crate::link::Snapshot;
use crate::node::{DataPlane, Survey};

mod history;
mod media;
mod overview;
mod peers;
mod tree;

pub use history::history;
pub use overview::{Changes, changes, overview};
pub use tree::Tree;

/// `data` of `GET /api/v1/stats`.
#[must_use]
pub fn all(survey: &Survey) -> Tree<'_> {
    let mut system = Tree::object();
    system.set("uptime_secs", survey.uptime_secs);
    system.set("total_flows", survey.config.flows.len() as u64);
    system.set("active_flows", survey.active_flows() as u64);
    system.set("version", env!("CARGO_PKG_VERSION"));

    let mut stats = Tree::object();
    stats.set("system", system);
    stats.set("flows", flows(survey));
    stats
}

/// Every configured flow: `data.flows` of `GET /api/v1/stats`, and a frame of `/api/v1/ws/stats`.
#[must_use]
pub fn flows(survey: &Survey) -> Tree<'_> {
    let now_us = unix_us();
    let flows = survey.config.flows.iter();
    Tree::List(flows.map(|flow| of_flow(survey, flow, now_us)).collect())
}

/// The values of every configured flow that runs, in the order of the configuration.
pub(crate) fn live_flows(survey: &Survey) -> impl Iterator<Item = &FlowSnapshot> {
    let flows = survey.config.flows.iter();
    flows.filter_map(|flow| match condition(survey, flow) {
        Condition::Live(values) => Some(values),
        _ => None,
    })
}

/// `data` of `GET /api/v1/stats/{flow_id}`; `None` when there is no such flow.
#[must_use]
pub fn one<'a>(survey: &'a Survey, flow_id: &str) -> Option<Tree<'a>> {
    let flow = survey.config.flow(flow_id)?;
    Some(of_flow(survey, flow, unix_us()))
}

/// `data` of `GET /api/v1/stats/{flow_id}/pids`; `None` when there is no such flow.
#[must_use]
pub fn pids<'a>(survey: &'a Survey, flow_id: &str) -> Option<Tree<'a>> {
    let flow = survey.config.flow(flow_id)?;
    let detail = match (&survey.counters, condition(survey, flow)) {
        (Some(counters), Condition::Live(values)) => counters.detail(values),
        _ => None,
    };
    Some(media::pids(&flow.id, detail))
}

/// What is known of a flow. While the data plane is lost that is nothing: a flow that should run then counts as
/// [`Condition::Failed`].
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
    let is_wanted = flow.enabled && !runs.is_stopped_by_operator(&flow.id);
    if survey.data_plane == DataPlane::Uncontrolled {
        let counters = survey.counters.as_deref();
        return match counters.and_then(|counters| counters.flow(&flow.id)) {
            Some(values) => Condition::Live(values),
            None if is_wanted => Condition::Failed,
            None => Condition::Stopped,
        };
    }
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
    if !is_wanted {
        return Condition::Stopped;
    }
    // It shall run, and its turn has not come yet.
    match survey.counters {
        Some(_) => Condition::Starting,
        None => Condition::Failed,
    }
}

fn of_flow<'a>(survey: &'a Survey, flow: &'a FlowConfig, now_us: u64) -> Tree<'a> {
    let condition = condition(survey, flow);
    let values = match condition {
        Condition::Live(values) => Some(values),
        _ => None,
    };
    let record = values.map_or_else(FlowRecord::default, |values| values.record);
    let detail = match (&survey.counters, values) {
        (Some(counters), Some(values)) => counters.detail(values),
        _ => None,
    };

    // First the order of the contract, then the counters into it.
    let mut stats = Tree::with_room(FIELDS_USUAL);
    stats.set("flow_id", flow.id.as_str());
    stats.set("flow_name", flow.name.as_str());
    stats.set("state", Tree::Null);
    stats.set("health", Tree::Null);
    stats.set("uptime_secs", uptime_secs(&record, now_us));
    stats.set("input", Tree::with_room(FlowRecord::WORDS));
    stats.set("input.input_type", flow.input.type_name());
    count(
        &mut stats,
        values.is_some(),
        FlowRecord::FIELDS.iter().zip(record.to_words()),
        flow_code,
    );
    let srt = values.map_or([None, None], |values| values.srt);
    let [leg_1, leg_2] = srt_legs(srt, detail, None);
    stats.set("input.srt_stats", leg_1);
    stats.set("input.srt_leg2_stats", leg_2);
    if let Some(values) = values
        && values.legs.iter().any(Option::is_some)
    {
        stats.set("input.legs", legs(values));
    }
    if let Some(limit) = &flow.bandwidth_limit {
        stats.set("bandwidth_limit_mbps", limit.max_bitrate_mbps);
    }
    let outputs = flow.outputs.iter().map(|output| {
        let values = values.and_then(|flow| Snapshot::output(flow, &output.id));
        of_output(output, values, detail)
    });
    stats.set("outputs", Tree::List(outputs.collect()));
    if flow.media_analysis
        && let (Some(values), Some(detail)) = (values, detail)
    {
        stats.set("media_analysis", media::analysis(flow, values, detail));
    }
    for not_measured in ANALYSES {
        stats.set_absent(not_measured, Tree::Null);
    }

    let (state, health) = verdict(survey, flow, condition);
    stats.set("state", state);
    stats.set("health", health);
    stats
}

/// State and health of a flow, in the words of the API.
fn verdict(
    survey: &Survey,
    flow: &FlowConfig,
    condition: Condition<'_>,
) -> (&'static str, &'static str) {
    let (state, health) = match condition {
        Condition::Failed => (FlowState::Error, Health::Critical),
        Condition::Hidden => (FlowState::Running, Health::Warning),
        Condition::Live(FlowSnapshot { record, .. }) => {
            let state = FlowState::try_from(record.state).unwrap_or(FlowState::Running);
            let health = Health::try_from(record.health).unwrap_or(Health::Warning);
            let health = match health {
                // It runs, but in an earlier form than the operator asked for.
                _ if survey.runs.failure(&flow.id).is_some() => Health::Critical,
                Health::Healthy if survey.data_plane == DataPlane::Uncontrolled => Health::Warning,
                health => health,
            };
            (state, health)
        }
        Condition::Starting => (FlowState::Starting, Health::Healthy),
        Condition::Stopped => (FlowState::Stopped, Health::Healthy),
    };
    (state.as_str(), health.as_str())
}

fn of_output<'a>(
    output: &'a OutputConfig,
    values: Option<&OutputSnapshot>,
    detail: Option<&'a StreamDetail>,
) -> Tree<'a> {
    let record = values.map_or_else(OutputRecord::default, |values| values.record);
    let mut stats = Tree::with_room(FIELDS_USUAL);
    stats.set("output_id", output.id.as_str());
    stats.set("output_name", output.name.as_str());
    stats.set("output_type", output.kind.type_name());
    count(
        &mut stats,
        values.is_some(),
        OutputRecord::FIELDS.iter().zip(record.to_words()),
        |_, code| endpoint(code),
    );
    let srt = values.map_or([None, None], |values| values.srt);
    let [leg_1, leg_2] = srt_legs(srt, detail, Some(&output.id));
    stats.set("srt_stats", leg_1);
    stats.set("srt_leg2_stats", leg_2);
    stats
}

/// The legs of an input that is repaired.
fn legs<'a>(values: &FlowSnapshot) -> Tree<'a> {
    let legs = (1_u64..).zip(&values.legs).filter_map(|(leg, record)| {
        let record = record.as_ref()?;
        let mut stats = Tree::with_room(LegRecord::WORDS);
        stats.set("leg", leg);
        let rows = LegRecord::FIELDS.iter().zip(record.to_words());
        let rows = rows.filter(|(row, word)| *word != ABSENT || !is_mdi(row));
        count(&mut stats, true, rows, |_, code| endpoint(code));
        Some(stats)
    });
    Tree::List(legs.collect())
}

/// The legs of an SRT output, or of an SRT input; null where there is none.
fn srt_legs<'a>(
    records: [Option<SrtRecord>; LEGS_MAX],
    detail: Option<&'a StreamDetail>,
    output_id: Option<&str>,
) -> [Tree<'a>; LEGS_MAX] {
    let mut numbers = 1..;
    records.map(|record| {
        let (Some(record), Some(number)) = (record, numbers.next()) else {
            return Tree::Null;
        };
        let mut stats = Tree::with_room(SrtRecord::WORDS + 2);
        let rows = SrtRecord::FIELDS.iter().zip(record.to_words());
        count(&mut stats, true, rows, |_, code| endpoint(code));
        peers::set(&mut stats, detail, output_id, number);
        stats
    })
}

/// Puts every counter that has a REST path there.
fn count(
    stats: &mut Tree<'_>,
    is_live: bool,
    rows: impl Iterator<Item = (&'static CounterInfo, u64)>,
    code: impl Fn(&CounterInfo, u64) -> Option<&'static str>,
) {
    for (row, word) in rows {
        let Some(path) = row.rest.filter(|path| is_live || !is_analysis(path)) else {
            continue;
        };
        match row.kind {
            CounterKind::Code => match code(row, word) {
                Some(text) => stats.set(path, text),
                None => stats.set(path, word),
            },
            CounterKind::Counter | CounterKind::Gauge => stats.set(path, word),
            CounterKind::Flag => stats.set(path, word != 0),
            CounterKind::Mark => {
                if word != 0 {
                    stats.set(path, true);
                }
            }
            CounterKind::Megabits => stats.set(path, word as f64 / 1e6),
            // All of them or none: the object stays away.
            CounterKind::Nanoseconds if word == ABSENT && path.starts_with("iat.") => {}
            kind if kind.may_be_absent() && word == ABSENT => stats.set(path, Tree::Null),
            CounterKind::Milliseconds | CounterKind::Nanoseconds => {
                stats.set(path, word as f64 / 1_000.0);
            }
            CounterKind::Optional => stats.set(path, word),
            CounterKind::Signed => stats.set(path, word.cast_signed() as f64 / 1_000.0),
        }
    }
}

/// Whether a row belongs to the media delivery index: a leg has that object once there has been a second to measure.
fn is_mdi(row: &CounterInfo) -> bool {
    row.rest.is_some_and(|path| path.starts_with("mdi."))
}

/// Whether a path belongs to what is null while a flow does not run.
fn is_analysis(path: &str) -> bool {
    ANALYSES.contains(&path.split('.').next().unwrap_or(path))
}

/// What is measured of a stream and is null, as a whole, while there is none.
const ANALYSES: [&str; 5] = ["tr101290", "media_analysis", "iat", "pdv_jitter_us", "mdi"];

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

/// Room for the fields of a flow or an output.
const FIELDS_USUAL: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// The media delivery index of a leg as the API has it.
    fn mdi_of(record: LegRecord) -> serde_json::Value {
        let values = FlowSnapshot {
            flow_id: "a".to_owned(),
            core: 0,
            slot: 0,
            generation: 1,
            record: FlowRecord::default(),
            legs: [Some(record), None],
            srt: [None, None],
            outputs: Vec::new(),
        };
        let shown = serde_json::to_value(legs(&values)).unwrap();
        assert_eq!(shown[0]["leg"], 1);
        shown[0]["mdi"].clone()
    }

    #[test]
    fn a_leg_has_its_delivery_index_once_it_is_measured() {
        let mut record = LegRecord {
            mdi_delay_factor_us: ABSENT,
            mdi_media_loss_rate: ABSENT,
            ..LegRecord::default()
        };
        assert_eq!(mdi_of(record), serde_json::Value::Null);
        record.mdi_media_loss_rate = 3;
        assert_eq!(mdi_of(record), serde_json::json!({"media_loss_rate": 3}));
        record.mdi_delay_factor_us = 1_250;
        let both = serde_json::json!({"delay_factor_us": 1_250, "media_loss_rate": 3});
        assert_eq!(mdi_of(record), both);
    }
}
