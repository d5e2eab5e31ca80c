//! FEC packets of the sending direction.

use crate::wire::{DataHeader, KeyFlag, MessagePosition, MsgNumber, SeqNumber, SocketId};

use super::config::FilterConfig;
use super::group::Group;

/// Makes FEC packets from the packets that are sent.
///
/// Feed each packet at its first transmission, then take FEC packets until there are none: one that is not taken before
/// the next packet is fed is lost.
#[derive(Debug)]
pub struct FilterEncoder {
    config: FilterConfig,
    payload_bytes: usize,
    first: SeqNumber,
    /// The packet that is fed next, counted from the first, and its number.
    next: u64,
    next_sequence: SeqNumber,
    row: Row,
    columns: Vec<Column>,
    row_ready: bool,
    column_ready: Option<usize>,
    in_order: bool,
    packets: u64,
}

#[derive(Debug)]
struct Row {
    group: Group,
    number: u64,
    collected: u16,
}

#[derive(Debug)]
struct Column {
    group: Group,
    /// Which of the column's groups this is.
    series: u64,
    collected: u16,
}

impl FilterEncoder {
    /// An encoder for a connection whose first packet has the number `first`. Payloads, as sent, have `payload_bytes`
    /// bytes at most, and FEC packets always that many and four.
    #[must_use]
    pub fn new(config: FilterConfig, first: SeqNumber, payload_bytes: usize) -> Self {
        let columns = if config.column_fec() {
            config.columns
        } else {
            0
        };
        Self {
            config,
            payload_bytes,
            first,
            next: 0,
            next_sequence: first,
            row: Row {
                group: Group::new(payload_bytes),
                number: 0,
                collected: 0,
            },
            columns: (0..columns)
                .map(|_| Column {
                    group: Group::new(payload_bytes),
                    series: 0,
                    collected: 0,
                })
                .collect(),
            row_ready: false,
            column_ready: None,
            in_order: false,
            packets: 0,
        }
    }

    /// A packet is sent for the first time, with this header and payload. Packets come in order; those that were given
    /// up before they were sent are missing in their groups, which then get no FEC packet.
    #[inline]
    pub fn feed(&mut self, header: &DataHeader, payload: &[u8]) {
        let skipped = header.sequence.offset_from(self.next_sequence);
        if skipped < 0 || payload.len() > self.payload_bytes {
            return;
        }
        let index = self.next + u64::from(skipped.unsigned_abs());
        self.next = index + 1;
        self.next_sequence = header.sequence.next();
        self.in_order = header.in_order;
        self.row_ready = false;
        self.column_ready = None;
        let columns = u64::from(self.config.columns);
        if self.config.row_fec {
            let number = index / columns;
            let row = &mut self.row;
            if row.number != number || row.collected == self.config.columns {
                row.group.clear();
                row.number = number;
                row.collected = 0;
            }
            row.group.add_packet(header, payload);
            row.collected += 1;
            self.row_ready = row.collected == self.config.columns;
        }
        if self.config.column_fec() {
            self.feed_column(index, header, payload);
        }
    }

    /// Writes the next FEC packet to the front of `out` and returns its length: the row's first, then the column's.
    /// `None` when there is none, or when `out` is too short for it.
    pub fn poll(&mut self, destination: SocketId, out: &mut [u8]) -> Option<usize> {
        let (group, index) = if self.row_ready {
            self.row_ready = false;
            (&self.row.group, ROW_INDEX)
        } else {
            let column = self.column_ready.take()?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the wire has the low 8 bits"
            )]
            (&self.columns[column].group, column as u8)
        };
        let header = DataHeader {
            // Of the last packet of the group, which is the one that was fed last.
            sequence: self.next_sequence.previous(),
            position: MessagePosition::Single,
            in_order: self.in_order,
            key: KeyFlag::None,
            retransmitted: true,
            message: MsgNumber::FILTER,
            timestamp: group.timestamp(),
            destination,
        }
        .to_bytes();
        let (target, payload) = out.split_at_mut_checked(header.len())?;
        let length = group.write_fec(index, payload)?;
        target.copy_from_slice(&header);
        self.packets += 1;
        Some(header.len() + length)
    }

    /// Whether a FEC packet is ready.
    #[inline]
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.row_ready || self.column_ready.is_some()
    }

    /// FEC packets so far.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// The number of the connection's first packet.
    #[must_use]
    pub const fn first(&self) -> SeqNumber {
        self.first
    }

    fn feed_column(&mut self, index: u64, header: &DataHeader, payload: &[u8]) {
        let number = index % u64::from(self.config.columns);
        let Some(past_start) = index.checked_sub(self.config.column_start(number)) else {
            return;
        };
        let series = past_start / self.config.matrix();
        let Ok(position) = usize::try_from(number) else {
            return;
        };
        let column = &mut self.columns[position];
        if column.series != series || column.collected == self.config.rows {
            column.group.clear();
            column.series = series;
            column.collected = 0;
        }
        column.group.add_packet(header, payload);
        column.collected += 1;
        // The index of this column would say that the packet is a row's.
        if column.collected == self.config.rows && number != u64::from(ROW_INDEX) {
            self.column_ready = Some(position);
        }
    }
}

/// A group index that is no column.
pub(super) const ROW_INDEX: u8 = 0xff;
