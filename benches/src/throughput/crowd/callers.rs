//! SRT callers of one listener, each on a socket of its own, driven by one thread.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use bilbycast_srt::handshake::{Caller, HANDSHAKE_PACKET_BYTES_MAX, Outcome, Settings};
use bilbycast_srt::wire::{Packet, SeqNumber, SocketId};
use bilbycast_srt::{Connection, Micros, State};
use dataplane::net::clock::monotonic_ns;

use crate::BenchError;
use crate::throughput::srt::LATENCY_MS;
use crate::throughput::stream::Mark;

/// All callers.
#[derive(Debug)]
pub(super) struct Callers {
    members: Vec<Member>,
    /// Who looks next.
    next: usize,
    /// The stream that is expected.
    stream: u64,
}

/// What came to all callers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Datagrams of the stream, each once.
    pub(super) received: u64,
    /// Those with a number at or below one seen before.
    pub(super) out_of_order: u64,
    /// Datagrams that are not what was sent.
    pub(super) damaged: u64,
}

#[derive(Debug)]
struct Member {
    socket: UdpSocket,
    address: SocketAddrV4,
    settings: Settings,
    phase: Phase,
    /// Number after the highest that has come.
    next: u64,
    tally: Tally,
}

#[derive(Debug)]
enum Phase {
    Calling(Box<Caller>),
    Connected(Box<Connection>),
    Refused,
}

impl Callers {
    /// `count` callers, which call as soon as it is their turn.
    pub(super) fn call(listener: SocketAddrV4, count: usize) -> Result<Self, BenchError> {
        let members = (0..count).map(|index| Member::open(listener, index as u32));
        Ok(Self {
            members: members.collect::<Result<_, _>>()?,
            next: 0,
            stream: 0,
        })
    }

    /// Their addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddrV4> {
        self.members.iter().map(|member| member.address)
    }

    /// How many are connected.
    pub(super) fn connected(&self) -> usize {
        let is_connected = |member: &&Member| matches!(&member.phase, Phase::Connected(connection) if connection.state() == State::Connected);
        self.members.iter().filter(is_connected).count()
    }

    /// From now on this stream counts.
    pub(super) fn expect(&mut self, stream: u64) {
        self.stream = stream;
        for member in &mut self.members {
            member.next = 0;
            member.tally = Tally::default();
        }
    }

    /// Lets the next `count` callers look at their sockets and do what is due.
    pub(super) fn turn(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(member) = self.members.get_mut(self.next) {
                member.turn(self.stream);
            }
            self.next = (self.next + 1) % self.members.len().max(1);
        }
    }

    /// What has come since [`Self::expect`].
    pub(super) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        for Member { tally, .. } in &self.members {
            all.received += tally.received;
            all.out_of_order += tally.out_of_order;
            all.damaged += tally.damaged;
        }
        all
    }
}

/// Room for any datagram that a caller sends or gets.
const BUFFER_BYTES: usize = 4_096;
const _: () = assert!(BUFFER_BYTES >= HANDSHAKE_PACKET_BYTES_MAX);

/// What a caller keeps until its time has come: 120 ms at 475 datagrams a second, and room to be late.
const BUFFER_PACKETS: usize = 1_024;

impl Member {
    fn open(listener: SocketAddrV4, index: u32) -> Result<Self, BenchError> {
        let fail = || BenchError::system("open the socket of a caller");
        let socket = UdpSocket::bind((*listener.ip(), 0)).map_err(fail())?;
        socket.connect(listener).map_err(fail())?;
        socket.set_nonblocking(true).map_err(fail())?;
        let address = match socket.local_addr().map_err(fail())? {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
        };
        let settings = Settings {
            recv_latency_ms: LATENCY_MS,
            peer_latency_ms: LATENCY_MS,
            recv_buffer_packets: BUFFER_PACKETS,
            connect_timeout: Micros::from_secs(10),
            ..Settings::default()
        };
        let caller = Caller::new(
            settings.clone(),
            SocketId(0x1000_0000 + index),
            SeqNumber::new(index),
            (*listener.ip()).into(),
            now(),
        )
        .map_err(|error| BenchError::Process {
            who: "callers",
            problem: error.to_string(),
        })?;
        Ok(Self {
            socket,
            address,
            settings,
            phase: Phase::Calling(Box::new(caller)),
            next: 0,
            tally: Tally::default(),
        })
    }

    fn turn(&mut self, stream: u64) {
        let mut buffer = [0; BUFFER_BYTES];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            match &mut self.phase {
                Phase::Calling(caller) => {
                    if let Ok(packet) = Packet::parse(&buffer[..length]) {
                        caller.handle(now(), &packet);
                    }
                    self.conclude();
                }
                Phase::Connected(connection) => {
                    connection.handle_packet(now(), &mut buffer[..length]);
                }
                Phase::Refused => {}
            }
        }
        self.transmit(&mut buffer);
        self.conclude();
        if let Phase::Connected(connection) = &mut self.phase {
            let now = now();
            while let Some(message) = connection.receive(now, &mut buffer) {
                let tally = &mut self.tally;
                match Mark::read(&buffer[..message.bytes]) {
                    None => tally.damaged += 1,
                    // A latecomer of the window before, which has been counted as lost there.
                    Some(mark) if mark.stream != stream => {}
                    Some(mark) if mark.number < self.next => tally.out_of_order += 1,
                    Some(mark) => {
                        tally.received += 1;
                        self.next = mark.number + 1;
                    }
                }
            }
        }
    }

    fn transmit(&mut self, buffer: &mut [u8]) {
        let now = now();
        if let Phase::Connected(connection) = &mut self.phase
            && now >= connection.next_timeout()
        {
            connection.handle_timeout(now);
        }
        loop {
            let length = match &mut self.phase {
                Phase::Calling(caller) => caller.poll_transmit(now, buffer).ok().flatten(),
                Phase::Connected(connection) => connection.poll_transmit(now, buffer),
                Phase::Refused => None,
            };
            let Some(length) = length else {
                return;
            };
            // What the kernel refuses is lost, as it would be on a network.
            let _ = self.socket.send(&buffer[..length]);
        }
    }

    fn conclude(&mut self) {
        let Phase::Calling(caller) = &mut self.phase else {
            return;
        };
        match caller.poll_outcome() {
            None => {}
            Some(Outcome::Connected(negotiated)) => {
                let connection = Connection::new(*negotiated, &self.settings, now());
                self.phase = Phase::Connected(Box::new(connection));
            }
            Some(_) => self.phase = Phase::Refused,
        }
    }
}

fn now() -> Micros {
    Micros(monotonic_ns() / 1_000)
}
