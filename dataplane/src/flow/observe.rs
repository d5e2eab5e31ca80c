//! State and health of a flow, and the records that show them.
//!
//! The core's housekeeping calls [`Flow::observe`] about every 100 ms. Rates, states and records are worked out there
//! and not in a pass.

use bilbycast_shm_proto::counters::{
    ABSENT, EndpointState, FlowRecord, FlowState, Health, HistoryRecord, LegRecord, OutputRecord,
    SrtRecord,
};
use bilbycast_shm_proto::detail::SrtListenerDetail;
use bilbycast_shm_proto::model::LEGS_MAX;

mod health;
mod legs;
mod notice;
mod srt;
mod trouble;

pub use notice::Notice;

use health::HealthWatch;
use legs::LegsWatch;
use trouble::{Change, Trouble};

use super::Flow;
use super::analysis::INDICATORS;
use super::limit::BandwidthLimit;
use super::output::Output;
use super::rate::RateMeter;
use crate::net::socket;

/// An endpoint that has carried nothing for this long waits again. One second more than the window of the bitrate
/// would make it lie; a shorter time would flicker on streams of a few packets a second.
const QUIET_NS: u64 = 2_000_000_000;

/// Socket buffers hold this much of a stream: the longest that a core of a busy virtual machine was seen to be away
/// from a socket is a tenth of it.
const BUFFER_MS: u64 = 200;

/// What the housekeeping remembers about a flow between its visits.
#[derive(Debug)]
pub(super) struct Observer {
    started_ns: u64,
    started_unix_us: u64,
    input_rate: RateMeter,
    input_overflow: Trouble,
    indicators: [Trouble; INDICATORS],
    health: HealthWatch,
    legs: LegsWatch,
    failover_told: bool,
    outputs: Vec<ObservedOutput>,
    /// Drops of outputs that are gone.
    dropped_by_removed: u64,
    second_since_ns: u64,
    lost_before: u64,
    dropped_kernel_before: u64,
    lost_in_last_second: bool,
}

/// What is remembered of outputs, so that they can go on in another flow.
#[derive(Clone, Debug, Default)]
pub struct WatchedOutputs(Vec<ObservedOutput>);

#[derive(Clone, Debug)]
struct ObservedOutput {
    id: String,
    rate: RateMeter,
    failures: Trouble,
    coalesces: bool,
}

/// What [`Flow::observe`] tells.
#[derive(Debug)]
pub enum Observed<'a> {
    /// Newest values of the legs of an SRT input.
    InputSrt(&'a [SrtRecord; LEGS_MAX]),
    /// Newest values of the legs of the SRT output at this place in the flow's list.
    OutputSrt(usize, &'a [SrtRecord; LEGS_MAX]),
    /// Newest values of the legs of an input that is repaired, or of two SRT legs.
    Legs(&'a [LegRecord; LEGS_MAX]),
    /// Newest values of the output at this place in the flow's list.
    Output(usize, OutputRecord),
    /// Something began or ended that people should hear of.
    Notice(Notice<'a>),
}

impl WatchedOutputs {
    /// Those whose id `is_wanted`.
    #[must_use]
    pub fn retain(mut self, is_wanted: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|observed| is_wanted(&observed.id));
        self
    }
}

impl Observer {
    pub(super) fn new(now_ns: u64, unix_us: u64) -> Self {
        Self {
            started_ns: now_ns,
            started_unix_us: unix_us,
            input_rate: RateMeter::new(now_ns),
            input_overflow: Trouble::default(),
            indicators: [Trouble::default(); INDICATORS],
            health: HealthWatch::default(),
            legs: LegsWatch::new(now_ns),
            failover_told: false,
            outputs: Vec::new(),
            dropped_by_removed: 0,
            second_since_ns: now_ns,
            lost_before: 0,
            dropped_kernel_before: 0,
            lost_in_last_second: false,
        }
    }

    /// Keeps what would be forgotten with an output that is taken out.
    pub(super) fn remember(&mut self, output: &Output) {
        self.dropped_by_removed += output.counts().dropped;
        self.outputs.retain(|observed| observed.id != output.id());
    }

    /// What is remembered of the outputs, when the flow ends.
    pub(super) fn into_watched(self) -> WatchedOutputs {
        WatchedOutputs(self.outputs)
    }

    /// Goes on with what another flow remembered of outputs.
    pub(super) fn resume(&mut self, watched: WatchedOutputs) {
        self.outputs = watched.0;
    }

    /// Takes note of an output; returns its bitrate.
    fn observe_output<'a>(
        &mut self,
        output: &'a Output,
        now_ns: u64,
        mut notice: impl FnMut(Notice<'a>),
    ) -> u64 {
        let known = self
            .outputs
            .iter()
            .position(|observed| observed.id == output.id());
        let index = known.unwrap_or_else(|| {
            self.outputs.push(ObservedOutput {
                id: output.id().to_owned(),
                rate: RateMeter::new(now_ns),
                failures: Trouble::default(),
                coalesces: true,
            });
            self.outputs.len() - 1
        });
        let observed = &mut self.outputs[index];
        let output_id = output.id();
        match observed.failures.observe(now_ns, output.counts().errors) {
            Some(Change::Began) => notice(Notice::OutputFails {
                output_id,
                error: output.counts().error.unwrap_or(0),
            }),
            Some(Change::Ended) => notice(Notice::OutputFailsNoLonger { output_id }),
            None => {}
        }
        if std::mem::replace(&mut observed.coalesces, output.coalesces()) && !observed.coalesces {
            notice(Notice::OutputDoesNotCoalesce { output_id });
        }
        observed.rate.sample(now_ns, output.counts().bytes);
        observed.rate.bps()
    }
}

impl Flow {
    /// Works out rates, state and health at `now_ns` (CLOCK_MONOTONIC), tells what is to be published beside the flow's
    /// own record, and returns that and, once a second, its second for the history.
    pub fn observe(
        &mut self,
        now_ns: u64,
        unix_us: u64,
        mut tell: impl FnMut(Observed<'_>),
    ) -> (FlowRecord, Option<HistoryRecord>) {
        self.input.settle();
        let counts = self.input.counts();
        self.observer.input_rate.sample(now_ns, counts.bytes);
        let input_bitrate_bps = self.observer.input_rate.bps();

        let mut outputs_bitrate_bps = 0;
        let mut outputs_dropped = self.observer.dropped_by_removed;
        for (index, output) in self.outputs.iter().enumerate() {
            let bitrate_bps = self.observer.observe_output(output, now_ns, |notice| {
                tell(Observed::Notice(notice));
            });
            outputs_bitrate_bps += bitrate_bps;
            outputs_dropped += output.counts().dropped;
            tell(Observed::Output(
                index,
                output_record(output, bitrate_bps, now_ns),
            ));
        }
        match self
            .observer
            .input_overflow
            .observe(now_ns, counts.kernel.dropped)
        {
            Some(Change::Began) => tell(Observed::Notice(Notice::InputOverflow {
                datagrams: counts.kernel.dropped,
            })),
            Some(Change::Ended) => tell(Observed::Notice(Notice::InputOverflowOver)),
            None => {}
        }

        let sequence = self.input.sequence().unwrap_or_default();
        let (lost, restarts) = (sequence.lost, sequence.restarts);
        let second_is_over = self.observer.second(now_ns, lost, counts.kernel.dropped);
        if let Some(repair) = self.input.repair() {
            let legs = self.observer.legs.observe(repair, now_ns, |notice| {
                tell(Observed::Notice(notice));
            });
            tell(Observed::Legs(&legs));
        }
        self.observe_srt(now_ns, second_is_over, &mut tell);
        if let Some(limit) = &mut self.limit
            && limit.observe(now_ns, input_bitrate_bps)
        {
            let (limit, bps, is_exceeded) = (*limit.spec(), input_bitrate_bps, limit.is_exceeded());
            tell(Observed::Notice(if is_exceeded {
                Notice::BandwidthExceeded { limit, bps }
            } else {
                Notice::BandwidthKept { limit, bps }
            }));
        }
        self.analysis.tick(unix_us * 1_000, restarts);
        if second_is_over {
            self.analysis.second(lost);
            self.input.second();
            self.outputs.iter_mut().for_each(Output::reach);
        }
        let health = self.health(now_ns, unix_us * 1_000);
        let mut record = FlowRecord {
            state: FlowState::Running.code(),
            health: health.code(),
            started_unix_us: self.observer.started_unix_us,
            input_state: self.input_state(now_ns).code(),
            input_packets_received: counts.packets,
            input_bytes_received: counts.bytes,
            input_bitrate_bps,
            input_packets_lost: lost,
            input_packets_invalid: counts.invalid,
            input_packets_filtered: counts.filtered
                + self
                    .limit
                    .as_ref()
                    .map_or(0, BandwidthLimit::blocked_packets),
            input_packets_duplicate: sequence.duplicate,
            input_packets_reordered: sequence.reordered,
            input_source_restarts: restarts,
            input_packets_dropped_kernel: counts.kernel.dropped,
            input_bytes_unaligned: self.datagrams.bytes_unaligned(),
            input_receive_batches: counts.kernel.batches,
            input_payload_type: counts.payload_type.map_or(ABSENT, u64::from),
            input_repair_delay: ABSENT,
            input_repair_packets: ABSENT,
            input_leg_skew: ABSENT,
            bandwidth_exceeded: is_so(self.limit.as_ref(), BandwidthLimit::is_exceeded),
            bandwidth_blocked: is_so(self.limit.as_ref(), BandwidthLimit::blocks),
            outputs_bitrate_bps,
            outputs_packets_dropped: outputs_dropped,
            ..FlowRecord::default()
        };
        if let Some(repair) = self.input.repair() {
            legs::record(repair, &mut record);
        }
        if let Some(srt) = self.input.as_srt() {
            srt::record(srt, &mut record);
        }
        self.analysis.record(&mut record, unix_us * 1_000);
        for ((indicator, errors), trouble) in self
            .analysis
            .indicators()
            .into_iter()
            .zip(&mut self.observer.indicators)
        {
            match trouble.observe(now_ns, errors) {
                Some(Change::Began) => {
                    tell(Observed::Notice(Notice::Indicator { indicator, errors }));
                }
                Some(Change::Ended) => {
                    tell(Observed::Notice(Notice::IndicatorGood {
                        indicator,
                        errors,
                    }));
                }
                None => {}
            }
        }
        if let Some(before) = self.observer.health.observe(now_ns, health) {
            let now = health;
            tell(Observed::Notice(Notice::Health { before, now }));
        }
        if second_is_over {
            self.fit_buffers(input_bitrate_bps);
        }
        let history = second_is_over.then(|| HistoryRecord::of(unix_us, &record));
        (record, history)
    }

    /// Bits per second that pass through the flow: its share of the core's load.
    #[must_use]
    pub fn load_bps(&self) -> u64 {
        self.observer.input_rate.bps() * (1 + self.outputs.len() as u64)
    }

    /// The SRT legs that listen, with the callers that they have at `now_ns` (CLOCK_MONOTONIC).
    #[must_use]
    pub fn srt_listeners(&self, now_ns: u64) -> Vec<SrtListenerDetail> {
        srt::listeners(self, now_ns)
    }

    /// Publishes the SRT legs and tells what they have to tell.
    fn observe_srt(
        &mut self,
        now_ns: u64,
        second_is_over: bool,
        tell: &mut impl FnMut(Observed<'_>),
    ) {
        if let Some(srt) = self.input.as_srt_mut() {
            let has_two = srt.legs().len() > 1;
            let records = srt::observe(srt.legs_mut(), now_ns, second_is_over, |leg, notice| {
                tell(Observed::Notice(Notice::Srt {
                    output_id: None,
                    leg: has_two.then_some(leg),
                    notice,
                }));
            });
            tell(Observed::InputSrt(&records));
            if srt.merger().is_some() {
                let legs = self.observer.legs.observe_srt(srt, now_ns, |notice| {
                    tell(Observed::Notice(notice));
                });
                tell(Observed::Legs(&legs));
            }
            if srt.is_failover() && !std::mem::replace(&mut self.observer.failover_told, true) {
                tell(Observed::Notice(Notice::Failover));
            }
        }
        for (index, output) in self.outputs.iter_mut().enumerate() {
            if output.as_srt().is_none() {
                continue;
            }
            let id = output.id().to_owned();
            let Some(srt) = output.as_srt_mut() else {
                continue;
            };
            let has_two = srt.legs().len() > 1;
            let records = srt::observe(srt.legs_mut(), now_ns, second_is_over, |leg, notice| {
                tell(Observed::Notice(Notice::Srt {
                    output_id: Some(&id),
                    leg: has_two.then_some(leg),
                    notice,
                }));
            });
            tell(Observed::OutputSrt(index, &records));
        }
    }

    fn input_state(&self, now_ns: u64) -> EndpointState {
        if let Some(srt) = self.input.as_srt() {
            return srt::state(srt.legs());
        }
        match self.input.newest_ns() {
            _ if !self.input.is_on() => EndpointState::Idle,
            Some(newest_ns) if now_ns.saturating_sub(newest_ns) < QUIET_NS => {
                EndpointState::Receiving
            }
            _ => EndpointState::Waiting,
        }
    }

    /// Health by configuration.md 12.1; the first that matches, from the worst. `realtime_ns` is the same instant as
    /// `now_ns` on the clock of arrivals.
    fn health(&self, now_ns: u64, realtime_ns: u64) -> Health {
        let [first_ok, second_ok, _] = self.analysis.stream().priorities_ok(realtime_ns);
        let since_ns = self.input.newest_ns().unwrap_or(self.observer.started_ns);
        if self.input.is_on() && now_ns.saturating_sub(since_ns) >= QUIET_NS {
            Health::Critical
        } else if !first_ok {
            Health::Error
        } else if !second_ok
            || self.observer.lost_in_last_second
            || self.limit.as_ref().is_some_and(BandwidthLimit::is_exceeded)
            || self.observer.legs.is_missing_one()
        {
            Health::Warning
        } else {
            Health::Healthy
        }
    }

    fn fit_buffers(&mut self, bitrate_bps: u64) {
        let bytes = socket::buffer_bytes(bitrate_bps, BUFFER_MS);
        self.input.fit_buffer(bytes);
        for output in &mut self.outputs {
            output.fit_buffer(bytes);
        }
    }
}

impl Observer {
    /// True once a second; then loss of the second that is over is known.
    fn second(&mut self, now_ns: u64, lost: u64, dropped_kernel: u64) -> bool {
        let is_over = now_ns.saturating_sub(self.second_since_ns) >= SECOND_NS;
        if is_over {
            self.second_since_ns = now_ns - (now_ns - self.second_since_ns) % SECOND_NS;
            self.lost_in_last_second =
                lost > self.lost_before || dropped_kernel > self.dropped_kernel_before;
            self.lost_before = lost;
            self.dropped_kernel_before = dropped_kernel;
        }
        is_over
    }
}

const SECOND_NS: u64 = 1_000_000_000;

fn is_so(limit: Option<&BandwidthLimit>, question: impl Fn(&BandwidthLimit) -> bool) -> u64 {
    u64::from(limit.is_some_and(question))
}

fn output_record(output: &Output, bitrate_bps: u64, now_ns: u64) -> OutputRecord {
    let counts = output.counts();
    let state = match output.newest_ns() {
        _ if output.as_srt().is_some() => output
            .as_srt()
            .map_or(EndpointState::Idle, |srt| srt::state(srt.legs())),
        _ if !output.is_on() => EndpointState::Idle,
        Some(newest_ns) if now_ns.saturating_sub(newest_ns) < QUIET_NS => EndpointState::Active,
        _ => EndpointState::Waiting,
    };
    OutputRecord {
        state: state.code(),
        packets_sent: counts.packets,
        bytes_sent: counts.bytes,
        bitrate_bps,
        packets_dropped: counts.dropped,
        fec_packets_sent: counts.fec_packets,
        send_batches: counts.batches,
        send_errors: counts.errors,
    }
}
