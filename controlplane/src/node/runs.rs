//! What the data plane runs: its own list at the start of a session, kept up to date by its replies.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bilbycast_shm_proto::control::FlowList;
use bilbycast_shm_proto::model::FlowSpec;

use super::error::FailedFlows;

/// What the data plane runs, and what it should and does not.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// The session that all this was learned from; absent while the data plane is lost.
    session: Option<u64>,
    flows: HashMap<String, Arc<FlowSpec>>,
    stopped_by_operator: HashSet<String>,
    /// Flows that could not be brought to their configuration, and why; they are tried again.
    failed: HashMap<String, String>,
    /// Changes that were accepted and could not be carried out, for the data plane was away.
    owed: HashMap<String, Owed>,
}

/// What a change that was accepted while the data plane was away wants of a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Owed {
    /// It shall run, even if it was stopped through the API before.
    Start,
    /// It shall not run.
    Stop,
}

impl Runs {
    /// Running flows, by id.
    #[must_use]
    pub const fn flows(&self) -> &HashMap<String, Arc<FlowSpec>> {
        &self.flows
    }

    /// Whether the data plane has told what it runs.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.session.is_some()
    }

    /// Whether all this was learned from that session.
    pub(super) fn is_of(&self, session: u64) -> bool {
        self.session == Some(session)
    }

    /// Whether the flow was stopped through the API.
    #[must_use]
    pub fn is_stopped_by_operator(&self, flow_id: &str) -> bool {
        self.stopped_by_operator.contains(flow_id)
    }

    /// Why the flow could not be brought to its configuration.
    #[must_use]
    pub fn failure(&self, flow_id: &str) -> Option<&str> {
        self.failed.get(flow_id).map(String::as_str)
    }

    pub(super) const fn failed(&self) -> &HashMap<String, String> {
        &self.failed
    }

    pub(super) const fn stopped_by_operator(&self) -> &HashSet<String> {
        &self.stopped_by_operator
    }

    pub(super) const fn owed(&self) -> &HashMap<String, Owed> {
        &self.owed
    }

    /// Whether the flow runs exactly as `spec` says.
    pub(super) fn runs_as(&self, spec: &FlowSpec) -> bool {
        self.flows.get(&spec.id).is_some_and(|runs| **runs == *spec)
    }

    /// A session began, and its data plane runs `list`.
    pub(super) fn begin(&mut self, session: u64, list: FlowList) {
        self.session = Some(session);
        self.flows = list
            .running
            .into_iter()
            .map(|flow| (flow.id.clone(), Arc::new(flow)))
            .collect();
        self.stopped_by_operator = list.stopped_by_operator.into_iter().collect();
        self.failed.clear();
    }

    /// The data plane is lost. What operators stopped stays known, for they did not want it to run.
    pub(super) fn lose(&mut self) {
        self.session = None;
        self.flows.clear();
        self.failed.clear();
    }

    /// The data plane runs `spec` now. News of a session that is over changes nothing.
    pub(super) fn applied(&mut self, session: u64, spec: FlowSpec) {
        if self.session == Some(session) {
            self.stopped_by_operator.remove(&spec.id);
            self.failed.remove(&spec.id);
            self.flows.insert(spec.id.clone(), Arc::new(spec));
        }
    }

    /// The data plane has stopped the flow. As [`Self::applied`].
    pub(super) fn stopped(&mut self, session: u64, flow_id: &str, by_operator: bool) {
        if self.session == Some(session) {
            self.flows.remove(flow_id);
            self.failed.remove(flow_id);
            if by_operator {
                self.stopped_by_operator.insert(flow_id.to_owned());
            }
        }
    }

    /// The flow could not be brought to its configuration. As [`Self::applied`].
    pub(super) fn fail(&mut self, session: u64, flow_id: &str, reason: String) {
        if self.session == Some(session) {
            self.failed.insert(flow_id.to_owned(), reason);
        }
    }

    /// The flow needs no further attempt: it runs as configured, or shall not run.
    pub(super) fn end_attempts(&mut self, flow_id: &str) {
        self.failed.remove(flow_id);
    }

    /// Of the flows that failed before, only these still do.
    pub(super) fn keep_failures(&mut self, failed: &FailedFlows) {
        let still: HashSet<_> = failed.0.iter().map(|(flow_id, _)| flow_id).collect();
        self.failed.retain(|flow_id, _| still.contains(flow_id));
    }

    /// The flow is no longer configured.
    pub(super) fn forget(&mut self, flow_id: &str) {
        self.failed.remove(flow_id);
        self.owed.remove(flow_id);
    }

    pub(super) fn owe(&mut self, flow_id: &str, owed: Owed) {
        if owed == Owed::Start {
            self.stopped_by_operator.remove(flow_id);
        }
        self.owed.insert(flow_id.to_owned(), owed);
    }

    pub(super) fn settle_debts(&mut self) {
        self.owed.clear();
    }
}
