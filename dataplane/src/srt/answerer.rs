//! Listeners: many callers on one port, each with its own connection.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bilbycast_srt::Micros;
use bilbycast_srt::handshake::{Action, Listener, RejectReason, Request, Settings};
use bilbycast_srt::wire::{Packet, SocketId, destination_of};

use super::dialler::reason;
use super::leg::Lent;
use super::notice::SrtNotice;
use super::peer::Peer;
use super::random::Random;
use super::settings::LegSettingsError;

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
    /// Callers that wait for a key to be derived, and since when.
    requests: VecDeque<(Micros, Box<Request>)>,
    /// Where sending goes on when there was no room for all.
    next: Option<SocketId>,
}

/// Callers that one output serves.
pub(super) const CALLERS_MAX: usize = 256;

/// Answers that wait at the same time; a flood of questions gets no more.
const REPLIES_MAX: usize = 256;

/// An input takes a new caller in place of one that was silent for this long: the same encoder after a restart, as a rule.
const SILENT: Micros = Micros::from_secs(3);

/// Callers that wait for a key at the same time. They ask again, so that those who find no room are late and not lost.
const REQUESTS_MAX: usize = 128;

/// A caller that has waited for this long has given up.
const REQUEST_AGE_MAX: Micros = Micros::from_secs(3);

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
            requests: VecDeque::new(),
            next: None,
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
        !self.replies.is_empty()
            || !self.requests.is_empty()
            || self.peers.values().any(|peer| peer.is_pending(now))
    }

    pub(super) fn handle(
        &mut self,
        now: Micros,
        from: SocketAddr,
        datagram: &mut [u8],
        lent: &mut Lent<'_>,
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
                let needs_key = request.is_encrypted() && self.settings.passphrase.is_some();
                if needs_key && self.has_room(now, lent) {
                    self.wait_for_key(now, request);
                    return;
                }
                self.answer(now, *request, &mut buffer, lent)
            }
        };
        self.reply(from, buffer.get(..reply));
    }

    fn reply(&mut self, to: SocketAddr, bytes: Option<&[u8]>) {
        if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
            self.replies.push((to, bytes.to_vec()));
        }
    }

    fn wait_for_key(&mut self, now: Micros, request: Box<Request>) {
        let who = |request: &Request| (request.from(), request.socket(), request.sequence());
        let is_known = |(_, other): &(Micros, Box<Request>)| who(other) == who(&request);
        if self.requests.len() < REQUESTS_MAX && !self.requests.iter().any(is_known) {
            self.requests.push_back((now, request));
        }
    }

    /// Answers callers that wait for a key, as many as may have one.
    fn answer_waiting(&mut self, now: Micros, lent: &mut Lent<'_>) {
        while let Some((since, _)) = self.requests.front() {
            if now.since(*since) < REQUEST_AGE_MAX
                && (self.replies.len() >= REPLIES_MAX || !lent.may_derive(now))
            {
                return;
            }
            let Some((since, request)) = self.requests.pop_front() else {
                return;
            };
            if now.since(since) < REQUEST_AGE_MAX {
                let from = request.from();
                let mut buffer = [0; bilbycast_srt::handshake::HANDSHAKE_PACKET_BYTES_MAX];
                let reply = self.answer(now, *request, &mut buffer, lent);
                self.reply(from, buffer.get(..reply));
            }
        }
    }

    /// Accepts or refuses a caller. Returns how many bytes of `buffer` to send to it.
    fn answer(
        &mut self,
        now: Micros,
        request: Request,
        buffer: &mut [u8],
        lent: &mut Lent<'_>,
    ) -> usize {
        let from = request.from();
        if !self.has_room(now, lent) {
            lent.totals.rejected += 1;
            let (code, reason) = if self.sends {
                let code = RejectReason::OVERLOAD;
                let reason = format!("{CALLERS_MAX} callers are there already ({})", code.code());
                (code, reason)
            } else {
                (RejectReason::CONFLICT, RejectReason::CONFLICT.to_string())
            };
            lent.tell_refusal(now, from, reason);
            return self.listener.reject(now, request, code, buffer);
        }
        let socket = self.free_socket(lent.random);
        match self
            .listener
            .accept(now, request, &self.settings, socket, buffer)
        {
            Ok(accepted) => {
                self.make_room(now, lent);
                lent.totals.connects += 1;
                let stream_id = accepted.negotiated.stream_id.clone();
                lent.notices.tell(
                    now,
                    SrtNotice::Connected {
                        remote: from,
                        stream_id,
                    },
                );
                let peer = Peer::new(*accepted.negotiated, &self.settings, from, now);
                self.peers.insert(socket, peer);
                accepted.reply
            }
            Err(refused) => {
                lent.totals.rejected += 1;
                let detail = refused
                    .stream_id
                    .map_or_else(String::new, |mismatch| format!(": {mismatch}"));
                lent.tell_refusal(now, from, format!("{}{detail}", refused.reason));
                refused.reply
            }
        }
    }

    /// Whether there is room for one more caller; an input gives up one that is silent for it.
    fn has_room(&mut self, now: Micros, lent: &mut Lent<'_>) -> bool {
        if self.peers.len() < self.peers_max {
            return true;
        }
        self.end_over(now, lent);
        let is_silent = |peer: &Peer| now.since(peer.heard) >= SILENT;
        self.peers.len() < self.peers_max || !self.sends && self.peers.values().any(is_silent)
    }

    /// Makes room for a caller that was accepted: only one that fits takes the place of another.
    fn make_room(&mut self, now: Micros, lent: &mut Lent<'_>) {
        if self.peers.len() < self.peers_max {
            return;
        }
        let silent = self
            .peers
            .extract_if(.., |_, peer| now.since(peer.heard) >= SILENT);
        for (_, peer) in silent {
            self.listener.forget(peer.address, peer.far);
            lent.end(now, peer, "silent while another caller came");
        }
    }

    /// Parts with connections that are over: they take no place that a caller could have.
    fn end_over(&mut self, now: Micros, lent: &mut Lent<'_>) {
        for (_, peer) in self.peers.extract_if(.., |_, peer| peer.is_over()) {
            self.listener.forget(peer.address, peer.far);
            let reason = reason(peer.connection.state());
            lent.end(now, peer, reason);
        }
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
    pub(super) fn tick(&mut self, now: Micros, lent: &mut Lent<'_>) {
        self.answer_waiting(now, lent);
        let sends = self.sends;
        for peer in self.peers.values_mut() {
            if !peer.tick(now) {
                continue;
            }
            if sends && peer.is_stale(now) {
                let remote = peer.address;
                lent.notices.tell(now, SrtNotice::Stale { remote });
                peer.close(now);
            }
        }
        self.end_over(now, lent);
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
}
