//! Events that recur at an exact rate, told in packet slots of the multiplex.

/// The slots at which one kind of packet becomes due.
///
/// Event 0 is due at slot `first`, event `n` at slot
/// `first + floor(n * slots_num / slots_den) - early`: each is computed from its own number, so
/// rounding never adds up.
#[derive(Debug)]
pub(super) struct Cadence {
    slots_num: u128,
    slots_den: u128,
    first: u64,
    early: u64,
    events: u64,
    next_slot: u64,
}

impl Cadence {
    /// Events `slots_num / slots_den` slots apart, the first at slot `first`.
    pub(super) fn new(slots_num: u128, slots_den: u128, first: u64) -> Self {
        Self {
            slots_num,
            slots_den,
            first,
            early: 0,
            events: 0,
            next_slot: first,
        }
    }

    /// The same with all events behind the first `slots` slots earlier, less than the interval.
    /// Cadences of one rate that start together then do not stay in step.
    pub(super) fn early_by(self, slots: u64) -> Self {
        Self {
            early: slots,
            ..self
        }
    }

    /// Slot at which the next event is due.
    pub(super) fn next_slot(&self) -> u64 {
        self.next_slot
    }

    /// Takes the event that is due and moves on to the next one.
    pub(super) fn advance(&mut self) {
        self.events += 1;
        let slots = u128::from(self.events) * self.slots_num / self.slots_den;
        self.next_slot = (self.first + slots as u64).saturating_sub(self.early);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(mut cadence: Cadence) -> [u64; 5] {
        std::array::from_fn(|_| {
            let slot = cadence.next_slot();
            cadence.advance();
            slot
        })
    }

    #[test]
    fn events_keep_to_the_exact_rate() {
        assert_eq!(slots(Cadence::new(7, 2, 3)), [3, 6, 10, 13, 17]);
        assert_eq!(slots(Cadence::new(7, 2, 3).early_by(2)), [3, 4, 8, 11, 15]);
    }
}
