//! The legs of an input that is repaired: which of them are there, and what is told about them.

use bilbycast_hitless::{LegIndex, Merger};
use bilbycast_shm_proto::counters::{ABSENT, EndpointState, FlowRecord, LegRecord, signed};
use bilbycast_shm_proto::model::LEGS_MAX;

use super::{Notice, QUIET_NS};
use crate::flow::rate::RateMeter;
use crate::flow::repair::{Leg, Repair};
use crate::flow::srt_input::SrtInput;

/// A leg that never came is told to be missing after this long (configuration.md 7.2).
const START_NS: u64 = 15_000_000_000;

/// What is remembered of the legs between two visits.
#[derive(Debug)]
pub(super) struct LegsWatch {
    started_ns: u64,
    rates: [RateMeter; LEGS_MAX],
    /// Legs that were told to be missing.
    lost: [bool; LEGS_MAX],
    all_lost: bool,
    mismatch: [bool; LEGS_MAX],
    is_redundant: bool,
    is_skewed: bool,
    fec_mismatch: bool,
}

/// Whether a leg is there.
#[derive(Clone, Copy, Debug)]
struct Presence {
    index: LegIndex,
    is_on: bool,
    newest_ns: Option<u64>,
}

impl LegsWatch {
    pub(super) fn new(now_ns: u64) -> Self {
        Self {
            started_ns: now_ns,
            rates: [RateMeter::new(now_ns), RateMeter::new(now_ns)],
            lost: [false; LEGS_MAX],
            all_lost: false,
            mismatch: [false; LEGS_MAX],
            is_redundant: false,
            is_skewed: false,
            fec_mismatch: false,
        }
    }

    /// Takes note of the legs, tells what began or ended, and returns their records.
    pub(super) fn observe(
        &mut self,
        repair: &Repair,
        now_ns: u64,
        mut tell: impl FnMut(Notice<'static>),
    ) -> [LegRecord; LEGS_MAX] {
        let mut records = [LegRecord::default(); LEGS_MAX];
        for (leg, record) in repair.legs().iter().zip(&mut records) {
            let rate = &mut self.rates[leg.index().index()];
            rate.sample(now_ns, leg.counts().bytes);
            *record = leg_record(repair, leg, rate.bps(), now_ns);
        }
        // One leg alone is not redundant: when it is silent the flow is, and that is told as its health.
        if let [first, second] = repair.legs() {
            let legs = [first, second].map(|leg| Presence {
                index: leg.index(),
                is_on: leg.is_on(),
                newest_ns: leg.newest_ns(),
            });
            self.watch(legs, now_ns, &mut tell);
            self.watch_skew(repair.merger(), &mut tell);
        }
        self.watch_sources(repair.merger(), &mut tell);
        self.watch_fec(repair, &mut tell);
        records
    }

    /// The same for an SRT input of two legs.
    pub(super) fn observe_srt(
        &mut self,
        srt: &SrtInput,
        now_ns: u64,
        mut tell: impl FnMut(Notice<'static>),
    ) -> [LegRecord; LEGS_MAX] {
        let mut records = [LegRecord::default(); LEGS_MAX];
        for (index, record) in LegIndex::ALL.into_iter().zip(&mut records) {
            let rate = &mut self.rates[index.index()];
            rate.sample(now_ns, srt.counts()[index.index()].bytes);
            *record = srt_leg_record(srt, index, rate.bps(), now_ns);
        }
        let legs = LegIndex::ALL.map(|index| Presence {
            index,
            is_on: true,
            newest_ns: srt.newest_ns()[index.index()],
        });
        self.watch(legs, now_ns, &mut tell);
        if let Some(merger) = srt.merger() {
            self.watch_skew(merger, &mut tell);
            self.watch_sources(merger, &mut tell);
        }
        records
    }

    /// Whether one of two legs is known to be missing, or to carry something else.
    pub(super) const fn is_missing_one(&self) -> bool {
        // Packets of another source on a leg that is alone are no leg that is missing.
        self.lost[0]
            || self.lost[1]
            || (self.is_redundant && (self.mismatch[0] || self.mismatch[1]))
    }

    fn watch(
        &mut self,
        legs: [Presence; LEGS_MAX],
        now_ns: u64,
        tell: &mut impl FnMut(Notice<'static>),
    ) {
        self.is_redundant = true;
        for leg in legs {
            let lost = &mut self.lost[leg.index.index()];
            let is_lost = match leg.newest_ns {
                _ if !leg.is_on => false,
                Some(newest_ns) => now_ns.saturating_sub(newest_ns) >= QUIET_NS,
                None => *lost || now_ns.saturating_sub(self.started_ns) >= START_NS,
            };
            let number = number(leg.index);
            if is_lost && !*lost {
                tell(Notice::LegLost { leg: number });
            } else if !is_lost && *lost {
                tell(Notice::LegBack { leg: number });
            }
            *lost = is_lost;
        }
        let on = legs.into_iter().filter(|leg| leg.is_on);
        let mut lost = on.map(|leg| self.lost[leg.index.index()]);
        let all_lost = lost
            .next()
            .is_some_and(|first| first && lost.all(|lost| lost));
        if all_lost && !self.all_lost {
            tell(Notice::BothLegsLost);
        }
        self.all_lost = all_lost;
    }

    /// A leg that is too late counts as one that is in time again when there is a tenth to spare.
    fn watch_skew(&mut self, merger: &Merger, tell: &mut impl FnMut(Notice<'static>)) {
        let Some(skew) = merger.stats().skew_ns else {
            return;
        };
        let (skew_ns, path_differential_ns) = (skew.unsigned_abs(), merger.path_differential_ns());
        let leg = number(if skew > 0 {
            LegIndex::TWO
        } else {
            LegIndex::ONE
        });
        let limit_ns = if self.is_skewed {
            path_differential_ns / 10 * 9
        } else {
            path_differential_ns
        };
        let is_skewed = skew_ns > limit_ns;
        if is_skewed && !self.is_skewed {
            tell(Notice::SkewTooLarge {
                leg,
                skew_ns,
                path_differential_ns,
            });
        } else if !is_skewed && self.is_skewed {
            tell(Notice::SkewFits {
                leg,
                skew_ns,
                path_differential_ns,
            });
        }
        self.is_skewed = is_skewed;
    }

    fn watch_sources(&mut self, merger: &Merger, tell: &mut impl FnMut(Notice<'static>)) {
        let mismatch = merger.ssrc_mismatch();
        for index in LegIndex::ALL {
            let told = &mut self.mismatch[index.index()];
            let is_so = mismatch == Some(index);
            if is_so && !*told {
                tell(Notice::SsrcMismatch { leg: number(index) });
            } else if !is_so && *told {
                tell(Notice::SsrcMismatchOver { leg: number(index) });
            }
            *told = is_so;
        }
    }

    /// A matrix that differs is told once.
    fn watch_fec(&mut self, repair: &Repair, tell: &mut impl FnMut(Notice<'static>)) {
        let mut learned = repair
            .legs()
            .iter()
            .filter_map(|leg| leg.decoder()?.matrix());
        if !self.fec_mismatch
            && let Some(learned) = learned.find(|learned| learned.mismatch)
        {
            self.fec_mismatch = true;
            tell(Notice::FecMismatch {
                columns: learned.columns,
                rows: learned.rows,
            });
        }
    }
}

/// Puts what the merge and the decoders count into a flow's record.
pub(super) fn record(repair: &Repair, record: &mut FlowRecord) {
    let merger = repair.merger();
    let stats = merger.stats();
    record.input_packets_recovered_fec = stats.legs.iter().map(|leg| leg.recovered).sum();
    record.input_redundancy_switches = stats.switches;
    record.input_packets_late = stats.late;
    record.input_repair_delay = merger.delay_ns();
    record.input_leg_skew = signed(stats.skew_ns);
    let decoders = || repair.legs().iter().filter_map(Leg::decoder);
    record.input_repair_packets = decoders()
        .map(|decoder| u64::from(decoder.latency_packets()))
        .max()
        .unwrap_or(ABSENT);
    record.input_fec_packets_received = decoders()
        .map(|decoder| decoder.stats().fec_received.iter().sum::<u64>())
        .sum();
    let is_mismatch =
        decoders().any(|decoder| decoder.matrix().is_some_and(|found| found.mismatch));
    record.input_fec_mismatch = u64::from(is_mismatch);
}

fn leg_record(repair: &Repair, leg: &Leg, bitrate_bps: u64, now_ns: u64) -> LegRecord {
    let counts = leg.counts();
    let merged = &repair.merger().stats().legs[leg.index().index()];
    let state = state(leg, now_ns);
    let figures = leg.figures();
    let fec = leg.decoder().map(|decoder| *decoder.stats());
    LegRecord {
        configured: 1,
        state: state.code(),
        up: u64::from(state == EndpointState::Receiving),
        packets_received: counts.packets,
        bytes_received: counts.bytes,
        bitrate_bps,
        packets_lost: merged.lost,
        packets_recovered_fec: merged.recovered,
        packets_used: merged.used,
        packets_late: merged.late,
        packets_duplicate: merged.duplicate,
        packets_foreign: merged.foreign,
        packets_filtered: leg.filtered(),
        packets_invalid: counts.invalid,
        packets_dropped_kernel: counts.kernel.dropped,
        fec_packets_received: fec.map_or(0, |fec| fec.fec_received.iter().sum()),
        fec_packets_invalid: fec.map_or(0, |fec| fec.fec_invalid),
        fec_packets_late: fec.map_or(0, |fec| fec.fec_late),
        fec_recovered_wrong: fec.map_or(0, |fec| fec.recovered_wrong),
        fec_restarts: fec.map_or(0, |fec| fec.resets),
        ssrc_mismatch: u64::from(repair.merger().ssrc_mismatch() == Some(leg.index())),
        iat_min: figures.iat.map_or(ABSENT, |iat| iat.min_ns),
        iat_max: figures.iat.map_or(ABSENT, |iat| iat.max_ns),
        iat_avg: figures.iat.map_or(ABSENT, |iat| iat.avg_ns),
        pdv_jitter: figures.jitter_ns.unwrap_or(ABSENT),
        mdi_delay_factor_us: figures.delay_factor_us.unwrap_or(ABSENT),
        mdi_media_loss_rate: figures.iat.map_or(ABSENT, |_| figures.media_loss_rate),
    }
}

fn srt_leg_record(srt: &SrtInput, index: LegIndex, bitrate_bps: u64, now_ns: u64) -> LegRecord {
    let (Some(leg), Some(merger)) = (srt.legs().get(index.index()), srt.merger()) else {
        return LegRecord::default();
    };
    let counts = srt.counts()[index.index()];
    let merged = &merger.stats().legs[index.index()];
    let newest_ns = srt.newest_ns()[index.index()];
    let is_up = newest_ns.is_some_and(|newest_ns| now_ns.saturating_sub(newest_ns) < QUIET_NS);
    let state = match leg.state() {
        EndpointState::Receiving if !is_up => EndpointState::Connected,
        state => state,
    };
    LegRecord {
        configured: 1,
        state: state.code(),
        up: u64::from(is_up),
        packets_received: counts.packets,
        bytes_received: counts.bytes,
        bitrate_bps,
        // Raw transport stream has no numbers; there SRT knows what it gave up.
        packets_lost: if srt.is_failover() {
            leg.skipped()
        } else {
            merged.lost
        },
        packets_used: merged.used + counts.forwarded,
        packets_late: merged.late,
        packets_duplicate: merged.duplicate,
        packets_foreign: merged.foreign,
        packets_dropped_kernel: leg.kernel().dropped,
        ssrc_mismatch: u64::from(merger.ssrc_mismatch() == Some(index)),
        iat_min: ABSENT,
        iat_max: ABSENT,
        iat_avg: ABSENT,
        pdv_jitter: ABSENT,
        mdi_delay_factor_us: ABSENT,
        mdi_media_loss_rate: ABSENT,
        ..LegRecord::default()
    }
}

fn state(leg: &Leg, now_ns: u64) -> EndpointState {
    match leg.newest_ns() {
        _ if !leg.is_on() => EndpointState::Idle,
        Some(newest_ns) if now_ns.saturating_sub(newest_ns) < QUIET_NS => EndpointState::Receiving,
        _ => EndpointState::Waiting,
    }
}

/// As people count legs.
const fn number(leg: LegIndex) -> u8 {
    leg.index() as u8 + 1
}
