//! The setup page. It needs nothing but this node: no other host, no framework, and no script where that is off.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use crate::config::AppConfig;

/// What of the configuration the page shows: the answer of `GET /setup/status`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Address of the API.
    pub listen_addr: IpAddr,
    /// Port of the API.
    pub listen_port: u16,
    /// URL of the manager.
    pub manager_url: Option<String>,
    /// Whether any certificate of the manager is accepted.
    pub accept_self_signed_cert: bool,
    /// Always absent: a secret never leaves the node.
    pub registration_token: Option<String>,
    /// Name for people.
    pub device_name: Option<String>,
    /// Whether the page is open.
    pub setup_enabled: bool,
}

impl Status {
    /// Of this configuration.
    #[must_use]
    pub fn of(config: &AppConfig) -> Self {
        let manager = config.manager.as_ref();
        Self {
            listen_addr: config.server.listen_addr,
            listen_port: config.server.listen_port,
            manager_url: manager.and_then(|manager| manager.url.clone()),
            accept_self_signed_cert: manager
                .is_some_and(|manager| manager.accept_self_signed_cert == Some(true)),
            registration_token: None,
            device_name: config.device_name.clone(),
            setup_enabled: config.setup_enabled.unwrap_or(true),
        }
    }
}

/// Style sheet of all pages here.
pub const CSS: &str = include_str!("../../web/setup.css");

/// Script of the form.
pub const SCRIPT: &str = include_str!("../../web/setup.js");

/// The form, filled in from the configuration.
#[must_use]
pub fn form(status: &Status) -> String {
    let port = status.listen_port.to_string();
    let address = status.listen_addr.to_string();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    filled(
        FORM,
        &[
            ("message_class", "good"),
            ("message_role", "status"),
            ("message_hidden", " hidden"),
            ("message", ""),
            ("device_name", &text(&status.device_name)),
            ("listen_addr", &address),
            ("listen_port", &port),
            ("manager_url", &text(&status.manager_url)),
            (
                "accept_self_signed_cert",
                checked(status.accept_self_signed_cert),
            ),
        ],
    )
}

/// The form as `document` filled it in, and why that was refused. The token has to be typed again.
#[must_use]
pub fn form_again(document: &Value, error: &str) -> String {
    let text = |field: &str| match &document[field] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_checked = document["accept_self_signed_cert"] == true;
    filled(
        FORM,
        &[
            ("message_class", "bad"),
            ("message_role", "alert"),
            ("message_hidden", ""),
            ("message", error),
            ("device_name", &text("device_name")),
            ("listen_addr", &text("listen_addr")),
            ("listen_port", &text("listen_port")),
            ("manager_url", &text("manager_url")),
            ("accept_self_signed_cert", checked(is_checked)),
        ],
    )
}

/// The page in place of the form when `setup_enabled` is false.
#[must_use]
pub fn disabled() -> String {
    let text = "The setup of this node is closed. \
                To open it again, set setup_enabled to true in the configuration.";
    notice("Setup Disabled", "bad", text)
}

/// A page with one message.
#[must_use]
pub fn saved(message: &str) -> String {
    notice("Setup saved", "good", message)
}

/// A page with one refusal that no other input would avoid.
#[must_use]
pub fn refused(message: &str) -> String {
    notice("Setup refused", "bad", message)
}

const FORM: &str = include_str!("../../web/setup.html");
const NOTICE: &str = include_str!("../../web/setup_notice.html");

fn notice(title: &str, class: &str, text: &str) -> String {
    filled(
        NOTICE,
        &[("title", title), ("class", class), ("text", text)],
    )
}

const fn checked(is_checked: bool) -> &'static str {
    if is_checked { " checked" } else { "" }
}

/// The template with each `{{name}}` replaced by its value, which is escaped. Values are not looked into again.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() + 1_024);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after
            .split_once("}}")
            .expect("the templates close what they open");
        let value = values.iter().find(|(known, _)| *known == name);
        escape(value.map_or("", |(_, value)| value), &mut page);
        rest = after;
    }
    page.push_str(rest);
    page
}

fn escape(text: &str, page: &mut String) {
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_place_of_the_templates_is_filled() {
        let form = form(&Status {
            listen_addr: "::1".parse().unwrap(),
            listen_port: 8081,
            manager_url: Some("wss://m/{{message}}".to_owned()),
            accept_self_signed_cert: true,
            registration_token: None,
            device_name: None,
            setup_enabled: true,
        });
        assert!(form.contains("value=\"8081\""), "{form}");
        assert!(form.contains("value=\"wss://m/{{message}}\""), "{form}");
        assert_eq!(form.matches("{{").count(), 1, "{form}");
        assert!(form.contains(" checked"), "{form}");
        assert!(!disabled().contains("{{"));
    }

    #[test]
    fn what_was_typed_cannot_become_markup() {
        let typed = "\"><script>alert('x')</script>&";
        let again = form_again(&json!({"device_name": typed, "listen_port": 0}), typed);
        assert!(!again.contains("<script>alert"), "{again}");
        let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;";
        assert_eq!(again.matches(escaped).count(), 2, "{again}");
        assert!(again.contains("value=\"0\""), "{again}");
    }
}
