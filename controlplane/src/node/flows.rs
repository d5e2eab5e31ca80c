//! Creating, replacing and deleting flows and their outputs.

mod activate;

pub(crate) use activate::FlowEdit;

use std::sync::Arc;

use bilbycast_shm_proto::model::OUTPUTS_PER_FLOW_MAX;
use serde_json::Value;

use super::apply::Step;
use super::{Node, NodeError};
use crate::config::{
    AppConfig, ConfigError, FLOWS_MAX, FieldError, FlowConfig, OutputConfig, Place, Problem,
    flow_spec, parse_flow, parse_output,
};

impl Node {
    /// Creates the flow that `document` describes, and starts it when it is enabled.
    ///
    /// # Errors
    ///
    /// [`NodeError::Invalid`], [`NodeError::FlowExists`], [`NodeError::Engine`], [`NodeError::Store`]; then nothing
    /// has changed.
    pub async fn create_flow(self: &Arc<Self>, document: Value) -> Result<FlowConfig, NodeError> {
        self.detached(|node| async move {
            let parsed = parse_flow(document, None)?;
            parsed.unknown.log();
            let flow = parsed.value;
            let (_turn, session) = node.turn().await;
            let mut next = AppConfig::clone(&node.config());
            if next.flow(&flow.id).is_some() {
                return Err(NodeError::FlowExists(flow.id));
            }
            next.flows.push(flow.clone());
            if next.flows.len() > FLOWS_MAX {
                return Err(too_many("flows", next.flows.len(), FLOWS_MAX, "").into());
            }
            let step = node.step_to(&next, &flow)?;
            node.check_ports(&next, None)?;
            node.change_one(session.as_ref(), next, step).await?;
            node.tell_config(Some(&flow.id), &format!("flow '{}' created", flow.id));
            Ok(flow)
        })
        .await
    }

    /// Replaces a flow. One that is equal but for names goes on untouched; one of which only outputs differ goes on
    /// with other outputs.
    ///
    /// # Errors
    ///
    /// [`NodeError::Invalid`], [`NodeError::FlowNotFound`], [`NodeError::Engine`], [`NodeError::Store`]; then nothing
    /// has changed.
    pub async fn replace_flow(
        self: &Arc<Self>,
        flow_id: String,
        document: Value,
    ) -> Result<FlowConfig, NodeError> {
        self.detached(|node| async move {
            node.flow(&flow_id)?;
            let parsed = parse_flow(document, Some(&flow_id))?;
            parsed.unknown.log();
            let flow = parsed.value;
            let (_turn, session) = node.turn().await;
            let mut next = AppConfig::clone(&node.config());
            *flow_of(&mut next, &flow_id)? = flow.clone();
            let step = node.step_to(&next, &flow)?;
            node.check_ports(&next, None)?;
            node.change_one(session.as_ref(), next, step).await?;
            node.update_runs(|runs| runs.end_attempts(&flow_id));
            node.tell_config(Some(&flow_id), &format!("flow '{flow_id}' replaced"));
            Ok(flow)
        })
        .await
    }

    /// Stops and removes a flow.
    ///
    /// # Errors
    ///
    /// [`NodeError::FlowNotFound`], [`NodeError::Store`]; then nothing has changed.
    pub async fn delete_flow(self: &Arc<Self>, flow_id: String) -> Result<(), NodeError> {
        self.detached(|node| async move {
            let (_turn, session) = node.turn().await;
            let mut next = AppConfig::clone(&node.config());
            flow_of(&mut next, &flow_id)?;
            next.flows.retain(|flow| flow.id != flow_id);
            let step = node.stop_step(&flow_id);
            node.change_one(session.as_ref(), next, step).await?;
            node.update_runs(|runs| runs.forget(&flow_id));
            node.tell_config(Some(&flow_id), &format!("flow '{flow_id}' deleted"));
            Ok(())
        })
        .await
    }

    /// Adds an output to a flow; a running flow goes on undisturbed.
    ///
    /// # Errors
    ///
    /// [`NodeError::Invalid`], [`NodeError::FlowNotFound`], [`NodeError::OutputExists`], [`NodeError::Engine`],
    /// [`NodeError::Store`]; then nothing has changed.
    pub async fn add_output(
        self: &Arc<Self>,
        flow_id: String,
        document: Value,
    ) -> Result<OutputConfig, NodeError> {
        self.detached(|node| async move {
            node.flow(&flow_id)?;
            let parsed = parse_output(document, &flow_id)?;
            parsed.unknown.log();
            let output = parsed.value;
            let (_turn, session) = node.turn().await;
            let mut next = AppConfig::clone(&node.config());
            let flow = flow_of(&mut next, &flow_id)?;
            if flow.output(&output.id).is_some() {
                return Err(NodeError::OutputExists {
                    flow_id,
                    output_id: output.id,
                });
            }
            flow.outputs.push(output.clone());
            let outputs = flow.outputs.len();
            if outputs > OUTPUTS_PER_FLOW_MAX {
                let owner = format!("flow '{flow_id}'");
                return Err(too_many("outputs", outputs, OUTPUTS_PER_FLOW_MAX, &owner).into());
            }
            let flow = flow.clone();
            let step = node.step_within(&next, &flow)?;
            node.check_ports(&next, None)?;
            node.change_one(session.as_ref(), next, step).await?;
            node.end_attempts_if_running(&flow_id);
            let what = format!("output '{}' added to flow '{flow_id}'", output.id);
            node.tell_config(Some(&flow_id), &what);
            Ok(output)
        })
        .await
    }

    /// Removes an output from a flow; a running flow goes on undisturbed.
    ///
    /// # Errors
    ///
    /// [`NodeError::FlowNotFound`], [`NodeError::OutputNotFound`], [`NodeError::Engine`], [`NodeError::Store`]; then
    /// nothing has changed.
    pub async fn remove_output(
        self: &Arc<Self>,
        flow_id: String,
        output_id: String,
    ) -> Result<(), NodeError> {
        self.detached(|node| async move {
            let (_turn, session) = node.turn().await;
            let mut next = AppConfig::clone(&node.config());
            let flow = flow_of(&mut next, &flow_id)?;
            let Some(index) = flow
                .outputs
                .iter()
                .position(|output| output.id == output_id)
            else {
                return Err(NodeError::OutputNotFound { flow_id, output_id });
            };
            flow.outputs.remove(index);
            let flow = flow.clone();
            let step = node.step_within(&next, &flow)?;
            node.change_one(session.as_ref(), next, step).await?;
            node.end_attempts_if_running(&flow_id);
            let what = format!("output '{output_id}' removed from flow '{flow_id}'");
            node.tell_config(Some(&flow_id), &what);
            Ok(())
        })
        .await
    }

    /// What brings a flow that was defined anew to its definition (configuration.md 9.1).
    fn step_to(&self, config: &AppConfig, flow: &FlowConfig) -> Result<Option<Step>, ConfigError> {
        if !flow.enabled {
            return Ok(self.stop_step(&flow.id));
        }
        let spec = flow_spec(flow, config.wrap_payload_type())?;
        Ok((!self.runs().runs_as(&spec)).then_some(Step::Apply(spec)))
    }

    /// What brings a flow whose outputs were edited to its definition. Whether it runs stays as it is.
    fn step_within(
        &self,
        config: &AppConfig,
        flow: &FlowConfig,
    ) -> Result<Option<Step>, ConfigError> {
        let runs = self.runs();
        if !flow.enabled && !runs.flows().contains_key(&flow.id) {
            return Ok(None);
        }
        let spec = flow_spec(flow, config.wrap_payload_type())?;
        let differs = runs.flows().contains_key(&flow.id) && !runs.runs_as(&spec);
        Ok(differs.then_some(Step::Apply(spec)))
    }

    /// An edit of a running flow brought all of it to its configuration, whatever failed before.
    fn end_attempts_if_running(&self, flow_id: &str) {
        self.update_runs(|runs| {
            if runs.flows().contains_key(flow_id) {
                runs.end_attempts(flow_id);
            }
        });
    }

    /// What stops a flow that runs, or may run on a data plane that is away.
    fn stop_step(&self, flow_id: &str) -> Option<Step> {
        let runs = self.runs();
        let may_run = runs.flows().contains_key(flow_id) || !runs.is_known();
        may_run.then(|| Step::Stop {
            flow_id: flow_id.to_owned(),
            by_operator: false,
        })
    }
}

fn flow_of<'a>(config: &'a mut AppConfig, flow_id: &str) -> Result<&'a mut FlowConfig, NodeError> {
    let found = config.flows.iter_mut().find(|flow| flow.id == flow_id);
    found.ok_or_else(|| NodeError::FlowNotFound(flow_id.to_owned()))
}

fn too_many(field: &str, found: usize, most: usize, owner: &str) -> ConfigError {
    FieldError {
        place: Place {
            owner: owner.to_owned(),
            path: String::new(),
        },
        field: field.to_owned(),
        problem: Problem::rule(
            format_args!("a list of {found}"),
            format!("there may be {most} at most"),
        ),
    }
    .into()
}
