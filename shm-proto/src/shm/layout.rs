//! Where everything lies in the shared memory, in 64-bit words.

use std::ops::Range;

use super::ring::Ring;
use crate::counters::{CoreRecord, FlowRecord, HistoryRecord, LegRecord, OutputRecord, SrtRecord};
use crate::model::{ID_BYTES_MAX, LEGS_MAX};

/// Raised when the arrangement changes in a way that [`crate::counters::LAYOUT_HASH`] does not show.
pub const LAYOUT_VERSION: u64 = 5;

/// Marks the file: `bilbyshm`, read as a little-endian number.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"bilbyshm");

/// Flows that one core can carry. 1,000 is the goal for one core (architecture.md), with a margin.
pub const FLOW_SLOTS: usize = 1_280;

/// Outputs that one core can carry: three for each flow, with a margin for flows with many.
pub const OUTPUT_SLOTS: usize = 4_096;

/// Events that each part remembers.
pub const EVENT_ENTRIES: usize = 1_024;

/// Fewest seconds of history, over all flows of a core: 16 flows for 8 minutes.
pub const HISTORY_ENTRIES_MIN: usize = 8_192;

/// Seconds of history over all flows of the node: 100 flows for 10 minutes, 1,000 for one minute.
const HISTORY_ENTRIES_NODE: usize = 65_536;

/// Most packet cores: the boxes that this is built for have 64.
const CORES_MAX: usize = 256;

/// Words of the header.
pub(super) const HEADER_WORDS: usize = 64;

/// Words of a flow or output id.
pub(super) const ID_WORDS: usize = ID_BYTES_MAX / 8;

/// Words in front of a flow's record: sequence, generation, length of the id, id.
pub(super) const FLOW_HEAD_WORDS: usize = 3 + ID_WORDS;

/// Words in front of an output's record: sequence, generation, flow slot, flow generation, length of the id, id.
pub(super) const OUTPUT_HEAD_WORDS: usize = 5 + ID_WORDS;

/// Words of the legs of an input, behind a flow's record.
pub(super) const LEGS_WORDS: usize = LEGS_MAX * LegRecord::WORDS;

/// Words of the SRT legs, behind an output's record and behind the legs of an input.
pub(super) const SRT_WORDS: usize = LEGS_MAX * SrtRecord::WORDS;

/// Words of a history entry's payload: hash of the flow's id, record.
pub(super) const HISTORY_WORDS: usize = 1 + HistoryRecord::WORDS;

/// Words of a flow's detail: sequence, generation of the flow, length of its JSON, JSON.
const DETAIL_WORDS: usize = 6_144;

/// Words in front of the JSON of a flow's detail.
pub(super) const DETAIL_HEAD_WORDS: usize = 3;

/// Longest JSON of a flow's detail, in bytes: a hundred PIDs and more, or the 256 callers of an SRT output. Pages that
/// nobody writes take no memory.
pub const DETAIL_BYTES_MAX: usize = 8 * (DETAIL_WORDS - DETAIL_HEAD_WORDS);

/// Words of an event entry's payload: length of its JSON, JSON.
pub(super) const EVENT_WORDS: usize = 126;

/// Longest JSON of an event, in bytes.
pub(super) const EVENT_BYTES_MAX: usize = 8 * (EVENT_WORDS - 1);

/// Index of each word of the header.
pub(super) mod header {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    pub(crate) const HASH: usize = 2;
    pub(crate) const BOOT_ID: usize = 3;
    pub(crate) const PID: usize = 4;
    pub(crate) const CORES: usize = 5;
    pub(crate) const HISTORY_ENTRIES: usize = 6;
    pub(crate) const WORDS: usize = 7;
    pub(crate) const STARTED_UNIX_US: usize = 8;
    /// CLOCK_MONOTONIC of the control thread's newest sign of life, in nanoseconds.
    pub(crate) const HEARTBEAT_NS: usize = 9;
}

/// Index of each word at the start of a core's part.
pub(super) mod core_head {
    /// Flow slots below this index have been used.
    pub(crate) const FLOWS_USED: usize = 0;
    /// Output slots below this index have been used.
    pub(crate) const OUTPUTS_USED: usize = 1;
    /// Sequence of the core's record.
    pub(crate) const SEQUENCE: usize = 2;
    pub(crate) const RECORD: usize = 3;
}

/// The arrangement for a number of cores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layout {
    cores: usize,
    history_entries: usize,
}

impl Layout {
    /// The arrangement for `cores` packet cores; `None` when there are none or too many.
    #[must_use]
    pub fn new(cores: usize) -> Option<Self> {
        // Twice the fair share, for flows may sit unevenly.
        let fair = HISTORY_ENTRIES_NODE * 2 / cores.max(1);
        let history_entries = fair.clamp(HISTORY_ENTRIES_MIN, HISTORY_ENTRIES_NODE);
        Self::with_history(cores, history_entries)
    }

    /// The arrangement that a header describes; `None` when the numbers make no sense.
    pub(super) fn with_history(cores: usize, history_entries: usize) -> Option<Self> {
        let sane = (1..=CORES_MAX).contains(&cores)
            && (HISTORY_ENTRIES_MIN..=HISTORY_ENTRIES_NODE).contains(&history_entries);
        sane.then_some(Self {
            cores,
            history_entries,
        })
    }

    /// Number of packet cores.
    #[must_use]
    pub const fn cores(&self) -> usize {
        self.cores
    }

    /// Seconds of history that each core keeps, over all its flows.
    #[must_use]
    pub const fn history_entries(&self) -> usize {
        self.history_entries
    }

    /// Size of the whole, in words.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.core_start(self.cores)
    }

    /// Size of the whole, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        8 * self.words()
    }

    /// The event ring of the control thread.
    pub(super) const fn control_events(&self) -> Range<usize> {
        HEADER_WORDS..HEADER_WORDS + EVENT_RING_WORDS
    }

    /// The counters of slots used, and the core's record.
    pub(super) const fn core_head(&self, core: usize) -> Range<usize> {
        let start = self.core_start(core);
        start..start + CORE_HEAD_WORDS
    }

    /// One flow slot.
    pub(super) const fn flow(&self, core: usize, slot: usize) -> Range<usize> {
        let start = self.core_start(core) + CORE_HEAD_WORDS + slot * FLOW_SLOT_WORDS;
        start..start + FLOW_SLOT_WORDS
    }

    /// One output slot.
    pub(super) const fn output(&self, core: usize, slot: usize) -> Range<usize> {
        let start = self.flow(core, FLOW_SLOTS).start + slot * OUTPUT_SLOT_WORDS;
        start..start + OUTPUT_SLOT_WORDS
    }

    /// The detail of a flow.
    pub(super) const fn detail(&self, core: usize, slot: usize) -> Range<usize> {
        let start = self.output(core, OUTPUT_SLOTS).start + slot * DETAIL_WORDS;
        start..start + DETAIL_WORDS
    }

    /// The history ring of a core.
    pub(super) const fn history(&self, core: usize) -> Range<usize> {
        let start = self.detail(core, FLOW_SLOTS).start;
        start..start + Ring::words(self.history_entries, HISTORY_WORDS)
    }

    /// The event ring of a core.
    pub(super) const fn core_events(&self, core: usize) -> Range<usize> {
        let start = self.history(core).end;
        start..start + EVENT_RING_WORDS
    }

    const fn core_start(&self, core: usize) -> usize {
        let part = CORE_HEAD_WORDS
            + FLOW_SLOTS * FLOW_SLOT_WORDS
            + OUTPUT_SLOTS * OUTPUT_SLOT_WORDS
            + FLOW_SLOTS * DETAIL_WORDS
            + Ring::words(self.history_entries, HISTORY_WORDS)
            + EVENT_RING_WORDS;
        // Two cores never share a page, let alone a cache line.
        let part = part.next_multiple_of(PAGE_WORDS);
        (HEADER_WORDS + EVENT_RING_WORDS).next_multiple_of(PAGE_WORDS) + core * part
    }
}

const CORE_HEAD_WORDS: usize = core_head::RECORD + CoreRecord::WORDS;
const FLOW_SLOT_WORDS: usize =
    (FLOW_HEAD_WORDS + FlowRecord::WORDS + LEGS_WORDS + SRT_WORDS).next_multiple_of(LINE_WORDS);
const OUTPUT_SLOT_WORDS: usize =
    (OUTPUT_HEAD_WORDS + OutputRecord::WORDS + SRT_WORDS).next_multiple_of(LINE_WORDS);
const EVENT_RING_WORDS: usize = Ring::words(EVENT_ENTRIES, EVENT_WORDS);
/// A cache line of 64 bytes.
const LINE_WORDS: usize = 8;
/// A page of 4 KiB.
const PAGE_WORDS: usize = 512;

/// Hash of an id, FNV-1a: finds a flow's seconds in the history ring, over restarts of the flow too.
pub(super) fn id_hash(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_overlap() {
        for cores in [1, 2, 64] {
            let layout = Layout::new(cores).unwrap();
            let mut end = layout.control_events().end;
            for core in 0..cores {
                let parts = [
                    layout.core_head(core),
                    layout.flow(core, 0),
                    layout.flow(core, FLOW_SLOTS - 1),
                    layout.output(core, 0),
                    layout.output(core, OUTPUT_SLOTS - 1),
                    layout.detail(core, 0),
                    layout.detail(core, FLOW_SLOTS - 1),
                    layout.history(core),
                    layout.core_events(core),
                ];
                for part in parts {
                    assert!(part.start >= end, "{part:?} starts before {end}");
                    end = part.end;
                }
            }
            assert!(end <= layout.words());
        }
    }

    #[test]
    fn history_is_as_long_as_promised() {
        assert!(Layout::new(1).unwrap().history_entries() >= 100 * 300);
        assert!(Layout::new(1).unwrap().history_entries() >= 1_000 * 60);
        assert!(Layout::new(0).is_none());
        assert!(Layout::new(10_000).is_none());
    }
}
