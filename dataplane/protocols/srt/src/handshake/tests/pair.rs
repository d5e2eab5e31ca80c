//! Two ends and the network between them, in virtual time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::super::*;
use crate::crypto::{KeyLength, Passphrase};
use crate::wire::{
    Control, ControlPacket, DataHeader, HandshakeKind, KeyFlag, MessagePosition, MsgNumber, Packet,
};

pub(super) const PEER_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(super) const CALLER_AT: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 5_000);

/// A network with one delay, that loses packets by a seeded chance.
pub(super) struct Network {
    pub(super) delay: Micros,
    pub(super) advertised_by_caller: Option<KeyLength>,
    now: Micros,
    loss_percent: u64,
    random: u64,
    in_flight: BTreeMap<(Micros, u64), (bool, Vec<u8>)>,
    sent: u64,
}

/// An end that calls.
pub(super) enum Side {
    Caller(Caller),
    Rendezvous(Rendezvous),
}

impl Side {
    pub(super) fn caller(settings: Settings, now: Micros) -> Self {
        let sequence = SeqNumber::new(0x7fff_fffe);
        Self::Caller(Caller::new(settings, SocketId(77), sequence, PEER_IP, now).unwrap())
    }

    pub(super) fn rendezvous(settings: Settings, id: u32, cookie: u32, now: Micros) -> Self {
        let sequence = SeqNumber::new(1_000 * id);
        let socket = SocketId(id);
        Self::Rendezvous(Rendezvous::new(settings, socket, sequence, cookie, PEER_IP, now).unwrap())
    }

    pub(super) fn handle(&mut self, now: Micros, packet: &Packet<'_>) {
        match self {
            Self::Caller(side) => side.handle(now, packet),
            Self::Rendezvous(side) => side.handle(now, packet),
        }
    }

    pub(super) fn poll_transmit(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize> {
        match self {
            Self::Caller(side) => side.poll_transmit(now, buffer).unwrap(),
            Self::Rendezvous(side) => side.poll_transmit(now, buffer).unwrap(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        match self {
            Self::Caller(side) => side.poll_timeout(),
            Self::Rendezvous(side) => side.poll_timeout(),
        }
    }

    pub(super) fn poll_outcome(&mut self) -> Option<Outcome> {
        match self {
            Self::Caller(side) => side.poll_outcome(),
            Self::Rendezvous(side) => side.poll_outcome(),
        }
    }
}

impl Network {
    pub(super) fn perfect(now: Micros) -> Self {
        Self {
            delay: Micros::from_millis(20),
            advertised_by_caller: None,
            now,
            loss_percent: 0,
            random: 0,
            in_flight: BTreeMap::new(),
            sent: 0,
        }
    }

    pub(super) fn lossy(seed: u64, loss_percent: u64) -> Self {
        Self {
            loss_percent,
            // The generator below has one state that it never leaves.
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            ..Self::perfect(Micros::ZERO)
        }
    }

    /// Runs a caller against a listener that takes everybody with its own settings.
    pub(super) fn connect(
        &mut self,
        side: &mut Side,
        listener: &mut Listener,
    ) -> Result<(Negotiated, Negotiated), Rejection> {
        let settings = listener.settings().clone();
        let mut accepted = None;
        let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
        loop {
            while let Some(length) = side.poll_transmit(self.now, &mut buffer) {
                self.send(true, &buffer[..length]);
            }
            match side.poll_outcome() {
                Some(Outcome::Connected(negotiated)) => {
                    return Ok((*negotiated, accepted.expect("accepted before it answers")));
                }
                Some(Outcome::Rejected(rejection)) => return Err(rejection),
                Some(Outcome::TimedOut) => panic!("timed out"),
                None => {}
            }
            let due = side.poll_timeout().expect("has no outcome yet");
            let Some((to_listener, bytes)) = self.step(due) else {
                continue;
            };
            let packet = Packet::parse(&bytes).unwrap();
            if !to_listener {
                side.handle(self.now, &packet);
                continue;
            }
            self.observe(&packet);
            let length = match listener.handle(self.now, CALLER_AT, &packet, &mut buffer) {
                Action::Ignore => continue,
                Action::Reply(length) => length,
                Action::Accept(request) => {
                    assert!(
                        accepted.is_none(),
                        "the second request gets the first answer"
                    );
                    match listener.accept(self.now, *request, &settings, SocketId(500), &mut buffer)
                    {
                        Ok(answer) => {
                            accepted = Some(*answer.negotiated);
                            answer.reply
                        }
                        Err(refused) => refused.reply,
                    }
                }
            };
            self.send(false, &buffer[..length]);
        }
    }

    /// Runs two sides of a rendezvous until both have an outcome.
    pub(super) fn meet(
        &mut self,
        one: &mut Side,
        other: &mut Side,
    ) -> Result<(Negotiated, Negotiated), Rejection> {
        let mut outcomes = [None, None];
        let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
        loop {
            for (index, side) in [&mut *one, &mut *other].into_iter().enumerate() {
                while let Some(length) = side.poll_transmit(self.now, &mut buffer) {
                    self.send(index == 0, &buffer[..length]);
                }
                match side.poll_outcome() {
                    Some(Outcome::Connected(negotiated)) => outcomes[index] = Some(*negotiated),
                    Some(Outcome::Rejected(rejection)) => return Err(rejection),
                    Some(Outcome::TimedOut) => panic!("timed out"),
                    None => {}
                }
            }
            if let [Some(_), Some(_)] = outcomes {
                let [Some(first), Some(second)] = outcomes else {
                    unreachable!("just seen");
                };
                return Ok((first, second));
            }
            let due = [one.poll_timeout(), other.poll_timeout()]
                .into_iter()
                .flatten()
                .min()
                .expect("one has no outcome yet");
            if let Some((to_other, bytes)) = self.step(due) {
                let packet = Packet::parse(&bytes).unwrap();
                if to_other {
                    other.handle(self.now, &packet);
                } else {
                    one.handle(self.now, &packet);
                }
            }
        }
    }

    fn send(&mut self, away: bool, bytes: &[u8]) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if self.random % 100 < self.loss_percent {
            return;
        }
        self.sent += 1;
        self.in_flight
            .insert((self.now + self.delay, self.sent), (away, bytes.to_vec()));
    }

    /// Goes on to the next arrival, or to `due` when that is before.
    fn step(&mut self, due: Micros) -> Option<(bool, Vec<u8>)> {
        match self.in_flight.first_entry() {
            Some(entry) if entry.key().0 <= due => {
                self.now = self.now.max(entry.key().0);
                Some(entry.remove())
            }
            _ => {
                self.now = self.now.max(due);
                None
            }
        }
    }

    fn observe(&mut self, packet: &Packet<'_>) {
        if let Packet::Control(ControlPacket {
            control: Control::Handshake(handshake),
            ..
        }) = packet
            && handshake.kind == HandshakeKind::Conclusion
        {
            self.advertised_by_caller = KeyLength::from_field(handshake.encryption);
        }
    }
}

/// A caller with `ours` against a listener with `theirs` on a network without faults.
pub(super) fn call(
    ours: Settings,
    theirs: Settings,
) -> Result<(Negotiated, Negotiated), Rejection> {
    let mut side = Side::caller(ours, Micros::ZERO);
    Network::perfect(Micros::ZERO).connect(&mut side, &mut listener(theirs, Micros::ZERO))
}

pub(super) fn listener(settings: Settings, now: Micros) -> Listener {
    Listener::new(settings, SocketId(400), &[3; 32], now).unwrap()
}

pub(super) fn settings(passphrase: Option<&str>) -> Settings {
    Settings {
        passphrase: passphrase.map(|text| Passphrase::new(text).unwrap()),
        ..Settings::default()
    }
}

pub(super) fn header() -> DataHeader {
    DataHeader {
        sequence: SeqNumber::new(5),
        position: MessagePosition::Single,
        in_order: false,
        key: KeyFlag::None,
        retransmitted: false,
        message: MsgNumber::FIRST,
        timestamp: Timestamp(9),
        destination: SocketId(1),
    }
}
