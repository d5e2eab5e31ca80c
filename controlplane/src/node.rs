//! The one owner of the configuration.
//!
//! Every change takes the same way: it is validated, its file is prepared (a full disk shows before anything is
//! touched), the data plane is brought to it, the file is committed, and only then readers see it and the caller gets
//! a reply. Changes follow one another; readers take a snapshot and never wait for a change.
//!
//! A change runs as a task of its own: a client that hangs up in the middle cannot leave it half done.
//!
//! While the data plane is lost, changes of the configuration are accepted and saved all the same, for the node's
//! files are the source of truth; the next reconciliation carries them out.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::BootId;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::config::{AppConfig, ConfigError, FlowConfig, Store, check_ports};
use crate::events::{self, Events};
use crate::link::{Counters, Link, LinkState, Session, Snapshot};

mod actions;
mod apply;
mod document;
mod error;
mod flows;
mod history;
pub mod place;
mod reconcile;
mod ring;
mod runs;
mod setup;
mod tell;

pub use error::{FailedFlows, Fault, NodeError};
pub(crate) use flows::FlowEdit;
pub use history::HISTORY_SECONDS_MAX;
pub use runs::Runs;
pub use setup::SetupOutcome;

use place::Placement;

/// Where the data plane is found.
#[derive(Clone, Debug)]
pub struct DataPlanePaths {
    /// Its control socket.
    pub control_socket: PathBuf,
    /// Its shared memory.
    pub shm: PathBuf,
}

/// The node: configuration, link to the data plane, and what runs there.
#[derive(Debug)]
pub struct Node {
    link: Link,
    counters: Counters,
    events: Events,
    store: Arc<Store>,
    /// Locked only to copy or exchange the pointer.
    config: RwLock<Arc<AppConfig>>,
    /// As `config`.
    runs: RwLock<Arc<Runs>>,
    /// Held during a change.
    change: Mutex<Change>,
    placement: Placement,
    runtime: Handle,
    started: Instant,
    streams_end: watch::Sender<bool>,
}

/// What belongs to whoever is changing something.
#[derive(Debug, Default)]
struct Change {
    /// The session whose data plane has been brought to the configuration.
    reconciled: Option<u64>,
}

/// How the data plane is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DataPlane {
    /// Connected: it does what it is told.
    Connected,
    /// It gives no sign of life. What its flows do is unknown.
    Lost,
    /// Nobody is connected to it, and it lives: its flows run on as they are, and its counters can be read.
    Uncontrolled,
}

impl DataPlane {
    /// Its text in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Lost => "lost",
            Self::Uncontrolled => "uncontrolled",
        }
    }
}

/// A moment of the node, for readers.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The configuration.
    pub config: Arc<AppConfig>,
    /// What runs.
    pub runs: Arc<Runs>,
    /// How the data plane is.
    pub data_plane: DataPlane,
    /// Its counters; absent while the data plane is lost.
    pub counters: Option<Arc<Snapshot>>,
    /// Seconds since the start of the control plane.
    pub uptime_secs: u64,
}

impl Node {
    /// Takes over `config`, which came from `store`, and keeps the data plane in accordance with it from now on, on
    /// the current tokio runtime.
    #[must_use]
    pub fn start(config: AppConfig, store: Store, paths: DataPlanePaths) -> Arc<Self> {
        let node = Arc::new(Self {
            link: Link::start(paths.control_socket),
            events: Events::new(paths.shm.clone()),
            counters: Counters::new(paths.shm),
            store: Arc::new(store),
            config: RwLock::new(Arc::new(config)),
            runs: RwLock::default(),
            change: Mutex::default(),
            placement: Placement::of_this_process(),
            runtime: Handle::current(),
            started: Instant::now(),
            streams_end: watch::Sender::new(false),
        });
        tokio::spawn(reconcile::supervise(
            Arc::downgrade(&node),
            node.link.watch(),
        ));
        tokio::spawn(events::follow(Arc::downgrade(&node), node.link.watch()));
        node
    }

    /// The configuration of this moment.
    #[must_use]
    pub fn config(&self) -> Arc<AppConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A flow's configuration.
    ///
    /// # Errors
    ///
    /// [`NodeError::FlowNotFound`].
    pub fn flow(&self, flow_id: &str) -> Result<FlowConfig, NodeError> {
        let config = self.config();
        let flow = config.flow(flow_id);
        flow.cloned()
            .ok_or_else(|| NodeError::FlowNotFound(flow_id.to_owned()))
    }

    /// What happened on this node.
    #[must_use]
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// Tells every WebSocket to say goodbye.
    pub fn end_streams(&self) {
        self.streams_end.send_replace(true);
    }

    /// True when WebSockets shall end.
    pub(crate) fn streams_end(&self) -> watch::Receiver<bool> {
        self.streams_end.subscribe()
    }

    /// Seconds since the start of the control plane.
    #[must_use]
    pub fn uptime_secs(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Everything that statistics are made of.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let (runs, data_plane, counters) = match self.link.state() {
            LinkState::Connected(session) => {
                let counters = self.counters.snapshot(session.welcome().boot_id);
                let runs = self.runs_in(&session);
                (runs, DataPlane::Connected, Some(counters))
            }
            LinkState::Lost { since_ns, .. } => {
                let counters = self.counters.uncontrolled(since_ns);
                let data_plane = match counters {
                    Some(_) => DataPlane::Uncontrolled,
                    None => DataPlane::Lost,
                };
                (without_session(&self.runs()), data_plane, counters)
            }
        };
        Survey {
            config: self.config(),
            runs,
            data_plane,
            counters,
            uptime_secs: self.uptime_secs(),
        }
    }

    /// The run of the data plane that lives though nobody is connected to it.
    pub(crate) fn uncontrolled_run(&self) -> Option<BootId> {
        match self.link.state() {
            LinkState::Connected(_) => None,
            LinkState::Lost { since_ns, .. } => self.counters.uncontrolled_run(since_ns),
        }
    }

    /// Waits until no change is under way, for `patience` at most.
    pub async fn quiesce(&self, patience: Duration) {
        if tokio::time::timeout(patience, self.change.lock())
            .await
            .is_err()
        {
            tracing::warn!("a change is still under way after {patience:?}; leaving it");
        }
    }

    /// What runs, as the data plane told last.
    pub(crate) fn runs(&self) -> Arc<Runs> {
        Arc::clone(&self.runs.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What runs in this session; nothing as long as its data plane has not told.
    fn runs_in(&self, session: &Session) -> Arc<Runs> {
        let runs = self.runs();
        if runs.is_of(session.number()) {
            runs
        } else {
            without_session(&runs)
        }
    }

    fn update_runs(&self, update: impl FnOnce(&mut Runs)) {
        let mut runs = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        update(Arc::make_mut(&mut runs));
        drop(runs);
        self.counters.expire();
    }

    fn publish(&self, config: Arc<AppConfig>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Runs `work` to its end, whether or not the caller stays to hear of it.
    async fn detached<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, NodeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, NodeError>> + Send + 'static,
    {
        let task = self.runtime.spawn(work(Arc::clone(self)));
        match task.await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!("a change ended unexpectedly: {error}");
                Err(NodeError::Internal)
            }
        }
    }

    /// Waits for one's turn to change something. With a session, [`Node::runs`] is exactly what its data plane runs.
    async fn turn(&self) -> (MutexGuard<'_, Change>, Option<Session>) {
        let mut change = self.change.lock().await;
        let session = self.link.state().session().cloned();
        let Some(session) = session else {
            self.update_runs(Runs::lose);
            return (change, None);
        };
        if change.reconciled != Some(session.number()) {
            match self.reconcile(&session).await {
                Ok(()) => change.reconciled = Some(session.number()),
                Err(error) => {
                    tracing::error!("reconciliation was cut short: {error}");
                    self.update_runs(Runs::lose);
                    return (change, None);
                }
            }
        }
        (change, Some(session))
    }

    /// Checks that no two flows that are enabled, run, or are named `starting` want the same port.
    fn check_ports(&self, config: &AppConfig, starting: Option<&str>) -> Result<(), ConfigError> {
        let runs = self.runs();
        check_ports(config, |flow| {
            flow.enabled || runs.flows().contains_key(&flow.id) || starting == Some(&flow.id)
        })
    }
}

impl Survey {
    /// Number of flows that run; 0 while the data plane is lost.
    #[must_use]
    pub fn active_flows(&self) -> usize {
        match (self.data_plane, &self.counters) {
            (DataPlane::Uncontrolled, Some(counters)) => counters.flows(),
            _ => self.runs.flows().len(),
        }
    }
}

fn without_session(runs: &Arc<Runs>) -> Arc<Runs> {
    if !runs.is_known() {
        return Arc::clone(runs);
    }
    let mut runs = Runs::clone(runs);
    runs.lose();
    Arc::new(runs)
}
