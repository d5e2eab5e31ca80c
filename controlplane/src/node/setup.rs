//! The first configuration of a node, from the setup page (configuration.md 3.6).

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Node, NodeError};
use crate::config::parse_app;
use crate::setup::Setup;

/// What became of a setup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SetupOutcome {
    /// `setup_enabled` is false; nothing has changed.
    Disabled,
    /// It is saved. The listener and the manager link follow it at the next start of the control plane.
    Saved,
}

impl Node {
    /// Whether the setup page is open.
    #[must_use]
    pub fn is_setup_enabled(&self) -> bool {
        self.config().setup_enabled.unwrap_or(true)
    }

    /// Saves what the setup page says, and switches the manager link on. Flows are not touched.
    ///
    /// # Errors
    ///
    /// [`NodeError::Invalid`] and [`NodeError::Store`]; then nothing has changed.
    pub async fn set_up(self: &Arc<Self>, setup: Setup) -> Result<SetupOutcome, NodeError> {
        self.detached(|node| async move {
            let (_turn, session) = node.turn().await;
            // Asked in one's turn: whoever closes the setup in the meantime must not be overtaken.
            if !node.is_setup_enabled() {
                return Ok(SetupOutcome::Disabled);
            }
            let current = node.config();
            // Without its secrets, which stay as they are unless the setup names a new one.
            let mut document = current.to_public();
            apply(&mut document, setup);
            let parsed = parse_app(document, &current)?;
            parsed.unknown.log();
            node.check_ports(&parsed.value, None)?;
            node.change_one(session.as_ref(), parsed.value, None)
                .await?;
            tracing::info!("the setup was saved; it takes effect at the next start");
            Ok(SetupOutcome::Saved)
        })
        .await
    }
}

fn apply(document: &mut Value, setup: Setup) {
    if let Some(address) = setup.listen_addr {
        document["server"]["listen_addr"] = json!(address);
    }
    if let Some(port) = setup.listen_port {
        document["server"]["listen_port"] = json!(port);
    }
    if let Some(name) = setup.device_name {
        document["device_name"] = match name.as_str() {
            "" => Value::Null,
            name => json!(name),
        };
    }
    let manager = &mut document["manager"];
    manager["enabled"] = json!(true);
    manager["url"] = json!(setup.manager_url);
    manager["accept_self_signed_cert"] = json!(setup.accept_self_signed_cert);
    if let Some(token) = setup.registration_token {
        manager["registration_token"] = json!(token);
    }
}
