//! What outlives a restart of this process: what is staged, activations that wait, and whom endpoints are connected
//! with (nmos.md 5, configuration.md 16). It is a small JSON file beside the configuration.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::activation::{Happened, Scheduled};
use super::endpoint::{Applied, Configured, Endpoint};
use super::params::{Leg, ReceiverLeg, SenderLeg, restore, to_json};
use super::settings::Settings;
use crate::nmos::sdp;

/// Endpoints by the id of their sender or receiver.
pub(super) type Table<L> = HashMap<Uuid, Endpoint<L>>;

/// All endpoints of the node.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoints {
    pub(super) senders: Table<SenderLeg>,
    pub(super) receivers: Table<ReceiverLeg>,
}

/// Name of the file.
pub(super) const FILE_NAME: &str = "nmos-state.json";

impl Endpoints {
    /// What the file holds. Endpoints that nobody has touched are left out.
    pub(super) fn to_json(&self, node_id: Uuid) -> Value {
        json!({
            "version": VERSION,
            "node_id": node_id,
            "senders": table_json(&self.senders),
            "receivers": table_json(&self.receivers),
        })
    }

    /// What a file with this content was made from; entries that cannot be understood are left out.
    ///
    /// # Errors
    ///
    /// Why it is not the state of the node with this id.
    pub(super) fn restore(bytes: &[u8], node_id: Uuid) -> Result<Self, String> {
        let saved: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
        if saved["version"] != VERSION {
            return Err(format!(
                "its version is {}, and this program knows version {VERSION}",
                saved["version"]
            ));
        }
        if saved["node_id"] != node_id.to_string() {
            return Err(format!("it belongs to another node, {}", saved["node_id"]));
        }
        Ok(Self {
            senders: table(&saved["senders"]),
            receivers: table(&saved["receivers"]),
        })
    }
}

/// Version of the form of the file.
const VERSION: u64 = 1;

fn table_json<L: Leg>(table: &Table<L>) -> Value {
    let touched = table
        .iter()
        .filter(|(_, endpoint)| **endpoint != Endpoint::new(endpoint.seen().clone()));
    let entries = touched.map(|(id, endpoint)| (id.to_string(), endpoint_json(endpoint)));
    Value::Object(entries.collect())
}

fn table<L: Leg>(saved: &Value) -> Table<L> {
    let entries = saved.as_object().into_iter().flatten();
    entries
        .filter_map(|(id, saved)| {
            let endpoint = endpoint(saved);
            if endpoint.is_none() {
                tracing::warn!("NMOS: the saved state of {} {id:?} is not usable", L::SIDE);
            }
            Some((id.parse().ok()?, endpoint?))
        })
        .collect()
}

fn endpoint_json<L: Leg>(endpoint: &Endpoint<L>) -> Value {
    let (seen, staged, applied) = (endpoint.seen(), endpoint.staged(), endpoint.applied());
    json!({
        "configured": {
            "master_enable": seen.master_enable,
            "legs": legs_json(&seen.legs),
        },
        "staged": {
            "peer": staged.peer,
            "master_enable": staged.master_enable,
            "transport_file": staged.transport_file,
            "legs": legs_json(&staged.legs),
            "scheduled": endpoint.scheduled().map(|scheduled| scheduled.to_json()),
        },
        "applied": {
            "peer": applied.peer,
            "transport_file": applied.transport_file,
            "activation": applied.activation.map(Happened::to_json),
            "legs": legs_json(&applied.legs),
            "removed": applied.removed,
        },
    })
}

fn endpoint<L: Leg>(saved: &Value) -> Option<Endpoint<L>> {
    let [configured, staged, applied] = ["configured", "staged", "applied"].map(|key| &saved[key]);
    let seen = Configured {
        master_enable: configured["master_enable"].as_bool()?,
        legs: legs(&configured["legs"])?,
    };
    let settings = Settings {
        peer: uuid(&staged["peer"]),
        master_enable: staged["master_enable"].as_bool()?,
        transport_file: file(&staged["transport_file"]),
        legs: legs(&staged["legs"])?,
    };
    let scheduled = match &staged["scheduled"] {
        Value::Null => None,
        scheduled => Some(Scheduled::restore(scheduled)?),
    };
    if settings.legs.len() != seen.legs.len() {
        return None;
    }
    let applied = Applied {
        peer: uuid(&applied["peer"]),
        transport_file: file(&applied["transport_file"]),
        activation: Happened::restore(&applied["activation"]),
        legs: legs(&applied["legs"])?,
        removed: applied["removed"]
            .as_object()
            .cloned()
            .unwrap_or_else(Map::new),
    };
    Some(Endpoint::restored(seen, settings, scheduled, applied))
}

fn legs_json<L: Leg>(legs: &[L]) -> Value {
    legs.iter().map(to_json).collect()
}

fn legs<L: Leg>(saved: &Value) -> Option<Vec<L>> {
    let saved = saved.as_array()?.iter();
    let legs = saved.map(|saved| {
        let mut leg = L::default();
        restore(&mut leg, saved);
        leg
    });
    Some(legs.collect())
}

fn uuid(saved: &Value) -> Option<Uuid> {
    saved.as_str()?.parse().ok()
}

fn file(saved: &Value) -> Option<String> {
    let text = saved.as_str()?;
    (text.len() <= sdp::SDP_BYTES_MAX).then(|| text.to_owned())
}
