//! What NMOS activations change of flows.

use std::fmt;
use std::sync::Arc;

use bilbycast_shm_proto::control::ControlError;

use super::super::apply::{Before, Step};
use super::super::{Node, NodeError};
use super::flow_of;
use crate::config::{AppConfig, ConfigError, FlowConfig};
use crate::link::{LinkError, Session};

/// Exchanges a flow for what `edit` makes of it.
pub(crate) struct FlowEdit<T> {
    /// The flow.
    pub(crate) flow_id: String,
    /// What is being done, for people.
    pub(crate) what: String,
    /// The flow as it shall be, and what else there is to tell. It may be asked more than once.
    pub(crate) edit: Edit<T>,
}

/// See [`FlowEdit::edit`].
pub(crate) type Edit<T> =
    Box<dyn Fn(&FlowConfig) -> Result<(FlowConfig, T), ConfigError> + Send + Sync>;

/// What came of an edit: the flow right after it, and what else it told. A failure may be that of several edits.
pub(crate) type Edited<T> = Result<(FlowConfig, T), Arc<NodeError>>;

impl Node {
    /// Carries out edits of flows, one after the other, as one change that is saved once. Whether a flow runs stays as
    /// it is, and a running one goes on undisturbed where the data plane can do that. An edit that fails leaves the
    /// others, and one that changes nothing touches neither the data plane nor the disk. There is one result for each
    /// edit, in their order.
    ///
    /// # Errors
    ///
    /// For each edit [`NodeError::Invalid`], [`NodeError::FlowNotFound`], [`NodeError::Engine`]; for all that changed
    /// anything [`NodeError::Store`]. Of an edit that fails nothing has changed.
    pub(crate) async fn edit_flows<T: Send + Sync + 'static>(
        self: &Arc<Self>,
        edits: Vec<FlowEdit<T>>,
    ) -> Vec<Edited<T>> {
        let count = edits.len();
        let edited = self.detached(|node| async move {
            let (_turn, session) = node.turn().await;
            let mut batch = Batch::new(edits, &node);
            batch.carry_out(&node, session.as_ref()).await;
            for (edit, edited) in batch.edits.iter().zip(&batch.edited) {
                if edited.is_ok() {
                    node.tell_config(Some(&edit.flow_id), &edit.what);
                }
            }
            Ok(batch.edited)
        });
        edited.await.unwrap_or_else(|error| {
            let error = Arc::new(error);
            (0..count).map(|_| Err(Arc::clone(&error))).collect()
        })
    }

    /// Where what belongs to the configuration, and is not part of it, is kept.
    pub(crate) fn companion(&self, name: &str) -> crate::config::Companion {
        self.store.companion(name)
    }

    /// Makes an edit in `next`, which stays as it is when that is not legal.
    fn edit_in<T>(
        &self,
        next: &mut AppConfig,
        edit: &FlowEdit<T>,
    ) -> Result<(FlowConfig, T), NodeError> {
        let place = flow_of(next, &edit.flow_id)?;
        let (flow, told) = (edit.edit)(place)?;
        if *place != flow {
            let before = std::mem::replace(place, flow.clone());
            let legal = self.step_within(next, &flow);
            if let Err(error) = legal.and_then(|_| self.check_ports(next, None)) {
                *flow_of(next, &edit.flow_id)? = before;
                return Err(error.into());
            }
        }
        Ok((flow, told))
    }
}

/// Edits on their way.
struct Batch<T> {
    edits: Vec<FlowEdit<T>>,
    edited: Vec<Edited<T>>,
    base: Arc<AppConfig>,
    next: AppConfig,
    /// Whether the data plane could not be asked for all of it.
    is_owed: bool,
}

impl<T> Batch<T> {
    /// Makes the edits in a configuration that nobody sees yet.
    fn new(edits: Vec<FlowEdit<T>>, node: &Node) -> Self {
        let base = node.config();
        let mut next = AppConfig::clone(&base);
        let edited = edits.iter();
        let edited = edited.map(|edit| node.edit_in(&mut next, edit).map_err(Arc::new));
        Self {
            edited: edited.collect(),
            edits,
            base,
            next,
            is_owed: false,
        }
    }

    /// Brings the data plane and the disk to it; what they refuse is taken back.
    ///
    /// When the data plane is lost, or is lost in the middle, the configuration still changes, and the next
    /// reconciliation does the rest.
    async fn carry_out(&mut self, node: &Node, session: Option<&Session>) {
        let changed = self.changed();
        if changed.is_empty() {
            return;
        }
        let mut prepared = match node.prepare(Arc::new(self.next.clone())).await {
            Ok(prepared) => prepared,
            Err(error) => return self.fail_all(error),
        };
        let before = Before::of(&node.runs());
        let steps = self.steps(node, &changed);
        let refused = match session {
            Some(session) => node.pipeline(session, steps).await,
            None => Err(LinkError::Lost),
        };
        self.is_owed = refused.is_err();
        if let (Ok(refused), Some(session)) = (refused, session)
            && !refused.is_empty()
        {
            for (step, error) in refused {
                self.take_back(node, session, &step, error).await;
            }
            if self.changed().is_empty() {
                return;
            }
            // A port that one flow was to give up may be what another one wants.
            let again = match node.check_ports(&self.next, None) {
                Ok(()) => node.prepare(Arc::new(self.next.clone())).await,
                Err(error) => Err(error.into()),
            };
            match again {
                Ok(again) => prepared = again,
                Err(error) => {
                    node.put_back(session, &before).await;
                    return self.fail_all(error);
                }
            }
        }
        if let Err(error) = node.commit(session, prepared, &before).await {
            return self.fail_all(error);
        }
        let changed = self.changed();
        let steps = self.steps(node, &changed);
        node.publish(Arc::new(self.next.clone()));
        if self.is_owed {
            node.owe(&steps);
        }
        for flow_id in &changed {
            node.end_attempts_if_running(flow_id);
        }
    }

    /// The data plane refuses a flow, which stays as it was. Of several edits of it each gets an attempt of its own.
    async fn take_back(
        &mut self,
        node: &Node,
        session: &Session,
        step: &Step,
        error: ControlError,
    ) {
        let flow_id = step.flow_id();
        if let (Ok(place), Some(old)) = (flow_of(&mut self.next, flow_id), self.base.flow(flow_id))
        {
            *place = old.clone();
        }
        let tried = self.edits.iter().zip(&self.edited).enumerate();
        let tried = tried.filter(|(_, (edit, edited))| edit.flow_id == flow_id && edited.is_ok());
        let places: Vec<_> = tried.map(|(place, _)| place).collect();
        if let [only] = places.as_slice() {
            self.edited[*only] = Err(refusal(flow_id, error));
            return;
        }
        for place in places {
            let Some(before) = self.next.flow(flow_id).cloned() else {
                return;
            };
            let edited = node.edit_in(&mut self.next, &self.edits[place]);
            self.edited[place] = edited.map_err(Arc::new);
            let Ok((flow, _)) = &self.edited[place] else {
                continue;
            };
            let step = node.step_within(&self.next, flow).ok().flatten();
            match node.pipeline(session, step.into_iter().collect()).await {
                Ok(refused) => {
                    if let Some((_, error)) = refused.into_iter().next() {
                        if let Ok(place) = flow_of(&mut self.next, flow_id) {
                            *place = before;
                        }
                        self.edited[place] = Err(refusal(flow_id, error));
                    }
                }
                Err(_) => self.is_owed = true,
            }
        }
    }

    /// Nothing of it has changed.
    fn fail_all(&mut self, error: NodeError) {
        let changed = self.changed();
        let error = Arc::new(error);
        for (edit, edited) in self.edits.iter().zip(&mut self.edited) {
            if edited.is_ok() && changed.contains(&edit.flow_id) {
                *edited = Err(Arc::clone(&error));
            }
        }
    }

    /// Flows that are others than before, in the order of the edits.
    fn changed(&self) -> Vec<String> {
        let mut changed: Vec<String> = Vec::new();
        for FlowEdit { flow_id, .. } in &self.edits {
            if !changed.contains(flow_id) && self.base.flow(flow_id) != self.next.flow(flow_id) {
                changed.push(flow_id.clone());
            }
        }
        changed
    }

    /// What brings those flows to their definition.
    fn steps(&self, node: &Node, flow_ids: &[String]) -> Vec<Step> {
        let flows = flow_ids.iter().filter_map(|id| self.next.flow(id));
        // All of them have passed this already.
        flows
            .filter_map(|flow| node.step_within(&self.next, flow).ok().flatten())
            .collect()
    }
}

fn refusal(flow_id: &str, source: ControlError) -> Arc<NodeError> {
    Arc::new(NodeError::Engine {
        flow_id: flow_id.to_owned(),
        source,
        defined_in_request: true,
    })
}

impl<T> fmt::Debug for FlowEdit<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FlowEdit")
            .field("flow_id", &self.flow_id)
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}
