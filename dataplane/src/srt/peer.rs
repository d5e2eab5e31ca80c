//! One connection and where it leads.

use std::net::SocketAddr;

use bilbycast_srt::handshake::{Negotiated, Settings};
use bilbycast_srt::wire::SocketId;
use bilbycast_srt::{Connection, Micros, State};

/// A connection to one far end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) address: SocketAddr,
    /// The far end's socket.
    pub(super) far: SocketId,
    /// When it was made.
    pub(super) since: Micros,
    /// When the newest datagram of it came.
    pub(super) heard: Micros,
    /// Media has passed.
    pub(super) has_carried: bool,
    /// The far end has acknowledged something.
    has_acknowledged: bool,
    /// Delay between a packet's origin and its delivery here, which delivery times are made of.
    recv_latency: Micros,
    /// When it has to be looked at next.
    due: Micros,
}

/// Looking on every tick pays for what comes within this time; the rest is for the housekeeping, ten times a second.
const SOON: Micros = Micros::from_millis(20);

impl Peer {
    pub(super) fn new(
        negotiated: Negotiated,
        settings: &Settings,
        address: SocketAddr,
        now: Micros,
    ) -> Self {
        let (recv_latency, far) = (negotiated.recv_latency, negotiated.peer_socket);
        Self {
            connection: Connection::new(negotiated, settings, now),
            address,
            far,
            since: now,
            heard: now,
            has_carried: false,
            has_acknowledged: false,
            recv_latency,
            due: now,
        }
    }

    pub(super) fn handle(&mut self, now: Micros, datagram: &mut [u8]) {
        self.heard = self.heard.max(now);
        self.connection.handle_packet(now, datagram);
        self.due = now;
    }

    /// Does what is due. False when nothing was.
    pub(super) fn tick(&mut self, now: Micros) -> bool {
        if now < self.due {
            return false;
        }
        self.connection.handle_timeout(now);
        true
    }

    /// Whether the far end has acknowledged anything of what it was sent.
    pub(super) fn has_acknowledged(&mut self, now: Micros) -> bool {
        // Asked for on every tick, so the statistics are not worked out again once it has.
        self.has_acknowledged = self.has_acknowledged || self.connection.stats(now).send.acks > 0;
        self.has_acknowledged
    }

    /// Takes a message to send; false when there is no room, or no connection any more.
    pub(super) fn send(&mut self, now: Micros, payload: &[&[u8]]) -> bool {
        self.due = now;
        let is_taken = self.connection.send(now, payload).is_ok();
        self.has_carried |= is_taken;
        is_taken
    }

    /// The next message whose time has come: its length in `room`, and when it was due.
    pub(super) fn deliver(&mut self, now: Micros, room: &mut [u8]) -> Option<(usize, Micros)> {
        let received = self.connection.receive(now, room)?;
        self.has_carried = true;
        self.due = now;
        Some((
            received.bytes,
            (received.timestamp + self.recv_latency).min(now),
        ))
    }

    /// The next datagram to send, in `out`.
    pub(super) fn transmit(&mut self, now: Micros, out: &mut [u8]) -> Option<usize> {
        if now < self.due {
            return None;
        }
        let length = self.connection.poll_transmit(now, out);
        if length.is_none() {
            let delivery = self.connection.next_delivery().unwrap_or(Micros::MAX);
            self.due = self.connection.next_timeout().min(delivery);
        }
        length
    }

    /// Whether it has to be looked at soon.
    pub(super) fn is_pending(&self, now: Micros) -> bool {
        self.due <= now + SOON
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.connection.state(), State::Closed(_))
    }
}
