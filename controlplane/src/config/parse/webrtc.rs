//! Inputs and outputs of WebRTC (configuration.md 5.6, 5.7, 6.6).

use std::net::IpAddr;

use serde_json::Value;

use super::super::error::{ConfigError, Problem};
use super::super::model::{WebrtcInputConfig, WebrtcMode, WebrtcOutputConfig, WhepInputConfig};
use super::super::raw::Object;
use super::{CREDENTIAL_CHARS, URL_CHARS_MAX, leg, url};

pub(super) fn webrtc_input(object: &mut Object) -> Result<WebrtcInputConfig, ConfigError> {
    Ok(WebrtcInputConfig {
        bearer_token: object.credential("bearer_token", CREDENTIAL_CHARS)?,
        video_only: object.flag("video_only")?,
        public_ip: public_ip(object)?,
        stun_server: stun_server(object)?,
    })
}

pub(super) fn whep_input(object: &mut Object) -> Result<WhepInputConfig, ConfigError> {
    let whep_url = url::media_url(object, "whep_url", &["http", "https"])?;
    Ok(WhepInputConfig {
        whep_url: object.required("whep_url", whep_url)?,
        bearer_token: object.credential("bearer_token", CREDENTIAL_CHARS)?,
        video_only: object.flag("video_only")?,
    })
}

pub(super) fn webrtc_output(object: &mut Object) -> Result<WebrtcOutputConfig, ConfigError> {
    let mode = object.word(
        "mode",
        &[
            ("whip_client", WebrtcMode::WhipClient),
            ("whep_server", WebrtcMode::WhepServer),
        ],
    )?;
    let output = WebrtcOutputConfig {
        mode,
        whip_url: url::media_url(object, "whip_url", &["http", "https"])?,
        bearer_token: object.credential("bearer_token", CREDENTIAL_CHARS)?,
        max_viewers: object.integer("max_viewers", 1..=100)?,
        public_ip: public_ip(object)?,
        video_only: object.flag("video_only")?,
    };
    let is_client = mode.is_none_or(|mode| mode == WebrtcMode::WhipClient);
    if is_client && output.whip_url.is_none() {
        let by = "mode whip_client".to_owned();
        return Err(object.error("whip_url", Problem::Required { by }));
    }
    Ok(output)
}

/// An address that viewers and publishers can reach.
fn public_ip(object: &mut Object) -> Result<Option<IpAddr>, ConfigError> {
    let Some(address) = leg::ip_addr(object, "public_ip")? else {
        return Ok(None);
    };
    if leg::is_unicast(address) {
        Ok(Some(address))
    } else {
        let rule = "an ICE candidate has a unicast address";
        Err(leg::broken(object, "public_ip", address, rule))
    }
}

/// `host:port`; `stun:` may stand before it (RFC 7064 3.1), and the port may be left out.
fn stun_server(object: &mut Object) -> Result<Option<String>, ConfigError> {
    let Some(text) = object.text("stun_server", 1..=URL_CHARS_MAX)? else {
        return Ok(None);
    };
    let host = text.strip_prefix("stun:").unwrap_or(&text);
    if url::is_host(host) || url::is_host_and_port(host) {
        Ok(Some(text))
    } else {
        let expected = "\"host:port\" or \"stun:host:port\"";
        Err(object.error(
            "stun_server",
            Problem::unexpected(&Value::from(text), expected),
        ))
    }
}
