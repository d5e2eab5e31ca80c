//! Between the configuration and transport parameters (nmos.md 5.1).
//!
//! What an activation changes is written into the flow as a JSON document, field by field: what it does not name stays
//! as the operator wrote it, and the result passes the same validation as any other flow.

mod receiver;
mod sender;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::endpoint::{Applied, Configured};
use super::params::Auto;
use super::settings::{Settings, Told};
use crate::config::{ConfigError, FieldError, FlowConfig, Place, Problem, parse_flow};

/// Which output or input of the configuration a sender or receiver is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Subject {
    /// The flow.
    pub flow_id: String,
    /// The output, of a sender.
    pub output_id: Option<String>,
}

/// What the network of this host answers.
pub trait Host {
    /// Address of this host from which packets to `to` leave.
    fn route(&self, to: IpAddr) -> Option<IpAddr>;

    /// Addresses of this host, of both families.
    fn addresses(&self) -> &[IpAddr];
}

/// Legs that have a place in the configuration.
pub trait Mapped: Told {
    /// What the flow says of it; `None` when it has no such output, or an input that is not RTP.
    fn configured(
        flow: &FlowConfig,
        subject: &Subject,
        applied: &Applied<Self>,
    ) -> Option<Configured<Self>>;

    /// Writes into `flow`, a document, in what `to` differs from `from`. `removed` keeps what is taken out, to be put
    /// back one day.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Field`] when the operator's own rules stand against it.
    fn write(
        flow: &mut Value,
        subject: &Subject,
        from: &Configured<Self>,
        to: &Settings<Self>,
        id: Uuid,
        applied: &mut Applied<Self>,
    ) -> Result<(), ConfigError>;

    /// Whether the flow takes the stream that the transport file names.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Field`] when the operator's own rules stand against it.
    fn accepts(flow: &FlowConfig, settings: &Settings<Self>) -> Result<(), ConfigError>;

    /// The legs with nothing left to the node's choice.
    fn resolved(legs: &[Self], host: &dyn Host) -> Vec<Self>;
}

/// What `flow` is after `settings` are activated; `applied` learns what was taken out of it.
///
/// # Errors
///
/// [`ConfigError`]: the settings do not make a legal flow.
pub fn activated_flow<L: Mapped>(
    flow: &FlowConfig,
    subject: &Subject,
    settings: &Settings<L>,
    id: Uuid,
    applied: &mut Applied<L>,
) -> Result<FlowConfig, ConfigError> {
    let from = L::configured(flow, subject, applied);
    let from = from
        .filter(|from| from.legs.len() == settings.legs.len())
        .ok_or_else(|| changed_since(flow, subject))?;
    if settings.master_enable {
        L::accepts(flow, settings)?;
    }
    let mut document = serde_json::to_value(flow).unwrap_or_default();
    L::write(&mut document, subject, &from, settings, id, applied)?;
    let parsed = parse_flow(document, Some(&flow.id))?;
    Ok(parsed.value)
}

/// Somebody has changed the flow since the activation was asked for.
pub(super) fn changed_since(flow: &FlowConfig, subject: &Subject) -> ConfigError {
    let owner = format!("flow '{}'", flow.id.escape_debug());
    let path = match &subject.output_id {
        Some(output_id) => format!("output '{}'", output_id.escape_debug()),
        None => "input".to_owned(),
    };
    FieldError {
        place: Place {
            owner,
            path: String::new(),
        },
        field: path,
        problem: Problem::rule(
            "what it is now",
            "it has been changed since the activation was asked for",
        ),
    }
    .into()
}

/// An address of this host for packets to or from `like`, when the routing table has none.
fn any_local(like: IpAddr, host: &dyn Host) -> IpAddr {
    let mut same_family = host
        .addresses()
        .iter()
        .filter(|address| address.is_ipv4() == like.is_ipv4());
    let first = same_family.clone().next();
    let real = same_family.find(|address| !address.is_loopback());
    real.or(first).copied().unwrap_or(match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    })
}

/// The object of a leg: the input or output itself, or what `redundancy` says.
fn leg_object(object: &mut Map<String, Value>, leg: usize) -> Option<&mut Map<String, Value>> {
    match leg {
        0 => Some(object),
        _ => object.get_mut("redundancy")?.as_object_mut(),
    }
}

/// Sets a field, or removes it.
fn put(object: &mut Map<String, Value>, field: &str, value: Option<impl Into<Value>>) {
    match value {
        Some(value) => {
            object.insert(field.to_owned(), value.into());
        }
        None => {
            object.remove(field);
        }
    }
}

fn text(address: impl ToString) -> Value {
    Value::from(address.to_string())
}

/// The address unless it is the wildcard.
fn specified(address: IpAddr) -> Option<IpAddr> {
    (!address.is_unspecified()).then_some(address)
}

const fn unspecified_like(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// The port unless it is 0.
fn bound_port(address: Option<SocketAddr>) -> Auto<u16> {
    address
        .map(|address| address.port())
        .filter(|port| *port != 0)
        .into()
}
