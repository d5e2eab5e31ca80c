//! SRT's packet filter, `fec,cols:C,rows:R,layout:X,arq:Y` (configuration.md 7.1).

use serde_json::Value;

use super::super::error::{ConfigError, Problem};
use super::super::model::{SrtFecArq, SrtFecLayout, SrtPacketFilter};
use super::super::raw::Object;

pub(super) fn packet_filter(object: &mut Object) -> Result<Option<SrtPacketFilter>, ConfigError> {
    let Some(text) = object.text("packet_filter", 1..=FILTER_CHARS_MAX)? else {
        return Ok(None);
    };
    match parse(&text) {
        Ok(filter) => Ok(Some(filter)),
        Err(rule) => {
            let found = Value::from(text);
            Err(object.error("packet_filter", Problem::rule(found, rule)))
        }
    }
}

/// Longest filter, in characters (configuration.md 17).
const FILTER_CHARS_MAX: usize = 512;

/// The parts after `fec` may come in any order, each once; what is wrong is told as the rule that it breaks.
fn parse(text: &str) -> Result<SrtPacketFilter, String> {
    let mut parts = text.split(',');
    if parts.next() != Some("fec") {
        return Err("the only filter is fec: \"fec,cols:C,rows:R,layout:X,arq:Y\"".to_owned());
    }
    let (mut columns, mut rows, mut layout, mut arq) = (None, None, None, None);
    for part in parts {
        let (key, value) = part
            .split_once(':')
            .ok_or_else(|| format!("{part:?} is not \"key:value\""))?;
        let is_repeated = match key {
            "arq" => arq.replace(one_of(key, value, &ARQS)?).is_some(),
            "cols" => columns.replace(size(key, value)?).is_some(),
            "layout" => layout.replace(one_of(key, value, &LAYOUTS)?).is_some(),
            "rows" => rows.replace(size(key, value)?).is_some(),
            _ => {
                return Err(format!(
                    "{key:?} is not one of its keys: cols, rows, layout, arq"
                ));
            }
        };
        if is_repeated {
            return Err(format!("{key} is there twice"));
        }
    }
    Ok(SrtPacketFilter {
        columns: columns.ok_or("cols is missing")?,
        rows: rows.unwrap_or(1),
        layout: layout.unwrap_or_default(),
        arq: arq.unwrap_or_default(),
        text: text.to_owned(),
    })
}

const ARQS: [(&str, SrtFecArq); 3] = [
    ("always", SrtFecArq::Always),
    ("onreq", SrtFecArq::OnRequest),
    ("never", SrtFecArq::Never),
];

const LAYOUTS: [(&str, SrtFecLayout); 2] = [
    ("even", SrtFecLayout::Even),
    ("staircase", SrtFecLayout::Staircase),
];

fn size(key: &str, value: &str) -> Result<u16, String> {
    let size = value.parse().ok().filter(|size| (1..=256).contains(size));
    size.ok_or_else(|| format!("{key} is an integer from 1 to 256"))
}

fn one_of<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    match choices.iter().find(|(word, _)| *word == value) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            Err(format!("{key} is one of {}", words.join(", ")))
        }
    }
}
