//! What is measured of the flows, as far as resources tell it.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use bilbycast_shm_proto::detail::StreamDetail;

use super::rate::{GrainRate, SteadyRate};
use crate::node::Survey;
use crate::stats;

/// What is known of a flow; it stays known when the flow stops, for the next start most likely brings the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Facts {
    /// Of its first video stream.
    pub(super) grain_rate: Option<GrainRate>,
    /// Rate of its multiplex in coarse steps of kbit/s.
    pub(super) bit_rate_kbps: Option<u64>,
}

/// What was measured so far.
#[derive(Debug, Default)]
pub(super) struct Measured {
    flows: HashMap<String, (Facts, SteadyRate)>,
}

impl Measured {
    /// What is known of this flow.
    pub(super) fn of(&self, flow_id: &str) -> Facts {
        let known = self.flows.get(flow_id);
        known.map_or_else(Facts::default, |(facts, _)| *facts)
    }

    /// Takes the values of all flows that run, and forgets flows that are no longer configured. True when a fact is
    /// another one now.
    pub(super) fn read(&mut self, survey: &Survey, now: Instant) -> bool {
        let configured: HashSet<_> = survey.config.flows.iter().map(|flow| &flow.id).collect();
        self.flows.retain(|flow_id, _| configured.contains(flow_id));
        let Some(counters) = &survey.counters else {
            return false;
        };
        let mut is_changed = false;
        for flow in stats::live_flows(survey) {
            let detail = counters.detail(flow);
            let multiplex = detail.map_or(0, |detail| detail.total_bitrate_bps);
            let bps = match multiplex {
                0 => flow.record.input_bitrate_bps,
                multiplex => multiplex,
            };
            let (facts, rate) = self.flows.entry(flow.flow_id.clone()).or_default();
            let before = *facts;
            rate.read(bps, now);
            facts.bit_rate_kbps = rate.kbps();
            facts.grain_rate = detail.and_then(grain_rate).or(facts.grain_rate);
            is_changed |= *facts != before;
        }
        is_changed
    }
}

/// The rate of the first video stream, by programme and PID: the order of a table may change.
fn grain_rate(detail: &StreamDetail) -> Option<GrainRate> {
    let videos = detail.video_streams.iter();
    let rated = videos.filter_map(|video| {
        let rate = GrainRate::of(video.frame_rate?)?;
        Some((video.program_number, video.pid, rate))
    });
    let first = rated.min_by_key(|(programme, pid, _)| (*programme, *pid));
    first.map(|(_, _, rate)| rate)
}
