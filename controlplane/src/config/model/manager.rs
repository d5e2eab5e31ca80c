//! The manager link (configuration.md 3.5).

use serde::Serialize;

use super::Secret;

/// The manager link (configuration.md 3.5).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ManagerConfig {
    /// Whether it is made; absent: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Begins with `wss://`, at most 2048 characters; there when enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether any certificate will do; true only where the environment allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_self_signed_cert: Option<bool>,
    /// SHA-256 of the manager's certificate: 32 pairs of hex digits with colons between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_fingerprint: Option<String>,
    /// For one registration, 1-4096 characters; secret.
    #[serde(skip)]
    pub registration_token: Option<Secret>,
    /// Assigned by the manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Assigned by the manager, 1-4096 characters; secret.
    #[serde(skip)]
    pub node_secret: Option<Secret>,
}
