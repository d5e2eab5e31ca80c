//! The text that configures and negotiates the packet filter.

use std::fmt;

/// A packet filter that both ends agree on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FilterConfig {
    /// Packets of a row, 1 to 256.
    pub columns: u16,
    /// Packets of a column, 1 to 256; without column FEC when it is 1.
    pub rows: u16,
    /// Whether rows are protected; without it, `rows` is at least 2.
    pub row_fec: bool,
    /// How columns are arranged.
    pub layout: Layout,
    /// What is done about packets that are missing.
    pub arq: ArqMode,
}

/// How columns are arranged (`layout`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Layout {
    /// All columns of a matrix start in its first row, and their FEC packets leave in a burst behind it.
    Even,
    /// Each column starts one row below its left neighbour, so that FEC packets leave evenly.
    #[default]
    Staircase,
}

/// How the filter goes together with retransmission (`arq`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ArqMode {
    /// Every packet that is missing is asked for at once.
    Always,
    /// Nothing is asked for.
    Never,
    /// Asked for is what can no longer be rebuilt.
    #[default]
    OnRequest,
}

/// What one side says of the filter: any part may be left to the other side.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FilterText {
    columns: Option<u16>,
    rows: Option<i16>,
    layout: Option<Layout>,
    arq: Option<ArqMode>,
}

/// Why a filter text is no filter, or two do not go together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The two sides say different things.
    #[error("packet_filter: {key} differs at the two ends")]
    Conflict {
        /// Which part.
        key: &'static str,
    },
    /// A key that no filter has.
    #[error("packet_filter: unknown key '{0}'")]
    Key(String),
    /// Neither side says it.
    #[error("packet_filter: cols is missing")]
    Missing,
    /// A part that is no `key:value`.
    #[error("packet_filter: '{0}' is no key:value")]
    Syntax(String),
    /// A filter that this crate does not have.
    #[error("packet_filter: unknown filter '{0}', only fec is there")]
    Type(String),
    /// A value out of bounds.
    #[error("packet_filter: {key} must be {expected}, not '{value}'")]
    Value {
        /// Which key.
        key: &'static str,
        /// What may be there.
        expected: &'static str,
        /// What is there.
        value: String,
    },
}

impl FilterText {
    /// The filter of `text`: `fec,cols:10,rows:5,layout:staircase,arq:onreq`, all but the first word optional.
    ///
    /// # Errors
    /// [`FilterError`] names the part.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parts = text.split(',').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        if kind != "fec" {
            return Err(FilterError::Type(kind.to_owned()));
        }
        let mut filter = Self::default();
        for part in parts.filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once(':') else {
                return Err(FilterError::Syntax(part.to_owned()));
            };
            let wrong = |key, expected| FilterError::Value {
                key,
                expected,
                value: value.to_owned(),
            };
            match key {
                "cols" => {
                    let columns = value.parse().ok().filter(|columns| SIZES.contains(columns));
                    filter.columns =
                        Some(columns.ok_or_else(|| wrong("cols", "a number from 1 to 256"))?);
                }
                "rows" => {
                    let rows = value
                        .parse()
                        .ok()
                        .filter(|rows: &i16| SIZES.contains(&rows.unsigned_abs()) && *rows != -1);
                    filter.rows = Some(rows.ok_or_else(|| {
                        wrong(
                            "rows",
                            "a number from 1 to 256, or from -256 to -2 for columns only",
                        )
                    })?);
                }
                "layout" => {
                    filter.layout = Some(match value {
                        "even" => Layout::Even,
                        "staircase" => Layout::Staircase,
                        _ => return Err(wrong("layout", "even or staircase")),
                    });
                }
                "arq" => {
                    filter.arq = Some(match value {
                        "always" => ArqMode::Always,
                        "never" => ArqMode::Never,
                        "onreq" => ArqMode::OnRequest,
                        _ => return Err(wrong("arq", "always, onreq or never")),
                    });
                }
                _ => return Err(FilterError::Key(key.to_owned())),
            }
        }
        Ok(filter)
    }

    /// What both sides say together.
    ///
    /// # Errors
    /// [`FilterError::Conflict`] when both say something, and not the same.
    pub fn merge(self, other: Self) -> Result<Self, FilterError> {
        Ok(Self {
            columns: either("cols", self.columns, other.columns)?,
            rows: either("rows", self.rows, other.rows)?,
            layout: either("layout", self.layout, other.layout)?,
            arq: either("arq", self.arq, other.arq)?,
        })
    }

    /// The filter, with defaults for what neither side says.
    ///
    /// # Errors
    /// [`FilterError::Missing`] without the number of columns, which has no default.
    pub fn resolve(self) -> Result<FilterConfig, FilterError> {
        let rows = self.rows.unwrap_or(1);
        Ok(FilterConfig {
            columns: self.columns.ok_or(FilterError::Missing)?,
            rows: rows.unsigned_abs(),
            row_fec: rows > 0,
            layout: self.layout.unwrap_or_default(),
            arq: self.arq.unwrap_or_default(),
        })
    }
}

impl FilterConfig {
    /// Whether columns are protected.
    #[must_use]
    pub const fn column_fec(&self) -> bool {
        self.rows > 1
    }

    /// Packets of a matrix.
    pub(super) const fn matrix(&self) -> u64 {
        self.columns as u64 * self.rows as u64
    }

    /// Number, counted from the first packet of the connection, of the first packet of `column`.
    ///
    /// In the staircase each column starts one row below the one before it; when the matrix has no more rows, the next
    /// starts in the first row again.
    pub(super) const fn column_start(&self, column: u64) -> u64 {
        match self.layout {
            Layout::Even => column,
            Layout::Staircase => column + (column % self.rows as u64) * self.columns as u64,
        }
    }
}

impl fmt::Display for FilterText {
    /// The text as [`parse`](Self::parse) reads it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("fec")?;
        if let Some(columns) = self.columns {
            write!(formatter, ",cols:{columns}")?;
        }
        if let Some(rows) = self.rows {
            write!(formatter, ",rows:{rows}")?;
        }
        if let Some(layout) = self.layout {
            write!(formatter, ",layout:{}", layout.name())?;
        }
        if let Some(arq) = self.arq {
            write!(formatter, ",arq:{}", arq.name())?;
        }
        Ok(())
    }
}

impl fmt::Display for FilterConfig {
    /// The whole text, nothing left to defaults.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.row_fec { "" } else { "-" };
        write!(
            formatter,
            "fec,cols:{},rows:{sign}{},layout:{},arq:{}",
            self.columns,
            self.rows,
            self.layout.name(),
            self.arq.name()
        )
    }
}

impl Layout {
    const fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Staircase => "staircase",
        }
    }
}

impl ArqMode {
    const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::OnRequest => "onreq",
        }
    }
}

fn either<T: PartialEq + Copy>(
    key: &'static str,
    ours: Option<T>,
    theirs: Option<T>,
) -> Result<Option<T>, FilterError> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours != theirs => Err(FilterError::Conflict { key }),
        (ours, theirs) => Ok(ours.or(theirs)),
    }
}

/// Numbers of columns and rows that a filter may have.
const SIZES: std::ops::RangeInclusive<u16> = 1..=256;

#[cfg(test)]
mod tests {
    use super::{ArqMode, FilterConfig, FilterText, Layout};

    #[test]
    fn a_full_text_reads_and_writes_the_same() {
        for text in [
            "fec,cols:10,rows:5,layout:even,arq:always",
            "fec,cols:256,rows:-256,layout:staircase,arq:never",
            "fec,cols:1,rows:1,layout:staircase,arq:onreq",
        ] {
            let filter = FilterText::parse(text).unwrap();
            assert_eq!(filter.to_string(), text);
            assert_eq!(filter.resolve().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_one_side_leaves_out_the_other_may_say() {
        let ours = FilterText::parse("fec").unwrap();
        let theirs = FilterText::parse("fec,cols:10,arq:never").unwrap();
        let expected = FilterConfig {
            columns: 10,
            rows: 1,
            row_fec: true,
            layout: Layout::Staircase,
            arq: ArqMode::Never,
        };
        assert_eq!(ours.merge(theirs).unwrap().resolve(), Ok(expected));
        let other = FilterText::parse("fec,cols:11").unwrap();
        assert_eq!(
            other.merge(theirs).unwrap_err().to_string(),
            "packet_filter: cols differs at the two ends"
        );
        assert_eq!(
            ours.resolve().unwrap_err().to_string(),
            "packet_filter: cols is missing"
        );
    }

    #[test]
    fn errors_name_the_part() {
        for (text, error) in [
            ("", "packet_filter: unknown filter '', only fec is there"),
            (
                "xor,cols:3",
                "packet_filter: unknown filter 'xor', only fec is there",
            ),
            ("fec,cols", "packet_filter: 'cols' is no key:value"),
            (
                "fec,cols:0",
                "packet_filter: cols must be a number from 1 to 256, not '0'",
            ),
            (
                "fec,cols:257",
                "packet_filter: cols must be a number from 1 to 256, not '257'",
            ),
            (
                "fec,rows:-1",
                "packet_filter: rows must be a number from 1 to 256, or from -256 to -2 for columns only, not '-1'",
            ),
            (
                "fec,layout:odd",
                "packet_filter: layout must be even or staircase, not 'odd'",
            ),
            (
                "fec,arq:",
                "packet_filter: arq must be always, onreq or never, not ''",
            ),
            ("fec,depth:3", "packet_filter: unknown key 'depth'"),
        ] {
            assert_eq!(FilterText::parse(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn columns_start_as_the_public_document_draws_them() {
        let filter = FilterText::parse("fec,cols:10,rows:5,layout:staircase")
            .unwrap()
            .resolve()
            .unwrap();
        let starts: Vec<_> = (0..10).map(|column| filter.column_start(column)).collect();
        assert_eq!(starts, [0, 11, 22, 33, 44, 5, 16, 27, 38, 49]);
    }
}
