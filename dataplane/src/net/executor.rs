//! One glommio executor for each packet core.

use std::future::Future;
use std::io;
use std::time::Duration;

use glommio::timer::sleep;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, Task};

/// A running executor; [`CoreThread::join`] waits for its end.
#[derive(Debug)]
pub struct CoreThread(ExecutorJoinHandle<()>);

impl CoreThread {
    /// Waits until the core's main future has ended.
    ///
    /// # Errors
    ///
    /// When the executor failed or panicked.
    pub fn join(self) -> io::Result<()> {
        self.0
            .join()
            .map_err(|error| io::Error::other(error.to_string()))
    }
}

/// Starts an executor on `cpu`, pinned, and runs the future that `main` makes there.
///
/// # Errors
///
/// When the ring cannot be set up: io_uring is forbidden, or the limit on locked memory is too low.
pub fn start<F>(cpu: u32, main: impl FnOnce() -> F + Send + 'static) -> io::Result<CoreThread>
where
    F: Future<Output = ()> + 'static,
{
    let placement = Placement::Fixed(usize::try_from(cpu).map_err(io::Error::other)?);
    LocalExecutorBuilder::new(placement)
        .name(&format!("packets-{cpu}"))
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPTION)
        .spawn(main)
        .map(CoreThread)
        .map_err(|error| io::Error::other(error.to_string()))
}

/// A task of the calling executor, which ends when this is dropped.
#[derive(Debug)]
pub struct LocalTask(Task<()>);

impl LocalTask {
    /// Starts `future` on the executor of the calling thread.
    pub fn spawn(future: impl Future<Output = ()> + 'static) -> Self {
        Self(glommio::spawn_local(future))
    }

    /// Ends the task and returns when everything that it held is dropped.
    pub async fn cancel(self) {
        self.0.cancel().await;
    }
}

/// Waits on the executor of the calling thread.
pub async fn wait(time: Duration) {
    sleep(time).await;
}

/// The least that glommio accepts: this process reads and writes no files on its rings.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// Entries of the submission queue: readiness requests of a thousand flows that all turn quiet at once fit in.
const RING_DEPTH: usize = 1_024;

/// Nothing here relies on glommio's pre-emption, and a timer that fires at the wrong moment puts an executor to sleep that
/// has something to do ([`super::readiness::let_others_run`]): so it hardly ever fires.
const PREEMPTION: Duration = Duration::from_secs(60);
