//! What began or ended in a flow, as events for people and programs.

use bilbycast_shm_proto::counters::Health;
use bilbycast_shm_proto::event::{Category, Event, Severity};
use bilbycast_shm_proto::model::{BandwidthAction, BandwidthLimitSpec};

use crate::flow::observe::Notice;

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
        Notice::SsrcMismatch { leg } => (
            Category::Redundancy,
            Severity::Warning,
            format!(
                "flow '{flow_id}': leg {leg} carries another source (SSRC) than the other leg; it is not mixed in"
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

fn bandwidth(limit: &BandwidthLimitSpec, bps: u64) -> serde_json::Value {
    serde_json::json!({
        "current_mbps": bps as f64 / 1e6,
        "limit_mbps": limit.max_bps as f64 / 1e6,
        "action": limit.action.as_str(),
    })
}

fn mbps(bps: u64) -> String {
    format!("{:.3} Mb/s", bps as f64 / 1e6)
}

fn known(number: Option<u8>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}
