//! The families of running flows and their outputs, from the table of counters.

use std::fmt;

use bilbycast_shm_proto::counters::{ABSENT, CounterKind, FlowRecord, OutputRecord};
use bilbycast_shm_proto::shm::FlowSnapshot;
use prometheus_client::encoding::{EncodeGaugeValue, GaugeValueEncoder};
use prometheus_client::metrics::MetricType;

use super::{Page, count};
use crate::node::Survey;
use crate::stats;

pub(super) fn encode(page: &mut Page<'_, '_>, survey: &Survey) -> fmt::Result {
    let flows: Vec<_> = stats::live_flows(survey).collect();
    let words: Vec<_> = flows
        .iter()
        .map(|flow| ([("flow_id", id_of(flow))], flow.record.to_words()))
        .collect();
    for (index, row) in FlowRecord::FIELDS.iter().enumerate() {
        if let Some(name) = row.prometheus {
            let samples = words
                .iter()
                .filter_map(|(labels, words)| Some((*labels, value(row.kind, words[index])?)));
            page.family(name, row.help.trim(), kind(row.kind), samples)?;
        }
    }

    let words: Vec<_> = flows
        .iter()
        .flat_map(|flow| {
            let outputs = flow.outputs.iter();
            outputs.map(|output| {
                let labels = [("flow_id", id_of(flow)), ("output_id", &*output.output_id)];
                (labels, output.record.to_words())
            })
        })
        .collect();
    for (index, row) in OutputRecord::FIELDS.iter().enumerate() {
        if let Some(name) = row.prometheus {
            let samples = words
                .iter()
                .filter_map(|(labels, words)| Some((*labels, value(row.kind, words[index])?)));
            page.family(name, row.help.trim(), kind(row.kind), samples)?;
        }
    }
    Ok(())
}

fn id_of<'a>(flow: &&'a FlowSnapshot) -> &'a str {
    &flow.flow_id
}

const fn kind(kind: CounterKind) -> MetricType {
    match kind {
        CounterKind::Counter => MetricType::Counter,
        CounterKind::Code
        | CounterKind::Flag
        | CounterKind::Gauge
        | CounterKind::Nanoseconds
        | CounterKind::Optional => MetricType::Gauge,
    }
}

/// The value of a row in the unit of its family; `None` when it is not measured.
fn value(kind: CounterKind, word: u64) -> Option<Value> {
    match kind {
        CounterKind::Nanoseconds => {
            (word != ABSENT).then_some(Value::Fraction(word as f64 / 1_000.0))
        }
        CounterKind::Optional => (word != ABSENT).then(|| Value::Whole(count(word))),
        CounterKind::Code | CounterKind::Counter | CounterKind::Flag | CounterKind::Gauge => {
            Some(Value::Whole(count(word)))
        }
    }
}

/// A sample of a family whose rows are of either kind.
#[derive(Clone, Copy, Debug)]
enum Value {
    Fraction(f64),
    Whole(i64),
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Fraction(value) => value.encode(encoder),
            Self::Whole(value) => value.encode(encoder),
        }
    }
}
