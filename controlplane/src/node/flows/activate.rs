//! What NMOS activations change of a flow.

use std::sync::Arc;

use super::super::{Node, NodeError};
use super::flow_of;
use crate::config::{AppConfig, ConfigError, FlowConfig};

impl Node {
    /// Exchanges a flow for what `edit` makes of it, which may have something else to tell besides. `what` says for
    /// people what is being done. Whether the flow runs stays as it is, and a running one goes on undisturbed where the
    /// data plane can do that. An edit that changes nothing touches neither the data plane nor the disk.
    ///
    /// # Errors
    ///
    /// [`NodeError::Invalid`], [`NodeError::FlowNotFound`], [`NodeError::Engine`], [`NodeError::Store`]; then nothing
    /// has changed.
    pub(crate) async fn edit_flow<T: Send + 'static>(
        self: &Arc<Self>,
        flow_id: String,
        what: String,
        edit: impl FnOnce(&FlowConfig) -> Result<(FlowConfig, T), ConfigError> + Send + 'static,
    ) -> Result<(FlowConfig, T), NodeError> {
        self.detached(|node| async move {
            let (_turn, session) = node.turn().await;
            let mut next = AppConfig::clone(&node.config());
            let place = flow_of(&mut next, &flow_id)?;
            let (flow, told) = edit(place)?;
            if *place != flow {
                *place = flow.clone();
                let step = node.step_within(&next, &flow)?;
                node.check_ports(&next, None)?;
                node.change_one(session.as_ref(), next, step).await?;
                node.end_attempts_if_running(&flow_id);
            }
            node.tell_config(Some(&flow_id), &what);
            Ok((flow, told))
        })
        .await
    }

    /// Where what belongs to the configuration, and is not part of it, is kept.
    pub(crate) fn companion(&self, name: &str) -> crate::config::Companion {
        self.store.companion(name)
    }
}
