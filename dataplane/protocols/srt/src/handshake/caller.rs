//! The caller (draft 4.3.1).

use std::net::IpAddr;

use super::exchange::{
    Extensions, Latencies, Local, Offer, Part, agree, conclude_keys, initiate_keys,
    initiator_key_length,
};
use super::message::{Fields, Message};
use super::{Outcome, REPEAT_INTERVAL, RejectReason, Rejection, Settings, SettingsError};
use crate::crypto::{Announcement, CryptoState};
use crate::time::Micros;
use crate::wire::{
    BufferTooSmall, Control, ControlPacket, ExtensionField, Handshake, HandshakeKind, Packet,
    SeqNumber, SocketId, Timestamp,
};

/// The side that asks for a connection.
///
/// Feed what comes from the listener's address to [`Caller::handle`], send what [`Caller::poll_transmit`] gives until it
/// gives nothing, look at [`Caller::poll_outcome`], and do so again at [`Caller::poll_timeout`].
#[derive(Debug)]
pub struct Caller {
    settings: Settings,
    local: Local,
    message: Message,
    phase: Phase,
    deadline: Micros,
    repeat_at: Micros,
    sent_at: Option<Micros>,
    sent: u32,
    rtt: Option<Micros>,
    peer_ip: IpAddr,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Phase {
    /// Asks for a cookie.
    Induction,
    /// Has the cookie, and asks for the connection.
    Conclusion {
        keys: Option<Box<(CryptoState, Announcement)>>,
    },
    /// Tells the listener that there is no connection after all.
    Farewell { peer: SocketId },
    /// Has an outcome.
    Done,
}

impl Caller {
    /// A caller with socket id `socket` that will number its packets from `sequence`, both random and `socket` not zero,
    /// to a listener at `peer_ip`.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(
        settings: Settings,
        socket: SocketId,
        sequence: SeqNumber,
        peer_ip: IpAddr,
        now: Micros,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let local = Local {
            socket,
            sequence,
            start: now,
        };
        //= draft-sharabayko-srt 4.3.1.1: Version 4, Encryption Field 0, Extension Field 2, SYN Cookie 0
        let message = Message::new(
            Fields::new(&settings, &local, peer_ip)
                .version(4)
                .kind(HandshakeKind::Induction)
                .extension(ExtensionField::UDT_DGRAM),
        );
        Ok(Self {
            deadline: now + settings.connect_timeout,
            settings,
            local,
            message,
            phase: Phase::Induction,
            repeat_at: now,
            sent_at: None,
            sent: 0,
            rtt: None,
            peer_ip,
            outcome: None,
        })
    }

    /// Our socket id.
    #[must_use]
    pub const fn socket(&self) -> SocketId {
        self.local.socket
    }

    /// Takes a packet from the listener's address.
    pub fn handle(&mut self, now: Micros, packet: &Packet<'_>) {
        let Packet::Control(packet) = packet else {
            return;
        };
        // An answer names our socket: whoever cannot see our packets cannot forge one.
        if packet.destination != self.local.socket {
            return;
        }
        let Control::Handshake(handshake) = &packet.control else {
            return;
        };
        match (handshake.kind, &self.phase) {
            (HandshakeKind::Rejection(code), Phase::Induction | Phase::Conclusion { .. }) => {
                self.finish(Outcome::Rejected(Rejection {
                    reason: RejectReason::from_wire(code),
                    by_peer: true,
                }));
            }
            (HandshakeKind::Induction, Phase::Induction) => self.handle_induction(now, handshake),
            (HandshakeKind::Conclusion, Phase::Conclusion { .. }) => {
                self.handle_conclusion(now, packet.timestamp, handshake);
            }
            _ => {}
        }
    }

    /// Writes the packet to be sent to the listener now into `buffer`, and returns its length; `None` when there is
    /// none. `buffer` holds at least [`HANDSHAKE_PACKET_BYTES_MAX`](super::HANDSHAKE_PACKET_BYTES_MAX) bytes.
    ///
    /// # Errors
    /// [`BufferTooSmall`].
    pub fn poll_transmit(
        &mut self,
        now: Micros,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        let timestamp = Timestamp::at(now, self.local.start);
        match self.phase {
            Phase::Done => Ok(None),
            Phase::Farewell { peer } => {
                let packet = ControlPacket {
                    timestamp,
                    destination: peer,
                    control: Control::Shutdown,
                };
                let length = packet.write(buffer)?;
                self.phase = Phase::Done;
                Ok(Some(length))
            }
            Phase::Induction | Phase::Conclusion { .. } => {
                if now >= self.deadline {
                    self.finish(Outcome::TimedOut);
                    return Ok(None);
                }
                if now < self.repeat_at {
                    return Ok(None);
                }
                // The timestamp is that of our own clock, in every message: the listener takes it for the base of
                // delivery. Its INDUCTION answer carries the age of the listener, which is none of our business.
                let length = self.message.write(timestamp, buffer)?;
                self.repeat_at = now + REPEAT_INTERVAL;
                self.sent_at = Some(now);
                self.sent += 1;
                Ok(Some(length))
            }
        }
    }

    /// When [`Caller::poll_transmit`] has to be called again, if no packet comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        match self.phase {
            Phase::Induction | Phase::Conclusion { .. } => Some(self.repeat_at.min(self.deadline)),
            Phase::Farewell { .. } => Some(Micros::ZERO),
            Phase::Done => None,
        }
    }

    /// What the handshake has ended in, once.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    fn handle_induction(&mut self, now: Micros, handshake: &Handshake<'_>) {
        //= draft-sharabayko-srt 4.3.1.1: version 5 and the magic code tell SRT from UDT
        if handshake.version < 5 || handshake.extension != ExtensionField::MAGIC {
            self.refuse(RejectReason::Version);
            return;
        }
        if self.sent == 1 {
            self.rtt = self.sent_at.map(|sent| now.since(sent));
        }
        let length = initiator_key_length(&self.settings, handshake.encryption);
        let keys = match initiate_keys(&self.settings, length) {
            Ok(keys) => keys,
            Err(reason) => {
                self.refuse(reason);
                return;
            }
        };
        let extensions = Extensions {
            part: Part::Request,
            latencies: Latencies::ours(&self.settings),
            stream_id: self.settings.stream_id.as_deref(),
            filter: self.settings.packet_filter.as_deref(),
            key_material: keys
                .as_ref()
                .map(|(_, announcement)| announcement.as_bytes()),
        };
        let encryption = keys.as_ref().map_or(0, |_| length.to_field());
        let fields = Fields::new(&self.settings, &self.local, self.peer_ip)
            .kind(HandshakeKind::Conclusion)
            .cookie(handshake.cookie)
            .encryption(encryption);
        //= draft-sharabayko-srt 3: the destination "may have the special value 0 when the packet is a connection
        //  request"; libsrt's callers send every request there.
        match Message::with_extensions(fields, &self.settings, &extensions) {
            Ok(message) => self.message = message,
            Err(_) => {
                self.refuse(RejectReason::Internal);
                return;
            }
        }
        self.phase = Phase::Conclusion {
            keys: keys.map(Box::new),
        };
        self.repeat_at = now;
    }

    fn handle_conclusion(&mut self, now: Micros, timestamp: Timestamp, handshake: &Handshake<'_>) {
        let Phase::Conclusion { keys } = std::mem::replace(&mut self.phase, Phase::Done) else {
            return;
        };
        let negotiated =
            Offer::parse(handshake, Part::Response, timestamp, now).and_then(|mut offer| {
                let keys = conclude_keys(&self.settings, keys.map(|keys| *keys), &offer)?;
                offer.stream_id.clone_from(&self.settings.stream_id);
                agree(&self.settings, &self.local, &offer, keys, self.rtt)
            });
        match negotiated {
            Ok(negotiated) => self.finish(Outcome::Connected(Box::new(negotiated))),
            Err(reason) => {
                self.refuse(reason);
                // The listener takes itself for connected.
                self.phase = Phase::Farewell {
                    peer: handshake.socket,
                };
            }
        }
    }

    fn refuse(&mut self, reason: RejectReason) {
        self.finish(Outcome::Rejected(Rejection {
            reason,
            by_peer: false,
        }));
    }

    fn finish(&mut self, outcome: Outcome) {
        self.phase = Phase::Done;
        self.outcome = Some(outcome);
    }
}
