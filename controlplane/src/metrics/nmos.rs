//! The families of the registration with NMOS; absent where nothing is to be registered.

use std::fmt;

use prometheus_client::metrics::MetricType;

use super::{Page, count};
use crate::nmos::registration::{State, Status};

pub(super) fn encode(page: &mut Page<'_, '_>, status: Option<&Status>) -> fmt::Result {
    let Some(status) = status.filter(|status| status.state != State::Off) else {
        return Ok(());
    };
    page.gauge(
        "bilbycast_edge_nmos_registered",
        "Whether a registry has the node and hears of every change",
        i64::from(status.state == State::Registered),
    )?;
    let number = |taken| {
        let registries = status.registries.iter();
        count(
            registries
                .filter(|registry| registry.taken == taken)
                .count(),
        )
    };
    page.family(
        "bilbycast_edge_nmos_registries",
        "Registries that were found, by whether this node may use them",
        MetricType::Gauge,
        [("true", true), ("false", false)]
            .map(|(label, taken)| ([("taken", label)], number(taken)))
            .into_iter(),
    )?;
    page.gauge(
        "bilbycast_edge_nmos_resources_refused",
        "Resources that the registry does not take",
        count(status.refused_total),
    )
}
