//! Waiting for conditions, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Asks `probe` again and again until it answers `Some`.
///
/// # Panics
///
/// After `limit`, naming `what`.
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain until {what}"
        );
        thread::sleep(POLL);
    }
}

/// As [`until`], for a condition without a result.
pub fn until_true(what: &str, limit: Duration, mut probe: impl FnMut() -> bool) {
    until(what, limit, || probe().then_some(()));
}

/// Lets `time` pass as part of what is being tested: a stretch of undisturbed stream, a stopped process. Never to
/// wait for something.
pub fn pass(time: Duration) {
    thread::sleep(time);
}

const POLL: Duration = Duration::from_millis(10);
