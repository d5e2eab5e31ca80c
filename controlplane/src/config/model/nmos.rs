//! NMOS (configuration.md 3.8).

use std::net::SocketAddr;

use serde::Serialize;

use super::MediaUrl;

/// NMOS (configuration.md 3.8).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NmosConfig {
    /// False: nothing is served, announced or registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How a registry is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<NmosRegistration>,
    /// Names of network interfaces, 1-15 bytes each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<String>>,
    /// DNS name or IP address in every endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Payload type of TS that this node wraps, 0-127.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_payload_type: Option<u8>,
    /// Whether NMOS routes need a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_auth: Option<bool>,
}

/// How an NMOS registry is found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NmosRegistration {
    /// Absent: `mdns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<NmosMode>,
    /// DNS domain of `unicast`; absent: the search domain of the resolver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// DNS server of `unicast`; absent: that of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_server: Option<SocketAddr>,
    /// Registration API of `static`, which demands it: `http(s)://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<MediaUrl>,
}

/// Ways to find an NMOS registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NmosMode {
    /// Multicast DNS.
    Mdns,
    /// Not at all.
    Off,
    /// At the configured URL.
    Static,
    /// DNS-SD over unicast DNS.
    Unicast,
}
