//! Being told to end.

use nix::sys::signal::{SigSet, Signal};

/// SIGTERM and SIGINT, kept from their default action.
#[derive(Debug)]
pub struct Termination(SigSet);

impl Termination {
    /// Blocks the signals in the calling thread and in all that it will start.
    #[must_use]
    pub fn block() -> Self {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        // The set is valid, so this cannot fail; if it did, the signals would end the process at once.
        let _ = signals.thread_block();
        Self(signals)
    }

    /// Waits for one of them and returns its name.
    #[must_use]
    pub fn wait(&self) -> &'static str {
        self.0.wait().map_or("signal", Signal::as_str)
    }
}
