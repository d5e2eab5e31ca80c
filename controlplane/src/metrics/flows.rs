//! The families of running flows and their outputs, from the table of counters.

use std::fmt;

use bilbycast_shm_proto::counters::{
    ABSENT, CounterInfo, CounterKind, FlowRecord, LegRecord, OutputRecord, SrtRecord,
};
use bilbycast_shm_proto::model::LEGS_MAX;
use bilbycast_shm_proto::shm::FlowSnapshot;
use prometheus_client::encoding::{
    EncodeGaugeValue, EncodeLabel, EncodeLabelSet, GaugeValueEncoder, LabelSetEncoder,
};
use prometheus_client::metrics::MetricType;

use super::{Page, count, expected};
use crate::node::Survey;
use crate::stats;

pub(super) fn encode(page: &mut Page<'_, '_>, survey: &Survey) -> fmt::Result {
    let flows: Vec<_> = stats::live_flows(survey).collect();
    let words: Vec<_> = flows
        .iter()
        .map(|flow| ([("flow_id", id_of(flow))], flow.record.to_words()))
        .collect();
    families(page, FlowRecord::FIELDS, &words)?;

    let words: Vec<_> = flows
        .iter()
        .flat_map(|flow| {
            let legs = numbered(&flow.legs);
            legs.map(|(leg, record)| ([("flow_id", id_of(flow)), ("leg", leg)], record.to_words()))
        })
        .collect();
    families(page, LegRecord::FIELDS, &words)?;

    let of_inputs = flows
        .iter()
        .flat_map(|flow| numbered(&flow.srt).map(|(leg, record)| (id_of(flow), None, leg, record)));
    let of_outputs = flows.iter().flat_map(|flow| {
        flow.outputs.iter().flat_map(move |output| {
            let output_id = Some(&*output.output_id);
            numbered(&output.srt).map(move |(leg, record)| (id_of(flow), output_id, leg, record))
        })
    });
    let words: Vec<_> = of_inputs
        .chain(of_outputs)
        .map(|(flow_id, output_id, leg, record)| {
            let labels = SrtLabels {
                flow_id,
                output_id,
                leg,
            };
            (labels, record.to_words())
        })
        .collect();
    families(page, SrtRecord::FIELDS, &words)?;

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
    families(page, OutputRecord::FIELDS, &words)?;
    expected::encode(page, &flows)
}

/// The families of one table, from its records and their labels.
fn families<L: EncodeLabelSet + Copy, const WORDS: usize>(
    page: &mut Page<'_, '_>,
    fields: &[CounterInfo],
    records: &[(L, [u64; WORDS])],
) -> fmt::Result {
    for (index, row) in fields.iter().enumerate() {
        if let Some(name) = row.prometheus {
            let samples = records
                .iter()
                .filter_map(|(labels, words)| Some((*labels, value(row.kind, words[index])?)));
            page.family(name, row.help.trim(), kind(row.kind), samples)?;
        }
    }
    Ok(())
}

/// The legs that there are, with their numbers as labels.
pub(super) fn numbered<T>(
    legs: &[Option<T>; LEGS_MAX],
) -> impl Iterator<Item = (&'static str, &T)> + use<'_, T> {
    let legs = ["1", "2"].into_iter().zip(legs);
    legs.filter_map(|(leg, record)| Some((leg, record.as_ref()?)))
}

/// Inputs have no `output_id`.
#[derive(Clone, Copy, Debug)]
struct SrtLabels<'a> {
    flow_id: &'a str,
    output_id: Option<&'a str>,
    leg: &'a str,
}

impl EncodeLabelSet for SrtLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let output_id = self.output_id.map(|output_id| ("output_id", output_id));
        let labels = [("flow_id", self.flow_id), ("leg", self.leg)];
        for label in labels.into_iter().chain(output_id) {
            EncodeLabel::encode(&label, encoder.encode_label())?;
        }
        Ok(())
    }
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
        | CounterKind::Mark
        | CounterKind::Megabits
        | CounterKind::Milliseconds
        | CounterKind::Nanoseconds
        | CounterKind::Optional
        | CounterKind::Signed => MetricType::Gauge,
    }
}

/// The value of a row in the unit of its family; `None` when it is not measured.
fn value(kind: CounterKind, word: u64) -> Option<Value> {
    if kind.may_be_absent() && word == ABSENT {
        return None;
    }
    Some(match kind {
        CounterKind::Milliseconds | CounterKind::Nanoseconds => {
            Value::Fraction(word as f64 / 1_000.0)
        }
        // Beyond the contract, which has microseconds: in the unit that Prometheus asks for.
        CounterKind::Signed => Value::Fraction(word.cast_signed() as f64 / 1e9),
        CounterKind::Code
        | CounterKind::Counter
        | CounterKind::Flag
        | CounterKind::Gauge
        | CounterKind::Mark
        | CounterKind::Megabits
        | CounterKind::Optional => Value::Whole(count(word)),
    })
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
