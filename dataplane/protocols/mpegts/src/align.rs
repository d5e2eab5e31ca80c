//! Re-alignment of raw transport stream that arrives in datagrams of any size.
//!
//! Most senders put whole packets into each datagram, and [`TsAligner::take_aligned`] lets those pass
//! without touching a byte. For all others [`TsAligner::push`] finds the packets.

use crate::packet::{SYNC_BYTE, TS_PACKET_SIZE};

/// True when `payload` is one or more whole packets, each beginning with a sync byte.
#[inline]
pub fn is_ts_payload(payload: &[u8]) -> bool {
    let (packets, rest) = payload.as_chunks::<TS_PACKET_SIZE>();
    !packets.is_empty() && rest.is_empty() && packets.iter().all(has_sync_byte)
}

/// What [`TsAligner::push`] could not deliver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Discarded {
    /// Bytes thrown away because they belong to no packet.
    pub bytes: usize,
    /// How often the lock was lost: TS_sync_loss of TR 101 290 1.1.
    pub sync_losses: u32,
}

/// What [`TsAligner::push_each`] finds in the bytes.
#[derive(Clone, Copy, Debug)]
pub enum Aligned<'a> {
    /// The next packet.
    Packet(&'a [u8; TS_PACKET_SIZE]),
    /// The lock was lost behind the last packet: TS_sync_loss of TR 101 290 1.1.
    SyncLoss,
}

/// Cuts a byte stream that arrives in datagrams into transport packets.
///
/// Lock is acquired by five consecutive sync bytes at intervals of 188 and lost by two consecutive
/// wrong ones (ISO/IEC 13818-1 annex G.1, TR 101 290 1.1). Under lock a packet whose sync byte alone
/// is wrong passes through untouched.
///
/// For each datagram, ask [`take_aligned`](Self::take_aligned): if it answers true, the datagram is
/// whole packets and can be used as it is, without copying. Otherwise [`push`](Self::push) it; packets
/// come out in order, and up to [`CARRIED_MAX`](Self::CARRIED_MAX) bytes wait inside for the next
/// datagram. Order is safe: while anything waits inside, `take_aligned` answers false.
///
/// The packets that come out depend on the bytes alone, not on how they were cut into datagrams, and
/// every byte pushed is delivered, discarded or [`carried`](Self::carried). Memory is fixed, nothing
/// allocates.
#[derive(Clone, Debug)]
pub struct TsAligner {
    state: State,
    /// Bytes in use at the front of `buffer`.
    len: usize,
    buffer: [u8; BUFFER_SIZE],
}

impl TsAligner {
    /// Most bytes that wait inside between calls: one less than it takes to see five sync bytes.
    pub const CARRIED_MAX: usize = (SYNC_BYTES_TO_LOCK - 1) * TS_PACKET_SIZE;

    /// Without lock, holding nothing.
    pub const fn new() -> Self {
        Self {
            state: State::Searching { run: 0 },
            len: 0,
            buffer: [0; BUFFER_SIZE],
        }
    }

    /// Like [`is_aligned`](Self::is_aligned); when true, the datagram counts as taken, and five packets
    /// taken in a row establish lock.
    #[inline]
    pub fn take_aligned(&mut self, datagram: &[u8]) -> bool {
        let aligned = self.is_aligned(datagram);
        if aligned && let State::Searching { run } = self.state {
            let run = run + datagram.len() / TS_PACKET_SIZE;
            self.state = if run >= SYNC_BYTES_TO_LOCK {
                State::Locked
            } else {
                State::Searching { run }
            };
        }
        aligned
    }

    /// Feeds bytes and hands each packet that is complete to `sink`.
    pub fn push(
        &mut self,
        datagram: &[u8],
        mut sink: impl FnMut(&[u8; TS_PACKET_SIZE]),
    ) -> Discarded {
        self.push_each(datagram, |found| {
            if let Aligned::Packet(packet) = found {
                sink(packet);
            }
        })
    }

    /// Like [`push`](Self::push), and also tells `sink` between which packets the lock was lost.
    pub fn push_each(&mut self, datagram: &[u8], mut sink: impl FnMut(Aligned<'_>)) -> Discarded {
        let mut discarded = Discarded::default();
        let mut rest = datagram;
        while !rest.is_empty() {
            // What is carried is less than the buffer holds, so each turn takes some bytes.
            let room = &mut self.buffer[self.len..];
            let (taken, left) = rest.split_at(rest.len().min(room.len()));
            room[..taken.len()].copy_from_slice(taken);
            self.len += taken.len();
            rest = left;

            let consumed = drain(
                &self.buffer[..self.len],
                &mut self.state,
                &mut discarded,
                &mut sink,
            );
            self.buffer.copy_within(consumed..self.len, 0);
            self.len -= consumed;
        }
        discarded
    }

    /// Forgets lock and the bytes that wait inside, and returns how many those were.
    pub fn reset(&mut self) -> usize {
        self.state = State::Searching { run: 0 };
        std::mem::take(&mut self.len)
    }

    /// True when `datagram` can be used whole as it is: nothing waits inside, it is one or more whole
    /// packets, and [`push`](Self::push) would deliver each of them at once.
    ///
    /// Without lock every packet must begin with a sync byte, however few they are; `push` would hold
    /// those back until it has seen five. Under lock single wrong sync bytes are let through, except in
    /// the last packet, where the next one decides.
    #[inline]
    pub fn is_aligned(&self, datagram: &[u8]) -> bool {
        if self.len != 0 {
            return false;
        }
        if self.state != State::Locked {
            return is_ts_payload(datagram);
        }
        let (packets, rest) = datagram.as_chunks::<TS_PACKET_SIZE>();
        rest.is_empty()
            && packets.last().is_some_and(has_sync_byte)
            && packets
                .windows(2)
                .all(|pair| pair.iter().any(has_sync_byte))
    }

    /// True when lock is held.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.state == State::Locked
    }

    /// Number of bytes that wait inside, at most [`CARRIED_MAX`](Self::CARRIED_MAX).
    #[inline]
    pub fn carried(&self) -> usize {
        self.len
    }
}

impl Default for TsAligner {
    fn default() -> Self {
        Self::new()
    }
}

/// Lock on the grid of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No lock; `run` packets, fewer than five, have been taken aligned since the last disturbance.
    Searching { run: usize },
    /// A packet begins wherever the last one ended.
    Locked,
}

/// Sync bytes in a row that establish lock.
const SYNC_BYTES_TO_LOCK: usize = 5;

/// The carried bytes and at least a datagram of usual size, so that most pushes take one turn.
const BUFFER_SIZE: usize = 12 * TS_PACKET_SIZE;

/// Delivers and discards what can be decided of `bytes` and returns how many that are.
fn drain(
    bytes: &[u8],
    state: &mut State,
    discarded: &mut Discarded,
    sink: &mut impl FnMut(Aligned<'_>),
) -> usize {
    let mut position = 0;
    loop {
        let rest = &bytes[position..];
        let State::Searching { run } = *state else {
            let Some((packet, behind)) = rest.split_first_chunk() else {
                return position;
            };
            // A wrong sync byte alone is an error of one bit or byte. Until the next one is here there
            // is no telling.
            //= TR 101 290 1.1: sync is lost when two or more consecutive sync bytes are wrong.
            let keeps_lock = has_sync_byte(packet)
                || match behind.first() {
                    Some(&next) => next == SYNC_BYTE,
                    None => return position,
                };
            if keeps_lock {
                sink(Aligned::Packet(packet));
                position += TS_PACKET_SIZE;
            } else {
                *state = State::Searching { run: 0 };
                discarded.sync_losses += 1;
                sink(Aligned::SyncLoss);
            }
            continue;
        };
        // Packets that were taken aligned count; they ended where `rest` begins.
        let missing = SYNC_BYTES_TO_LOCK - run;
        if run > 0 && !may_be_grid(rest, 0, missing) {
            *state = State::Searching { run: 0 };
            continue;
        }
        let offset = (0..rest.len()).find(|&start| may_be_grid(rest, start, missing));
        let skipped = offset.unwrap_or(rest.len());
        discarded.bytes += skipped;
        position += skipped;
        if bytes.len() - position <= (missing - 1) * TS_PACKET_SIZE {
            return position;
        }
        *state = State::Locked;
    }
}

/// True when every byte of `bytes` that would be one of the first `count` sync bytes of a grid that
/// begins at `start` is one; bytes that are not here yet may be.
fn may_be_grid(bytes: &[u8], start: usize, count: usize) -> bool {
    (0..count)
        .map_while(|packet| bytes.get(start + packet * TS_PACKET_SIZE))
        .all(|&byte| byte == SYNC_BYTE)
}

#[inline]
fn has_sync_byte(packet: &[u8; TS_PACKET_SIZE]) -> bool {
    packet[0] == SYNC_BYTE
}

#[cfg(test)]
mod tests;
