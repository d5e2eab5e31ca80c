//! What the service manager hears (sd_notify(3)): that the process is ready, that it lives, that it ends.
//!
//! A process that systemd did not start tells nobody anything: there is no `NOTIFY_SOCKET`.

use std::path::Path;
use std::time::Duration;

use bilbycast_shm_proto::shm::{CoreSnapshot, ShmError, ShmReader};
use sd_notify::NotifyState;

/// Tells the service manager how the packet cores are.
///
/// It looks at the heartbeats that everybody else sees too, those in shared memory: a core that no longer publishes has
/// no control side that could help, so the watchdog is left to run out and the process starts anew.
#[derive(Debug)]
pub(super) struct Supervisor {
    counters: ShmReader,
    cores: usize,
    watchdog: Option<Duration>,
    is_ready: bool,
    /// When the watchdog was told last, on CLOCK_MONOTONIC.
    told_ns: u64,
    /// Whether the silence of a core was reported, so that it is reported once.
    is_silent: bool,
}

impl Supervisor {
    /// Looks at the shared memory at `shm`, in which so many packet cores publish.
    pub(super) fn new(shm: &Path, cores: usize) -> Result<Self, ShmError> {
        Ok(Self {
            counters: ShmReader::open(shm)?,
            cores,
            watchdog: sd_notify::watchdog_enabled(),
            is_ready: false,
            told_ns: 0,
            is_silent: false,
        })
    }

    /// To be called a few times a second with the time of CLOCK_MONOTONIC.
    pub(super) fn round(&mut self, now_ns: u64) {
        let patience = self.watchdog.unwrap_or(PATIENCE_WITHOUT_WATCHDOG);
        let is_due = now_ns.saturating_sub(self.told_ns) >= as_ns(patience / 4);
        if self.is_ready && (self.watchdog.is_none() || !is_due) {
            return;
        }
        let cores = self.counters.cores();
        if cores.len() == self.cores && all_live(&cores, now_ns, as_ns(patience / 2)) {
            self.told_ns = now_ns;
            if !self.is_ready {
                self.is_ready = true;
                tell(&[NotifyState::Ready, NotifyState::Watchdog]);
            } else if self.is_silent {
                self.is_silent = false;
                let status = "all packet cores show signs of life again";
                tracing::info!("{status}");
                tell(&[NotifyState::Watchdog, NotifyState::Status(status)]);
            } else {
                tell(&[NotifyState::Watchdog]);
            }
        } else if self.is_ready && !self.is_silent {
            self.is_silent = true;
            let status = "a packet core has shown no sign of life for half of the watchdog's time";
            tracing::error!("{status}");
            tell(&[NotifyState::Status(status)]);
        }
    }
}

/// Tells that the process ends because it was told to.
pub(super) fn ending() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager was not told: {error}");
    }
}

/// Whether each core has published at least once, and not longer ago than `limit_ns`.
fn all_live(cores: &[CoreSnapshot], now_ns: u64, limit_ns: u64) -> bool {
    cores.iter().all(|core| {
        let heartbeat_ns = core.record.heartbeat_ns;
        heartbeat_ns != 0 && now_ns.saturating_sub(heartbeat_ns) <= limit_ns
    })
}

fn as_ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// For the first sign of life, when no watchdog says how long is too long.
const PATIENCE_WITHOUT_WATCHDOG: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use bilbycast_shm_proto::counters::CoreRecord;

    fn core(heartbeat_ns: u64) -> CoreSnapshot {
        CoreSnapshot {
            core: 0,
            record: CoreRecord {
                heartbeat_ns,
                ..CoreRecord::default()
            },
        }
    }

    #[test]
    fn one_silent_core_is_enough() {
        assert!(all_live(&[core(100), core(200)], 200, 100));
        assert!(!all_live(&[core(100), core(200)], 201, 100));
        assert!(
            !all_live(&[core(200), core(0)], 200, 1_000),
            "never published"
        );
    }

    /// A core may publish between the reading of the clock and that of its record.
    #[test]
    fn a_heartbeat_from_the_future_is_alive() {
        assert!(all_live(&[core(300)], 200, 0));
    }
}
