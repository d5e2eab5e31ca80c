//! Inputs and outputs that speak RTMP, RTSP or HLS (configuration.md 5.4, 5.5, 6.4, 6.5).

use super::super::error::ConfigError;
use super::super::model::{
    HlsOutputConfig, RtmpInputConfig, RtmpOutputConfig, RtspInputConfig, RtspTransport,
};
use super::super::raw::Object;
use super::{CREDENTIAL_CHARS, NAME_CHARS_MAX, SECONDS, leg, url};

pub(super) fn rtmp_input(object: &mut Object) -> Result<RtmpInputConfig, ConfigError> {
    let listen_addr = leg::socket_addr(object, "listen_addr")?;
    let listen_addr = object.required("listen_addr", listen_addr)?;
    if !leg::is_unicast(listen_addr.ip()) && !listen_addr.ip().is_unspecified() {
        let rule = "connections come to a unicast address";
        return Err(leg::broken(object, "listen_addr", listen_addr, rule));
    }
    let app = object.text("app", 1..=NAME_CHARS_MAX)?;
    if let Some(app) = &app
        && app
            .contains(|c: char| matches!(c, '/' | '?' | '#') || c.is_whitespace() || c.is_control())
    {
        let rule = "it is one part of a URL's path, without /, ?, # and spaces";
        return Err(leg::broken(object, "app", app, rule));
    }
    Ok(RtmpInputConfig {
        listen_addr,
        app,
        stream_key: object.credential("stream_key", CREDENTIAL_CHARS)?,
        max_publishers: object.integer("max_publishers", 1..=u32::MAX)?,
    })
}

pub(super) fn rtsp_input(object: &mut Object) -> Result<RtspInputConfig, ConfigError> {
    let rtsp_url = url::media_url(object, "rtsp_url", &["rtsp", "rtsps"])?;
    Ok(RtspInputConfig {
        rtsp_url: object.required("rtsp_url", rtsp_url)?,
        username: object.credential("username", CREDENTIAL_CHARS)?,
        password: object.credential("password", CREDENTIAL_CHARS)?,
        transport: object.word(
            "transport",
            &[("tcp", RtspTransport::Tcp), ("udp", RtspTransport::Udp)],
        )?,
        timeout_secs: object.integer("timeout_secs", SECONDS)?,
        reconnect_delay_secs: object.integer("reconnect_delay_secs", SECONDS)?,
    })
}

pub(super) fn rtmp_output(object: &mut Object) -> Result<RtmpOutputConfig, ConfigError> {
    let dest_url = url::media_url(object, "dest_url", &["rtmp", "rtmps"])?;
    let stream_key = object.credential("stream_key", CREDENTIAL_CHARS)?;
    Ok(RtmpOutputConfig {
        dest_url: object.required("dest_url", dest_url)?,
        stream_key: object.required("stream_key", stream_key)?,
        reconnect_delay_secs: object.integer("reconnect_delay_secs", SECONDS)?,
        max_reconnect_attempts: object.integer("max_reconnect_attempts", 0..=u32::MAX)?,
    })
}

pub(super) fn hls_output(object: &mut Object) -> Result<HlsOutputConfig, ConfigError> {
    let ingest_url = url::media_url(object, "ingest_url", &["http", "https"])?;
    Ok(HlsOutputConfig {
        ingest_url: object.required("ingest_url", ingest_url)?,
        segment_duration_secs: object.number(
            "segment_duration_secs",
            0.5..=10.0,
            "a number from 0.5 to 10 (seconds)",
        )?,
        auth_token: object.credential("auth_token", CREDENTIAL_CHARS)?,
        max_segments: object.integer("max_segments", 1..=30)?,
    })
}
