//! What of the configuration leaves the node, and what of it has no effect.

use serde_json::Value;

use super::model::{AppConfig, TunnelConfig};

impl AppConfig {
    /// The configuration for `GET /api/v1/config`: without `server.auth`, `server.tls` and the secrets of the manager
    /// link and the tunnels (configuration.md 1.2). What flows need to know to connect is part of it.
    #[must_use]
    pub fn to_public(&self) -> Value {
        serde_json::to_value(self).expect("a configuration has string keys and finite numbers")
    }

    /// Sections that ask for something, and that this version keeps without acting on them; for a warning at start.
    #[must_use]
    pub fn not_acted_on(&self) -> Vec<&'static str> {
        let manager = self.manager.as_ref();
        let sections = [
            (
                "manager",
                manager.is_some_and(|manager| manager.enabled == Some(true)),
            ),
            ("tunnels", self.tunnels.iter().any(TunnelConfig::is_enabled)),
        ];
        let asked = sections.iter().filter(|(_, asks)| *asks);
        asked.map(|(section, _)| *section).collect()
    }
}
