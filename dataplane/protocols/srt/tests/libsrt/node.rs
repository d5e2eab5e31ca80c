//! One of our connections on a socket, with a link that delays and loses.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bilbycast_srt::handshake::{
    Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Negotiated, Outcome, Settings,
};
use bilbycast_srt::wire::{Packet, SeqNumber, SocketId};
use bilbycast_srt::{Connection, Micros};

/// What the link does, in both directions alike.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impairment {
    pub(crate) loss: f64,
    pub(crate) delay: Duration,
    /// Data packets that pass before it begins to lose.
    pub(crate) spared: u64,
}

/// Our end.
#[derive(Debug)]
pub(crate) struct Node {
    socket: UdpSocket,
    epoch: Instant,
    peer: Option<SocketAddr>,
    impairment: Impairment,
    /// While it lasts nothing passes.
    pub(crate) outage: Option<(Instant, Instant)>,
    random: u64,
    outgoing: VecDeque<(Instant, Vec<u8>)>,
    incoming: VecDeque<(Instant, Vec<u8>)>,
    /// Data packets of the direction of the stream that the link saw, and that it lost.
    pub(crate) data: (u64, u64),
    /// Of those that came in, how many were retransmissions, lost ones included.
    pub(crate) retransmitted_by_peer: u64,
    /// Which keys data packets on the link named, by their flag.
    pub(crate) keys_seen: [bool; 4],
    looked: Instant,
    /// The longest time that the machine kept us from looking: the link took as much longer then.
    pub(crate) held_up: Duration,
}

impl Node {
    pub(crate) fn open(
        host: Ipv4Addr,
        peer: Option<SocketAddr>,
        impairment: Impairment,
        seed: u64,
    ) -> Self {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            epoch: Instant::now(),
            peer,
            impairment,
            outage: None,
            random: seed | 1,
            outgoing: VecDeque::new(),
            incoming: VecDeque::new(),
            data: (0, 0),
            retransmitted_by_peer: 0,
            keys_seen: [false; 4],
            looked: Instant::now(),
            held_up: Duration::ZERO,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn peer_port(&self) -> Option<u16> {
        self.peer.map(|peer| peer.port())
    }

    pub(crate) fn now(&self) -> Micros {
        Micros::from(self.epoch.elapsed())
    }

    pub(crate) fn call(&mut self, settings: Settings) -> Negotiated {
        let ip = self.peer.unwrap().ip();
        let socket = SocketId(0x4000_0000 | u32::from(self.address().port()));
        let first = SeqNumber::MAX.minus(300);
        let mut caller = Caller::new(settings, socket, first, ip, self.now()).unwrap();
        let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
        loop {
            self.pass();
            while let Some(datagram) = self.arrived() {
                if let Ok(packet) = Packet::parse(&datagram) {
                    caller.handle(self.now(), &packet);
                }
            }
            while let Some(length) = caller.poll_transmit(self.now(), &mut buffer).unwrap() {
                self.depart(&buffer[..length]);
            }
            match caller.poll_outcome() {
                Some(Outcome::Connected(negotiated)) => return *negotiated,
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
    }

    /// Waits for a caller. The answer to a repeated question is part of the handshake, so that the listener is kept.
    pub(crate) fn listen(&mut self, settings: &Settings) -> (Negotiated, Listener) {
        let mut listener = Listener::new(
            settings.clone(),
            SocketId(0x3000_0001),
            &[7; 32],
            self.now(),
        )
        .unwrap();
        let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
        let give_up = Instant::now() + Duration::from_secs(20);
        loop {
            assert!(Instant::now() < give_up, "no caller came");
            self.pass();
            while let Some(datagram) = self.arrived() {
                let (Ok(packet), Some(peer)) = (Packet::parse(&datagram), self.peer) else {
                    continue;
                };
                match listener.handle(self.now(), peer, &packet, &mut buffer) {
                    Action::Reply(length) => self.depart(&buffer[..length]),
                    Action::Ignore => {}
                    Action::Accept(request) => {
                        let socket = SocketId(0x5000_0000 | u32::from(self.address().port()));
                        let accepted = listener
                            .accept(self.now(), *request, settings, socket, &mut buffer)
                            .unwrap();
                        self.depart(&buffer[..accepted.reply]);
                        return (*accepted.negotiated, listener);
                    }
                }
            }
        }
    }

    /// Hands over what has arrived, and sends what is to be sent.
    pub(crate) fn pump(&mut self, connection: &mut Connection, listener: Option<&mut Listener>) {
        self.pass();
        let mut buffer = [0; 2_048];
        let mut listener = listener;
        while let Some(mut datagram) = self.arrived() {
            let now = self.now();
            if let (Ok(packet), Some(listener), Some(peer)) =
                (Packet::parse(&datagram), listener.as_mut(), self.peer)
                && packet.destination() != connection.local_socket()
            {
                if let Action::Reply(length) = listener.handle(now, peer, &packet, &mut buffer) {
                    self.depart(&buffer[..length]);
                }
                continue;
            }
            connection.handle_packet(now, &mut datagram);
        }
        let now = self.now();
        if now >= connection.next_timeout() {
            connection.handle_timeout(now);
        }
        while let Some(length) = connection.poll_transmit(now, &mut buffer) {
            self.depart(&buffer[..length]);
        }
        self.pass();
    }

    /// Lets a little time pass, and the link move.
    fn pass(&mut self) {
        self.held_up = self.held_up.max(self.looked.elapsed());
        self.looked = Instant::now();
        let mut buffer = [0; 2_048];
        let mut idle = true;
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            idle = false;
            if *self.peer.get_or_insert(from) != from {
                continue;
            }
            let at = Instant::now() + self.impairment.delay;
            if let Ok(Packet::Data(packet)) = Packet::parse(&buffer[..length]) {
                self.retransmitted_by_peer +=
                    u64::from(packet.header.retransmitted && packet.header.message.value() != 0);
            }
            if self.survives(&buffer[..length]) {
                self.incoming.push_back((at, buffer[..length].to_vec()));
            }
        }
        while self
            .outgoing
            .front()
            .is_some_and(|(at, _)| *at <= Instant::now())
        {
            idle = false;
            if let (Some((_, datagram)), Some(peer)) = (self.outgoing.pop_front(), self.peer) {
                // A peer that is not there yet answers with an ICMP error, which the next call reports.
                let _ = self.socket.send_to(&datagram, peer);
            }
        }
        if idle {
            // The time until the next look, not a wait for anything.
            std::thread::sleep(Duration::from_micros(250));
        }
    }

    fn arrived(&mut self) -> Option<Vec<u8>> {
        if self.incoming.front()?.0 > Instant::now() {
            return None;
        }
        self.incoming.pop_front().map(|(_, datagram)| datagram)
    }

    fn depart(&mut self, datagram: &[u8]) {
        if self.survives(datagram) {
            let at = Instant::now() + self.impairment.delay;
            self.outgoing.push_back((at, datagram.to_vec()));
        }
    }

    /// xorshift64*: the same losses for the same packets.
    fn survives(&mut self, datagram: &[u8]) -> bool {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let drawn = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        let now = Instant::now();
        let loses = self.data.0 >= self.impairment.spared;
        let lost = loses && (drawn as f64) < self.impairment.loss * (1_u64 << 53) as f64
            || self
                .outage
                .is_some_and(|(from, to)| now >= from && now < to);
        if let Ok(Packet::Data(packet)) = Packet::parse(datagram) {
            self.keys_seen[packet.header.key as usize] = true;
            self.data.0 += 1;
            self.data.1 += u64::from(lost);
        }
        !lost
    }
}
