//! How many keys a core derives for far ends.

use std::collections::VecDeque;

use bilbycast_srt::Micros;

/// The derivations that all legs of a core have in common.
///
/// A key that a passphrase and a far end's salt make costs 0.3 to 0.5 ms, which every flow of the core waits for. Whoever
/// asks, and of how many listeners: two at once at most, and one every 5 ms. Legs take turns, so that nobody who asks one of
/// them without end keeps the others from their far ends.
#[derive(Debug)]
pub struct Derivations {
    left: u64,
    since: Micros,
    /// Legs that were put off, and when they last asked; the first one is next.
    waiting: VecDeque<(u64, Micros)>,
}

const AT_ONCE: u64 = 2;
const INTERVAL: Micros = Micros::from_millis(5);

/// A leg that waits asks at each look. One that has not asked for this long is gone, and holds nobody up.
const GONE: Micros = Micros::from_millis(50);

/// Legs that wait at the same time; the others get what is left.
const WAITING_MAX: usize = 256;

impl Derivations {
    /// None has been done.
    #[must_use]
    pub fn new() -> Self {
        Self {
            left: AT_ONCE,
            since: Micros::ZERO,
            waiting: VecDeque::with_capacity(WAITING_MAX),
        }
    }

    /// Whether `leg` may do one at `now`, which then counts.
    pub(super) fn take(&mut self, leg: u64, now: Micros) -> bool {
        let earned = now.since(self.since).0 / INTERVAL.0;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(AT_ONCE);
            self.since += Micros(earned.saturating_mul(INTERVAL.0));
        }
        while self
            .waiting
            .front()
            .is_some_and(|(_, asked)| now.since(*asked) >= GONE)
        {
            self.waiting.pop_front();
        }
        let is_next = self.waiting.front().is_none_or(|(next, _)| *next == leg);
        if self.left > 0 && is_next {
            self.left -= 1;
            self.waiting.pop_front();
            return true;
        }
        if let Some((_, asked)) = self.waiting.iter_mut().find(|(id, _)| *id == leg) {
            *asked = now;
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((leg, now));
        }
        false
    }
}

impl Default for Derivations {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Micros = Micros::from_secs(100);

    #[test]
    fn two_at_once_and_then_one_every_five_milliseconds() {
        let mut derivations = Derivations::new();
        let mut taken = |after_ms| {
            let now = START + Micros::from_millis(after_ms);
            (0..10).filter(|_| derivations.take(1, now)).count()
        };
        assert_eq!(taken(0), 2);
        assert_eq!(taken(4), 0);
        assert_eq!(taken(5), 1);
        assert_eq!(taken(1_000), 2, "what is not used is not saved");
    }

    #[test]
    fn legs_take_turns_and_one_that_is_gone_holds_nobody_up() {
        let mut derivations = Derivations::new();
        let mut taken = [0; 3];
        for millis in 0..1_000 {
            let now = START + Micros::from_millis(millis);
            for (leg, taken) in (0..).zip(&mut taken) {
                // The first one is asked without end, and the last one has gone in between.
                let asks = if leg == 2 && millis >= 500 { 0 } else { 8 };
                *taken += (0..asks).filter(|_| derivations.take(leg, now)).count();
            }
        }
        let [first, second, third] = taken;
        assert!(first.abs_diff(second) <= 12, "{taken:?}");
        assert!(third >= 30, "{taken:?}");
        assert!(first + second + third >= 185, "{taken:?}");
    }
}
