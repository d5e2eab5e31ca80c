//! The data plane's event rings, followed over its restarts.

use std::path::PathBuf;

use bilbycast_shm_proto::control::BootId;
use bilbycast_shm_proto::shm::{EventCursor, EventsRead, ShmReader};

/// Reads each event once.
///
/// [`read`](Self::read) may be called at any time, [`follow`](Self::follow) when another run of the
/// data plane answers. What the earlier run left is read before the new one is opened.
#[derive(Debug)]
pub(super) struct RingReader {
    path: PathBuf,
    reader: Option<ShmReader>,
    cursor: EventCursor,
    /// The run to follow; absent before the first connection, when any will do.
    run: Option<BootId>,
}

impl RingReader {
    pub(super) fn new(path: PathBuf) -> Self {
        // Missing or foreign memory is no news here: whoever reads the counters says so.
        let reader = ShmReader::open(&path).ok();
        Self {
            path,
            reader,
            cursor: EventCursor::default(),
            run: None,
        }
    }

    /// From the next read on, the rings of this run.
    pub(super) const fn follow(&mut self, run: BootId) {
        self.run = Some(run);
    }

    /// What is new.
    pub(super) fn read(&mut self) -> EventsRead {
        let mut read = match &self.reader {
            Some(reader) => reader.events(&mut self.cursor),
            None => EventsRead::default(),
        };
        let open = self.reader.as_ref().map(ShmReader::boot_id);
        if self.run.is_some()
            && self.run != open
            && let Ok(reader) = ShmReader::open(&self.path)
            && Some(reader.boot_id()) == self.run
        {
            self.cursor = EventCursor::default();
            let more = reader.events(&mut self.cursor);
            read.events.extend(more.events);
            read.missed += more.missed;
            self.reader = Some(reader);
        }
        read
    }
}
