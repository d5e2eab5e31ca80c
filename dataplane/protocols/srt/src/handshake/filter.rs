//! Agreement on the packet filter (libsrt docs/features/packet-filtering-and-fec.md, "Configuration").

use super::RejectReason;
use crate::wire::STREAM_ID_BYTES_MAX;

/// The text of a packet filter, taken apart: `fec,key:value,...`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FilterText<'a> {
    values: [Option<&'a str>; KEYS.len()],
}

impl<'a> FilterText<'a> {
    /// The parts of `text`; `None` when it is not of that form, names another filter or key, or a value that cannot be.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > STREAM_ID_BYTES_MAX {
            return None;
        }
        let mut parts = text.split(',');
        if parts.next() != Some(FILTER) {
            return None;
        }
        let mut values = [None; KEYS.len()];
        for part in parts {
            let (key, value) = part.split_once(':')?;
            let index = KEYS.iter().position(|known| *known == key)?;
            if !is_legal(key, value) || values[index].replace(value).is_some() {
                return None;
            }
        }
        Some(Self { values })
    }

    /// Both texts in one; `None` when they contradict each other.
    fn merge(&self, other: &Self) -> Option<Self> {
        let mut values = self.values;
        for (mine, theirs) in values.iter_mut().zip(other.values) {
            match (&mine, theirs) {
                (Some(mine), Some(theirs)) if *mine != theirs => return None,
                (None, theirs) => *mine = theirs,
                _ => {}
            }
        }
        Some(Self { values })
    }

    fn to_text(&self) -> String {
        let mut text = FILTER.to_owned();
        for (key, value) in KEYS.iter().zip(self.values) {
            if let Some(value) = value {
                text.push(',');
                text.push_str(key);
                text.push(':');
                text.push_str(value);
            }
        }
        text
    }
}

/// The filter of a connection whose ends are configured with `ours` and `theirs`: where one end has a filter, the other
/// takes it over; where both have, they must not contradict each other; and the number of columns must be known.
pub(super) fn negotiate(
    ours: Option<&str>,
    theirs: Option<&str>,
) -> Result<Option<String>, RejectReason> {
    let parse = |text| FilterText::parse(text).ok_or(RejectReason::Filter);
    let filter = match (ours, theirs) {
        (None, None) => return Ok(None),
        (Some(text), None) | (None, Some(text)) => parse(text)?,
        (Some(ours), Some(theirs)) => parse(ours)?
            .merge(&parse(theirs)?)
            .ok_or(RejectReason::Filter)?,
    };
    if filter.values[0].is_none() {
        return Err(RejectReason::Filter);
    }
    Ok(Some(filter.to_text()))
}

fn is_legal(key: &str, value: &str) -> bool {
    match key {
        "cols" => (1..=SIDE_MAX).contains(&value.parse().unwrap_or(0)),
        // A negative number of rows sends columns alone.
        "rows" => {
            let rows: i32 = value.parse().unwrap_or(0);
            (1..=SIDE_MAX).contains(&rows) || (-SIDE_MAX..=-2).contains(&rows)
        }
        "layout" => matches!(value, "even" | "staircase"),
        "arq" => matches!(value, "always" | "onreq" | "never"),
        _ => false,
    }
}

const FILTER: &str = "fec";
const KEYS: [&str; 4] = ["cols", "rows", "layout", "arq"];

/// Most columns and rows, so that a far end cannot have us allocate without bound.
const SIDE_MAX: i32 = 256;
