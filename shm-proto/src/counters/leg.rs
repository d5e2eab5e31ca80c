//! What is counted of one leg of an input that is repaired: SMPTE ST 2022-1 or ST 2022-7, over RTP or SRT.

use super::{CounterInfo, CounterKind};

record! {
    /// Newest values of one leg of an input that is repaired.
    LegRecord {
        /// Whether there is such a leg
        configured: Flag;
        /// Connection state
        state: Code, rest "state";
        /// Packets arrive on this leg
        up: Flag, rest "up", prometheus "bilbycast_edge_flow_leg_up";
        /// RTP packets received on this leg
        packets_received: Counter, rest "packets_received",
            prometheus "bilbycast_edge_flow_leg_packets_total";
        /// Bytes received on this leg
        bytes_received: Counter, rest "bytes_received",
            prometheus "bilbycast_edge_flow_leg_bytes_total";
        /// Bitrate of this leg (bits/sec)
        bitrate_bps: Gauge, rest "bitrate_bps", prometheus "bilbycast_edge_flow_leg_bitrate_bps";
        /// Packets that this leg lost, before any repair
        packets_lost: Counter, rest "packets_lost",
            prometheus "bilbycast_edge_flow_leg_packets_lost_total";
        /// Packets that FEC recovered on this leg
        packets_recovered_fec: Counter, rest "packets_recovered_fec",
            prometheus "bilbycast_edge_flow_leg_fec_recovered_total";
        /// Packets whose copy on this leg came first
        packets_used: Counter, rest "packets_used",
            prometheus "bilbycast_edge_flow_leg_packets_used_total";
        /// Packets that came on this leg after their turn
        packets_late: Counter, rest "packets_late",
            prometheus "bilbycast_edge_flow_leg_packets_late_total";
        /// Packets of this leg that had come already
        packets_duplicate: Counter, rest "packets_duplicate",
            prometheus "bilbycast_edge_flow_leg_packets_duplicate_total";
        /// Packets of another source (SSRC) than the one in use
        packets_foreign: Counter, rest "packets_foreign",
            prometheus "bilbycast_edge_flow_leg_packets_foreign_total";
        /// Packets of this leg dropped by ingress filters
        packets_filtered: Counter, rest "packets_filtered";
        /// Datagrams of this leg that are not RTP version 2, or are RTCP
        packets_invalid: Counter, rest "packets_invalid";
        /// Datagrams of this leg that found the socket's buffer full
        packets_dropped_kernel: Counter, rest "packets_dropped_kernel";
        /// FEC packets received on this leg
        fec_packets_received: Counter, rest "fec_packets_received",
            prometheus "bilbycast_edge_flow_leg_fec_packets_total";
        /// FEC packets of this leg that make no sense
        fec_packets_invalid: Counter, rest "fec_packets_invalid";
        /// FEC packets of this leg whose media packets are out of reach: long gone, or far ahead
        fec_packets_late: Counter, rest "fec_packets_late";
        /// Packets that FEC recovered on this leg and that then came with other bytes: a sender whose FEC is wrong
        fec_recovered_wrong: Counter, rest "fec_recovered_wrong",
            prometheus "bilbycast_edge_flow_leg_fec_recovered_wrong_total";
        /// How often the FEC decoder of this leg started anew because the source did
        fec_restarts: Counter, rest "fec_restarts",
            prometheus "bilbycast_edge_flow_leg_fec_restarts_total";
        /// This leg carries another source (SSRC) than the one in use
        ssrc_mismatch: Flag, rest "ssrc_mismatch",
            prometheus "bilbycast_edge_flow_leg_ssrc_mismatch";
        /// Shortest inter-arrival time of the last second in microseconds
        iat_min: Nanoseconds, rest "iat.min_us";
        /// Longest inter-arrival time of the last second in microseconds
        iat_max: Nanoseconds, rest "iat.max_us";
        /// Average inter-arrival time in microseconds
        iat_avg: Nanoseconds, rest "iat.avg_us";
        /// PDV jitter in microseconds
        pdv_jitter: Nanoseconds, rest "pdv_jitter_us";
        /// Media delivery index: delay factor of the last second in microseconds (RFC 4445)
        mdi_delay_factor_us: Optional, rest "mdi.delay_factor_us";
        /// Media delivery index: packets lost in the last second, before any repair (RFC 4445)
        mdi_media_loss_rate: Optional, rest "mdi.media_loss_rate";
    }
}
