//! Events on their way to clients and into the shared memory.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bilbycast_shm_proto::control::ServerMessage;
use bilbycast_shm_proto::event::{Category, Event, Severity};
use bilbycast_shm_proto::shm::ControlWriter;

use crate::check::Finding;
use crate::net::clock;

/// Where the control side tells what happened.
#[derive(Debug)]
pub struct Events {
    writer: Mutex<ControlWriter>,
    clients: Mutex<Vec<SyncSender<ServerMessage>>>,
}

impl Events {
    /// Events without clients yet.
    #[must_use]
    pub const fn new(writer: ControlWriter) -> Self {
        Self {
            writer: Mutex::new(writer),
            clients: Mutex::new(Vec::new()),
        }
    }

    /// Shows that this process lives.
    pub fn heartbeat(&self) {
        lock(&self.writer).heartbeat(clock::monotonic_ns());
    }

    /// Tells something about a flow: to the log, into the shared memory and to every client.
    pub fn flow(&self, severity: Severity, flow_id: &str, message: String) {
        self.tell(&Event {
            timestamp_us: clock::unix_us(),
            severity,
            category: Category::Flow,
            message,
            flow_id: Some(flow_id.to_owned()),
            details: None,
        });
    }

    /// Tells a finding about the host that would hurt packets, likewise.
    pub fn host(&self, finding: &Finding) {
        self.tell(&Event {
            timestamp_us: clock::unix_us(),
            severity: Severity::Warning,
            category: Category::SystemResources,
            message: format!("host: {}: {}; {}", finding.name, finding.value, finding.why),
            flow_id: None,
            details: Some(finding.to_json()),
        });
    }

    fn tell(&self, event: &Event) {
        match event.severity {
            Severity::Info => tracing::info!("{}", event.message),
            Severity::Warning | Severity::Critical => tracing::warn!("{}", event.message),
        }
        lock(&self.writer).push_event(event);
        // A client whose queue is full misses this one on the socket and finds it in the shared memory.
        lock(&self.clients).retain(|client| {
            let sent = client.try_send(ServerMessage::Event(event.clone()));
            !matches!(sent, Err(TrySendError::Disconnected(_)))
        });
    }

    /// From now on the client gets events.
    pub fn subscribe(&self, client: SyncSender<ServerMessage>) {
        lock(&self.clients).push(client);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic ends the process, so a poisoned lock is never seen; its content would be whole anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
