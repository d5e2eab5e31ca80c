//! RTP inputs.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::endpoint::{Applied, Configured};
use super::super::params::{
    Auto, COLUMN_FEC_OFFSET, FEC_BLOCK_DEFAULT, FecDimensions, PORT_AUTO, ROW_FEC_OFFSET,
    ReceiverFec, ReceiverLeg,
};
use super::super::settings::Settings;
use super::super::sources::Sources;
use super::{Host, Mapped, Subject, any_local, leg_object, put, specified, text, unspecified_like};
use crate::config::{
    ConfigError, FieldError, FlowConfig, InputConfig, Place, Problem, ReceiveConfig, RtpInputConfig,
};
use crate::nmos::sdp;

impl Mapped for ReceiverLeg {
    fn configured(
        flow: &FlowConfig,
        _: &Subject,
        applied: &Applied<Self>,
    ) -> Option<Configured<Self>> {
        let InputConfig::Rtp(rtp) = &flow.input else {
            return None;
        };
        let RtpInputConfig {
            receive,
            fec_decode,
            allowed_sources,
            redundancy,
            master_enable,
            ..
        } = rtp.as_ref();
        let leg_2 = redundancy.as_ref().map(|leg_2| &leg_2.receive);
        let legs = [Some(receive), leg_2];
        let legs = legs.into_iter().flatten().enumerate();
        let mut legs: Vec<_> = legs
            .map(|(index, receive)| leg(receive, fec_decode.is_some(), applied.legs.get(index)))
            .collect();
        Sources::of(allowed_sources.as_deref(), applied).show(&mut legs);
        Some(Configured {
            master_enable: master_enable.unwrap_or(true),
            legs,
        })
    }

    fn write(
        flow: &mut Value,
        _: &Subject,
        from: &Configured<Self>,
        to: &Settings<Self>,
        _: Uuid,
        applied: &mut Applied<Self>,
    ) -> Result<(), ConfigError> {
        let flow_id = flow["id"].as_str().unwrap_or_default().to_owned();
        let Some(input) = flow.get_mut("input").and_then(Value::as_object_mut) else {
            return Ok(());
        };
        for (index, (from, to)) in from.legs.iter().zip(&to.legs).enumerate() {
            if let Some(object) = leg_object(input, index) {
                write_leg(object, from, to);
            }
        }
        let enabled = to.legs.first().is_some_and(|leg| leg.fec.enabled);
        write_fec(input, enabled, &mut applied.removed);
        Sources::in_document(input, applied).write(input, &to.legs, &flow_id, applied)?;
        if from.master_enable != to.master_enable {
            put(input, "master_enable", Some(to.master_enable));
        }
        Ok(())
    }

    fn accepts(flow: &FlowConfig, settings: &Settings<Self>) -> Result<(), ConfigError> {
        let InputConfig::Rtp(rtp) = &flow.input else {
            return Ok(());
        };
        let (Some(allowed), Some(file)) = (&rtp.allowed_payload_types, &settings.transport_file)
        else {
            return Ok(());
        };
        // Nothing that cannot be read is ever staged.
        let offered = sdp::read(file).map_or_else(|_| Vec::new(), |offer| offer.legs);
        let received = offered.iter().zip(&settings.legs);
        let mut received = received.filter(|(_, leg)| leg.rtp_enabled);
        let refused = received.find(|(offered, _)| !allowed.contains(&offered.payload_type));
        refused.map_or(Ok(()), |(offered, _)| {
            Err(refusal(&flow.id, allowed, offered.payload_type))
        })
    }

    fn resolved(legs: &[Self], host: &dyn Host) -> Vec<Self> {
        legs.iter().map(|leg| resolved(leg, host)).collect()
    }
}

fn leg(receive: &ReceiveConfig, has_fec: bool, applied: Option<&ReceiverLeg>) -> ReceiverLeg {
    let address = receive.bind_addr.ip();
    let is_group = address.is_multicast();
    let interface = match is_group {
        true => receive.interface_addr,
        false => specified(address),
    };
    ReceiverLeg {
        source_ip: receive.source_addr.filter(|_| is_group),
        multicast_ip: is_group.then_some(address),
        interface_ip: interface.into(),
        destination_port: Auto::Is(receive.bind_addr.port()),
        rtp_enabled: receive.rtp_enabled.unwrap_or(true),
        fec: ReceiverFec {
            enabled: has_fec,
            mode: applied.map_or(Auto::Auto, |leg| leg.fec.mode),
            ..ReceiverFec::default()
        },
    }
}

fn write_leg(object: &mut Map<String, Value>, from: &ReceiverLeg, to: &ReceiverLeg) {
    let port = to.destination_port.or(PORT_AUTO);
    let moved = (from.multicast_ip, from.interface_ip, from.destination_port)
        != (to.multicast_ip, to.interface_ip, Auto::Is(port));
    // A unicast source has no place in the leg.
    let filters_anew = to.multicast_ip.is_some() && from.source_ip != to.source_ip;
    if moved || filters_anew {
        let interface = to.interface_ip.value();
        let address = to
            .multicast_ip
            .or(interface)
            .unwrap_or_else(|| unspecified_like(to.family()));
        put(
            object,
            "bind_addr",
            Some(text(SocketAddr::new(address, port))),
        );
        let is_group = to.multicast_ip.is_some();
        put(
            object,
            "interface_addr",
            interface.filter(|_| is_group).map(text),
        );
        put(
            object,
            "source_addr",
            to.source_ip.filter(|_| is_group).map(text),
        );
    }
    if from.rtp_enabled != to.rtp_enabled {
        put(object, "rtp_enabled", Some(to.rtp_enabled));
    }
}

fn write_fec(input: &mut Map<String, Value>, enabled: bool, removed: &mut Map<String, Value>) {
    match (enabled, input.contains_key(FEC)) {
        (false, _) => {
            if let Some(fec) = input.remove(FEC) {
                removed.insert(FEC.to_owned(), fec);
            }
        }
        (true, true) => {}
        (true, false) => {
            // The decoder learns the block from the packets; the configuration has to name one.
            let block = json!({"columns": FEC_BLOCK_DEFAULT, "rows": FEC_BLOCK_DEFAULT});
            let fec = removed.remove(FEC).unwrap_or(block);
            input.insert(FEC.to_owned(), fec);
        }
    }
}

const FEC: &str = "fec_decode";

/// A stream whose every packet the input would drop.
fn refusal(flow_id: &str, allowed: &[u8], payload_type: u8) -> ConfigError {
    FieldError {
        place: Place {
            owner: format!("flow '{}'", flow_id.escape_debug()),
            path: "input".to_owned(),
        },
        field: "allowed_payload_types".to_owned(),
        problem: Problem::rule(
            format!("{allowed:?}"),
            format!(
                "the operator does not allow payload type {payload_type} of the transport file"
            ),
        ),
    }
    .into()
}

fn resolved(leg: &ReceiverLeg, host: &dyn Host) -> ReceiverLeg {
    let from = leg.multicast_ip.or(leg.source_ip);
    let interface = leg.interface_ip.value();
    let interface = interface.or_else(|| host.route(from?));
    let interface: IpAddr = interface.unwrap_or_else(|| any_local(leg.family(), host));
    let port = leg.destination_port.or(PORT_AUTO);
    ReceiverLeg {
        interface_ip: Auto::Is(interface),
        destination_port: Auto::Is(port),
        fec: ReceiverFec {
            enabled: leg.fec.enabled,
            destination_ip: Auto::Is(leg.multicast_ip.unwrap_or(interface)),
            mode: Auto::Is(leg.fec.mode.or(FecDimensions::Two)),
            column_destination_port: Auto::Is(port.saturating_add(COLUMN_FEC_OFFSET)),
            row_destination_port: Auto::Is(port.saturating_add(ROW_FEC_OFFSET)),
        },
        ..leg.clone()
    }
}
