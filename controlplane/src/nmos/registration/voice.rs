//! What people hear of a registration: the log, and events.

use std::time::{Duration, Instant};

use bilbycast_shm_proto::event::{Category, Severity};

use super::machine::{Report, Weight};
use crate::events::Notice;
use crate::nmos::Nmos;

/// Tells people, with a limit: a registry that comes and goes all day must not push everything else out of the events.
#[derive(Debug)]
pub(super) struct Voice {
    /// Events that may be raised now.
    left: u32,
    /// Since when the next one is waited for.
    filled_at: Instant,
    /// Messages since the last event that are in the log alone.
    left_out: u64,
}

impl Voice {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            left: EVENTS_MAX,
            filled_at: now,
            left_out: 0,
        }
    }

    pub(super) fn tell(&mut self, nmos: &Nmos, report: &Report, now: Instant) {
        let message = format!("NMOS: {}", report.message);
        match report.weight {
            Weight::Detail => tracing::debug!("{message}"),
            Weight::Event | Weight::Step => tracing::info!("{message}"),
            Weight::BadEvent | Weight::Problem => tracing::warn!("{message}"),
        }
        let severity = match report.weight {
            Weight::BadEvent => Severity::Warning,
            Weight::Event => Severity::Info,
            Weight::Detail | Weight::Problem | Weight::Step => return,
        };
        let Some(left_out) = self.take(now) else {
            return;
        };
        let notice = match left_out {
            0 => Notice::new(severity, Category::Nmos, message),
            left_out => {
                let message =
                    format!("{message} ({left_out} messages before this one are in the log alone)");
                Notice::new(severity, Category::Nmos, message).with("left_out", left_out)
            }
        };
        nmos.node().events().raise(notice);
    }

    /// How many messages were left out before this one; nothing when this one is left out too.
    fn take(&mut self, now: Instant) -> Option<u64> {
        while self.left < EVENTS_MAX
            && now.saturating_duration_since(self.filled_at) >= EVENT_PERIOD
        {
            self.left += 1;
            self.filled_at += EVENT_PERIOD;
        }
        if self.left == EVENTS_MAX {
            self.filled_at = now;
        }
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Events in a row: enough for every registry of a large plant to be found and named.
const EVENTS_MAX: u32 = 64;

/// For each such time one more: a day of trouble leaves room in the 1,024 events that are kept.
const EVENT_PERIOD: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_costs_so_many_events_and_says_what_it_left_out() {
        let start = Instant::now();
        let mut voice = Voice::new(start);
        let told = (0..1_000).filter(|_| voice.take(start).is_some());
        assert_eq!(told.count(), 64);
        let later = start + Duration::from_secs(119);
        assert_eq!(voice.take(later), None);
        let later = start + Duration::from_secs(120);
        assert_eq!(voice.take(later), Some(1_000 - 64 + 1));
        assert_eq!(voice.take(later), None);
        // An hour of silence gives back thirty, a day all of them and no more.
        let hour = later + Duration::from_secs(3_600);
        assert_eq!((0..100).filter(|_| voice.take(hour).is_some()).count(), 30);
        let day = hour + Duration::from_secs(86_400);
        assert_eq!((0..100).filter(|_| voice.take(day).is_some()).count(), 64);
    }
}
