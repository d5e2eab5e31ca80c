//! The counters that the data plane publishes in shared memory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::BootId;
use bilbycast_shm_proto::counters::HistoryRecord;
use bilbycast_shm_proto::detail::StreamDetail;
use bilbycast_shm_proto::shm::{CoreSnapshot, FlowSnapshot, OutputSnapshot, ShmReader};

use super::monotonic_ns;

/// Reads the shared memory, at most ten times a second however many ask.
#[derive(Debug)]
pub struct Counters {
    path: PathBuf,
    inner: Mutex<Inner>,
}

/// Newest values of all running flows.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Outputs sorted by id, for [`Snapshot::output`].
    flows: HashMap<String, FlowSnapshot>,
    details: Arc<Details>,
    cores: Vec<CoreSnapshot>,
    heartbeat_ns: u64,
    readable: bool,
}

/// What is in the streams, by flow and its generation.
type Details = HashMap<String, (u64, StreamDetail)>;

#[derive(Debug, Default)]
struct Inner {
    reader: Option<Arc<ShmReader>>,
    details: Arc<Details>,
    details_taken: Option<Instant>,
    cached: Option<Cached>,
    /// When the file was last looked at for a run that nobody is connected to.
    sought: Option<Instant>,
    reported: String,
}

#[derive(Debug)]
struct Cached {
    taken: Instant,
    boot_id: BootId,
    snapshot: Arc<Snapshot>,
}

impl Counters {
    /// Counters in the file at `path`, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            inner: Mutex::default(),
        }
    }

    /// Newest values of this run of the data plane, at most 100 ms old.
    ///
    /// Waits for nobody but another reader: all that happens under the lock is copying memory.
    #[must_use]
    pub fn snapshot(&self, boot_id: BootId) -> Arc<Snapshot> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(cached) = &inner.cached
            && cached.boot_id == boot_id
            && now.duration_since(cached.taken) < AGE_MAX
        {
            return Arc::clone(&cached.snapshot);
        }
        let snapshot = Arc::new(inner.read(&self.path, boot_id));
        inner.cached = Some(Cached {
            taken: now,
            boot_id,
            snapshot: Arc::clone(&snapshot),
        });
        snapshot
    }

    /// Newest values of a data plane that nobody is connected to; `None` unless it gave a sign of life after
    /// `since_ns` (CLOCK_MONOTONIC), and within the last second.
    #[must_use]
    pub fn uncontrolled(&self, since_ns: u64) -> Option<Arc<Snapshot>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let boot_id = inner.living(&self.path, since_ns)?;
        drop(inner);
        Some(self.snapshot(boot_id))
    }

    /// The run of the data plane that lives though nobody is connected to it, as [`Self::uncontrolled`] has it.
    #[must_use]
    pub fn uncontrolled_run(&self, since_ns: u64) -> Option<BootId> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.living(&self.path, since_ns)
    }

    /// The seconds of a flow in this run of the data plane that ended after `since_unix_us`, oldest first; none when the
    /// shared memory cannot be read.
    #[must_use]
    pub fn history(
        &self,
        boot_id: BootId,
        flow_id: &str,
        since_unix_us: u64,
    ) -> Vec<HistoryRecord> {
        // Opens the shared memory when nobody has yet.
        let _snapshot = self.snapshot(boot_id);
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = inner.reader.clone();
        drop(inner);
        match reader {
            Some(reader) if reader.boot_id() == boot_id => reader.history(flow_id, since_unix_us),
            _ => Vec::new(),
        }
    }

    /// Makes the next reader look again: something was started or stopped.
    pub fn expire(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.cached = None;
    }
}

impl Snapshot {
    /// The values of a flow; `None` when the data plane publishes none.
    #[must_use]
    pub fn flow(&self, flow_id: &str) -> Option<&FlowSnapshot> {
        self.flows.get(flow_id)
    }

    /// Number of flows that the data plane publishes values of.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// What is in the stream of a flow that came from [`Self::flow`]; `None` when the data plane has not told yet.
    #[must_use]
    pub fn detail(&self, flow: &FlowSnapshot) -> Option<&StreamDetail> {
        let (generation, detail) = self.details.get(&flow.flow_id)?;
        (*generation == flow.generation).then_some(detail)
    }

    /// The values of an output of a flow that came from [`Self::flow`].
    #[must_use]
    pub fn output<'a>(flow: &'a FlowSnapshot, output_id: &str) -> Option<&'a OutputSnapshot> {
        let found = flow
            .outputs
            .binary_search_by(|output| output.output_id.as_str().cmp(output_id));
        found.ok().map(|index| &flow.outputs[index])
    }

    /// The values of all packet cores.
    #[must_use]
    pub fn cores(&self) -> &[CoreSnapshot] {
        &self.cores
    }

    /// CLOCK_MONOTONIC of the newest sign of life of the data plane's control thread, in nanoseconds.
    #[must_use]
    pub const fn heartbeat_ns(&self) -> u64 {
        self.heartbeat_ns
    }

    /// False when the shared memory of this run of the data plane could not be read.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        self.readable
    }
}

impl Inner {
    /// The run of the data plane that gave a sign of life lately, and after `since_ns`.
    fn living(&mut self, path: &Path, since_ns: u64) -> Option<BootId> {
        let beats = |reader: &ShmReader| {
            let heartbeat_ns = reader.heartbeat_ns();
            let age_ns = monotonic_ns().saturating_sub(heartbeat_ns);
            heartbeat_ns > since_ns && u128::from(age_ns) <= PULSE_MAX.as_nanos()
        };
        let known = self.reader.as_deref().filter(|reader| beats(reader));
        if let Some(reader) = known {
            return Some(reader.boot_id());
        }
        // A new run has a new file under the old name.
        let now = Instant::now();
        let is_soon = |sought| now.duration_since(sought) < AGE_MAX;
        if self.sought.is_some_and(is_soon) {
            return None;
        }
        self.sought = Some(now);
        let reader = ShmReader::open(path).ok().filter(&beats)?;
        let boot_id = reader.boot_id();
        self.reader = Some(Arc::new(reader));
        self.details_taken = None;
        Some(boot_id)
    }

    fn read(&mut self, path: &Path, boot_id: BootId) -> Snapshot {
        if self
            .reader
            .as_ref()
            .is_none_or(|reader| reader.boot_id() != boot_id)
        {
            self.reader = None;
            self.details_taken = None;
            let problem = match ShmReader::open(path) {
                Ok(reader) if reader.boot_id() == boot_id => {
                    self.reader = Some(Arc::new(reader));
                    String::new()
                }
                Ok(_) => format!(
                    "shared memory {} belongs to another run of the data plane",
                    path.display()
                ),
                Err(error) => error.to_string(),
            };
            if !problem.is_empty() && problem != self.reported {
                tracing::error!("no counters: {problem}");
            }
            self.reported = problem;
        }
        let Some(reader) = &self.reader else {
            return Snapshot::default();
        };
        let flows = reader.flows().into_iter().map(|mut flow| {
            flow.outputs
                .sort_unstable_by(|a, b| a.output_id.cmp(&b.output_id));
            (flow.flow_id.clone(), flow)
        });
        let flows: HashMap<_, _> = flows.collect();
        let now = Instant::now();
        let is_fresh = |taken| now.duration_since(taken) < DETAILS_AGE_MAX;
        if !self.details_taken.is_some_and(is_fresh) {
            self.details_taken = Some(now);
            let details = flows.values().filter_map(|flow| {
                let detail = reader.detail(flow)?;
                Some((flow.flow_id.clone(), (flow.generation, detail)))
            });
            self.details = Arc::new(details.collect());
        }
        Snapshot {
            flows,
            details: Arc::clone(&self.details),
            cores: reader.cores(),
            heartbeat_ns: reader.heartbeat_ns(),
            readable: true,
        }
    }
}

/// The data plane publishes at the same pace; looking more often would show nothing new.
const AGE_MAX: Duration = Duration::from_millis(100);

/// The same for what is in the streams, which is published once a second: who is connected shows within two.
const DETAILS_AGE_MAX: Duration = Duration::from_millis(700);

/// Age of the newest sign of life after which a data plane that nobody is connected to counts as dead. It gives ten a
/// second.
const PULSE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use bilbycast_shm_proto::shm::create;

    use super::*;

    #[test]
    fn values_are_read_once_in_a_while_and_again_after_a_new_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counters.shm");
        let counters = Counters::new(path.clone());
        assert!(!counters.snapshot(BootId(1)).is_readable());

        let (_control, mut cores) = create(&path, 1, BootId(1), 0).unwrap();
        cores[0].add_flow("a").unwrap();
        counters.expire();
        let first = counters.snapshot(BootId(1));
        assert!(first.flow("a").is_some());

        cores[0].add_flow("b").unwrap();
        let again = counters.snapshot(BootId(1));
        if again.flow("b").is_none() {
            assert!(Arc::ptr_eq(&first, &again));
        }
        counters.expire();
        assert!(counters.snapshot(BootId(1)).flow("b").is_some());

        let (_control, _cores) = create(&path, 1, BootId(2), 0).unwrap();
        let fresh = counters.snapshot(BootId(2));
        assert!(fresh.is_readable() && fresh.flow("a").is_none());
    }
}
