//! An output (configuration.md 6).

use bilbycast_shm_proto::model::ID_CHARS_MAX;

use super::super::error::ConfigError;
use super::super::model::{
    OutputConfig, OutputKindConfig, RtpOutputConfig, SendConfig, output_owner,
};
use super::super::raw::{Object, UnknownFields};
use super::{NAME_CHARS_MAX, leg, srt, stream, webrtc};

pub(super) fn output(
    mut object: Object,
    unknown: &mut UnknownFields,
) -> Result<OutputConfig, ConfigError> {
    let id = object.text("id", 1..=ID_CHARS_MAX)?;
    let id = object.required("id", id)?;
    object.set_owner(&output_owner(&id));
    let name = object.text("name", 1..=NAME_CHARS_MAX)?;
    let name = object.required("name", name)?;
    let kind = object.word("type", &KINDS)?;
    let kind = object.required("type", kind)?;
    let kind = match kind {
        Kind::Hls => OutputKindConfig::Hls(stream::hls_output(&mut object)?),
        Kind::Rtmp => OutputKindConfig::Rtmp(stream::rtmp_output(&mut object)?),
        Kind::Rtp => OutputKindConfig::Rtp(Box::new(rtp(&mut object, unknown)?)),
        Kind::Srt => OutputKindConfig::Srt(Box::new(srt::output(&mut object, unknown)?)),
        Kind::Udp => OutputKindConfig::Udp(leg::send(&mut object)?),
        Kind::Webrtc => OutputKindConfig::Webrtc(webrtc::webrtc_output(&mut object)?),
    };
    object.finish(unknown);
    Ok(OutputConfig { id, name, kind })
}

#[derive(Clone, Copy)]
enum Kind {
    Hls,
    Rtmp,
    Rtp,
    Srt,
    Udp,
    Webrtc,
}

/// In the order of the specification, in which messages list them.
const KINDS: [(&str, Kind); 6] = [
    ("rtp", Kind::Rtp),
    ("udp", Kind::Udp),
    ("srt", Kind::Srt),
    ("rtmp", Kind::Rtmp),
    ("hls", Kind::Hls),
    ("webrtc", Kind::Webrtc),
];

fn rtp(object: &mut Object, unknown: &mut UnknownFields) -> Result<RtpOutputConfig, ConfigError> {
    let send = leg::send_rtp(object)?;
    let fec_encode = leg::fec(object, "fec_encode", unknown)?;
    if fec_encode.is_some() {
        leg::port_leaves_room_for_fec(object, "dest_addr", send.dest_addr)?;
    }
    let redundancy = match object.object("redundancy", "redundancy")? {
        None => None,
        Some(leg_2) => Some(redundancy(leg_2, fec_encode.is_some(), unknown)?),
    };
    Ok(RtpOutputConfig {
        send,
        fec_encode,
        redundancy,
        payload_type: object.integer("payload_type", leg::PAYLOAD_TYPES)?,
        master_enable: object.flag("master_enable")?,
    })
}

fn redundancy(
    mut object: Object,
    fec: bool,
    unknown: &mut UnknownFields,
) -> Result<SendConfig, ConfigError> {
    let send = leg::send_rtp(&mut object)?;
    if fec {
        leg::port_leaves_room_for_fec(&object, "dest_addr", send.dest_addr)?;
    }
    object.finish(unknown);
    Ok(send)
}
