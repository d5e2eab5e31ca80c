//! The handshake and the ciphers against libsrt, as `srt-live-transmit` brings it: every role, each key length, both
//! directions of data, and every refusal that can be told apart. Skipped where the program is not installed.
#![expect(
    clippy::disallowed_methods,
    reason = "a test against a process that runs in real time reads the clock"
)]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bilbycast_srt::Micros;
use bilbycast_srt::crypto::{KeyLength, Passphrase};
use bilbycast_srt::handshake::{
    Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Negotiated, Outcome, RejectReason,
    Rejection, Rendezvous, Settings,
};
use bilbycast_srt::wire::{
    Ack, AckDetail, AckRates, Control, ControlPacket, DataHeader, DataPacket, HEADER_BYTES,
    KeyFlag, MessagePosition, MsgNumber, Packet, SeqNumber, SocketId, Timestamp,
};

const PROGRAM: &str = "srt-live-transmit";
// srt-live-transmit takes a query as it is: no escapes.
const SECRET: &str = "correct-horse-battery";
const KEY_LENGTHS: [Option<KeyLength>; 4] = [
    None,
    Some(KeyLength::Aes128),
    Some(KeyLength::Aes192),
    Some(KeyLength::Aes256),
];

#[test]
fn our_caller_sends_to_libsrt_with_each_key_length() {
    in_parallel(KEY_LENGTHS, |length| {
        let sink = UdpSocket::bind(loopback(1, 0)).unwrap();
        let peer_at = free_address(1);
        let _peer = libsrt(&[
            &format!(
                "srt://{peer_at}?mode=listener&latency=80{}",
                key_query(length)
            ),
            &format!("udp://{}", sink.local_addr().unwrap()),
        ]);
        let mut link = Link::to(peer_at);
        let mut caller = link.caller(settings(length));
        let mut negotiated = connected(link.run(&mut caller));
        assert_eq!(negotiated.recv_latency, Micros::from_millis(120));
        assert_eq!(negotiated.send_latency, Micros::from_millis(120));
        assert!(negotiated.tlpktdrop && negotiated.peer_nak_report && negotiated.recv_tsbpd);
        assert_eq!(negotiated.crypto.is_some(), length.is_some());
        let payloads = payloads();
        link.send_stream(&mut negotiated, &payloads);
        assert_eq!(receive_all(&sink, payloads.len()), payloads, "{length:?}");
    });
}

#[test]
fn our_caller_receives_from_a_libsrt_listener_with_each_key_length() {
    in_parallel(KEY_LENGTHS, |length| {
        let peer_at = free_address(1);
        let source_at = free_address(1);
        let _peer = libsrt(&[
            &format!("udp://{source_at}"),
            &format!(
                "srt://{peer_at}?mode=listener&latency=80{}",
                key_query(length)
            ),
        ]);
        let mut link = Link::to(peer_at);
        let mut caller = link.caller(settings(length));
        let negotiated = connected(link.run(&mut caller));
        link.receive_stream(&negotiated, source_at);
    });
}

#[test]
fn a_listener_that_is_old_does_not_pass_its_age_on() {
    if !is_installed() {
        return;
    }
    let peer_at = free_address(1);
    let source_at = free_address(1);
    let _peer = libsrt(&[
        &format!("udp://{source_at}"),
        &format!("srt://{peer_at}?mode=listener&latency=80"),
    ]);
    // Its INDUCTION answer carries its age; so that there is one, somebody asks for a cookie until it is half a second.
    let mut link = Link::to(peer_at);
    let age = link.wait_for_age(Duration::from_millis(500));
    let mut caller = link.caller(settings(None));
    let negotiated = connected(link.run(&mut caller));
    assert!(age >= 500_000);
    assert!(
        negotiated.peer_timestamp.0 < 400_000,
        "{} us is the age of the listener, not of the connection",
        negotiated.peer_timestamp.0
    );
    let data_timestamp = link.receive_stream(&negotiated, source_at);
    let expected =
        link.now().since(negotiated.peer_timestamp_at).0 + u64::from(negotiated.peer_timestamp.0);
    let late = expected.saturating_sub(u64::from(data_timestamp.0));
    assert!(
        late < 200_000,
        "data is stamped on another clock: {late} us"
    );
}

#[test]
fn our_listener_receives_from_libsrt_with_each_key_length() {
    in_parallel(KEY_LENGTHS, |length| {
        let mut link = Link::open(1);
        let source_at = free_address(1);
        let _peer = libsrt(&[
            &format!("udp://{source_at}"),
            &format!(
                "srt://{}?mode=caller&latency=90&streamid=live/camera-{length:?}{}",
                link.address(),
                key_query(length)
            ),
        ]);
        let (negotiated, stream_id) = link.listen(&settings(length));
        let negotiated = negotiated.expect("libsrt's caller fits");
        assert_eq!(stream_id, Some(format!("live/camera-{length:?}")));
        assert_eq!(negotiated.stream_id, stream_id);
        link.receive_stream(&negotiated, source_at);
    });
}

#[test]
fn our_listener_sends_to_libsrt_with_each_key_length() {
    in_parallel(KEY_LENGTHS, |length| {
        let mut link = Link::open(1);
        let sink = UdpSocket::bind(loopback(1, 0)).unwrap();
        let _peer = libsrt(&[
            &format!(
                "srt://{}?mode=caller&latency=80{}",
                link.address(),
                key_query(length)
            ),
            &format!("udp://{}", sink.local_addr().unwrap()),
        ]);
        let (negotiated, stream_id) = link.listen(&settings(length));
        let mut negotiated = negotiated.expect("libsrt's caller fits");
        assert_eq!(stream_id, None);
        let payloads = payloads();
        link.send_stream(&mut negotiated, &payloads);
        assert_eq!(receive_all(&sink, payloads.len()), payloads, "{length:?}");
    });
}

#[test]
fn rendezvous_in_both_roles_of_the_cookie_contest() {
    // The greatest and the least cookie that a contest knows decide it against nearly every other; the third case sends
    // the other way.
    let cases = [
        (None, true),
        (Some(KeyLength::Aes128), false),
        (Some(KeyLength::Aes192), true),
        (Some(KeyLength::Aes256), false),
    ];
    in_parallel(cases, |(length, sends)| {
        let mut link = Link::open(2);
        let peer_at = loopback(3, link.address().port());
        link.peer = Some(peer_at);
        let sink = UdpSocket::bind(loopback(1, 0)).unwrap();
        let sink_at = sink.local_addr().unwrap();
        let source_at = free_address(1);
        let srt = format!(
            "srt://{}?mode=rendezvous&adapter={}&latency=80{}",
            link.address(),
            peer_at.ip(),
            key_query(length)
        );
        let _peer = if sends {
            libsrt(&[&srt, &format!("udp://{sink_at}")])
        } else {
            libsrt(&[&format!("udp://{source_at}"), &srt])
        };
        let cookie = if length == Some(KeyLength::Aes128) {
            0x8000_0000
        } else {
            0x7fff_0000
        };
        let mut rendezvous = link.rendezvous(settings(length), cookie);
        let mut negotiated = connected(link.run(&mut rendezvous));
        assert_ne!(negotiated.send_sequence, negotiated.recv_sequence);
        if sends {
            let payloads = payloads();
            link.send_stream(&mut negotiated, &payloads);
            assert_eq!(receive_all(&sink, payloads.len()), payloads, "{length:?}");
        } else {
            link.receive_stream(&negotiated, source_at);
        }
    });
}

#[test]
fn libsrt_refuses_what_does_not_fit() {
    let ours = |secret: Option<&str>, filter: Option<&str>| Settings {
        passphrase: secret.map(|secret| Passphrase::new(secret).unwrap()),
        packet_filter: filter.map(str::to_owned),
        ..Settings::default()
    };
    let cases = [
        (
            ours(Some("another passphrase"), None),
            key_query(Some(KeyLength::Aes128)),
            RejectReason::BadSecret,
        ),
        (
            ours(None, None),
            key_query(Some(KeyLength::Aes128)),
            RejectReason::Unsecure,
        ),
        (
            ours(Some(SECRET), None),
            String::new(),
            RejectReason::Unsecure,
        ),
        (
            ours(None, Some("fec,cols:10")),
            "&packetfilter=fec,cols:20".to_owned(),
            RejectReason::Filter,
        ),
    ];
    in_parallel(cases, |(settings, query, reason)| {
        let peer_at = free_address(1);
        let _peer = libsrt(&[
            &format!("srt://{peer_at}?mode=listener{query}"),
            &format!("udp://{}", free_address(1)),
        ]);
        let mut link = Link::to(peer_at);
        let mut caller = link.caller(settings);
        match link.run(&mut caller) {
            Outcome::Rejected(rejection) => {
                assert_eq!(
                    rejection,
                    Rejection {
                        reason,
                        by_peer: true
                    }
                );
            }
            other => panic!("{reason}: {other:?}"),
        }
    });
}

#[test]
fn our_listener_refuses_libsrt_with_the_code_of_the_reason() {
    let secret = || Some(Passphrase::new(SECRET).unwrap());
    let cases = [
        (
            secret(),
            "&passphrase=another-passphrase",
            RejectReason::BadSecret,
        ),
        (secret(), "", RejectReason::Unsecure),
        (
            None,
            "&passphrase=another-passphrase",
            RejectReason::Unsecure,
        ),
    ];
    in_parallel(cases, |(passphrase, query, reason)| {
        let mut link = Link::open(1);
        let mut peer = libsrt(&[
            &format!("srt://{}?mode=caller{query}", link.address()),
            &format!("udp://{}", free_address(1)),
        ]);
        let settings = Settings {
            passphrase,
            ..Settings::default()
        };
        let (negotiated, _) = link.listen(&settings);
        assert_eq!(negotiated.err(), Some(reason));
        // Its log says why.
        let words = match reason {
            RejectReason::BadSecret => "Incorrect passphrase",
            _ => "Password required or unexpected",
        };
        let stderr = peer.0.stderr.take().expect("piped");
        let mut log = BufReader::new(stderr).lines().map(Result::unwrap);
        assert!(log.any(|line| line.contains(words)), "{reason}");
    });
}

#[test]
fn libsrt_takes_our_packet_filter_and_we_take_its() {
    if !is_installed() {
        return;
    }
    let peer_at = free_address(1);
    let _peer = libsrt(&[
        &format!("srt://{peer_at}?mode=listener&packetfilter=fec"),
        &format!("udp://{}", free_address(1)),
    ]);
    let mut link = Link::to(peer_at);
    let mut caller = link.caller(Settings {
        packet_filter: Some("fec,cols:10,rows:5,layout:even".to_owned()),
        ..Settings::default()
    });
    let negotiated = connected(link.run(&mut caller));
    // libsrt adds what it takes by default.
    let filter = negotiated.packet_filter.expect("agreed upon");
    assert!(
        filter.starts_with("fec,cols:10,rows:5,layout:even"),
        "{filter}"
    );

    let mut link = Link::open(1);
    let _peer = libsrt(&[
        &format!(
            "srt://{}?mode=caller&packetfilter=fec,cols:8,rows:4",
            link.address()
        ),
        &format!("udp://{}", free_address(1)),
    ]);
    let (negotiated, _) = link.listen(&Settings::default());
    let negotiated = negotiated.expect("a listener without a filter takes the caller's");
    assert_eq!(
        negotiated.packet_filter.as_deref(),
        Some("fec,cols:8,rows:4")
    );
}

/// A socket, a clock and one end of the protocol.
struct Link {
    socket: UdpSocket,
    epoch: Instant,
    peer: Option<SocketAddr>,
    negotiated_peer: Option<SocketAddr>,
}

/// What [`Caller`] and [`Rendezvous`] have in common.
trait Drive {
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
    fn open(host: u8) -> Self {
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

    fn to(peer: SocketAddr) -> Self {
        let mut link = Self::open(1);
        link.peer = Some(peer);
        link
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn now(&self) -> Micros {
        Micros::from(self.epoch.elapsed())
    }

    fn caller(&self, settings: Settings) -> Caller {
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

    fn rendezvous(&self, settings: Settings, cookie: u32) -> Rendezvous {
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

    fn run(&mut self, role: &mut impl Drive) -> Outcome {
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
    fn listen(
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
    fn wait_for_age(&mut self, age: Duration) -> u32 {
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
    fn send_stream(&self, negotiated: &mut Negotiated, payloads: &[Vec<u8>]) {
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
    fn receive_stream(&self, negotiated: &Negotiated, source_at: SocketAddr) -> Timestamp {
        let payloads = payloads();
        let feeder = UdpSocket::bind(loopback(1, 0)).unwrap();
        let start = Instant::now();
        let mut buffer = [0; 2_048];
        let mut next = negotiated.recv_sequence;
        let mut arrived = 0;
        let mut fed_at = None::<Instant>;
        let mut last = Timestamp::default();
        while arrived < payloads.len() {
            assert!(start.elapsed() < Duration::from_secs(5), "{arrived} payloads came");
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
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn libsrt(arguments: &[&str]) -> Peer {
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

fn is_installed() -> bool {
    let installed = Command::new(PROGRAM)
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !installed {
        eprintln!("skipped: {PROGRAM} is not installed");
    }
    installed
}

fn in_parallel<T: Send>(cases: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
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

fn settings(length: Option<KeyLength>) -> Settings {
    Settings {
        passphrase: length.map(|_| Passphrase::new(SECRET).unwrap()),
        aes_key_len: length,
        ..Settings::default()
    }
}

fn key_query(length: Option<KeyLength>) -> String {
    match length {
        Some(length) => format!("&passphrase={}&pbkeylen={}", SECRET, length.bytes()),
        None => String::new(),
    }
}

/// Payloads of every kind of length: whole and broken cipher blocks, one byte, and the usual one.
fn payloads() -> Vec<Vec<u8>> {
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

fn receive_all(sink: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
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

fn connected(outcome: Outcome) -> Negotiated {
    match outcome {
        Outcome::Connected(negotiated) => *negotiated,
        other => panic!("{other:?}"),
    }
}

fn loopback(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), port)
}

/// An address that is free now, for a program that must be told one.
fn free_address(host: u8) -> SocketAddr {
    UdpSocket::bind(loopback(host, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}
