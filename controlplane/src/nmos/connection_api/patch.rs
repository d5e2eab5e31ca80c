//! Staging and activating.

use std::sync::Arc;

use bilbycast_shm_proto::event::{Category, Severity};
use serde_json::Value;
use uuid::Uuid;

use super::activation::unexpected;
use super::endpoint::{Applied, Endpoint, Patched};
use super::host::SystemHost;
use super::mapping::activated_flow;
use super::params::{ReceiverLeg, SenderLeg};
use super::saved::Endpoints;
use super::side::Side;
use super::transport_file::announced;
use super::{ConnectionError, Connections, Found, due};
use crate::config::{ConfigError, flow_spec};
use crate::events::Notice;
use crate::nmos::resources::sender_id;
use crate::nmos::tai::Tai;
use crate::node::NodeError;

/// What a PATCH is answered with.
#[derive(Debug)]
pub(super) struct Answer {
    /// 200, or 202 for an activation that waits.
    pub(super) status: u16,
    /// The staged endpoint.
    pub(super) staged: Value,
}

/// One entry of a bulk request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Uuid,
    pub(super) params: Value,
}

impl Connections {
    /// Changes what is staged, and activates it when `body` says so.
    pub(super) async fn patch<L: Side>(
        self: &Arc<Self>,
        id: Uuid,
        body: Value,
    ) -> Result<Answer, ConnectionError> {
        let entry = Entry { id, params: body };
        let mut answers = self.patch_all::<L>(vec![entry]).await;
        answers
            .pop()
            .unwrap_or(Err(ConnectionError::Node(NodeError::Internal)))
    }

    /// As [`Self::patch`] for each entry, one after the other.
    pub(super) async fn patch_all<L: Side>(
        self: &Arc<Self>,
        entries: Vec<Entry>,
    ) -> Vec<Result<Answer, ConnectionError>> {
        let count = entries.len();
        let answers = self.detached(|connections| async move {
            let _turn = connections.turn.lock().await;
            connections.carry_out_due().await;
            connections.patch_in_turn::<L>(entries).await
        });
        answers.await.unwrap_or_else(|| {
            let defect = || Err(ConnectionError::Node(NodeError::Internal));
            std::iter::repeat_with(defect).take(count).collect()
        })
    }

    async fn patch_in_turn<L: Side>(
        self: &Arc<Self>,
        entries: Vec<Entry>,
    ) -> Vec<Result<Answer, ConnectionError>> {
        // Activations are in force when they return; all that is only staged is saved in the end, at once.
        let mut answers = Vec::with_capacity(entries.len());
        let mut staged = Vec::new();
        for (index, Entry { id, params }) in entries.into_iter().enumerate() {
            let before = self.entry::<L>(id);
            let answer = self.patch_one::<L>(id, &params).await;
            if let Ok((_, Kept::Staged)) = answer {
                staged.push((index, id, before));
            }
            answers.push(answer.map(|(answer, _)| answer));
        }
        if let Err(error) = self.save().await {
            let reason = error.to_string();
            // In the opposite order, for an id may come twice.
            for (index, id, before) in staged.into_iter().rev() {
                self.put_entry::<L>(id, before);
                answers[index] = Err(ConnectionError::NotSaved(reason.clone()));
            }
            tracing::error!("NMOS: {error}");
        }
        self.scheduled.notify_one();
        answers
    }

    async fn patch_one<L: Side>(
        self: &Arc<Self>,
        id: Uuid,
        params: &Value,
    ) -> Result<(Answer, Kept), ConnectionError> {
        let found = self.look::<L>(id)?;
        let reach = SystemHost::of(&found.model).reach();
        match found.endpoint.patch(params, &reach, Tai::now())? {
            Patched::Staged(next) => {
                let staged = next.staged_json();
                self.put_entry(id, Some(next));
                let status = 200;
                Ok((Answer { status, staged }, Kept::Staged))
            }
            Patched::Scheduled(next) => {
                // What the configuration can never be is told now, not when nobody listens any more.
                rehearse(&found, &next, id)?;
                let staged = next.staged_json();
                self.put_entry(id, Some(next));
                let status = 202;
                Ok((Answer { status, staged }, Kept::Staged))
            }
            Patched::Activate(next) => {
                let next = self.activate(id, &found, next).await?;
                let staged = next.activated_json();
                let status = 200;
                Ok((Answer { status, staged }, Kept::Activated))
            }
        }
    }

    /// Brings what is staged in `next` into force, and notes it.
    async fn activate<L: Side>(
        self: &Arc<Self>,
        id: Uuid,
        found: &Found<L>,
        next: Endpoint<L>,
    ) -> Result<Endpoint<L>, ConnectionError> {
        let Found { subject, model, .. } = found;
        let label = model.get(L::KIND, id).map_or("", |found| found.label());
        let what = format!("NMOS activation of {} '{}'", L::SIDE, label.escape_debug());
        let edit = {
            let (settings, subject) = (next.staged().clone(), subject.clone());
            let mut applied = next.applied().clone();
            move |flow: &_| {
                let flow = activated_flow(flow, &subject, &settings, id, &mut applied)?;
                Ok((flow, applied.removed))
            }
        };
        let node = self.nmos.node();
        let edited = node.edit_flow(subject.flow_id.clone(), what, edit).await;
        let (flow, removed) = edited?;
        let activated = next.activated(removed, Tai::now());
        let activated = match L::configured(&flow, subject, activated.applied()) {
            Some(configured) => activated.settled(configured),
            None => activated,
        };
        let applied = activated.applied();
        let peer = applied.peer;
        let is_announced_anew = L::HAS_TRANSPORT_FILE && {
            let announced = |file: Option<&String>| file.and_then(|file| announced(file));
            announced(applied.transport_file.as_ref())
                != announced(found.endpoint.applied().transport_file.as_ref())
        };
        self.put_entry(id, Some(activated.clone()));
        self.nmos.activated(L::KIND, id, peer);
        if is_announced_anew {
            // What passes through untouched stands in the SDP of these.
            let node_id = model.config().node_id;
            for output in &flow.outputs {
                let sender = sender_id(node_id, &flow.id, &output.id);
                self.nmos.bump(SenderLeg::KIND, sender);
            }
        }
        Ok(activated)
    }

    /// Carries out what is due, in the order of time.
    pub(super) async fn carry_out_due(self: &Arc<Self>) {
        let now = Tai::now();
        let mut all: Vec<_> = {
            let endpoints = self.lock();
            let senders = due(&endpoints.senders).map(|(due, id)| (due, SenderLeg::KIND, id));
            let receivers = due(&endpoints.receivers).map(|(due, id)| (due, ReceiverLeg::KIND, id));
            let all = senders.chain(receivers);
            all.filter(|(due, ..)| *due <= now).collect()
        };
        if all.is_empty() {
            return;
        }
        all.sort();
        for (_, kind, id) in all {
            match kind {
                SenderLeg::KIND => self.carry_out::<SenderLeg>(id).await,
                _ => self.carry_out::<ReceiverLeg>(id).await,
            }
        }
        if let Err(error) = self.save().await {
            tracing::error!("NMOS: {error}");
        }
    }

    async fn carry_out<L: Side>(self: &Arc<Self>, id: Uuid) {
        let Ok(found) = self.look::<L>(id) else {
            tracing::warn!("NMOS: {} {id} has gone before its activation", L::SIDE);
            self.put_entry::<L>(id, None);
            return;
        };
        let activated = self.activate(id, &found, found.endpoint.clone()).await;
        if let Err(error) = activated {
            let message = format!(
                "a scheduled NMOS activation of {} {id} failed: {error}",
                L::SIDE
            );
            tracing::error!("{message}");
            let notice = Notice::new(Severity::Warning, Category::Config, message);
            let notice = notice.of_flow(&found.subject.flow_id);
            self.nmos.node().events().raise(notice);
            self.put_entry(id, Some(found.endpoint.given_up()));
        }
    }

    fn entry<L: Side>(&self, id: Uuid) -> Option<Endpoint<L>> {
        L::table_mut(&mut self.lock()).get(&id).cloned()
    }

    fn put_entry<L: Side>(&self, id: Uuid, endpoint: Option<Endpoint<L>>) {
        let mut endpoints = self.lock();
        let table = L::table_mut(&mut endpoints);
        match endpoint {
            Some(endpoint) => table.insert(id, endpoint),
            None => table.remove(&id),
        };
    }

    /// Writes what has to outlive this process. Endpoints of what is no longer configured are forgotten.
    async fn save(&self) -> Result<(), ConnectionError> {
        let model = self.nmos.model();
        let node_id = model.config().node_id;
        let document = {
            let mut endpoints = self.lock();
            let Endpoints { senders, receivers } = &mut *endpoints;
            senders.retain(|id, _| model.sender(*id).is_some());
            receivers.retain(|id, _| model.receiver(*id).is_some());
            endpoints.to_json(node_id)
        };
        let file = self.file.clone();
        let written = self.runtime.spawn_blocking(move || {
            let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
            bytes.push(b'\n');
            file.write(&bytes)
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ConnectionError::NotSaved(error.to_string())),
            Err(error) => Err(ConnectionError::NotSaved(error.to_string())),
        }
    }
}

/// Longest bulk request, in entries: all that is staged waits for its end.
const BULK_MAX: usize = 4_096;

/// Where what a PATCH did is kept.
#[derive(Clone, Copy, Debug)]
enum Kept {
    /// In the configuration.
    Activated,
    /// In the file of this API alone.
    Staged,
}

/// Whether what is staged makes a legal configuration now.
fn rehearse<L: Side>(
    found: &Found<L>,
    next: &Endpoint<L>,
    id: Uuid,
) -> Result<(), ConnectionError> {
    let Found { subject, model, .. } = found;
    let config = model.config();
    let Some(flow) = config.flow(&subject.flow_id) else {
        return Err(ConnectionError::not_found::<L>(id));
    };
    let mut applied: Applied<L> = next.applied().clone();
    let legal = activated_flow(flow, subject, next.staged(), id, &mut applied)
        .and_then(|flow| flow_spec(&flow, config.wrap_payload_type()));
    legal
        .map(|_| ())
        .map_err(|error: ConfigError| NodeError::from(error).into())
}

/// The entries of a bulk request.
///
/// # Errors
///
/// [`ConnectionError::Invalid`] when it is no list of them: then nothing of it is carried out.
pub(super) fn entries(body: Value) -> Result<Vec<Entry>, ConnectionError> {
    let Value::Array(list) = body else {
        return Err(unexpected("the body", &body, "a list"));
    };
    if list.len() > BULK_MAX {
        let problem = format!("a list of {}, {BULK_MAX} are allowed", list.len());
        return Err(ConnectionError::invalid("the body", problem));
    }
    let mut entries = Vec::with_capacity(list.len());
    for (index, entry) in list.into_iter().enumerate() {
        let place = |field: &str| format!("[{index}]{field}");
        let Value::Object(mut entry) = entry else {
            return Err(unexpected(&place(""), &entry, "an object"));
        };
        let (id, params) = (entry.remove("id"), entry.remove("params"));
        if let Some(key) = entry.keys().next() {
            let field = place(&format!(".{}", key.escape_debug()));
            return Err(ConnectionError::invalid(field, "there is no such field"));
        }
        let id = id.unwrap_or_default();
        let parsed = id.as_str().and_then(|id| Uuid::try_parse(id).ok());
        let Some(uuid) = parsed else {
            return Err(unexpected(&place(".id"), &id, "a UUID"));
        };
        let params = params.unwrap_or_default();
        if !params.is_object() {
            return Err(unexpected(&place(".params"), &params, "an object"));
        }
        entries.push(Entry { id: uuid, params });
    }
    Ok(entries)
}
