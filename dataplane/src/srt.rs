//! SRT on the packet cores: sockets, time and reconnecting around the sans-IO engine of `bilbycast-srt`.
//!
//! * [`leg`]: one UDP socket and what happens on it, in either direction.
//! * `dialler`: callers and rendezvous: dialling, and dialling again.
//! * `answerer`: listeners, with many callers on one port.
//! * `callers`: what is known of each of them.
//! * `peer`: one connection and where it leads.
//! * [`settings`]: from a specification to the engine's settings.
//! * `ended`: connections that are over, until their last message is delivered.
//! * [`notice`]: what a leg has to tell.
//! * `totals`: what is counted over all connections of a leg.
//! * [`derivations`]: how many keys a core derives for far ends.
//! * `random`: numbers that nobody guesses.
//!
//! A leg is driven by its flow: [`leg::SrtLeg::poll`] at each look, then [`leg::SrtLeg::deliver`] or
//! [`leg::SrtLeg::send`], then [`leg::SrtLeg::transmit`].

mod answerer;
mod callers;
pub mod derivations;
mod dialler;
mod ended;
pub mod leg;
pub mod notice;
mod peer;
mod random;
pub mod settings;
mod totals;

use bilbycast_srt::Micros;

use crate::net::clock;

/// One instant on the two clocks that SRT needs.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    /// CLOCK_MONOTONIC.
    pub(crate) now: Micros,
    /// What CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, in nanoseconds.
    ahead_ns: i64,
}

impl Instant {
    /// `now_ns` of CLOCK_MONOTONIC, which is about now.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        let (realtime_ns, monotonic_ns) = (clock::realtime_ns(), clock::monotonic_ns());
        Self {
            now: Micros(now_ns / 1_000),
            ahead_ns: realtime_ns.wrapping_sub(monotonic_ns).cast_signed(),
        }
    }

    /// An instant of CLOCK_MONOTONIC on CLOCK_REALTIME, in nanoseconds.
    pub(crate) fn realtime_ns(self, at: Micros) -> u64 {
        (at.0.saturating_mul(1_000)).saturating_add_signed(self.ahead_ns)
    }

    /// An instant of CLOCK_REALTIME in nanoseconds on CLOCK_MONOTONIC, not later than now.
    pub(crate) fn monotonic(self, realtime_ns: u64) -> Micros {
        let ns = realtime_ns.saturating_add_signed(self.ahead_ns.saturating_neg());
        Micros(ns / 1_000).min(self.now)
    }
}

#[cfg(test)]
mod tests;
