//! Tunnels (configuration.md 14.1).

use std::net::SocketAddr;

use serde::Serialize;
use uuid::Uuid;

use super::Secret;

/// A tunnel (configuration.md 14.1).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TunnelConfig {
    /// The same on both ends; unique on the node.
    pub id: Uuid,
    /// 1-256 characters.
    pub name: String,
    /// Absent: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What it carries.
    pub protocol: TunnelProtocol,
    /// How the ends find each other.
    pub mode: TunnelMode,
    /// Which end this is.
    pub direction: TunnelDirection,
    /// Egress: listens here. Ingress: forwards to it.
    pub local_addr: SocketAddr,
    /// `host:port` of the relay; there in relay mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_addr: Option<String>,
    /// `host:port` of the far end; there in direct mode on the egress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_addr: Option<String>,
    /// Where the far end is awaited; there in direct mode on the ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_listen_addr: Option<SocketAddr>,
    /// What never leaves the node.
    #[serde(skip)]
    pub secrets: TunnelSecrets,
}

impl TunnelConfig {
    /// Whether it is meant to be up.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// What messages call it.
    pub(in super::super) fn owner(&self) -> String {
        tunnel_owner(self.id)
    }
}

/// What messages call the tunnel with this id.
pub(in super::super) fn tunnel_owner(id: Uuid) -> String {
    format!("tunnel '{id}'")
}

/// The secrets of a tunnel.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TunnelSecrets {
    /// Key of the end-to-end encryption, 64 hex digits; there in relay mode.
    pub tunnel_encryption_key: Option<Secret>,
    /// Key of the proof at the relay, 64 hex digits.
    pub tunnel_bind_secret: Option<Secret>,
    /// Key that both ends of a direct tunnel share, 64 hex digits.
    pub tunnel_psk: Option<Secret>,
    /// Certificate of the direct listener; absent: generated.
    pub tls_cert_pem: Option<Secret>,
    /// Its key.
    pub tls_key_pem: Option<Secret>,
}

impl TunnelSecrets {
    /// Each with the name of its field.
    pub(in super::super) const fn fields(&self) -> [(&'static str, Option<&Secret>); 5] {
        [
            ("tunnel_encryption_key", self.tunnel_encryption_key.as_ref()),
            ("tunnel_bind_secret", self.tunnel_bind_secret.as_ref()),
            ("tunnel_psk", self.tunnel_psk.as_ref()),
            ("tls_cert_pem", self.tls_cert_pem.as_ref()),
            ("tls_key_pem", self.tls_key_pem.as_ref()),
        ]
    }
}

/// What a tunnel carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelProtocol {
    /// Connections, as QUIC streams.
    Tcp,
    /// Datagrams, as QUIC datagrams.
    Udp,
}

/// How the ends of a tunnel find each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelMode {
    /// One dials the other.
    Direct,
    /// Both dial a relay.
    Relay,
}

/// Which end of a tunnel this node is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelDirection {
    /// Listens here, sends into the tunnel.
    Egress,
    /// Receives from the tunnel, forwards here.
    Ingress,
}
