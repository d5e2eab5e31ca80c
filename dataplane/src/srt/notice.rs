//! What a leg has to tell.

use std::net::SocketAddr;

use bilbycast_srt::Micros;

/// Something that began or ended on a leg. Told once each time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SrtNotice {
    /// A connection was made.
    Connected {
        /// The far end.
        remote: SocketAddr,
        /// What the caller asked for.
        stream_id: Option<String>,
    },
    /// Attempts to connect fail.
    ConnectFailed {
        /// The far end.
        remote: SocketAddr,
        /// Why.
        reason: String,
        /// How often in a row.
        failures: u32,
    },
    /// A connection ended.
    Lost {
        /// The far end.
        remote: SocketAddr,
        /// Why.
        reason: &'static str,
    },
    /// A caller was refused.
    Refused {
        /// The far end.
        remote: SocketAddr,
        /// Why.
        reason: String,
    },
    /// A caller does not acknowledge what it is sent.
    Stale {
        /// The far end.
        remote: SocketAddr,
    },
    /// Connections come and go faster than is told: so many were not told in the last second.
    Untold {
        /// How many.
        notices: u64,
    },
    /// Packets are given up because they are too late: so many in the last second.
    TooLate {
        /// How many.
        packets: u64,
    },
    /// Messages do not fit into a packet and are not sent: so many in the last second.
    TooLong {
        /// How many.
        packets: u64,
        /// Bytes of the longest message.
        bytes: usize,
        /// Bytes that fit.
        bytes_max: usize,
    },
    /// Packets cannot be decrypted: so many in the last second.
    Undecryptable {
        /// How many.
        packets: u64,
    },
    /// The far end cannot decrypt what it is sent.
    KeyRefused {
        /// The far end.
        remote: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The far end does not confirm the new key that is due; the old one stays in use.
    KeyOverdue {
        /// The far end.
        remote: SocketAddr,
    },
}

/// The notices of a leg that wait to be told, and how many may be.
#[derive(Debug)]
pub(super) struct Notices {
    waiting: Vec<SrtNotice>,
    comings: Allowance,
    refusals: Allowance,
    untold: u64,
    is_untold_told: bool,
}

/// How often something is told.
#[derive(Debug)]
struct Allowance {
    left: u64,
    at_once: u64,
    interval: Micros,
    since: Micros,
}

/// Notices that wait to be told; what comes on top is told by the counters alone.
const WAITING_MAX: usize = 64;

impl Notices {
    pub(super) const fn new(now: Micros) -> Self {
        Self {
            waiting: Vec::new(),
            // A node keeps 1,024 events: no leg may push out those of all others, and far ends decide when they come and go.
            comings: Allowance::new(now, 64, Micros::from_millis(500)),
            refusals: Allowance::new(now, 3, Micros::from_millis(333)),
            untold: 0,
            is_untold_told: false,
        }
    }

    /// Takes what is to be told, if there was not too much of its kind.
    pub(super) fn tell(&mut self, now: Micros, notice: SrtNotice) {
        let is_allowed = match &notice {
            SrtNotice::Connected { .. } | SrtNotice::Lost { .. } | SrtNotice::Stale { .. } => {
                let is_allowed = self.comings.take(now);
                self.untold += u64::from(!is_allowed);
                is_allowed
            }
            SrtNotice::Refused { .. } => self.refusals.take(now),
            _ => true,
        };
        if is_allowed && self.waiting.len() < WAITING_MAX {
            self.waiting.push(notice);
        }
    }

    /// Says once that something was not told; called once a second.
    pub(super) fn second(&mut self, now: Micros) {
        let notices = std::mem::take(&mut self.untold);
        let is_new = notices > 0 && !self.is_untold_told;
        self.is_untold_told = notices > 0;
        if is_new {
            self.tell(now, SrtNotice::Untold { notices });
        }
    }

    /// Takes the notices that wait.
    pub(super) fn take(&mut self) -> Vec<SrtNotice> {
        std::mem::take(&mut self.waiting)
    }
}

impl Allowance {
    const fn new(now: Micros, at_once: u64, interval: Micros) -> Self {
        Self {
            left: at_once,
            at_once,
            interval,
            since: now,
        }
    }

    fn take(&mut self, now: Micros) -> bool {
        let earned = now.since(self.since).0 / self.interval.0;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(self.at_once);
            self.since += Micros(earned.saturating_mul(self.interval.0));
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_ends_that_come_and_go_are_told_in_bounds_and_that_they_do_once() {
        let mut notices = Notices::new(Micros::ZERO);
        let remote: SocketAddr = "192.0.2.1:9000".parse().unwrap();
        let mut told = Vec::new();
        for second in 0..60 {
            for tenth in 0..10 {
                let now = Micros::from_millis(1_000 * second + 100 * tenth);
                for _ in 0..20 {
                    let reason = "closed by the far end";
                    notices.tell(now, SrtNotice::Lost { remote, reason });
                    let reason = "wrong passphrase".to_owned();
                    notices.tell(now, SrtNotice::Refused { remote, reason });
                }
                told.extend(notices.take());
            }
            notices.second(Micros::from_secs(second + 1));
        }
        told.extend(notices.take());
        let count =
            |wanted: fn(&SrtNotice) -> bool| told.iter().filter(|told| wanted(told)).count();
        let lost = count(|told| matches!(told, SrtNotice::Lost { .. }));
        assert!((150..=190).contains(&lost), "{lost}");
        let refused = count(|told| matches!(told, SrtNotice::Refused { .. }));
        assert!((170..=190).contains(&refused), "{refused}");
        assert_eq!(count(|told| matches!(told, SrtNotice::Untold { .. })), 1);
        let remote = "192.0.2.2:9000".parse().unwrap();
        notices.tell(Micros::from_secs(61), SrtNotice::Stale { remote });
        assert_eq!(notices.take(), [SrtNotice::Stale { remote }], "told again");
    }
}
