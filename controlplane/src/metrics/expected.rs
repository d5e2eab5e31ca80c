//! Where media is expected. A bitrate of 0 is a fault at an input that is on, and no news at one that somebody switched
//! off; alarms need to know which.

use std::fmt;

use bilbycast_shm_proto::counters::{EndpointState, SrtRecord};
use bilbycast_shm_proto::model::LEGS_MAX;
use bilbycast_shm_proto::shm::{FlowSnapshot, OutputSnapshot};
use prometheus_client::metrics::MetricType;

use super::Page;
use super::flows::numbered;

/// The families of these flows.
pub(super) fn encode(page: &mut Page<'_, '_>, flows: &[&FlowSnapshot]) -> fmt::Result {
    page.family(
        "bilbycast_edge_flow_input_expected",
        "Whether media should arrive: the input is on, and no SRT listener that nobody has called yet",
        MetricType::Gauge,
        flows.iter().map(|flow| {
            let labels = [("flow_id", flow.flow_id.as_str())];
            (labels, i64::from(is_input_expected(flow)))
        }),
    )?;
    page.family(
        "bilbycast_edge_flow_leg_expected",
        "Whether packets should arrive on this leg: it is on",
        MetricType::Gauge,
        flows.iter().flat_map(|flow| {
            numbered(&flow.legs).map(|(leg, record)| {
                let labels = [("flow_id", flow.flow_id.as_str()), ("leg", leg)];
                (labels, i64::from(!is(record.state, EndpointState::Idle)))
            })
        }),
    )?;
    page.family(
        "bilbycast_edge_flow_output_expected",
        "Whether media should leave: the output is on, and no SRT listener without callers",
        MetricType::Gauge,
        flows.iter().flat_map(|flow| {
            flow.outputs.iter().map(|output| {
                let labels = [
                    ("flow_id", flow.flow_id.as_str()),
                    ("output_id", output.output_id.as_str()),
                ];
                (labels, i64::from(is_output_expected(output)))
            })
        }),
    )
}

/// A caller that was there and is gone is a programme that is lost. Nobody is missed before the first.
fn is_input_expected(flow: &FlowSnapshot) -> bool {
    let was_called = flow.srt.iter().flatten().any(|leg| leg.connects_total > 0);
    !is(flow.record.input_state, EndpointState::Idle) && (was_called || !only_listens(&flow.srt))
}

/// Who calls an output decides alone when to go.
fn is_output_expected(output: &OutputSnapshot) -> bool {
    !is(output.record.state, EndpointState::Idle) && !only_listens(&output.srt)
}

/// Whether there are SRT legs, and all of them listen without callers: of SRT, only a listener is ever `waiting`.
fn only_listens(legs: &[Option<SrtRecord>; LEGS_MAX]) -> bool {
    let mut legs = legs.iter().flatten().peekable();
    legs.peek().is_some() && legs.all(|leg| is(leg.state, EndpointState::Waiting))
}

const fn is(code: u64, state: EndpointState) -> bool {
    code == state.code()
}

#[cfg(test)]
mod tests {
    use bilbycast_shm_proto::counters::{FlowRecord, OutputRecord};

    use super::*;

    fn leg(state: EndpointState, connects_total: u64) -> Option<SrtRecord> {
        Some(SrtRecord {
            configured: 1,
            state: state.code(),
            connects_total,
            ..SrtRecord::default()
        })
    }

    fn input(state: EndpointState, srt: [Option<SrtRecord>; LEGS_MAX]) -> bool {
        is_input_expected(&FlowSnapshot {
            flow_id: "a".to_owned(),
            core: 0,
            slot: 0,
            generation: 1,
            record: FlowRecord {
                input_state: state.code(),
                ..FlowRecord::default()
            },
            legs: [None, None],
            srt,
            outputs: Vec::new(),
        })
    }

    fn output(state: EndpointState, srt: [Option<SrtRecord>; LEGS_MAX]) -> bool {
        is_output_expected(&OutputSnapshot {
            output_id: "o".to_owned(),
            record: OutputRecord {
                state: state.code(),
                ..OutputRecord::default()
            },
            srt,
        })
    }

    use EndpointState::{Active, Broken, ConnectFailed, Connecting, Idle, Receiving, Waiting};

    #[test]
    fn what_is_off_is_not_expected_and_what_is_silent_is() {
        for (state, expected) in [(Idle, false), (Waiting, true), (Receiving, true)] {
            assert_eq!(input(state, [None, None]), expected, "{state:?}");
        }
        for (state, expected) in [(Idle, false), (Waiting, true), (Active, true)] {
            assert_eq!(output(state, [None, None]), expected, "{state:?}");
        }
    }

    #[test]
    fn an_srt_listener_is_missed_only_where_somebody_was() {
        assert!(!input(Waiting, [leg(Waiting, 0), None]));
        assert!(!input(Waiting, [leg(Waiting, 0), leg(Waiting, 0)]));
        assert!(
            input(Waiting, [leg(Waiting, 1), None]),
            "its caller is gone"
        );
        assert!(input(Waiting, [leg(Waiting, 0), leg(Waiting, 1)]));
        assert!(input(Connecting, [leg(Connecting, 0), None]), "it calls");

        assert!(!output(Waiting, [leg(Waiting, 0), None]));
        assert!(!output(Waiting, [leg(Waiting, 3), leg(Waiting, 0)]));
        assert!(output(Active, [leg(Waiting, 0), leg(Active, 1)]));
        for state in [Broken, ConnectFailed] {
            // Of a listener and a caller that fails, the endpoint shows the listener's state.
            assert!(
                output(Waiting, [leg(Waiting, 0), leg(state, 0)]),
                "{state:?}"
            );
        }
    }
}
