//! The only source of a unicast leg: it stands in `allowed_sources` of the input.
//!
//! A leg with a group names its source in its join. For a unicast leg the configuration has one list for the whole
//! input, so an activation that names sources writes all of them there. A list that the operator wrote is a boundary
//! of trust (RP 2129 C5): a controller may narrow it, and what it widens again is never wider than that.

use std::net::IpAddr;

use bilbycast_shm_proto::model::IpPrefix;
use serde_json::{Map, Value};

use super::endpoint::Applied;
use super::params::ReceiverLeg;
use super::settings::place;
use crate::config::{ConfigError, FieldError, Place, Problem, SourceRange};

/// `allowed_sources` of an input, and whose they are.
#[derive(Debug)]
pub(super) struct Sources {
    /// As they stand in the configuration.
    current: Option<Vec<SourceRange>>,
    /// The sources of the legs, when the last activation wrote the list.
    written: Option<Vec<Option<IpAddr>>>,
}

impl Sources {
    pub(super) fn of(current: Option<&[SourceRange]>, applied: &Applied<ReceiverLeg>) -> Self {
        let written = wanted(&applied.legs);
        let is_ours = applied.removed.contains_key(FIELD)
            && written.is_some_and(|written| Some(written.as_slice()) == current);
        let sources = applied.legs.iter().map(|leg| leg.source_ip);
        Self {
            current: current.map(<[SourceRange]>::to_vec),
            written: is_ours.then(|| sources.collect()),
        }
    }

    /// As [`Self::of`], from the input as a document.
    pub(super) fn in_document(input: &Map<String, Value>, applied: &Applied<ReceiverLeg>) -> Self {
        Self::of(input.get(FIELD).and_then(read).as_deref(), applied)
    }

    /// Fills in the sources of unicast legs, which their own configuration cannot say.
    pub(super) fn show(&self, legs: &mut [ReceiverLeg]) {
        let only = match (self.current.as_deref(), legs.len()) {
            (Some([one]), 1) => host_of(one.prefix()),
            _ => None,
        };
        for (index, leg) in legs.iter_mut().enumerate() {
            if leg.multicast_ip.is_none() {
                leg.source_ip = match &self.written {
                    Some(written) => written.get(index).copied().flatten(),
                    None => only,
                };
            }
        }
    }

    /// Brings `input`, a document, to the sources of `legs`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Field`]: a source lies outside what the operator allows.
    pub(super) fn write(
        self,
        input: &mut Map<String, Value>,
        legs: &[ReceiverLeg],
        flow_id: &str,
        applied: &mut Applied<ReceiverLeg>,
    ) -> Result<(), ConfigError> {
        let is_ours = self.written.is_some();
        let operators = match is_ours {
            true => applied.removed.get(FIELD).and_then(read),
            false => self.current,
        };
        let Some(wanted) = wanted(legs) else {
            if is_ours {
                match applied.removed.remove(FIELD) {
                    Some(Value::Null) | None => input.remove(FIELD),
                    Some(list) => input.insert(FIELD.to_owned(), list),
                };
            }
            applied.removed.remove(FIELD);
            return Ok(());
        };
        if let Some(allowed) = &operators {
            let outside = wanted.iter().find(|source| {
                let is_inside = |range: &SourceRange| contains(range.prefix(), source.prefix());
                !allowed.iter().any(is_inside)
            });
            if let Some(source) = outside {
                return Err(refusal(flow_id, source));
            }
        }
        applied.removed.insert(
            FIELD.to_owned(),
            operators.as_deref().map_or(Value::Null, shown),
        );
        input.insert(FIELD.to_owned(), shown(&wanted));
        Ok(())
    }
}

/// Checks that the list can say what the legs want.
///
/// # Errors
///
/// The parameter that is wrong, and the rule that it breaks.
pub(super) fn check(legs: &[ReceiverLeg]) -> Result<(), (String, String)> {
    if wanted(legs).is_none() {
        return Ok(());
    }
    let open = legs
        .iter()
        .position(|leg| leg.rtp_enabled && leg.source_ip.is_none());
    match open {
        None => Ok(()),
        Some(index) => Err((
            place(index, "source_ip"),
            "null is not allowed while a unicast leg names its source: name one on every leg"
                .to_owned(),
        )),
    }
}

/// The list that the legs want; absent when no unicast leg names its source.
fn wanted(legs: &[ReceiverLeg]) -> Option<Vec<SourceRange>> {
    let enabled = legs.iter().filter(|leg| leg.rtp_enabled);
    let is_wanted = enabled
        .clone()
        .any(|leg| leg.multicast_ip.is_none() && leg.source_ip.is_some());
    if !is_wanted {
        return None;
    }
    let mut ranges = Vec::with_capacity(legs.len());
    for source in enabled.filter_map(|leg| leg.source_ip) {
        // An address is always a range.
        if let Ok(range) = source.to_string().parse()
            && !ranges.contains(&range)
        {
            ranges.push(range);
        }
    }
    Some(ranges)
}

fn read(list: &Value) -> Option<Vec<SourceRange>> {
    let list = list.as_array()?.iter();
    list.map(|range| range.as_str()?.parse().ok()).collect()
}

fn shown(list: &[SourceRange]) -> Value {
    list.iter().map(ToString::to_string).collect()
}

/// The address that is the whole range.
fn host_of(range: IpPrefix) -> Option<IpAddr> {
    (range == IpPrefix::host(range.addr)).then_some(range.addr)
}

fn contains(outer: IpPrefix, inner: IpPrefix) -> bool {
    let shift = |width: u32, bits: u8| width.saturating_sub(bits.into());
    if inner.bits < outer.bits {
        return false;
    }
    match (outer.addr, inner.addr) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let differing = a.to_bits() ^ b.to_bits();
            differing.checked_shr(shift(32, outer.bits)).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differing = a.to_bits() ^ b.to_bits();
            differing.checked_shr(shift(128, outer.bits)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn refusal(flow_id: &str, source: &SourceRange) -> ConfigError {
    FieldError {
        place: Place {
            owner: format!("flow '{}'", flow_id.escape_debug()),
            path: "input".to_owned(),
        },
        field: FIELD.to_owned(),
        problem: Problem::rule(
            source.to_string(),
            "the operator does not allow this source of an NMOS activation",
        ),
    }
    .into()
}

const FIELD: &str = "allowed_sources";
