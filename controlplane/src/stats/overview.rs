//! What an overview of all flows shows: a summary of each, and how it differs from that of a second ago.
//!
//! The statistics of a thousand flows are 1.8 MB, nearly all of it numbers that an overview does not show. The summary has
//! the same names in the same places, so that whoever reads the one can read the other.

use bilbycast_shm_proto::counters::{ABSENT, FlowRecord, SrtRecord};
use bilbycast_shm_proto::shm::FlowSnapshot;

use super::{Condition, Tree, condition, endpoint, verdict};
use crate::config::FlowConfig;
use crate::link::Snapshot;
use crate::node::Survey;

/// A summary of every configured flow.
#[must_use]
pub fn overview(survey: &Survey) -> Vec<Tree<'static>> {
    let flows = survey.config.flows.iter();
    flows.map(|flow| of_flow(survey, flow)).collect()
}

/// How the flows of an overview differ from those of the one before.
#[derive(Debug, Default, PartialEq)]
pub struct Changes<'a> {
    /// Places in the list, and the fields that differ. In a list, `null` stands for what is the same.
    pub changed: Vec<(usize, Tree<'a>)>,
    /// Places in the list, and the whole flow.
    pub whole: Vec<(usize, &'a Tree<'static>)>,
}

/// What changed from `old` to `new`; `None` when these are not the same flows.
#[must_use]
pub fn changes<'a>(old: &[Tree<'static>], new: &'a [Tree<'static>]) -> Option<Changes<'a>> {
    if old.len() != new.len() {
        return None;
    }
    let mut changes = Changes::default();
    for (place, (old, new)) in old.iter().zip(new).enumerate() {
        if old.get("flow_id") != new.get("flow_id") {
            return None;
        }
        match difference(old, new) {
            Difference::Nothing => {}
            Difference::Fields(fields) => changes.changed.push((place, fields)),
            Difference::Shape => changes.whole.push((place, new)),
        }
    }
    Some(changes)
}

/// How two values differ.
enum Difference<'a> {
    Nothing,
    /// What has to be put in place of the old values.
    Fields(Tree<'a>),
    /// They do not have the same fields.
    Shape,
}

fn difference<'a>(old: &Tree<'static>, new: &'a Tree<'static>) -> Difference<'a> {
    match (old, new) {
        (Tree::Object(old), Tree::Object(new)) => {
            if old.len() != new.len() || old.iter().zip(new).any(|(old, new)| old.0 != new.0) {
                return Difference::Shape;
            }
            let mut fields = Vec::new();
            for ((name, new), (_, old)) in new.iter().zip(old) {
                match difference(old, new) {
                    Difference::Nothing => {}
                    Difference::Fields(value) => fields.push((*name, value)),
                    Difference::Shape => return Difference::Shape,
                }
            }
            match fields.is_empty() {
                true => Difference::Nothing,
                false => Difference::Fields(Tree::Object(fields)),
            }
        }
        (Tree::List(old), Tree::List(new)) => {
            if old.len() != new.len() {
                return Difference::Shape;
            }
            let mut items = Vec::with_capacity(new.len());
            for (new, old) in new.iter().zip(old) {
                items.push(match difference(old, new) {
                    Difference::Nothing => Tree::Null,
                    Difference::Fields(value) => value,
                    Difference::Shape => return Difference::Shape,
                });
            }
            match items.iter().all(|item| *item == Tree::Null) {
                true => Difference::Nothing,
                false => Difference::Fields(Tree::List(items)),
            }
        }
        (old, new) if old == new => Difference::Nothing,
        (_, new) => Difference::Fields(new.clone()),
    }
}

fn of_flow(survey: &Survey, flow: &FlowConfig) -> Tree<'static> {
    let condition = condition(survey, flow);
    let values = match condition {
        Condition::Live(values) => Some(values),
        _ => None,
    };
    let record = values.map_or_else(FlowRecord::default, |values| values.record);
    let (state, health) = verdict(survey, flow, condition);

    let mut input = Tree::with_room(FIELDS_USUAL);
    input.set("input_type", flow.input.type_name());
    input.set("state", endpoint(record.input_state).unwrap_or_default());
    input.set("bitrate_bps", record.input_bitrate_bps);
    input.set("packets_lost", record.input_packets_lost);
    input.set("packets_filtered", record.input_packets_filtered);
    input.set("packets_recovered_fec", record.input_packets_recovered_fec);
    input.set("redundancy_switches", record.input_redundancy_switches);
    if let Some(values) = values {
        legs(&mut input, values);
        srt(&mut input, &values.srt);
    }

    let mut stats = Tree::with_room(FIELDS_USUAL);
    stats.set("flow_id", Tree::Text(flow.id.clone().into()));
    stats.set("flow_name", Tree::Text(flow.name.clone().into()));
    stats.set("state", state);
    stats.set("health", health);
    stats.set("input", input);
    stats.set("tr101290", Tree::Null);
    if values.is_some() {
        let mut indicators = Tree::with_room(3);
        indicators.set("priority1_ok", record.tr101290_priority1_ok != 0);
        indicators.set("priority2_ok", record.tr101290_priority2_ok != 0);
        indicators.set("priority3_ok", record.tr101290_priority3_ok != 0);
        stats.set("tr101290", indicators);
    }
    let outputs = flow.outputs.iter().map(|output| {
        let values = values.and_then(|flow| Snapshot::output(flow, &output.id));
        let record = values.map(|values| values.record).unwrap_or_default();
        let mut stats = Tree::with_room(4);
        stats.set("state", endpoint(record.state).unwrap_or_default());
        stats.set("packets_dropped", record.packets_dropped);
        if let Some(values) = values {
            srt(&mut stats, &values.srt);
        }
        stats
    });
    stats.set("outputs", Tree::List(outputs.collect()));
    stats
}

fn legs(input: &mut Tree<'static>, values: &FlowSnapshot) {
    let legs = (1_u64..).zip(&values.legs).filter_map(|(leg, record)| {
        let record = record.as_ref()?;
        let mut stats = Tree::with_room(3);
        stats.set("leg", leg);
        stats.set("state", endpoint(record.state).unwrap_or_default());
        stats.set("up", record.up != 0);
        Some(stats)
    });
    let legs: Vec<_> = legs.collect();
    if !legs.is_empty() {
        input.set("legs", Tree::List(legs));
        let skew = values.record.input_leg_skew;
        input.set(
            "leg_skew_us",
            match skew {
                ABSENT => Tree::Null,
                skew => (skew.cast_signed() as f64 / 1_000.0).into(),
            },
        );
    }
}

fn srt(stats: &mut Tree<'static>, legs: &[Option<SrtRecord>]) {
    for (name, record) in ["srt_stats", "srt_leg2_stats"].into_iter().zip(legs) {
        let Some(record) = record else {
            continue;
        };
        let mut leg = Tree::with_room(2);
        leg.set("state", endpoint(record.state).unwrap_or_default());
        leg.set(
            "rtt_ms",
            match record.rtt {
                ABSENT => Tree::Null,
                rtt_us => (rtt_us as f64 / 1_000.0).into(),
            },
        );
        stats.set(name, leg);
    }
}

/// Room for the fields of a flow or an input.
const FIELDS_USUAL: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(id: &str, bitrate_bps: u64, dropped: &[u64]) -> Tree<'static> {
        let mut tree = Tree::object();
        tree.set("flow_id", Tree::Text(id.to_owned().into()));
        tree.set("input.bitrate_bps", bitrate_bps);
        tree.set("input.srt_stats", Tree::Null);
        let outputs = dropped.iter().map(|dropped| {
            let mut output = Tree::object();
            output.set("state", "active");
            output.set("packets_dropped", *dropped);
            output
        });
        tree.set("outputs", Tree::List(outputs.collect()));
        tree
    }

    fn told(old: &[Tree<'static>], new: &[Tree<'static>]) -> Option<serde_json::Value> {
        let changes = changes(old, new)?;
        Some(serde_json::json!([changes.changed, changes.whole]))
    }

    #[test]
    fn only_what_differs_is_told() {
        let old = [flow("a", 1, &[0, 0]), flow("b", 7, &[0])];
        assert_eq!(told(&old, &old.clone()), Some(serde_json::json!([[], []])));
        let new = [flow("a", 2, &[0, 5]), flow("b", 7, &[0])];
        let expected = serde_json::json!([
            [[0, {"input": {"bitrate_bps": 2}, "outputs": [null, {"packets_dropped": 5}]}]],
            []
        ]);
        assert_eq!(told(&old, &new), Some(expected));
    }

    #[test]
    fn a_flow_that_gets_other_fields_is_told_whole() {
        let old = [flow("a", 1, &[0]), flow("b", 7, &[0])];
        let mut more = flow("b", 8, &[0]);
        more.set("input.legs", Tree::List(vec![Tree::object()]));
        for new in [more, flow("b", 7, &[0, 0])] {
            let whole = serde_json::to_value(&new).unwrap();
            let expected = serde_json::json!([[], [[1, whole]]]);
            assert_eq!(told(&old, &[flow("a", 1, &[0]), new]), Some(expected));
        }
    }

    #[test]
    fn null_and_an_object_take_each_others_place() {
        let old = [flow("a", 1, &[])];
        let mut new = flow("a", 1, &[]);
        new.set("input.srt_stats.rtt_ms", 3);
        let new = [new];
        let expected = serde_json::json!([[[0, {"input": {"srt_stats": {"rtt_ms": 3}}}]], []]);
        assert_eq!(told(&old, &new), Some(expected));
        let expected = serde_json::json!([[[0, {"input": {"srt_stats": null}}]], []]);
        assert_eq!(told(&new, &old), Some(expected));
    }

    #[test]
    fn other_flows_are_no_change() {
        let old = [flow("a", 1, &[]), flow("b", 1, &[])];
        assert_eq!(told(&old, &old[..1]), None);
        assert_eq!(told(&old, &[flow("b", 1, &[]), flow("a", 1, &[])]), None);
    }
}
