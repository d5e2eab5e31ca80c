//! What of the configuration leaves the node, and what of it has no effect.

use serde_json::Value;

use super::model::{AppConfig, MANAGER_SECRETS, NmosConfig, Opaque, TUNNEL_SECRETS};

impl AppConfig {
    /// The configuration for `GET /api/v1/config`: without `server.auth`, `server.tls` and the secrets of the manager
    /// link and the tunnels (configuration.md 1.2). What flows need to know to connect is part of it.
    #[must_use]
    pub fn to_public(&self) -> Value {
        // Stripped before it is serialised: a secret that never was in the document cannot be forgotten in it.
        let mut public = self.clone();
        public.server.auth = None;
        public.server.tls = None;
        if let Some(manager) = &mut public.manager {
            strip(manager, &MANAGER_SECRETS);
        }
        for tunnel in &mut public.tunnels {
            strip(tunnel, &TUNNEL_SECRETS);
        }
        serde_json::to_value(public).expect("a configuration has string keys and finite numbers")
    }

    /// Whether it has anything that [`to_public`](Self::to_public) leaves out.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        let holds = |section: &Opaque, secrets: &[&str]| {
            secrets.iter().any(|secret| section.0.contains_key(*secret))
        };
        let manager = self.manager.as_ref();
        self.server.auth.is_some()
            || self.server.tls.is_some()
            || manager.is_some_and(|manager| holds(manager, &MANAGER_SECRETS))
            || self
                .tunnels
                .iter()
                .any(|tunnel| holds(tunnel, &TUNNEL_SECRETS))
    }

    /// Sections that ask for something, and that this version keeps without acting on them; for a warning at start.
    #[must_use]
    pub fn not_acted_on(&self) -> Vec<&'static str> {
        let is_set = |section: &Opaque, flag: &str, default: bool| match section.0.get(flag) {
            Some(value) => value.as_bool().unwrap_or(default),
            None => default,
        };
        let manager = self.manager.as_ref();
        let nmos = self.nmos.as_ref();
        let sections = [
            ("setup_enabled", self.setup_enabled == Some(true)),
            ("server.tls", self.server.tls.is_some()),
            ("monitor", self.monitor.is_some()),
            (
                "manager",
                manager.is_some_and(|manager| is_set(manager, "enabled", false)),
            ),
            ("nmos", nmos.is_some_and(asks_for_nmos)),
            (
                "tunnels",
                self.tunnels
                    .iter()
                    .any(|tunnel| is_set(tunnel, "enabled", true)),
            ),
        ];
        let asked = sections.iter().filter(|(_, asks)| *asks);
        asked.map(|(section, _)| *section).collect()
    }
}

fn strip(section: &mut Opaque, secrets: &[&str]) {
    for secret in secrets {
        section.0.remove(*secret);
    }
}

/// Whether more is asked for than the payload type, which the flows heed, or nothing at all.
fn asks_for_nmos(nmos: &NmosConfig) -> bool {
    let only_payload_type = NmosConfig {
        rtp_payload_type: nmos.rtp_payload_type,
        ..NmosConfig::default()
    };
    nmos.enabled != Some(false) && *nmos != only_payload_type
}
