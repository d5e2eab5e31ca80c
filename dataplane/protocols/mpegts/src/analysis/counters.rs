//! What TR 101 290 counts.

/// Counters of TR 101 290 and of the packets that were looked at. They only grow, and begin at 0 with the analyser.
///
/// Repetition errors of tables that are missing altogether count again for every further interval, so that a stream stays
/// in error as long as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transport packets that were analysed, null packets among them.
    pub packets: u64,
    /// Null packets (PID 0x1FFF).
    pub null_packets: u64,
    /// Packets with a scrambled payload.
    pub scrambled_packets: u64,
    /// Program association sections with a good CRC.
    pub pat_sections: u64,
    /// Program map sections with a good CRC.
    pub pmt_sections: u64,

    /// 1.1 TS_sync_loss.
    pub sync_losses: u64,
    /// 1.2 Sync_byte_error.
    pub sync_byte_errors: u64,
    /// 1.3.a PAT_error_2.
    pub pat_errors: u64,
    /// 1.4 Continuity_count_error.
    pub cc_errors: u64,
    /// 1.5.a PMT_error_2.
    pub pmt_errors: u64,
    /// 1.6 PID_error.
    pub pid_errors: u64,

    /// 2.1 Transport_error.
    pub tei_errors: u64,
    /// 2.2 CRC_error.
    pub crc_errors: u64,
    /// 2.3a PCR_repetition_error.
    pub pcr_repetition_errors: u64,
    /// 2.3b PCR_discontinuity_indicator_error.
    pub pcr_discontinuity_errors: u64,
    /// 2.4 PCR_accuracy_error.
    pub pcr_accuracy_errors: u64,
    /// 2.5 PTS_error.
    pub pts_errors: u64,
    /// 2.6 CAT_error.
    pub cat_errors: u64,

    /// 3.1.a NIT_actual_error.
    pub nit_errors: u64,
    /// 3.2 SI_repetition_error: sections of one sub-table closer together than 25 ms.
    pub si_repetition_errors: u64,
    /// 3.4.a Unreferenced_PID.
    pub unreferenced_pids: u64,
    /// 3.5.a SDT_actual_error.
    pub sdt_errors: u64,
    /// 3.6.a EIT_actual_error.
    pub eit_errors: u64,
    /// 3.8 TDT_error.
    pub tdt_errors: u64,
}

impl Counters {
    /// Errors of the first priority, "necessary for de-codability".
    #[must_use]
    pub const fn priority1(&self) -> u64 {
        self.sync_losses
            + self.sync_byte_errors
            + self.pat_errors
            + self.cc_errors
            + self.pmt_errors
            + self.pid_errors
    }

    /// Errors of the second priority, "recommended for continuous or periodic monitoring".
    #[must_use]
    pub const fn priority2(&self) -> u64 {
        self.tei_errors
            + self.crc_errors
            + self.pcr_repetition_errors
            + self.pcr_discontinuity_errors
            + self.pcr_accuracy_errors
            + self.pts_errors
            + self.cat_errors
    }

    /// Errors of the third priority, "application dependent monitoring".
    #[must_use]
    pub const fn priority3(&self) -> u64 {
        self.nit_errors
            + self.si_repetition_errors
            + self.unreferenced_pids
            + self.sdt_errors
            + self.eit_errors
            + self.tdt_errors
    }
}

/// What did not fit into the fixed memory of an analyser, and so was not looked at in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overflows {
    /// Packets of PIDs beyond the 384 that are kept; their continuity is not judged.
    pub untracked_packets: u64,
    /// Programmes of the PAT beyond 64, as it is now.
    pub programmes: u64,
    /// Elementary streams of the PMTs beyond 160, counted whenever a PMT changes.
    pub streams: u64,
    /// Sections that were not read because all readers or buffers were in use.
    pub sections: u64,
    /// PCRs on PIDs beyond the 32 whose clocks are kept.
    pub pcrs: u64,
}
