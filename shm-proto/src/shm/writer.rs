//! The writing side: one [`CoreWriter`] for each packet core, one [`ControlWriter`] for the control thread.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{
    DETAIL_BYTES_MAX, DETAIL_HEAD_WORDS, EVENT_BYTES_MAX, EVENT_WORDS, FLOW_HEAD_WORDS, FLOW_SLOTS,
    HISTORY_WORDS, ID_WORDS, LAYOUT_VERSION, LEGS_WORDS, Layout, MAGIC, OUTPUT_HEAD_WORDS,
    OUTPUT_SLOTS, SRT_WORDS, core_head, header, id_hash,
};
use super::map::WriteMap;
use super::ring::Ring;
use super::seqlock;
use crate::control::BootId;
use crate::counters::{
    CoreRecord, FlowRecord, HistoryRecord, LAYOUT_HASH, LegRecord, OutputRecord, SrtRecord,
};
use crate::detail::StreamDetail;
use crate::event::Event;
use crate::model::{ID_BYTES_MAX, LEGS_MAX};
use crate::sync::{AtomicU64, Ordering};

/// Why the shared memory could not be made.
#[derive(Debug, thiserror::Error)]
#[error("shared memory {path}: {action}: {source}")]
pub struct CreateError {
    path: PathBuf,
    action: &'static str,
    source: io::Error,
}

/// All slots of a core are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("all {slots} {what} slots of this core are taken")]
pub struct NoSlotLeft {
    /// `flow` or `output`.
    pub what: &'static str,
    /// How many there are.
    pub slots: usize,
}

/// Makes the shared memory at `path` for `cores` packet cores and returns its writers.
///
/// The file gets its name only when it is complete. A file that an earlier run left there is replaced; readers that
/// still map it keep their picture.
///
/// # Errors
///
/// [`CreateError`] when the file cannot be made, or `cores` is 0 or beyond what the layout knows.
pub fn create(
    path: &Path,
    cores: usize,
    boot_id: BootId,
    started_unix_us: u64,
) -> Result<(ControlWriter, Vec<CoreWriter>), CreateError> {
    let fail = |action| {
        move |source| CreateError {
            path: path.to_owned(),
            action,
            source,
        }
    };
    let layout = Layout::new(cores)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "number of cores"))
        .map_err(fail("lay out"))?;

    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    let file = open_fresh(&unfinished).map_err(fail("create"))?;
    let made = file
        .set_len(layout.bytes() as u64)
        .and_then(|()| WriteMap::new(&file))
        .inspect(|map| write_header(map.words(), &layout, boot_id, started_unix_us))
        .and_then(|map| fs::rename(&unfinished, path).map(|()| map));
    let map = match made {
        Ok(map) => Arc::new(map),
        Err(error) => {
            // The failure that matters is the one above; a leftover under its unfinished name harms nobody.
            let _ = fs::remove_file(&unfinished);
            return Err(fail("map and name")(error));
        }
    };

    let control = ControlWriter {
        map: Arc::clone(&map),
        layout,
    };
    let cores = (0..cores)
        .map(|core| CoreWriter::new(Arc::clone(&map), layout, core))
        .collect();
    Ok((control, cores))
}

fn open_fresh(path: &Path) -> io::Result<File> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)
}

fn write_header(words: &[AtomicU64], layout: &Layout, boot_id: BootId, started_unix_us: u64) {
    let values = [
        (header::MAGIC, MAGIC),
        (header::VERSION, LAYOUT_VERSION),
        (header::HASH, LAYOUT_HASH),
        (header::BOOT_ID, boot_id.0),
        (header::PID, u64::from(std::process::id())),
        (header::CORES, layout.cores() as u64),
        (header::HISTORY_ENTRIES, layout.history_entries() as u64),
        (header::WORDS, layout.words() as u64),
        (header::STARTED_UNIX_US, started_unix_us),
    ];
    for (index, value) in values {
        words[index].store(value, Ordering::Relaxed);
    }
}

/// What the control thread writes: the heartbeat and its own events.
#[derive(Debug)]
pub struct ControlWriter {
    map: Arc<WriteMap>,
    layout: Layout,
}

impl ControlWriter {
    /// Shows that the data plane's control thread lives; `now_ns` is CLOCK_MONOTONIC.
    pub fn heartbeat(&mut self, now_ns: u64) {
        self.map.words()[header::HEARTBEAT_NS].store(now_ns, Ordering::Release);
    }

    /// Records an event.
    pub fn push_event(&mut self, event: &Event) {
        push_event(&self.map.words()[self.layout.control_events()], event);
    }
}

/// What one packet core writes. There is one for each core; it can be moved to the core's thread but not shared.
#[derive(Debug)]
pub struct CoreWriter {
    map: Arc<WriteMap>,
    layout: Layout,
    core: usize,
    flows: SlotPool,
    outputs: SlotPool,
}

/// A flow's place in the shared memory.
#[derive(Debug, Eq, PartialEq)]
pub struct FlowSlot {
    slot: usize,
    generation: u64,
    id_hash: u64,
}

/// An output's place in the shared memory.
#[derive(Debug, Eq, PartialEq)]
pub struct OutputSlot {
    slot: usize,
}

impl CoreWriter {
    const fn new(map: Arc<WriteMap>, layout: Layout, core: usize) -> Self {
        let flows = SlotPool::new("flow", FLOW_SLOTS);
        let outputs = SlotPool::new("output", OUTPUT_SLOTS);
        Self {
            map,
            layout,
            core,
            flows,
            outputs,
        }
    }

    /// Takes a slot for a flow and makes it visible with zeroed counters.
    ///
    /// # Errors
    ///
    /// [`NoSlotLeft`].
    pub fn add_flow(&mut self, flow_id: &str) -> Result<FlowSlot, NoSlotLeft> {
        let slot = self.flows.take()?;
        let generation = self.flows.next_generation();
        self.write_slot(self.layout.flow(self.core, slot), |words| {
            words[0].store(generation, Ordering::Relaxed);
            store_id(&words[1..2 + ID_WORDS], flow_id);
            seqlock::store(
                &words[FLOW_HEAD_WORDS - 1..],
                &[0; FlowRecord::WORDS + LEGS_WORDS + SRT_WORDS],
            );
        });
        self.publish_used(core_head::FLOWS_USED, self.flows.used);
        Ok(FlowSlot {
            slot,
            generation,
            id_hash: id_hash(flow_id),
        })
    }

    /// Takes a slot for an output of a flow and makes it visible with zeroed counters.
    ///
    /// # Errors
    ///
    /// [`NoSlotLeft`].
    pub fn add_output(
        &mut self,
        flow: &FlowSlot,
        output_id: &str,
    ) -> Result<OutputSlot, NoSlotLeft> {
        let slot = self.outputs.take()?;
        let generation = self.outputs.next_generation();
        self.write_slot(self.layout.output(self.core, slot), |words| {
            words[0].store(generation, Ordering::Relaxed);
            words[1].store(flow.slot as u64, Ordering::Relaxed);
            words[2].store(flow.generation, Ordering::Relaxed);
            store_id(&words[3..4 + ID_WORDS], output_id);
            seqlock::store(
                &words[OUTPUT_HEAD_WORDS - 1..],
                &[0; OutputRecord::WORDS + SRT_WORDS],
            );
        });
        self.publish_used(core_head::OUTPUTS_USED, self.outputs.used);
        Ok(OutputSlot { slot })
    }

    /// Publishes a flow's newest values.
    pub fn publish_flow(&mut self, flow: &FlowSlot, record: &FlowRecord) {
        self.write_slot(self.layout.flow(self.core, flow.slot), |words| {
            seqlock::store(&words[FLOW_HEAD_WORDS - 1..], &record.to_words());
        });
    }

    /// Publishes the newest values of the legs of a flow's input.
    pub fn publish_legs(&mut self, flow: &FlowSlot, legs: &[LegRecord; LEGS_MAX]) {
        self.write_slot(self.layout.flow(self.core, flow.slot), |words| {
            let words = &words[FLOW_HEAD_WORDS - 1 + FlowRecord::WORDS..];
            for (words, leg) in words.chunks(LegRecord::WORDS).zip(legs) {
                seqlock::store(words, &leg.to_words());
            }
        });
    }

    /// Publishes the newest values of the SRT legs of a flow's input.
    pub fn publish_input_srt(&mut self, flow: &FlowSlot, legs: &[SrtRecord; LEGS_MAX]) {
        self.write_slot(self.layout.flow(self.core, flow.slot), |words| {
            store_srt(
                &words[FLOW_HEAD_WORDS - 1 + FlowRecord::WORDS + LEGS_WORDS..],
                legs,
            );
        });
    }

    /// Publishes the newest values of the SRT legs of an output.
    pub fn publish_output_srt(&mut self, output: &OutputSlot, legs: &[SrtRecord; LEGS_MAX]) {
        self.write_slot(self.layout.output(self.core, output.slot), |words| {
            store_srt(&words[OUTPUT_HEAD_WORDS - 1 + OutputRecord::WORDS..], legs);
        });
    }

    /// Publishes what is in a flow's stream; `json` is scratch.
    pub fn publish_detail(
        &mut self,
        flow: &FlowSlot,
        detail: &mut StreamDetail,
        json: &mut Vec<u8>,
    ) {
        detail.write_json(json, DETAIL_BYTES_MAX);
        self.write_slot(self.layout.detail(self.core, flow.slot), |words| {
            words[0].store(flow.generation, Ordering::Relaxed);
            words[1].store(json.len() as u64, Ordering::Relaxed);
            store_bytes(&words[DETAIL_HEAD_WORDS - 1..], json);
        });
    }

    /// Publishes an output's newest values.
    pub fn publish_output(&mut self, output: &OutputSlot, record: &OutputRecord) {
        self.write_slot(self.layout.output(self.core, output.slot), |words| {
            seqlock::store(&words[OUTPUT_HEAD_WORDS - 1..], &record.to_words());
        });
    }

    /// Publishes the core's own values.
    pub fn publish_core(&mut self, record: &CoreRecord) {
        let words = &self.map.words()[self.layout.core_head(self.core)];
        seqlock::write(&words[core_head::SEQUENCE], || {
            seqlock::store(&words[core_head::RECORD..], &record.to_words());
        });
    }

    /// Appends one second of a flow to the history.
    pub fn push_history(&mut self, flow: &FlowSlot, record: &HistoryRecord) {
        let mut payload = [0; HISTORY_WORDS];
        payload[0] = flow.id_hash;
        payload[1..].copy_from_slice(&record.to_words());
        if let Some(ring) = Ring::new(
            &self.map.words()[self.layout.history(self.core)],
            HISTORY_WORDS,
        ) {
            ring.push(&payload);
        }
    }

    /// Records an event.
    pub fn push_event(&mut self, event: &Event) {
        push_event(&self.map.words()[self.layout.core_events(self.core)], event);
    }

    /// Gives a flow's slot back. Its outputs' slots must have been given back before.
    pub fn remove_flow(&mut self, flow: FlowSlot) {
        self.write_slot(self.layout.flow(self.core, flow.slot), |words| {
            words[0].store(FREE, Ordering::Relaxed);
        });
        self.flows.give_back(flow.slot);
    }

    /// Gives an output's slot back.
    pub fn remove_output(&mut self, output: OutputSlot) {
        self.write_slot(self.layout.output(self.core, output.slot), |words| {
            words[0].store(FREE, Ordering::Relaxed);
        });
        self.outputs.give_back(output.slot);
    }

    /// Runs `write` over the words behind a slot's sequence word, inside the sequence.
    fn write_slot(&self, slot: std::ops::Range<usize>, write: impl FnOnce(&[AtomicU64])) {
        let words = &self.map.words()[slot];
        seqlock::write(&words[0], || write(&words[1..]));
    }

    fn publish_used(&self, index: usize, used: usize) {
        let head = &self.map.words()[self.layout.core_head(self.core)];
        head[index].store(used as u64, Ordering::Release);
    }
}

fn store_srt(words: &[AtomicU64], legs: &[SrtRecord; LEGS_MAX]) {
    for (words, leg) in words.chunks(SrtRecord::WORDS).zip(legs) {
        seqlock::store(words, &leg.to_words());
    }
}

/// Generation of a slot that nobody uses.
pub(super) const FREE: u64 = 0;

/// Which slots are free. Freed slots are used again before new ones, so that the part that readers scan stays short.
#[derive(Debug)]
struct SlotPool {
    what: &'static str,
    slots: usize,
    used: usize,
    free: Vec<usize>,
    generation: u64,
}

impl SlotPool {
    const fn new(what: &'static str, slots: usize) -> Self {
        Self {
            what,
            slots,
            used: 0,
            free: Vec::new(),
            generation: FREE,
        }
    }

    fn take(&mut self) -> Result<usize, NoSlotLeft> {
        if let Some(slot) = self.free.pop() {
            return Ok(slot);
        }
        if self.used == self.slots {
            return Err(NoSlotLeft {
                what: self.what,
                slots: self.slots,
            });
        }
        self.used += 1;
        Ok(self.used - 1)
    }

    const fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    fn give_back(&mut self, slot: usize) {
        self.free.push(slot);
    }
}

/// Stores the length of an id and its bytes. Ids longer than the product allows are cut; validation has refused them.
fn store_id(words: &[AtomicU64], id: &str) {
    let mut bytes = [0; ID_BYTES_MAX];
    let length = id.floor_char_boundary(ID_BYTES_MAX);
    bytes[..length].copy_from_slice(&id.as_bytes()[..length]);
    words[0].store(length as u64, Ordering::Relaxed);
    store_bytes(&words[1..], &bytes);
}

fn store_bytes(words: &[AtomicU64], bytes: &[u8]) {
    for (word, chunk) in words.iter().zip(bytes.chunks(8)) {
        let mut value = [0; 8];
        value[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_le_bytes(value), Ordering::Relaxed);
    }
}

fn push_event(words: &[AtomicU64], event: &Event) {
    let json = event_json(event);
    let mut payload = [0; EVENT_WORDS];
    payload[0] = json.len() as u64;
    for (word, chunk) in payload[1..].iter_mut().zip(json.chunks(8)) {
        let mut value = [0; 8];
        value[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_le_bytes(value);
    }
    if let Some(ring) = Ring::new(words, EVENT_WORDS) {
        ring.push(&payload);
    }
}

/// The event as JSON of at most [`EVENT_BYTES_MAX`] bytes: what does not fit goes, the details first.
fn event_json(event: &Event) -> Vec<u8> {
    let mut short = event.clone();
    loop {
        let json = serde_json::to_vec(&short).unwrap_or_default();
        if json.len() <= EVENT_BYTES_MAX {
            return json;
        }
        if short.details.take().is_some() {
            continue;
        }
        if short.message.is_empty() {
            short.flow_id = None;
        }
        short
            .message
            .truncate(short.message.floor_char_boundary(short.message.len() / 2));
    }
}
