//! Sequence numbers and what they tell: loss, reordering, duplicates, restarts.

/// An RTP sequence number. It wraps, so it has a distance but no order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SeqNo(pub u16);

impl SeqNo {
    /// The number after this one.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// How far this number is after `earlier`, negative when it is before: the shorter way around the circle.
    #[inline]
    #[must_use]
    pub const fn distance_from(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// A synchronisation source identifier.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ssrc(pub u32);

/// How a packet arrived, by its sequence number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// The first packet, or one after a restart of the source.
    First,
    /// The number after the newest, or one further on.
    InOrder,
    /// Before the newest, and it had been missing.
    Reordered,
    /// Seen already.
    Duplicate,
    /// So late that it has been counted as lost already, or that nobody can say.
    Late,
}

/// Counts what is missing.
///
/// A packet that is missing is lost when [`WINDOW`] later numbers have come, or at the second [`settle`] after its
/// successor came, whichever is first; one that comes before that was reordered and is not lost. So a stream that ends
/// in a gap is counted too, and the count never has to be taken back.
///
/// [`settle`]: Self::settle
#[derive(Clone, Debug, Default)]
pub struct SequenceTracker {
    source: Option<Source>,
    lost: u64,
    reordered: u64,
    duplicate: u64,
    restarts: u64,
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: Ssrc,
    /// The newest number, and its extension over the wraps.
    newest: SeqNo,
    newest_ext: u64,
    /// Bit n: the number n before the newest has come.
    seen: u128,
    /// Below this extended number everything has been counted, as received or as lost.
    counted_ext: u64,
    /// What [`SequenceTracker::settle`] will count up to.
    settle_ext: u64,
    /// Late packets without a current one between them.
    late_run: u32,
}

impl SequenceTracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a packet.
    #[inline]
    pub fn on_packet(&mut self, ssrc: Ssrc, sequence: SeqNo) -> Arrival {
        let Some(source) = &mut self.source else {
            self.source = Some(Source::new(ssrc, sequence));
            return Arrival::First;
        };
        let distance = sequence.distance_from(source.newest);
        if source.ssrc != ssrc || distance.unsigned_abs() > GAP_MAX {
            return self.restart(ssrc, sequence);
        }
        match distance {
            1.. => {
                self.lost += source.advance(sequence, u64::from(distance.unsigned_abs()));
                Arrival::InOrder
            }
            _ => self.on_earlier(ssrc, sequence, u64::from(distance.unsigned_abs())),
        }
    }

    /// Counts as lost what is still missing since the call before the last one. Called at a steady pace, about every
    /// 100 ms: the time that a reordered packet is given.
    pub fn settle(&mut self) {
        if let Some(source) = &mut self.source {
            self.lost += source.count_below(source.settle_ext);
            source.settle_ext = source.newest_ext;
        }
    }

    /// Packets that never came.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Packets that came after a later one.
    #[must_use]
    pub const fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Packets that came again.
    #[must_use]
    pub const fn duplicate(&self) -> u64 {
        self.duplicate
    }

    /// How often the source started anew.
    #[must_use]
    pub const fn restarts(&self) -> u64 {
        self.restarts
    }

    fn on_earlier(&mut self, ssrc: Ssrc, sequence: SeqNo, behind: u64) -> Arrival {
        let Some(source) = &mut self.source else {
            return Arrival::First;
        };
        let ext = source.newest_ext.saturating_sub(behind);
        if behind < WINDOW && source.seen & (1 << behind) != 0 {
            self.duplicate += 1;
            return Arrival::Duplicate;
        }
        if behind < WINDOW && ext >= source.counted_ext {
            source.seen |= 1 << behind;
            source.late_run = 0;
            self.reordered += 1;
            return Arrival::Reordered;
        }
        source.late_run += 1;
        if source.late_run >= LATE_RUN_MAX {
            return self.restart(ssrc, sequence);
        }
        self.reordered += 1;
        Arrival::Late
    }

    fn restart(&mut self, ssrc: Ssrc, sequence: SeqNo) -> Arrival {
        if let Some(source) = &mut self.source {
            self.lost += source.count_below(source.newest_ext);
        }
        self.source = Some(Source::new(ssrc, sequence));
        self.restarts += 1;
        Arrival::First
    }
}

impl Source {
    const fn new(ssrc: Ssrc, sequence: SeqNo) -> Self {
        // Starts one turn up, so that a packet before the first one has an extended number too.
        let newest_ext = (1 << 16) + sequence.0 as u64;
        Self {
            ssrc,
            newest: sequence,
            newest_ext,
            seen: 1,
            counted_ext: newest_ext,
            settle_ext: newest_ext,
            late_run: 0,
        }
    }

    /// Moves the newest number on and returns how many numbers that leave the window were lost.
    #[inline]
    fn advance(&mut self, sequence: SeqNo, by: u64) -> u64 {
        let newest_ext = self.newest_ext + by;
        let window_start = (newest_ext + 1).saturating_sub(WINDOW);
        // Numbers after the old newest one that the window skips altogether can no longer be told from lost ones.
        let skipped = window_start.saturating_sub(self.newest_ext + 1);
        let lost = self.count_below(window_start.min(self.newest_ext + 1)) + skipped;
        self.counted_ext = self.counted_ext.max(window_start);
        self.seen = if by < WINDOW { self.seen << by | 1 } else { 1 };
        self.newest = sequence;
        self.newest_ext = newest_ext;
        self.late_run = 0;
        lost
    }

    /// Counts what is missing below `end_ext`, once.
    #[inline]
    fn count_below(&mut self, end_ext: u64) -> u64 {
        let mut lost = 0;
        while self.counted_ext < end_ext {
            let behind = self.newest_ext - self.counted_ext;
            if behind >= WINDOW || self.seen & (1 << behind) == 0 {
                lost += 1;
            }
            self.counted_ext += 1;
        }
        lost
    }
}

/// How many numbers back a packet is still recognised: the bits of `Source::seen`.
const WINDOW: u64 = 128;

/// A jump of more than this is a restart of the source, not loss (configuration.md 8).
const GAP_MAX: u16 = 1_000;

/// This many late packets in a row are a source that started anew a little before its old numbers.
const LATE_RUN_MAX: u32 = 64;

#[cfg(test)]
mod tests;
