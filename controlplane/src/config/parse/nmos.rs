//! NMOS (configuration.md 3.8).

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::super::error::{ConfigError, Problem};
use super::super::model::{NmosConfig, NmosMode, NmosRegistration};
use super::super::raw::{Object, UnknownFields};
use super::{leg, url};

pub(super) fn nmos(
    app: &mut Object,
    unknown: &mut UnknownFields,
) -> Result<Option<NmosConfig>, ConfigError> {
    let Some(mut object) = app.object("nmos", "nmos")? else {
        return Ok(None);
    };
    let registration = match object.object("registration", "registration")? {
        None => None,
        Some(registration) => Some(nmos_registration(registration, unknown)?),
    };
    let nmos = NmosConfig {
        enabled: object.flag("enabled")?,
        registration,
        interfaces: interfaces(&mut object)?,
        host: host(&mut object)?,
        rtp_payload_type: object.integer("rtp_payload_type", leg::PAYLOAD_TYPES)?,
        require_auth: object.flag("require_auth")?,
    };
    object.finish(unknown);
    Ok(Some(nmos))
}

/// Longest name of a network interface (IFNAMSIZ without its final zero byte).
const INTERFACE_NAME_BYTES_MAX: usize = 15;

fn nmos_registration(
    mut object: Object,
    unknown: &mut UnknownFields,
) -> Result<NmosRegistration, ConfigError> {
    let registration = NmosRegistration {
        mode: object.word(
            "mode",
            &[
                ("mdns", NmosMode::Mdns),
                ("unicast", NmosMode::Unicast),
                ("static", NmosMode::Static),
                ("off", NmosMode::Off),
            ],
        )?,
        domain: domain(&mut object)?,
        dns_server: dns_server(&mut object)?,
        url: url::media_url(&mut object, "url", &["http", "https"])?,
    };
    if registration.mode == Some(NmosMode::Static) && registration.url.is_none() {
        let by = "mode static".to_owned();
        return Err(object.error("url", Problem::Required { by }));
    }
    object.finish(unknown);
    Ok(registration)
}

fn domain(object: &mut Object) -> Result<Option<String>, ConfigError> {
    match object.text("domain", 1..=url::DNS_NAME_BYTES_MAX)? {
        Some(domain) if !url::is_dns_name(&domain) => {
            let problem = Problem::unexpected(&Value::from(domain), "a DNS domain");
            Err(object.error("domain", problem))
        }
        other => Ok(other),
    }
}

fn dns_server(object: &mut Object) -> Result<Option<SocketAddr>, ConfigError> {
    match leg::socket_addr(object, "dns_server")? {
        Some(address) if address.port() == 0 || !leg::is_unicast(address.ip()) => {
            let rule = "a DNS server has a unicast address and a port other than 0";
            Err(leg::broken(object, "dns_server", address, rule))
        }
        other => Ok(other),
    }
}

/// Unlike in a URL, an IPv6 address stands without brackets.
fn host(object: &mut Object) -> Result<Option<String>, ConfigError> {
    match object.text("host", 1..=url::DNS_NAME_BYTES_MAX)? {
        Some(host) if !url::is_dns_name(&host) && host.parse::<IpAddr>().is_err() => {
            let expected = "a DNS name or an IP address";
            Err(object.error("host", Problem::unexpected(&Value::from(host), expected)))
        }
        other => Ok(other),
    }
}

fn interfaces(object: &mut Object) -> Result<Option<Vec<String>>, ConfigError> {
    let Some(values) = object.list("interfaces")? else {
        return Ok(None);
    };
    let mut names = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let name = value
            .as_str()
            .filter(|name| (1..=INTERFACE_NAME_BYTES_MAX).contains(&name.len()))
            .filter(|name| !name.contains(|c: char| c == '/' || c.is_whitespace()));
        let Some(name) = name else {
            let expected = "the name of a network interface";
            let field = format!("interfaces[{index}]");
            return Err(object.error(&field, Problem::unexpected(value, expected)));
        };
        names.push(name.to_owned());
    }
    Ok(Some(names))
}
