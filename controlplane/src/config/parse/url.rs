//! URLs and the hosts in them.

use serde_json::Value;

use super::super::error::{ConfigError, Problem};
use super::super::model::{MediaUrl, shown_url};
use super::super::raw::Object;
use super::URL_CHARS_MAX;

/// A URL of one of these schemes, with a host. Messages leave out what it may carry of passwords and tokens.
pub(super) fn media_url(
    object: &mut Object,
    field: &str,
    schemes: &[&str],
) -> Result<Option<MediaUrl>, ConfigError> {
    let text = text_with_scheme(object, field, schemes)?;
    Ok(text.map(MediaUrl::new))
}

/// As [`media_url`], as text.
pub(super) fn text_with_scheme(
    object: &mut Object,
    field: &str,
    schemes: &[&str],
) -> Result<Option<String>, ConfigError> {
    let (found, expected) = match object.value(field) {
        None => return Ok(None),
        Some(Value::String(text)) => {
            let rest = schemes.iter().find_map(|scheme| {
                let rest = text.strip_prefix(scheme)?;
                rest.strip_prefix("://")
            });
            let expected = match rest {
                _ if text.chars().count() > URL_CHARS_MAX => {
                    format!("a URL of at most {URL_CHARS_MAX} characters")
                }
                None => {
                    let begins: Vec<String> = schemes
                        .iter()
                        .map(|scheme| format!("{scheme}://"))
                        .collect();
                    format!("a URL that begins with {}", begins.join(" or "))
                }
                Some(_) if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                    "a URL without spaces or control characters".to_owned()
                }
                Some(rest) if !has_host(rest) => {
                    "a URL with a host, and a port from 1 to 65535 if any".to_owned()
                }
                Some(_) => return Ok(Some(text)),
            };
            (Value::from(shown_url(&text)), expected)
        }
        Some(other) => (other, "a URL".to_owned()),
    };
    Err(object.error(field, Problem::unexpected(&found, expected)))
}

/// `host:port`, where the host may be a DNS name.
pub(super) fn host_and_port(
    object: &mut Object,
    field: &str,
) -> Result<Option<String>, ConfigError> {
    let Some(text) = object.text(field, 1..=URL_CHARS_MAX)? else {
        return Ok(None);
    };
    if is_host_and_port(&text) {
        Ok(Some(text))
    } else {
        let found = Value::from(text);
        Err(object.error(field, Problem::unexpected(&found, "\"host:port\"")))
    }
}

/// A host and a port from 1 to 65535.
pub(super) fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| is_host(host) && is_port(port))
}

/// A DNS name or an IPv4 address, or an IPv6 address in brackets.
pub(super) fn is_host(host: &str) -> bool {
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_dns_name(host),
    }
}

/// Letters, digits, hyphens and underscores between dots (RFC 1123 2.1, and what is in use beyond it).
pub(super) fn is_dns_name(name: &str) -> bool {
    //= RFC 1035 2.3.4: 63 octets a label, 253 characters a name without its final dot.
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    name.len() <= DNS_NAME_BYTES_MAX
        && name
            .strip_suffix('.')
            .unwrap_or(name)
            .split('.')
            .all(is_label)
}

/// Longest DNS name, with its final dot.
pub(super) const DNS_NAME_BYTES_MAX: usize = 254;

/// Whether what follows `://` has a host.
fn has_host(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => host,
        None => authority,
    };
    is_host(host) || is_host_and_port(host)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}
