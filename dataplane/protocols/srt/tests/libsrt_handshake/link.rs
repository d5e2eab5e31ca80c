//! A socket that speaks our end, the process at the other one, and what passes between them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bilbycast_srt::Micros;
use bilbycast_srt::crypto::{KeyLength, Passphrase};
use bilbycast_srt::handshake::{
    Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Negotiated, Outcome, RejectReason,
    Rendezvous, Settings,
};
use bilbycast_srt::wire::{
    Ack, AckDetail, AckRates, Control, ControlPacket, DataHeader, DataPacket, HEADER_BYTES,
    KeyFlag, MessagePosition, MsgNumber, Packet, SeqNumber, SocketId, Timestamp,
};

const PROGRAM: &str = "srt-live-transmit";
// srt-live-transmit takes a query as it is: no escapes.
pub(super) const SECRET: &str = "correct-horse-battery";

/// A socket, a clock and one end of the protocol.
pub(super) struct Link {
    socket: UdpSocket,
    epoch: Instant,
    pub(super) peer: Option<SocketAddr>,
    negotiated_peer: Option<SocketAddr>,
}

/// What [`Caller`] and [`Rendezvous`] have in common.
pub(super) trait Drive {
    fn handle(&mut self, now: Micros, packet: &Packet<'_>);
    fn poll_transmit(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize>;
    fn poll_outcome(&mut self) -> Option<Outcome>;
}

macro_rules! drive {
    ($role:ty) => {
        impl Drive for $role {
            fn handle(&mut self, now: Micros, packet: &Packet<'_>) {
                self.handle(now, packet);
            }
            fn poll_transmit(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize> {
                self.poll_transmit(now, buffer).unwrap()
            }
            fn poll_outcome(&mut self) -> Option<Outcome> {
                self.poll_outcome()
            }
        }
    };
}
drive!(Caller);
drive!(Rendezvous);

impl Link {
    pub(super) fn open(host: u8) -> Self {
        let socket = UdpSocket::bind(loopback(host, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        Self {
            socket,
            epoch: Instant::now(),
            peer: None,
            negotiated_peer: None,
        }
    }

    pub(super) fn to(peer: SocketAddr) -> Self {
        let mut link = Self::open(1);
        link.peer = Some(peer);
        link
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(super) fn now(&self) -> Micros {
        Micros::from(self.epoch.elapsed())
    }

    pub(super) fn caller(&self, settings: Settings) -> Caller {
        let ip = self.peer.unwrap().ip();
        let socket = SocketId(0x1000_0000 | u32::from(self.address().port()));
        Caller::new(
            settings,
            socket,
            SeqNumber::new(0x7fff_fffe),
            ip,
            self.now(),
        )
        .unwrap()
    }

    pub(super) fn rendezvous(&self, settings: Settings, cookie: u32) -> Rendezvous {
        let ip = self.peer.unwrap().ip();
        let socket = SocketId(0x2000_0000 | u32::from(self.address().port()));
        Rendezvous::new(settings, socket, SeqNumber::new(77), cookie, ip, self.now()).unwrap()
    }

    fn receive<'b>(&self, buffer: &'b mut [u8]) -> Option<(&'b mut [u8], SocketAddr)> {
        match self.socket.recv_from(buffer) {
            Ok((length, from)) => Some((&mut buffer[..length], from)),
            // The peer is not there yet, or has nothing to say.
            Err(_) => None,
        }
    }

    fn send(&self, bytes: &[u8], to: SocketAddr) {
        // A peer that is not there yet answers with an ICMP error, which the next call reports.
        let _ = self.socket.send_to(bytes, to);
    }

    pub(super) fn run(&mut self, role: &mut impl Drive) -> Outcome {
        let peer = self.peer.unwrap();
        let mut buffer = [0; 2_048];
        self.negotiated_peer = Some(peer);
        loop {
            while let Some(length) = role.poll_transmit(self.now(), &mut buffer) {
                self.send(&buffer[..length], peer);
            }
            if let Some(outcome) = role.poll_outcome() {
                return outcome;
            }
            if let Some((datagram, from)) = self.receive(&mut buffer)
                && from == peer
            {
                let packet = Packet::parse(datagram).expect("libsrt sends no garbage");
                role.handle(self.now(), &packet);
            }
        }
    }

    /// Waits for one caller and answers it with `settings`.
    pub(super) fn listen(
        &mut self,
        settings: &Settings,
    ) -> (Result<Negotiated, RejectReason>, Option<String>) {
        let start = self.now();
        let socket = SocketId(0x3000_0000 | u32::from(self.address().port()));
        let mut listener = Listener::new(settings.clone(), socket, &[7; 32], start).unwrap();
        let mut datagram = [0; 2_048];
        let mut reply = [0; HANDSHAKE_PACKET_BYTES_MAX];
        loop {
            assert!(
                self.now().since(start) < Micros::from_secs(6),
                "nobody calls"
            );
            let Some((bytes, from)) = self.receive(&mut datagram) else {
                continue;
            };
            let packet = Packet::parse(bytes).expect("libsrt sends no garbage");
            match listener.handle(self.now(), from, &packet, &mut reply) {
                Action::Ignore => {}
                Action::Reply(length) => self.send(&reply[..length], from),
                Action::Accept(request) => {
                    let stream_id = request.stream_id().map(str::to_owned);
                    let id = SocketId(socket.0 + 1);
                    self.negotiated_peer = Some(from);
                    let now = self.now();
                    return match listener.accept(now, *request, settings, id, &mut reply) {
                        Ok(accepted) => {
                            self.send(&reply[..accepted.reply], from);
                            (Ok(*accepted.negotiated), stream_id)
                        }
                        Err(refused) => {
                            self.send(&reply[..refused.reply], from);
                            (Err(refused.reason), stream_id)
                        }
                    };
                }
            }
        }
    }

    /// Asks the listener for cookies until its answer says that it is `age` old; returns its age in microseconds.
    pub(super) fn wait_for_age(&mut self, age: Duration) -> u32 {
        let start = Instant::now();
        let mut buffer = [0; 2_048];
        loop {
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "the listener does not answer"
            );
            let mut caller = self.caller(settings(None));
            let length = caller
                .poll_transmit(self.now(), &mut buffer)
                .unwrap()
                .unwrap();
            self.send(&buffer[..length], self.peer.unwrap());
            if let Some((datagram, _)) = self.receive(&mut buffer)
                && let Ok(Packet::Control(packet)) = Packet::parse(datagram)
                && u128::from(packet.timestamp.0) >= age.as_micros()
            {
                return packet.timestamp.0;
            }
        }
    }

    /// Sends `payloads` as a stream, one packet each, a few milliseconds apart.
    pub(super) fn send_stream(&self, negotiated: &mut Negotiated, payloads: &[Vec<u8>]) {
        let peer = self.negotiated_peer.unwrap();
        let mut buffer = [0; 2_048];
        let mut sequence = negotiated.send_sequence;
        let mut message = MsgNumber::FIRST;
        for payload in payloads {
            let mut header = DataHeader {
                sequence,
                position: MessagePosition::Single,
                in_order: false,
                key: KeyFlag::None,
                retransmitted: false,
                message,
                timestamp: Timestamp::at(self.now(), negotiated.start),
                destination: negotiated.peer_socket,
            };
            let mut content = [0; 1_500];
            content[..payload.len()].copy_from_slice(payload);
            let mut length = payload.len();
            if let Some(crypto) = &mut negotiated.crypto {
                length = crypto
                    .send
                    .encrypt(&mut header, &mut content, length)
                    .unwrap();
                assert_ne!(&content[..length], &payload[..]);
            }
            let packet = DataPacket {
                header,
                payload: &content[..length],
            };
            let length = packet.write(&mut buffer).unwrap();
            self.send(&buffer[..length], peer);
            sequence = sequence.next();
            message = message.next();
            // Whatever libsrt has to say to a sender that takes no notice.
            let mut ignored = [0; 2_048];
            let _ = self.receive(&mut ignored);
        }
    }

    /// Has libsrt send what it gets at `source_at`, and checks that it comes; returns the timestamp of the last packet.
    ///
    /// srt-live-transmit drops what it gets before its other end is connected, and may take a while to notice that it
    /// is: each payload is fed again until it comes.
    pub(super) fn receive_stream(
        &self,
        negotiated: &Negotiated,
        source_at: SocketAddr,
    ) -> Timestamp {
        let payloads = payloads();
        let feeder = UdpSocket::bind(loopback(1, 0)).unwrap();
        let start = Instant::now();
        let mut buffer = [0; 2_048];
        let mut next = negotiated.recv_sequence;
        let mut arrived = 0;
        let mut fed_at = None::<Instant>;
        let mut last = Timestamp::default();
        while arrived < payloads.len() {
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{arrived} payloads came"
            );
            if fed_at.is_none_or(|at| at.elapsed() > Duration::from_millis(100)) {
                feeder.send_to(&payloads[arrived], source_at).unwrap();
                fed_at = Some(Instant::now());
            }
            let Some((datagram, from)) = self.receive(&mut buffer) else {
                continue;
            };
            assert_eq!(Some(from), self.negotiated_peer);
            let Ok(Packet::Data(packet)) = Packet::parse(datagram) else {
                continue;
            };
            let header = packet.header;
            assert_eq!(header.destination, negotiated.local_socket);
            if header.sequence != next {
                continue;
            }
            next = next.next();
            self.acknowledge(negotiated, next);
            let payload = &mut datagram[HEADER_BYTES..];
            let length = match &negotiated.crypto {
                Some(crypto) => crypto.receive.decrypt(&header, payload).unwrap(),
                None => payload.len(),
            };
            if arrived > 0 && payload[..length] == payloads[arrived - 1] {
                continue;
            }
            assert_eq!(payload[..length], payloads[arrived]);
            last = header.timestamp;
            arrived += 1;
            fed_at = None;
        }
        last
    }

    fn acknowledge(&self, negotiated: &Negotiated, acknowledged: SeqNumber) {
        let ack = ControlPacket {
            timestamp: Timestamp::at(self.now(), negotiated.start),
            destination: negotiated.peer_socket,
            control: Control::Ack(Ack {
                number: 1,
                acknowledged,
                detail: Some(AckDetail {
                    rtt_us: 1_000,
                    rtt_var_us: 100,
                    buffer_available: 8_000,
                    rates: Some(AckRates {
                        packets_per_second: 0,
                        link_capacity: 1_000,
                        bytes_per_second: 0,
                    }),
                }),
            }),
        };
        let mut buffer = [0; 64];
        let length = ack.write(&mut buffer).unwrap();
        self.send(&buffer[..length], self.negotiated_peer.unwrap());
    }
}

/// A process that is ended with the test.
pub(super) struct Peer(pub(super) Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn libsrt(arguments: &[&str]) -> Peer {
    let child = Command::new(PROGRAM)
        .args(["-q", "-a:no", "-t:20"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("installed, as was seen before");
    Peer(child)
}

pub(super) fn is_installed() -> bool {
    let installed = Command::new(PROGRAM)
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !installed {
        bilbycast_test_peers::skip(format!("no {PROGRAM} (Debian package srt-tools)"));
    }
    installed
}

pub(super) fn in_parallel<T: Send>(cases: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    if !is_installed() {
        return;
    }
    std::thread::scope(|scope| {
        for case in cases {
            let test = &test;
            scope.spawn(move || test(case));
        }
    });
}

pub(super) fn settings(length: Option<KeyLength>) -> Settings {
    Settings {
        passphrase: length.map(|_| Passphrase::new(SECRET).unwrap()),
        aes_key_len: length,
        ..Settings::default()
    }
}

pub(super) fn key_query(length: Option<KeyLength>) -> String {
    match length {
        Some(length) => format!("&passphrase={}&pbkeylen={}", SECRET, length.bytes()),
        None => String::new(),
    }
}

/// Payloads of every kind of length: whole and broken cipher blocks, one byte, and the usual one.
pub(super) fn payloads() -> Vec<Vec<u8>> {
    [1_316, 188, 16, 1, 17, 1_303, 1_316, 376]
        .iter()
        .enumerate()
        .map(|(index, length)| {
            (0..*length)
                .map(|at: usize| u8::try_from((at * 31 + index * 7) % 251).unwrap())
                .collect()
        })
        .collect()
}

pub(super) fn receive_all(sink: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    sink.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    let mut buffer = [0; 2_048];
    let mut received = Vec::new();
    while received.len() < count {
        match sink.recv(&mut buffer) {
            Ok(length) => received.push(buffer[..length].to_vec()),
            Err(_) => break,
        }
    }
    received
}

pub(super) fn connected(outcome: Outcome) -> Negotiated {
    match outcome {
        Outcome::Connected(negotiated) => *negotiated,
        other => panic!("{other:?}"),
    }
}

pub(super) fn loopback(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), port)
}

/// An address that is free now, for a program that must be told one.
pub(super) fn free_address(host: u8) -> SocketAddr {
    UdpSocket::bind(loopback(host, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}
