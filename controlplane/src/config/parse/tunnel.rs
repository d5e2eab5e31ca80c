//! Tunnels (configuration.md 14.1).

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::Value;
use uuid::Uuid;

use super::super::error::{ConfigError, Problem};
use super::super::model::{
    Secret, TunnelConfig, TunnelDirection, TunnelMode, TunnelProtocol, TunnelSecrets, tunnel_owner,
};
use super::super::raw::{Object, UnknownFields};
use super::{NAME_CHARS_MAX, at_most, kept, leg, url};

/// Most tunnels on a node: each is a connection of its own.
const TUNNELS_MAX: usize = 1_024;

pub(super) fn tunnels(
    app: &mut Object,
    current: &[TunnelConfig],
    unknown: &mut UnknownFields,
) -> Result<Vec<TunnelConfig>, ConfigError> {
    let current: HashMap<Uuid, &TunnelConfig> =
        current.iter().map(|tunnel| (tunnel.id, tunnel)).collect();
    let values = app.list("tunnels")?.unwrap_or_default();
    at_most(app, "tunnels", values.len(), TUNNELS_MAX, "a node")?;
    let mut seen: HashMap<Uuid, usize> = HashMap::new();
    let mut tunnels = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let mut object = app.secret_object_of(&format!("tunnels[{index}]"), "", value)?;
        let id = id(&mut object)?;
        if let Some(first) = seen.insert(id, index) {
            let rule = format!("tunnels[{first}] has the same id");
            return Err(object.error("id", Problem::rule(Value::from(id.to_string()), rule)));
        }
        let current = current.get(&id).map(|tunnel| &tunnel.secrets);
        tunnels.push(body(object, id, current, unknown)?);
    }
    Ok(tunnels)
}

/// A tunnel on its own; what it does not say of its secrets, it does not have.
pub(super) fn tunnel(
    mut object: Object,
    unknown: &mut UnknownFields,
) -> Result<TunnelConfig, ConfigError> {
    let id = id(&mut object)?;
    body(object, id, None, unknown)
}

fn id(object: &mut Object) -> Result<Uuid, ConfigError> {
    let id = object.parsed("id", "a UUID")?;
    let id = object.required("id", id)?;
    object.set_owner(&tunnel_owner(id));
    Ok(id)
}

fn body(
    mut object: Object,
    id: Uuid,
    current: Option<&TunnelSecrets>,
    unknown: &mut UnknownFields,
) -> Result<TunnelConfig, ConfigError> {
    let name = object.text("name", 1..=NAME_CHARS_MAX)?;
    let protocol = object.word(
        "protocol",
        &[("tcp", TunnelProtocol::Tcp), ("udp", TunnelProtocol::Udp)],
    )?;
    let mode = object.word(
        "mode",
        &[("relay", TunnelMode::Relay), ("direct", TunnelMode::Direct)],
    )?;
    let direction = object.word(
        "direction",
        &[
            ("egress", TunnelDirection::Egress),
            ("ingress", TunnelDirection::Ingress),
        ],
    )?;
    let local_addr = leg::socket_addr(&mut object, "local_addr")?;
    let tunnel = TunnelConfig {
        id,
        name: object.required("name", name)?,
        enabled: object.flag("enabled")?,
        protocol: object.required("protocol", protocol)?,
        mode: object.required("mode", mode)?,
        direction: object.required("direction", direction)?,
        local_addr: object.required("local_addr", local_addr)?,
        relay_addr: url::host_and_port(&mut object, "relay_addr")?,
        peer_addr: url::host_and_port(&mut object, "peer_addr")?,
        direct_listen_addr: leg::socket_addr(&mut object, "direct_listen_addr")?,
        secrets: secrets(&mut object, current)?,
    };
    if tunnel.direction == TunnelDirection::Ingress {
        is_destination(&object, tunnel.local_addr)?;
    }
    let demanded = match (tunnel.mode, tunnel.direction) {
        (TunnelMode::Relay, _) => [
            ("relay_addr", tunnel.relay_addr.is_some()),
            (
                "tunnel_encryption_key",
                tunnel.secrets.tunnel_encryption_key.is_some(),
            ),
        ]
        .to_vec(),
        (TunnelMode::Direct, TunnelDirection::Egress) => {
            [("peer_addr", tunnel.peer_addr.is_some())].to_vec()
        }
        (TunnelMode::Direct, TunnelDirection::Ingress) => {
            [("direct_listen_addr", tunnel.direct_listen_addr.is_some())].to_vec()
        }
    };
    if let Some((field, _)) = demanded.iter().find(|(_, is_there)| !is_there) {
        let by = match (tunnel.mode, tunnel.direction) {
            (TunnelMode::Relay, _) => "relay mode",
            (TunnelMode::Direct, TunnelDirection::Egress) => "direct mode with direction egress",
            (TunnelMode::Direct, TunnelDirection::Ingress) => "direct mode with direction ingress",
        };
        return Err(object.error(field, Problem::Required { by: by.to_owned() }));
    }
    object.finish(unknown);
    Ok(tunnel)
}

fn is_destination(object: &Object, address: SocketAddr) -> Result<(), ConfigError> {
    if address.port() != 0 && !address.ip().is_unspecified() {
        return Ok(());
    }
    let rule = "with direction ingress it is a destination, with an address other than the unspecified one and a \
                port other than 0";
    let found = Value::from(address.to_string());
    Err(object.error("local_addr", Problem::rule(found, rule)))
}

fn secrets(
    object: &mut Object,
    current: Option<&TunnelSecrets>,
) -> Result<TunnelSecrets, ConfigError> {
    let kept = |field| {
        let fields = current.map(TunnelSecrets::fields);
        let fields = fields.into_iter().flatten();
        let mut same = fields.filter(move |(name, _)| *name == field);
        same.find_map(|(_, secret)| secret)
    };
    let mut key = |field| kept::secret(object, field, kept(field), key_of);
    let (tunnel_encryption_key, tunnel_bind_secret, tunnel_psk) = (
        key("tunnel_encryption_key")?,
        key("tunnel_bind_secret")?,
        key("tunnel_psk")?,
    );
    let mut pem = |field| kept::secret(object, field, kept(field), pem_of);
    Ok(TunnelSecrets {
        tunnel_encryption_key,
        tunnel_bind_secret,
        tunnel_psk,
        tls_cert_pem: pem("tls_cert_pem")?,
        tls_key_pem: pem("tls_key_pem")?,
    })
}

fn key_of(object: &mut Object, field: &str) -> Result<Option<Secret>, ConfigError> {
    object.secret(field, "exactly 64 hex digits", |text| {
        text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn pem_of(object: &mut Object, field: &str) -> Result<Option<Secret>, ConfigError> {
    object.secret(field, "a string in PEM format", |text| {
        text.len() <= PEM_BYTES_MAX && text.contains("-----BEGIN ")
    })
}

/// Longest certificate chain or key: a chain of a dozen certificates.
const PEM_BYTES_MAX: usize = 64 << 10;
