//! When missing packets are reported (draft 4.8.2).

use crate::time::Micros;
use crate::wire::{LossRange, SeqNumber};

use super::{HELD, MISSING, ReceiveBuffer};

/// Whether missing packets are asked for; the ARQ mode of the packet filter decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reporting {
    /// Each as soon as it is found missing, or when `tolerance` later packets have come (`loss_max_ttl`).
    Immediate {
        /// Most packets by which one may be reordered before it counts as lost.
        tolerance: u32,
    },
    /// Those that the packet filter gives up.
    OnRequest,
    /// None; the acknowledgements pass over them.
    Never,
}

/// Where reporting stands.
#[derive(Debug)]
pub(super) struct LossReports {
    reporting: Reporting,
    /// Packets by which one may be reordered at present, 0 to the maximum of `reporting`.
    tolerance: u32,
    /// Packets in order since one was reordered.
    in_order: u32,
    /// Everything missing before this has been reported at least once.
    reported_to: SeqNumber,
}

impl ReceiveBuffer {
    /// Tells `sink` what has become due for its first report. Each packet of the window is looked at once.
    #[inline]
    pub fn first_reports(&mut self, now: Micros, sink: &mut impl FnMut(LossRange)) {
        if !matches!(self.losses.reporting, Reporting::Immediate { .. }) {
            return;
        }
        let due = self.end.minus(self.losses.tolerance);
        let from = self.losses.reported_to;
        let count = due.offset_from(from);
        if count <= 0 {
            return;
        }
        self.losses.reported_to = due;
        if self.missing > 0 {
            self.report(now, from, count.unsigned_abs(), None, sink);
        }
    }

    /// Tells `sink` what was last reported, or found missing, at least `interval` ago, and takes note that it is
    /// reported now.
    //= draft-sharabayko-srt 4.8.2, the periodic NAK report
    pub fn repeated_reports(
        &mut self,
        now: Micros,
        interval: Micros,
        sink: &mut impl FnMut(LossRange),
    ) {
        if self.missing > 0 {
            let count = self.end.offset_from(self.contiguous).unsigned_abs();
            self.report(now, self.contiguous, count, Some(interval), sink);
        }
    }

    /// The packet filter cannot rebuild `sequence`; whether it is to be reported now.
    pub fn release_held(&mut self, now: Micros, sequence: SeqNumber) -> bool {
        let inside = !sequence.is_before(self.start) && sequence.is_before(self.end);
        let slot = self.slot(sequence);
        if !inside || self.ring[slot].cell != HELD || self.losses.acknowledges_losses() {
            return false;
        }
        self.ring[slot].cell = MISSING;
        self.ring[slot].ticks = ticks(now);
        true
    }

    /// As [`release_held`](Self::release_held) for everything in front of the first packet that has arrived: there is
    /// just time left to ask for it.
    pub fn release_overdue(&mut self, now: Micros, sink: &mut impl FnMut(LossRange)) {
        if self.losses.reporting != Reporting::OnRequest {
            return;
        }
        let Some(first) = self.first_present else {
            return;
        };
        for offset in 0..first.offset_from(self.start).unsigned_abs() {
            let sequence = self.start.plus(offset);
            if self.release_held(now, sequence) {
                sink(LossRange {
                    first: sequence,
                    last: sequence,
                });
            }
        }
    }

    fn report(
        &mut self,
        now: Micros,
        from: SeqNumber,
        count: u32,
        interval: Option<Micros>,
        sink: &mut impl FnMut(LossRange),
    ) {
        let now = ticks(now);
        // Rounded up: a tick too early would find the retransmission still under way.
        let interval = interval.map_or(0, |interval| ticks(interval).saturating_add(1));
        let mut open: Option<LossRange> = None;
        for offset in 0..count {
            let sequence = from.plus(offset);
            let index = self.slot(sequence);
            let slot = &mut self.ring[index];
            let due = slot.cell == MISSING && now.wrapping_sub(slot.ticks) >= interval;
            if due {
                slot.ticks = now;
            }
            match (&mut open, due) {
                (Some(range), true) => range.last = sequence,
                (None, true) => {
                    open = Some(LossRange {
                        first: sequence,
                        last: sequence,
                    });
                }
                (Some(range), false) => {
                    sink(*range);
                    open = None;
                }
                (None, false) => {}
            }
        }
        if let Some(range) = open {
            sink(range);
        }
    }
}

impl LossReports {
    pub(super) const fn new(first: SeqNumber, reporting: Reporting) -> Self {
        Self {
            reporting,
            tolerance: match reporting {
                Reporting::Immediate { tolerance } => tolerance,
                Reporting::OnRequest | Reporting::Never => 0,
            },
            in_order: 0,
            reported_to: first,
        }
    }

    pub(super) const fn acknowledges_losses(&self) -> bool {
        matches!(self.reporting, Reporting::Never)
    }

    pub(super) const fn state_of_missing(&self) -> u32 {
        match self.reporting {
            Reporting::Immediate { .. } => MISSING,
            Reporting::OnRequest | Reporting::Never => HELD,
        }
    }

    pub(super) const fn start_moved(&mut self, start: SeqNumber) {
        if self.reported_to.is_before(start) {
            self.reported_to = start;
        }
    }

    /// A packet came without a gap. The tolerance shrinks while nothing is reordered.
    #[inline]
    pub(super) const fn in_order(&mut self) {
        if self.tolerance == 0 {
            return;
        }
        self.in_order += 1;
        if self.in_order >= IN_ORDER_TO_SHRINK {
            self.in_order = 0;
            self.tolerance -= 1;
        }
    }

    /// A missing packet came, `distance` before the end. One that is `original` was reordered, and the tolerance grows
    /// to cover it.
    pub(super) fn filled(&mut self, distance: u32, original: bool) {
        if original && let Reporting::Immediate { tolerance } = self.reporting {
            self.in_order = 0;
            self.tolerance = self.tolerance.max(distance).min(tolerance);
        }
    }
}

/// `time` in units of 64 us, modulo 2^32, which is 76 hours.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "modulo 2^32")]
pub(super) const fn ticks(time: Micros) -> u32 {
    (time.0 >> 6) as u32
}

/// Packets in a row without reordering after which the tolerance shrinks by one.
const IN_ORDER_TO_SHRINK: u32 = 50;
