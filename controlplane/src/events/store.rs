//! The list of events: the newest, with ids that only rise.

use std::collections::VecDeque;
use std::sync::Arc;

use bilbycast_shm_proto::event::{Category, Event, Severity};
use serde::Serialize;
use serde_json::Value;

use super::Totals;
use super::timestamp::rfc3339;

/// Events that are kept (configuration.md 10.2).
pub const EVENTS_MAX: usize = 1_024;

/// An event as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordedEvent {
    /// Greater than the id of every earlier event, over restarts too: Unix time of its creation in microseconds.
    pub id: u64,
    /// Time of its creation, RFC 3339, in UTC.
    pub timestamp: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub category: Category,
    /// One sentence for a person.
    pub message: String,
    /// The flow that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// Figures for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// The newest events, oldest first.
#[derive(Debug, Default)]
pub(super) struct Store {
    kept: VecDeque<Arc<RecordedEvent>>,
    newest_id: u64,
    fallen_out: u64,
    totals: Totals,
}

impl Store {
    /// Appends an event; `now_us` is the Unix time in microseconds.
    pub(super) fn push(&mut self, event: Event, now_us: u64) {
        let created_us = match event.timestamp_us {
            future if future > now_us.saturating_add(CLOCK_TOLERANCE_US) => now_us,
            created => created,
        };
        self.newest_id = created_us.max(self.newest_id.saturating_add(1));
        let mut message = event.message;
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        if self.kept.len() == EVENTS_MAX {
            self.kept.pop_front();
            self.fallen_out += 1;
        }
        self.kept.push_back(Arc::new(RecordedEvent {
            id: self.newest_id,
            timestamp: rfc3339(created_us),
            severity: event.severity,
            category: event.category,
            message,
            flow_id: event.flow_id,
            details: event.details,
        }));
        self.totals.recorded += 1;
    }

    /// So many events were overwritten before they could be read.
    pub(super) const fn miss(&mut self, events: u64) {
        self.totals.missed = self.totals.missed.saturating_add(events);
    }

    /// Kept events with a greater id, oldest first.
    pub(super) fn after(&self, id: u64) -> impl DoubleEndedIterator<Item = &Arc<RecordedEvent>> {
        let first = self.kept.partition_point(|event| event.id <= id);
        self.kept.range(first..)
    }

    /// How many events there were that are not kept.
    pub(super) const fn dropped(&self) -> u64 {
        self.fallen_out.saturating_add(self.totals.missed)
    }

    pub(super) const fn newest_id(&self) -> u64 {
        self.newest_id
    }

    pub(super) const fn totals(&self) -> Totals {
        self.totals
    }
}

/// How far a timestamp may lie ahead: the data plane reads the same clock, so only a clock that was set back in between
/// puts an event into the future.
const CLOCK_TOLERANCE_US: u64 = 1_000_000;

/// Longest message: twice what the data plane's rings hold.
const MESSAGE_BYTES_MAX: usize = 2_048;
