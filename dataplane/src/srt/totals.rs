//! What is counted over all connections of a leg, ended ones included.

use bilbycast_shm_proto::counters::{ABSENT, EndpointState, SrtRecord, signed};
use bilbycast_srt::{Micros, Stats};

/// Sums over connections.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    loss: u64,
    retransmitted: u64,
    sent: u64,
    received: u64,
    bytes_sent: u64,
    bytes_received: u64,
    dropped: u64,
    skipped: u64,
    belated: u64,
    undecryptable: u64,
    rebuilt: u64,
    fec_sent: u64,
    duplicate: u64,
    acks_sent: u64,
    acks_received: u64,
    naks_sent: u64,
    naks_received: u64,
    too_long: u64,
    too_long_bytes: usize,
    pub(super) connects: u64,
    pub(super) rejected: u64,
}

impl Totals {
    /// Adds what a connection has counted.
    pub(super) fn add(&mut self, stats: &Stats) {
        let (send, receive) = (&stats.send, &stats.receive);
        self.loss += send.lost + receive.counts.lost;
        self.retransmitted += send.retransmitted;
        self.sent += send.packets + send.retransmitted;
        self.received += receive.packets;
        self.bytes_sent += send.bytes + send.retransmitted_bytes;
        self.bytes_received += receive.bytes;
        self.dropped += send.dropped + send.refused + receive.counts.skipped;
        self.skipped += receive.counts.skipped;
        self.belated += receive.counts.belated;
        self.undecryptable += receive.undecryptable;
        self.rebuilt += receive.fec.rebuilt;
        self.fec_sent += send.fec_packets;
        self.duplicate += receive.counts.duplicate;
        self.acks_sent += receive.acks;
        self.acks_received += send.acks;
        self.naks_sent += receive.naks;
        self.naks_received += send.naks;
        self.too_long += send.too_long;
        self.too_long_bytes = self.too_long_bytes.max(send.too_long_bytes);
    }

    /// Messages that do not fit into a packet, and bytes of the longest.
    pub(super) const fn too_long(&self) -> (u64, usize) {
        (self.too_long, self.too_long_bytes)
    }

    /// Packets that were given up on the way here.
    pub(super) const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The record of a leg in `state` at `now`, whose connections counted this. `live` ones go on; without any, the figures
    /// of the `last` one stay, and how old they are is said.
    pub(super) fn record(
        self,
        state: EndpointState,
        live: &[Stats],
        last: Option<&(Micros, Stats)>,
        now: Micros,
    ) -> SrtRecord {
        let last = last.filter(|_| live.is_empty());
        let figures = last.map_or(live, |(_, stats)| std::slice::from_ref(stats));
        // With many callers the worst of them: that is the one to look after.
        let worst = |value: fn(&Stats) -> Option<Micros>| figures.iter().filter_map(value).max();
        let level = |value: fn(&Stats) -> Micros| or_absent(live.iter().map(value).max());
        let drift_us = |stats: &Stats| stats.receive.drift_us;
        let drift_us = figures
            .iter()
            .map(drift_us)
            .max_by_key(|us| us.unsigned_abs());
        let sum = |value: fn(&Stats) -> u64| live.iter().map(value).sum::<u64>();
        let millis = |micros: Option<Micros>| micros.map_or(ABSENT, Micros::as_millis);
        SrtRecord {
            configured: 1,
            state: state.code(),
            rtt: or_absent(worst(|stats| stats.rtt)),
            send_rate: 8 * sum(|stats| stats.send.bytes_per_second),
            recv_rate: 8 * sum(|stats| stats.receive.bytes_per_second),
            pkt_loss_total: self.loss,
            pkt_retransmit_total: self.retransmitted,
            uptime_ms: worst(|stats| Some(stats.uptime)).map_or(0, Micros::as_millis),
            rtt_variance: or_absent(worst(|stats| stats.rtt.map(|_| stats.rtt_variance))),
            pkt_sent_total: self.sent,
            pkt_recv_total: self.received,
            bytes_sent_total: self.bytes_sent,
            bytes_recv_total: self.bytes_received,
            pkt_drop_total: self.dropped,
            pkt_belated_total: self.belated,
            pkt_undecrypt_total: self.undecryptable,
            pkt_filter_recovered_total: self.rebuilt,
            send_buffer_packets: sum(|stats| stats.send.buffer_packets.into()),
            send_buffer: level(|stats| stats.send.buffer_span),
            recv_buffer_packets: sum(|stats| stats.receive.buffer_packets.into()),
            recv_buffer: level(|stats| stats.receive.buffer_span),
            flight_packets: sum(|stats| stats.send.in_flight.into()),
            flow_window_packets: sum(|stats| stats.send.flow_window.into()),
            bandwidth: figures
                .iter()
                .map(|stats| stats.send.link_capacity.max(stats.receive.link_capacity))
                .max()
                .map_or(0, |packets| u64::from(packets) * PACKET_BITS),
            recv_latency_ms: millis(worst(|stats| Some(stats.receive.latency))),
            send_latency_ms: millis(worst(|stats| Some(stats.send.latency))),
            connects_total: self.connects,
            callers: live.len() as u64,
            rejected_total: self.rejected,
            disconnected_ms: millis(last.map(|(ended, _)| now.since(*ended))),
            drift: signed(drift_us.map(|us| us.saturating_mul(1_000))),
            pkt_duplicate_total: self.duplicate,
            pkt_ack_sent_total: self.acks_sent,
            pkt_ack_recv_total: self.acks_received,
            pkt_nak_sent_total: self.naks_sent,
            pkt_nak_recv_total: self.naks_received,
            pkt_filter_sent_total: self.fec_sent,
        }
    }
}

fn or_absent(micros: Option<Micros>) -> u64 {
    micros.map_or(ABSENT, |micros| micros.0)
}

/// A full packet of the usual payload on the wire: 7 x 188 bytes, SRT, UDP and IPv4 headers.
const PACKET_BITS: u64 = 8 * (1_316 + 16 + 28);
