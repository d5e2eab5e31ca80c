//! The manager link (configuration.md 3.5).

use serde_json::Value;

use super::super::error::{ConfigError, Problem};
use super::super::model::{ManagerConfig, Secret};
use super::super::raw::{Object, UnknownFields};
use super::environment::{ALLOW_INSECURE, Environment};
use super::{NAME_CHARS_MAX, TOKEN_CHARS_MAX, kept, url};

/// The section. Its secrets stay when the document says nothing of them, even when it lacks the section.
pub(super) fn manager(
    app: &mut Object,
    current: Option<&ManagerConfig>,
    environment: Environment,
    unknown: &mut UnknownFields,
) -> Result<Option<ManagerConfig>, ConfigError> {
    let mut object = match app.value_or_null("manager") {
        None => return Ok(current.and_then(secrets_of)),
        Some(Value::Null) => return Ok(None),
        Some(value) => app.secret_object_of("manager", "manager", value)?,
    };
    let url = url::text_with_scheme(&mut object, "url", &["wss"])?;
    let manager = ManagerConfig {
        enabled: object.flag("enabled")?,
        url,
        accept_self_signed_cert: object.flag("accept_self_signed_cert")?,
        cert_fingerprint: fingerprint(&mut object)?,
        registration_token: kept::secret(
            &mut object,
            "registration_token",
            current.and_then(|current| current.registration_token.as_ref()),
            token,
        )?,
        node_id: object.text("node_id", 1..=NAME_CHARS_MAX)?,
        node_secret: kept::secret(
            &mut object,
            "node_secret",
            current.and_then(|current| current.node_secret.as_ref()),
            token,
        )?,
    };
    if manager.enabled == Some(true) && manager.url.is_none() {
        return Err(object.error("url", Problem::Missing));
    }
    if manager.accept_self_signed_cert == Some(true) && !environment.allow_insecure {
        let rule = format!("it needs {ALLOW_INSECURE}=1 in the environment of this process");
        return Err(object.error("accept_self_signed_cert", Problem::rule(true, rule)));
    }
    object.finish(unknown);
    Ok(Some(manager))
}

/// The section that is left when only the secrets stay.
fn secrets_of(current: &ManagerConfig) -> Option<ManagerConfig> {
    let kept = ManagerConfig {
        registration_token: current.registration_token.clone(),
        node_secret: current.node_secret.clone(),
        ..ManagerConfig::default()
    };
    (kept != ManagerConfig::default()).then_some(kept)
}

fn token(object: &mut Object, field: &str) -> Result<Option<Secret>, ConfigError> {
    object.secret(field, "a string of 1 to 4096 characters", |text| {
        (1..=TOKEN_CHARS_MAX).contains(&text.chars().count())
    })
}

fn fingerprint(object: &mut Object) -> Result<Option<String>, ConfigError> {
    match object.value("cert_fingerprint") {
        None => Ok(None),
        Some(Value::String(text)) if is_fingerprint(&text) => Ok(Some(text)),
        Some(other) => {
            let expected = "a SHA-256 fingerprint, 32 pairs of hex digits with colons between them";
            Err(object.error("cert_fingerprint", Problem::unexpected(&other, expected)))
        }
    }
}

fn is_fingerprint(text: &str) -> bool {
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == 32 && text.split(':').all(is_pair)
}
