//! What began or ended in a flow, as events for people and programs.

use bilbycast_shm_proto::counters::Health;
use bilbycast_shm_proto::event::{Category, Event, Severity};
use bilbycast_shm_proto::model::{BandwidthAction, BandwidthLimitSpec};

use crate::flow::observe::Notice;
use crate::srt::leg::SrtNotice;

/// The event that tells of a notice about a flow.
pub(super) fn event(flow_id: &str, notice: Notice<'_>, unix_us: u64) -> Event {
    let (category, severity, message, details) = match notice {
        Notice::BandwidthExceeded { limit, bps } => (
            Category::Bandwidth,
            match limit.action {
                BandwidthAction::Alarm => Severity::Warning,
                BandwidthAction::Block => Severity::Critical,
            },
            match limit.action {
                BandwidthAction::Alarm => {
                    format!(
                        "flow '{flow_id}': {} arrive, the limit is {}",
                        mbps(bps),
                        mbps(limit.max_bps)
                    )
                }
                BandwidthAction::Block => format!(
                    "flow '{flow_id}' is blocked: {} arrive, the limit is {}",
                    mbps(bps),
                    mbps(limit.max_bps)
                ),
            },
            bandwidth(&limit, bps),
        ),
        Notice::BandwidthKept { limit, bps } => (
            Category::Bandwidth,
            Severity::Info,
            match limit.action {
                BandwidthAction::Alarm => {
                    format!(
                        "flow '{flow_id}' is within its limit of {} again",
                        mbps(limit.max_bps)
                    )
                }
                BandwidthAction::Block => format!(
                    "flow '{flow_id}' is no longer blocked: it is within its limit of {} again",
                    mbps(limit.max_bps)
                ),
            },
            bandwidth(&limit, bps),
        ),
        Notice::BothLegsLost => (
            Category::Redundancy,
            Severity::Critical,
            format!("flow '{flow_id}': all legs are lost"),
            serde_json::Value::Null,
        ),
        Notice::FecMismatch { columns, rows } => (
            Category::Flow,
            Severity::Warning,
            format!(
                "flow '{flow_id}': FEC packets are of a matrix of {} columns and {} rows, which is not the configured \
                 one; they are used all the same",
                known(columns),
                known(rows)
            ),
            serde_json::json!({ "columns": columns, "rows": rows }),
        ),
        Notice::LegBack { leg } => (
            Category::Redundancy,
            Severity::Info,
            format!("flow '{flow_id}': leg {leg} is back"),
            serde_json::json!({ "leg": leg }),
        ),
        Notice::LegLost { leg } => (
            Category::Redundancy,
            Severity::Warning,
            format!("flow '{flow_id}': leg {leg} is lost"),
            serde_json::json!({ "leg": leg }),
        ),
        Notice::Failover => (
            Category::Redundancy,
            Severity::Warning,
            format!(
                "flow '{flow_id}': the SRT legs carry transport stream without RTP, which has no numbers to merge by; one \
                 leg is forwarded, the other one when it falls silent"
            ),
            serde_json::json!({ "error_code": "redundancy_failover_mode" }),
        ),
        Notice::Srt {
            output_id,
            leg,
            notice,
        } => srt(flow_id, output_id, leg, &notice),
        Notice::SkewTooLarge {
            leg,
            skew_ns,
            path_differential_ns,
        } => (
            Category::Redundancy,
            Severity::Warning,
            format!(
                "flow '{flow_id}': leg {leg} is {} later than the other leg, and the path differential is {}; what it alone \
                 brings comes too late",
                ms(skew_ns),
                ms(path_differential_ns)
            ),
            skew(leg, skew_ns, path_differential_ns),
        ),
        Notice::SkewFits {
            leg,
            skew_ns,
            path_differential_ns,
        } => (
            Category::Redundancy,
            Severity::Info,
            format!(
                "flow '{flow_id}': leg {leg} is {} later than the other leg, which is within the path differential again",
                ms(skew_ns)
            ),
            skew(leg, skew_ns, path_differential_ns),
        ),
        Notice::SsrcMismatch { leg } => (
            Category::Redundancy,
            Severity::Warning,
            format!(
                "flow '{flow_id}': leg {leg} carries another source (SSRC) than the one in use; it is not mixed in"
            ),
            serde_json::json!({ "leg": leg, "error_code": "redundancy_ssrc_mismatch" }),
        ),
        Notice::SsrcMismatchOver { leg } => (
            Category::Redundancy,
            Severity::Info,
            format!("flow '{flow_id}': leg {leg} carries the same source (SSRC) again"),
            serde_json::json!({ "leg": leg }),
        ),
        Notice::Health { before, now } => (
            Category::Flow,
            match now {
                Health::Healthy => Severity::Info,
                Health::Warning | Health::Error => Severity::Warning,
                Health::Critical => Severity::Critical,
            },
            format!(
                "flow '{flow_id}': health is {}, it was {}",
                now.as_str(),
                before.as_str()
            ),
            serde_json::json!({ "health": now.as_str(), "before": before.as_str() }),
        ),
        Notice::Indicator { indicator, errors } => (
            Category::Flow,
            Severity::Warning,
            format!("flow '{flow_id}': TR 101 290 {indicator}"),
            serde_json::json!({ "indicator": indicator, "errors": errors }),
        ),
        Notice::IndicatorGood { indicator, errors } => (
            Category::Flow,
            Severity::Info,
            format!("flow '{flow_id}': TR 101 290 {indicator} is over"),
            serde_json::json!({ "indicator": indicator, "errors": errors }),
        ),
        Notice::InputOverflow { datagrams } => (
            Category::Flow,
            Severity::Warning,
            format!("flow '{flow_id}': the input's socket buffer was full, datagrams were lost"),
            serde_json::json!({ "packets_dropped_kernel": datagrams }),
        ),
        Notice::InputOverflowOver => (
            Category::Flow,
            Severity::Info,
            format!("flow '{flow_id}': the input's socket buffer is large enough again"),
            serde_json::Value::Null,
        ),
        Notice::OutputFails { output_id, error } => (
            Category::Flow,
            Severity::Warning,
            format!(
                "flow '{flow_id}', output '{output_id}' cannot send: {}",
                std::io::Error::from_raw_os_error(error)
            ),
            serde_json::json!({ "output_id": output_id, "errno": error }),
        ),
        Notice::OutputFailsNoLonger { output_id } => (
            Category::Flow,
            Severity::Info,
            format!("flow '{flow_id}', output '{output_id}' sends again"),
            serde_json::json!({ "output_id": output_id }),
        ),
        Notice::OutputDoesNotCoalesce { output_id } => (
            Category::Flow,
            Severity::Info,
            format!(
                "flow '{flow_id}', output '{output_id}': the kernel or the network card cannot segment (UDP_SEGMENT); \
                 datagrams are sent one by one"
            ),
            serde_json::json!({ "output_id": output_id }),
        ),
    };
    Event {
        timestamp_us: unix_us,
        severity,
        category,
        message,
        flow_id: Some(flow_id.to_owned()),
        details: (!details.is_null()).then_some(details),
    }
}

/// What began or ended on an SRT leg of the input, or of an output.
fn srt(
    flow_id: &str,
    output_id: Option<&str>,
    leg: Option<u8>,
    notice: &SrtNotice,
) -> (Category, Severity, String, serde_json::Value) {
    let end = match output_id {
        None => "input".to_owned(),
        Some(output_id) => format!("output '{output_id}'"),
    };
    let leg_text = leg.map_or_else(String::new, |leg| format!(" leg {leg}"));
    let who = format!("flow '{flow_id}', {end}{leg_text}");
    let mut details = serde_json::json!({});
    if let Some(output_id) = output_id {
        details["output_id"] = output_id.into();
    }
    if let Some(leg) = leg {
        details["leg"] = leg.into();
    }
    let (severity, text) = match notice {
        SrtNotice::Connected { remote, stream_id } => {
            details["remote_addr"] = remote.to_string().into();
            let stream_id = stream_id
                .as_ref()
                .map_or_else(String::new, |id| format!(", stream id {id:?}"));
            (
                Severity::Info,
                format!("SRT connected with {remote}{stream_id}"),
            )
        }
        SrtNotice::ConnectFailed {
            remote,
            reason,
            failures,
        } => {
            details["remote_addr"] = remote.to_string().into();
            details["failures"] = (*failures).into();
            if output_id.is_some() {
                details["error_code"] = "srt_output_peer_unreachable".into();
            }
            (
                Severity::Critical,
                format!("SRT cannot connect with {remote}: {reason}"),
            )
        }
        SrtNotice::Lost { remote, reason } => {
            details["remote_addr"] = remote.to_string().into();
            (
                Severity::Warning,
                format!("SRT connection with {remote} is lost: {reason}"),
            )
        }
        SrtNotice::Refused { remote, reason } => {
            details["remote_addr"] = remote.to_string().into();
            (
                Severity::Warning,
                format!("SRT caller {remote} is refused: {reason}"),
            )
        }
        SrtNotice::Stale { remote } => {
            details["remote_addr"] = remote.to_string().into();
            (
                Severity::Warning,
                format!("SRT caller {remote} does not acknowledge anything and is dropped"),
            )
        }
        SrtNotice::Untold { notices } => {
            details["notices"] = (*notices).into();
            (
                Severity::Warning,
                format!(
                    "SRT connections come and go faster than is told: {notices} were not told in the last second"
                ),
            )
        }
        SrtNotice::TooLong {
            packets,
            bytes,
            bytes_max,
        } => {
            details["packets"] = (*packets).into();
            details["bytes"] = (*bytes).into();
            details["bytes_max"] = (*bytes_max).into();
            (
                Severity::Critical,
                format!(
                    "SRT does not send packets of up to {bytes} bytes, {packets} in the last second: {bytes_max} bytes fit into \
                     a packet (mss)"
                ),
            )
        }
        SrtNotice::KeyRefused { remote, reason } => {
            details["remote_addr"] = remote.to_string().into();
            (
                Severity::Warning,
                format!("SRT far end {remote} cannot decrypt what it is sent: {reason}"),
            )
        }
        SrtNotice::KeyOverdue { remote } => {
            details["remote_addr"] = remote.to_string().into();
            (
                Severity::Warning,
                format!(
                    "SRT far end {remote} does not confirm the new key that is due; the old one stays in use"
                ),
            )
        }
        SrtNotice::TooLate { packets } => {
            details["packets"] = (*packets).into();
            (
                Severity::Warning,
                format!("SRT gives up packets that are too late, {packets} in the last second"),
            )
        }
        SrtNotice::Undecryptable { packets } => {
            details["packets"] = (*packets).into();
            (
                Severity::Warning,
                format!("SRT cannot decrypt packets, {packets} in the last second"),
            )
        }
    };
    (Category::Srt, severity, format!("{who}: {text}"), details)
}

fn bandwidth(limit: &BandwidthLimitSpec, bps: u64) -> serde_json::Value {
    serde_json::json!({
        "current_mbps": bps as f64 / 1e6,
        "limit_mbps": limit.max_bps as f64 / 1e6,
        "action": limit.action.as_str(),
    })
}

fn skew(leg: u8, skew_ns: u64, path_differential_ns: u64) -> serde_json::Value {
    serde_json::json!({
        "leg": leg,
        "skew_ms": skew_ns as f64 / 1e6,
        "path_differential_ms": path_differential_ns as f64 / 1e6,
    })
}

fn ms(ns: u64) -> String {
    format!("{:.0} ms", ns as f64 / 1e6)
}

fn mbps(bps: u64) -> String {
    format!("{:.3} Mb/s", bps as f64 / 1e6)
}

fn known(number: Option<u8>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}
