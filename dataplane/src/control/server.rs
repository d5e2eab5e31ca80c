//! The control socket and its clients.
//!
//! Each client has two threads, one that reads and one that writes, and holds the engine's lock only while a command
//! is carried out. A client that does not introduce itself in time, does not read its answers or says what nobody
//! understands is closed.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::{
    ClientMessage, ControlError, ControlErrorKind, FrameError, PROTOCOL_VERSION, Reply,
    ServerMessage, Welcome, read_message, write_message,
};

use super::engine::Engine;
use super::events::Events;
use crate::net::peer::peer_uid;

/// Time for the first message of a client.
const HELLO_TIME: Duration = Duration::from_secs(2);

/// Time for a client to take what is sent to it.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// Clients at the same time. Those that have not said hello give way first, and among equals the one that has been
/// silent longest: a control plane pings every second, so whoever gives way hangs.
const CLIENTS_MAX: usize = 16;

/// Messages that wait for a client: a burst of events while it is busy, and one reply.
const QUEUE_MAX: usize = 1_024;

/// What every client thread needs.
#[derive(Debug)]
pub struct Server {
    engine: Arc<Mutex<Engine>>,
    events: Arc<Events>,
    welcome: Welcome,
    own_uid: u32,
    clients: Mutex<Vec<Client>>,
}

#[derive(Debug)]
struct Client {
    id: u64,
    stream: UnixStream,
    said_hello: bool,
    newest: Instant,
}

impl Server {
    /// A server that introduces itself with `welcome` and obeys `own_uid` and root.
    #[must_use]
    pub const fn new(
        engine: Arc<Mutex<Engine>>,
        events: Arc<Events>,
        welcome: Welcome,
        own_uid: u32,
    ) -> Self {
        Self {
            engine,
            events,
            welcome,
            own_uid,
            clients: Mutex::new(Vec::new()),
        }
    }

    /// Serves clients for ever.
    pub fn serve(self: &Arc<Self>, listener: &UnixListener) {
        for id in 0.. {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("control socket: cannot accept a client: {error}");
                    // No descriptor is left, for instance; trying again at once would only burn the CPU.
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            if let Err(error) = self.admit(id, &stream) {
                tracing::warn!("control socket: client refused: {error}");
                continue;
            }
            let server = Arc::clone(self);
            let spawned = thread::Builder::new()
                .name("control-client".to_owned())
                .stack_size(CLIENT_STACK_BYTES)
                .spawn(move || {
                    match server.converse(id, stream) {
                        Ok(()) | Err(FrameError::Closed) => {}
                        Err(error) => tracing::warn!("control socket: client closed: {error}"),
                    }
                    server.forget(id);
                });
            if let Err(error) = spawned {
                tracing::warn!("control socket: no thread for a client: {error}");
                self.forget(id);
            }
        }
    }

    /// Checks who the client is and makes room for it.
    fn admit(&self, id: u64, stream: &UnixStream) -> io::Result<()> {
        let uid = peer_uid(stream)?;
        if uid != self.own_uid && uid != 0 {
            return Err(io::Error::other(format!(
                "user {uid} is neither root nor the user of this process, {}",
                self.own_uid
            )));
        }
        stream.set_read_timeout(Some(HELLO_TIME))?;
        stream.set_write_timeout(Some(WRITE_TIME))?;
        let client = Client {
            id,
            stream: stream.try_clone()?,
            said_hello: false,
            newest: Instant::now(),
        };
        let mut clients = self.clients();
        if clients.len() >= CLIENTS_MAX
            && let Some(silent) = clients
                .iter()
                .min_by_key(|client| (client.said_hello, client.newest))
        {
            // Its reader wakes up, ends and forgets it.
            let _ = silent.stream.shutdown(Shutdown::Both);
            let silent = silent.id;
            clients.retain(|client| client.id != silent);
        }
        clients.push(client);
        Ok(())
    }

    fn converse(&self, id: u64, mut stream: UnixStream) -> Result<(), FrameError> {
        let ClientMessage::Hello(hello) = read_message(&mut stream)? else {
            return Err(io::Error::other("the first message is not hello").into());
        };
        if hello.protocol != PROTOCOL_VERSION {
            let message = format!(
                "this data plane speaks protocol {PROTOCOL_VERSION}, the client {}",
                hello.protocol
            );
            let result = Err(ControlError::new(ControlErrorKind::Version, message));
            write_message(&mut stream, &ServerMessage::Reply(Reply { id: 0, result }))?;
            return Ok(());
        }
        tracing::info!("control plane {} connected", hello.software_version);
        stream.set_read_timeout(None)?;
        self.touch(id);
        let (queue, queued) = sync_channel(QUEUE_MAX);
        let writer = stream.try_clone()?;
        thread::Builder::new()
            .name("control-writer".to_owned())
            .stack_size(CLIENT_STACK_BYTES)
            .spawn(move || write_all(writer, &queued))?;
        self.say(&queue, ServerMessage::Welcome(self.welcome.clone()))?;
        self.events.subscribe(queue.clone());
        loop {
            let message = read_message(&mut stream)?;
            self.touch(id);
            let ClientMessage::Request(request) = message else {
                return Err(io::Error::other("hello was said twice").into());
            };
            let result = self
                .engine
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .execute(request.command);
            let reply = Reply {
                id: request.id,
                result,
            };
            self.say(&queue, ServerMessage::Reply(reply))?;
        }
    }

    /// Waits when the client is slow: it alone, and not for longer than its writer waits.
    fn say(
        &self,
        queue: &SyncSender<ServerMessage>,
        message: ServerMessage,
    ) -> Result<(), FrameError> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        queue.send(message).map_err(|_| gone().into())
    }

    fn touch(&self, id: u64) {
        if let Some(client) = self.clients().iter_mut().find(|client| client.id == id) {
            client.said_hello = true;
            client.newest = Instant::now();
        }
    }

    fn forget(&self, id: u64) {
        self.clients().retain(|client| {
            if client.id == id {
                // The writer's clone keeps the connection open otherwise.
                let _ = client.stream.shutdown(Shutdown::Both);
            }
            client.id != id
        });
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, Vec<Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's threads decode JSON of bounded depth and open sockets; the default of 2 MiB would be waste.
const CLIENT_STACK_BYTES: usize = 512 << 10;

fn write_all(mut stream: UnixStream, queued: &Receiver<ServerMessage>) {
    for message in queued {
        if let Err(error) = write_message(&mut stream, &message) {
            tracing::warn!("control socket: client does not take what it is sent: {error}");
            break;
        }
    }
    // The reader ends, too.
    let _ = stream.shutdown(Shutdown::Both);
}
