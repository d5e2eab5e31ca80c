//! An input (configuration.md 5).

use serde_json::Value;

use super::super::error::{ConfigError, Problem};
use super::super::model::{
    InputConfig, InputRedundancy, RtpInputConfig, TestInputConfig, UdpInputConfig,
};
use super::super::raw::{Object, UnknownFields, integer_in};
use super::{leg, srt, stream, webrtc};

pub(super) fn input(
    mut object: Object,
    unknown: &mut UnknownFields,
) -> Result<InputConfig, ConfigError> {
    let kind = object.word("type", &KINDS)?;
    let kind = object.required("type", kind)?;
    let input = match kind {
        Kind::Rtmp => InputConfig::Rtmp(stream::rtmp_input(&mut object)?),
        Kind::Rtp => InputConfig::Rtp(Box::new(rtp(&mut object, unknown)?)),
        Kind::Rtsp => InputConfig::Rtsp(stream::rtsp_input(&mut object)?),
        Kind::Srt => InputConfig::Srt(Box::new(srt::input(&mut object, unknown)?)),
        Kind::Test => InputConfig::Test(TestInputConfig {
            bitrate_mbps: rate_mbps(&mut object, "bitrate_mbps", TEST_MBPS_MIN)?,
        }),
        Kind::Udp => InputConfig::Udp(UdpInputConfig {
            receive: leg::receive(&mut object)?,
        }),
        Kind::Webrtc => InputConfig::Webrtc(webrtc::webrtc_input(&mut object)?),
        Kind::Whep => InputConfig::Whep(webrtc::whep_input(&mut object)?),
    };
    object.finish(unknown);
    Ok(input)
}

#[derive(Clone, Copy)]
enum Kind {
    Rtmp,
    Rtp,
    Rtsp,
    Srt,
    Test,
    Udp,
    Webrtc,
    Whep,
}

/// In the order of the specification, in which messages list them.
const KINDS: [(&str, Kind); 8] = [
    ("rtp", Kind::Rtp),
    ("udp", Kind::Udp),
    ("srt", Kind::Srt),
    ("rtmp", Kind::Rtmp),
    ("rtsp", Kind::Rtsp),
    ("webrtc", Kind::Webrtc),
    ("whep", Kind::Whep),
    ("test", Kind::Test),
];

/// Lowest rate of the test source: below it, tables, tone and picture do not fit together.
const TEST_MBPS_MIN: f64 = 0.3;

/// Highest rate of anything (configuration.md 17).
const MBPS_MAX: f64 = 10_000.0;

/// One bit per second.
pub(super) const MBPS_STEP: f64 = 0.000_001;

fn rtp(object: &mut Object, unknown: &mut UnknownFields) -> Result<RtpInputConfig, ConfigError> {
    let receive = leg::receive_rtp(object)?;
    let fec_decode = leg::fec(object, "fec_decode", unknown)?;
    if fec_decode.is_some() {
        leg::port_leaves_room_for_fec(object, "bind_addr", receive.bind_addr)?;
    }
    let redundancy = match object.object("redundancy", "redundancy")? {
        None => None,
        Some(leg_2) => Some(redundancy(leg_2, fec_decode.is_some(), unknown)?),
    };
    Ok(RtpInputConfig {
        receive,
        fec_decode,
        tr07_mode: object.flag("tr07_mode")?,
        allowed_sources: allowed(object, "allowed_sources", |value| {
            let range = value.as_str().and_then(|text| text.parse().ok());
            range.ok_or_else(|| {
                Problem::unexpected(value, "an IP address, or a range such as 192.0.2.0/24")
            })
        })?,
        allowed_payload_types: allowed(object, "allowed_payload_types", |value| {
            integer_in(value, &leg::PAYLOAD_TYPES)
        })?,
        max_bitrate_mbps: rate_mbps(object, "max_bitrate_mbps", MBPS_STEP)?,
        redundancy,
        master_enable: object.flag("master_enable")?,
    })
}

fn redundancy(
    mut object: Object,
    fec: bool,
    unknown: &mut UnknownFields,
) -> Result<InputRedundancy, ConfigError> {
    let redundancy = InputRedundancy {
        receive: leg::receive_rtp(&mut object)?,
        path_differential_ms: leg::path_differential(&mut object)?,
    };
    if fec {
        leg::port_leaves_room_for_fec(&object, "bind_addr", redundancy.receive.bind_addr)?;
    }
    object.finish(unknown);
    Ok(redundancy)
}

/// A list of what may pass; one that lets nothing pass is a mistake.
fn allowed<T>(
    object: &mut Object,
    field: &str,
    parse: impl Fn(&Value) -> Result<T, Problem>,
) -> Result<Option<Vec<T>>, ConfigError> {
    let Some(values) = object.list(field)? else {
        return Ok(None);
    };
    if values.is_empty() {
        let rule = "nothing would pass; leave it out to let everything pass";
        return Err(object.error(field, Problem::rule("an empty list", rule)));
    }
    let mut allowed = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let element = || format!("{field}[{index}]");
        allowed.push(parse(value).map_err(|problem| object.error(&element(), problem))?);
    }
    Ok(Some(allowed))
}

/// A rate in Mb/s, kept to the bit per second: so short a number survives being written and read again unchanged.
pub(super) fn rate_mbps(
    object: &mut Object,
    field: &str,
    mbps_min: f64,
) -> Result<Option<f64>, ConfigError> {
    let expected = format!("a number from {mbps_min} to {MBPS_MAX} (Mb/s)");
    let mbps = object.number(field, mbps_min..=MBPS_MAX, &expected)?;
    Ok(mbps.map(|mbps| (mbps * 1e6).round() / 1e6))
}
