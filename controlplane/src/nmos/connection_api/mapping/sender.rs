//! RTP outputs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::endpoint::{Applied, Configured};
use super::super::params::{
    Auto, COLUMN_FEC_OFFSET, FecDimensions, PORT_AUTO, ROW_FEC_OFFSET, SenderFec, SenderLeg,
};
use super::super::settings::Settings;
use super::{
    Host, Mapped, Subject, any_local, bound_port, leg_object, put, specified, text,
    unspecified_like,
};
use crate::config::{
    ConfigError, FecConfig, FecMode, FlowConfig, OutputKindConfig, RtpOutputConfig, SendConfig,
};

impl Mapped for SenderLeg {
    fn configured(
        flow: &FlowConfig,
        subject: &Subject,
        applied: &Applied<Self>,
    ) -> Option<Configured<Self>> {
        let output = flow.output(subject.output_id.as_deref()?)?;
        let OutputKindConfig::Rtp(rtp) = &output.kind else {
            return None;
        };
        let RtpOutputConfig {
            send,
            fec_encode,
            redundancy,
            master_enable,
            ..
        } = rtp.as_ref();
        let legs = [Some(send), redundancy.as_ref()];
        let legs = legs.into_iter().flatten().enumerate();
        let legs =
            legs.map(|(index, send)| leg(send, fec_encode.as_ref(), applied.legs.get(index)));
        Some(Configured {
            master_enable: master_enable.unwrap_or(true),
            legs: legs.collect(),
        })
    }

    fn write(
        flow: &mut Value,
        subject: &Subject,
        from: &Configured<Self>,
        to: &Settings<Self>,
        id: Uuid,
        applied: &mut Applied<Self>,
    ) -> Result<(), ConfigError> {
        let outputs = flow.get_mut("outputs").and_then(Value::as_array_mut);
        let output = outputs.into_iter().flatten().find(|output| {
            output.get("id").and_then(Value::as_str) == subject.output_id.as_deref()
        });
        let Some(output) = output.and_then(Value::as_object_mut) else {
            return Ok(());
        };
        for (index, (from, to)) in from.legs.iter().zip(&to.legs).enumerate() {
            if let Some(object) = leg_object(output, index) {
                write_leg(object, from, to, auto_group(id, index, to));
            }
        }
        if let (Some(from), Some(to)) = (from.legs.first(), to.legs.first()) {
            write_fec(output, &from.fec, &to.fec, &mut applied.removed);
        }
        if from.master_enable != to.master_enable {
            put(output, "master_enable", Some(to.master_enable));
        }
        Ok(())
    }

    fn accepts(_: &FlowConfig, _: &Settings<Self>) -> Result<(), ConfigError> {
        Ok(())
    }

    fn resolved(legs: &[Self], host: &dyn Host) -> Vec<Self> {
        legs.iter().map(|leg| resolved(leg, host)).collect()
    }
}

fn leg(send: &SendConfig, fec: Option<&FecConfig>, applied: Option<&SenderLeg>) -> SenderLeg {
    let bound = send.bind_addr.and_then(|address| specified(address.ip()));
    let mut source_port = bound_port(send.bind_addr);
    if source_port == Auto::Auto && applied.is_some_and(|leg| leg.source_port == Auto::Is(0)) {
        source_port = Auto::Is(0);
    }
    let mut known = applied.map_or_else(SenderFec::default, |leg| leg.fec.clone());
    known.destination_ip = Auto::Auto;
    known.column_destination_port = Auto::Auto;
    known.row_destination_port = Auto::Auto;
    known.column_source_port = Auto::Auto;
    known.row_source_port = Auto::Auto;
    known.enabled = fec.is_some();
    if let Some(fec) = fec {
        known.block_width = shown_width(fec.columns);
        known.block_height = fec.rows;
        known.mode = match fec.mode {
            Some(FecMode::OneDimensional) => FecDimensions::One,
            None if fec.columns == 1 => FecDimensions::One,
            Some(FecMode::TwoDimensional) | None => FecDimensions::Two,
        };
    }
    SenderLeg {
        source_ip: bound.or(send.interface_addr).into(),
        destination_ip: Auto::Is(send.dest_addr.ip()),
        source_port,
        destination_port: Auto::Is(send.dest_addr.port()),
        rtp_enabled: send.rtp_enabled.unwrap_or(true),
        fec: known,
    }
}

/// IS-05 knows no block narrower than 4; one that is stays so unless it is changed.
fn shown_width(columns: u8) -> u8 {
    columns.max(4)
}

fn write_leg(object: &mut Map<String, Value>, from: &SenderLeg, to: &SenderLeg, auto: IpAddr) {
    let destination = SocketAddr::new(
        to.destination_ip.or(auto),
        to.destination_port.or(PORT_AUTO),
    );
    let before = (from.destination_ip.value(), from.destination_port.value());
    if before != (Some(destination.ip()), Some(destination.port())) {
        put(object, "dest_addr", Some(text(destination)));
    }
    let same_family = from
        .destination_ip
        .value()
        .is_some_and(|before| before.is_ipv4() == destination.is_ipv4());
    // A port that is bound already goes on to be the node's choice.
    let source_port = match to.source_port {
        Auto::Auto => from.source_port,
        chosen @ Auto::Is(_) => chosen,
    };
    if !same_family || from.source_ip != to.source_ip || from.source_port != source_port {
        let address = to.source_ip.value();
        let bound = SocketAddr::new(
            address.unwrap_or_else(|| unspecified_like(destination.ip())),
            source_port.or(0),
        );
        let is_any = bound.ip().is_unspecified() && bound.port() == 0;
        put(object, "bind_addr", (!is_any).then(|| text(bound)));
        put(object, "interface_addr", address.map(text));
    }
    if from.rtp_enabled != to.rtp_enabled {
        put(object, "rtp_enabled", Some(to.rtp_enabled));
    }
}

fn write_fec(
    output: &mut Map<String, Value>,
    from: &SenderFec,
    to: &SenderFec,
    removed: &mut Map<String, Value>,
) {
    if !to.enabled {
        if let Some(fec) = output.remove(FEC) {
            removed.insert(FEC.to_owned(), fec);
        }
        return;
    }
    let was_there = output.contains_key(FEC);
    let earlier = removed.remove(FEC);
    let fec = output
        .entry(FEC)
        .or_insert_with(|| earlier.unwrap_or_else(|| json!({})));
    let Some(fec) = fec.as_object_mut() else {
        return;
    };
    let columns = fec.get("columns").and_then(Value::as_u64);
    let columns = columns.and_then(|columns| u8::try_from(columns).ok());
    if columns.map(shown_width) != Some(to.block_width) {
        put(fec, "columns", Some(to.block_width));
    }
    put(fec, "rows", Some(to.block_height));
    let is_default = !fec.contains_key("mode") && to.mode == FecDimensions::Two;
    let differs = !was_there || from.mode != to.mode;
    if differs && !is_default {
        let mode = match to.mode {
            FecDimensions::One => "1D",
            FecDimensions::Two => "2D",
        };
        put(fec, "mode", Some(mode));
    }
}

const FEC: &str = "fec_encode";

/// The group that the node chooses for a leg of the sender with this id: the same one whenever it is asked.
fn auto_group(id: Uuid, leg: usize, to: &SenderLeg) -> IpAddr {
    let bytes = id.as_bytes();
    // The end of a hash is as good as any other part; the legs differ in it.
    let leg = u8::try_from(leg).unwrap_or(u8::MAX);
    let [a, b, c] = [bytes[13], bytes[14], bytes[15] ^ leg];
    if to.source_ip.value().is_some_and(|source| source.is_ipv6()) {
        //= RFC 4291 2.7: transient, organisation-local.
        let [high, low] = [u16::from(a), u16::from_be_bytes([b, c])];
        return IpAddr::V6(Ipv6Addr::new(0xff18, 0, 0, 0, 0, 0x5004, high, low));
    }
    //= RFC 2365 6.2: 239.192.0.0/14 is organisation-local.
    IpAddr::V4(Ipv4Addr::new(239, 192 | (a & 3), b, c))
}

fn resolved(leg: &SenderLeg, host: &dyn Host) -> SenderLeg {
    let destination = leg.destination_ip.or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let source = leg.source_ip.value().or_else(|| host.route(destination));
    let source = source.unwrap_or_else(|| any_local(destination, host));
    let port = leg.destination_port.or(PORT_AUTO);
    let source_port = leg.source_port.or(PORT_AUTO);
    let from = |offset: u16| match source_port {
        0 => Auto::Is(0),
        port => Auto::Is(port.saturating_add(offset)),
    };
    SenderLeg {
        source_ip: Auto::Is(source),
        destination_ip: Auto::Is(destination),
        source_port: Auto::Is(source_port),
        destination_port: Auto::Is(port),
        rtp_enabled: leg.rtp_enabled,
        fec: SenderFec {
            destination_ip: Auto::Is(destination),
            column_destination_port: Auto::Is(port.saturating_add(COLUMN_FEC_OFFSET)),
            row_destination_port: Auto::Is(port.saturating_add(ROW_FEC_OFFSET)),
            column_source_port: from(COLUMN_FEC_OFFSET),
            row_source_port: from(ROW_FEC_OFFSET),
            ..leg.fec.clone()
        },
    }
}
