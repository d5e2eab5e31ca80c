//! What runs where, and how it becomes what was asked for.

mod cores;
mod exchange;
mod news;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bilbycast_shm_proto::control::{
    Command, ControlError, ControlErrorKind, FlowChange, FlowList, ReplyBody,
};
use bilbycast_shm_proto::event::Severity;
use bilbycast_shm_proto::model::{FlowSpec, ID_CHARS_MAX, OUTPUTS_PER_FLOW_MAX};

pub use cores::CoreHandle;

use super::events::Events;

/// Carries out commands, one at a time.
#[derive(Debug)]
pub struct Engine {
    cores: Vec<CoreHandle>,
    flows: BTreeMap<String, Placed>,
    /// Flows that an operator stopped since the start (configuration.md 9.2).
    stopped_by_operator: BTreeSet<String>,
    /// When a flow was closed last.
    newest_close: Option<Instant>,
    events: Arc<Events>,
}

/// A running flow.
#[derive(Debug)]
struct Placed {
    spec: FlowSpec,
    /// Index of its core.
    core: usize,
}

/// Most ids that are remembered as stopped: as many as there can be flows on a node.
const STOPPED_MAX: usize = 4_096;

impl Engine {
    /// An engine that runs nothing yet. There must be at least one core.
    #[must_use]
    pub const fn new(cores: Vec<CoreHandle>, events: Arc<Events>) -> Self {
        Self {
            cores,
            flows: BTreeMap::new(),
            stopped_by_operator: BTreeSet::new(),
            newest_close: None,
            events,
        }
    }

    /// Carries out one command.
    ///
    /// # Errors
    ///
    /// [`ControlError`] with the reason; what ran before then runs as before.
    pub fn execute(&mut self, command: Command) -> Result<ReplyBody, ControlError> {
        match command {
            Command::ApplyFlow(spec) => self.apply(spec).map(ReplyBody::Applied),
            Command::ListFlows => Ok(ReplyBody::Flows(self.list())),
            Command::Ping => Ok(ReplyBody::Done),
            Command::StopFlow {
                flow_id,
                by_operator,
            } => self.stop(flow_id, by_operator).map(|()| ReplyBody::Done),
        }
    }

    /// Ends all cores and with them all flows.
    pub fn stop_cores(&self) {
        for core in &self.cores {
            core.stop();
        }
    }

    fn list(&self) -> FlowList {
        FlowList {
            running: self
                .flows
                .values()
                .map(|placed| placed.spec.clone())
                .collect(),
            stopped_by_operator: self.stopped_by_operator.iter().cloned().collect(),
        }
    }

    fn apply(&mut self, spec: FlowSpec) -> Result<FlowChange, ControlError> {
        check(&spec)?;
        let before = self.flows.get(&spec.id).map(|placed| placed.spec.clone());
        let mut outputs_went_on = false;
        let change = match self.flows.get(&spec.id) {
            Some(placed) if placed.spec == spec => FlowChange::Unchanged,
            Some(placed)
                if placed.spec.input == spec.input
                    && placed.spec.media_analysis == spec.media_analysis
                    && placed.spec.bandwidth_limit == spec.bandwidth_limit =>
            {
                self.exchange_outputs(&spec)?
            }
            Some(_) => {
                outputs_went_on = self.restart(&spec)?;
                FlowChange::Restarted
            }
            None => self.start(&spec)?,
        };
        self.stopped_by_operator.remove(&spec.id);
        for message in news::of(before.as_ref(), &spec, &change, outputs_went_on) {
            self.events.flow(Severity::Info, &spec.id, message);
        }
        if let Some(placed) = self.flows.get_mut(&spec.id) {
            placed.spec = spec;
        }
        Ok(change)
    }

    fn stop(&mut self, flow_id: String, by_operator: bool) -> Result<(), ControlError> {
        if let Some(placed) = self.flows.get(&flow_id) {
            let flow = self.cores[placed.core].remove_flow(&flow_id)?;
            self.flows.remove(&flow_id);
            if let Some(flow) = flow {
                exchange::close(*flow);
                self.newest_close = Some(Instant::now());
            }
            let message = format!("flow '{flow_id}' stopped");
            self.events.flow(Severity::Info, &flow_id, message);
        }
        if by_operator && self.stopped_by_operator.len() < STOPPED_MAX {
            self.stopped_by_operator.insert(flow_id);
        }
        Ok(())
    }
}

/// What the shared memory and the cores rely on. The control plane checks far more; a client that does not must not be
/// able to do harm.
fn check(spec: &FlowSpec) -> Result<(), ControlError> {
    let malformed = |message| Err(ControlError::new(ControlErrorKind::Malformed, message));
    let is_id = |id: &str| (1..=ID_CHARS_MAX).contains(&id.chars().count());
    let FlowSpec { id, outputs, .. } = spec;
    if !is_id(id) {
        return malformed(format!(
            "flow id '{id}' is not of 1 to {ID_CHARS_MAX} characters"
        ));
    }
    if outputs.len() > OUTPUTS_PER_FLOW_MAX {
        return malformed(format!(
            "flow '{id}' has {} outputs, more than {OUTPUTS_PER_FLOW_MAX}",
            outputs.len()
        ));
    }
    let mut seen = BTreeSet::new();
    for output in outputs {
        if !is_id(&output.id) {
            return malformed(format!(
                "flow '{id}': output id '{}' is not of 1 to {ID_CHARS_MAX} characters",
                output.id
            ));
        }
        if !seen.insert(&output.id) {
            return malformed(format!(
                "flow '{id}' has two outputs with the id '{}'",
                output.id
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
