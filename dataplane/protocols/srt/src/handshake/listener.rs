//! The listener (draft 4.3.1).

use std::net::SocketAddr;

use super::answered::Answered;
use super::cookie::Cookies;
use super::exchange::{
    Extensions, KmReply, Local, Offer, Part, advertised, agree, respond_keys, response_latencies,
};
use super::message::{Fields, Message};
use super::{Negotiated, RejectReason, Settings, SettingsError};
use crate::crypto::{KeyLength, KmState};
use crate::stream_id::{self, StreamIdMismatch};
use crate::time::Micros;
use crate::wire::{
    BufferTooSmall, Control, ExtensionField, Handshake, HandshakeKind, Packet, SeqNumber, SocketId,
    SrtVersion, Timestamp,
};

/// The side that waits for callers, as many as come, on one port.
///
/// It keeps nothing of a caller until that has returned its cookie. After that it keeps the answer that it gave, for a
/// while, so that a caller whose answer was lost gets the same again. Every answer goes to where the question came from.
#[derive(Debug)]
pub struct Listener {
    settings: Settings,
    socket: SocketId,
    start: Micros,
    cookies: Cookies,
    answered: Answered,
}

/// What to do about a packet.
#[derive(Debug)]
pub enum Action {
    /// A caller has returned its cookie and asks for a connection: answer at once, with [`Listener::accept`] or
    /// [`Listener::reject`].
    Accept(Box<Request>),
    /// Nothing.
    Ignore,
    /// Send so many bytes of the buffer to where the packet came from.
    Reply(usize),
}

/// A caller's request for a connection.
#[derive(Debug)]
pub struct Request {
    from: SocketAddr,
    offer: Offer,
    cookie: u32,
    encryption: u16,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// What both ends have agreed upon.
    pub negotiated: Box<Negotiated>,
    /// Bytes of the buffer to send to the caller.
    pub reply: usize,
}

/// A connection that was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Why, as the caller is told.
    pub reason: RejectReason,
    /// What of its stream id does not fit, when that is the reason. The caller is not told.
    pub stream_id: Option<StreamIdMismatch>,
    /// Bytes of the buffer to send to the caller.
    pub reply: usize,
}

impl Listener {
    /// A listener with socket id `socket`, random and not zero; `secret` is random and new for each listener. `settings`
    /// are those that callers are told of before they are known.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(
        settings: Settings,
        socket: SocketId,
        secret: &[u8; 32],
        now: Micros,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            settings,
            socket,
            start: now,
            cookies: Cookies::new(secret),
            answered: Answered::default(),
        })
    }

    /// Takes a packet that is for no connection: its destination is zero, or the listener's socket id.
    ///
    /// An answer is written to the start of `buffer`, which holds at least
    /// [`HANDSHAKE_PACKET_BYTES_MAX`](super::HANDSHAKE_PACKET_BYTES_MAX) bytes; no answer is larger than its question
    /// unless the question had a cookie.
    pub fn handle(
        &mut self,
        now: Micros,
        from: SocketAddr,
        packet: &Packet<'_>,
        buffer: &mut [u8],
    ) -> Action {
        let Packet::Control(packet) = packet else {
            return Action::Ignore;
        };
        if packet.destination != SocketId::NONE && packet.destination != self.socket {
            return Action::Ignore;
        }
        let Control::Handshake(handshake) = &packet.control else {
            return Action::Ignore;
        };
        match handshake.kind {
            HandshakeKind::Induction => self.handle_induction(now, from, handshake, buffer),
            HandshakeKind::Conclusion if self.cookies.is_valid(now, from, handshake.cookie) => {
                self.handle_conclusion(now, from, packet.timestamp, handshake, buffer)
            }
            _ => Action::Ignore,
        }
    }

    /// Accepts `request` with `settings`, those for this caller: with them its passphrase is checked, and its stream id
    /// when they have one. `socket` is the id of the new connection, random and not zero.
    ///
    /// # Errors
    /// [`Refused`] when the request does not fit the settings; the caller is told so by the reply.
    pub fn accept(
        &mut self,
        now: Micros,
        request: Request,
        settings: &Settings,
        socket: SocketId,
        buffer: &mut [u8],
    ) -> Result<Accepted, Refused> {
        let (wanted, offered) = (settings.stream_id.as_deref(), request.stream_id());
        if let Err(mismatch) = stream_id::check(wanted, offered, settings.direction) {
            let reason = mismatch.reason();
            return Err(self.refuse(now, request, reason, Some(mismatch), buffer));
        }
        let local = Local {
            socket,
            // Both directions count from the caller's number, as libsrt's listeners have it.
            sequence: request.offer.sequence,
            start: now,
        };
        let (message, negotiated) = match conclude(settings, &local, &request) {
            Ok(accepted) => accepted,
            Err(reason) => return Err(self.refuse(now, request, reason, None, buffer)),
        };
        match self.answer(now, now, &request, message, buffer) {
            Ok(reply) => Ok(Accepted {
                negotiated: Box::new(negotiated),
                reply,
            }),
            Err(_) => Err(Refused {
                reason: RejectReason::Internal,
                stream_id: None,
                reply: 0,
            }),
        }
    }

    /// Refuses `request`; returns how many bytes of `buffer` to send to the caller.
    pub fn reject(
        &mut self,
        now: Micros,
        request: Request,
        reason: RejectReason,
        buffer: &mut [u8],
    ) -> usize {
        let message = self.rejection(&request, reason);
        self.answer(now, self.start, &request, message, buffer)
            .unwrap_or(0)
    }

    /// Forgets what was answered to the caller at `from` with socket id `socket`: its connection is over, and what it
    /// asks now is a new question.
    pub fn forget(&mut self, from: SocketAddr, socket: SocketId) {
        self.answered.forget(from, socket);
    }

    #[cfg(test)]
    pub(super) fn answers(&self) -> usize {
        self.answered.len()
    }

    #[cfg(test)]
    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    fn handle_induction(
        &self,
        now: Micros,
        from: SocketAddr,
        handshake: &Handshake<'_>,
        buffer: &mut [u8],
    ) -> Action {
        let local = Local {
            socket: self.socket,
            sequence: handshake.initial_sequence,
            start: self.start,
        };
        //= draft-sharabayko-srt 4.3.1.1: Version 5, advertised key length, magic code, listener's socket id, cookie
        let fields = Fields::new(&self.settings, &local, from.ip())
            .kind(HandshakeKind::Induction)
            .advertise(&self.settings)
            .extension(ExtensionField::MAGIC)
            .cookie(self.cookies.make(now, from))
            .to(handshake.socket);
        match fields.write(Timestamp::at(now, self.start), buffer) {
            Ok(length) => Action::Reply(length),
            Err(_) => Action::Ignore,
        }
    }

    fn handle_conclusion(
        &mut self,
        now: Micros,
        from: SocketAddr,
        timestamp: Timestamp,
        handshake: &Handshake<'_>,
        buffer: &mut [u8],
    ) -> Action {
        let key = (from, handshake.socket, handshake.initial_sequence.value());
        if let Some(answer) = self.answered.find(now, &key) {
            return match answer.write(now, buffer) {
                Ok(length) => Action::Reply(length),
                Err(_) => Action::Ignore,
            };
        }
        let offer = if handshake.version < 5 {
            Err(RejectReason::Version)
        } else {
            Offer::parse(handshake, Part::Request, timestamp, now)
        };
        match offer {
            Ok(offer) => Action::Accept(Box::new(Request {
                from,
                offer,
                cookie: handshake.cookie,
                encryption: handshake.encryption,
            })),
            Err(reason) => {
                let local = Local {
                    socket: self.socket,
                    sequence: handshake.initial_sequence,
                    start: self.start,
                };
                let fields = Fields::new(&self.settings, &local, from.ip())
                    .kind(HandshakeKind::Rejection(reason.to_wire()))
                    .cookie(handshake.cookie)
                    .to(handshake.socket);
                match fields.write(Timestamp::at(now, self.start), buffer) {
                    Ok(length) => Action::Reply(length),
                    Err(_) => Action::Ignore,
                }
            }
        }
    }

    fn refuse(
        &mut self,
        now: Micros,
        request: Request,
        reason: RejectReason,
        stream_id: Option<StreamIdMismatch>,
        buffer: &mut [u8],
    ) -> Refused {
        Refused {
            reason,
            stream_id,
            reply: self.reject(now, request, reason, buffer),
        }
    }

    fn rejection(&self, request: &Request, reason: RejectReason) -> Message {
        let local = Local {
            socket: self.socket,
            sequence: request.offer.sequence,
            start: self.start,
        };
        Message::new(
            Fields::new(&self.settings, &local, request.from.ip())
                .kind(HandshakeKind::Rejection(reason.to_wire()))
                .cookie(request.cookie)
                .to(request.offer.socket),
        )
    }

    /// Writes an answer and keeps it; `start` is when the timestamps of its sender were zero.
    fn answer(
        &mut self,
        now: Micros,
        start: Micros,
        request: &Request,
        message: Message,
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let length = message.write(Timestamp::at(now, start), buffer)?;
        let key = (
            request.from,
            request.offer.socket,
            request.offer.sequence.value(),
        );
        self.answered.keep(now, key, message, start);
        Ok(length)
    }
}

impl Request {
    /// Where the caller is.
    #[must_use]
    pub const fn from(&self) -> SocketAddr {
        self.from
    }

    /// The caller's socket id.
    #[must_use]
    pub const fn socket(&self) -> SocketId {
        self.offer.socket
    }

    /// Number of the first packet, in both directions.
    #[must_use]
    pub const fn sequence(&self) -> SeqNumber {
        self.offer.sequence
    }

    /// The stream id, if the caller has sent one.
    #[must_use]
    pub fn stream_id(&self) -> Option<&str> {
        self.offer.stream_id.as_deref()
    }

    /// Version of the caller.
    #[must_use]
    pub const fn version(&self) -> SrtVersion {
        self.offer.hs.version
    }

    /// Whether the caller has a passphrase. To accept it with settings that have one too costs the derivation of a key,
    /// several hundred microseconds whatever the caller is worth: the driver limits how many it accepts in a second.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.offer.key_material.is_some()
    }

    /// The key length that the caller advertises.
    #[must_use]
    pub const fn key_length(&self) -> Option<KeyLength> {
        KeyLength::from_field(self.encryption)
    }

    /// The packet filter that the caller asks for.
    #[must_use]
    pub fn packet_filter(&self) -> Option<&str> {
        self.offer.filter.as_deref()
    }
}

/// The answer to a request that fits, and what follows from it.
fn conclude(
    settings: &Settings,
    local: &Local,
    request: &Request,
) -> Result<(Message, Negotiated), RejectReason> {
    let offer = &request.offer;
    // Everything that is cheap comes before the keys.
    let mut negotiated = agree(settings, local, offer, None, None)?;
    let (keys, reply) = respond_keys(settings, offer)?;
    negotiated.crypto = keys;
    let state;
    let key_material = match reply {
        None => None,
        Some(KmReply::Echo) => offer.key_material.as_deref(),
        Some(KmReply::State(refusal)) => {
            state = KmState::to_wire(refusal).to_be_bytes();
            Some(&state[..])
        }
    };
    let extensions = Extensions {
        part: Part::Response,
        latencies: response_latencies(settings, offer),
        stream_id: None,
        filter: negotiated.packet_filter.as_deref(),
        key_material,
    };
    let encryption = match reply {
        Some(KmReply::Echo) => request.encryption,
        _ => advertised(settings),
    };
    let fields = Fields::new(settings, local, request.from.ip())
        .kind(HandshakeKind::Conclusion)
        .encryption(encryption)
        .cookie(request.cookie)
        .to(offer.socket);
    let message = Message::with_extensions(fields, settings, &extensions)
        .map_err(|_| RejectReason::Internal)?;
    Ok((message, negotiated))
}
