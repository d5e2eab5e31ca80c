//! The shared memory: written by the data plane, mapped read-only by everyone else.
//!
//! ```text
//! header | control part: event ring | core 0: record, flow slots, output slots, history ring, event ring | core 1 ...
//! ```
//!
//! * Each packet core writes its own part and nothing else; the control thread writes the header's heartbeat and the
//!   control part. No word has two writers.
//! * Every record is sequence-checked: a reader never blocks the writer and never sees a torn record.
//! * The file is complete before it gets its name, and a new run of the data plane makes a new file: a reader that
//!   still maps the old one keeps a frozen but readable picture and notices by the boot id.
//! * The file is sparse. What no flow has used takes no memory.

mod layout;
#[cfg(not(loom))]
mod map;
#[cfg(not(loom))]
mod reader;
mod ring;
mod seqlock;
#[cfg(not(loom))]
mod writer;

pub use layout::{
    DETAIL_BYTES_MAX, EVENT_ENTRIES, FLOW_SLOTS, HISTORY_ENTRIES_MIN, LAYOUT_VERSION, Layout,
    OUTPUT_SLOTS,
};
#[cfg(not(loom))]
pub use reader::{
    CoreSnapshot, EventCursor, EventsRead, FlowSnapshot, OutputSnapshot, ShmError, ShmReader,
};
#[cfg(not(loom))]
pub use writer::{
    ControlWriter, CoreWriter, CreateError, FlowSlot, NoSlotLeft, OutputSlot, create,
};

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
