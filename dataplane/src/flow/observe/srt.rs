//! SRT legs of inputs and outputs: their records, and what they have to tell.

use bilbycast_shm_proto::counters::{ABSENT, EndpointState, FlowRecord, SrtRecord, signed};
use bilbycast_shm_proto::detail::SrtListenerDetail;
use bilbycast_shm_proto::model::LEGS_MAX;

use crate::flow::Flow;
use crate::flow::srt_input::SrtInput;
use crate::srt::leg::{SrtLeg, SrtNotice};

/// The records of legs at `now_ns` (CLOCK_MONOTONIC). What they have to tell goes to `tell` with the number of the leg.
pub(super) fn observe(
    legs: &mut [SrtLeg],
    now_ns: u64,
    second_is_over: bool,
    mut tell: impl FnMut(u8, SrtNotice),
) -> [SrtRecord; LEGS_MAX] {
    let mut records = [SrtRecord::default(); LEGS_MAX];
    for ((number, leg), record) in (1..).zip(legs).zip(&mut records) {
        *record = leg.record(now_ns);
        if second_is_over {
            leg.second(record);
        }
        for notice in leg.take_notices() {
            tell(number, notice);
        }
    }
    records
}

/// The legs of a flow that listen, with the callers that they have at `now_ns` (CLOCK_MONOTONIC).
pub(super) fn listeners(flow: &Flow, now_ns: u64) -> Vec<SrtListenerDetail> {
    let input = flow.input.as_srt().map(|srt| (None, srt.legs()));
    let outputs = flow.outputs.iter().filter_map(|output| {
        let srt = output.as_srt()?;
        Some((Some(output.id()), srt.legs()))
    });
    let legs = input
        .into_iter()
        .chain(outputs)
        .flat_map(|(output_id, legs)| {
            let numbered = (1..).zip(legs);
            numbered.map(move |(number, leg)| (output_id, number, leg))
        });
    legs.filter(|(_, _, leg)| leg.listens())
        .map(|(output_id, number, leg)| SrtListenerDetail {
            output_id: output_id.map(str::to_owned),
            leg: number,
            callers: leg.callers(now_ns),
            left_out: 0,
        })
        .collect()
}

/// The state of an endpoint with these legs: that of the better one.
pub(super) fn state(legs: &[SrtLeg]) -> EndpointState {
    let rank = |state: &EndpointState| match state {
        EndpointState::Active | EndpointState::Receiving => 6,
        EndpointState::Connected => 5,
        EndpointState::Connecting => 4,
        EndpointState::Broken => 3,
        EndpointState::Waiting => 2,
        EndpointState::ConnectFailed => 1,
        EndpointState::Idle => 0,
    };
    let states = legs.iter().map(SrtLeg::state);
    states.max_by_key(rank).unwrap_or(EndpointState::Idle)
}

/// Puts what the merge counts into a flow's record.
pub(super) fn record(srt: &SrtInput, record: &mut FlowRecord) {
    record.input_redundancy_switches = srt.switches();
    if let Some(merger) = srt.merger() {
        record.input_packets_late = merger.stats().late;
        record.input_repair_delay = merger.delay_ns();
        record.input_leg_skew = signed(merger.stats().skew_ns);
    } else {
        record.input_leg_skew = ABSENT;
    }
}
