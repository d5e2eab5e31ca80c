//! What is measured of the flows, as far as resources tell it.

use std::collections::HashMap;
use std::time::Instant;

use bilbycast_shm_proto::counters::FlowRecord;
use bilbycast_shm_proto::detail::StreamDetail;

use super::rate::{GrainRate, SteadyRate};
use crate::config::{FlowConfig, InputConfig, ReceiveConfig};
use crate::node::Survey;
use crate::stats;

/// What is known of a flow; it stays known when the flow stops, for the next start most likely brings the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Facts {
    /// Of its first video stream.
    pub(super) grain_rate: Option<GrainRate>,
    /// Rate of its multiplex in coarse steps of kbit/s.
    pub(super) bit_rate_kbps: Option<u64>,
    /// Of the newest RTP packet that came from where the input receives now.
    pub(super) payload_type: Option<u8>,
}

/// What was measured so far.
#[derive(Debug, Default)]
pub(super) struct Measured {
    flows: HashMap<String, Known>,
}

/// What was measured of a flow.
#[derive(Debug)]
struct Known {
    facts: Facts,
    rate: SteadyRate,
    /// The input at that time.
    input: InputConfig,
}

impl Measured {
    /// What is known of this flow. Another source may well send another payload type, so that of the old one says
    /// nothing of it.
    pub(super) fn of(&self, flow: &FlowConfig) -> Facts {
        let Some(known) = self.flows.get(&flow.id) else {
            return Facts::default();
        };
        let mut facts = known.facts;
        facts.payload_type = facts
            .payload_type
            .filter(|_| have_one_source(&known.input, &flow.input));
        facts
    }

    /// Takes the values of all flows that run, and forgets flows that are no longer configured. True when a fact is
    /// another one now.
    pub(super) fn read(&mut self, survey: &Survey, now: Instant) -> bool {
        let flows = survey.config.flows.iter();
        let configured: HashMap<_, _> = flows.map(|flow| (flow.id.as_str(), flow)).collect();
        self.flows
            .retain(|flow_id, _| configured.contains_key(flow_id.as_str()));
        let Some(counters) = &survey.counters else {
            return false;
        };
        let mut is_changed = false;
        for flow in stats::live_flows(survey) {
            let Some(configured) = configured.get(flow.flow_id.as_str()) else {
                continue;
            };
            let detail = counters.detail(flow);
            let multiplex = detail.map_or(0, |detail| detail.total_bitrate_bps);
            let bps = match multiplex {
                0 => flow.record.input_bitrate_bps,
                multiplex => multiplex,
            };
            let before = self.of(configured);
            let known = self.flows.entry(flow.flow_id.clone());
            let Known { facts, rate, input } = known.or_insert_with(|| Known {
                facts: Facts::default(),
                rate: SteadyRate::default(),
                input: configured.input.clone(),
            });
            if *input != configured.input {
                *input = configured.input.clone();
            }
            *facts = before;
            rate.read(bps, now);
            facts.bit_rate_kbps = rate.kbps();
            facts.grain_rate = detail.and_then(grain_rate).or(facts.grain_rate);
            facts.payload_type = payload_type(&flow.record).or(facts.payload_type);
            is_changed |= *facts != before;
        }
        is_changed
    }
}

/// That of the newest packet. A record that nobody has filled in yet is all zeros, and so is a legal payload type.
fn payload_type(record: &FlowRecord) -> Option<u8> {
    let newest = u8::try_from(record.input_payload_type).ok();
    newest.filter(|newest| *newest < 128 && record.input_packets_received > 0)
}

/// Whether two inputs receive from the same place, as far as the configuration tells.
fn have_one_source(a: &InputConfig, b: &InputConfig) -> bool {
    fn place(leg: &ReceiveConfig) -> impl PartialEq {
        (leg.bind_addr, leg.interface_addr, leg.source_addr)
    }
    match (a, b) {
        (InputConfig::Rtp(a), InputConfig::Rtp(b)) => {
            let [of_a, of_b] = [a, b].map(|rtp| {
                let leg_2 = rtp.redundancy.as_ref().map(|leg_2| place(&leg_2.receive));
                (place(&rtp.receive), leg_2)
            });
            of_a == of_b
        }
        _ => a == b,
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
