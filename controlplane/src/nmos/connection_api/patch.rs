//! Staging and activating.

use std::collections::HashSet;
use std::sync::Arc;

use bilbycast_shm_proto::event::{Category, Severity};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::activation::unexpected;
use super::endpoint::{Applied, Endpoint, Patched};
use super::host::SystemHost;
use super::mapping::{activated_flow, changed_since};
use super::params::{ReceiverLeg, SenderLeg};
use super::saved::Endpoints;
use super::side::Side;
use super::transport_file::announced;
use super::{ConnectionError, Connections, Found, due};
use crate::config::{ConfigError, flow_spec};
use crate::events::Notice;
use crate::nmos::tai::Tai;
use crate::node::{FlowEdit, NodeError};

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
        answers.pop().unwrap_or_else(|| Err(defect()))
    }

    /// As [`Self::patch`], for a receiver.
    pub(in crate::nmos) async fn patch_receiver(
        self: &Arc<Self>,
        id: Uuid,
        body: Value,
    ) -> Result<(), ConnectionError> {
        self.patch::<ReceiverLeg>(id, body).await.map(drop)
    }

    /// As [`Self::patch`] for each entry, in their order.
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
            let defects = std::iter::repeat_with(|| Err(defect()));
            defects.take(count).collect()
        })
    }

    async fn patch_in_turn<L: Side>(
        self: &Arc<Self>,
        entries: Vec<Entry>,
    ) -> Vec<Result<Answer, ConnectionError>> {
        // What is activated becomes one change of the configuration, and is in force when that returns; all that is
        // only staged is saved in the end, at once.
        let mut answers: Vec<_> = entries.iter().map(|_| Err(defect())).collect();
        let mut staged = Vec::new();
        let mut waiting = Waiting::default();
        for (index, Entry { id, params }) in entries.into_iter().enumerate() {
            if waiting.ids.contains(&id) {
                self.activate_waiting(&mut waiting, &mut answers).await;
            }
            let before = self.entry::<L>(id);
            answers[index] = match self.stage::<L>(id, &params) {
                Ok(Next::Staged(answer)) => {
                    staged.push((index, id, before));
                    Ok(answer)
                }
                Ok(Next::Activate(activation)) => {
                    waiting.push(index, *activation);
                    continue;
                }
                Err(error) => Err(error),
            };
        }
        self.activate_waiting(&mut waiting, &mut answers).await;
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

    /// Stages what a PATCH says, unless it is to be activated now.
    fn stage<L: Side>(&self, id: Uuid, params: &Value) -> Result<Next<L>, ConnectionError> {
        let found = self.look_in_turn::<L>(&self.nmos.model(), id)?;
        let reach = SystemHost::of(&found.model).reach();
        let patched = found.endpoint.patch(params, &reach, Tai::now())?;
        if params.get("transport_file").is_some() {
            accept(&found, patched.endpoint(), id)?;
        }
        let (status, next) = match patched {
            Patched::Staged(next) => (200, next),
            Patched::Scheduled(next) => {
                // What the configuration can never be is told now, not when nobody listens any more.
                rehearse(&found, &next, id)?;
                (202, next)
            }
            Patched::Activate(next) => {
                return Ok(Next::Activate(Box::new(Activation { id, found, next })));
            }
        };
        let staged = next.staged_json();
        self.put_entry(id, Some(next));
        Ok(Next::Staged(Answer { status, staged }))
    }

    async fn activate_waiting<L: Side>(
        self: &Arc<Self>,
        waiting: &mut Waiting<L>,
        answers: &mut [Result<Answer, ConnectionError>],
    ) {
        let Waiting {
            places,
            activations,
            ..
        } = std::mem::take(waiting);
        let activated = self.activate(activations).await;
        for (place, activated) in places.into_iter().zip(activated) {
            answers[place] = activated.map(|endpoint| Answer {
                status: 200,
                staged: endpoint.activated_json(),
            });
        }
    }

    /// Brings what is staged into force, and notes it: one result for each.
    async fn activate<L: Side>(
        self: &Arc<Self>,
        activations: Vec<Activation<L>>,
    ) -> Vec<Result<Endpoint<L>, ConnectionError>> {
        if activations.is_empty() {
            return Vec::new();
        }
        let edits = activations.iter().map(Activation::edit).collect();
        let edited = self.nmos.node().edit_flows(edits).await;
        let now = Tai::now();
        let mut results = Vec::with_capacity(activations.len());
        let mut told = Vec::with_capacity(activations.len());
        for (activation, edited) in activations.into_iter().zip(edited) {
            let Activation { id, found, next } = activation;
            let (flow, removed) = match edited {
                Ok(edited) => edited,
                Err(error) => {
                    results.push(Err(error.into()));
                    continue;
                }
            };
            let activated = next.activated(removed, now);
            let activated = match L::configured(&flow, &found.subject, activated.applied()) {
                Some(configured) => activated.settled(configured),
                None => activated,
            };
            self.put_entry(id, Some(activated.clone()));
            let applied = activated.applied();
            if L::HAS_TRANSPORT_FILE {
                let file = applied.transport_file.as_deref();
                self.nmos.announced(id, file.and_then(announced));
            }
            told.push((L::KIND, id, applied.peer));
            results.push(Ok(activated));
        }
        self.nmos.activated(told);
        results
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
        for of_one_kind in all.chunk_by(|(_, a, _), (_, b, _)| a == b) {
            let ids = of_one_kind.iter().map(|(.., id)| *id);
            match of_one_kind {
                [(_, SenderLeg::KIND, _), ..] => self.carry_out::<SenderLeg>(ids).await,
                _ => self.carry_out::<ReceiverLeg>(ids).await,
            }
        }
        if let Err(error) = self.save().await {
            tracing::error!("NMOS: {error}");
        }
    }

    async fn carry_out<L: Side>(self: &Arc<Self>, ids: impl Iterator<Item = Uuid>) {
        let mut activations = Vec::new();
        let mut whose = Vec::new();
        let model = self.nmos.model();
        for id in ids {
            let Ok(found) = self.look_in_turn::<L>(&model, id) else {
                self.forget::<L>(id);
                continue;
            };
            if found.endpoint.scheduled().is_none() {
                // Somebody has changed the configuration at the last moment.
                continue;
            }
            let next = found.endpoint.clone();
            whose.push((id, found.subject.flow_id.clone(), next.clone()));
            activations.push(Activation { id, found, next });
        }
        let activated = self.activate(activations).await;
        for ((id, flow_id, endpoint), activated) in whose.into_iter().zip(activated) {
            let Err(error) = activated else {
                continue;
            };
            let message = format!(
                "a scheduled NMOS activation of {} {id} failed: {error}",
                L::SIDE
            );
            tracing::error!("{message}");
            let notice = Notice::new(Severity::Warning, Category::Nmos, message);
            let events = self.nmos.node().events();
            events.raise(notice.of_flow(&flow_id));
            self.put_entry(id, Some(endpoint.given_up()));
        }
    }

    fn entry<L: Side>(&self, id: Uuid) -> Option<Endpoint<L>> {
        L::table_mut(&mut self.lock()).get(&id).cloned()
    }

    pub(super) fn put_entry<L: Side>(&self, id: Uuid, endpoint: Option<Endpoint<L>>) {
        let mut endpoints = self.lock();
        let table = L::table_mut(&mut endpoints);
        match endpoint {
            Some(endpoint) => table.insert(id, endpoint),
            None => table.remove(&id),
        };
    }

    /// Writes what has to outlive this process. Endpoints of what is no longer configured are forgotten.
    pub(super) async fn save(&self) -> Result<(), ConnectionError> {
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

/// Something that is to be activated.
#[derive(Debug)]
struct Activation<L> {
    id: Uuid,
    found: Found<L>,
    /// With what is to come into force staged in it.
    next: Endpoint<L>,
}

impl<L: Side> Activation<L> {
    /// What it changes of its flow, which also tells what it takes out of the configuration.
    fn edit(&self) -> FlowEdit<Map<String, Value>> {
        let Found { subject, model, .. } = &self.found;
        let label = model
            .get(L::KIND, self.id)
            .map_or("", |found| found.label());
        let (id, settings, subject) = (self.id, self.next.staged().clone(), subject.clone());
        let applied = self.next.applied().clone();
        let expected = self.next.scheduled().map(|_| self.next.seen().clone());
        FlowEdit {
            flow_id: subject.flow_id.clone(),
            what: format!("NMOS activation of {} '{}'", L::SIDE, label.escape_debug()),
            edit: Box::new(move |flow| {
                let mut applied = applied.clone();
                if let Some(expected) = &expected
                    && L::configured(flow, &subject, &applied).as_ref() != Some(expected)
                {
                    return Err(changed_since(flow, &subject));
                }
                let flow = activated_flow(flow, &subject, &settings, id, &mut applied)?;
                Ok((flow, applied.removed))
            }),
        }
    }
}

/// What a PATCH leads to.
#[derive(Debug)]
enum Next<L> {
    /// All of it is staged, and has to be saved.
    Staged(Answer),
    /// It has to be activated.
    Activate(Box<Activation<L>>),
}

/// Entries of a bulk request that are to be activated together.
#[derive(Debug)]
struct Waiting<L> {
    ids: HashSet<Uuid>,
    /// Their places in the request.
    places: Vec<usize>,
    activations: Vec<Activation<L>>,
}

impl<L> Default for Waiting<L> {
    fn default() -> Self {
        Self {
            ids: HashSet::new(),
            places: Vec::new(),
            activations: Vec::new(),
        }
    }
}

impl<L> Waiting<L> {
    fn push(&mut self, place: usize, activation: Activation<L>) {
        self.ids.insert(activation.id);
        self.places.push(place);
        self.activations.push(activation);
    }
}

fn defect() -> ConnectionError {
    NodeError::Internal.into()
}

/// Whether the flow takes what the transport file names.
fn accept<L: Side>(found: &Found<L>, next: &Endpoint<L>, id: Uuid) -> Result<(), ConnectionError> {
    let Found { subject, model, .. } = found;
    let flow = model.config().flow(&subject.flow_id);
    let flow = flow.ok_or_else(|| ConnectionError::not_found::<L>(id))?;
    L::accepts(flow, next.staged()).map_err(|error| NodeError::from(error).into())
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
