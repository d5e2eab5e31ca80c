//! End-to-end tests: the real binaries against real peers. One file for each thing that is shown.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "all of this is tests, but Clippy knows only functions marked as such"
)]

mod alerts;
mod api_flows;
mod api_shapes;
mod control_plane_absence;
mod dashboard;
mod data_plane_restart;
mod disturbance;
mod errors;
mod failing_output;
mod fec_peers;
mod ffmpeg_stream;
mod hitless;
mod host_check;
mod ingress;
mod ipv6;
mod loss_counting;
mod marking_and_headers;
mod media_facts;
mod multicast;
mod neighbours;
mod nmos;
mod package;
mod peer_pages;
mod quiet_node;
mod repair_events;
mod schemathesis;
mod srt;
mod srt_crowd;
mod srt_pairs;
mod srt_redundancy;
mod test_source;
mod uncontrolled;
mod units;
