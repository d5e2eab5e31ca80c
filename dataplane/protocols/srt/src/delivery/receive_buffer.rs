//! What has arrived and is not delivered yet, and what is missing in between (draft 4.6, 4.8).

use crate::time::Micros;
use crate::wire::{LossRange, SeqNumber};

use super::slab::{Cell, Slab};
use super::tsbpd::SourceTime;

mod losses;

pub use losses::Reporting;

/// Packets from the next one to deliver to the newest that arrived, with the gaps between them.
///
/// The window is fixed: what is beyond it is refused, so no sequence number costs more than the window. Each missing
/// packet carries the time of its last report, from which follows when it is reported again.
#[derive(Debug)]
pub struct ReceiveBuffer {
    slab: Slab<Meta>,
    ring: Vec<Slot>,
    /// The next packet to deliver.
    start: SeqNumber,
    /// The first packet after `start` that is missing and still expected.
    contiguous: SeqNumber,
    /// The packet after the newest one that arrived.
    end: SeqNumber,
    /// The first packet in the buffer that has arrived.
    first_present: Option<SeqNumber>,
    present: u32,
    /// Missing packets that are still expected.
    missing: u32,
    bytes: usize,
    losses: losses::LossReports,
    counts: ReceiveCounts,
}

/// State of one packet of the window.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Number of the cell, or one of the constants below.
    cell: u32,
    /// For missing packets: when they were last reported, or found missing, in units of 64 us, modulo 2^32.
    ticks: u32,
}

#[derive(Clone, Copy, Debug)]
struct Meta {
    length: u32,
    source: SourceTime,
}

/// What a packet turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// Its time of delivery has passed, or it was delivered already.
    Belated,
    /// It is there already.
    Duplicate,
    /// It was missing.
    FillsGap {
        /// How many packets after it had arrived or were missing, itself included.
        distance: u32,
    },
    /// It is newer than everything before; `gap` packets in front of it are missing.
    New {
        /// Missing packets in front of it.
        gap: u32,
    },
    /// It is beyond the window.
    NoRoom,
    /// Its payload is longer than a packet may be.
    TooLong,
}

/// A packet that can be delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub sequence: SeqNumber,
    /// Its time at the sender.
    pub source: SourceTime,
    /// Whether packets in front of it are missing and may still come.
    pub after_gap: bool,
}

/// What has happened since the start, in packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReceiveCounts {
    /// Packets that arrived in time, each once.
    pub unique: u64,
    /// Bytes of their payload.
    pub unique_bytes: u64,
    /// Packets that were found missing when a later one arrived.
    pub lost: u64,
    /// Packets that were there already.
    pub duplicate: u64,
    /// Packets that came after their time of delivery.
    pub belated: u64,
    /// Packets that were skipped at delivery: too late, given up by the far end, or not to be decrypted.
    pub skipped: u64,
    /// Packets that were beyond the window.
    pub no_room: u64,
}

impl ReceiveBuffer {
    /// An empty buffer with a window of at least `capacity` packets of `cell_bytes` bytes; `first` is the number of the
    /// first packet.
    #[must_use]
    pub fn new(capacity: u32, cell_bytes: usize, first: SeqNumber, reporting: Reporting) -> Self {
        let slots = (capacity as usize).next_power_of_two().max(32);
        Self {
            slab: Slab::new(slots, cell_bytes),
            ring: vec![Slot { cell: 0, ticks: 0 }; slots],
            start: first,
            contiguous: first,
            end: first,
            first_present: None,
            present: 0,
            missing: 0,
            bytes: 0,
            losses: losses::LossReports::new(first, reporting),
            counts: ReceiveCounts::default(),
        }
    }

    /// What would become of a packet with `sequence`: the same that [`insert`](Self::insert) answers, without the
    /// packet. For packets that need not be decrypted when they are of no use.
    #[inline]
    #[must_use]
    pub fn preview(&self, sequence: SeqNumber) -> Arrival {
        let offset = sequence.offset_from(self.start);
        if offset < 0 {
            return Arrival::Belated;
        }
        let ahead = sequence.offset_from(self.end);
        if ahead >= 0 {
            return if offset.unsigned_abs() < self.window() || self.present == 0 {
                Arrival::New {
                    gap: ahead.unsigned_abs(),
                }
            } else {
                Arrival::NoRoom
            };
        }
        if self.ring[self.slot(sequence)].cell < NOT_PRESENT {
            return Arrival::Duplicate;
        }
        Arrival::FillsGap {
            distance: ahead.unsigned_abs(),
        }
    }

    /// Puts a packet into its place; `original` when it is not a retransmission.
    #[inline]
    pub fn insert(
        &mut self,
        now: Micros,
        sequence: SeqNumber,
        source: SourceTime,
        payload: &[u8],
        original: bool,
    ) -> Arrival {
        let arrival = self.preview(sequence);
        if payload.len() > self.slab.cell_bytes() {
            return Arrival::TooLong;
        }
        match arrival {
            Arrival::New { .. } => self.extend_to(now, sequence),
            Arrival::FillsGap { distance } => {
                if self.is_expected(sequence) {
                    self.missing -= 1;
                }
                self.losses.filled(distance, original);
            }
            _ => {
                self.count(arrival);
                return arrival;
            }
        }
        if let Arrival::New { gap: 0 } = arrival {
            self.losses.in_order();
        }
        let meta = Meta {
            length: u32::try_from(payload.len()).unwrap_or(0),
            source,
        };
        // There are as many cells as the window has places, and this place is empty.
        let Some(cell) = self.slab.take(meta) else {
            return Arrival::NoRoom;
        };
        self.slab.bytes_mut(cell)[..payload.len()].copy_from_slice(payload);
        let slot = self.slot(sequence);
        self.ring[slot].cell = cell.index();
        self.present += 1;
        self.bytes += payload.len();
        self.counts.unique += 1;
        self.counts.unique_bytes += payload.len() as u64;
        if self
            .first_present
            .is_none_or(|first| sequence.is_before(first))
        {
            self.first_present = Some(sequence);
        }
        self.advance_contiguous();
        arrival
    }

    /// A packet arrived that can never be delivered: it is neither missing nor there.
    pub fn insert_unusable(&mut self, now: Micros, sequence: SeqNumber) {
        match self.preview(sequence) {
            Arrival::New { .. } => self.extend_to(now, sequence),
            Arrival::FillsGap { .. } => {}
            _ => return,
        }
        self.give_up(LossRange {
            first: sequence,
            last: sequence,
        });
    }

    /// The far end will not send `range` any more. Bounded by the window, whatever the range is.
    //= draft-sharabayko-srt 3.2.9
    pub fn drop_request(&mut self, now: Micros, range: LossRange) {
        let window_end = self.start.plus(self.window());
        if range.last.is_before(range.first)
            || range.last.is_before(self.start)
            || range.first.is_after(self.end)
        {
            return;
        }
        if !range.last.is_before(self.end) {
            if !range.last.is_before(window_end) && self.present == 0 {
                self.skip_to(range.last.next());
                return;
            }
            let last = if range.last.is_before(window_end) {
                range.last
            } else {
                window_end.previous()
            };
            if !last.is_before(self.end) {
                self.extend_to(now, last);
            }
        }
        if let Some(range) = range.within(self.start, self.end.previous()) {
            self.give_up(range);
        }
    }

    /// The next packet to deliver.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<Delivery> {
        let sequence = self.first_present?;
        let meta = self.slab.meta(self.cell(sequence));
        Some(Delivery {
            sequence,
            source: meta.source,
            after_gap: sequence.is_after(self.contiguous),
        })
    }

    /// Copies the packet of [`first`](Self::first) to the front of `out`, removes it, and gives up what is missing in
    /// front of it. Returns its length; what does not fit into `out` is cut off.
    #[inline]
    pub fn take(&mut self, out: &mut [u8]) -> Option<usize> {
        let sequence = self.first_present?;
        let cell = self.cell(sequence);
        let length = self.slab.meta(cell).length as usize;
        let copied = length.min(out.len());
        out[..copied].copy_from_slice(&self.slab.bytes(cell)[..copied]);
        self.slab.release(cell);
        self.present -= 1;
        self.bytes -= length;
        self.leave(sequence);
        self.start = sequence.next();
        if self.contiguous.is_before(self.start) {
            self.contiguous = self.start;
            self.advance_contiguous();
        }
        self.losses.start_moved(self.start);
        self.first_present = self.find_present();
        self.collapse();
        Some(copied)
    }

    /// What an acknowledgement says: the first packet that is still expected.
    #[inline]
    #[must_use]
    pub const fn acknowledge(&self) -> SeqNumber {
        if self.losses.acknowledges_losses() {
            self.end
        } else {
            self.contiguous
        }
    }

    /// Room of the window behind what [`acknowledge`](Self::acknowledge) says, in packets: what an acknowledgement
    /// tells the far end, for which everything after that is in flight.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.window() - self.acknowledge().offset_from(self.start).unsigned_abs()
    }

    /// Packets from the next one to deliver to the newest, missing ones included.
    #[must_use]
    pub const fn span(&self) -> u32 {
        self.end.offset_from(self.start).unsigned_abs()
    }

    /// Packets that are there.
    #[must_use]
    pub const fn packets(&self) -> u32 {
        self.present
    }

    /// Bytes of their payload.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packets that are missing and may still come.
    #[must_use]
    pub const fn missing(&self) -> u32 {
        self.missing
    }

    /// Time at the sender from the first to the newest packet that is there.
    #[must_use]
    pub fn source_span(&self) -> Micros {
        let newest = (0..self.span())
            .map(|back| self.end.minus(back + 1))
            .find(|sequence| self.ring[self.slot(*sequence)].cell < NOT_PRESENT);
        let span_us = self.first().zip(newest).map_or(0, |(first, newest)| {
            self.slab.meta(self.cell(newest)).source.0 - first.source.0
        });
        Micros(u64::try_from(span_us).unwrap_or(0))
    }

    /// What has happened since the start.
    #[must_use]
    pub const fn counts(&self) -> &ReceiveCounts {
        &self.counts
    }

    /// Counts a packet that was previewed and is of no use.
    pub fn count(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Belated => self.counts.belated += 1,
            Arrival::Duplicate => self.counts.duplicate += 1,
            Arrival::NoRoom => self.counts.no_room += 1,
            Arrival::FillsGap { .. } | Arrival::New { .. } | Arrival::TooLong => {}
        }
    }

    /// Makes `sequence` the newest packet, everything between missing.
    fn extend_to(&mut self, now: Micros, sequence: SeqNumber) {
        if sequence.offset_from(self.start) >= self.window().cast_signed() {
            // Beyond the window with nothing in it: the far end has gone on without us.
            self.skip_to(sequence);
        }
        let gap = sequence.offset_from(self.end).unsigned_abs();
        let missing = Slot {
            cell: self.losses.state_of_missing(),
            ticks: losses::ticks(now),
        };
        for _ in 0..gap {
            let slot = self.slot(self.end);
            self.ring[slot] = missing;
            self.end = self.end.next();
        }
        self.missing += gap;
        self.counts.lost += u64::from(gap);
        // The packet itself: its caller says what it is.
        let slot = self.slot(sequence);
        self.ring[slot].cell = GIVEN_UP;
        self.end = sequence.next();
    }

    /// Gives up everything before `sequence`, of which nothing is there.
    fn skip_to(&mut self, sequence: SeqNumber) {
        let skipped = sequence.offset_from(self.start).unsigned_abs();
        self.counts.skipped += u64::from(skipped);
        let unseen = sequence.offset_from(self.end).max(0).unsigned_abs();
        self.counts.lost += u64::from(unseen);
        self.start = sequence;
        self.contiguous = sequence;
        self.end = sequence;
        self.missing = 0;
        self.losses.start_moved(sequence);
    }

    fn give_up(&mut self, range: LossRange) {
        for offset in 0..range.count() {
            let sequence = range.first.plus(offset);
            if self.is_expected(sequence) {
                self.missing -= 1;
                let slot = self.slot(sequence);
                self.ring[slot].cell = GIVEN_UP;
            }
        }
        self.advance_contiguous();
        self.collapse();
    }

    /// Leaves everything from the start up to `sequence`: what is missing there is too late.
    fn leave(&mut self, sequence: SeqNumber) {
        for offset in 0..sequence.offset_from(self.start).unsigned_abs() {
            if self.is_expected(self.start.plus(offset)) {
                self.missing -= 1;
            }
            self.counts.skipped += 1;
        }
    }

    /// A window in which nothing is there and nothing is expected is empty.
    fn collapse(&mut self) {
        if self.present == 0 && self.missing == 0 && self.start != self.end {
            self.counts.skipped += u64::from(self.span());
            self.start = self.end;
            self.contiguous = self.end;
            self.losses.start_moved(self.end);
        }
    }

    #[inline]
    fn advance_contiguous(&mut self) {
        while self.contiguous != self.end && !self.is_expected(self.contiguous) {
            self.contiguous = self.contiguous.next();
        }
    }

    #[inline]
    fn find_present(&self) -> Option<SeqNumber> {
        if self.present == 0 {
            return None;
        }
        (0..self.span())
            .map(|offset| self.start.plus(offset))
            .find(|sequence| self.ring[self.slot(*sequence)].cell < NOT_PRESENT)
    }

    #[inline]
    fn is_expected(&self, sequence: SeqNumber) -> bool {
        let cell = self.ring[self.slot(sequence)].cell;
        cell == MISSING || cell == HELD
    }

    #[inline]
    fn cell(&self, sequence: SeqNumber) -> Cell {
        Cell::from_index(self.ring[self.slot(sequence)].cell)
    }

    #[inline]
    fn slot(&self, sequence: SeqNumber) -> usize {
        sequence.value() as usize & (self.ring.len() - 1)
    }

    #[inline]
    fn window(&self) -> u32 {
        u32::try_from(self.ring.len()).unwrap_or(u32::MAX)
    }
}

/// Cells below this number are cells; the values above it are states of packets that are not there.
const NOT_PRESENT: u32 = u32::MAX - 3;
/// Missing, to be reported.
const MISSING: u32 = u32::MAX;
/// Missing, not to be reported: the packet filter may rebuild it.
const HELD: u32 = u32::MAX - 1;
/// Not there and not expected any more; taken all the same when it comes in time.
const GIVEN_UP: u32 = u32::MAX - 2;

#[cfg(test)]
mod tests;
