//! The matrix that media packets are arranged in.

/// Columns and rows of a matrix; each 1 to [`Matrix::SIDE_MAX`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Matrix {
    columns: u8,
    rows: u8,
}

/// A matrix that nobody can have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixError {
    /// L is out of range.
    #[error("columns: {0} is not between 1 and {max}", max = Matrix::SIDE_MAX)]
    Columns(u8),
    /// D is out of range.
    #[error("rows: {0} is not between 1 and {max}", max = Matrix::SIDE_MAX)]
    Rows(u8),
}

/// Which groups of a matrix have FEC packets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dimensions {
    /// Columns only.
    Column,
    /// Columns and rows.
    ColumnAndRow,
}

/// Where the columns of one matrix start.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Layout {
    /// All in the first row, so that matrices follow one another as blocks of L * D packets.
    #[default]
    BlockAligned,
    /// Each one row below the column before it, column c with packet c * (L + 1), so that columns end one after the
    /// other and their FEC packets are spread by themselves. With L > D, a column that would start below the first
    /// matrix starts D rows further up, as often as that goes.
    Staircase,
}

/// An FEC stream, each on its own port beside the media port.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stream {
    /// Column FEC: media port + 2.
    Column,
    /// Row FEC: media port + 4.
    Row,
}

impl Matrix {
    /// Highest number of columns, and of rows.
    pub const SIDE_MAX: u8 = 20;

    /// A matrix of `columns` (L) by `rows` (D).
    ///
    /// # Errors
    ///
    /// When either is 0 or more than [`Self::SIDE_MAX`].
    pub const fn new(columns: u8, rows: u8) -> Result<Self, MatrixError> {
        if columns == 0 || columns > Self::SIDE_MAX {
            return Err(MatrixError::Columns(columns));
        }
        if rows == 0 || rows > Self::SIDE_MAX {
            return Err(MatrixError::Rows(rows));
        }
        Ok(Self { columns, rows })
    }

    /// Columns, L: packets in a row.
    #[must_use]
    pub const fn columns(self) -> u8 {
        self.columns
    }

    /// Rows, D: packets in a column.
    #[must_use]
    pub const fn rows(self) -> u8 {
        self.rows
    }

    /// Media packets of the matrix, L * D.
    #[must_use]
    pub const fn packets(self) -> u16 {
        self.columns as u16 * self.rows as u16
    }

    /// Whether the standard knows this matrix; receivers other than ours may refuse those that it does not.
    //= ST 2022-1 (ts-analysis 4): D 4-20; L 1-20 with columns only, 4-20 with rows; L * D at most 100
    #[must_use]
    pub const fn is_standard(self, dimensions: Dimensions) -> bool {
        let columns_min = match dimensions {
            Dimensions::Column => 1,
            Dimensions::ColumnAndRow => 4,
        };
        self.columns >= columns_min && self.rows >= 4 && self.packets() <= 100
    }
}

impl Stream {
    /// Offset of the stream's port from the media port.
    #[must_use]
    pub const fn port_offset(self) -> u16 {
        match self {
            Self::Column => 2,
            Self::Row => 4,
        }
    }

    /// Place of the stream in arrays such as `sequence_start`: 0 for columns, 1 for rows.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Column => 0,
            Self::Row => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_bounded() {
        assert_eq!(Matrix::new(0, 4), Err(MatrixError::Columns(0)));
        assert_eq!(Matrix::new(5, 21), Err(MatrixError::Rows(21)));
        assert_eq!(
            Matrix::new(21, 4).unwrap_err().to_string(),
            "columns: 21 is not between 1 and 20"
        );
        assert_eq!(Matrix::new(20, 20).unwrap().packets(), 400);
    }

    #[test]
    fn st2022_1_bounds() {
        let standard =
            |columns, rows, dimensions| Matrix::new(columns, rows).unwrap().is_standard(dimensions);
        assert!(standard(10, 10, Dimensions::ColumnAndRow));
        assert!(standard(1, 10, Dimensions::Column));
        assert!(!standard(1, 10, Dimensions::ColumnAndRow));
        assert!(!standard(3, 10, Dimensions::ColumnAndRow));
        assert!(!standard(5, 3, Dimensions::Column));
        assert!(!standard(20, 6, Dimensions::Column));
    }
}
