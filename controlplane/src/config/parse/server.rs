//! The listeners of the node and who may use them (configuration.md 3.1 to 3.4).
//!
//! `tls` and `auth` never leave the node, so a document that came from the API lacks them: what is absent stays as it
//! was, and only an explicit `null` removes it (configuration.md 9.1).

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::Value;

use super::super::error::{ConfigError, Problem};
use super::super::model::{AuthClient, AuthConfig, MonitorConfig, Role, ServerConfig, TlsConfig};
use super::super::raw::{Object, UnknownFields};
use super::{NAME_CHARS_MAX, TOKEN_CHARS_MAX, at_most};

pub(super) fn server(
    app: &mut Object,
    current: &ServerConfig,
    unknown: &mut UnknownFields,
) -> Result<ServerConfig, ConfigError> {
    let object = app.object("server", "server")?;
    let mut object = app.required("server", object)?;
    let (listen_addr, listen_port) = listener(&mut object)?;
    let server = ServerConfig {
        listen_addr,
        listen_port,
        tls: tls(&mut object, current.tls.as_ref(), unknown)?,
        auth: auth(&mut object, current.auth.as_ref(), unknown)?,
    };
    object.finish(unknown);
    Ok(server)
}

pub(super) fn monitor(
    app: &mut Object,
    unknown: &mut UnknownFields,
) -> Result<Option<MonitorConfig>, ConfigError> {
    let Some(mut object) = app.object("monitor", "monitor")? else {
        return Ok(None);
    };
    let (listen_addr, listen_port) = listener(&mut object)?;
    object.finish(unknown);
    Ok(Some(MonitorConfig {
        listen_addr,
        listen_port,
    }))
}

/// Longest path (PATH_MAX of Linux).
const PATH_CHARS_MAX: usize = 4_096;

/// Shortest key of the tokens, in characters (configuration.md 17).
const JWT_SECRET_CHARS_MIN: usize = 32;

/// Longest life of a token: a year.
const TOKEN_SECS_MAX: u64 = 365 * 24 * 3_600;

/// Life of a token when the configuration names none.
const TOKEN_SECS_DEFAULT: u64 = 3_600;

/// Failed requests for a token that one address has in a minute when the configuration does not say.
const TOKEN_RATE_LIMIT_DEFAULT: u32 = 10;

/// Most clients; a search through them is then still cheap.
const CLIENTS_MAX: usize = 1_024;

fn listener(object: &mut Object) -> Result<(IpAddr, u16), ConfigError> {
    let address = object.parsed("listen_addr", "an IP address")?;
    let port = object.integer("listen_port", 1..=u16::MAX)?;
    Ok((
        object.required("listen_addr", address)?,
        object.required("listen_port", port)?,
    ))
}

fn tls(
    server: &mut Object,
    current: Option<&TlsConfig>,
    unknown: &mut UnknownFields,
) -> Result<Option<TlsConfig>, ConfigError> {
    let mut object = match server.value_or_null("tls") {
        None => return Ok(current.cloned()),
        Some(Value::Null) => return Ok(None),
        Some(value) => server.secret_object_of("tls", "tls", value)?,
    };
    let cert_path = object.text("cert_path", 1..=PATH_CHARS_MAX)?;
    let key_path = object.text("key_path", 1..=PATH_CHARS_MAX)?;
    let tls = TlsConfig {
        cert_path: object.required("cert_path", cert_path)?,
        key_path: object.required("key_path", key_path)?,
    };
    object.finish(unknown);
    Ok(Some(tls))
}

fn auth(
    server: &mut Object,
    current: Option<&AuthConfig>,
    unknown: &mut UnknownFields,
) -> Result<Option<AuthConfig>, ConfigError> {
    let mut object = match server.value_or_null("auth") {
        None => return Ok(current.cloned()),
        Some(Value::Null) => return Ok(None),
        Some(value) => server.secret_object_of("auth", "auth", value)?,
    };
    let enabled = object.flag("enabled")?;
    let enabled = object.required("enabled", enabled)?;
    // Switched off, the key may be left out or blank; one that is too short would fail on the day it is switched on.
    let jwt_secret = object.secret("jwt_secret", "a string of 32 to 4096 characters", |text| {
        let chars = text.chars().count();
        (JWT_SECRET_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&chars) || (!enabled && chars == 0)
    })?;
    let jwt_secret = match jwt_secret {
        None if enabled => return Err(object.error("jwt_secret", Problem::Missing)),
        given => given.unwrap_or_default(),
    };
    let auth = AuthConfig {
        enabled,
        jwt_secret,
        token_lifetime_secs: object
            .integer("token_lifetime_secs", 1..=TOKEN_SECS_MAX)?
            .unwrap_or(TOKEN_SECS_DEFAULT),
        public_metrics: object.flag("public_metrics")?.unwrap_or(true),
        token_rate_limit_per_minute: object
            .integer("token_rate_limit_per_minute", 0..=u32::MAX)?
            .unwrap_or(TOKEN_RATE_LIMIT_DEFAULT),
        clients: clients(&mut object, enabled, unknown)?,
    };
    object.finish(unknown);
    Ok(Some(auth))
}

fn clients(
    auth: &mut Object,
    enabled: bool,
    unknown: &mut UnknownFields,
) -> Result<Vec<AuthClient>, ConfigError> {
    let values = auth.list("clients")?;
    let values = match values {
        None if enabled => return Err(auth.error("clients", Problem::Missing)),
        given => given.unwrap_or_default(),
    };
    if values.is_empty() && enabled {
        let rule = "with authentication enabled there is at least one client";
        return Err(auth.error("clients", Problem::rule("an empty list", rule)));
    }
    at_most(auth, "clients", values.len(), CLIENTS_MAX, "authentication")?;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut clients = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let mut object = auth.secret_object_of(&format!("clients[{index}]"), "", value)?;
        let client = client(&mut object)?;
        if let Some(first) = seen.insert(client.client_id.clone(), index) {
            let rule = format!("clients[{first}] has the same id");
            let found = Value::from(client.client_id);
            return Err(object.error("client_id", Problem::rule(found, rule)));
        }
        object.finish(unknown);
        clients.push(client);
    }
    Ok(clients)
}

fn client(object: &mut Object) -> Result<AuthClient, ConfigError> {
    let client_id = object.text("client_id", 1..=NAME_CHARS_MAX)?;
    let client_id = object.required("client_id", client_id)?;
    if client_id.chars().any(char::is_control) {
        let expected = "a string without control characters";
        let problem = Problem::unexpected(&Value::from(client_id), expected);
        return Err(object.error("client_id", problem));
    }
    let client_secret = object.secret(
        "client_secret",
        "a string of 1 to 4096 characters",
        |text| (1..=TOKEN_CHARS_MAX).contains(&text.chars().count()),
    )?;
    let role = object.word(
        "role",
        &[("admin", Role::Admin), ("monitor", Role::Monitor)],
    )?;
    Ok(AuthClient {
        client_id,
        client_secret: object.required("client_secret", client_secret)?,
        role: object.required("role", role)?,
    })
}
