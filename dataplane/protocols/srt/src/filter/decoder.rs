//! Rebuilding of missing packets from FEC packets.

use crate::delivery::BitRing;
use crate::wire::{DataHeader, MessagePosition, MsgNumber, SeqNumber, SocketId};

use super::config::{ArqMode, FilterConfig};
use super::encoder::ROW_INDEX;
use super::group::Group;

/// Collects packets and FEC packets as they arrive and rebuilds what is missing.
///
/// Hand in each datagram before it is decrypted, then take rebuilt packets until there are none; they are handled like
/// packets that arrived. Memory is fixed: three matrices, or 256 packets, and what is older is not rebuilt any more.
#[derive(Debug)]
pub struct FilterDecoder {
    config: FilterConfig,
    payload_bytes: usize,
    /// Packets from the newest one back that can still be rebuilt.
    window: u64,
    /// The packet after the newest one, counted from the first of the connection, and its number.
    end: u64,
    end_sequence: SeqNumber,
    /// Which packets of the window are there.
    there: BitRing,
    rows: Vec<Collection>,
    columns: Vec<Collection>,
    /// Groups from which a packet can be rebuilt.
    ready: Vec<GroupId>,
    /// A packet that arrived: which one, and what its header said beyond what is rebuilt.
    model: (u64, MsgNumber, bool),
    counts: FilterCounts,
}

/// A row or a column group that is being collected.
#[derive(Debug)]
struct Collection {
    group: Group,
    /// Number of the row, or of the series of the column.
    number: u64,
    collected: u16,
    fec: bool,
}

/// Which group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum GroupId {
    Row(u64),
    Column { column: u64, series: u64 },
}

/// What the filter has done since the start, in packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FilterCounts {
    /// FEC packets that arrived.
    pub received: u64,
    /// FEC packets that fit no group of the filter, or came too late.
    pub unusable: u64,
    /// Packets that were rebuilt.
    pub rebuilt: u64,
    /// Packets that were given up for retransmission (`arq:onreq`).
    pub given_up: u64,
}

impl FilterDecoder {
    /// A decoder for a connection whose first packet has the number `first` and whose payloads, as they are sent, have
    /// `payload_bytes` bytes at most.
    #[must_use]
    pub fn new(config: FilterConfig, first: SeqNumber, payload_bytes: usize) -> Self {
        let window = (3 * config.matrix()).max(WINDOW_MIN);
        // Groups reach half a window ahead, and begin and end within theirs.
        let span = window + window / 2;
        let columns = u64::from(config.columns);
        let rows = if config.row_fec {
            span / columns + 3
        } else {
            0
        };
        let column_groups = if config.column_fec() {
            (span / config.matrix() + 3) * columns
        } else {
            0
        };
        let collections = |count: u64| -> Vec<Collection> {
            (0..count)
                .map(|_| Collection {
                    group: Group::new(payload_bytes),
                    number: u64::MAX,
                    collected: 0,
                    fec: false,
                })
                .collect()
        };
        Self {
            config,
            payload_bytes,
            window,
            end: 0,
            end_sequence: first,
            there: BitRing::new(usize::try_from(2 * window).unwrap_or(usize::MAX)),
            rows: collections(rows),
            columns: collections(column_groups),
            ready: Vec::with_capacity(READY_MAX),
            model: (0, MsgNumber::FIRST, false),
            counts: FilterCounts::default(),
        }
    }

    /// A packet of the stream arrived. `lost` is told, once each, what can no longer be rebuilt, when the filter asks
    /// for retransmission of that.
    #[inline]
    pub fn packet(
        &mut self,
        header: &DataHeader,
        payload: &[u8],
        lost: &mut impl FnMut(SeqNumber),
    ) {
        if payload.len() > self.payload_bytes {
            return;
        }
        let Some(index) = self.index_of(header.sequence) else {
            return;
        };
        if index >= self.end {
            self.advance(index, lost);
        }
        self.model = (index, header.message, header.in_order);
        self.collect(index, header, payload);
    }

    /// A FEC packet arrived, with this header and payload.
    pub fn fec_packet(&mut self, header: &DataHeader, payload: &[u8]) {
        self.counts.received += 1;
        let id = self
            .index_of(header.sequence)
            .zip(payload.first())
            .filter(|(index, _)| *index < self.end + self.window / 2)
            .and_then(|(last, kind)| self.group_ending_at(last, *kind == ROW_INDEX));
        let Some(collection) = id.and_then(|id| self.collection(id)) else {
            self.counts.unusable += 1;
            return;
        };
        if collection.fec {
            return;
        }
        collection.fec = collection.group.add_fec(header.timestamp, payload);
        self.model.2 = header.in_order;
        if let Some(id) = id {
            self.check(id);
        }
    }

    /// Writes the payload of the next rebuilt packet, as it was sent, to the front of `out`; returns its header and
    /// length. Rebuilding one packet may make others possible; `lost` is as for [`packet`](Self::packet).
    pub fn poll_rebuilt(
        &mut self,
        destination: SocketId,
        out: &mut [u8],
        lost: &mut impl FnMut(SeqNumber),
    ) -> Option<(DataHeader, usize)> {
        while let Some(id) = self.ready.pop() {
            let Some(index) = self.only_missing(id) else {
                continue;
            };
            let (_, _, in_order) = self.model;
            let message = self.message_of(index);
            let sequence = self.sequence_of(index);
            let Some(collection) = self.collection(id) else {
                continue;
            };
            let rebuilt = collection
                .group
                .as_packet()
                .and_then(|(timestamp, key, payload)| {
                    let target = out.get_mut(..payload.len())?;
                    target.copy_from_slice(payload);
                    let header = DataHeader {
                        sequence,
                        position: MessagePosition::Single,
                        in_order,
                        key,
                        retransmitted: true,
                        message,
                        timestamp,
                        destination,
                    };
                    Some((header, payload.len()))
                });
            // Whatever it was, this group has given all that it can.
            collection.fec = false;
            let Some((header, length)) = rebuilt else {
                self.counts.unusable += 1;
                continue;
            };
            self.counts.rebuilt += 1;
            if index >= self.end {
                self.advance(index, lost);
            }
            self.collect(index, &header, &out[..length]);
            return Some((header, length));
        }
        None
    }

    /// What has happened since the start.
    #[must_use]
    pub const fn counts(&self) -> &FilterCounts {
        &self.counts
    }

    /// Marks packet `index` as there and adds it to its groups.
    #[inline]
    fn collect(&mut self, index: u64, header: &DataHeader, payload: &[u8]) {
        if index + self.window < self.end || !self.there.set(index) {
            return;
        }
        let columns = u64::from(self.config.columns);
        let row = GroupId::Row(index / columns);
        let column = self.column_group(index);
        for id in [Some(row), column].into_iter().flatten() {
            if let Some(collection) = self.collection(id) {
                collection.group.add_packet(header, payload);
                collection.collected += 1;
                if collection.fec {
                    self.check(id);
                }
            }
        }
    }

    /// `index` is the newest packet now.
    #[inline]
    fn advance(&mut self, index: u64, lost: &mut impl FnMut(SeqNumber)) {
        let count = index + 1 - self.end;
        self.there.clear_range(self.end, count);
        let ended_from = self
            .end
            .saturating_sub(1)
            .max(index.saturating_sub(self.window.min(ENDED_MAX)));
        let sequence = self.sequence_of(index);
        self.end = index + 1;
        self.end_sequence = sequence.next();
        if self.config.arq == ArqMode::OnRequest {
            for last in ended_from..index {
                self.end_groups(last, lost);
            }
        }
    }

    /// A packet behind `last` has arrived: what is missing in groups that end there will not be rebuilt.
    #[inline]
    fn end_groups(&mut self, last: u64, lost: &mut impl FnMut(SeqNumber)) {
        let columns = u64::from(self.config.columns);
        let rows = u64::from(self.config.rows);
        if let Some(id) = self.group_ending_at(last, false) {
            self.give_up(id, lost, |_, _| true);
        }
        let row = last / columns;
        if !self.config.column_fec() {
            if let Some(id) = self.group_ending_at(last, true) {
                self.give_up(id, lost, |_, _| true);
            }
        } else if row < rows && last % columns == columns - 1 {
            // In front of a staircase there are packets in no column: their row is all they have.
            self.give_up(GroupId::Row(row), lost, |config, index| {
                index < config.column_start(index % u64::from(config.columns))
            });
        }
    }

    fn give_up(
        &mut self,
        id: GroupId,
        lost: &mut impl FnMut(SeqNumber),
        concerns: impl Fn(&FilterConfig, u64) -> bool,
    ) {
        let size = self.size(id);
        if self
            .collection(id)
            .is_some_and(|collection| collection.collected == size)
        {
            return;
        }
        for index in self.members(id) {
            if !self.is_there(index) && concerns(&self.config, index) {
                self.counts.given_up += 1;
                lost(self.sequence_of(index));
            }
        }
    }

    #[inline]
    fn check(&mut self, id: GroupId) {
        let size = self.size(id);
        if let Some(collection) = self.collection(id)
            && collection.fec
            && collection.collected + 1 == size
            && self.ready.len() < READY_MAX
        {
            self.ready.push(id);
            // Rows first: what is pushed last is taken first.
            if let [.., before, after] = &mut self.ready[..]
                && matches!(after, GroupId::Column { .. })
                && matches!(before, GroupId::Row(_))
            {
                std::mem::swap(before, after);
            }
        }
    }

    /// The one packet of the group that is missing, if it is exactly one and the FEC packet is there.
    fn only_missing(&mut self, id: GroupId) -> Option<u64> {
        let size = self.size(id);
        let collection = self.collection(id)?;
        if !collection.fec || collection.collected + 1 != size {
            return None;
        }
        let mut missing = self.members(id).filter(|index| !self.is_there(*index));
        let index = missing.next()?;
        (missing.next().is_none() && index + self.window >= self.end).then_some(index)
    }

    /// The group, made ready for its first packet if it is new; `None` when its memory is in use for a later one, or the
    /// filter has no such groups.
    #[inline]
    fn collection(&mut self, id: GroupId) -> Option<&mut Collection> {
        let (collection, number) = match id {
            GroupId::Row(row) => {
                let slot = row.checked_rem(self.rows.len() as u64)?;
                (self.rows.get_mut(usize::try_from(slot).ok()?)?, row)
            }
            GroupId::Column { column, series } => {
                let columns = u64::from(self.config.columns);
                let slot = series.checked_rem(self.columns.len() as u64 / columns)?;
                let slot = slot * columns + column;
                (self.columns.get_mut(usize::try_from(slot).ok()?)?, series)
            }
        };
        if collection.number != number {
            if collection.number != u64::MAX && collection.number > number {
                return None;
            }
            collection.group.clear();
            collection.number = number;
            collection.collected = 0;
            collection.fec = false;
        }
        Some(collection)
    }

    /// The column group of a packet; `None` in front of a staircase.
    #[inline]
    fn column_group(&self, index: u64) -> Option<GroupId> {
        if !self.config.column_fec() {
            return None;
        }
        let column = index % u64::from(self.config.columns);
        let past_start = index.checked_sub(self.config.column_start(column))?;
        Some(GroupId::Column {
            column,
            series: past_start / self.config.matrix(),
        })
    }

    /// The group whose last packet is `last`.
    fn group_ending_at(&self, last: u64, row: bool) -> Option<GroupId> {
        let columns = u64::from(self.config.columns);
        if row {
            let ends = self.config.row_fec && last % columns == columns - 1;
            return ends.then_some(GroupId::Row(last / columns));
        }
        let id = self.column_group(last)?;
        let (first, step) = self.first_and_step(id);
        let ends = first + u64::from(self.size(id) - 1) * step == last;
        ends.then_some(id)
    }

    /// The packets of a group, in order.
    fn members(&self, id: GroupId) -> impl Iterator<Item = u64> + use<> {
        let (first, step) = self.first_and_step(id);
        (0..u64::from(self.size(id))).map(move |position| first + position * step)
    }

    /// The first packet of a group, and how far apart its packets are.
    fn first_and_step(&self, id: GroupId) -> (u64, u64) {
        let columns = u64::from(self.config.columns);
        match id {
            GroupId::Row(row) => (row * columns, 1),
            GroupId::Column { column, series } => (
                self.config.column_start(column) + series * self.config.matrix(),
                columns,
            ),
        }
    }

    const fn size(&self, id: GroupId) -> u16 {
        match id {
            GroupId::Row(_) => self.config.columns,
            GroupId::Column { .. } => self.config.rows,
        }
    }

    #[inline]
    fn is_there(&self, index: u64) -> bool {
        index < self.end && index + self.window >= self.end && self.there.get(index)
    }

    /// How many packets after the first of the connection `sequence` is.
    #[inline]
    fn index_of(&self, sequence: SeqNumber) -> Option<u64> {
        let offset = sequence.offset_from(self.end_sequence);
        self.end.checked_add_signed(i64::from(offset))
    }

    /// The message number of packet `index`: in live mode every packet is a message, so that both count alike. AES-GCM
    /// authenticates it.
    fn message_of(&self, index: u64) -> MsgNumber {
        let (known, message, _) = self.model;
        let numbers = i64::from(MsgNumber::MAX.value());
        let offset = (index.cast_signed() - known.cast_signed()) % numbers;
        let number = (i64::from(message.value()) - 1 + offset).rem_euclid(numbers) + 1;
        MsgNumber::new(u32::try_from(number).unwrap_or(1))
    }

    fn sequence_of(&self, index: u64) -> SeqNumber {
        let (after, before) = (
            index.saturating_sub(self.end),
            self.end.saturating_sub(index),
        );
        #[expect(clippy::cast_possible_truncation, reason = "within a window")]
        self.end_sequence.plus(after as u32).minus(before as u32)
    }
}

/// What is rebuilt at least, however small the matrix: reordering must not outrun it.
const WINDOW_MIN: u64 = 256;

/// Groups that end by one packet, however far it is ahead: what ends unseen is asked for when its time runs out.
const ENDED_MAX: u64 = 8_192;

/// Groups that wait for [`FilterDecoder::poll_rebuilt`]. A packet completes two at most, and each rebuilt one two more,
/// of which one is taken.
const READY_MAX: usize = 1_024;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
