//! Bringing the data plane to what is wanted, and back when that is not to be.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bilbycast_shm_proto::control::{Command, ControlError, ControlErrorKind};
use bilbycast_shm_proto::model::FlowSpec;

use super::Node;
use super::error::{FailedFlows, NodeError};
use super::ring;
use super::runs::{Owed, Runs};
use super::tell::Failure;
use crate::config::{AppConfig, Prepared, StoreError};
use crate::link::{LinkError, PendingReply, Session};

/// One thing to ask of the data plane.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a few at a time, and most of them are the large one"
)]
pub(super) enum Step {
    /// Make a flow what is said here.
    Apply(FlowSpec),
    /// Stop a flow.
    Stop {
        /// The flow.
        flow_id: String,
        /// Whether an operator did it through the API.
        by_operator: bool,
    },
}

/// What shall run and what shall not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Flows to stop; their ports may be needed by those that are applied.
    pub(super) stops: Vec<String>,
    /// Flows to start or to change.
    pub(super) applies: Vec<FlowSpec>,
    /// Flows that shall run and cannot, and why.
    pub(super) impossible: Vec<Failure>,
    /// Whether running flows may be stopped for a moment to exchange ports. Nothing that happens by itself may.
    pub(super) may_interrupt: bool,
}

/// What ran at some moment, to return to.
#[derive(Debug)]
pub(super) struct Before {
    flows: HashMap<String, Arc<FlowSpec>>,
    stopped_by_operator: HashSet<String>,
}

impl Step {
    pub(super) fn flow_id(&self) -> &str {
        match self {
            Self::Apply(spec) => &spec.id,
            Self::Stop { flow_id, .. } => flow_id,
        }
    }

    fn command(&self) -> Command {
        match self {
            Self::Apply(spec) => Command::ApplyFlow(spec.clone()),
            Self::Stop {
                flow_id,
                by_operator,
            } => Command::StopFlow {
                flow_id: flow_id.clone(),
                by_operator: *by_operator,
            },
        }
    }
}

impl Before {
    pub(super) fn of(runs: &Runs) -> Self {
        Self {
            flows: runs.flows().clone(),
            stopped_by_operator: runs.stopped_by_operator().clone(),
        }
    }

    /// The way back from `now`.
    fn steps_from(&self, now: &Runs) -> Vec<Step> {
        let started = now.flows().keys();
        let started = started.filter(|flow_id| !self.flows.contains_key(*flow_id));
        let stops = started.map(|flow_id| Step::Stop {
            flow_id: flow_id.clone(),
            by_operator: self.stopped_by_operator.contains(flow_id),
        });
        let applies = self
            .flows
            .values()
            .filter(|flow| !now.runs_as(flow))
            .map(|flow| Step::Apply(FlowSpec::clone(flow)));
        stops.chain(applies).collect()
    }
}

impl Node {
    /// The change of one flow: all of it happens, or nothing.
    ///
    /// When the data plane is lost, or is lost in the middle, the configuration still changes, and the next
    /// reconciliation does the rest.
    pub(super) async fn change_one(
        &self,
        session: Option<&Session>,
        next: AppConfig,
        step: Option<Step>,
    ) -> Result<(), NodeError> {
        let next = Arc::new(next);
        let prepared = self.prepare(Arc::clone(&next)).await?;
        let before = Before::of(&self.runs());
        let steps: Vec<_> = step.into_iter().collect();
        let refused = match session {
            Some(session) => self.pipeline(session, steps.clone()).await,
            None => Err(LinkError::Lost),
        };
        let is_owed = refused.is_err();
        if let Some((step, source)) = refused.into_iter().flatten().next() {
            return Err(NodeError::Engine {
                flow_id: step.flow_id().to_owned(),
                source,
                defined_in_request: true,
            });
        }
        self.commit(session, prepared, &before).await?;
        self.publish(next);
        if is_owed {
            self.owe(&steps);
        }
        Ok(())
    }

    /// Notes what the data plane could not be asked for.
    pub(super) fn owe(&self, steps: &[Step]) {
        self.update_runs(|runs| {
            for step in steps {
                match step {
                    Step::Apply(spec) => runs.owe(&spec.id, Owed::Start),
                    Step::Stop { flow_id, .. } => runs.owe(flow_id, Owed::Stop),
                }
            }
        });
    }

    /// Writes the file beside the real one. The disk is asked on a thread that may wait.
    pub(super) async fn prepare(&self, config: Arc<AppConfig>) -> Result<Prepared, NodeError> {
        let store = Arc::clone(&self.store);
        let prepared = self.runtime.spawn_blocking(move || store.prepare(&config));
        flatten(prepared.await).inspect_err(|error| self.tell_not_saved(error))
    }

    /// Puts the prepared file in place; when that fails, the data plane goes back to what it ran `before`.
    pub(super) async fn commit(
        &self,
        session: Option<&Session>,
        prepared: Prepared,
        before: &Before,
    ) -> Result<(), NodeError> {
        let committed = self.runtime.spawn_blocking(move || prepared.commit());
        let committed = flatten(committed.await);
        if let Err(error) = &committed {
            self.tell_not_saved(error);
        }
        if committed.is_err()
            && let Some(session) = session
        {
            self.put_back(session, before).await;
        }
        committed
    }

    /// Brings the data plane back to what it ran `before`.
    pub(super) async fn put_back(&self, session: &Session, before: &Before) {
        let steps = before.steps_from(&self.runs());
        match self.pipeline(session, steps).await {
            Ok(refused) => {
                for (step, error) in refused {
                    tracing::error!("flow {:?} could not be put back: {error}", step.flow_id());
                }
            }
            Err(error) => tracing::error!("flows were not put back: {error}"),
        }
    }

    /// Carries out a plan as far as it goes. What fails is marked, is tried again later, and does not stop the rest.
    pub(super) async fn settle(
        &self,
        session: &Session,
        plan: Plan,
    ) -> Result<FailedFlows, LinkError> {
        let stops = plan.stops.into_iter().map(|flow_id| Step::Stop {
            flow_id,
            by_operator: false,
        });
        let not_stopped = self.pipeline(session, stops.collect()).await?;
        let mut left = plan.applies.len();
        let applies = plan.applies.into_iter().map(Step::Apply).collect();
        let mut refused = self.pipeline(session, applies).await?;

        // A flow may want a port that another one, later in the list, was about to give up: as long as some succeed,
        // the others get another attempt.
        while (1..left).contains(&refused.len()) {
            left = refused.len();
            let again = refused.into_iter().map(|(step, _)| step).collect();
            refused = self.pipeline(session, again).await?;
        }
        if plan.may_interrupt {
            refused = self.exchange_ports(session, refused).await?;
        }

        let failed: Vec<_> = not_stopped
            .into_iter()
            .chain(refused)
            .map(|(step, error)| Failure::of(step.flow_id(), error))
            .chain(plan.impossible)
            .collect();
        let known = self.runs();
        self.update_runs(|runs| {
            for Failure {
                flow_id, reason, ..
            } in &failed
            {
                runs.fail(session.number(), flow_id, reason.clone());
            }
        });
        for failure in &failed {
            let Failure {
                flow_id, reason, ..
            } = failure;
            if known.failure(flow_id) != Some(reason) {
                tracing::error!("flow {flow_id:?} does not run as configured: {reason}");
                self.tell_failure(failure);
            }
        }
        let failed = failed.into_iter();
        Ok(FailedFlows(
            failed.map(|one| (one.flow_id, one.reason)).collect(),
        ))
    }

    /// Running flows that want each other's ports are stopped together and started together. One that still cannot go
    /// on gets its earlier form back.
    async fn exchange_ports(
        &self,
        session: &Session,
        refused: Vec<(Step, ControlError)>,
    ) -> Result<Vec<(Step, ControlError)>, LinkError> {
        let runs = self.runs();
        let wants = refused.iter().filter_map(|(step, error)| match step {
            Step::Apply(spec) if error.kind == ControlErrorKind::Bind => {
                Some((runs.flows().get(&spec.id)?.as_ref(), spec))
            }
            Step::Apply(_) | Step::Stop { .. } => None,
        });
        let circle = ring::of(wants.collect());
        if circle.is_empty() {
            return Ok(refused);
        }
        let (blocked, mut refused): (Vec<_>, Vec<_>) = refused
            .into_iter()
            .partition(|(step, _)| circle.contains(step.flow_id()));
        let stops = circle.into_iter().map(|flow_id| Step::Stop {
            flow_id,
            by_operator: false,
        });
        self.pipeline(session, stops.collect()).await?;
        let applies = blocked.into_iter().map(|(step, _)| step).collect();
        let blocked = self.pipeline(session, applies).await?;
        let earlier = blocked
            .iter()
            .filter_map(|(step, _)| runs.flows().get(step.flow_id()))
            .map(|flow| Step::Apply(FlowSpec::clone(flow)));
        for (step, error) in self.pipeline(session, earlier.collect()).await? {
            tracing::error!("flow {:?} could not be put back: {error}", step.flow_id());
        }
        refused.extend(blocked);
        Ok(refused)
    }

    /// Sends steps without waiting for each, notes what the data plane then runs, and returns what it refused.
    pub(super) async fn pipeline(
        &self,
        session: &Session,
        steps: Vec<Step>,
    ) -> Result<Vec<(Step, ControlError)>, LinkError> {
        let mut flying: VecDeque<(Step, PendingReply)> = VecDeque::new();
        let mut refused = Vec::new();
        let mut steps = steps.into_iter();
        loop {
            let next = if flying.len() < FLYING_MAX {
                steps.next()
            } else {
                None
            };
            if let Some(step) = next {
                let reply = session.send(step.command()).await?;
                flying.push_back((step, reply));
                continue;
            }
            let Some((step, reply)) = flying.pop_front() else {
                return Ok(refused);
            };
            match land(&step, reply).await {
                Ok(()) => self.update_runs(|runs| match step {
                    Step::Apply(spec) => runs.applied(session.number(), spec),
                    Step::Stop {
                        flow_id,
                        by_operator,
                    } => runs.stopped(session.number(), &flow_id, by_operator),
                }),
                Err(LinkError::Refused(error)) => refused.push((step, error)),
                Err(LinkError::Lost) => return Err(LinkError::Lost),
            }
        }
    }
}

async fn land(step: &Step, reply: PendingReply) -> Result<(), LinkError> {
    match step {
        Step::Apply(_) => reply.change().await.map(|_| ()),
        Step::Stop { .. } => reply.body().await.map(|_| ()),
    }
}

fn flatten<T>(
    joined: Result<Result<T, StoreError>, tokio::task::JoinError>,
) -> Result<T, NodeError> {
    match joined {
        Ok(result) => Ok(result?),
        Err(error) => {
            tracing::error!("saving ended unexpectedly: {error}");
            Err(NodeError::Internal)
        }
    }
}

/// Commands without a reply at any time; the link carries as many.
const FLYING_MAX: usize = 64;
