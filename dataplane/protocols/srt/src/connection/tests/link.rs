//! A network of one direction, reproducible by its seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Micros;

/// What a link does to datagrams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    /// Share of datagrams that are lost.
    pub(super) loss: f64,
    pub(super) delay: Micros,
    /// Up to this much is added to the delay, evenly distributed.
    pub(super) jitter: Micros,
    /// Whether jitter may change the order.
    pub(super) reorder: bool,
    /// Share of datagrams that arrive twice.
    pub(super) duplication: f64,
    /// Bytes per second; zero is unlimited.
    pub(super) rate: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            loss: 0.0,
            delay: Micros::from_millis(20),
            jitter: Micros::ZERO,
            reorder: false,
            duplication: 0.0,
            rate: 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) conditions: Conditions,
    random: Random,
    under_way: BinaryHeap<Reverse<(Micros, u64, Vec<u8>)>>,
    count: u64,
    busy_until: Micros,
    newest: Micros,
    /// Data packets of the stream: sent, lost.
    pub(super) data: (u64, u64),
    /// Loses every datagram for which it answers true.
    pub(super) filter: Option<fn(&[u8]) -> bool>,
}

impl Link {
    pub(super) fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            random: Random(seed | 1),
            under_way: BinaryHeap::new(),
            count: 0,
            busy_until: Micros::ZERO,
            newest: Micros::ZERO,
            data: (0, 0),
            filter: None,
        }
    }

    pub(super) fn send(&mut self, now: Micros, datagram: &[u8]) {
        let is_data = datagram[0] & 0x80 == 0;
        self.data.0 += u64::from(is_data);
        let filtered = self.filter.is_some_and(|filter| filter(datagram));
        if filtered || self.random.happens(self.conditions.loss) {
            self.data.1 += u64::from(is_data);
            return;
        }
        let copies = if self.random.happens(self.conditions.duplication) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut at = now;
            let bytes = datagram.len() as u64;
            if let Some(sending_us) = (bytes * 1_000_000).checked_div(self.conditions.rate) {
                at = self.busy_until.max(now) + Micros(sending_us);
                self.busy_until = at;
            }
            at += self.conditions.delay + Micros(self.random.below(self.conditions.jitter.0 + 1));
            if !self.conditions.reorder {
                at = at.max(self.newest);
                self.newest = at;
            }
            self.count += 1;
            self.under_way
                .push(Reverse((at, self.count, datagram.to_vec())));
        }
    }

    pub(super) fn next_arrival(&self) -> Option<Micros> {
        self.under_way.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn receive(&mut self, now: Micros) -> Option<Vec<u8>> {
        if self.next_arrival()? > now {
            return None;
        }
        self.under_way.pop().map(|Reverse((.., datagram))| datagram)
    }
}

/// xorshift64*.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn happens(&mut self, share: f64) -> bool {
        (self.next() >> 11) as f64 / ((1_u64 << 53) as f64) < share
    }
}
