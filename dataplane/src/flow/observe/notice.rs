//! What people should hear of.

use bilbycast_shm_proto::counters::Health;
use bilbycast_shm_proto::model::BandwidthLimitSpec;

use crate::srt::leg::SrtNotice;

/// Something that began or ended. Told once each time.
#[derive(Debug)]
pub enum Notice<'a> {
    /// More arrives than the flow may carry.
    BandwidthExceeded {
        /// What was agreed.
        limit: BandwidthLimitSpec,
        /// What arrives, in bits per second.
        bps: u64,
    },
    /// No longer.
    BandwidthKept {
        /// What was agreed.
        limit: BandwidthLimitSpec,
        /// What arrives, in bits per second.
        bps: u64,
    },
    /// None of the legs brings anything.
    BothLegsLost,
    /// FEC packets are of another matrix than the configured one.
    FecMismatch {
        /// L on the wire; absent while no packet has told it.
        columns: Option<u8>,
        /// D on the wire; absent while no packet has told it.
        rows: Option<u8>,
    },
    /// The flow is better or worse off than it was.
    Health {
        /// What was told last.
        before: Health,
        /// How it is.
        now: Health,
    },
    /// An indicator of TR 101 290 counts errors.
    Indicator {
        /// Its number and name.
        indicator: &'static str,
        /// Errors since the flow's start.
        errors: u64,
    },
    /// It has not for a while.
    IndicatorGood {
        /// Its number and name.
        indicator: &'static str,
        /// Errors since the flow's start.
        errors: u64,
    },
    /// Datagrams found the input socket's buffer full.
    InputOverflow {
        /// How many since the flow's start.
        datagrams: u64,
    },
    /// None has for a while.
    InputOverflowOver,
    /// A leg brings packets again.
    LegBack {
        /// 1 or 2.
        leg: u8,
    },
    /// A leg brings nothing, or never has.
    LegLost {
        /// 1 or 2.
        leg: u8,
    },
    /// The kernel or the network card cannot coalesce what this output sends.
    OutputDoesNotCoalesce {
        /// The output.
        output_id: &'a str,
    },
    /// The kernel refuses what this output sends.
    OutputFails {
        /// The output.
        output_id: &'a str,
        /// The kernel's number of the reason.
        error: i32,
    },
    /// It has not for a while.
    OutputFailsNoLonger {
        /// The output.
        output_id: &'a str,
    },
    /// Two SRT legs carry raw transport stream, which cannot be merged: one of them is forwarded.
    Failover,
    /// Something began or ended on an SRT leg.
    Srt {
        /// The output that it belongs to; absent: the input.
        output_id: Option<&'a str>,
        /// 1 or 2; absent: there is one.
        leg: Option<u8>,
        /// What.
        notice: SrtNotice,
    },
    /// A leg is so much later than the other one that what it alone brings comes too late.
    SkewTooLarge {
        /// The later leg, 1 or 2.
        leg: u8,
        /// How much later it is, in nanoseconds.
        skew_ns: u64,
        /// How much later it may be, in nanoseconds.
        path_differential_ns: u64,
    },
    /// No longer.
    SkewFits {
        /// The later leg, 1 or 2.
        leg: u8,
        /// How much later it is, in nanoseconds.
        skew_ns: u64,
        /// How much later it may be, in nanoseconds.
        path_differential_ns: u64,
    },
    /// A leg carries another source than the one in use.
    SsrcMismatch {
        /// 1 or 2.
        leg: u8,
    },
    /// No longer.
    SsrcMismatchOver {
        /// 1 or 2.
        leg: u8,
    },
}
