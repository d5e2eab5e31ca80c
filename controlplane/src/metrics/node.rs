//! The families of the node itself: what is configured, how the data plane and its packet cores are, what was told.

use std::fmt;

use bilbycast_shm_proto::counters::CoreRecord;
use prometheus_client::encoding::EncodeGaugeValue;
use prometheus_client::metrics::MetricType;
use rustix::time::ClockId;

use super::{Page, clock_ns, count, seconds};
use crate::config::FlowConfig;
use crate::link::Snapshot;
use crate::node::{DataPlane, Node, Survey};

pub(super) fn encode(page: &mut Page<'_, '_>, node: &Node, survey: &Survey) -> fmt::Result {
    page.family(
        "bilbycast_edge_info",
        "Application version (always 1)",
        MetricType::Gauge,
        std::iter::once(([("version", env!("CARGO_PKG_VERSION"))], 1)),
    )?;
    page.gauge(
        "bilbycast_edge_uptime_seconds",
        "Seconds since startup",
        count(survey.uptime_secs),
    )?;
    page.gauge(
        "bilbycast_edge_flows_total",
        "Total configured flows",
        count(survey.config.flows.len()),
    )?;
    page.gauge(
        "bilbycast_edge_flows_active",
        "Currently running flows",
        count(survey.active_flows()),
    )?;
    if survey.data_plane != DataPlane::Lost {
        page.gauge(
            "bilbycast_edge_flows_missing",
            "Flows that are enabled, were not stopped through the API, and do not run",
            count(missing(survey)),
        )?;
    }

    let counters = survey.counters.as_deref();
    page.gauge(
        "bilbycast_edge_data_plane_up",
        "Whether the data plane gives signs of life",
        i64::from(survey.data_plane != DataPlane::Lost),
    )?;
    page.gauge(
        "bilbycast_edge_data_plane_controlled",
        "Whether the data plane is connected, so that changes reach it",
        i64::from(survey.data_plane == DataPlane::Connected),
    )?;
    if let Some(counters) = counters {
        data_plane(page, counters)?;
    }

    let events = node.events().totals();
    page.counter(
        "bilbycast_edge_events_total",
        "Events since the start of the control plane, those found in the data plane's rings included",
        count(events.recorded),
    )?;
    page.counter(
        "bilbycast_edge_events_missed_total",
        "Events that the data plane overwrote before they could be read",
        count(events.missed),
    )
}

/// How many flows should run and do not.
fn missing(survey: &Survey) -> usize {
    let runs = |flow_id: &str| match (survey.data_plane, &survey.counters) {
        (DataPlane::Uncontrolled, Some(counters)) => counters.flow(flow_id).is_some(),
        _ => survey.runs.flows().contains_key(flow_id),
    };
    let is_missing = |flow: &&FlowConfig| {
        flow.enabled && !survey.runs.is_stopped_by_operator(&flow.id) && !runs(&flow.id)
    };
    survey.config.flows.iter().filter(is_missing).count()
}

fn data_plane(page: &mut Page<'_, '_>, counters: &Snapshot) -> fmt::Result {
    page.gauge(
        "bilbycast_edge_data_plane_counters_readable",
        "Whether the data plane's shared memory can be read",
        i64::from(counters.is_readable()),
    )?;
    if !counters.is_readable() {
        return Ok(());
    }
    let now_ns = clock_ns(ClockId::Monotonic);
    page.gauge(
        "bilbycast_edge_data_plane_heartbeat_age_seconds",
        "Seconds since the newest sign of life of the data plane's control thread",
        seconds(now_ns.saturating_sub(counters.heartbeat_ns())),
    )?;
    per_core(
        page,
        counters,
        "bilbycast_edge_core_heartbeat_age_seconds",
        "Seconds since the newest sign of life of the packet core",
        MetricType::Gauge,
        |core| seconds(now_ns.saturating_sub(core.heartbeat_ns)),
    )?;
    per_core(
        page,
        counters,
        "bilbycast_edge_core_flows",
        "Flows on this packet core",
        MetricType::Gauge,
        |core| count(core.flows),
    )?;
    per_core(
        page,
        counters,
        "bilbycast_edge_core_packets_received_total",
        "Datagrams received on this packet core",
        MetricType::Counter,
        |core| count(core.packets_received),
    )?;
    per_core(
        page,
        counters,
        "bilbycast_edge_core_packets_sent_total",
        "Datagrams sent from this packet core",
        MetricType::Counter,
        |core| count(core.packets_sent),
    )?;
    per_core(
        page,
        counters,
        "bilbycast_edge_core_longest_pass_seconds",
        "Longest time that one pass over a flow's socket took in the last second",
        MetricType::Gauge,
        |core| seconds(core.longest_pass_ns),
    )?;
    per_core(
        page,
        counters,
        "bilbycast_edge_core_commands_total",
        "Commands that this packet core carried out",
        MetricType::Counter,
        |core| count(core.commands),
    )
}

fn per_core<V: EncodeGaugeValue>(
    page: &mut Page<'_, '_>,
    counters: &Snapshot,
    name: &str,
    help: &str,
    kind: MetricType,
    value: impl Fn(&CoreRecord) -> V,
) -> fmt::Result {
    let samples = counters.cores().iter().map(|core| {
        let labels = [("core", core.core as u64), ("cpu", core.record.cpu)];
        (labels, value(&core.record))
    });
    page.family(name, help, kind, samples)
}
