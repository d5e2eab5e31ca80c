//! The one table of everything that is counted.
//!
//! Each row gives the slot in shared memory (by its order), the field of the REST answer, the Prometheus family and
//! the text that explains it. The records below are written by the data plane, once every 100 ms, and read by anyone
//! who maps the shared memory. A change of any row changes [`LAYOUT_HASH`], so that a reader built from another table
//! refuses to read instead of misreading.

mod state;

pub use state::{EndpointState, FlowState, Health, UnknownCode};

/// Whether a value only grows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CounterKind {
    /// Code of one of the enums of this module.
    Code,
    /// Grows, and starts at 0 when its flow or output starts.
    Counter,
    /// 0 or 1, shown as false or true.
    Flag,
    /// Goes up and down.
    Gauge,
    /// 0 or 1; shown as true, and not at all while it is 0.
    Mark,
    /// Goes up and down, in bits per second, shown in Mb/s.
    Megabits,
    /// Goes up and down, in microseconds, shown in milliseconds; [`ABSENT`] when it is not measured.
    Milliseconds,
    /// Goes up and down, in nanoseconds, shown in microseconds; [`ABSENT`] when it is not measured.
    Nanoseconds,
    /// Goes up and down; [`ABSENT`] when there is none.
    Optional,
    /// Goes up and down and below zero, in nanoseconds of two's complement, shown in microseconds; [`ABSENT`] when it is not
    /// measured.
    Signed,
}

/// What a row of a kind that may be without a value holds when it is.
pub const ABSENT: u64 = u64::MAX;

impl CounterKind {
    /// Whether a row of this kind may be without a value.
    #[must_use]
    pub const fn may_be_absent(self) -> bool {
        matches!(
            self,
            Self::Milliseconds | Self::Nanoseconds | Self::Optional | Self::Signed
        )
    }
}

/// What a row of the kind [`CounterKind::Signed`] holds for a time, or for none.
#[must_use]
pub const fn signed(time_ns: Option<i64>) -> u64 {
    match time_ns {
        None => ABSENT,
        // One nanosecond below zero has the bits of "absent", and nobody measures it.
        Some(-1) => 0,
        Some(time_ns) => time_ns.cast_unsigned(),
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CounterInfo {
    /// Name of the field in the record.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: CounterKind,
    /// Where the REST answer has it: the path inside the flow's or output's object. Absent: not shown by REST.
    pub rest: Option<&'static str>,
    /// Name of its Prometheus family. Absent: not exported.
    pub prometheus: Option<&'static str>,
    /// What it means, for people.
    pub help: &'static str,
}

macro_rules! optional {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $record:ident {
            $(
                #[doc = $help:literal]
                $field:ident: $kind:ident $(, rest $rest:literal)? $(, prometheus $prometheus:literal)?;
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct $record {
            $(#[doc = $help] pub $field: u64,)*
        }

        impl $record {
            /// The rows of the table, in the order of the words.
            pub const FIELDS: &'static [CounterInfo] = &[
                $(CounterInfo {
                    name: stringify!($field),
                    kind: CounterKind::$kind,
                    rest: optional!($($rest)?),
                    prometheus: optional!($($prometheus)?),
                    help: $help,
                },)*
            ];

            /// Number of 64-bit words in shared memory.
            pub const WORDS: usize = Self::FIELDS.len();

            /// The values in the order of [`Self::FIELDS`].
            #[must_use]
            pub const fn to_words(&self) -> [u64; Self::WORDS] {
                [$(self.$field,)*]
            }

            /// The record that [`Self::to_words`] came from.
            #[must_use]
            pub const fn from_words(words: &[u64; Self::WORDS]) -> Self {
                let [$($field,)*] = *words;
                Self { $($field,)* }
            }
        }
    };
}

// Behind the macro, which they use.
mod leg;
mod srt;

pub use leg::LegRecord;
pub use srt::SrtRecord;

record! {
    /// Newest values of a flow and its input.
    FlowRecord {
        /// Run state of the flow
        state: Code, rest "state";
        /// Health by RP 2129 M6, evaluated once a second
        health: Code, rest "health";
        /// Unix time of the flow's start, in microseconds
        started_unix_us: Gauge;
        /// Connection state of the input
        input_state: Code, rest "input.state";
        /// RTP packets received
        input_packets_received: Counter, rest "input.packets_received",
            prometheus "bilbycast_edge_flow_input_packets_total";
        /// Bytes received
        input_bytes_received: Counter, rest "input.bytes_received",
            prometheus "bilbycast_edge_flow_input_bytes_total";
        /// Input bitrate (bits/sec)
        input_bitrate_bps: Gauge, rest "input.bitrate_bps",
            prometheus "bilbycast_edge_flow_input_bitrate_bps";
        /// Packets lost
        input_packets_lost: Counter, rest "input.packets_lost",
            prometheus "bilbycast_edge_flow_input_packets_lost";
        /// Packets dropped by ingress filters
        input_packets_filtered: Counter, rest "input.packets_filtered",
            prometheus "bilbycast_edge_flow_input_packets_filtered";
        /// Packets recovered via FEC
        input_packets_recovered_fec: Counter, rest "input.packets_recovered_fec",
            prometheus "bilbycast_edge_flow_input_fec_recovered_total";
        /// SMPTE 2022-7 leg switches
        input_redundancy_switches: Counter, rest "input.redundancy_switches",
            prometheus "bilbycast_edge_flow_input_redundancy_switches_total";
        /// Datagrams that are not RTP version 2, or are RTCP, and were dropped
        input_packets_invalid: Counter, rest "input.packets_invalid",
            prometheus "bilbycast_edge_flow_input_packets_invalid_total";
        /// Packets received a second time; forwarded as they came
        input_packets_duplicate: Counter, rest "input.packets_duplicate",
            prometheus "bilbycast_edge_flow_input_packets_duplicate_total";
        /// Packets received after a later one; forwarded as they came
        input_packets_reordered: Counter, rest "input.packets_reordered",
            prometheus "bilbycast_edge_flow_input_packets_reordered_total";
        /// Restarts of the source: a new SSRC, or a sequence jump of more than 1,000
        input_source_restarts: Counter, rest "input.source_restarts",
            prometheus "bilbycast_edge_flow_input_source_restarts_total";
        /// Datagrams that the kernel dropped because the socket's receive buffer was full
        input_packets_dropped_kernel: Counter, rest "input.packets_dropped_kernel",
            prometheus "bilbycast_edge_flow_input_packets_dropped_kernel_total";
        /// Bytes discarded while searching for the TS sync byte
        input_bytes_unaligned: Counter, rest "input.bytes_unaligned",
            prometheus "bilbycast_edge_flow_input_bytes_unaligned_total";
        /// Receive calls to the kernel that returned data
        input_receive_batches: Counter, rest "input.receive_batches",
            prometheus "bilbycast_edge_flow_input_receive_batches_total";
        /// Bitrate of all outputs together (bits/sec)
        outputs_bitrate_bps: Gauge;
        /// Packets dropped by all outputs together, removed outputs included
        outputs_packets_dropped: Counter;
        /// TS packets analyzed
        tr101290_packets: Counter, rest "tr101290.ts_packets_analyzed",
            prometheus "bilbycast_edge_tr101290_ts_packets_total";
        /// PAT sections
        tr101290_pats: Counter, rest "tr101290.pat_count";
        /// PMT sections
        tr101290_pmts: Counter, rest "tr101290.pmt_count";
        /// 1.1 losses of synchronisation
        tr101290_sync_losses: Counter, rest "tr101290.sync_loss_count",
            prometheus "bilbycast_edge_tr101290_sync_losses_total";
        /// Sync byte errors
        tr101290_sync_byte_errors: Counter, rest "tr101290.sync_byte_errors",
            prometheus "bilbycast_edge_tr101290_sync_byte_errors_total";
        /// Continuity counter errors
        tr101290_cc_errors: Counter, rest "tr101290.cc_errors",
            prometheus "bilbycast_edge_tr101290_cc_errors_total";
        /// PAT timeout errors
        tr101290_pat_errors: Counter, rest "tr101290.pat_errors",
            prometheus "bilbycast_edge_tr101290_pat_errors_total";
        /// PMT timeout errors
        tr101290_pmt_errors: Counter, rest "tr101290.pmt_errors",
            prometheus "bilbycast_edge_tr101290_pmt_errors_total";
        /// Transport error indicator errors
        tr101290_tei_errors: Counter, rest "tr101290.tei_errors",
            prometheus "bilbycast_edge_tr101290_tei_errors_total";
        /// PCR discontinuity errors
        tr101290_pcr_discontinuity_errors: Counter, rest "tr101290.pcr_discontinuity_errors",
            prometheus "bilbycast_edge_tr101290_pcr_discontinuity_errors_total";
        /// PCR accuracy errors
        tr101290_pcr_accuracy_errors: Counter, rest "tr101290.pcr_accuracy_errors",
            prometheus "bilbycast_edge_tr101290_pcr_accuracy_errors_total";
        /// No priority 1 error in the last second
        tr101290_priority1_ok: Flag, rest "tr101290.priority1_ok",
            prometheus "bilbycast_edge_tr101290_priority1_ok";
        /// No priority 2 error in the last second
        tr101290_priority2_ok: Flag, rest "tr101290.priority2_ok",
            prometheus "bilbycast_edge_tr101290_priority2_ok";
        /// The stream carries JPEG XS by VSF TR-07, and the input looks for it
        tr101290_tr07_compliant: Flag, rest "tr101290.tr07_compliant";
        /// PID of the JPEG XS stream, when the input looks for one
        tr101290_jpeg_xs_pid: Optional, rest "tr101290.jpeg_xs_pid";
        /// 1.6 PID errors
        tr101290_pid_errors: Counter, rest "tr101290.pid_errors",
            prometheus "bilbycast_edge_tr101290_pid_errors_total";
        /// 2.2 CRC errors
        tr101290_crc_errors: Counter, rest "tr101290.crc_errors",
            prometheus "bilbycast_edge_tr101290_crc_errors_total";
        /// 2.3a PCR repetition errors
        tr101290_pcr_repetition_errors: Counter, rest "tr101290.pcr_repetition_errors",
            prometheus "bilbycast_edge_tr101290_pcr_repetition_errors_total";
        /// 2.5 PTS errors
        tr101290_pts_errors: Counter, rest "tr101290.pts_errors",
            prometheus "bilbycast_edge_tr101290_pts_errors_total";
        /// 2.6 CAT errors
        tr101290_cat_errors: Counter, rest "tr101290.cat_errors",
            prometheus "bilbycast_edge_tr101290_cat_errors_total";
        /// 3.1 NIT errors
        tr101290_nit_errors: Counter, rest "tr101290.nit_errors",
            prometheus "bilbycast_edge_tr101290_nit_errors_total";
        /// 3.2 SI repetition errors
        tr101290_si_repetition_errors: Counter, rest "tr101290.si_repetition_errors",
            prometheus "bilbycast_edge_tr101290_si_repetition_errors_total";
        /// 3.4 unreferenced PIDs
        tr101290_unreferenced_pids: Counter, rest "tr101290.unreferenced_pids",
            prometheus "bilbycast_edge_tr101290_unreferenced_pids_total";
        /// 3.5 SDT errors
        tr101290_sdt_errors: Counter, rest "tr101290.sdt_errors",
            prometheus "bilbycast_edge_tr101290_sdt_errors_total";
        /// 3.6 EIT errors
        tr101290_eit_errors: Counter, rest "tr101290.eit_errors",
            prometheus "bilbycast_edge_tr101290_eit_errors_total";
        /// 3.8 TDT errors
        tr101290_tdt_errors: Counter, rest "tr101290.tdt_errors",
            prometheus "bilbycast_edge_tr101290_tdt_errors_total";
        /// No priority 3 error in the last second
        tr101290_priority3_ok: Flag, rest "tr101290.priority3_ok",
            prometheus "bilbycast_edge_tr101290_priority3_ok";
        /// Null packets
        tr101290_null_packets: Counter, rest "tr101290.null_packets",
            prometheus "bilbycast_edge_tr101290_null_packets_total";
        /// Packets with a scrambled payload
        tr101290_scrambled_packets: Counter, rest "tr101290.scrambled_packets",
            prometheus "bilbycast_edge_tr101290_scrambled_packets_total";
        /// Shortest inter-arrival time of the last second in microseconds
        iat_min: Nanoseconds, rest "iat.min_us";
        /// Longest inter-arrival time of the last second in microseconds
        iat_max: Nanoseconds, rest "iat.max_us";
        /// Average inter-arrival time in microseconds
        iat_avg: Nanoseconds, rest "iat.avg_us", prometheus "bilbycast_edge_flow_iat_avg_us";
        /// PDV jitter in microseconds
        pdv_jitter: Nanoseconds, rest "pdv_jitter_us", prometheus "bilbycast_edge_flow_pdv_jitter_us";
        /// Media delivery index: delay factor of the last second in microseconds (RFC 4445)
        mdi_delay_factor_us: Optional, rest "mdi.delay_factor_us";
        /// Media delivery index: packets lost in the last second (RFC 4445)
        mdi_media_loss_rate: Optional, rest "mdi.media_loss_rate",
            prometheus "bilbycast_edge_flow_mdi_media_loss_rate";
        /// Payload type of the newest RTP packet
        input_payload_type: Optional, rest "input.payload_type";
        /// FEC packets received
        input_fec_packets_received: Counter, rest "input.fec_packets_received",
            prometheus "bilbycast_edge_flow_input_fec_packets_total";
        /// Packets that came or were recovered too late to be forwarded in order
        input_packets_late: Counter, rest "input.packets_late",
            prometheus "bilbycast_edge_flow_input_packets_late_total";
        /// Constant delay that merge and repair cost, in microseconds
        input_repair_delay: Nanoseconds, rest "input.repair_delay_us";
        /// The same in packets, as far as FEC needs it
        input_repair_packets: Optional, rest "input.repair_delay_packets";
        /// How much later leg 2 is than leg 1, in microseconds
        input_leg_skew: Signed, rest "input.leg_skew_us",
            prometheus "bilbycast_edge_flow_input_leg_skew_seconds";
        /// The matrix on the wire differs from the configured one
        input_fec_mismatch: Flag, rest "input.fec_mismatch";
        /// More arrives than the bandwidth limit of the flow allows
        bandwidth_exceeded: Mark, rest "bandwidth_exceeded",
            prometheus "bilbycast_edge_flow_bandwidth_exceeded";
        /// Nothing is forwarded because of that
        bandwidth_blocked: Mark, rest "bandwidth_blocked",
            prometheus "bilbycast_edge_flow_bandwidth_blocked";
        /// Largest deviation of a PCR of the last second from its clock's line, in nanoseconds
        tr101290_pcr_deviation_ns: Optional, rest "tr101290.pcr_deviation_ns";
    }
}

record! {
    /// Newest values of one output.
    OutputRecord {
        /// Connection state
        state: Code, rest "state";
        /// Packets sent
        packets_sent: Counter, rest "packets_sent",
            prometheus "bilbycast_edge_flow_output_packets_total";
        /// Bytes sent
        bytes_sent: Counter, rest "bytes_sent",
            prometheus "bilbycast_edge_flow_output_bytes_total";
        /// Output bitrate (bits/sec)
        bitrate_bps: Gauge, rest "bitrate_bps",
            prometheus "bilbycast_edge_flow_output_bitrate_bps";
        /// Packets dropped
        packets_dropped: Counter, rest "packets_dropped",
            prometheus "bilbycast_edge_flow_output_packets_dropped";
        /// FEC packets sent
        fec_packets_sent: Counter, rest "fec_packets_sent",
            prometheus "bilbycast_edge_flow_output_fec_sent_total";
        /// Send calls to the kernel
        send_batches: Counter, rest "send_batches",
            prometheus "bilbycast_edge_flow_output_send_batches_total";
        /// Send calls that failed for another reason than a full buffer
        send_errors: Counter, rest "send_errors",
            prometheus "bilbycast_edge_flow_output_send_errors_total";
    }
}

record! {
    /// Newest values of one packet core.
    CoreRecord {
        /// CPU number
        cpu: Gauge;
        /// CLOCK_MONOTONIC of the newest sign of life, in nanoseconds
        heartbeat_ns: Gauge;
        /// Flows on this core
        flows: Gauge;
        /// Datagrams received on this core
        packets_received: Counter;
        /// Datagrams sent from this core
        packets_sent: Counter;
        /// Longest time that one pass over a flow's socket took in the last second, in nanoseconds
        longest_pass_ns: Gauge;
        /// Commands carried out
        commands: Counter;
    }
}

record! {
    /// One second of one flow, kept in the history ring.
    HistoryRecord {
        /// Unix time of the end of that second, in microseconds
        unix_us: Gauge, rest "unix_us";
        /// Health at its end
        health: Code, rest "health";
        /// Input bitrate (bits/sec)
        input_bitrate_bps: Gauge, rest "input_bitrate_bps";
        /// RTP packets received since the flow's start
        input_packets_received: Counter, rest "packets_received";
        /// Packets lost since the flow's start
        input_packets_lost: Counter, rest "packets_lost";
        /// Packets recovered via FEC since the flow's start
        input_packets_recovered_fec: Counter, rest "packets_recovered_fec";
        /// SMPTE 2022-7 leg switches since the flow's start
        input_redundancy_switches: Counter, rest "redundancy_switches";
        /// Datagrams that the kernel dropped since the flow's start
        input_packets_dropped_kernel: Counter, rest "packets_dropped_kernel";
        /// Bitrate of all outputs together (bits/sec)
        outputs_bitrate_bps: Gauge, rest "outputs_bitrate_bps";
        /// Packets dropped by all outputs since the flow's start
        outputs_packets_dropped: Counter, rest "outputs_packets_dropped";
        /// Average inter-arrival time of that second
        iat_avg: Nanoseconds, rest "iat_avg_us";
        /// Longest inter-arrival time of that second
        iat_max: Nanoseconds, rest "iat_max_us";
        /// PDV jitter at its end
        pdv_jitter: Nanoseconds, rest "pdv_jitter_us";
        /// Continuity counter errors since the flow's start
        tr101290_cc_errors: Counter, rest "cc_errors";
        /// PCR accuracy errors since the flow's start
        tr101290_pcr_accuracy_errors: Counter, rest "pcr_accuracy_errors";
        /// PCR discontinuity errors since the flow's start
        tr101290_pcr_discontinuity_errors: Counter, rest "pcr_discontinuity_errors";
        /// PCR repetition errors since the flow's start
        tr101290_pcr_repetition_errors: Counter, rest "pcr_repetition_errors";
        /// Largest deviation of a PCR of that second from its clock's line, in nanoseconds
        tr101290_pcr_deviation_ns: Optional, rest "pcr_deviation_ns";
    }
}

impl HistoryRecord {
    /// The second that ended at `unix_us` with the values of `flow`.
    #[must_use]
    pub const fn of(unix_us: u64, flow: &FlowRecord) -> Self {
        Self {
            unix_us,
            health: flow.health,
            input_bitrate_bps: flow.input_bitrate_bps,
            input_packets_received: flow.input_packets_received,
            input_packets_lost: flow.input_packets_lost,
            input_packets_recovered_fec: flow.input_packets_recovered_fec,
            input_redundancy_switches: flow.input_redundancy_switches,
            input_packets_dropped_kernel: flow.input_packets_dropped_kernel,
            outputs_bitrate_bps: flow.outputs_bitrate_bps,
            outputs_packets_dropped: flow.outputs_packets_dropped,
            iat_avg: flow.iat_avg,
            iat_max: flow.iat_max,
            pdv_jitter: flow.pdv_jitter,
            tr101290_cc_errors: flow.tr101290_cc_errors,
            tr101290_pcr_accuracy_errors: flow.tr101290_pcr_accuracy_errors,
            tr101290_pcr_discontinuity_errors: flow.tr101290_pcr_discontinuity_errors,
            tr101290_pcr_repetition_errors: flow.tr101290_pcr_repetition_errors,
            tr101290_pcr_deviation_ns: flow.tr101290_pcr_deviation_ns,
        }
    }
}

/// Hash of the names and the order of all rows; stands in the shared memory's header.
pub const LAYOUT_HASH: u64 = {
    let mut hash = FNV_OFFSET;
    hash = hash_table(hash, FlowRecord::FIELDS);
    hash = hash_table(hash, OutputRecord::FIELDS);
    hash = hash_table(hash, CoreRecord::FIELDS);
    hash = hash_table(hash, LegRecord::FIELDS);
    hash = hash_table(hash, SrtRecord::FIELDS);
    hash_table(hash, HistoryRecord::FIELDS)
};

const fn hash_table(mut hash: u64, fields: &[CounterInfo]) -> u64 {
    let mut row = 0;
    while row < fields.len() {
        let name = fields[row].name.as_bytes();
        let mut index = 0;
        while index < name.len() {
            hash = (hash ^ name[index] as u64).wrapping_mul(FNV_PRIME);
            index += 1;
        }
        hash = (hash ^ fields[row].kind as u64).wrapping_mul(FNV_PRIME);
        row += 1;
    }
    (hash ^ 0xff).wrapping_mul(FNV_PRIME)
}

// FNV-1a, 64 bit.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_and_fields_keep_the_same_order() {
        let mut words = [0; FlowRecord::WORDS];
        for (index, word) in words.iter_mut().enumerate() {
            *word = index as u64;
        }
        let record = FlowRecord::from_words(&words);
        assert_eq!(record.to_words(), words);
        let lost = FlowRecord::FIELDS
            .iter()
            .position(|row| row.name == "input_packets_lost");
        assert_eq!(record.input_packets_lost, lost.unwrap() as u64);
    }

    #[test]
    fn no_name_is_given_twice() {
        for table in [
            FlowRecord::FIELDS,
            OutputRecord::FIELDS,
            LegRecord::FIELDS,
            SrtRecord::FIELDS,
        ] {
            let mut names = HashSet::new();
            let mut rest = HashSet::new();
            let mut prometheus = HashSet::new();
            for row in table {
                assert!(names.insert(row.name), "{}", row.name);
                assert!(
                    row.rest.is_none_or(|path| rest.insert(path)),
                    "{}",
                    row.name
                );
                assert!(
                    row.prometheus.is_none_or(|name| prometheus.insert(name)),
                    "{}",
                    row.name
                );
            }
        }
    }
}
