//! The data plane as seen from here: the control socket, and the counters in shared memory.
//!
//! One task owns the socket. It connects, greets, carries requests and notices a data plane that died (the socket
//! closes) or hangs (nothing comes while something is awaited). Each connection is a [`Session`] with a queue of its
//! own, so a request can never slip from one run of the data plane into the next.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bilbycast_shm_proto::control::{
    Command, ControlError, ControlErrorKind, FlowChange, FlowList, ReplyBody, Welcome,
};
use bilbycast_shm_proto::model::FlowSpec;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

mod connection;
mod counters;
mod frames;

pub use counters::{Counters, Snapshot};

use connection::{Connection, ConnectionError};

/// The control link. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Link {
    state: watch::Receiver<LinkState>,
}

/// Whether the data plane is there.
#[derive(Clone, Debug)]
pub enum LinkState {
    /// Connected and greeted.
    Connected(Session),
    /// Not there, or not answering.
    Lost {
        /// Since when.
        since: SystemTime,
        /// The same by CLOCK_MONOTONIC, in nanoseconds.
        since_ns: u64,
        /// Why, for people.
        reason: Arc<str>,
    },
}

impl LinkState {
    /// The session, when there is one.
    #[must_use]
    pub const fn session(&self) -> Option<&Session> {
        match self {
            Self::Connected(session) => Some(session),
            Self::Lost { .. } => None,
        }
    }
}

/// Why the data plane did not do what was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// The connection ended before the reply came. Whether the command was carried out is unknown.
    #[error("the connection to the data plane was lost")]
    Lost,
    /// The data plane refused, and nothing was changed.
    #[error(transparent)]
    Refused(#[from] ControlError),
}

/// One connection to one run of the data plane. Cheap to clone; outlives its connection harmlessly.
#[derive(Clone, Debug)]
pub struct Session {
    number: u64,
    welcome: Arc<Welcome>,
    jobs: mpsc::Sender<Job>,
}

/// A reply that is on its way.
#[derive(Debug)]
pub struct PendingReply(oneshot::Receiver<Result<ReplyBody, ControlError>>);

/// A command and who waits for its reply.
#[derive(Debug)]
struct Job {
    command: Command,
    reply: oneshot::Sender<Result<ReplyBody, ControlError>>,
}

impl Link {
    /// Starts the task that keeps the link to the data plane at `socket` up, on the current tokio runtime.
    #[must_use]
    pub fn start(socket: PathBuf) -> Self {
        let (publish, state) = watch::channel(LinkState::Lost {
            since: SystemTime::now(),
            since_ns: monotonic_ns(),
            reason: Arc::from("not connected yet"),
        });
        tokio::spawn(keep_up(socket, publish));
        Self { state }
    }

    /// The state of this moment.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Follows the state; the current one counts as unseen.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        let mut state = self.state.clone();
        state.mark_changed();
        state
    }
}

impl Session {
    /// Tells this connection from all others since the start of the control plane.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Who the data plane is.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Queues a command; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// [`LinkError::Lost`] when the connection has ended.
    pub async fn send(&self, command: Command) -> Result<PendingReply, LinkError> {
        let (reply, pending) = oneshot::channel();
        match self.jobs.send(Job { command, reply }).await {
            Ok(()) => Ok(PendingReply(pending)),
            Err(_) => Err(LinkError::Lost),
        }
    }

    /// Makes a flow what `spec` says.
    ///
    /// # Errors
    ///
    /// As [`LinkError`].
    pub async fn apply(&self, spec: FlowSpec) -> Result<FlowChange, LinkError> {
        let reply = self.send(Command::ApplyFlow(spec)).await?;
        reply.change().await
    }

    /// Stops a flow.
    ///
    /// # Errors
    ///
    /// As [`LinkError`].
    pub async fn stop(&self, flow_id: &str, by_operator: bool) -> Result<(), LinkError> {
        let command = Command::StopFlow {
            flow_id: flow_id.to_owned(),
            by_operator,
        };
        self.send(command).await?.body().await.map(|_| ())
    }

    /// What runs.
    ///
    /// # Errors
    ///
    /// As [`LinkError`].
    pub async fn list(&self) -> Result<FlowList, LinkError> {
        match self.send(Command::ListFlows).await?.body().await? {
            ReplyBody::Flows(flows) => Ok(flows),
            other => Err(misplaced("ListFlows", &other)),
        }
    }
}

impl PendingReply {
    /// Waits for the reply.
    ///
    /// # Errors
    ///
    /// As [`LinkError`].
    pub async fn body(self) -> Result<ReplyBody, LinkError> {
        match self.0.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(LinkError::Lost),
        }
    }

    /// Waits for the reply to [`Command::ApplyFlow`].
    ///
    /// # Errors
    ///
    /// As [`LinkError`].
    pub async fn change(self) -> Result<FlowChange, LinkError> {
        match self.body().await? {
            ReplyBody::Applied(change) => Ok(change),
            other => Err(misplaced("ApplyFlow", &other)),
        }
    }
}

fn misplaced(command: &str, body: &ReplyBody) -> LinkError {
    let body = match body {
        ReplyBody::Applied(_) => "applied",
        ReplyBody::Done => "done",
        ReplyBody::Flows(_) => "flows",
    };
    let message = format!("the data plane answered {command} with '{body}'");
    ControlError::new(ControlErrorKind::Malformed, message).into()
}

/// Connects, serves, and connects again, for as long as anybody looks at the state.
async fn keep_up(socket: PathBuf, publish: watch::Sender<LinkState>) {
    let mut retry = interval(RETRY_PERIOD);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    let mut reported = String::new();
    let mut lost_since = (SystemTime::now(), monotonic_ns());
    while !publish.is_closed() {
        retry.tick().await;
        let error = match Connection::open(&socket).await {
            Ok((mut connection, welcome)) => {
                number += 1;
                reported.clear();
                tracing::info!(
                    "connected to data plane {} (pid {}, packet cores {:?})",
                    connection::one_line(&welcome.software_version),
                    welcome.pid,
                    welcome.cores
                );
                let (jobs, queue) = mpsc::channel(QUEUE_JOBS_MAX);
                publish.send_replace(LinkState::Connected(Session {
                    number,
                    welcome: Arc::new(welcome),
                    jobs,
                }));
                let error = tokio::select! {
                    error = connection.serve(queue) => error,
                    () = publish.closed() => return,
                };
                lost_since = (SystemTime::now(), monotonic_ns());
                error
            }
            Err(error) => error,
        };
        let reason = error.to_string();
        publish.send_replace(LinkState::Lost {
            since: lost_since.0,
            since_ns: lost_since.1,
            reason: Arc::from(reason.as_str()),
        });
        // Ten attempts a second fail alike; only what is new is worth a line.
        if reason != reported {
            report(&error);
            reported = reason;
        }
    }
}

fn report(error: &ConnectionError) {
    match error {
        ConnectionError::NotThere { .. } => tracing::warn!("no data plane: {error}"),
        _ => tracing::error!("no connection to the data plane: {error}"),
    }
}

/// Pause between two attempts. A data plane that comes back must carry every flow again within one second.
const RETRY_PERIOD: Duration = Duration::from_millis(100);

/// Commands that wait for the connection to take them.
const QUEUE_JOBS_MAX: usize = 64;

/// How long a data plane may take to answer the greeting.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the data plane is asked for a sign of life.
const PING_PERIOD: Duration = Duration::from_secs(1);

/// Silence, while something is awaited, after which the data plane counts as hung.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// How long one reply may take, whatever else is heard meanwhile.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// CLOCK_MONOTONIC in nanoseconds: the clock of the data plane's signs of life.
fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let ns = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(ns).unwrap_or(0)
}

/// When nothing is awaited, nothing is late.
fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
