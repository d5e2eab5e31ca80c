//! The reading side: maps the file read-only and copies whole records out of it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::layout::{
    DETAIL_BYTES_MAX, DETAIL_HEAD_WORDS, EVENT_WORDS, FLOW_HEAD_WORDS, FLOW_SLOTS, HEADER_WORDS,
    HISTORY_WORDS, ID_WORDS, LAYOUT_VERSION, LEGS_WORDS, Layout, MAGIC, OUTPUT_HEAD_WORDS,
    OUTPUT_SLOTS, SRT_WORDS, core_head, header, id_hash,
};
use super::map::ReadMap;
use super::ring::{Entry, Ring};
use super::seqlock;
use super::writer::FREE;
use crate::control::BootId;
use crate::counters::{
    CoreRecord, FlowRecord, HistoryRecord, LAYOUT_HASH, LegRecord, OutputRecord, SrtRecord,
};
use crate::detail::StreamDetail;
use crate::event::Event;
use crate::model::{ID_BYTES_MAX, LEGS_MAX};
use crate::sync::{AtomicU64, Ordering};

/// Why the shared memory cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShmError {
    /// The file is not there, or may not be read.
    #[error("shared memory {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is something else, or damaged.
    #[error("shared memory {path}: {what} is {found:#x}, expected {expected:#x}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The field of the header.
        what: &'static str,
        /// What stands there.
        found: u64,
        /// What should.
        expected: u64,
    },
}

/// A read-only view of one run of the data plane.
#[derive(Debug)]
pub struct ShmReader {
    map: ReadMap,
    layout: Layout,
}

/// Newest values of one flow and its outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSnapshot {
    /// The flow.
    pub flow_id: String,
    /// Index of its packet core.
    pub core: usize,
    /// Its slot there.
    pub slot: usize,
    /// Which use of the slot this is.
    pub generation: u64,
    /// Flow and input.
    pub record: FlowRecord,
    /// Legs of an input that is repaired, leg 1 first.
    pub legs: [Option<LegRecord>; LEGS_MAX],
    /// Legs of an SRT input, leg 1 first.
    pub srt: [Option<SrtRecord>; LEGS_MAX],
    /// Its outputs, in no particular order.
    pub outputs: Vec<OutputSnapshot>,
}

/// Newest values of one output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSnapshot {
    /// The output.
    pub output_id: String,
    /// Its values.
    pub record: OutputRecord,
    /// Legs of an SRT output, leg 1 first.
    pub srt: [Option<SrtRecord>; LEGS_MAX],
}

/// Newest values of one packet core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoreSnapshot {
    /// Index of the core.
    pub core: usize,
    /// Its values.
    pub record: CoreRecord,
}

/// How far a reader has followed the event rings.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EventCursor {
    next: Vec<u64>,
}

/// What [`ShmReader::events`] found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventsRead {
    /// New events, oldest first.
    pub events: Vec<Event>,
    /// How many were overwritten before they could be read.
    pub missed: u64,
}

impl ShmReader {
    /// Maps the shared memory at `path`.
    ///
    /// # Errors
    ///
    /// [`ShmError::Io`] when it is not there; [`ShmError::Foreign`] when it is not ours or of another version.
    pub fn open(path: &Path) -> Result<Self, ShmError> {
        let io = |source| ShmError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let foreign = |what, found, expected| ShmError::Foreign {
            path: path.to_owned(),
            what,
            found,
            expected,
        };
        let header_bytes = 8 * HEADER_WORDS as u64;
        if bytes < header_bytes {
            return Err(foreign("size in bytes", bytes, header_bytes));
        }
        let map = ReadMap::new(&file).map_err(io)?;
        let word = |index: usize| map.words()[index].load(Ordering::Acquire);
        for (what, index, expected) in [
            ("magic", header::MAGIC, MAGIC),
            ("layout version", header::VERSION, LAYOUT_VERSION),
            ("layout hash", header::HASH, LAYOUT_HASH),
        ] {
            if word(index) != expected {
                return Err(foreign(what, word(index), expected));
            }
        }
        let size = |index| usize::try_from(word(index)).unwrap_or(usize::MAX);
        let layout = Layout::with_history(size(header::CORES), size(header::HISTORY_ENTRIES))
            .ok_or_else(|| foreign("number of cores", word(header::CORES), 1))?;
        if bytes < layout.bytes() as u64 {
            return Err(foreign("size in bytes", bytes, layout.bytes() as u64));
        }
        Ok(Self { map, layout })
    }

    /// The run of the data plane that writes, or wrote, this memory.
    #[must_use]
    pub fn boot_id(&self) -> BootId {
        BootId(self.header(header::BOOT_ID))
    }

    /// Process id of the writer.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.header(header::PID)
    }

    /// Unix time of the data plane's start, in microseconds.
    #[must_use]
    pub fn started_unix_us(&self) -> u64 {
        self.header(header::STARTED_UNIX_US)
    }

    /// CLOCK_MONOTONIC of the control thread's newest sign of life, in nanoseconds.
    #[must_use]
    pub fn heartbeat_ns(&self) -> u64 {
        self.header(header::HEARTBEAT_NS)
    }

    /// Newest values of all packet cores.
    #[must_use]
    pub fn cores(&self) -> Vec<CoreSnapshot> {
        let mut cores = Vec::with_capacity(self.layout.cores());
        for core in 0..self.layout.cores() {
            let words = self.core_head(core);
            let mut values = [0; CoreRecord::WORDS];
            let record = &words[core_head::RECORD..];
            if seqlock::read(&words[core_head::SEQUENCE], record, &mut values) {
                cores.push(CoreSnapshot {
                    core,
                    record: CoreRecord::from_words(&values),
                });
            }
        }
        cores
    }

    /// Newest values of all running flows.
    #[must_use]
    pub fn flows(&self) -> Vec<FlowSnapshot> {
        (0..self.layout.cores())
            .flat_map(|core| self.flows_of(core))
            .collect()
    }

    /// What is in a flow's stream; `None` when the flow has not told, or is gone.
    #[must_use]
    pub fn detail(&self, flow: &FlowSnapshot) -> Option<StreamDetail> {
        if flow.core >= self.layout.cores() || flow.slot >= FLOW_SLOTS {
            return None;
        }
        let words = &self.map.words()[self.layout.detail(flow.core, flow.slot)];
        let (head, json) = words[1..].split_at(DETAIL_HEAD_WORDS - 1);
        let bytes = usize::try_from(head[1].load(Ordering::Relaxed)).ok()?;
        if bytes == 0 || bytes > DETAIL_BYTES_MAX {
            return None;
        }
        // As many words as the length says; should it change meanwhile, the sequence tells.
        let wanted = DETAIL_HEAD_WORDS - 1 + bytes.div_ceil(8);
        let mut values = vec![0; wanted];
        if !seqlock::read(&words[0], &words[1..=wanted], &mut values) {
            return None;
        }
        debug_assert_eq!(json.len() + DETAIL_HEAD_WORDS, words.len());
        let (head, json) = values.split_at(DETAIL_HEAD_WORDS - 1);
        if head[0] != flow.generation || head[1] != bytes as u64 {
            return None;
        }
        let json: Vec<u8> = json.iter().flat_map(|word| word.to_le_bytes()).collect();
        serde_json::from_slice(json.get(..bytes)?).ok()
    }

    /// The seconds of one flow that the history still has and that ended after `since_unix_us`, oldest first.
    #[must_use]
    pub fn history(&self, flow_id: &str, since_unix_us: u64) -> Vec<HistoryRecord> {
        let wanted = id_hash(flow_id);
        let mut seconds = Vec::new();
        let mut scratch = [0; 1 + HISTORY_WORDS];
        for core in 0..self.layout.cores() {
            let words = &self.map.words()[self.layout.history(core)];
            let Some(ring) = Ring::new(words, HISTORY_WORDS) else {
                continue;
            };
            // Newest first: whoever asks for the last seconds does not pay for the whole ring.
            for index in (ring.tail()..ring.head()).rev() {
                let [_, hash, record @ ..] = match ring.read(index, &mut scratch) {
                    Entry::Read => &scratch,
                    Entry::Future | Entry::Lapped => continue,
                };
                let second = HistoryRecord::from_words(record);
                if second.unix_us.saturating_add(DISORDER_US_MAX) < since_unix_us {
                    break;
                }
                if *hash == wanted && second.unix_us > since_unix_us {
                    seconds.push(second);
                }
            }
        }
        seconds.sort_by_key(|second| second.unix_us);
        seconds
    }

    /// The events that are new since `cursor`, which is moved on. A fresh cursor starts with the oldest kept event.
    pub fn events(&self, cursor: &mut EventCursor) -> EventsRead {
        let rings = std::iter::once(self.layout.control_events())
            .chain((0..self.layout.cores()).map(|core| self.layout.core_events(core)));
        cursor.next.resize(1 + self.layout.cores(), 0);
        let mut read = EventsRead::default();
        let mut scratch = [0; 1 + EVENT_WORDS];
        for (next, words) in cursor.next.iter_mut().zip(rings) {
            let Some(ring) = Ring::new(&self.map.words()[words], EVENT_WORDS) else {
                continue;
            };
            let head = ring.head();
            let first = (*next).max(ring.tail());
            read.missed += first - *next;
            for index in first..head {
                match ring
                    .read(index, &mut scratch)
                    .eq(&Entry::Read)
                    .then(|| event(&scratch[1..]))
                {
                    Some(Some(event)) => read.events.push(event),
                    _ => read.missed += 1,
                }
            }
            *next = head.max(first);
        }
        read.events.sort_by_key(|event| event.timestamp_us);
        read
    }

    fn flows_of(&self, core: usize) -> Vec<FlowSnapshot> {
        let words = self.map.words();
        let mut flows = Vec::new();
        let mut by_slot = HashMap::new();
        let mut values = [0; FLOW_HEAD_WORDS - 1 + FlowRecord::WORDS + LEGS_WORDS + SRT_WORDS];
        for slot in 0..self.used(core, core_head::FLOWS_USED, FLOW_SLOTS) {
            let slot_words = &words[self.layout.flow(core, slot)];
            if !seqlock::read(&slot_words[0], &slot_words[1..], &mut values) || values[0] == FREE {
                continue;
            }
            let (head, record) = values.split_at(FLOW_HEAD_WORDS - 1);
            let (record, legs) = record.split_at(FlowRecord::WORDS);
            let (legs, srt) = legs.split_at(LEGS_WORDS);
            let (Some(flow_id), Ok(record)) = (id(&head[1..]), record.try_into()) else {
                continue;
            };
            by_slot.insert((slot as u64, head[0]), flows.len());
            let record = FlowRecord::from_words(record);
            flows.push(FlowSnapshot {
                flow_id,
                core,
                slot,
                generation: head[0],
                record,
                legs: leg_records(legs),
                srt: srt_records(srt),
                outputs: Vec::new(),
            });
        }
        let mut values = [0; OUTPUT_HEAD_WORDS - 1 + OutputRecord::WORDS + SRT_WORDS];
        for slot in 0..self.used(core, core_head::OUTPUTS_USED, OUTPUT_SLOTS) {
            let slot_words = &words[self.layout.output(core, slot)];
            if !seqlock::read(&slot_words[0], &slot_words[1..], &mut values) || values[0] == FREE {
                continue;
            }
            let (head, record) = values.split_at(OUTPUT_HEAD_WORDS - 1);
            let (record, srt) = record.split_at(OutputRecord::WORDS);
            let (Some(output_id), Ok(record)) = (id(&head[3..]), record.try_into()) else {
                continue;
            };
            if let Some(flow) = by_slot.get(&(head[1], head[2])) {
                let record = OutputRecord::from_words(record);
                flows[*flow].outputs.push(OutputSnapshot {
                    output_id,
                    record,
                    srt: srt_records(srt),
                });
            }
        }
        flows
    }

    fn used(&self, core: usize, index: usize, slots: usize) -> usize {
        let used = self.core_head(core)[index].load(Ordering::Acquire);
        usize::try_from(used).map_or(slots, |used| used.min(slots))
    }

    fn core_head(&self, core: usize) -> &[AtomicU64] {
        &self.map.words()[self.layout.core_head(core)]
    }

    fn header(&self, index: usize) -> u64 {
        self.map.words()[index].load(Ordering::Acquire)
    }
}

/// How far entries of one history ring may be out of order: its flows end their seconds in any order.
const DISORDER_US_MAX: u64 = 5_000_000;

fn leg_records(words: &[u64]) -> [Option<LegRecord>; LEGS_MAX] {
    let (records, _) = words.as_chunks::<{ LegRecord::WORDS }>();
    std::array::from_fn(|leg| {
        let record = LegRecord::from_words(records.get(leg)?);
        (record.configured != 0).then_some(record)
    })
}

fn srt_records(words: &[u64]) -> [Option<SrtRecord>; LEGS_MAX] {
    let (records, _) = words.as_chunks::<{ SrtRecord::WORDS }>();
    std::array::from_fn(|leg| {
        let record = SrtRecord::from_words(records.get(leg)?);
        (record.configured != 0).then_some(record)
    })
}

/// An id from its length and its words; `None` when the memory does not hold one.
fn id(words: &[u64]) -> Option<String> {
    let (length, words) = words.split_first()?;
    let bytes: Vec<u8> = words
        .iter()
        .take(ID_WORDS)
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let length = usize::try_from(*length)
        .ok()
        .filter(|length| *length <= ID_BYTES_MAX)?;
    String::from_utf8(bytes.get(..length)?.to_vec()).ok()
}

fn event(payload: &[u64]) -> Option<Event> {
    let (length, words) = payload.split_first()?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    serde_json::from_slice(bytes.get(..usize::try_from(*length).ok()?)?).ok()
}
