//! What is found out about a flow's stream on its way through: TR 101 290 and arrival.
//!
//! The analysers see packets in the order in which they arrived, after what is not RTP was dropped, and never hold one
//! up. Their time is the kernel's receive time; between packets the housekeeping moves it on.

mod detail;

use bilbycast_mpegts::{Analyser, AnalyserConfig};
use bilbycast_shm_proto::counters::{ABSENT, FlowRecord};
use bilbycast_shm_proto::detail::StreamDetail;

use super::arrival::{ArrivalFigures, ArrivalMeter};
use crate::net::memory::{Packet, fetch};

/// How far ahead bytes are fetched into the cache. Analysers touch few bytes of many cache lines: waiting for those was
/// measured to be most of what they cost.
const PACKETS_AHEAD: usize = 2;

/// Number of indicators of TR 101 290 that are counted.
pub(super) const INDICATORS: usize = 19;

/// The analysers of one flow.
#[derive(Debug)]
pub struct Analysis {
    stream: Box<Analyser>,
    arrival: ArrivalMeter,
    figures: ArrivalFigures,
    pcr_deviation_ns: Option<u64>,
    restarts_seen: u64,
    tr07_mode: bool,
}

impl Analysis {
    /// Analysers that have seen nothing. `media`: elementary streams are looked into as well; `tr07_mode`: JPEG XS by VSF
    /// TR-07 is reported.
    #[must_use]
    pub fn new(media: bool, tr07_mode: bool) -> Self {
        let config = AnalyserConfig {
            media,
            ..AnalyserConfig::default()
        };
        Self {
            stream: Box::new(Analyser::new(config)),
            arrival: ArrivalMeter::default(),
            figures: ArrivalFigures::default(),
            pcr_deviation_ns: None,
            restarts_seen: 0,
            tr07_mode,
        }
    }

    /// Takes the packets of a pass, whose bytes lie in `memory`.
    pub(super) fn on_packets(&mut self, memory: &[u8], packets: &[Packet]) {
        for (index, packet) in packets.iter().enumerate() {
            if let Some(ahead) = packets.get(index + PACKETS_AHEAD) {
                fetch(memory.get(ahead.range()).unwrap_or_default());
            }
            let Some(bytes) = memory.get(packet.range()) else {
                continue;
            };
            let payload = &memory[packet.payload_range()];
            self.stream.on_payload(payload, packet.arrival_ns);
            let timestamp = (packet.header_bytes > 0)
                .then(|| bytes.get(4..8))
                .flatten()
                .and_then(|bytes| bytes.try_into().ok())
                .map(u32::from_be_bytes);
            self.arrival
                .on_packet(packet.arrival_ns, packet.bytes, timestamp);
        }
    }

    /// Moves time on to `now_ns` (CLOCK_REALTIME); `restarts` counts how often the source started anew.
    pub(super) fn tick(&mut self, now_ns: u64, restarts: u64) {
        if std::mem::replace(&mut self.restarts_seen, restarts) != restarts {
            self.arrival.on_restart();
        }
        self.stream.tick(now_ns);
    }

    /// Ends a second of the figures that are those of a second, in which `packets_lost` in all had been lost.
    pub(super) fn second(&mut self, packets_lost: u64) {
        self.figures = self.arrival.second(packets_lost);
        self.pcr_deviation_ns = self.stream.take_pcr_deviation_ns();
    }

    /// Puts what was found into a flow's record. `now_ns` is CLOCK_REALTIME.
    pub(super) fn record(&self, record: &mut FlowRecord, now_ns: u64) {
        let counters = self.stream.counters();
        let [first, second, third] = self.stream.priorities_ok(now_ns).map(u64::from);
        let jpeg_xs_pid = self.stream.jpeg_xs_pid().filter(|_| self.tr07_mode);
        let ArrivalFigures {
            iat,
            jitter_ns,
            delay_factor_us,
            media_loss_rate,
        } = self.figures;
        *record = FlowRecord {
            tr101290_packets: counters.packets,
            tr101290_pats: counters.pat_sections,
            tr101290_pmts: counters.pmt_sections,
            tr101290_sync_losses: counters.sync_losses,
            tr101290_sync_byte_errors: counters.sync_byte_errors,
            tr101290_cc_errors: counters.cc_errors,
            tr101290_pat_errors: counters.pat_errors,
            tr101290_pmt_errors: counters.pmt_errors,
            tr101290_tei_errors: counters.tei_errors,
            tr101290_pcr_discontinuity_errors: counters.pcr_discontinuity_errors,
            tr101290_pcr_accuracy_errors: counters.pcr_accuracy_errors,
            tr101290_priority1_ok: first,
            tr101290_priority2_ok: second,
            tr101290_tr07_compliant: u64::from(jpeg_xs_pid.is_some()),
            tr101290_jpeg_xs_pid: jpeg_xs_pid.map_or(ABSENT, u64::from),
            tr101290_pid_errors: counters.pid_errors,
            tr101290_crc_errors: counters.crc_errors,
            tr101290_pcr_repetition_errors: counters.pcr_repetition_errors,
            tr101290_pts_errors: counters.pts_errors,
            tr101290_cat_errors: counters.cat_errors,
            tr101290_nit_errors: counters.nit_errors,
            tr101290_si_repetition_errors: counters.si_repetition_errors,
            tr101290_unreferenced_pids: counters.unreferenced_pids,
            tr101290_sdt_errors: counters.sdt_errors,
            tr101290_eit_errors: counters.eit_errors,
            tr101290_tdt_errors: counters.tdt_errors,
            tr101290_priority3_ok: third,
            tr101290_null_packets: counters.null_packets,
            tr101290_scrambled_packets: counters.scrambled_packets,
            iat_min: iat.map_or(ABSENT, |iat| iat.min_ns),
            iat_max: iat.map_or(ABSENT, |iat| iat.max_ns),
            iat_avg: iat.map_or(ABSENT, |iat| iat.avg_ns),
            pdv_jitter: jitter_ns.unwrap_or(ABSENT),
            mdi_delay_factor_us: delay_factor_us.unwrap_or(ABSENT),
            mdi_media_loss_rate: iat.map_or(ABSENT, |_| media_loss_rate),
            tr101290_pcr_deviation_ns: self.pcr_deviation_ns.unwrap_or(ABSENT),
            ..*record
        };
    }

    /// The error counters of TR 101 290, each with its number and name.
    pub(super) fn indicators(&self) -> [(&'static str, u64); INDICATORS] {
        let counters = self.stream.counters();
        [
            ("1.1 TS_sync_loss", counters.sync_losses),
            ("1.2 Sync_byte_error", counters.sync_byte_errors),
            ("1.3 PAT_error", counters.pat_errors),
            ("1.4 Continuity_count_error", counters.cc_errors),
            ("1.5 PMT_error", counters.pmt_errors),
            ("1.6 PID_error", counters.pid_errors),
            ("2.1 Transport_error", counters.tei_errors),
            ("2.2 CRC_error", counters.crc_errors),
            ("2.3a PCR_repetition_error", counters.pcr_repetition_errors),
            (
                "2.3b PCR_discontinuity_indicator_error",
                counters.pcr_discontinuity_errors,
            ),
            ("2.4 PCR_accuracy_error", counters.pcr_accuracy_errors),
            ("2.5 PTS_error", counters.pts_errors),
            ("2.6 CAT_error", counters.cat_errors),
            ("3.1 NIT_error", counters.nit_errors),
            ("3.2 SI_repetition_error", counters.si_repetition_errors),
            ("3.4 Unreferenced_PID", counters.unreferenced_pids),
            ("3.5 SDT_error", counters.sdt_errors),
            ("3.6 EIT_error", counters.eit_errors),
            ("3.8 TDT_error", counters.tdt_errors),
        ]
    }

    /// What is in the stream. Allocates; asked for once a second.
    #[must_use]
    pub fn detail(&self) -> StreamDetail {
        detail::of(&self.stream)
    }

    /// The analyser of the transport stream.
    #[must_use]
    pub const fn stream(&self) -> &Analyser {
        &self.stream
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bilbycast_mpegts::{Pcr27MHz, TestSource, TestSourceConfig, TsPacket};
    use bilbycast_shm_proto::counters::HistoryRecord;

    use super::*;

    /// What the history says of a second of the test source in which one PCR is late by as many ticks.
    fn second(analysis: &mut Analysis, source: &mut TestSource, number: u64, late: u64) -> u64 {
        let mut packets = [0; 188 * 1_000];
        source.write(&mut packets);
        let mut late = Some(late);
        for (index, packet) in (0..).zip(packets.chunks_exact_mut(188)) {
            let bytes: &[u8; 188] = (&*packet).try_into().unwrap();
            if let Some(pcr) = TsPacket::new(bytes).pcr()
                && index > 500
                && let Some(late) = late.take()
            {
                let pcr = Pcr27MHz::from_ticks(pcr.ticks() + late);
                packet[6..12].copy_from_slice(&pcr.to_wire());
            }
            analysis
                .stream
                .on_payload(packet, (number * 1_000 + index) * 1_000_000);
        }
        analysis.second(0);
        let mut record = FlowRecord::default();
        analysis.record(&mut record, (number + 1) * 1_000_000_000);
        HistoryRecord::of(1, &record).tr101290_pcr_deviation_ns
    }

    #[test]
    fn the_largest_pcr_deviation_of_a_second_is_in_its_history() {
        // A thousand packets a second.
        let mut source = TestSource::new(&TestSourceConfig::new(1_504_000)).unwrap();
        assert!(source.packets_due(Duration::from_secs(1)).abs_diff(1_000) <= 1);
        let mut analysis = Analysis::new(true, false);
        let mut before = FlowRecord::default();
        analysis.record(&mut before, 0);
        assert_eq!(
            before.tr101290_pcr_deviation_ns, ABSENT,
            "nothing is judged"
        );
        for number in 0..4 {
            second(&mut analysis, &mut source, number, 0);
        }
        let deviation = second(&mut analysis, &mut source, 4, 54);
        assert!(deviation.abs_diff(2_000) < 100, "{deviation} ns of 2 us");
        let deviation = second(&mut analysis, &mut source, 5, 5);
        assert!(deviation.abs_diff(185) < 60, "{deviation} ns of 185 ns");
        let deviation = second(&mut analysis, &mut source, 6, 0);
        assert!(deviation < 60, "{deviation} ns of none");
    }
}
