//! One connection and where it leads.

use std::net::SocketAddr;

use bilbycast_mpegts::TS_PACKET_SIZE;
use bilbycast_srt::handshake::{Negotiated, Settings};
use bilbycast_srt::wire::SocketId;
use bilbycast_srt::{Connection, Micros, State};

/// A connection to one far end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) address: SocketAddr,
    /// What the caller wants, as it says; `None` when it does not say.
    pub(super) stream_id: Option<Box<str>>,
    /// The far end's socket.
    pub(super) far: SocketId,
    /// When the first message was sent; `None` before.
    sent_at: Option<Micros>,
    /// When the newest datagram of it came.
    pub(super) heard: Micros,
    /// When the connection was made.
    pub(super) since: Micros,
    /// When media passed last.
    carried_at: Option<Micros>,
    /// Most bytes of transport stream that fit into a message, whole packets.
    ts_bytes_max: usize,
    idle_timeout: Micros,
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

/// Who has carried nothing for this long carries nothing: the same time as for the endpoints of a flow.
const QUIET: Micros = Micros::from_secs(2);

/// Looking on every tick pays for what comes within this time; the rest is for the housekeeping, ten times a second.
pub(super) const SOON: Micros = Micros::from_millis(20);

impl Peer {
    pub(super) fn new(
        negotiated: Negotiated,
        settings: &Settings,
        address: SocketAddr,
        now: Micros,
    ) -> Self {
        let (recv_latency, far) = (negotiated.recv_latency, negotiated.peer_socket);
        let stream_id = negotiated.stream_id.as_deref().map(Box::from);
        let connection = Connection::new(negotiated, settings, now);
        let ts_packets = connection.payload_bytes_max() / TS_PACKET_SIZE;
        Self {
            connection,
            address,
            stream_id,
            far,
            sent_at: None,
            heard: now,
            since: now,
            carried_at: None,
            ts_bytes_max: ts_packets.max(1) * TS_PACKET_SIZE,
            idle_timeout: settings.peer_idle_timeout,
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

    /// Ends the connection, which the far end is told.
    pub(super) fn close(&mut self, now: Micros) {
        self.connection.close(now);
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

    /// Whether the far end has been sent messages and should long have acknowledged some: the first ones soon, and later ones
    /// within the time for which it may be silent. What is not acknowledged fills memory.
    pub(super) fn is_stale(&mut self, now: Micros) -> bool {
        if self.connection.unacknowledged_for(now) >= self.idle_timeout {
            return self.connection.state() == State::Connected;
        }
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
            self.carried_at = Some(now);
            self.sent_at.get_or_insert(now);
        }
        is_taken
    }

    /// Takes transport stream to send, in as many messages as it needs; false when it was not taken in full.
    pub(super) fn send_ts(&mut self, now: Micros, stream: &[u8]) -> bool {
        if stream.len() <= self.ts_bytes_max {
            return self.send(now, &[stream]);
        }
        let mut pieces = stream.chunks(self.ts_bytes_max);
        pieces.all(|piece| self.send(now, &[piece]))
    }

    /// Whether media passes.
    pub(super) fn carries(&self, now: Micros) -> bool {
        self.carried_at.is_some_and(|at| now.since(at) < QUIET)
    }

    /// The next message whose time has come: its length in `room`, and when it was due.
    pub(super) fn deliver(&mut self, now: Micros, room: &mut [u8]) -> Option<(usize, Micros)> {
        let received = self.connection.receive(now, room)?;
        self.carried_at = Some(now);
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

        // From here on it is alive and acknowledges nothing, for as long as it might be silent.
        assert!(near.send(later, &[&[0x47; 188]]));
        while near.transmit(later, &mut buffer).is_some() {}
        assert!(!near.is_stale(later + second(29)));
        assert!(near.is_stale(later + second(31)));
    }

    #[test]
    fn transport_stream_is_cut_to_what_fits() {
        let now = Micros::from_secs(100);
        let [_, mut near] = connected(now);
        near.ts_bytes_max = 4 * TS_PACKET_SIZE;
        assert!(near.send_ts(now, &[0x47; 7 * TS_PACKET_SIZE]));
        let mut buffer = [0; 1_500];
        let lengths = std::iter::from_fn(|| near.transmit(now, &mut buffer));
        let of_data: Vec<usize> = lengths.filter(|bytes| *bytes > 200).collect();
        assert_eq!(of_data, [16 + 752, 16 + 564]);
    }

    #[test]
    fn who_has_carried_nothing_for_two_seconds_carries_nothing() {
        let second = Micros::from_secs;
        let [_, mut near] = connected(second(100));
        assert!(!near.carries(second(100)));
        assert!(near.send(second(100), &[&[0x47; 188]]));
        assert!(near.carries(second(101)));
        assert!(!near.carries(second(102)));
    }
}
