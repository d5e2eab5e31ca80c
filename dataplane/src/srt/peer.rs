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
    /// When the first message was sent; `None` before.
    sent_at: Option<Micros>,
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

/// A far end has to acknowledge within this time from the first message (configuration.md 6.3). Not from its call: there may
/// have been nothing to send for long.
const STALE: Micros = Micros::from_secs(3);

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
            sent_at: None,
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

    /// Whether the far end has been sent messages and should long have acknowledged some.
    pub(super) fn is_stale(&mut self, now: Micros) -> bool {
        // Asked for on every tick, so the statistics are not worked out before they matter, nor once they do no more.
        let is_old = self
            .sent_at
            .is_some_and(|sent_at| now.since(sent_at) >= STALE);
        if !is_old || self.has_acknowledged || self.connection.state() != State::Connected {
            return false;
        }
        self.has_acknowledged = self.connection.stats(now).send.acks > 0;
        !self.has_acknowledged
    }

    /// Takes a message to send; false when there is no room, or no connection any more.
    pub(super) fn send(&mut self, now: Micros, payload: &[&[u8]]) -> bool {
        self.due = now;
        let is_taken = self.connection.send(now, payload).is_ok();
        if is_taken {
            self.has_carried = true;
            self.sent_at.get_or_insert(now);
        }
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

#[cfg(test)]
mod tests {
    use bilbycast_srt::handshake::{Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Outcome};
    use bilbycast_srt::wire::{Packet, SeqNumber};

    use super::*;

    /// Both ends of a connection that was made at `now`.
    fn connected(now: Micros) -> [Peer; 2] {
        let settings = Settings::default();
        let at: SocketAddr = "127.0.0.1:9000".parse().unwrap();
        let mut caller = Caller::new(
            settings.clone(),
            SocketId(7),
            SeqNumber::new(1),
            at.ip(),
            now,
        )
        .unwrap();
        let mut listener = Listener::new(settings.clone(), SocketId(8), &[1; 32], now).unwrap();
        let mut question = [0; HANDSHAKE_PACKET_BYTES_MAX];
        let mut answer = [0; HANDSHAKE_PACKET_BYTES_MAX];
        let mut accepted = None;
        for _ in 0..2 {
            let bytes = caller.poll_transmit(now, &mut question).unwrap().unwrap();
            let packet = Packet::parse(&question[..bytes]).unwrap();
            let reply = match listener.handle(now, at, &packet, &mut answer) {
                Action::Reply(bytes) => bytes,
                Action::Accept(request) => {
                    let made = listener
                        .accept(now, *request, &settings, SocketId(9), &mut answer)
                        .unwrap();
                    accepted = Some(*made.negotiated);
                    made.reply
                }
                Action::Ignore => panic!("the listener ignores a caller"),
            };
            caller.handle(now, &Packet::parse(&answer[..reply]).unwrap());
        }
        let Some(Outcome::Connected(negotiated)) = caller.poll_outcome() else {
            panic!("the caller is not connected");
        };
        [*negotiated, accepted.unwrap()].map(|negotiated| Peer::new(negotiated, &settings, at, now))
    }

    #[test]
    fn who_was_sent_nothing_is_not_stale_and_who_never_answers_is() {
        let second = Micros::from_secs;
        let [mut far, mut near] = connected(second(100));
        assert!(!near.is_stale(second(110)), "there was nothing to send");
        assert!(near.send(second(110), &[&[0x47; 188]]));
        assert!(
            !near.is_stale(second(110)),
            "the first message has just left"
        );
        assert!(!near.is_stale(second(112)));
        assert!(near.is_stale(second(113)));

        let mut buffer = [0; 1_500];
        let later = second(113) + Micros::from_millis(20);
        while let Some(bytes) = near.transmit(second(113), &mut buffer) {
            far.handle(second(113), &mut buffer[..bytes]);
        }
        assert!(far.tick(later));
        while let Some(bytes) = far.transmit(later, &mut buffer) {
            near.handle(later, &mut buffer[..bytes]);
        }
        assert!(!near.is_stale(later), "it was late, and it is there");
    }
}
