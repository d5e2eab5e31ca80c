//! Which acknowledgement is due when (draft 4.8.1).

use crate::delivery::RoundTrip;
use crate::time::Micros;
use crate::wire::SeqNumber;

/// Full acknowledgements every 10 ms while they say something new, light ones every 64 packets in between.
#[derive(Debug)]
pub(super) struct Acknowledgements {
    due: Due,
    /// Number of the last full acknowledgement.
    number: u32,
    /// Full acknowledgements that were not answered yet, the newest by number.
    sent: [Sent; SENT],
    /// What the last full one said, and when.
    last: SeqNumber,
    last_at: Micros,
    /// What the last one, full or light, said.
    said: SeqNumber,
    /// What the far end has confirmed to know.
    confirmed: SeqNumber,
    /// Packets since the last acknowledgement.
    packets: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    Nothing,
    Light,
    Full,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Zero when it was answered.
    number: u32,
    at: Micros,
    acknowledged: SeqNumber,
}

impl Acknowledgements {
    /// Nothing but that the stream starts at `first`.
    pub(super) const fn new(first: SeqNumber) -> Self {
        Self {
            due: Due::Nothing,
            number: 0,
            sent: [Sent {
                number: 0,
                at: Micros::ZERO,
                acknowledged: first,
            }; SENT],
            last: first,
            last_at: Micros::ZERO,
            said: first,
            confirmed: first,
            packets: 0,
        }
    }

    /// A packet of the stream arrived.
    #[inline]
    pub(super) fn arrived(&mut self) {
        self.packets += 1;
        //= draft-sharabayko-srt 4.8.1: after 64 packets the receiver sends a light ACK
        if self.packets >= LIGHT_EVERY {
            self.packets = 0;
            if self.due == Due::Nothing {
                self.due = Due::Light;
            }
        }
    }

    /// Ten milliseconds have passed, and `acknowledged` is what could be said.
    pub(super) fn tick(&mut self, now: Micros, acknowledged: SeqNumber, rtt: &RoundTrip) {
        if !rtt.is_measured() {
            // Also when nothing new can be said because the first packets are missing: until the round-trip time is
            // known, lost packets are asked for far too late.
            self.due = Due::Full;
            return;
        }
        if acknowledged == self.confirmed {
            return;
        }
        //= draft-sharabayko-srt 4.8.1: ACKs are sent until the ACKACK confirms them
        if acknowledged != self.last || now.since(self.last_at) >= rtt.reply_time(4) {
            self.due = Due::Full;
        }
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.due != Due::Nothing
    }

    /// The number of the acknowledgement to send now, which says `acknowledged`; zero for a light one.
    pub(super) fn take_due(&mut self, now: Micros, acknowledged: SeqNumber) -> Option<u32> {
        let due = std::mem::replace(&mut self.due, Due::Nothing);
        match due {
            Due::Nothing => None,
            Due::Light if acknowledged == self.said => None,
            Due::Light => {
                self.said = acknowledged;
                Some(0)
            }
            Due::Full => {
                self.number = self.number.checked_add(1).unwrap_or(1);
                self.sent[self.number as usize % SENT] = Sent {
                    number: self.number,
                    at: now,
                    acknowledged,
                };
                self.last = acknowledged;
                self.last_at = now;
                self.said = acknowledged;
                self.packets = 0;
                Some(self.number)
            }
        }
    }

    /// The far end answered acknowledgement `number`; how long that took, or `None` when it was not sent, was answered
    /// already, or is too old.
    pub(super) fn answered(&mut self, now: Micros, number: u32) -> Option<Micros> {
        let sent = &mut self.sent[number as usize % SENT];
        if number == 0 || sent.number != number {
            return None;
        }
        sent.number = 0;
        if sent.acknowledged.is_after(self.confirmed) {
            self.confirmed = sent.acknowledged;
        }
        Some(now.since(sent.at))
    }

    /// Whether the far end knows that `acknowledged` is what has arrived.
    pub(super) fn is_confirmed(&self, acknowledged: SeqNumber) -> bool {
        self.confirmed == acknowledged
    }
}

const LIGHT_EVERY: u32 = 64;

/// Acknowledgements that can be under way: ten seconds of them, which is the longest round-trip time.
const SENT: usize = 1_024;
