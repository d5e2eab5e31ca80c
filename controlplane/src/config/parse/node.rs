//! The sections of the node that this version interprets (configuration.md 3).

use std::net::IpAddr;

use super::super::error::{ConfigError, Problem};
use super::super::model::{MonitorConfig, NmosConfig, NmosRegistration, ServerConfig};
use super::super::raw::{Object, UnknownFields};
use super::{URL_CHARS_MAX, kept, leg};

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
        tls: kept::tls(&mut object, current.tls.as_ref(), unknown)?,
        auth: kept::auth(&mut object, current.auth.as_ref(), unknown)?,
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

fn listener(object: &mut Object) -> Result<(IpAddr, u16), ConfigError> {
    let address = object.parsed("listen_addr", "an IP address")?;
    let port = object.integer("listen_port", 1..=u16::MAX)?;
    Ok((
        object.required("listen_addr", address)?,
        object.required("listen_port", port)?,
    ))
}

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
        host: object.text("host", 1..=DNS_NAME_CHARS_MAX)?,
        rtp_payload_type: object.integer("rtp_payload_type", leg::PAYLOAD_TYPES)?,
        require_auth: object.flag("require_auth")?,
    };
    object.finish(unknown);
    Ok(Some(nmos))
}

/// Longest DNS name (RFC 1035 2.3.4, without the final dot).
const DNS_NAME_CHARS_MAX: usize = 253;

/// Longest name of a network interface (IFNAMSIZ without its final zero byte).
const INTERFACE_NAME_BYTES_MAX: usize = 15;

fn nmos_registration(
    mut object: Object,
    unknown: &mut UnknownFields,
) -> Result<NmosRegistration, ConfigError> {
    let registration = NmosRegistration {
        mode: object.choice("mode", &["mdns", "unicast", "static", "off"])?,
        domain: object.text("domain", 1..=DNS_NAME_CHARS_MAX)?,
        dns_server: object.parsed(
            "dns_server",
            "\"address:port\", an IPv6 address in brackets",
        )?,
        url: object.text("url", 1..=URL_CHARS_MAX)?,
    };
    if let Some(url) = &registration.url
        && !url.starts_with("http://")
        && !url.starts_with("https://")
    {
        let found = serde_json::Value::from(url.as_str());
        let expected = "a URL that begins with http:// or https://";
        return Err(object.error("url", Problem::unexpected(&found, expected)));
    }
    if registration.mode.as_deref() == Some("static") && registration.url.is_none() {
        return Err(object.error("url", Problem::Missing));
    }
    object.finish(unknown);
    Ok(registration)
}

fn interfaces(object: &mut Object) -> Result<Option<Vec<String>>, ConfigError> {
    let Some(values) = object.list("interfaces")? else {
        return Ok(None);
    };
    let mut names = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let name = value
            .as_str()
            .filter(|name| (1..=INTERFACE_NAME_BYTES_MAX).contains(&name.len()));
        let Some(name) = name else {
            let expected = "the name of a network interface";
            let field = format!("interfaces[{index}]");
            return Err(object.error(&field, Problem::unexpected(value, expected)));
        };
        names.push(name.to_owned());
    }
    Ok(Some(names))
}
