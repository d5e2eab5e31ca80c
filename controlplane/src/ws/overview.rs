//! Frames of the overview: at first all flows, then what changed.

use std::sync::OnceLock;

use bytestring::ByteString;
use serde::Serialize;

use crate::node::{DataPlane, Survey};
use crate::stats::{self, Tree};

/// One second of the overview, for all its clients.
#[derive(Debug)]
pub(crate) struct Frame {
    number: u64,
    data_plane: DataPlane,
    flows: Vec<Tree<'static>>,
    /// What changed since the frame before; absent when there is none, or it had other flows.
    changes: Option<ByteString>,
    whole: OnceLock<ByteString>,
}

#[derive(Serialize)]
struct Whole<'a> {
    number: u64,
    data_plane: &'static str,
    flows: &'a [Tree<'static>],
}

#[derive(Serialize)]
struct Changed<'a> {
    number: u64,
    data_plane: &'static str,
    changed: &'a [(usize, Tree<'a>)],
    whole: &'a [(usize, &'a Tree<'static>)],
}

impl Frame {
    /// The frame of this moment, behind `last`.
    pub(crate) fn of(survey: &Survey, last: Option<&Self>) -> Self {
        let flows = stats::overview(survey);
        let number = last.map_or(0, |last| last.number) + 1;
        let data_plane = survey.data_plane;
        let changes = last.and_then(|last| stats::changes(&last.flows, &flows));
        let changes = changes.map(|changes| {
            text(&Changed {
                number,
                data_plane: data_plane.as_str(),
                changed: &changes.changed,
                whole: &changes.whole,
            })
        });
        Self {
            number,
            data_plane,
            changes,
            flows,
            whole: OnceLock::new(),
        }
    }

    /// Which frame it is.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Its text for a client whose newest frame is number `seen`; 0: it has none.
    pub(crate) fn text(&self, seen: u64) -> ByteString {
        match &self.changes {
            Some(changes) if seen + 1 == self.number => changes.clone(),
            _ => self.whole.get_or_init(|| self.to_whole()).clone(),
        }
    }

    fn to_whole(&self) -> ByteString {
        text(&Whole {
            number: self.number,
            data_plane: self.data_plane.as_str(),
            flows: &self.flows,
        })
    }
}

fn text(frame: &impl Serialize) -> ByteString {
    serde_json::to_string(frame)
        .expect("objects with names that are texts can always be serialised")
        .into()
}
