//! Whether a packet belongs to the source in use, and where.

use bilbycast_rtp::RtpView;

use super::{Merger, Origin};
use crate::leg::{GAP_MAX, LegIndex};
use crate::timeline::Instant;

/// What a packet is, by its extended number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// A copy of one that is held or was given out.
    Copy(u64),
    /// Of the SSRC in use, but too far ahead to be held or to be believed, while another leg goes on.
    Distant,
    /// Of another SSRC, while the one in use goes on.
    Foreign,
    /// Its number has been passed over, or another packet has it.
    Late(u64),
    /// One to be held.
    New(u64),
    /// The first one of a source.
    Start,
}

impl Merger {
    #[inline]
    pub(super) fn judge(
        &self,
        leg: LegIndex,
        origin: Origin,
        at: Instant,
        view: &RtpView<'_>,
    ) -> Verdict {
        let sequence = view.sequence();
        // A repair continues a source and never begins one.
        let may_start =
            |judge: &Self| origin == Origin::Received && !judge.is_carried_by_another(leg, at);
        if self.ssrc != Some(view.ssrc()) {
            return if may_start(self) && !self.is_strange(leg, at, view) {
                Verdict::Start
            } else {
                Verdict::Foreign
            };
        }
        let distance = sequence.distance_from(self.newest);
        let ext = self.newest_ext.saturating_add_signed(distance.into());
        if i32::from(distance) > i32::from(GAP_MAX) {
            if may_start(self) {
                return Verdict::Start;
            }
            // The earlier leg is back while the later one went on, or the source started anew and this leg tells first. One
            // packet alone may be a wrong one, which would say of all before it that they are due.
            //= RFC 3550 A.1: "Two sequential packets -- assume that the other side restarted without telling us"
            let is_likely = origin == Origin::Received
                && self.legs[leg.index()].is_next_distant(sequence)
                && ext.saturating_sub(self.next) < self.span_max();
            return if is_likely {
                Verdict::New(ext)
            } else {
                Verdict::Distant
            };
        }
        // Numbers below belong to the source before, even if they are still held.
        if ext >= self.start_ext {
            match self.ring.get(ext) {
                // A source that started anew a little before its old numbers has other timestamps.
                Some(slot) if slot.timestamp == view.timestamp() => return Verdict::Copy(ext),
                None if ext >= self.next || ext >= self.floor_ext => return Verdict::New(ext),
                Some(_) | None => {}
            }
        }
        if self.legs[leg.index()].has_left(sequence) && may_start(self) {
            Verdict::Start
        } else {
            Verdict::Late(ext)
        }
    }

    /// Whether another leg than this one brings the source in use.
    fn is_carried_by_another(&self, leg: LegIndex, now: Instant) -> bool {
        let silence_ns = self.config.path_differential_ns.saturating_add(SILENCE_NS);
        self.config.legs > 1 && self.legs[leg.other().index()].carries(now, silence_ns)
    }

    /// Whether a packet of another SSRC than the one in use is somebody else's: its leg goes on, and no other leg has gone
    /// over to that SSRC.
    fn is_strange(&self, leg: LegIndex, now: Instant, view: &RtpView<'_>) -> bool {
        let state = &self.legs[leg.index()];
        state.is_strange(now, SILENCE_NS, view.ssrc(), view.sequence())
            && !self.legs[leg.other().index()].has_gone_to(now, SILENCE_NS, view.ssrc())
    }
}

/// A leg that has been silent for longer than this and the path differential carries nothing.
const SILENCE_NS: u64 = 100_000_000;
