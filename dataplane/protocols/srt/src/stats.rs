//! What a connection tells about itself.

use crate::connection::State;
use crate::crypto::KmState;
use crate::delivery::ReceiveCounts;
use crate::filter::FilterCounts;
use crate::time::Micros;

/// Counters since the start, and levels at the moment of asking. Both stay after the end of the connection; rates age to
/// zero within a second of the last packet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Where the connection stands.
    pub state: State,
    /// Time from the handshake to now, or to the end of the connection.
    pub uptime: Micros,
    /// Smoothed round-trip time; `None` before the first measurement.
    pub rtt: Option<Micros>,
    /// Variance of the round-trip time.
    pub rtt_variance: Micros,
    /// Why the far end refuses the key that we announced; `None` when it does not.
    pub key_refused: Option<KmState>,
    /// Whether a new key is due and the far end has not confirmed it: the old one stays in use.
    pub key_overdue: bool,
    /// The sending direction.
    pub send: SendStats,
    /// The receiving direction.
    pub receive: ReceiveStats,
    /// Datagrams that are no packets of this connection.
    pub malformed: u64,
    /// Control packets that claim what cannot be, and unknown ones.
    pub ignored: u64,
}

/// The sending direction. Packets and bytes are of the stream; bytes are payload alone.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SendStats {
    /// Packets that were sent, each once.
    pub packets: u64,
    /// Bytes of their payload.
    pub bytes: u64,
    /// Packets that were sent again.
    pub retransmitted: u64,
    /// Bytes of their payload.
    pub retransmitted_bytes: u64,
    /// Packets that the far end reported lost, each once.
    pub lost: u64,
    /// Reports that were not answered because a retransmission was under way.
    pub suppressed: u64,
    /// Packets that were given up because they were too late.
    pub dropped: u64,
    /// Packets that were refused because the send buffer was full.
    pub refused: u64,
    /// Messages that were refused because they do not fit into a packet.
    pub too_long: u64,
    /// Bytes of the longest of them.
    pub too_long_bytes: usize,
    /// FEC packets that were sent.
    pub fec_packets: u64,
    /// Acknowledgements that arrived.
    pub acks: u64,
    /// Loss reports that arrived.
    pub naks: u64,
    /// Packets per second, retransmissions and FEC included.
    pub packets_per_second: u64,
    /// Bytes per second of the same.
    pub bytes_per_second: u64,
    /// Packets that were sent and are not acknowledged.
    pub in_flight: u32,
    /// Most packets that may be in flight at present.
    pub flow_window: u32,
    /// Packets in the send buffer.
    pub buffer_packets: u32,
    /// Bytes of their payload.
    pub buffer_bytes: usize,
    /// Age of the oldest packet in the send buffer.
    pub buffer_span: Micros,
    /// Room in the far end's receive buffer, in packets, as it last said.
    pub peer_buffer_available: u32,
    /// Capacity of the link in packets per second, as the far end last estimated it.
    pub link_capacity: u32,
    /// Delay between a packet's origin and its delivery at the far end.
    pub latency: Micros,
}

/// The receiving direction. Packets and bytes are of the stream; bytes are payload alone.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReceiveStats {
    /// Packets that arrived, retransmissions and duplicates included.
    pub packets: u64,
    /// Bytes of their payload, as sent.
    pub bytes: u64,
    /// Packets that were marked as retransmissions.
    pub retransmitted: u64,
    /// What became of the packets.
    pub counts: ReceiveCounts,
    /// Packets that were handed out.
    pub delivered: u64,
    /// Bytes of their payload.
    pub delivered_bytes: u64,
    /// Packets that no key decrypts.
    pub undecryptable: u64,
    /// What the packet filter did.
    pub fec: FilterCounts,
    /// Acknowledgements that were sent.
    pub acks: u64,
    /// Loss reports that were sent.
    pub naks: u64,
    /// Packets per second, retransmissions included.
    pub packets_per_second: u64,
    /// Bytes per second of the same.
    pub bytes_per_second: u64,
    /// Packets in the receive buffer.
    pub buffer_packets: u32,
    /// Bytes of their payload.
    pub buffer_bytes: usize,
    /// Time at the sender from the first to the last packet in the receive buffer.
    pub buffer_span: Micros,
    /// Room in the receive buffer, in packets.
    pub buffer_available: u32,
    /// Packets that are missing and may still come.
    pub missing: u32,
    /// Capacity of the link in packets per second; zero before the first estimate.
    pub link_capacity: u32,
    /// Delay between a packet's origin and its delivery here.
    pub latency: Micros,
    /// Drift of the far end's clock since the start, in microseconds; positive when it runs slow.
    pub drift_us: i64,
}
