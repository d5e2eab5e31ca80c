//! What a listener has answered.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::message::Message;
use crate::time::Micros;
use crate::wire::{BufferTooSmall, SocketId, Timestamp};

/// A caller's address, socket id and first packet number: the same in every repetition, and new in a new attempt.
pub(super) type Key = (SocketAddr, SocketId, u32);

/// The answers of the last while, bounded; the oldest goes first.
#[derive(Debug, Default)]
pub(super) struct Answered {
    answers: BTreeMap<Key, Answer>,
    order: VecDeque<(Micros, Key)>,
}

/// An answer, to be given again.
#[derive(Debug)]
pub(super) struct Answer {
    message: Message,
    start: Micros,
    until: Micros,
}

impl Answered {
    /// The answer to `key`.
    pub(super) fn find(&mut self, now: Micros, key: &Key) -> Option<&Answer> {
        self.expire(now);
        self.answers.get(key)
    }

    /// Keeps `message`, whose timestamps count from `start`.
    pub(super) fn keep(&mut self, now: Micros, key: Key, message: Message, start: Micros) {
        self.expire(now);
        if self.order.len() >= ANSWERS_MAX {
            self.drop_oldest();
        }
        let until = now + LIFETIME;
        self.order.push_back((until, key));
        self.answers.insert(
            key,
            Answer {
                message,
                start,
                until,
            },
        );
    }

    /// Forgets every answer to the caller at `from` with `socket`.
    pub(super) fn forget(&mut self, from: SocketAddr, socket: SocketId) {
        let range = (from, socket, 0)..=(from, socket, u32::MAX);
        while let Some((key, _)) = self.answers.range(range.clone()).next() {
            let key = *key;
            self.answers.remove(&key);
        }
    }

    /// How many answers are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    fn expire(&mut self, now: Micros) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        // A forgotten key may have been answered anew, and then stays for its own time.
        if let Some((until, key)) = self.order.pop_front()
            && self
                .answers
                .get(&key)
                .is_some_and(|answer| answer.until <= until)
        {
            self.answers.remove(&key);
        }
    }
}

impl Answer {
    /// Writes the answer to `buffer`, stamped with the present time: the caller takes it for the base of delivery.
    pub(super) fn write(&self, now: Micros, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        self.message.write(Timestamp::at(now, self.start), buffer)
    }
}

/// How long an answer is kept: longer than callers try.
const LIFETIME: Micros = Micros::from_secs(15);

/// Most answers that are kept, of at most 1.4 kB each.
const ANSWERS_MAX: usize = 1_024;
