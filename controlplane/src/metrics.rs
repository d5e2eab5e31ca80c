//! `GET /metrics`: the Prometheus text format, version 0.0.4.
//!
//! Names, labels and types are those of the API reference. prometheus-client writes OpenMetrics, where a counter's name
//! always ends in `_total`; the contract has counters that do not. So nothing here is a metric of that library: a
//! collector reads the node at each scrape and writes every family by its full name, and nothing is mirrored.
//!
//! The families of flows and outputs come from the table in `shm-proto`: a row that names a family appears here. A
//! family whose values nobody measures yet is absent, and so is one that has no sample.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use rustix::time::{ClockId, clock_gettime};

use crate::nmos::Nmos;
use crate::node::Node;
use crate::ws::Streams;

mod expected;
mod flows;
mod host;
mod media;
mod nmos;
mod node;
mod requests;

pub use requests::Requests;

/// Everything that is exported.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Arc<Requests>,
}

#[derive(Debug)]
struct Families {
    node: Arc<Node>,
    nmos: Arc<Nmos>,
    requests: Arc<Requests>,
    streams: Arc<Streams>,
}

impl Metrics {
    /// The metrics of the node that `nmos` follows, and of its HTTP side.
    #[must_use]
    pub fn new(nmos: Arc<Nmos>, streams: Arc<Streams>) -> Self {
        let requests = Arc::new(Requests::default());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Families {
            node: Arc::clone(nmos.node()),
            nmos,
            requests: Arc::clone(&requests),
            streams,
        }));
        Self { registry, requests }
    }

    /// Where requests are counted.
    #[must_use]
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// The text of a scrape: the values of this moment.
    ///
    /// # Errors
    ///
    /// When the encoder fails, which it has no reason to.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(TEXT_BYTES_USUAL);
        encode_registry(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page(&mut encoder);
        let survey = self.node.survey();
        node::encode(page, &self.node, &survey)?;
        flows::encode(page, &survey)?;
        media::encode(page, &survey)?;
        nmos::encode(page, self.nmos.registration_status().as_ref())?;
        host::encode(page)?;
        requests::encode(page, &self.requests)?;
        page.gauge(
            "bilbycast_edge_websocket_clients",
            "WebSocket clients",
            count(self.streams.clients()),
        )
    }
}

/// What families are written on.
struct Page<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Page<'_, '_> {
    /// A family of one sample that goes up and down.
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        family.encode_gauge(&value)
    }

    /// A family of one sample that only grows.
    fn counter(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_gauge(&value)
    }

    /// A family with one sample for each set of labels.
    fn family<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl Iterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut samples = samples.peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// A count as the encoder takes it. It refuses what a signed number cannot hold, and a refusal would cost the scrape.
fn count(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Nanoseconds in the unit that Prometheus asks for.
fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// What a clock shows, in nanoseconds.
fn clock_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let ns = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(ns).unwrap_or(0)
}

/// Room for the families of some ten flows without growing.
const TEXT_BYTES_USUAL: usize = 64 << 10;
