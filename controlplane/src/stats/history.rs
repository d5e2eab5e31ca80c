//! The seconds of a flow that the shared memory still has.

use bilbycast_shm_proto::counters::HistoryRecord;

use super::{Tree, count, flow_code};

/// `data` of `GET /api/v1/stats/{flow_id}/history`: what is counted grows from the start of the flow, what goes up and
/// down is that of the second.
#[must_use]
pub fn history<'a>(flow_id: &'a str, seconds: &[HistoryRecord]) -> Tree<'a> {
    let mut tree = Tree::object();
    tree.set("flow_id", flow_id);
    tree.set("seconds", Tree::List(seconds.iter().map(second).collect()));
    tree
}

fn second<'a>(record: &HistoryRecord) -> Tree<'a> {
    let mut tree = Tree::with_room(HistoryRecord::WORDS);
    let rows = HistoryRecord::FIELDS.iter().zip(record.to_words());
    count(&mut tree, true, rows, flow_code);
    tree
}
