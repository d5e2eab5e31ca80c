//! The sender's side.

mod group;

use bilbycast_rtp::{HEADER_BYTES_MIN, SeqNo, Ssrc};

use crate::header::{Fields, PROTECTED_BYTES_MAX, Shape};
use crate::matrix::{Dimensions, Layout, Matrix, Stream};
use group::Group;

/// What an [`Encoder`] makes.
#[derive(Clone, Copy, Debug)]
pub struct EncoderConfig {
    /// L and D.
    pub matrix: Matrix,
    /// Which FEC streams there are.
    pub dimensions: Dimensions,
    /// Where columns start.
    pub layout: Layout,
    /// Sequence number of the first packet of each FEC stream, at [`Stream::index`]. Should be random (RFC 3550 5.1).
    pub sequence_start: [u16; 2],
}

/// Makes the FEC packets of one media stream.
///
/// Mutator: [`push`](Self::push) takes each media packet in the order of sending and hands out what is due after it.
/// Getters: [`sent`](Self::sent), [`unprotected`](Self::unprotected).
///
/// A row's packet is due right after the last media packet of the row. A column's packet is due after its last media
/// packet in the staircase layout; in the block-aligned layout, where all columns end within one row, they are spread
/// evenly over the block that follows, one in D media packets, so that FEC never comes as a burst.
///
/// A gap in the sequence numbers, or another SSRC, ends the block at hand without FEC and starts the next one.
#[derive(Debug)]
pub struct Encoder {
    config: EncoderConfig,
    source: Option<Source>,

    // Place of the next packet.
    column: u8,
    row: u8,

    /// The row at hand.
    row_sum: Group,
    /// The columns at hand.
    columns: Box<[Group]>,
    /// Columns of the block before, of which those from `due_next` on have not been sent.
    due: Box<[Group]>,
    due_next: u8,

    sequence: [u16; 2],
    sent: u64,
    unprotected: u64,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: Ssrc,
    next: SeqNo,
    /// Packets in a row that came too late to take part.
    late_run: u32,
}

impl Encoder {
    /// An encoder that has sent nothing.
    #[must_use]
    pub fn new(config: EncoderConfig) -> Self {
        let columns = || {
            (0..config.matrix.columns())
                .map(|_| Group::new())
                .collect::<Box<[_]>>()
        };
        Self {
            source: None,
            column: 0,
            row: 0,
            row_sum: Group::new(),
            columns: columns(),
            due: match config.layout {
                Layout::BlockAligned => columns(),
                Layout::Staircase => Box::default(),
            },
            due_next: config.matrix.columns(),
            sequence: config.sequence_start,
            sent: 0,
            unprotected: 0,
            config,
        }
    }

    /// Takes the next media packet: `head` and `body` together are the RTP packet as it is sent, `head` being what the
    /// sender puts in front and possibly empty. FEC packets that are now due go to `emit` as complete RTP packets.
    pub fn push(&mut self, head: &[u8], body: &[u8], emit: &mut impl FnMut(Stream, &[u8])) {
        let Some((header, parts)) = split(head, body) else {
            self.unprotected += 1;
            return;
        };
        let sequence = SeqNo(u16::from_be_bytes([header[2], header[3]]));
        let ssrc = Ssrc(u32::from_be_bytes([
            header[8], header[9], header[10], header[11],
        ]));
        if !self.follow(ssrc, sequence) {
            self.unprotected += 1;
            return;
        }
        let length = parts[0].len() + parts[1].len();
        let protected = u16::try_from(length)
            .ok()
            .filter(|_| length <= PROTECTED_BYTES_MAX);
        let fields = protected.map(|length| Fields::of(&header, length));
        self.unprotected += u64::from(fields.is_none());

        if self.config.dimensions == Dimensions::ColumnAndRow {
            self.row_sum.add(sequence, fields.as_ref(), parts);
        }
        let column = usize::from(self.column);
        let group = &mut self.columns[column];
        if !group.is_empty() || self.row == self.config.start_row(self.column) {
            group.add(sequence, fields.as_ref(), parts);
        }
        let timestamp = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        self.send_due(timestamp, emit);
        self.step();
    }

    /// FEC packets handed out.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Media packets that take no part: not RTP, longer than [`PACKET_BYTES_MAX`](crate::PACKET_BYTES_MAX), a second
    /// time or out of order.
    #[must_use]
    pub const fn unprotected(&self) -> u64 {
        self.unprotected
    }

    /// Takes note of a packet's number; false when the packet cannot take part.
    fn follow(&mut self, ssrc: Ssrc, sequence: SeqNo) -> bool {
        let mut known_source = false;
        if let Some(source) = &mut self.source
            && source.ssrc == ssrc
        {
            known_source = true;
            let distance = sequence.distance_from(source.next);
            if distance == 0 {
                source.next = sequence.next();
                source.late_run = 0;
                return true;
            }
            if (-GAP_MAX..0).contains(&distance) && source.late_run < LATE_RUN_MAX {
                source.late_run += 1;
                return false;
            }
        }
        self.source = Some(Source {
            ssrc,
            next: sequence.next(),
            late_run: 0,
        });
        self.start_block(known_source);
        true
    }

    /// Gives the block at hand up. Columns of the block before are still good if the source is the same; receivers would
    /// mix those of another source into the new one.
    fn start_block(&mut self, keep_due: bool) {
        self.column = 0;
        self.row = 0;
        self.row_sum.clear();
        self.columns.iter_mut().for_each(Group::clear);
        if !keep_due {
            self.due_next = self.config.matrix.columns();
        }
    }

    /// Hands out what is due after the packet at (`column`, `row`).
    fn send_due(&mut self, timestamp: u32, emit: &mut impl FnMut(Stream, &[u8])) {
        let matrix = self.config.matrix;
        if self.row_sum.count() == matrix.columns() {
            let shape = Shape {
                offset: 1,
                count: matrix.columns(),
            };
            let sequence = &mut self.sequence[Stream::Row.index()];
            self.sent += self
                .row_sum
                .send(Stream::Row, sequence, timestamp, shape, emit);
        }
        let due = match self.config.layout {
            Layout::BlockAligned => {
                let packet =
                    u16::from(self.row) * u16::from(matrix.columns()) + u16::from(self.column);
                let place = usize::from(self.due_next);
                if packet < u16::from(self.due_next) * u16::from(matrix.rows()) {
                    return;
                }
                self.due_next = self.due_next.saturating_add(1).min(matrix.columns());
                self.due.get_mut(place)
            }
            Layout::Staircase => self
                .columns
                .get_mut(usize::from(self.column))
                .filter(|group| group.count() == matrix.rows()),
        };
        if let Some(group) = due {
            let shape = Shape {
                offset: matrix.columns(),
                count: matrix.rows(),
            };
            let sequence = &mut self.sequence[Stream::Column.index()];
            self.sent += group.send(Stream::Column, sequence, timestamp, shape, emit);
        }
    }

    fn step(&mut self) {
        let matrix = self.config.matrix;
        self.column += 1;
        if self.column < matrix.columns() {
            return;
        }
        self.column = 0;
        self.row += 1;
        if self.row < matrix.rows() {
            return;
        }
        self.row = 0;
        if self.config.layout == Layout::BlockAligned {
            std::mem::swap(&mut self.columns, &mut self.due);
            self.due_next = 0;
            self.columns.iter_mut().for_each(Group::clear);
        }
    }
}

impl EncoderConfig {
    /// The row that column `column` starts in.
    const fn start_row(&self, column: u8) -> u8 {
        match self.layout {
            Layout::BlockAligned => 0,
            Layout::Staircase => column % self.matrix.rows(),
        }
    }
}

/// The RTP header, and what follows it in each of the two pieces; `None` when it is not RTP version 2.
#[inline]
fn split<'a>(head: &'a [u8], body: &'a [u8]) -> Option<([u8; HEADER_BYTES_MIN], [&'a [u8]; 2])> {
    let (from_head, rest_of_head) = head.split_at(head.len().min(HEADER_BYTES_MIN));
    let (from_body, rest_of_body) = body.split_at_checked(HEADER_BYTES_MIN - from_head.len())?;
    let mut header = [0; HEADER_BYTES_MIN];
    header[..from_head.len()].copy_from_slice(from_head);
    header[from_head.len()..].copy_from_slice(from_body);
    (header[0] >> 6 == 2).then_some((header, [rest_of_head, rest_of_body]))
}

/// A jump of more than this is another stream (configuration.md 8).
const GAP_MAX: i16 = 1_000;

/// This many late packets in a row are a source that started anew a little before its old numbers.
const LATE_RUN_MAX: u32 = 64;

#[cfg(test)]
mod tests;
