//! Replacing the whole configuration, from a request or from disk.

use std::sync::Arc;

use serde_json::Value;

use super::apply::{Before, Plan, Step};
use super::{Node, NodeError};
use crate::config::{AppConfig, ConfigError, Loaded, flow_spec, parse_app};
use crate::link::Session;

impl Node {
    /// Replaces the configuration by the one in `document`. Flows that are equal go on untouched.
    ///
    /// # Errors
    ///
    /// [`NodeError::Invalid`] and [`NodeError::Store`]: nothing has changed. [`NodeError::FlowsFailed`]: the new
    /// configuration is in force and saved, and those flows are tried again.
    pub async fn replace_config(
        self: &Arc<Self>,
        document: Value,
    ) -> Result<Arc<AppConfig>, NodeError> {
        self.detached(|node| async move {
            let (_turn, session) = node.turn().await;
            let parsed = parse_app(document, &node.config())?;
            parsed.unknown.log();
            node.change_all(session.as_ref(), parsed.value, true).await
        })
        .await
    }

    /// Replaces the configuration by the one on disk. Flows that are equal go on untouched.
    ///
    /// # Errors
    ///
    /// [`NodeError::Store`]: nothing has changed. [`NodeError::FlowsFailed`] as for [`Self::replace_config`].
    pub async fn reload(self: &Arc<Self>) -> Result<Arc<AppConfig>, NodeError> {
        self.detached(|node| async move {
            let (_turn, session) = node.turn().await;
            let store = Arc::clone(&node.store);
            let node_id = node.config().node_id;
            let loaded = node.runtime.spawn_blocking(move || store.reload(node_id));
            let loaded = loaded.await;
            let Loaded {
                config,
                unknown,
                must_save,
            } = match loaded {
                Ok(loaded) => loaded?,
                Err(error) => {
                    tracing::error!("loading ended unexpectedly: {error}");
                    return Err(NodeError::Internal);
                }
            };
            unknown.log();
            node.change_all(session.as_ref(), config, must_save).await
        })
        .await
    }

    async fn change_all(
        &self,
        session: Option<&Session>,
        next: AppConfig,
        must_save: bool,
    ) -> Result<Arc<AppConfig>, NodeError> {
        let next = Arc::new(next);
        self.check_ports(&next, None)?;
        let plan = self.plan_for(&next)?;
        let prepared = match must_save {
            true => Some(self.prepare(Arc::clone(&next)).await?),
            false => None,
        };
        let before = Before::of(&self.runs());
        let failed = match session {
            Some(session) => self.settle(session, plan.clone()).await.ok(),
            None => None,
        };
        if let Some(prepared) = prepared {
            self.commit(session, prepared, &before).await?;
        }
        self.publish(Arc::clone(&next));
        if failed.is_none() {
            self.owe(&steps_of(plan));
        }
        let failed = failed.unwrap_or_default();
        self.update_runs(|runs| runs.keep_failures(&failed));
        for section in next.not_acted_on() {
            tracing::warn!("{section} is kept, but this version does not act on it");
        }
        self.tell_config(None, &format!("{} flows", next.flows.len()));
        if failed.0.is_empty() {
            Ok(next)
        } else {
            Err(NodeError::FlowsFailed(failed))
        }
    }

    /// The comparison of configuration.md 9.1, between what runs and what `next` says.
    fn plan_for(&self, next: &AppConfig) -> Result<Plan, ConfigError> {
        let runs = self.runs();
        let mut plan = Plan {
            may_interrupt: true,
            ..Plan::default()
        };
        for flow_id in runs.flows().keys() {
            if next.flow(flow_id).is_none() {
                plan.stops.push(flow_id.clone());
            }
        }
        for flow in &next.flows {
            if flow.enabled {
                let spec = flow_spec(flow, next.wrap_payload_type())?;
                if !runs.runs_as(&spec) {
                    plan.applies.push(spec);
                }
            } else if runs.flows().contains_key(&flow.id) || !runs.is_known() {
                plan.stops.push(flow.id.clone());
            }
        }
        Ok(plan)
    }
}

fn steps_of(plan: Plan) -> Vec<Step> {
    let stops = plan.stops.into_iter().map(|flow_id| Step::Stop {
        flow_id,
        by_operator: false,
    });
    let applies = plan.applies.into_iter().map(Step::Apply);
    stops.chain(applies).collect()
}
