//! The setup page (configuration.md 3.6): what it asks for, and what of that is legal.
//!
//! [`Setup`] comes from the JSON of a program or of the page's own script, or from the form as a browser without
//! scripts sends it. [`page`] is the page itself.

use std::fmt;
use std::net::IpAddr;

use serde_json::{Map, Value};

pub mod form;
pub mod page;

/// Longest URL of a manager, in characters (configuration.md 17).
pub const URL_CHARS_MAX: usize = 2_048;

/// Longest registration token, in characters (configuration.md 17).
pub const TOKEN_CHARS_MAX: usize = 4_096;

/// Longest name of a device, in characters (configuration.md 17).
pub const NAME_CHARS_MAX: usize = 256;

/// A legal setup. What is absent stays as it is.
#[derive(Clone, Eq, PartialEq)]
pub struct Setup {
    /// Address of the API.
    pub listen_addr: Option<IpAddr>,
    /// Port of the API, 1-65535.
    pub listen_port: Option<u16>,
    /// URL of the manager; begins with `wss://`.
    pub manager_url: String,
    /// Whether any certificate of the manager is accepted.
    pub accept_self_signed_cert: bool,
    /// Token of the manager; secret.
    pub registration_token: Option<String>,
    /// Name for people; empty: none.
    pub device_name: Option<String>,
}

impl fmt::Debug for Setup {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Setup")
            .field("listen_addr", &self.listen_addr)
            .field("listen_port", &self.listen_port)
            .field("manager_url", &self.manager_url)
            .field("device_name", &self.device_name)
            .finish_non_exhaustive()
    }
}

/// What of a setup is not legal. The texts are for the person at the form.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Neither an IPv4 nor an IPv6 address.
    #[error("Listen address {0} is not an IP address")]
    ListenAddress(String),
    /// Not a port that can be listened on.
    #[error("Listen port {0} is not an integer from 1 to 65535")]
    ListenPort(String),
    /// There is no manager without it.
    #[error("Manager URL is required")]
    ManagerUrlMissing,
    /// It names nobody to connect to.
    #[error("Manager URL {0} has no host name, or one that is not valid")]
    ManagerUrlHost(String),
    /// It is not a URL of an encrypted WebSocket.
    #[error("Manager URL must start with wss:// (TLS required)")]
    ManagerUrlScheme,
    /// The body is JSON, but no object.
    #[error("the request body is not a JSON object")]
    NotAnObject,
    /// Too many characters.
    #[error("{name} has {chars} characters; {most} are allowed")]
    TooLong {
        /// What.
        name: &'static str,
        /// How many it has.
        chars: usize,
        /// How many it may have.
        most: usize,
    },
    /// A value of another JSON type.
    #[error("{field} is not {expected}")]
    Type {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl Setup {
    /// The setup that `document` describes; `null` is the same as absence. Fields that nobody knows are ignored with a
    /// warning (configuration.md 9.3).
    ///
    /// What the configuration itself refuses, such as a self-signed certificate where the environment does not allow
    /// one, is refused when it is saved.
    ///
    /// # Errors
    ///
    /// [`SetupError`] for the first field that is not legal.
    pub fn parse(document: Value) -> Result<Self, SetupError> {
        let Value::Object(mut fields) = document else {
            return Err(SetupError::NotAnObject);
        };
        fields.retain(|_, value| !value.is_null());
        let setup = Self {
            listen_addr: listen_addr(&mut fields)?,
            listen_port: listen_port(&mut fields)?,
            manager_url: manager_url(&mut fields)?,
            accept_self_signed_cert: flag(&mut fields, "accept_self_signed_cert")?,
            registration_token: text(
                &mut fields,
                "registration_token",
                "Registration token",
                TOKEN_CHARS_MAX,
            )?
            // An empty field of the form, where the stored token is never shown.
            .filter(|token| !token.is_empty()),
            device_name: text(&mut fields, "device_name", "Device name", NAME_CHARS_MAX)?,
        };
        for field in fields
            .keys()
            .filter(|field| !STATUS_FIELDS.contains(&field.as_str()))
        {
            // Keys come from outside; a line break in one must not forge a log line.
            tracing::warn!("unknown setup field {} is ignored", field.escape_debug());
        }
        Ok(setup)
    }
}

/// Fields of `GET /setup/status` that a POST does not take: whoever sends back what it got is not warned.
const STATUS_FIELDS: [&str; 1] = ["setup_enabled"];

fn listen_addr(fields: &mut Map<String, Value>) -> Result<Option<IpAddr>, SetupError> {
    let Some(value) = fields.remove("listen_addr") else {
        return Ok(None);
    };
    let address = value.as_str().and_then(|text| text.trim().parse().ok());
    let refused = || SetupError::ListenAddress(shown(&value));
    address.ok_or_else(refused).map(Some)
}

fn listen_port(fields: &mut Map<String, Value>) -> Result<Option<u16>, SetupError> {
    let Some(value) = fields.remove("listen_port") else {
        return Ok(None);
    };
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
    let refused = || SetupError::ListenPort(shown(&value));
    port.filter(|port| *port > 0).ok_or_else(refused).map(Some)
}

fn manager_url(fields: &mut Map<String, Value>) -> Result<String, SetupError> {
    let url = text(fields, "manager_url", "Manager URL", URL_CHARS_MAX)?;
    let url = url.ok_or(SetupError::ManagerUrlMissing)?;
    let rest = url
        .strip_prefix("wss://")
        .ok_or(SetupError::ManagerUrlScheme)?;
    let parsed: Option<actix_web::http::Uri> = url.parse().ok();
    let has_host = parsed.is_some_and(|url| url.host().is_some_and(|host| !host.is_empty()));
    if has_host && !rest.starts_with([':', '@']) {
        Ok(url)
    } else {
        Err(SetupError::ManagerUrlHost(shown(&Value::from(url))))
    }
}

fn flag(fields: &mut Map<String, Value>, field: &'static str) -> Result<bool, SetupError> {
    match fields.remove(field) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(_) => Err(SetupError::Type {
            field,
            expected: "true or false",
        }),
    }
}

fn text(
    fields: &mut Map<String, Value>,
    field: &'static str,
    name: &'static str,
    most: usize,
) -> Result<Option<String>, SetupError> {
    match fields.remove(field) {
        None => Ok(None),
        Some(Value::String(text)) => match text.chars().count() {
            chars if chars > most => Err(SetupError::TooLong { name, chars, most }),
            _ => Ok(Some(text)),
        },
        Some(_) => Err(SetupError::Type {
            field,
            expected: "a string",
        }),
    }
}

/// The value in a message, short.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// Characters of a wrong value that a message shows.
const SHOWN_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests;
