//! The sections that this version checks and keeps without acting on them, and their secrets.
//!
//! Secrets never leave the node, so a document that came from the API lacks them: what is absent stays as it was, and
//! only an explicit `null` removes it (configuration.md 9.1).

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::error::{ConfigError, Problem};
use super::super::model::{MANAGER_SECRETS, Opaque, TUNNEL_SECRETS};
use super::super::raw::{Object, UnknownFields};
use super::{NAME_CHARS_MAX, URL_CHARS_MAX};

/// `server.auth` (configuration.md 3.3).
pub(super) fn auth(
    server: &mut Object,
    current: Option<&Opaque>,
    unknown: &mut UnknownFields,
) -> Result<Option<Opaque>, ConfigError> {
    let mut object = match server.value_or_null("auth") {
        None => return Ok(current.cloned()),
        Some(Value::Null) => return Ok(None),
        Some(value) => server.object_of("auth", "auth", value)?,
    };
    let kept = object.kept(&AUTH_FIELDS);
    let enabled = object.flag("enabled")?;
    if object.required("enabled", enabled)? {
        // Kept and not enforced, it would leave the node open to everybody while its operator thinks it is closed.
        let rule = "this version cannot authenticate anybody and would run open";
        return Err(object.error("enabled", Problem::rule(true, rule)));
    }
    finish(object, &AUTH_FIELDS, unknown);
    Ok(Some(Opaque(kept)))
}

/// `server.tls` (configuration.md 3.2).
pub(super) fn tls(
    server: &mut Object,
    current: Option<&Opaque>,
    unknown: &mut UnknownFields,
) -> Result<Option<Opaque>, ConfigError> {
    let mut object = match server.value_or_null("tls") {
        None => return Ok(current.cloned()),
        Some(Value::Null) => return Ok(None),
        Some(value) => server.object_of("tls", "tls", value)?,
    };
    let kept = object.kept(&TLS_FIELDS);
    for field in TLS_FIELDS {
        let path = object.text(field, 1..=PATH_CHARS_MAX)?;
        object.required(field, path)?;
    }
    finish(object, &TLS_FIELDS, unknown);
    Ok(Some(Opaque(kept)))
}

/// The manager link (configuration.md 3.5). Without the section, its secrets stay.
pub(super) fn manager(
    app: &mut Object,
    current: Option<&Opaque>,
    unknown: &mut UnknownFields,
) -> Result<Option<Opaque>, ConfigError> {
    let mut object = match app.value_or_null("manager") {
        None => {
            let mut kept = Map::new();
            keep_secrets(&mut kept, current, &MANAGER_SECRETS, |_| false);
            return Ok((!kept.is_empty()).then_some(Opaque(kept)));
        }
        Some(Value::Null) => return Ok(None),
        Some(value) => app.object_of("manager", "manager", value)?,
    };
    let mut kept = object.kept(&MANAGER_FIELDS);
    keep_secrets(&mut kept, current, &MANAGER_SECRETS, |secret| {
        object.mentions(secret)
    });
    let enabled = object.flag("enabled")?.unwrap_or(false);
    let url = object.text("url", 1..=URL_CHARS_MAX)?;
    if let Some(url) = &url
        && !url.starts_with("wss://")
    {
        let found = Value::from(url.as_str());
        let expected = "a URL that begins with wss://";
        return Err(object.error("url", Problem::unexpected(&found, expected)));
    }
    if enabled {
        object.required("url", url)?;
    }
    object.flag("accept_self_signed_cert")?;
    let fingerprint = object.value("cert_fingerprint");
    if let Some(found) = fingerprint.filter(|value| !value.as_str().is_some_and(is_fingerprint)) {
        let expected = "a SHA-256 fingerprint, 32 pairs of hex digits with colons between them";
        let problem = Problem::unexpected(&found, expected);
        return Err(object.error("cert_fingerprint", problem));
    }
    object.text("node_id", 1..=NAME_CHARS_MAX)?;
    for secret in MANAGER_SECRETS {
        object.secret(secret, "a string of 1 to 4096 characters", |text| {
            (1..=TOKEN_CHARS_MAX).contains(&text.chars().count())
        })?;
    }
    finish(object, &MANAGER_FIELDS, unknown);
    Ok(Some(Opaque(kept)))
}

/// The tunnels (configuration.md 14.1).
pub(super) fn tunnels(
    app: &mut Object,
    current: &[Opaque],
    unknown: &mut UnknownFields,
) -> Result<Vec<Opaque>, ConfigError> {
    let current: HashMap<Uuid, &Opaque> = current
        .iter()
        .filter_map(|tunnel| Some((id_of(&tunnel.0)?, tunnel)))
        .collect();
    let values = app.list("tunnels")?.unwrap_or_default();
    let mut seen: HashMap<Uuid, usize> = HashMap::new();
    let mut tunnels = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let mut object = Object::new(value, app.place_of_element("tunnels", index, ""))?;
        let id: Option<Uuid> = object.parsed("id", "a UUID")?;
        let id = object.required("id", id)?;
        object.set_owner(&format!("tunnel '{id}'"));
        if let Some(first) = seen.insert(id, index) {
            let rule = format!("tunnels[{first}] has the same id");
            return Err(object.error("id", Problem::rule(Value::from(id.to_string()), rule)));
        }
        tunnels.push(tunnel(object, id, current.get(&id).copied(), unknown)?);
    }
    Ok(tunnels)
}

const AUTH_FIELDS: [&str; 6] = [
    "enabled",
    "jwt_secret",
    "token_lifetime_secs",
    "public_metrics",
    "token_rate_limit_per_minute",
    "clients",
];

const TLS_FIELDS: [&str; 2] = ["cert_path", "key_path"];

const MANAGER_FIELDS: [&str; 7] = [
    "enabled",
    "url",
    "accept_self_signed_cert",
    "cert_fingerprint",
    "registration_token",
    "node_id",
    "node_secret",
];

const TUNNEL_FIELDS: [&str; 14] = [
    "name",
    "enabled",
    "protocol",
    "mode",
    "direction",
    "local_addr",
    "relay_addr",
    "tunnel_encryption_key",
    "tunnel_bind_secret",
    "peer_addr",
    "direct_listen_addr",
    "tunnel_psk",
    "tls_cert_pem",
    "tls_key_pem",
];

/// Longest token (configuration.md 17).
const TOKEN_CHARS_MAX: usize = 4_096;

/// Longest path (PATH_MAX of Linux).
const PATH_CHARS_MAX: usize = 4_096;

fn tunnel(
    mut object: Object,
    id: Uuid,
    current: Option<&Opaque>,
    unknown: &mut UnknownFields,
) -> Result<Opaque, ConfigError> {
    let mut kept = object.kept(&TUNNEL_FIELDS);
    keep_secrets(&mut kept, current, &TUNNEL_SECRETS, |secret| {
        object.mentions(secret)
    });
    kept.insert("id".to_owned(), Value::from(id.to_string()));
    let name = object.text("name", 1..=NAME_CHARS_MAX)?;
    object.required("name", name)?;
    object.flag("enabled")?;
    let protocol = object.choice("protocol", &["tcp", "udp"])?;
    object.required("protocol", protocol)?;
    let mode = object.choice("mode", &["relay", "direct"])?;
    let is_relay = object.required("mode", mode)? == "relay";
    let direction = object.choice("direction", &["egress", "ingress"])?;
    let is_egress = object.required("direction", direction)? == "egress";
    let local_addr: Option<SocketAddr> = object.parsed("local_addr", SOCKET_ADDR)?;
    object.required("local_addr", local_addr)?;
    let relay_addr = host_and_port(&mut object, "relay_addr")?;
    let peer_addr = host_and_port(&mut object, "peer_addr")?;
    let direct_listen_addr: Option<SocketAddr> =
        object.parsed("direct_listen_addr", SOCKET_ADDR)?;
    match (is_relay, is_egress) {
        (true, _) => {
            object.required("relay_addr", relay_addr)?;
            let key = kept.get("tunnel_encryption_key");
            object.required("tunnel_encryption_key", key)?;
        }
        (false, true) => {
            object.required("peer_addr", peer_addr)?;
        }
        (false, false) => {
            object.required("direct_listen_addr", direct_listen_addr)?;
        }
    }
    for key in ["tunnel_encryption_key", "tunnel_bind_secret", "tunnel_psk"] {
        object.secret(key, "exactly 64 hex digits", |text| {
            text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        })?;
    }
    for pem in ["tls_cert_pem", "tls_key_pem"] {
        object.secret(pem, "a string in PEM format", |text| {
            text.contains("-----BEGIN ")
        })?;
    }
    finish(object, &TUNNEL_FIELDS, unknown);
    Ok(Opaque(kept))
}

const SOCKET_ADDR: &str = "\"address:port\", an IPv6 address in brackets";

/// `host:port`, where the host may be a DNS name.
fn host_and_port(object: &mut Object, field: &str) -> Result<Option<String>, ConfigError> {
    let Some(text) = object.text(field, 1..=URL_CHARS_MAX)? else {
        return Ok(None);
    };
    let is_legal = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if is_legal {
        Ok(Some(text))
    } else {
        let found = Value::from(text);
        Err(object.error(field, Problem::unexpected(&found, "\"host:port\"")))
    }
}

fn is_fingerprint(text: &str) -> bool {
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == 32 && text.split(':').all(is_pair)
}

fn id_of(tunnel: &Map<String, Value>) -> Option<Uuid> {
    tunnel.get("id")?.as_str()?.parse().ok()
}

/// Takes over the stored secrets that the document says nothing of.
fn keep_secrets(
    kept: &mut Map<String, Value>,
    current: Option<&Opaque>,
    secrets: &[&str],
    is_mentioned: impl Fn(&str) -> bool,
) {
    let Some(Opaque(current)) = current else {
        return;
    };
    for secret in secrets.iter().filter(|secret| !is_mentioned(secret)) {
        if let Some(value) = current.get(*secret) {
            kept.insert((*secret).to_owned(), value.clone());
        }
    }
}

/// Notes what nobody asked for; known fields that only had to be kept are not among it.
fn finish(mut object: Object, known: &[&str], unknown: &mut UnknownFields) {
    for field in known {
        object.value_or_null(field);
    }
    object.finish(unknown);
}
