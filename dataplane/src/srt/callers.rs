//! What is known of each caller of a leg that listens.

use bilbycast_shm_proto::counters::EndpointState;
use bilbycast_shm_proto::detail::SrtCallerDetail;
use bilbycast_srt::{Micros, State};

use super::peer::Peer;
use super::totals::Totals;

/// The callers among `peers` at `now`, those that have been there for longest first. `sends`: they belong to an output.
pub(super) fn of<'a>(
    peers: impl Iterator<Item = &'a Peer>,
    sends: bool,
    now: Micros,
) -> Vec<SrtCallerDetail> {
    let mut peers: Vec<&Peer> = peers.filter(|peer| !peer.is_over()).collect();
    peers.sort_unstable_by_key(|peer| (peer.since, peer.address));
    peers
        .into_iter()
        .map(|peer| caller(peer, sends, now))
        .collect()
}

fn caller(peer: &Peer, sends: bool, now: Micros) -> SrtCallerDetail {
    let stats = peer.connection.stats(now);
    let state = state([peer].into_iter(), sends, now);
    // The same sums as for the whole leg, so that its figures are those of its callers together.
    let mut totals = Totals::default();
    totals.add(&stats);
    let record = totals.record(state, std::slice::from_ref(&stats), None, now);
    SrtCallerDetail {
        remote: peer.address,
        stream_id: peer.stream_id.as_deref().map(str::to_owned),
        state: record.state,
        uptime_ms: record.uptime_ms,
        rtt_us: stats.rtt.map(|rtt| rtt.0),
        recv_latency_ms: stats.receive.latency.as_millis(),
        send_latency_ms: stats.send.latency.as_millis(),
        send_bps: record.send_rate,
        recv_bps: record.recv_rate,
        packets_sent: record.pkt_sent_total,
        packets_received: record.pkt_recv_total,
        bytes_sent: record.bytes_sent_total,
        bytes_received: record.bytes_recv_total,
        retransmitted: record.pkt_retransmit_total,
        lost: record.pkt_loss_total,
        dropped: record.pkt_drop_total,
    }
}

/// State of a connection, or of several, by configuration.md 8.1.
pub(super) fn state<'a>(
    mut peers: impl Iterator<Item = &'a Peer>,
    sends: bool,
    now: Micros,
) -> EndpointState {
    let carries =
        peers.any(|peer| peer.carries(now) && peer.connection.state() == State::Connected);
    match (carries, sends) {
        (false, _) => EndpointState::Connected,
        (true, false) => EndpointState::Receiving,
        (true, true) => EndpointState::Active,
    }
}
