//! Callers of one listener, each on a socket of its own, driven by one thread.

use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::time::{Duration, Instant};

use bilbycast_srt::crypto::Passphrase;
use bilbycast_srt::handshake::{Caller, HANDSHAKE_PACKET_BYTES_MAX, Outcome, Settings};
use bilbycast_srt::wire::{Packet, SeqNumber, SocketId};
use bilbycast_srt::{Connection, Micros, State};
use bilbycast_tests::{address, wait};

/// Where a message has its number.
pub(super) const NUMBER_AT: Range<usize> = 4..8;

/// Why somebody calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Is there before the first message, and gets all of them.
    Ordinary,
    /// Comes later, and gets all from then on.
    Late,
    /// Is refused, for the listener has no passphrase.
    WithPassphrase,
}

/// All callers.
#[derive(Debug)]
pub(super) struct Crowd {
    listener: SocketAddr,
    epoch: Instant,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    kind: Kind,
    socket: UdpSocket,
    settings: Settings,
    phase: Phase,
    /// The number that the next message must have; `None` before the first one of a late caller.
    next: Option<u32>,
    /// Messages that were not the next one.
    wrong: u32,
}

#[derive(Debug)]
enum Phase {
    Calling(Box<Caller>),
    Connected(Box<Connection>),
    Ended(Outcome),
}

impl Crowd {
    pub(super) fn new(listener: SocketAddr) -> Self {
        Self {
            listener,
            epoch: Instant::now(),
            members: Vec::new(),
        }
    }

    /// Lets somebody call.
    pub(super) fn call(&mut self, kind: Kind) {
        let socket = UdpSocket::bind((address::own_ip(), 0)).unwrap();
        socket.connect(self.listener).unwrap();
        socket.set_nonblocking(true).unwrap();
        let settings = Settings {
            passphrase: (kind == Kind::WithPassphrase)
                .then(|| Passphrase::new("a-passphrase-of-ours").unwrap()),
            // The machine may be busy; nothing here is about this time.
            connect_timeout: Micros::from_secs(15),
            ..Settings::default()
        };
        let id = SocketId(0x1000_0000 + self.members.len() as u32);
        let caller = Caller::new(
            settings.clone(),
            id,
            SeqNumber::new(7),
            self.listener.ip(),
            self.now(),
        );
        self.members.push(Member {
            kind,
            socket,
            settings,
            phase: Phase::Calling(Box::new(caller.unwrap())),
            next: (kind == Kind::Ordinary).then_some(0),
            wrong: 0,
        });
    }

    /// Looks at every socket, and does what is due.
    pub(super) fn turn(&mut self) {
        let epoch = self.epoch;
        for member in &mut self.members {
            member.turn(|| Micros::from(epoch.elapsed()));
        }
    }

    /// Goes on until it is so.
    pub(super) fn turn_until(
        &mut self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&Self) -> bool,
    ) {
        let deadline = Instant::now() + limit;
        while !is_so(self) {
            assert!(
                Instant::now() < deadline,
                "waited {limit:?} in vain until {what}"
            );
            self.turn();
            wait::pass(Duration::from_millis(1));
        }
    }

    pub(super) fn connected(&self) -> usize {
        let phases = self.members.iter().map(|member| &member.phase);
        phases
            .filter(|phase| matches!(phase, Phase::Connected(_)))
            .count()
    }

    pub(super) fn refused(&self) -> usize {
        let phases = self.members.iter().map(|member| &member.phase);
        phases
            .filter(
                |phase| matches!(phase, Phase::Ended(Outcome::Rejected(refusal)) if refusal.by_peer),
            )
            .count()
    }

    /// Whether everybody who is served has the last of so many messages.
    pub(super) fn have_all(&self, messages: u32) -> bool {
        let served = self
            .members
            .iter()
            .filter(|member| member.kind != Kind::WithPassphrase);
        served
            .into_iter()
            .all(|member| member.next == Some(messages))
    }

    /// # Panics
    ///
    /// When anybody lost a message, got one twice or in another order, or is not connected any more. Nobody calls twice, so who
    /// is connected has been so since.
    pub(super) fn assert_undisturbed(&self, messages: u32) {
        for (index, member) in self.members.iter().enumerate() {
            if member.kind == Kind::WithPassphrase {
                continue;
            }
            let Phase::Connected(connection) = &member.phase else {
                panic!("caller {index}: {:?}", member.phase);
            };
            assert_eq!(connection.state(), State::Connected, "caller {index}");
            let counts = connection.stats(self.now()).receive.counts;
            assert_eq!(
                (member.next, member.wrong, counts.skipped),
                (Some(messages), 0, 0),
                "caller {index}: {counts:?}"
            );
        }
    }

    fn now(&self) -> Micros {
        Micros::from(self.epoch.elapsed())
    }
}

impl Member {
    fn turn(&mut self, now: impl Fn() -> Micros) {
        let mut buffer = [0; 2_048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            match &mut self.phase {
                Phase::Calling(caller) => {
                    if let Ok(packet) = Packet::parse(&buffer[..length]) {
                        caller.handle(now(), &packet);
                    }
                    self.conclude(now());
                }
                Phase::Connected(connection) => {
                    connection.handle_packet(now(), &mut buffer[..length]);
                }
                Phase::Ended(_) => {}
            }
        }
        self.transmit(now());
        self.conclude(now());
        if let Phase::Connected(connection) = &mut self.phase {
            while let Some(message) = connection.receive(now(), &mut buffer) {
                let number = buffer[..message.bytes][NUMBER_AT].try_into();
                let number = u32::from_be_bytes(number.unwrap());
                self.wrong += u32::from(self.next.is_some_and(|next| next != number));
                self.next = Some(number + 1);
            }
        }
    }

    fn transmit(&mut self, now: Micros) {
        let mut buffer = [0; if HANDSHAKE_PACKET_BYTES_MAX > 2_048 {
            HANDSHAKE_PACKET_BYTES_MAX
        } else {
            2_048
        }];
        if let Phase::Connected(connection) = &mut self.phase {
            connection.handle_timeout(now);
        }
        loop {
            let length = match &mut self.phase {
                Phase::Calling(caller) => caller.poll_transmit(now, &mut buffer).unwrap(),
                Phase::Connected(connection) => connection.poll_transmit(now, &mut buffer),
                Phase::Ended(_) => None,
            };
            let Some(length) = length else {
                return;
            };
            // A refusal of the kernel tells of an earlier packet.
            let _sent = self.socket.send(&buffer[..length]);
        }
    }

    fn conclude(&mut self, now: Micros) {
        let Phase::Calling(caller) = &mut self.phase else {
            return;
        };
        match caller.poll_outcome() {
            None => {}
            Some(Outcome::Connected(negotiated)) => {
                let connection = Connection::new(*negotiated, &self.settings, now);
                self.phase = Phase::Connected(Box::new(connection));
            }
            Some(other) => self.phase = Phase::Ended(other),
        }
    }
}
