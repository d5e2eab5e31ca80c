//! The matrix, as the FEC packets tell it.

use super::store::WINDOW_MAX;
use crate::header::Shape;
use crate::matrix::{Matrix, Stream};

/// What the FEC packets say of the sender's matrix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Learned {
    /// L, from either stream; the column stream wins.
    pub columns: Option<u8>,
    /// D, which only the column stream tells.
    pub rows: Option<u8>,
    /// Column FEC has been seen.
    pub column_stream: bool,
    /// Row FEC has been seen.
    pub row_stream: bool,
    /// What was seen differs from what was expected.
    pub mismatch: bool,
}

/// Learns the matrix.
#[derive(Debug)]
pub(super) struct Learning {
    expected: Option<Matrix>,
    streams: [Seen; 2],
}

/// What one stream says.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    shape: Option<Shape>,
    /// Packets that said so.
    packets: u32,
    /// What the latest packets say instead, and how many of them.
    other: Option<(Shape, u32)>,
}

impl Learning {
    pub(super) fn new(expected: Option<Matrix>) -> Self {
        Self {
            expected,
            streams: [Seen::default(); 2],
        }
    }

    /// Takes note of an FEC packet whose direction bit agrees with its port.
    pub(super) fn on_fec(&mut self, stream: Stream, shape: Shape) {
        if stream == Stream::Row && shape.offset != 1 {
            return;
        }
        let seen = &mut self.streams[stream.index()];
        if seen.shape.is_none_or(|known| known == shape) {
            seen.shape = Some(shape);
            seen.packets = seen.packets.saturating_add(1);
            seen.other = None;
            return;
        }
        let times = match seen.other {
            Some((other, times)) if other == shape => times + 1,
            _ => 1,
        };
        // One packet may be broken; several alike are a sender with a new configuration.
        if times == CHANGE_PACKETS {
            *seen = Seen {
                shape: Some(shape),
                packets: times,
                other: None,
            };
        } else {
            seen.other = Some((shape, times));
        }
    }

    pub(super) fn reset(&mut self) {
        self.streams = [Seen::default(); 2];
    }

    pub(super) fn learned(&self) -> Option<Learned> {
        let column = self.shape(Stream::Column);
        let row = self.shape(Stream::Row);
        let columns = [
            column.map(|shape| shape.offset),
            row.map(|shape| shape.count),
        ];
        let rows = column.map(|shape| shape.count);
        let differs = |expected: Matrix| {
            columns
                .iter()
                .flatten()
                .any(|&columns| columns != expected.columns())
                || rows.is_some_and(|rows| rows != expected.rows())
        };
        (column.is_some() || row.is_some()).then(|| Learned {
            columns: columns[0].or(columns[1]),
            rows,
            column_stream: column.is_some(),
            row_stream: row.is_some(),
            mismatch: self.expected.is_some_and(differs),
        })
    }

    /// From a packet to the last FEC packet that may recover it, in media packets.
    pub(super) fn span_packets(&self) -> u32 {
        let matrix = |columns: u8, rows: u8| 2 * u32::from(columns) * u32::from(rows);
        if let Some(column) = self.shape(Stream::Column) {
            return matrix(column.offset, column.count);
        }
        match (self.rows_only(), self.expected) {
            (Some(columns), _) => matrix(columns, 1),
            (None, Some(expected)) => matrix(expected.columns(), expected.rows()),
            (None, None) => SPAN_MAX,
        }
    }

    /// How many media packets to keep.
    pub(super) fn window_packets(&self) -> u16 {
        u16::try_from(self.span_packets() + RESERVE_PACKETS).unwrap_or(WINDOW_MAX)
    }

    fn shape(&self, stream: Stream) -> Option<Shape> {
        self.streams[stream.index()].shape
    }

    /// L, when there have been so many rows that the largest matrix would have sent a column.
    fn rows_only(&self) -> Option<u8> {
        let row = self.streams[Stream::Row.index()];
        let columns = row.shape?.count;
        (row.packets * u32::from(columns) > SPAN_MAX).then_some(columns)
    }
}

/// What is kept beyond two matrices: FEC packets come late when a receiver takes a batch of 64 media packets before it
/// looks at the other ports, and networks reorder on top of that.
pub(super) const RESERVE_PACKETS: u32 = 128;

/// Two matrices of the largest size.
const SPAN_MAX: u32 = 2 * (Matrix::SIDE_MAX as u32) * (Matrix::SIDE_MAX as u32);

const _: () = assert!(SPAN_MAX + RESERVE_PACKETS == WINDOW_MAX as u32);

/// Packets in a row that must say the same before another matrix is believed.
const CHANGE_PACKETS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const fn shape(offset: u8, count: u8) -> Shape {
        Shape { offset, count }
    }

    #[test]
    fn nothing_seen_means_the_largest_or_the_expected_matrix() {
        assert_eq!(Learning::new(None).span_packets(), 800);
        assert_eq!(Learning::new(None).window_packets(), WINDOW_MAX);
        let expected = Matrix::new(5, 4).ok();
        assert_eq!(Learning::new(expected).span_packets(), 40);
        assert_eq!(Learning::new(expected).learned(), None);
    }

    #[test]
    fn one_broken_packet_changes_nothing_and_three_alike_do() {
        let mut learning = Learning::new(Matrix::new(5, 5).ok());
        learning.on_fec(Stream::Column, shape(5, 5));
        learning.on_fec(Stream::Row, shape(1, 5));
        assert!(!learning.learned().unwrap().mismatch);
        for _ in 0..2 {
            learning.on_fec(Stream::Column, shape(7, 6));
        }
        learning.on_fec(Stream::Column, shape(5, 5));
        for _ in 0..2 {
            learning.on_fec(Stream::Column, shape(7, 6));
            assert_eq!(learning.span_packets(), 50);
        }
        learning.on_fec(Stream::Column, shape(7, 6));
        assert_eq!(learning.span_packets(), 84);
        let learned = learning.learned().unwrap();
        assert_eq!((learned.columns, learned.rows), (Some(7), Some(6)));
        assert!(learned.mismatch);
        learning.reset();
        assert_eq!(learning.learned(), None);
    }

    #[test]
    fn rows_alone_shorten_the_wait_when_no_column_can_come_any_more() {
        let mut learning = Learning::new(None);
        for _ in 0..80 {
            learning.on_fec(Stream::Row, shape(1, 10));
            assert_eq!(learning.span_packets(), 800);
        }
        learning.on_fec(Stream::Row, shape(1, 10));
        assert_eq!(learning.span_packets(), 20);
        let learned = learning.learned().unwrap();
        assert_eq!((learned.columns, learned.rows), (Some(10), None));
        assert!(learned.row_stream && !learned.column_stream);
    }

    #[test]
    fn a_single_column_is_told_by_its_port() {
        let mut learning = Learning::new(Matrix::new(1, 10).ok());
        learning.on_fec(Stream::Column, shape(1, 10));
        let learned = learning.learned().unwrap();
        assert_eq!((learned.columns, learned.rows), (Some(1), Some(10)));
        assert!(!learned.mismatch);
    }
}
