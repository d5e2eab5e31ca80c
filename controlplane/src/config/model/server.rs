//! The listeners of the node and who may use them (configuration.md 3.1 to 3.4).

use std::net::IpAddr;

use serde::Serialize;

use super::Secret;

/// The API listener (configuration.md 3.1).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerConfig {
    /// Address to bind.
    pub listen_addr: IpAddr,
    /// Port, 1-65535.
    pub listen_port: u16,
    /// TLS; secret.
    #[serde(skip)]
    pub tls: Option<TlsConfig>,
    /// Authentication; secret.
    #[serde(skip)]
    pub auth: Option<AuthConfig>,
}

/// TLS of the API listener (configuration.md 3.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsConfig {
    /// File with the PEM certificate or full chain, 1-4096 characters.
    pub cert_path: String,
    /// File with the PEM private key, 1-4096 characters.
    pub key_path: String,
}

/// Authentication (configuration.md 3.3), its defaults filled in, for no answer ever shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthConfig {
    /// False: everybody is treated as admin.
    pub enabled: bool,
    /// Key of the tokens, at least 32 characters; empty only when not enabled.
    pub jwt_secret: Secret,
    /// Life of a token in seconds, 1 to a year.
    pub token_lifetime_secs: u64,
    /// False: `/metrics` needs a token.
    pub public_metrics: bool,
    /// Failed requests for a token that one address has in a minute; 0: any number.
    pub token_rate_limit_per_minute: u32,
    /// Who may ask for a token; ids are unique, and there is at least one when enabled.
    pub clients: Vec<AuthClient>,
}

/// Somebody who may ask for a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthClient {
    /// 1-256 characters, none of them a control character.
    pub client_id: String,
    /// 1-4096 characters.
    pub client_secret: Secret,
    /// What the token permits.
    pub role: Role,
}

/// What a token permits (configuration.md 11.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Reading.
    Monitor,
}

impl Role {
    /// As the configuration and the tokens write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Monitor => "monitor",
        }
    }
}

/// The listener of the status page (configuration.md 3.4).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MonitorConfig {
    /// Address to bind.
    pub listen_addr: IpAddr,
    /// Port, 1-65535.
    pub listen_port: u16,
}
