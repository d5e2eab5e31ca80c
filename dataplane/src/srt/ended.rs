//! Connections that are over, and what is left of them.

use std::collections::VecDeque;

use bilbycast_srt::{Micros, Stats};

use super::peer::{Peer, SOON};
use super::totals::Totals;

/// Connections of an input whose last messages still wait for their time, and the figures of the last one.
///
/// They take nobody's place: the far end may be back while what it sent before is still delivered.
#[derive(Debug)]
pub(super) struct Ended {
    /// Somebody takes what has arrived.
    delivers: bool,
    /// In the order of their ends.
    peers: VecDeque<Peer>,
    last: Option<(Micros, Stats)>,
}

/// Connections that are delivered from at the same time; of more, the oldest is given up. Far ends that do not last are
/// dialled, and dial, far less often.
const ENDED_MAX: usize = 4;

impl Ended {
    pub(super) const fn new(delivers: bool) -> Self {
        Self {
            delivers,
            peers: VecDeque::new(),
            last: None,
        }
    }

    /// Takes a connection that ended at `now`.
    pub(super) fn take(&mut self, now: Micros, peer: Peer, totals: &mut Totals) {
        self.last = Some((now, peer.connection.stats(now)));
        self.peers.push_back(peer);
        if self.peers.len() > ENDED_MAX
            && let Some(oldest) = self.peers.pop_front()
        {
            totals.add(&oldest.connection.stats(now));
        }
        self.tick(now, totals);
    }

    /// Lets those go that have nothing left.
    pub(super) fn tick(&mut self, now: Micros, totals: &mut Totals) {
        if self.peers.is_empty() {
            return;
        }
        self.peers.retain(|peer| {
            let has_more = self.delivers && peer.connection.next_delivery().is_some();
            if !has_more {
                totals.add(&peer.connection.stats(now));
            }
            has_more
        });
    }

    /// The next message whose time has come: its length in `room`, and when it was due.
    pub(super) fn deliver(&mut self, now: Micros, room: &mut [u8]) -> Option<(usize, Micros)> {
        self.peers
            .iter_mut()
            .find_map(|peer| peer.deliver(now, room))
    }

    /// Whether a message is due soon.
    pub(super) fn is_pending(&self, now: Micros) -> bool {
        let due = |peer: &Peer| peer.connection.next_delivery();
        self.peers
            .iter()
            .filter_map(due)
            .any(|due| due <= now + SOON)
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    /// When the last connection ended, and what it counted until then.
    pub(super) const fn last(&self) -> Option<&(Micros, Stats)> {
        self.last.as_ref()
    }
}
