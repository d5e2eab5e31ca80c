//! The SDP of a sender (nmos.md 4).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use uuid::Uuid;

use super::Found;
use super::host::SystemHost;
use super::mapping::Mapped;
use super::params::{PORT_AUTO, SenderLeg};
use crate::nmos::resources::{Model, ResourceType};
use crate::nmos::sdp::{self, Sent, SentLeg};

/// What the sender says of its stream at this moment.
pub(super) fn of_sender(found: &Found<SenderLeg>, id: Uuid) -> String {
    let Found {
        endpoint, model, ..
    } = found;
    let resource = model.get(ResourceType::Sender, id);
    let host = SystemHost::of(model);
    let legs = SenderLeg::resolved(&endpoint.seen().legs, &host);
    let legs = legs.iter().enumerate().map(|(index, leg)| {
        let interface = resource.and_then(|resource| resource.interface(index));
        sent_leg(leg, model, interface)
    });
    let payload_type = resource.and_then(|resource| resource.payload_type());
    sdp::write(&Sent {
        session_id: session_id(id),
        // It rises whenever anything of the sender changes, with its version in IS-04.
        version: resource.map_or(0, |resource| {
            resource.version().since_epoch().as_nanos() as u64
        }),
        label: resource.map_or("", |resource| resource.label()),
        payload_type: payload_type.unwrap_or_else(|| model.config().wrap_payload_type()),
        legs: legs.collect(),
    })
}

fn sent_leg(leg: &SenderLeg, model: &Model, interface: Option<&str>) -> SentLeg {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let source = leg.source_ip.or(any);
    let interfaces = model.interfaces();
    let interface = interface
        .and_then(|name| interfaces.named(name))
        .or_else(|| interfaces.owner(source));
    SentLeg {
        source,
        destination: SocketAddr::new(
            leg.destination_ip.or(any),
            leg.destination_port.or(PORT_AUTO),
        ),
        ttl: MULTICAST_TTL,
        port_id: interface.map_or_else(|| "00-00-00-00-00-00".to_owned(), |one| one.port_id()),
    }
}

/// Hops that the data plane gives packets to a group.
const MULTICAST_TTL: u8 = 64;

/// The payload type that a transport file names.
pub(super) fn announced(file: &str) -> Option<u8> {
    let offer = sdp::read(file).ok()?;
    offer.legs.first().map(|leg| leg.payload_type)
}

/// The same for ever for one sender; below 2^63, for some programs read it with a sign.
fn session_id(id: Uuid) -> u64 {
    let (high, low) = id.as_u64_pair();
    (high ^ low) >> 1
}
