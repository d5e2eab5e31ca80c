//! The addresses of one leg, and FEC.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use serde_json::Value;

use super::super::error::{ConfigError, Problem};
use super::super::model::{FecConfig, FecLayout, FecMode, ReceiveConfig, SendConfig};
use super::super::raw::{Object, UnknownFields};

/// RTP payload types (RFC 3550 5.1).
pub(super) const PAYLOAD_TYPES: RangeInclusive<u8> = 0..=127;

/// Merge buffers of ST 2022-7, in milliseconds.
const PATH_DIFFERENTIAL_MS: RangeInclusive<u32> = 1..=2_000;

/// The skew classes of ST 2022-7, in milliseconds; 150 us of class D are less than the one millisecond that is the least.
const SKEW_CLASSES: [(&str, u32); 4] = [("A", 10), ("B", 50), ("C", 450), ("D", 1)];

/// A merge buffer in milliseconds, or the skew class that it is for.
pub(super) fn path_differential(object: &mut Object) -> Result<Option<u32>, ConfigError> {
    let field = "path_differential_ms";
    if let Some(value) = object.value(field) {
        let class = SKEW_CLASSES.iter().find(|(name, _)| value == *name);
        if let Some((_, millis)) = class {
            return Ok(Some(*millis));
        }
        object.replace(field, value);
    }
    object.integer(field, PATH_DIFFERENTIAL_MS)
}

/// What a leg without RTP receives.
pub(super) fn receive(object: &mut Object) -> Result<ReceiveConfig, ConfigError> {
    let bind_addr = socket_addr(object, "bind_addr")?;
    let bind_addr = object.required("bind_addr", bind_addr)?;
    Ok(ReceiveConfig {
        bind_addr,
        interface_addr: interface_addr(object, "bind_addr", bind_addr)?,
        source_addr: source_addr(object, bind_addr)?,
        rtp_enabled: None,
    })
}

/// What an RTP leg receives.
pub(super) fn receive_rtp(object: &mut Object) -> Result<ReceiveConfig, ConfigError> {
    Ok(ReceiveConfig {
        rtp_enabled: object.flag("rtp_enabled")?,
        ..receive(object)?
    })
}

/// Where a leg without RTP sends.
pub(super) fn send(object: &mut Object) -> Result<SendConfig, ConfigError> {
    let dest_addr = socket_addr(object, "dest_addr")?;
    let dest_addr = object.required("dest_addr", dest_addr)?;
    if dest_addr.ip().is_unspecified() || dest_addr.port() == 0 {
        let rule =
            "a destination has an address other than the unspecified one and a port other than 0";
        return Err(broken(object, "dest_addr", dest_addr, rule));
    }
    Ok(SendConfig {
        dest_addr,
        bind_addr: local_addr(object, dest_addr)?,
        interface_addr: interface_addr(object, "dest_addr", dest_addr)?,
        dscp: object.integer("dscp", 0..=63)?,
        rtp_enabled: None,
    })
}

/// Where an RTP leg sends.
pub(super) fn send_rtp(object: &mut Object) -> Result<SendConfig, ConfigError> {
    Ok(SendConfig {
        rtp_enabled: object.flag("rtp_enabled")?,
        ..send(object)?
    })
}

/// ST 2022-1 parameters (configuration.md 7.3).
pub(super) fn fec(
    object: &mut Object,
    field: &str,
    unknown: &mut UnknownFields,
) -> Result<Option<FecConfig>, ConfigError> {
    let Some(mut object) = object.object(field, field)? else {
        return Ok(None);
    };
    let columns = object.integer("columns", 1..=20)?;
    let rows = object.integer("rows", 4..=20)?;
    let fec = FecConfig {
        columns: object.required("columns", columns)?,
        rows: object.required("rows", rows)?,
        mode: object.word("mode", &FEC_MODES)?,
        layout: object.word("layout", &FEC_LAYOUTS)?,
    };
    object.finish(unknown);
    Ok(Some(fec))
}

const FEC_MODES: [(&str, FecMode); 2] = [
    ("1D", FecMode::OneDimensional),
    ("2D", FecMode::TwoDimensional),
];

const FEC_LAYOUTS: [(&str, FecLayout); 2] = [
    ("block_aligned", FecLayout::BlockAligned),
    ("staircase", FecLayout::Staircase),
];

/// Refuses a media port whose FEC ports do not exist.
pub(super) fn port_leaves_room_for_fec(
    object: &Object,
    field: &str,
    media: SocketAddr,
) -> Result<(), ConfigError> {
    //= ST 2022-1 7: column FEC on the media port + 2, row FEC on the media port + 4.
    if (1..=u16::MAX - 4).contains(&media.port()) {
        return Ok(());
    }
    let rule = "with FEC the port is 1 to 65531, for column and row FEC have that port + 2 and + 4";
    Err(broken(object, field, media, rule))
}

/// An address of an interface of this node.
fn interface_addr(
    object: &mut Object,
    main: &str,
    main_addr: SocketAddr,
) -> Result<Option<IpAddr>, ConfigError> {
    let Some(address) = ip_addr(object, "interface_addr")? else {
        return Ok(None);
    };
    same_family(object, "interface_addr", address, (main, main_addr))?;
    if is_unicast(address) {
        Ok(Some(address))
    } else {
        let rule = "it is the unicast address of one network interface; left out, the routing table chooses";
        Err(broken(object, "interface_addr", address, rule))
    }
}

/// The source of a source-specific join.
fn source_addr(object: &mut Object, bind_addr: SocketAddr) -> Result<Option<IpAddr>, ConfigError> {
    let Some(address) = ip_addr(object, "source_addr")? else {
        return Ok(None);
    };
    let refuse = |rule: &str| Err(broken(object, "source_addr", address, rule));
    if !bind_addr.ip().is_multicast() {
        return refuse("it needs a multicast group in bind_addr");
    }
    if !is_unicast(address) {
        return refuse("the source of a group has a unicast address");
    }
    same_family(object, "source_addr", address, ("bind_addr", bind_addr))?;
    Ok(Some(address))
}

/// The local address of a sender.
fn local_addr(
    object: &mut Object,
    dest_addr: SocketAddr,
) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(address) = socket_addr(object, "bind_addr")? else {
        return Ok(None);
    };
    same_family(object, "bind_addr", address, ("dest_addr", dest_addr))?;
    if is_unicast(address.ip()) || address.ip().is_unspecified() {
        Ok(Some(address))
    } else {
        let rule = "packets leave from a unicast address";
        Err(broken(object, "bind_addr", address, rule))
    }
}

/// Refuses an address of another family than the `main` one of the leg.
pub(super) fn same_family(
    object: &Object,
    field: &str,
    address: impl HasIp,
    (main, main_addr): (&str, SocketAddr),
) -> Result<(), ConfigError> {
    if address.ip().is_ipv4() == main_addr.is_ipv4() {
        return Ok(());
    }
    let family = if main_addr.is_ipv4() { "IPv4" } else { "IPv6" };
    let rule = format!("{main} {main_addr} is {family}, and a leg has one address family");
    Err(broken(object, field, address, &rule))
}

pub(super) fn is_unicast(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && address != Ipv4Addr::BROADCAST
}

pub(super) fn socket_addr(
    object: &mut Object,
    field: &str,
) -> Result<Option<SocketAddr>, ConfigError> {
    let expected = "\"address:port\", an IPv6 address in brackets";
    let Some(address) = object.parsed::<SocketAddr>(field, expected)? else {
        return Ok(None);
    };
    not_mapped(object, field, address)?;
    Ok(Some(address))
}

pub(super) fn ip_addr(object: &mut Object, field: &str) -> Result<Option<IpAddr>, ConfigError> {
    let Some(address) = object.parsed(field, "an IP address")? else {
        return Ok(None);
    };
    not_mapped(object, field, address)?;
    Ok(Some(address))
}

/// The sockets of the data plane carry one family each, so a mapped address could never be bound or reached.
fn not_mapped(object: &Object, field: &str, address: impl HasIp) -> Result<(), ConfigError> {
    let mapped = match address.ip() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    };
    match mapped {
        None => Ok(()),
        Some(v4) => {
            let rule = format!("write it as the IPv4 address {v4}");
            Err(broken(object, field, address, &rule))
        }
    }
}

/// An IP address with or without a port, shown as it was written.
pub(super) trait HasIp: Copy + fmt::Display {
    fn ip(self) -> IpAddr;
}

impl HasIp for IpAddr {
    fn ip(self) -> IpAddr {
        self
    }
}

impl HasIp for SocketAddr {
    fn ip(self) -> IpAddr {
        Self::ip(&self)
    }
}

pub(super) fn broken(
    object: &Object,
    field: &str,
    found: impl ToString,
    rule: &str,
) -> ConfigError {
    object.error(field, Problem::rule(Value::from(found.to_string()), rule))
}
