//! Listeners: many callers on one port, each with its own connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bilbycast_srt::Micros;
use bilbycast_srt::handshake::{Action, Listener, RejectReason, Request, Settings};
use bilbycast_srt::wire::{Packet, SocketId, destination_of};

use super::dialler::reason;
use super::leg::{Random, SrtNotice};
use super::peer::Peer;
use super::settings::LegSettingsError;
use super::totals::Totals;

/// An end that waits for callers.
#[derive(Debug)]
pub(super) struct Answerer {
    listener: Listener,
    settings: Settings,
    peers: BTreeMap<SocketId, Peer>,
    peers_max: usize,
    /// Callers are sent to, so they have to acknowledge soon.
    sends: bool,
    /// Answers to handshakes that wait to be sent.
    replies: Vec<(SocketAddr, Vec<u8>)>,
    /// Where sending goes on when there was no room for all.
    next: Option<SocketId>,
    /// Refusals that were told in this second, and when it began.
    told: (u32, Micros),
}

/// Callers that one output serves.
pub(super) const CALLERS_MAX: usize = 256;

/// Answers that wait at the same time; a flood of questions gets no more.
const REPLIES_MAX: usize = 256;

/// An input takes a new caller in place of one that was silent for this long: the same encoder after a restart, as a rule.
const SILENT: Micros = Micros::from_secs(3);

/// Refusals that are told in a second; the others are counted.
const REFUSALS_TOLD: u32 = 3;

impl Answerer {
    pub(super) fn new(
        settings: Settings,
        sends: bool,
        random: &mut Random,
        secret: &[u8; 32],
        now: Micros,
    ) -> Result<Self, LegSettingsError> {
        let socket = SocketId(random.not_zero());
        let listener = Listener::new(settings.clone(), socket, secret, now)?;
        Ok(Self {
            listener,
            settings,
            peers: BTreeMap::new(),
            peers_max: if sends { CALLERS_MAX } else { 1 },
            sends,
            replies: Vec::new(),
            next: None,
            told: (0, now),
        })
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    pub(super) fn peers_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.values_mut()
    }

    /// Whether it has to be looked at soon.
    pub(super) fn is_pending(&self, now: Micros) -> bool {
        !self.replies.is_empty() || self.peers.values().any(|peer| peer.is_pending(now))
    }

    pub(super) fn handle(
        &mut self,
        now: Micros,
        from: SocketAddr,
        datagram: &mut [u8],
        random: &mut Random,
        totals: &mut Totals,
        tell: &mut impl FnMut(SrtNotice),
    ) {
        if let Some(peer) = destination_of(datagram).and_then(|socket| self.peers.get_mut(&socket))
        {
            // Whoever does not send from where the caller called is somebody else.
            if peer.address == from {
                peer.handle(now, datagram);
            }
            return;
        }
        if self.replies.len() >= REPLIES_MAX {
            return;
        }
        let Ok(packet) = Packet::parse(datagram) else {
            return;
        };
        let mut buffer = [0; bilbycast_srt::handshake::HANDSHAKE_PACKET_BYTES_MAX];
        let reply = match self.listener.handle(now, from, &packet, &mut buffer) {
            Action::Ignore => 0,
            Action::Reply(bytes) => bytes,
            Action::Accept(request) => {
                self.answer(now, from, *request, &mut buffer, random, totals, tell)
            }
        };
        if let Some(reply) = buffer.get(..reply).filter(|reply| !reply.is_empty()) {
            self.replies.push((from, reply.to_vec()));
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what the caller of its only caller has"
    )]
    fn answer(
        &mut self,
        now: Micros,
        from: SocketAddr,
        request: Request,
        buffer: &mut [u8],
        random: &mut Random,
        totals: &mut Totals,
        tell: &mut impl FnMut(SrtNotice),
    ) -> usize {
        if !self.make_room(now, totals, tell) {
            totals.rejected += 1;
            self.tell_refusal(now, from, RejectReason::OVERLOAD, tell);
            return self
                .listener
                .reject(now, request, RejectReason::OVERLOAD, buffer);
        }
        let socket = self.free_socket(random);
        match self
            .listener
            .accept(now, request, &self.settings, socket, buffer)
        {
            Ok(accepted) => {
                totals.connects += 1;
                tell(SrtNotice::Connected {
                    remote: from,
                    stream_id: accepted.negotiated.stream_id.clone(),
                });
                let peer = Peer::new(*accepted.negotiated, &self.settings, from, now);
                self.peers.insert(socket, peer);
                accepted.reply
            }
            Err(refused) => {
                totals.rejected += 1;
                self.tell_refusal(now, from, refused.reason, tell);
                refused.reply
            }
        }
    }

    /// Whether there is room for one more caller; an input gives up one that is silent for it.
    fn make_room(
        &mut self,
        now: Micros,
        totals: &mut Totals,
        tell: &mut impl FnMut(SrtNotice),
    ) -> bool {
        if self.peers.len() < self.peers_max {
            return true;
        }
        if self.sends {
            return false;
        }
        let silent = self
            .peers
            .extract_if(.., |_, peer| now.since(peer.heard) >= SILENT);
        for (_, peer) in silent {
            self.listener.forget(peer.address, peer.far);
            totals.add(&peer.connection.stats(now));
            tell(SrtNotice::Lost {
                remote: peer.address,
                reason: "silent while another caller came",
            });
        }
        self.peers.len() < self.peers_max
    }

    fn free_socket(&self, random: &mut Random) -> SocketId {
        loop {
            let socket = SocketId(random.not_zero());
            if !self.peers.contains_key(&socket) {
                return socket;
            }
        }
    }

    /// Does what is due; what began or ended is told.
    pub(super) fn tick(
        &mut self,
        now: Micros,
        totals: &mut Totals,
        tell: &mut impl FnMut(SrtNotice),
    ) {
        let sends = self.sends;
        for peer in self.peers.values_mut() {
            if !peer.tick(now) {
                continue;
            }
            if sends && peer.is_stale(now) {
                tell(SrtNotice::Stale {
                    remote: peer.address,
                });
                peer.connection.close(now);
            }
        }
        let ended = self.peers.extract_if(.., |_, peer| {
            // What has arrived is still delivered.
            peer.is_over() && peer.connection.next_delivery().is_none()
        });
        for (_, peer) in ended {
            self.listener.forget(peer.address, peer.far);
            totals.add(&peer.connection.stats(now));
            tell(SrtNotice::Lost {
                remote: peer.address,
                reason: reason(peer.connection.state()),
            });
        }
    }

    /// The next datagram to send, in `out`, and where to.
    pub(super) fn transmit(&mut self, now: Micros, out: &mut [u8]) -> Option<(usize, SocketAddr)> {
        if let Some((dest, reply)) = self.replies.pop() {
            let room = out.get_mut(..reply.len())?;
            room.copy_from_slice(&reply);
            return Some((reply.len(), dest));
        }
        let start = self.next.unwrap_or(SocketId::NONE);
        for (socket, peer) in self.peers.range_mut(start..) {
            if let Some(length) = peer.transmit(now, out) {
                self.next = Some(*socket);
                return Some((length, peer.address));
            }
        }
        self.next = None;
        None
    }

    fn tell_refusal(
        &mut self,
        now: Micros,
        remote: SocketAddr,
        reason: RejectReason,
        tell: &mut impl FnMut(SrtNotice),
    ) {
        let (told, since) = &mut self.told;
        if now.since(*since) >= Micros::from_secs(1) {
            (*told, *since) = (0, now);
        }
        *told += 1;
        if *told <= REFUSALS_TOLD {
            tell(SrtNotice::Refused {
                remote,
                reason: reason.to_string(),
            });
        }
    }
}
