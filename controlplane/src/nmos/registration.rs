//! Discovery of registries, and registration with the best one that answers (IS-04 v1.3, nmos.md 6 and 7).
//!
//! * `machine`: the rules, without sockets and without a clock.
//! * `discovery`: registries, by mDNS, in the DNS or from the configuration; announcing this node to its peers.
//! * `client`: HTTP to registries, on a thread of its own.
//! * `voice`: what people hear of it.
//! * `driver`: what brings them together.
//!
//! A registry is somebody else's software. Whatever it does costs this process one thread that waits for it, three
//! seconds per call at most, and 64 KiB; the APIs and the flows never notice.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

mod client;
mod discovery;
mod driver;
mod machine;
mod registry;
mod settings;
mod voice;

pub(super) use client::tls_config;

use super::Nmos;
use crate::config::NmosMode;

/// The registration of a node, from its start to its end.
#[derive(Debug)]
pub struct Registration {
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Where a registration stands, for people and programs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Status {
    /// How registries are looked for: `nmos.registration.mode`.
    pub mode: NmosMode,
    /// Where it stands.
    pub state: State,
    /// The registry that is used or tried.
    pub registry: Option<String>,
    /// Whole seconds since a registry last answered a heartbeat, or took the node, well.
    pub last_heartbeat_age_secs: Option<u64>,
    /// Why the node is not registered, or not all of it.
    pub reason: Option<String>,
    /// The registries that are advertised or configured: those that this node may use, best first, then the others. At
    /// most 64.
    pub registries: Vec<SeenRegistry>,
    /// Resources that the registry does not take: the first ones, 16 at most.
    pub refused: Vec<RefusedResource>,
    /// How many it does not take.
    pub refused_total: usize,
}

/// A registry that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SeenRegistry {
    /// Its name and where it is, as [`Status::registry`] names it; of one that is not taken the name alone.
    pub name: String,
    /// The lowest is the best; absent where it is not told.
    pub priority: Option<u16>,
    /// Whether this node may use it.
    pub taken: bool,
    /// Why it is not taken; or what went wrong with it since it was last of use.
    pub why: Option<String>,
}

/// A resource that the registry does not take.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RefusedResource {
    /// `sender`, for example.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id.
    pub id: Uuid,
    /// Status of the registry's answer.
    pub code: u16,
}

/// Steps of a registration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Switched off.
    Off,
    /// No registry has been found.
    Searching,
    /// A registry is being asked.
    Registering,
    /// A registry has the node, and hears of every change.
    Registered,
    /// No registry that was found can be used; they will be tried again.
    Retrying,
}

/// Where the status hangs for everybody to see; empty while nothing registers.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Option<Posted>>);

/// What hangs there.
#[derive(Debug)]
struct Posted {
    mode: NmosMode,
    state: State,
    registry: Option<String>,
    last_heartbeat: Option<Instant>,
    reason: Option<String>,
    registries: Vec<SeenRegistry>,
    refused: Vec<RefusedResource>,
    refused_total: usize,
}

impl Registration {
    /// Registers the node, as its configuration of each moment says, on the current tokio runtime.
    #[must_use]
    pub fn start(nmos: &Arc<Nmos>) -> Self {
        let (end, ended) = watch::channel(false);
        let task = tokio::spawn(driver::run(Arc::clone(nmos), ended));
        Self { end, task }
    }

    /// Takes the node from its registry and from the network, within two and a half seconds at most.
    pub async fn end(self) {
        self.end.send_replace(true);
        if tokio::time::timeout(END_PATIENCE, self.task).await.is_err() {
            tracing::warn!("NMOS: the registration does not end");
        }
    }
}

impl Board {
    fn post(&self, posted: Posted) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(posted);
    }

    /// The status of this moment.
    pub(super) fn status(&self) -> Option<Status> {
        let posted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        posted.as_ref().map(|posted| Status {
            mode: posted.mode,
            state: posted.state,
            registry: posted.registry.clone(),
            last_heartbeat_age_secs: posted.last_heartbeat.map(|at| at.elapsed().as_secs()),
            reason: posted.reason.clone(),
            registries: posted.registries.clone(),
            refused: posted.refused.clone(),
            refused_total: posted.refused_total,
        })
    }
}

/// Longer than the driver takes.
const END_PATIENCE: Duration = Duration::from_millis(2_500);
