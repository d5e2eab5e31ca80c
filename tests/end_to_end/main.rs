//! End-to-end tests: the real binaries against real peers. One file for each thing that is shown.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "all of this is tests, but Clippy knows only functions marked as such"
)]

mod api_flows;
mod api_shapes;
mod control_plane_absence;
mod data_plane_restart;
mod disturbance;
mod errors;
mod failing_output;
mod ffmpeg_stream;
mod ipv6;
mod loss_counting;
mod marking_and_headers;
mod media_facts;
mod multicast;
mod neighbours;
mod quiet_node;
mod schemathesis;
mod test_source;
