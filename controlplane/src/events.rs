//! What happened on this node, for people and for programs (configuration.md 10.2, 13).
//!
//! There are two sources. The data plane writes its events into rings in shared memory, where they survive a restart of
//! this process; [`Events`] follows the rings. This process raises its own with [`Events::raise`]. Both get into one
//! list of bounded length.
//!
//! **Ids.** An event's id is its own timestamp in microseconds, or one more than the newest id when that is not less.
//! Ids therefore rise in the order in which events become visible, which is what `?since=` needs. The rings are read
//! before anything else gets an id, so that an event of the data plane practically always has its timestamp as id, and
//! a restarted control plane gives the same events the same ids. A timestamp from the future (a clock that was set back
//! since) counts as now, for it would push all later ids into the future.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bilbycast_shm_proto::control::BootId;
use bilbycast_shm_proto::event::{Category, Event, Severity};
use serde_json::{Map, Value};
use tokio::sync::watch;

mod link;
mod ring;
mod store;
mod timestamp;

pub use store::{EVENTS_MAX, RecordedEvent};

pub(crate) use link::follow;

use ring::RingReader;
use store::Store;

/// The events of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Id of the newest event, for those who wait for the next.
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    store: Store,
    ring: RingReader,
}

/// Something that this process tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    severity: Severity,
    category: Category,
    message: String,
    flow_id: Option<String>,
    details: Map<String, Value>,
}

/// Events, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The events that were asked for.
    pub events: Vec<Arc<RecordedEvent>>,
    /// How many events are no longer kept, or were overwritten before they could be read.
    pub dropped: u64,
}

/// Figures about the events themselves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Events that got into the list since the start of this process.
    pub recorded: u64,
    /// Events of the data plane that were overwritten before they could be read.
    pub missed: u64,
}

impl Notice {
    /// A notice that says `message`: one sentence for a person.
    #[must_use]
    pub fn new(severity: Severity, category: Category, message: impl Into<String>) -> Self {
        Self {
            severity,
            category,
            message: message.into(),
            flow_id: None,
            details: Map::new(),
        }
    }

    /// It concerns this flow.
    #[must_use]
    pub fn of_flow(mut self, flow_id: &str) -> Self {
        self.flow_id = Some(flow_id.to_owned());
        self
    }

    /// Adds a detail for programs; `error_code` where configuration.md 13 names one.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    fn at(self, timestamp_us: u64) -> Event {
        Event {
            timestamp_us,
            severity: self.severity,
            category: self.category,
            message: self.message,
            flow_id: self.flow_id,
            details: (!self.details.is_empty()).then_some(Value::Object(self.details)),
        }
    }
}

impl Events {
    /// The events that the shared memory at `shm` still holds, which need not be there yet.
    #[must_use]
    pub fn new(shm: PathBuf) -> Self {
        let state = State {
            store: Store::default(),
            ring: RingReader::new(shm),
        };
        let events = Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                newest: watch::Sender::new(0),
            }),
        };
        events.poll();
        events
    }

    /// Tells everybody. To be called when something changes, never periodically.
    pub fn raise(&self, notice: Notice) {
        self.update(|state| {
            let now_us = unix_us();
            state.store.push(notice.at(now_us), now_us);
        });
    }

    /// Events with an id greater than `since`, newest first.
    #[must_use]
    pub fn list(&self, since: u64) -> Listing {
        self.poll();
        let state = self.lock();
        Listing {
            events: state.store.after(since).rev().cloned().collect(),
            dropped: state.store.dropped(),
        }
    }

    /// Figures about the events themselves.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.lock().store.totals()
    }

    /// The oldest kept event with an id greater than `id`.
    pub(crate) fn next_after(&self, id: u64) -> Option<Arc<RecordedEvent>> {
        self.lock().store.after(id).next().cloned()
    }

    /// Follows the id of the newest event.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.shared.newest.subscribe()
    }

    /// Takes what is new in the rings.
    pub(crate) fn poll(&self) {
        self.update(|_| {});
    }

    /// From now on the rings of this run of the data plane are followed, after what the last one left.
    fn follow_run(&self, boot_id: BootId) {
        self.update(|state| state.ring.follow(boot_id));
        self.poll();
    }

    /// Takes what is new in the rings, then changes something else.
    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let read = state.ring.read();
        let now_us = unix_us();
        state.store.miss(read.missed);
        for event in read.events {
            state.store.push(event, now_us);
        }
        change(&mut state);
        let newest = state.store.newest_id();
        drop(state);
        self.shared.newest.send_if_modified(|id| {
            let is_news = newest > *id;
            *id = newest.max(*id);
            is_news
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = &self.shared.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests;
