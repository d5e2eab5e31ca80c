//! One connection to the data plane: greeting, requests in flight, signs of life.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bilbycast_shm_proto::control::{
    ClientMessage, Command, ControlError, ControlErrorKind, FrameError, Hello, PROTOCOL_VERSION,
    Reply, ReplyBody, Request, ServerMessage, Welcome, encode,
};
use bilbycast_shm_proto::event::{Event, Severity};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::frames::FrameReader;
use super::{Job, PING_PERIOD, REPLY_TIMEOUT, SILENCE_MAX, WELCOME_TIMEOUT, far_future};

/// Why there is no connection, or no longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// Whoever listens does not speak our protocol.
    #[error("the data plane's first message was not a welcome")]
    NoWelcome,
    /// Nothing listens.
    #[error("control socket {path}: {source}")]
    NotThere { path: PathBuf, source: io::Error },
    /// The data plane refused the greeting.
    #[error("the data plane refused the connection: {0}")]
    Refused(ControlError),
    /// It hangs.
    #[error("the data plane has not answered for {} s", .0.as_secs())]
    Silent(Duration),
    /// The stream ended or carried something else.
    #[error(transparent)]
    Stream(#[from] FrameError),
    /// A reply to a question that was never asked.
    #[error("the data plane answered request {id}, which is not open")]
    Stray { id: u64 },
    /// Another protocol version.
    #[error(
        "the data plane speaks protocol version {found}, this control plane {PROTOCOL_VERSION}"
    )]
    Version { found: u32 },
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    incoming: OwnedReadHalf,
    frames: FrameReader,
    outgoing: OwnedWriteHalf,
    /// Encoded requests that the socket has not taken yet.
    unsent: VecDeque<u8>,
    /// Requests that have no reply yet, oldest first.
    open: VecDeque<Open>,
    next_id: u64,
    heard: Instant,
}

/// A request without its reply.
#[derive(Debug)]
struct Open {
    id: u64,
    since: Instant,
    /// Absent for the link's own signs of life.
    reply: Option<oneshot::Sender<Result<ReplyBody, ControlError>>>,
}

impl Connection {
    /// Connects and greets.
    pub(super) async fn open(path: &Path) -> Result<(Self, Welcome), ConnectionError> {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(source) => {
                let path = path.to_owned();
                return Err(ConnectionError::NotThere { path, source });
            }
        };
        let (incoming, outgoing) = stream.into_split();
        let mut connection = Self {
            incoming,
            frames: FrameReader::default(),
            outgoing,
            unsent: VecDeque::new(),
            open: VecDeque::new(),
            next_id: 1,
            heard: Instant::now(),
        };
        match timeout(WELCOME_TIMEOUT, connection.greet()).await {
            Ok(welcome) => Ok((connection, welcome?)),
            Err(_) => Err(ConnectionError::Silent(WELCOME_TIMEOUT)),
        }
    }

    async fn greet(&mut self) -> Result<Welcome, ConnectionError> {
        let hello = encode(&ClientMessage::Hello(Hello {
            protocol: PROTOCOL_VERSION,
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
        }))?;
        self.outgoing
            .write_all(&hello)
            .await
            .map_err(FrameError::from)?;
        match self.frames.next(&mut self.incoming).await? {
            ServerMessage::Welcome(welcome) if welcome.protocol == PROTOCOL_VERSION => Ok(welcome),
            ServerMessage::Welcome(welcome) => Err(ConnectionError::Version {
                found: welcome.protocol,
            }),
            ServerMessage::Reply(Reply {
                result: Err(error), ..
            }) => Err(ConnectionError::Refused(error)),
            ServerMessage::Event(_) | ServerMessage::Reply(_) => Err(ConnectionError::NoWelcome),
        }
    }

    /// Carries requests until the connection ends, and says why it did. Whoever waits for a reply then learns it too.
    pub(super) async fn serve(&mut self, mut queue: mpsc::Receiver<Job>) -> ConnectionError {
        self.heard = Instant::now();
        let mut ping = interval_at(Instant::now() + PING_PERIOD, PING_PERIOD);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let takes_more = self.open.len() < OPEN_MAX && self.unsent.len() < UNSENT_BYTES_MAX;
            let (limit, deadline) = self.deadline();
            let heard = tokio::select! {
                biased;
                message = self.frames.next(&mut self.incoming) => message,
                written = write_some(&mut self.outgoing, &self.unsent) => match written {
                    Ok(count) => {
                        self.unsent.drain(..count);
                        continue;
                    }
                    Err(error) => return FrameError::from(error).into(),
                },
                () = sleep_until(deadline) => {
                    // After this process itself was stopped for a while, every deadline has passed though the data
                    // plane answered in time; what it said lies in the socket and shows with the next poll.
                    match timeout(LAST_LOOK, self.frames.next(&mut self.incoming)).await {
                        Ok(message) => message,
                        Err(_) => return ConnectionError::Silent(limit),
                    }
                }
                _ = ping.tick() => {
                    self.ask(Command::Ping, None);
                    continue;
                }
                Some(job) = queue.recv(), if takes_more => {
                    self.ask(job.command, Some(job.reply));
                    continue;
                }
            };
            let taken = match heard {
                Ok(message) => self.take(message),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = taken {
                return error;
            }
        }
    }

    /// When patience ends, and how long it was.
    fn deadline(&self) -> (Duration, Instant) {
        let Some(oldest) = self.open.front() else {
            return (SILENCE_MAX, far_future());
        };
        let late = (REPLY_TIMEOUT, oldest.since + REPLY_TIMEOUT);
        let silent = (SILENCE_MAX, self.heard.max(oldest.since) + SILENCE_MAX);
        if late.1 < silent.1 { late } else { silent }
    }

    fn ask(
        &mut self,
        command: Command,
        reply: Option<oneshot::Sender<Result<ReplyBody, ControlError>>>,
    ) {
        let id = self.next_id;
        self.next_id += 1;
        match encode(&ClientMessage::Request(Request { id, command })) {
            Ok(frame) => {
                self.unsent.extend(frame);
                self.open.push_back(Open {
                    id,
                    since: Instant::now(),
                    reply,
                });
            }
            Err(error) => {
                if let Some(reply) = reply {
                    let error = ControlError::new(ControlErrorKind::Malformed, error.to_string());
                    // Nobody waits any more: then nobody needs to know.
                    let _ = reply.send(Err(error));
                }
            }
        }
    }

    fn take(&mut self, message: ServerMessage) -> Result<(), ConnectionError> {
        self.heard = Instant::now();
        match message {
            ServerMessage::Event(event) => log(&event),
            ServerMessage::Reply(Reply { id, result }) => {
                let found = self.open.iter().position(|open| open.id == id);
                let open = found.and_then(|index| self.open.remove(index));
                let Open { reply, .. } = open.ok_or(ConnectionError::Stray { id })?;
                if let Some(reply) = reply {
                    // As above.
                    let _ = reply.send(result);
                }
            }
            ServerMessage::Welcome(_) => return Err(ConnectionError::NoWelcome),
        }
        Ok(())
    }
}

async fn write_some(outgoing: &mut OwnedWriteHalf, unsent: &VecDeque<u8>) -> io::Result<usize> {
    let (bytes, _) = unsent.as_slices();
    if bytes.is_empty() {
        return pending().await;
    }
    match outgoing.write(bytes).await {
        Ok(0) => Err(io::Error::from(io::ErrorKind::WriteZero)),
        other => other,
    }
}

fn log(event: &Event) {
    let message = one_line(&event.message);
    let flow = one_line(event.flow_id.as_deref().unwrap_or("-"));
    match event.severity {
        Severity::Info => tracing::info!(flow, "data plane: {message}"),
        Severity::Warning => tracing::warn!(flow, "data plane: {message}"),
        Severity::Critical => tracing::error!(flow, "data plane: {message}"),
    }
}

/// Text from elsewhere must not forge log lines.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// How long the socket is asked once more before the data plane counts as hung.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Requests in flight: enough that the data plane never waits for the next one, few enough to be answered in time.
const OPEN_MAX: usize = 64;

/// Encoded requests kept while the socket is full; one flow of 256 outputs is about 40 KB.
const UNSENT_BYTES_MAX: usize = 1 << 20;
