//! Transport parameters of RTP (IS-05 v1.1, "RTP Transport Type"): their types, names and JSON.
//!
//! One table for each kind of leg names every parameter, so that constraints, staged and active cannot differ in their
//! keys.

mod receiver;
mod sender;
mod value;

use std::fmt::Debug;
use std::net::IpAddr;

use serde_json::{Map, Value};

pub use receiver::{ReceiverFec, ReceiverLeg};
pub(super) use sender::FEC_BLOCK_DEFAULT;
pub use sender::{SenderFec, SenderLeg};
pub use value::{Auto, FecDimensions, FecKind};

use super::constraints::Constraint;

/// Port of RTP that `auto` stands for.
pub const PORT_AUTO: u16 = 5_004;

/// Distance of the column FEC port from that of the media (ST 2022-1 7).
pub const COLUMN_FEC_OFFSET: u16 = 2;

/// Distance of the row FEC port from that of the media (ST 2022-1 7).
pub const ROW_FEC_OFFSET: u16 = 4;

/// The transport parameters of one leg of a sender or of a receiver.
pub trait Leg: Clone + Debug + Default + PartialEq + Send + Sync + Sized + 'static {
    /// How messages call what it belongs to.
    const SIDE: &'static str;

    /// Key of the other end's id.
    const PEER: &'static str;

    /// Whether it is told what to do by a transport file.
    const HAS_TRANSPORT_FILE: bool;

    /// Every parameter, in the order in which it is shown.
    fn parameters() -> &'static [Parameter<Self>];

    /// What a value of the parameter may be, `reach` considered.
    fn constraint(&self, parameter: &str, reach: &Reach) -> Constraint;

    /// Checks what the parameters say together.
    ///
    /// # Errors
    ///
    /// The parameter that is wrong, and the rule that it breaks.
    fn check(&self) -> Result<(), Broken>;

    /// FEC ports that were chosen for another media port are chosen anew.
    fn follow_port(&mut self, changed: &Map<String, Value>);
}

/// A parameter that contradicts another.
pub type Broken = (&'static str, String);

/// A transport parameter of a leg.
#[derive(Debug)]
pub struct Parameter<L> {
    /// Its key.
    pub name: &'static str,
    /// What a value may be, for messages.
    pub expected: &'static str,
    /// Its value.
    pub get: fn(&L) -> Value,
    /// Sets it; false, and the leg stays as it is, when the value has the wrong type.
    pub set: fn(&mut L, &Value) -> bool,
}

/// What a leg can reach from here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reach {
    /// Addresses of this node, of both families.
    pub local_addresses: Vec<IpAddr>,
}

impl Reach {
    /// The local addresses that a leg of the family of `like` may name, and `configured`, which is legal even when its
    /// interface has gone.
    fn addresses(&self, like: IpAddr, configured: Auto<IpAddr>) -> Vec<Value> {
        let local = self.local_addresses.iter().copied();
        let mut addresses: Vec<_> = local
            .filter(|address| address.is_ipv4() == like.is_ipv4())
            .collect();
        if let Auto::Is(configured) = configured
            && configured.is_ipv4() == like.is_ipv4()
            && !addresses.contains(&configured)
        {
            addresses.push(configured);
        }
        let mut seen = Vec::with_capacity(addresses.len());
        for address in addresses {
            let shown = Value::from(address.to_string());
            if !seen.contains(&shown) {
                seen.push(shown);
            }
        }
        seen
    }
}

/// The leg as JSON.
#[must_use]
pub fn to_json<L: Leg>(leg: &L) -> Value {
    let parameters = L::parameters().iter();
    let fields = parameters.map(|parameter| (parameter.name.to_owned(), (parameter.get)(leg)));
    Value::Object(fields.collect())
}

/// Takes over what `saved` knows of the leg's parameters; others stay as they are.
pub fn restore<L: Leg>(leg: &mut L, saved: &Value) {
    for parameter in L::parameters() {
        if let Some(value) = saved.get(parameter.name) {
            (parameter.set)(leg, value);
        }
    }
}

/// The port of FEC that `auto` stands for, or 0 where the media port leaves no room.
const fn fec_port(media: u16, offset: u16) -> u16 {
    match media.checked_add(offset) {
        Some(port) => port,
        None => 0,
    }
}

/// Checks that a FEC port is where FEC has to be.
fn check_fec_port(
    parameter: &'static str,
    port: Auto<u16>,
    media: Auto<u16>,
    offset: u16,
) -> Result<(), Broken> {
    let Auto::Is(port) = port else {
        return Ok(());
    };
    let media = media.or(PORT_AUTO);
    // A source port 0 leaves the choice to the kernel.
    if port == fec_port(media, offset) || (media == 0 && port == 0) {
        return Ok(());
    }
    Err((
        parameter,
        format!("{port} is not allowed: FEC has the media port {media} + {offset}, or \"auto\""),
    ))
}

/// A table entry for the parameter `name` in a field of the leg.
macro_rules! parameter {
    ($name:literal, $($field:ident).+) => {
        Parameter {
            name: $name,
            expected: super::value::expected(|leg: &Self| &leg.$($field).+),
            get: |leg| super::value::Parameterlike::to_json(&leg.$($field).+),
            set: |leg, value| super::value::set(&mut leg.$($field).+, value),
        }
    };
}

use parameter;
