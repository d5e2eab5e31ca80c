//! The dashboard, and the history that its plots show.

use bilbycast_shm_proto::counters::HistoryRecord;
use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::Get;

use super::operation::{Access, Operation};
use super::shape::{Fields, Shape, count, list, named, object, text};
use super::stats::with_row;

pub(super) fn schemas() -> Vec<(&'static str, Shape)> {
    vec![
        ("FlowHistory", history().into()),
        ("HistorySecond", second().into()),
    ]
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(
            Get,
            "/api/v1/stats/{flow_id}/history",
            "stats",
            "flow_history",
            Access::Any,
            "The last minutes of a flow, second by second",
        )
        .describe(
            "From the shared memory, so that it outlives restarts of the control plane. How much is \
             kept depends on the number of flows: ten minutes of 100 flows, one minute of 1,000; the \
             newest 3,600 seconds at most. Empty while the data plane is lost.",
        )
        .query(
            "since",
            count("Unix time in microseconds."),
            "Only seconds that ended later.",
        )
        .query(
            "last",
            count("A number of seconds."),
            "Only seconds that ended no longer ago.",
        )
        .fails(400, "since or last is not a number.")
        .fails(404, "No such flow.")
        .returns(named("FlowHistory"), example()),
        Operation::new(
            Get,
            "/",
            "dashboard",
            "dashboard",
            Access::Public,
            "The page for the people on shift",
        )
        .describe("It holds no data; its script asks for a token where one is needed.")
        .answers_nothing(304, "The browser has it.")
        .returns_text("text/html", "A page."),
        Operation::new(
            Get,
            "/dashboard/{file}",
            "dashboard",
            "dashboard_file",
            Access::Public,
            "Its style and its scripts",
        )
        .answers_nothing(304, "The browser has it.")
        .fails(404, "No such file.")
        .returns_text_of(&["text/css", "text/javascript"], "A file of the page."),
    ]
}

fn history() -> Fields {
    object("The last minutes of a flow.")
        .required("flow_id", text("Id of the flow."))
        .required(
            "seconds",
            list(named("HistorySecond"), "Its seconds, oldest first."),
        )
}

fn second() -> Fields {
    let second = object("One second of a flow. Counts are since the start of the flow.");
    HistoryRecord::FIELDS
        .iter()
        .fold(second, |second, row| match row.rest {
            Some(field) => with_row(second, field, row),
            None => second,
        })
}

fn example() -> Value {
    json!({"flow_id": "main-feed", "seconds": [{
        "unix_us": 1_709_820_000_000_000_u64, "health": "Healthy", "input_bitrate_bps": 50_000_000,
        "packets_received": 15_234_567, "packets_lost": 12, "packets_recovered_fec": 8,
        "redundancy_switches": 0, "packets_dropped_kernel": 0, "outputs_bitrate_bps": 100_000_000,
        "outputs_packets_dropped": 0, "iat_avg_us": 142.7, "iat_max_us": 180.3,
        "pdv_jitter_us": 15.2, "cc_errors": 0, "pcr_accuracy_errors": 0,
        "pcr_discontinuity_errors": 0, "pcr_repetition_errors": 0, "pcr_deviation_ns": 74,
    }]})
}
