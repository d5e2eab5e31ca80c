//! IS-05 v1.1, the Connection API: what senders and receivers are connected with, and changing it.
//!
//! * [`params`] and [`constraints`]: transport parameters and what they may be.
//! * [`activation`]: when what is staged becomes active.
//! * [`settings`] and [`endpoint`]: the staged and the active side of one sender or receiver, a state machine without
//!   any input or output.
//! * [`mapping`]: between parameters and the configuration.
//!
//! The configuration is what is active: an activation is a change of the flow that takes the way of every other change
//! (validated, applied, saved, or nothing at all), and `/active` shows what the configuration says at this moment. What
//! it has no place for is kept in a file beside it, so that staged parameters and activations that wait outlive this
//! process.
//!
//! Activations that are due are carried out by a timer, and before any request of NMOS is answered: however late the
//! timer is, nobody sees a moment at which one is due and has not happened.

pub mod activation;
pub mod constraints;
pub mod endpoint;
mod error;
mod follow;
mod host;
pub mod mapping;
pub mod params;
mod patch;
mod routes;
mod saved;
pub mod settings;
mod side;
mod sources;
#[cfg(test)]
mod tests;
mod transport_file;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use uuid::Uuid;

pub use error::ConnectionError;
pub(crate) use routes::routes;

use super::Nmos;
use super::resources::Model;
use super::tai::Tai;
use crate::config::{AppConfig, Companion};
use crate::node::Node;
use endpoint::Endpoint;
use host::SystemHost;
use mapping::Subject;
use params::{Leg, SenderLeg};
use saved::{Endpoints, FILE_NAME};
use side::Side;

/// The Connection API of this node.
#[derive(Debug)]
pub struct Connections {
    nmos: Arc<Nmos>,
    file: Companion,
    runtime: Handle,
    /// Held while something is staged or activated: one after the other.
    turn: tokio::sync::Mutex<()>,
    /// Locked only to look something up or to exchange it.
    endpoints: Mutex<Endpoints>,
    /// An activation was scheduled, or cancelled.
    scheduled: Notify,
    /// An activation was cancelled, and the file does not say so yet.
    is_unsaved: AtomicBool,
    /// The configuration that connections were last compared with.
    followed: Mutex<Arc<AppConfig>>,
}

/// A sender or receiver at this moment.
#[derive(Debug)]
struct Found<L> {
    subject: Subject,
    endpoint: Endpoint<L>,
    model: Arc<Model>,
}

impl Connections {
    /// The Connection API of `nmos`, with what an earlier process left staged and scheduled. Activations that have
    /// become due since are carried out now.
    #[must_use]
    pub fn start(nmos: &Arc<Nmos>) -> Arc<Self> {
        let node = nmos.node();
        let file = node.companion(FILE_NAME);
        let endpoints = load(&file, node);
        let connections = Arc::new(Self {
            nmos: Arc::clone(nmos),
            file,
            runtime: Handle::current(),
            turn: tokio::sync::Mutex::default(),
            endpoints: Mutex::new(endpoints),
            scheduled: Notify::new(),
            is_unsaved: AtomicBool::new(false),
            followed: Mutex::new(node.config()),
        });
        connections.introduce();
        tokio::spawn(keep_time(Arc::downgrade(&connections)));
        connections
    }

    /// Carries out every activation that is due. To be called before any request of NMOS is answered.
    pub async fn settle(self: &Arc<Self>) {
        self.follow();
        if !self.is_due(Tai::now()) && !self.is_unsaved.load(Ordering::Relaxed) {
            return;
        }
        self.detached(|connections| async move {
            let _turn = connections.turn.lock().await;
            connections.carry_out_due().await;
            if connections.is_unsaved.swap(false, Ordering::Relaxed)
                && let Err(error) = connections.save().await
            {
                tracing::error!("NMOS: {error}");
            }
        })
        .await;
    }

    /// The staged endpoint.
    fn staged<L: Side>(&self, id: Uuid) -> Result<Value, ConnectionError> {
        Ok(self.look::<L>(id)?.endpoint.staged_json())
    }

    /// The active endpoint.
    fn active<L: Side>(&self, id: Uuid) -> Result<Value, ConnectionError> {
        let Found {
            endpoint, model, ..
        } = self.look::<L>(id)?;
        let host = SystemHost::of(&model);
        let legs = L::resolved(&endpoint.seen().legs, &host);
        let resource = model.get(L::KIND, id);
        let is_on = resource.is_some_and(|resource| resource.is_active());
        Ok(endpoint.active_json(is_on, &legs))
    }

    /// What its parameters may be.
    fn constraints<L: Side>(&self, id: Uuid) -> Result<Value, ConnectionError> {
        let Found {
            endpoint, model, ..
        } = self.look::<L>(id)?;
        let reach = SystemHost::of(&model).reach();
        Ok(constraints::constraints(&endpoint.seen().legs, &reach))
    }

    /// The transport, always the base of its names.
    fn transport_type<L: Side>(&self, id: Uuid) -> Result<Value, ConnectionError> {
        let _known = self.look::<L>(id)?;
        Ok(Value::from(TRANSPORT))
    }

    /// The SDP of a sender.
    fn transport_file(&self, id: Uuid) -> Result<String, ConnectionError> {
        let found = self.look::<SenderLeg>(id)?;
        Ok(transport_file::of_sender(&found, id))
    }

    /// Runs `work` to its end, whether or not the caller stays to hear of it; `None` is a defect that the log has.
    async fn detached<T, F>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        match self.runtime.spawn(work(Arc::clone(self))).await {
            Ok(result) => Some(result),
            Err(error) => {
                tracing::error!("NMOS: a change ended unexpectedly: {error}");
                None
            }
        }
    }

    fn is_due(&self, now: Tai) -> bool {
        self.next_due().is_some_and(|due| due <= now)
    }

    /// When the next activation is due.
    fn next_due(&self) -> Option<Tai> {
        let endpoints = self.lock();
        let senders = due(&endpoints.senders).map(|(due, _)| due).min();
        let receivers = due(&endpoints.receivers).map(|(due, _)| due).min();
        senders.into_iter().chain(receivers).min()
    }

    fn lock(&self) -> MutexGuard<'_, Endpoints> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// RTP, as the NMOS parameter registers name it.
const TRANSPORT: &str = "urn:x-nmos:transport:rtp";

/// Activations that wait, and whose they are.
fn due<L: Leg>(table: &saved::Table<L>) -> impl Iterator<Item = (Tai, Uuid)> {
    table.iter().filter_map(|(id, endpoint)| {
        let scheduled = endpoint.scheduled()?;
        Some((scheduled.due, *id))
    })
}

fn load(file: &Companion, node: &Node) -> Endpoints {
    let bytes = match file.read() {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Endpoints::default(),
        Err(error) => {
            tracing::error!("NMOS: {FILE_NAME} cannot be read, nothing is staged: {error}");
            return Endpoints::default();
        }
    };
    Endpoints::restore(&bytes, node.config().node_id).unwrap_or_else(|reason| {
        tracing::error!("NMOS: {FILE_NAME} is not used, nothing is staged: {reason}");
        Endpoints::default()
    })
}

/// Carries out activations when they are due.
async fn keep_time(connections: Weak<Connections>) {
    loop {
        let Some(strong) = connections.upgrade() else {
            return;
        };
        strong.settle().await;
        let wait = strong.next_due().map_or(STEP_MAX, Tai::from_now);
        let scheduled = strong.scheduled.notified();
        // The clock of TAI may be set while this sleeps, so it looks at it again and again.
        let _ = tokio::time::timeout(wait.min(STEP_MAX), scheduled).await;
    }
}

/// Longest sleep between two looks at the clock.
const STEP_MAX: Duration = Duration::from_secs(1);
