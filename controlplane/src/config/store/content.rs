//! What stands in `secrets.json` (configuration.md 1.2), and how it joins `config.json` in one document.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::model::{AppConfig, AuthConfig, Secret};
use super::error::SecretsProblem;

/// The secrets of one configuration, under the flat keys of the file.
#[derive(Clone, Default, Eq, PartialEq)]
pub(super) struct Content(Map<String, Value>);

/// What the file says.
///
/// While a save is under way it holds the secrets of the configuration before it too: which of the two count is
/// decided by `config.json`, so that the pair is old or new and never a mixture.
#[derive(Clone, Default, Eq, PartialEq)]
pub(super) struct Pair {
    /// The secrets of the last save.
    latest: Content,
    /// What they replace, as long as it is not certain that `config.json` has followed.
    replaced: Option<Replaced>,
}

#[derive(Clone, Eq, PartialEq)]
struct Replaced {
    /// SHA-256 of the `config.json` that `latest` belongs to.
    config_sha256: String,
    /// The secrets of any other.
    content: Content,
}

impl Pair {
    /// `latest` alone.
    pub(super) const fn of(latest: Content) -> Self {
        Self {
            latest,
            replaced: None,
        }
    }

    /// `latest` for the configuration with these bytes, `before` for any other.
    pub(super) fn changing(latest: Content, config: &[u8], before: Content) -> Self {
        Self {
            latest,
            replaced: Some(Replaced {
                config_sha256: sha256(config),
                content: before,
            }),
        }
    }

    /// What counts beside a configuration with these bytes.
    pub(super) fn beside(&self, config: &[u8]) -> &Content {
        match &self.replaced {
            Some(replaced) if replaced.config_sha256 != sha256(config) => &replaced.content,
            _ => &self.latest,
        }
    }

    /// Whether the save that wrote it came to its end.
    pub(super) const fn is_settled(&self) -> bool {
        self.replaced.is_none()
    }

    /// Reads the JSON text of the file. Keys that nobody knows are warned about and left out.
    pub(super) fn parse(text: &[u8]) -> Result<Self, SecretsProblem> {
        let document: Value = serde_json::from_slice(text)
            // Only line and column: this error never quotes a value of a document without a schema.
            .map_err(|error| SecretsProblem::NotJson(error.to_string()))?;
        let Value::Object(mut document) = document else {
            return Err(SecretsProblem::NotJson("it is another value".to_owned()));
        };
        if document.remove(VERSION).is_some_and(|version| version != 1) {
            return Err(SecretsProblem::Shape {
                key: VERSION,
                expected: "1, the only version that this program knows",
            });
        }
        let replaced = match (document.remove(CONFIG_SHA256), document.remove(REPLACED)) {
            (None, None) => None,
            (Some(Value::String(config_sha256)), Some(Value::Object(content))) => Some(Replaced {
                config_sha256,
                content: Content::parse(content)?,
            }),
            _ => {
                return Err(SecretsProblem::Shape {
                    key: REPLACED,
                    expected: "an object beside a text config_sha256",
                });
            }
        };
        Ok(Self {
            latest: Content::parse(document)?,
            replaced,
        })
    }

    /// The JSON text of the file.
    pub(super) fn to_text(&self) -> Vec<u8> {
        let mut document = self.latest.0.clone();
        document.insert(VERSION.to_owned(), json!(1));
        if let Some(replaced) = &self.replaced {
            document.insert(CONFIG_SHA256.to_owned(), json!(replaced.config_sha256));
            document.insert(REPLACED.to_owned(), Value::from(replaced.content.0.clone()));
        }
        Value::from(document).to_string().into_bytes()
    }
}

impl Content {
    /// The secrets of `config`.
    pub(super) fn of(config: &AppConfig) -> Self {
        let mut content = Map::new();
        if let Some(auth) = &config.server.auth {
            content.insert(SERVER_AUTH.to_owned(), of_auth(auth));
        }
        if let Some(tls) = &config.server.tls {
            let tls = json!({"cert_path": tls.cert_path, "key_path": tls.key_path});
            content.insert(SERVER_TLS.to_owned(), tls);
        }
        if let Some(manager) = &config.manager {
            for (key, secret) in [
                (MANAGER_TOKEN.0, &manager.registration_token),
                (MANAGER_SECRET.0, &manager.node_secret),
            ] {
                if let Some(secret) = secret {
                    content.insert(key.to_owned(), json!(secret.expose()));
                }
            }
        }
        let tunnels = config.tunnels.iter().filter_map(|tunnel| {
            let fields = tunnel.secrets.fields().into_iter();
            let fields: Map<String, Value> = fields
                .filter_map(|(field, secret)| {
                    Some((field.to_owned(), json!(secret.map(Secret::expose)?)))
                })
                .collect();
            (!fields.is_empty()).then(|| (tunnel.id.to_string(), Value::from(fields)))
        });
        let tunnels: Map<String, Value> = tunnels.collect();
        if !tunnels.is_empty() {
            content.insert(TUNNELS.to_owned(), Value::from(tunnels));
        }
        Self(content)
    }

    /// Puts the secrets into the document of `config.json`, where that does not have them itself: what an operator
    /// wrote there by hand is newer. `null` there is absence, for a file has no memory that it could remove from.
    pub(super) fn join(&self, document: &mut Value) {
        let Some(document) = document.as_object_mut() else {
            return;
        };
        for (key, section, field) in [
            (SERVER_AUTH, "server", "auth"),
            (SERVER_TLS, "server", "tls"),
            (MANAGER_TOKEN.0, "manager", MANAGER_TOKEN.1),
            (MANAGER_SECRET.0, "manager", MANAGER_SECRET.1),
        ] {
            let Some(secret) = self.0.get(key) else {
                continue;
            };
            if section == "manager" && document.get(section).is_none_or(Value::is_null) {
                document.insert(section.to_owned(), json!({}));
            }
            if let Some(section) = document.get_mut(section) {
                put(section, field, secret);
            }
        }
        let by_id = self.tunnels();
        let tunnels = document.get_mut(TUNNELS).and_then(Value::as_array_mut);
        for tunnel in tunnels.into_iter().flatten() {
            let id = tunnel.get("id").and_then(Value::as_str);
            let secrets = id.and_then(|id| by_id.get(&id.parse::<Uuid>().ok()?));
            for (field, secret) in secrets.into_iter().flat_map(|secrets| secrets.iter()) {
                put(tunnel, field, secret);
            }
        }
    }

    fn parse(mut document: Map<String, Value>) -> Result<Self, SecretsProblem> {
        let mut content = Map::new();
        for (key, expected, is_right) in [
            (
                SERVER_AUTH,
                "an object",
                Value::is_object as fn(&Value) -> bool,
            ),
            (SERVER_TLS, "an object", Value::is_object),
            (MANAGER_TOKEN.0, "a string", Value::is_string),
            (MANAGER_SECRET.0, "a string", Value::is_string),
            (TUNNELS, "an object of objects", is_object_of_objects),
        ] {
            match document.remove(key).filter(|value| !value.is_null()) {
                Some(value) if is_right(&value) => {
                    content.insert(key.to_owned(), value);
                }
                Some(_) => return Err(SecretsProblem::Shape { key, expected }),
                None => {}
            }
        }
        for key in document.keys().take(WARNINGS_MAX) {
            tracing::warn!("unknown key {key:?} of the secrets file is ignored");
        }
        Ok(Self(content))
    }

    fn tunnels(&self) -> BTreeMap<Uuid, &Map<String, Value>> {
        let tunnels = self.0.get(TUNNELS).and_then(Value::as_object);
        let tunnels = tunnels.into_iter().flatten();
        tunnels
            .filter_map(|(id, secrets)| Some((id.parse().ok()?, secrets.as_object()?)))
            .collect()
    }
}

/// Whether a document of `config.json` has secrets in it that belong into `secrets.json`.
pub(super) fn has_inline_secrets(document: &Value) -> bool {
    let is_there = |section: Option<&Value>, field: &str| {
        section
            .and_then(|section| section.get(field))
            .is_some_and(|value| !value.is_null())
    };
    let (server, manager) = (document.get("server"), document.get("manager"));
    let tunnels = document.get(TUNNELS).and_then(Value::as_array);
    is_there(server, "auth")
        || is_there(server, "tls")
        || is_there(manager, MANAGER_TOKEN.1)
        || is_there(manager, MANAGER_SECRET.1)
        || tunnels.into_iter().flatten().any(|tunnel| {
            TUNNEL_FIELDS
                .iter()
                .any(|field| is_there(Some(tunnel), field))
        })
}

const VERSION: &str = "version";
const SERVER_AUTH: &str = "server_auth";
const SERVER_TLS: &str = "server_tls";
const TUNNELS: &str = "tunnels";
const CONFIG_SHA256: &str = "config_sha256";
const REPLACED: &str = "replaced";

/// Key here, and field of `manager`.
const MANAGER_TOKEN: (&str, &str) = ("manager_registration_token", "registration_token");

/// Key here, and field of `manager`.
const MANAGER_SECRET: (&str, &str) = ("manager_node_secret", "node_secret");

const TUNNEL_FIELDS: [&str; 5] = [
    "tunnel_encryption_key",
    "tunnel_bind_secret",
    "tunnel_psk",
    "tls_cert_pem",
    "tls_key_pem",
];

/// Most unknown keys that are named.
const WARNINGS_MAX: usize = 16;

fn of_auth(auth: &AuthConfig) -> Value {
    let clients = auth.clients.iter().map(|client| {
        json!({
            "client_id": client.client_id,
            "client_secret": client.client_secret.expose(),
            "role": client.role,
        })
    });
    json!({
        "enabled": auth.enabled,
        "jwt_secret": auth.jwt_secret.expose(),
        "token_lifetime_secs": auth.token_lifetime_secs,
        "public_metrics": auth.public_metrics,
        "token_rate_limit_per_minute": auth.token_rate_limit_per_minute,
        "clients": clients.collect::<Vec<_>>(),
    })
}

fn put(section: &mut Value, field: &str, secret: &Value) {
    if let Some(section) = section.as_object_mut()
        && section.get(field).is_none_or(Value::is_null)
    {
        section.insert(field.to_owned(), secret.clone());
    }
}

fn is_object_of_objects(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|entries| entries.values().all(Value::is_object))
}

fn sha256(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
