//! Start, stop and restart: what runs changes, the configuration does not.

use std::sync::Arc;

use bilbycast_shm_proto::control::FlowChange;
use bilbycast_shm_proto::model::FlowSpec;

use super::{Node, NodeError};
use crate::config::{AppConfig, flow_spec};
use crate::link::{LinkError, LinkState, Session};

impl Node {
    /// Starts a flow that does not run.
    ///
    /// # Errors
    ///
    /// [`NodeError::FlowNotFound`], [`NodeError::AlreadyRunning`], [`NodeError::Invalid`] when its ports collide or
    /// the data plane cannot run it, [`NodeError::Engine`], [`NodeError::DataPlaneLost`].
    pub async fn start_flow(self: &Arc<Self>, flow_id: String) -> Result<(), NodeError> {
        self.detached(|node| async move {
            let started = node.start_now(&flow_id).await;
            node.tell_start(&flow_id, &started);
            started
        })
        .await
    }

    /// Stops a flow, and keeps it stopped until it is started, replaced or the data plane restarts. A flow that
    /// failed and is being tried again counts as running.
    ///
    /// # Errors
    ///
    /// [`NodeError::FlowNotFound`], [`NodeError::NotRunning`], [`NodeError::Engine`], [`NodeError::DataPlaneLost`].
    pub async fn stop_flow(self: &Arc<Self>, flow_id: String) -> Result<(), NodeError> {
        self.detached(|node| async move {
            let (_turn, session) = node.turn().await;
            node.flow(&flow_id)?;
            let session = node.required(session)?;
            let runs = node.runs();
            if !runs.flows().contains_key(&flow_id) && runs.failure(&flow_id).is_none() {
                return Err(NodeError::NotRunning(flow_id));
            }
            node.stop_as_it_is(&session, &flow_id, true).await
        })
        .await
    }

    /// Stops a flow if it runs, and starts it from the configuration.
    ///
    /// # Errors
    ///
    /// As [`Self::start_flow`], but for [`NodeError::AlreadyRunning`]. When the start fails, it is tried again later.
    pub async fn restart_flow(self: &Arc<Self>, flow_id: String) -> Result<(), NodeError> {
        self.detached(|node| async move {
            let restarted = node.restart_now(&flow_id).await;
            node.tell_start(&flow_id, &restarted);
            restarted
        })
        .await
    }

    async fn start_now(&self, flow_id: &str) -> Result<(), NodeError> {
        let (_turn, session) = self.turn().await;
        let config = self.config();
        self.flow(flow_id)?;
        let session = self.required(session)?;
        if self.runs().flows().contains_key(flow_id) {
            return Err(NodeError::AlreadyRunning(flow_id.to_owned()));
        }
        let spec = self.startable(&config, flow_id)?;
        match self.apply_as_it_is(&session, spec).await? {
            FlowChange::Unchanged => Err(NodeError::AlreadyRunning(flow_id.to_owned())),
            FlowChange::Outputs { .. } | FlowChange::Restarted | FlowChange::Started => Ok(()),
        }
    }

    async fn restart_now(&self, flow_id: &str) -> Result<(), NodeError> {
        let (_turn, session) = self.turn().await;
        let config = self.config();
        let spec = self.startable(&config, flow_id)?;
        let session = self.required(session)?;
        let ran = self.runs().flows().contains_key(flow_id);
        if ran {
            self.stop_as_it_is(&session, flow_id, false).await?;
        }
        let applied = self.apply_as_it_is(&session, spec).await;
        if let Err(NodeError::Engine { source, .. }) = &applied
            && ran
        {
            let reason = source.message.clone();
            self.update_runs(|runs| runs.fail(session.number(), flow_id, reason));
        }
        applied.map(|_| ())
    }

    /// The flow as it would start now.
    fn startable(&self, config: &AppConfig, flow_id: &str) -> Result<FlowSpec, NodeError> {
        let flow = config
            .flow(flow_id)
            .ok_or_else(|| NodeError::FlowNotFound(flow_id.to_owned()))?;
        let spec = flow_spec(flow, config.wrap_payload_type())?;
        self.check_ports(config, Some(flow_id))?;
        Ok(spec)
    }

    /// The session, or why there is none.
    fn required(&self, session: Option<Session>) -> Result<Session, NodeError> {
        session.ok_or_else(|| self.lost())
    }

    fn lost(&self) -> NodeError {
        NodeError::DataPlaneLost(match self.link.state() {
            LinkState::Connected(_) => LinkError::Lost.to_string(),
            LinkState::Lost { reason, .. } => reason.to_string(),
        })
    }

    async fn apply_as_it_is(
        &self,
        session: &Session,
        spec: FlowSpec,
    ) -> Result<FlowChange, NodeError> {
        let change = session.apply(spec.clone()).await;
        let change = change.map_err(|error| self.engine_error(&spec.id, error))?;
        self.update_runs(|runs| runs.applied(session.number(), spec));
        Ok(change)
    }

    async fn stop_as_it_is(
        &self,
        session: &Session,
        flow_id: &str,
        by_operator: bool,
    ) -> Result<(), NodeError> {
        let stopped = session.stop(flow_id, by_operator).await;
        stopped.map_err(|error| self.engine_error(flow_id, error))?;
        self.update_runs(|runs| runs.stopped(session.number(), flow_id, by_operator));
        Ok(())
    }

    fn engine_error(&self, flow_id: &str, error: LinkError) -> NodeError {
        match error {
            LinkError::Lost => self.lost(),
            LinkError::Refused(source) => NodeError::Engine {
                flow_id: flow_id.to_owned(),
                source,
                defined_in_request: false,
            },
        }
    }
}
