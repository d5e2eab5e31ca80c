//! What is counted of one SRT leg of an input or an output.

use super::{CounterInfo, CounterKind};

record! {
    /// Newest values of one SRT leg of an input or an output.
    SrtRecord {
        /// Whether there is such a leg
        configured: Flag;
        /// Connection state
        state: Code, rest "state";
        /// SRT round-trip time in ms
        rtt: Milliseconds, rest "rtt_ms", prometheus "bilbycast_edge_srt_rtt_ms";
        /// Rate of everything that is sent
        send_rate: Megabits, rest "send_rate_mbps";
        /// Rate of everything that is received
        recv_rate: Megabits, rest "recv_rate_mbps";
        /// SRT total packet loss
        pkt_loss_total: Counter, rest "pkt_loss_total", prometheus "bilbycast_edge_srt_loss_total";
        /// Packets sent again
        pkt_retransmit_total: Counter, rest "pkt_retransmit_total",
            prometheus "bilbycast_edge_srt_packets_retransmitted_total";
        /// Age of the connection in ms
        uptime_ms: Gauge, rest "uptime_ms";
        /// Variance of the round-trip time in ms
        rtt_variance: Milliseconds, rest "rtt_variance_ms";
        /// Data packets sent, those sent again included
        pkt_sent_total: Counter, rest "pkt_sent_total";
        /// Data packets received
        pkt_recv_total: Counter, rest "pkt_recv_total";
        /// Bytes sent
        bytes_sent_total: Counter, rest "bytes_sent_total";
        /// Bytes received
        bytes_recv_total: Counter, rest "bytes_recv_total";
        /// Packets given up because they were too late, on either side
        pkt_drop_total: Counter, rest "pkt_drop_total",
            prometheus "bilbycast_edge_srt_packets_dropped_total";
        /// Packets received after their turn
        pkt_belated_total: Counter, rest "pkt_belated_total";
        /// Packets that could not be decrypted
        pkt_undecrypt_total: Counter, rest "pkt_undecrypt_total",
            prometheus "bilbycast_edge_srt_packets_undecryptable_total";
        /// Packets recovered by the packet filter
        pkt_filter_recovered_total: Counter, rest "pkt_filter_recovered_total";
        /// Packets that wait to be sent or acknowledged
        send_buffer_packets: Gauge, rest "send_buffer_packets";
        /// Time that they span in ms
        send_buffer: Milliseconds, rest "send_buffer_ms";
        /// Packets that wait for their turn
        recv_buffer_packets: Gauge, rest "recv_buffer_packets";
        /// Time that they span in ms
        recv_buffer: Milliseconds, rest "recv_buffer_ms";
        /// Packets under way
        flight_packets: Gauge, rest "flight_packets";
        /// Most packets that may be under way
        flow_window_packets: Gauge, rest "flow_window_packets";
        /// Estimate of the link's capacity
        bandwidth: Megabits, rest "bandwidth_mbps";
        /// Receiver's latency as agreed, in ms
        recv_latency_ms: Optional, rest "recv_latency_ms";
        /// Far end's latency as agreed, in ms
        send_latency_ms: Optional, rest "send_latency_ms";
        /// How often the connection was made
        connects_total: Counter, rest "connects_total",
            prometheus "bilbycast_edge_srt_connects_total";
        /// Callers that are connected
        callers: Gauge, rest "callers", prometheus "bilbycast_edge_srt_callers";
        /// Callers that were refused
        rejected_total: Counter, rest "rejected_total",
            prometheus "bilbycast_edge_srt_rejected_total";
        /// Time since the last connection ended in ms, of which the other figures are; absent while there is one
        disconnected_ms: Optional, rest "disconnected_ms";
        /// Drift of the far end's clock since the connection was made, in microseconds; positive when it runs slow
        drift: Signed, rest "drift_us";
        /// Data packets received a second time
        pkt_duplicate_total: Counter, rest "pkt_duplicate_total";
        /// Acknowledgements sent
        pkt_ack_sent_total: Counter, rest "pkt_ack_sent_total";
        /// Acknowledgements received
        pkt_ack_recv_total: Counter, rest "pkt_ack_recv_total";
        /// Loss reports sent
        pkt_nak_sent_total: Counter, rest "pkt_nak_sent_total";
        /// Loss reports received
        pkt_nak_recv_total: Counter, rest "pkt_nak_recv_total";
        /// Packets sent by the packet filter
        pkt_filter_sent_total: Counter, rest "pkt_filter_sent_total";
    }
}
