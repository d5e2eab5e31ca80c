//! Rendezvous: both sides call each other (draft 4.3.2).

use std::net::IpAddr;

use super::exchange::{
    Extensions, KmReply, Latencies, Local, Offer, Part, agree, conclude_keys, initiate_keys,
    initiator_key_length, respond_keys, response_latencies,
};
use super::message::{Fields, Message};
use super::{
    Negotiated, Outcome, REPEAT_INTERVAL, RejectReason, Rejection, Settings, SettingsError,
};
use crate::crypto::{Announcement, CryptoState};
use crate::time::Micros;
use crate::wire::{
    BufferTooSmall, Control, ControlPacket, ExtensionField, Handshake, HandshakeKind, Packet,
    SeqNumber, SocketId, Timestamp,
};

/// One of two sides that call each other at the same time.
///
/// Driven like a [`Caller`](super::Caller). After it has connected it is kept for as long as the connection, and goes on
/// to be fed the handshake packets of the peer: one whose last message was lost repeats itself until it is answered. A
/// packet of the connection itself may be what completes the handshake; the driver hands it to the connection after that.
#[derive(Debug)]
pub struct Rendezvous {
    settings: Settings,
    local: Local,
    cookie: u32,
    peer_ip: IpAddr,
    peer: Option<Peer>,
    phase: Phase,
    message: Message,
    deadline: Micros,
    repeat_at: Option<Micros>,
    outcome: Option<Outcome>,
}

/// Who the peer is, and what that makes us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Peer {
    socket: SocketId,
    cookie: u32,
    role: Role,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Initiator,
    Responder,
}

/// States of the draft, Attention split by role.
#[derive(Debug)]
enum Phase {
    /// Nobody has been heard of.
    Waving,
    /// Initiator: the request is out. Attention and Initiated differ in name only.
    Requesting {
        keys: Option<Box<(CryptoState, Announcement)>>,
    },
    /// Responder in Attention: waits for the request.
    Awaiting,
    /// Responder in Initiated: has answered, and waits to hear that the answer has arrived.
    Answered { negotiated: Box<Negotiated> },
    /// Has an outcome, and answers repetitions.
    Connected,
    /// Has failed.
    Failed,
}

impl Rendezvous {
    /// One side with socket id `socket` that will number its packets from `sequence`; both and `cookie` are random,
    /// `socket` is not zero. The peer is at `peer_ip`.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(
        settings: Settings,
        socket: SocketId,
        sequence: SeqNumber,
        cookie: u32,
        peer_ip: IpAddr,
        now: Micros,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let local = Local {
            socket,
            sequence,
            start: now,
        };
        //= draft-sharabayko-srt 4.3.2.1: Version 5, Extension field 0, advertised key length, cookie
        let message = Message::new(
            Fields::new(&settings, &local, peer_ip)
                .advertise(&settings)
                .cookie(cookie),
        );
        Ok(Self {
            deadline: now + settings.connect_timeout,
            settings,
            local,
            cookie,
            peer_ip,
            peer: None,
            phase: Phase::Waving,
            message,
            repeat_at: Some(now),
            outcome: None,
        })
    }

    /// Our socket id.
    #[must_use]
    pub const fn socket(&self) -> SocketId {
        self.local.socket
    }

    /// Takes a packet from the peer's address.
    pub fn handle(&mut self, now: Micros, packet: &Packet<'_>) {
        let destination = packet.destination();
        let Packet::Control(ControlPacket {
            control: Control::Handshake(handshake),
            ..
        }) = packet
        else {
            //= draft-sharabayko-srt 4.3.2.2: a packet of the connection counts as an AGREEMENT
            if destination == self.local.socket {
                self.confirm();
            }
            return;
        };
        if destination != self.local.socket && destination != SocketId::NONE {
            return;
        }
        match handshake.kind {
            HandshakeKind::Rejection(code) if destination == self.local.socket => {
                self.handle_rejection(RejectReason::from_wire(code));
            }
            HandshakeKind::WaveAHand if self.meet(handshake) => self.repeat_at = Some(now),
            HandshakeKind::Conclusion if self.meet(handshake) => {
                self.handle_conclusion(now, packet, handshake);
            }
            HandshakeKind::Agreement => self.confirm(),
            _ => {}
        }
    }

    /// Writes the packet to be sent to the peer now into `buffer`, and returns its length; `None` when there is none.
    /// `buffer` holds at least [`HANDSHAKE_PACKET_BYTES_MAX`](super::HANDSHAKE_PACKET_BYTES_MAX) bytes.
    ///
    /// # Errors
    /// [`BufferTooSmall`].
    pub fn poll_transmit(
        &mut self,
        now: Micros,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        let settled = matches!(self.phase, Phase::Connected | Phase::Failed);
        if !settled && now >= self.deadline {
            self.phase = Phase::Failed;
            self.repeat_at = None;
            self.outcome = Some(Outcome::TimedOut);
        }
        let Some(due) = self.repeat_at else {
            return Ok(None);
        };
        if now < due {
            return Ok(None);
        }
        let length = self
            .message
            .write(Timestamp::at(now, self.local.start), buffer)?;
        self.repeat_at = (!settled).then(|| now + REPEAT_INTERVAL);
        Ok(Some(length))
    }

    /// When [`Rendezvous::poll_transmit`] has to be called again, if no packet comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        match self.phase {
            Phase::Connected | Phase::Failed => self.repeat_at,
            _ => Some(self.repeat_at.unwrap_or(Micros::MAX).min(self.deadline)),
        }
    }

    /// What the handshake has ended in, once.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// Makes out who the peer is, at its first message and when another one has taken its place; `false` when there is
    /// nothing to be said to it.
    fn meet(&mut self, handshake: &Handshake<'_>) -> bool {
        match (&self.phase, self.peer) {
            (Phase::Failed, _) => return false,
            (Phase::Connected, peer) => {
                return peer.is_some_and(|peer| peer.socket == handshake.socket);
            }
            (_, Some(peer))
                if peer.socket == handshake.socket && peer.cookie == handshake.cookie =>
            {
                return true;
            }
            _ => {}
        }
        if handshake.version < 5 {
            self.refuse(RejectReason::Version, handshake.socket);
            return false;
        }
        if handshake.socket == SocketId::NONE {
            return false;
        }
        let Some(role) = contest(self.cookie, handshake.cookie) else {
            self.refuse(RejectReason::RendezvousCookie, handshake.socket);
            return false;
        };
        self.peer = Some(Peer {
            socket: handshake.socket,
            cookie: handshake.cookie,
            role,
        });
        match role {
            Role::Initiator => self.request(handshake),
            Role::Responder => {
                //= draft-sharabayko-srt 4.3.2.2: the responder sends a CONCLUSION without extensions
                self.phase = Phase::Awaiting;
                self.message = Message::new(
                    self.fields()
                        .kind(HandshakeKind::Conclusion)
                        .extension(ExtensionField::NONE)
                        .to(handshake.socket),
                );
                true
            }
        }
    }

    /// Makes the initiator's request.
    fn request(&mut self, handshake: &Handshake<'_>) -> bool {
        let length = initiator_key_length(&self.settings, handshake.encryption);
        let keys = match initiate_keys(&self.settings, length) {
            Ok(keys) => keys,
            Err(reason) => {
                self.refuse(reason, handshake.socket);
                return false;
            }
        };
        let extensions = Extensions {
            part: Part::Request,
            latencies: Latencies::ours(&self.settings),
            stream_id: None,
            filter: self.settings.packet_filter.as_deref(),
            key_material: keys
                .as_ref()
                .map(|(_, announcement)| announcement.as_bytes()),
        };
        let encryption = keys.as_ref().map_or(0, |_| length.to_field());
        let fields = self
            .fields()
            .kind(HandshakeKind::Conclusion)
            .encryption(encryption)
            .to(handshake.socket);
        match Message::with_extensions(fields, &self.settings, &extensions) {
            Ok(message) => self.message = message,
            Err(_) => {
                self.refuse(RejectReason::Internal, handshake.socket);
                return false;
            }
        }
        self.phase = Phase::Requesting {
            keys: keys.map(Box::new),
        };
        true
    }

    fn handle_conclusion(&mut self, now: Micros, packet: &Packet<'_>, handshake: &Handshake<'_>) {
        let Packet::Control(ControlPacket { timestamp, .. }) = packet else {
            return;
        };
        // Whatever it says, an answer is due: the next message, or the last one again.
        self.repeat_at = Some(now);
        if !handshake.extension.contains(ExtensionField::HSREQ) {
            return;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Waving);
        let result = match phase {
            Phase::Requesting { keys } => Offer::parse(handshake, Part::Response, *timestamp, now)
                .and_then(|offer| {
                    let keys = conclude_keys(&self.settings, keys.map(|keys| *keys), &offer)?;
                    agree(&self.settings, &self.local, &offer, keys, None)
                })
                .map(|negotiated| {
                    self.message = Message::new(
                        self.fields()
                            .kind(HandshakeKind::Agreement)
                            .to(handshake.socket),
                    );
                    self.outcome = Some(Outcome::Connected(Box::new(negotiated)));
                    Phase::Connected
                }),
            Phase::Awaiting => Offer::parse(handshake, Part::Request, *timestamp, now)
                .and_then(|offer| self.respond(&offer))
                .map(|negotiated| Phase::Answered {
                    negotiated: Box::new(negotiated),
                }),
            other => Ok(other),
        };
        match result {
            Ok(phase) => self.phase = phase,
            Err(reason) => self.refuse(reason, handshake.socket),
        }
    }

    /// Makes the responder's answer.
    fn respond(&mut self, offer: &Offer) -> Result<Negotiated, RejectReason> {
        let mut negotiated = agree(&self.settings, &self.local, offer, None, None)?;
        let (keys, reply) = respond_keys(&self.settings, offer)?;
        negotiated.crypto = keys;
        let state;
        let key_material = match reply {
            None => None,
            Some(KmReply::Echo) => offer.key_material.as_deref(),
            Some(KmReply::State(refusal)) => {
                state = refusal.to_wire().to_be_bytes();
                Some(&state[..])
            }
        };
        let extensions = Extensions {
            part: Part::Response,
            latencies: response_latencies(&self.settings, offer),
            stream_id: None,
            filter: negotiated.packet_filter.as_deref(),
            key_material,
        };
        let fields = self
            .fields()
            .kind(HandshakeKind::Conclusion)
            .to(offer.socket);
        self.message = Message::with_extensions(fields, &self.settings, &extensions)
            .map_err(|_| RejectReason::Internal)?;
        Ok(negotiated)
    }

    /// Takes note that the peer has our answer.
    fn confirm(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Connected) {
            Phase::Answered { negotiated } => {
                self.repeat_at = None;
                self.outcome = Some(Outcome::Connected(negotiated));
            }
            other => self.phase = other,
        }
    }

    fn handle_rejection(&mut self, reason: RejectReason) {
        if matches!(self.phase, Phase::Connected | Phase::Failed) {
            return;
        }
        self.phase = Phase::Failed;
        self.repeat_at = None;
        self.outcome = Some(Outcome::Rejected(Rejection {
            reason,
            by_peer: true,
        }));
    }

    fn refuse(&mut self, reason: RejectReason, socket: SocketId) {
        self.message = Message::new(
            self.fields()
                .kind(HandshakeKind::Rejection(reason.to_wire()))
                .to(socket),
        );
        self.repeat_at = Some(Micros::ZERO);
        self.phase = Phase::Failed;
        self.outcome = Some(Outcome::Rejected(Rejection {
            reason,
            by_peer: false,
        }));
    }

    fn fields(&self) -> Fields<'static> {
        Fields::new(&self.settings, &self.local, self.peer_ip)
            .advertise(&self.settings)
            .cookie(self.cookie)
    }
}

/// Who is who; `None` when both cookies are the same.
fn contest(ours: u32, theirs: u32) -> Option<Role> {
    //= draft-sharabayko-srt 4.3.2: the greater cookie is the initiator's, by the sign of the 32-bit difference
    match ours.wrapping_sub(theirs).cast_signed() {
        0 => None,
        1.. => Some(Role::Initiator),
        _ => Some(Role::Responder),
    }
}
