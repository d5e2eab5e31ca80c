//! What is counted over all connections of a leg, ended ones included.

use bilbycast_shm_proto::counters::{ABSENT, EndpointState, SrtRecord};
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
    }

    /// Packets that were given up on the way here.
    pub(super) const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The record of a leg in `state` whose ended connections counted this, and `live` ones go on.
    pub(super) fn record(mut self, state: EndpointState, live: &[Stats]) -> SrtRecord {
        for stats in live {
            self.add(stats);
        }
        // With many callers the worst of them: that is the one to look after.
        let worst = |value: fn(&Stats) -> Option<Micros>| live.iter().filter_map(value).max();
        let sum = |value: fn(&Stats) -> u64| live.iter().map(value).sum::<u64>();
        let or_absent = |micros: Option<Micros>| micros.map_or(ABSENT, |micros| micros.0);
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
            send_buffer: or_absent(worst(|stats| Some(stats.send.buffer_span))),
            recv_buffer_packets: sum(|stats| stats.receive.buffer_packets.into()),
            recv_buffer: or_absent(worst(|stats| Some(stats.receive.buffer_span))),
            flight_packets: sum(|stats| stats.send.in_flight.into()),
            flow_window_packets: sum(|stats| stats.send.flow_window.into()),
            bandwidth: live
                .iter()
                .map(|stats| stats.send.link_capacity.max(stats.receive.link_capacity))
                .max()
                .map_or(0, |packets| u64::from(packets) * PACKET_BITS),
            recv_latency_ms: millis(worst(|stats| Some(stats.receive.latency))),
            send_latency_ms: millis(worst(|stats| Some(stats.send.latency))),
            connects_total: self.connects,
            callers: live.len() as u64,
            rejected_total: self.rejected,
        }
    }
}

/// A full packet of the usual payload on the wire: 7 x 188 bytes, SRT, UDP and IPv4 headers.
const PACKET_BITS: u64 = 8 * (1_316 + 16 + 28);
