//! The program clock references of one PID: TR 101 290 2.3a, 2.3b, 2.4, and the rate that they tell.

use super::counters::Counters;
use super::line::Line;
use crate::packet::{Pcr27MHz, TS_PACKET_SIZE};

/// The clock of one PID.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    last: Option<Last>,
    line: Line,
    pub(super) pcrs: u64,
    pub(super) accuracy_errors: u32,
    /// Where the bitrate is counted from.
    mark: (u64, u64),
    bitrate_bps: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    pcr: Pcr27MHz,
    /// Clock without wrap, counted from anywhere.
    ticks: u64,
    at_ns: u64,
    /// Until when its absence has been counted.
    overdue_ns: u64,
    disturbances: u64,
    position: u64,
    behind: u64,
}

/// Where and when a PCR was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) pcr: Pcr27MHz,
    /// Packets of the stream before it.
    pub(super) position: u64,
    pub(super) at_ns: u64,
    /// Packets behind it that arrived with it.
    pub(super) behind: u64,
    /// discontinuity_indicator of its packet.
    pub(super) flagged: bool,
    /// How often packets have been lost or put in so far.
    pub(super) disturbances: u64,
}

//= TR 101 290 2.3a: time interval between two consecutive PCR values more than 100 ms (40 ms before version 1.3.1).
const INTERVAL_NS_MAX: u64 = 100_000_000;

//= TR 101 290 2.3b: difference between two consecutive PCR values outside the range of 0 to 100 ms.
const STEP_TICKS_MAX: u64 = Pcr27MHz::HZ / 10;

/// A gap counts once, when it ends. A clock that does not come back is counted every two seconds.
const ABSENT_NS: u64 = 2_000_000_000;

/// The bitrate is counted over at least this many ticks: a second.
const RATE_TICKS: u64 = Pcr27MHz::HZ;

impl Clock {
    pub(super) const NEW: Self = Self {
        last: None,
        line: Line::NEW,
        pcrs: 0,
        accuracy_errors: 0,
        mark: (0, 0),
        bitrate_bps: None,
    };

    pub(super) fn push(&mut self, found: Found, counters: &mut Counters) {
        self.pcrs += 1;
        let Some(last) = self.last else {
            return self.restart(found);
        };
        let step = found.pcr.ticks_since(last.pcr);
        let interval_ns = found.at_ns.saturating_sub(last.at_ns);
        let overdue = last.overdue_ns == last.at_ns
            && interval_ns > INTERVAL_NS_MAX
            && interval_ns.saturating_sub(packing_ns(&last, &found, step)) > INTERVAL_NS_MAX;
        counters.pcr_repetition_errors += u64::from(overdue);
        if step > STEP_TICKS_MAX || found.flagged {
            counters.pcr_discontinuity_errors += u64::from(!found.flagged);
            self.finish(counters);
            return self.restart(found);
        }
        let ticks = last.ticks + step;
        let disturbed = found.disturbances != last.disturbances;
        let errors = self.line.push(found.position, ticks, disturbed);
        self.count(errors, counters);
        self.last = Some(Last {
            pcr: found.pcr,
            ticks,
            at_ns: found.at_ns,
            overdue_ns: found.at_ns,
            disturbances: found.disturbances,
            position: found.position,
            behind: found.behind,
        });
        let (position, since) = self.mark;
        if ticks - since >= RATE_TICKS {
            self.bitrate_bps = rate(found.position - position, ticks - since);
            self.mark = (found.position, ticks);
        }
    }

    /// Counts the clock as missing while packets come without it.
    pub(super) fn overdue(&mut self, newest_ns: u64, counters: &mut Counters) {
        if let Some(last) = &mut self.last {
            let absent_ns = newest_ns.saturating_sub(last.overdue_ns);
            let intervals = absent_ns.saturating_sub(1) / ABSENT_NS;
            last.overdue_ns += intervals * ABSENT_NS;
            counters.pcr_repetition_errors += intervals;
        }
    }

    /// No more PCRs come: judges those that waited for others.
    pub(super) fn finish(&mut self, counters: &mut Counters) {
        let errors = self.line.finish();
        self.count(errors, counters);
    }

    /// Bitrate of the whole stream by this clock in bits per second, over the last second or so.
    pub(super) fn bitrate_bps(&self) -> Option<u64> {
        self.bitrate_bps
    }

    /// Largest deviation of a PCR from the line of its clock in nanoseconds, of those that were judged since the last
    /// call; `None` when none was, as where the bitrate varies.
    pub(super) fn take_deviation_ns(&mut self) -> Option<u64> {
        const TICKS_PER_US: f64 = Pcr27MHz::HZ as f64 / 1e6;
        let ticks = f64::from(self.line.take_deviation()?);
        Some((ticks * 1_000.0 / TICKS_PER_US).round() as u64)
    }

    /// Arrival of the last PCR.
    pub(super) fn newest_ns(&self) -> Option<u64> {
        self.last.map(|last| last.at_ns)
    }

    /// True when the bitrate is constant and the accuracy is judged.
    pub(super) fn is_constant_bitrate(&self) -> bool {
        self.line.is_constant_bitrate()
    }

    fn restart(&mut self, found: Found) {
        let ticks = 0;
        self.last = Some(Last {
            pcr: found.pcr,
            ticks,
            at_ns: found.at_ns,
            overdue_ns: found.at_ns,
            disturbances: found.disturbances,
            position: found.position,
            behind: found.behind,
        });
        self.line.push(found.position, ticks, false);
        self.mark = (found.position, ticks);
    }

    fn count(&mut self, errors: u32, counters: &mut Counters) {
        self.accuracy_errors = self.accuracy_errors.saturating_add(errors);
        counters.pcr_accuracy_errors += u64::from(errors);
    }
}

/// How much of the interval between two arrivals comes from the datagrams: a packet waits in its datagram for those behind
/// it, each as long as a packet takes by this clock.
#[cold]
fn packing_ns(last: &Last, found: &Found, step: u64) -> u64 {
    const TICK_NS_NUMERATOR: u128 = 1_000;
    const TICK_NS_DENOMINATOR: u128 = Pcr27MHz::HZ as u128 / 1_000_000;
    let more_behind = found.behind.saturating_sub(last.behind);
    let packets = found.position.saturating_sub(last.position);
    if step > STEP_TICKS_MAX || found.flagged || packets == 0 {
        return 0;
    }
    let ticks = u128::from(more_behind) * u128::from(step) / u128::from(packets);
    u64::try_from(ticks * TICK_NS_NUMERATOR / TICK_NS_DENOMINATOR).unwrap_or(u64::MAX)
}

fn rate(packets: u64, ticks: u64) -> Option<u64> {
    let bits = u128::from(packets) * 8 * TS_PACKET_SIZE as u128;
    u64::try_from(bits * u128::from(Pcr27MHz::HZ) / u128::from(ticks)).ok()
}
