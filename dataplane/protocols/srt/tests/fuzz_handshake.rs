//! Fuzz targets: each role of the handshake against a far end that says anything. Run by `cargo test`, and at length by
//! `cargo bolero test fuzz_listener`, `fuzz_caller` and `fuzz_rendezvous`.
//!
//! The input is a list of orders: a byte that says what to send, a byte with a length, and so many bytes of content. An
//! order sends raw bytes, a handshake with the content as its extensions, or one that fits with the content's pairs of
//! bytes as changes to it, so that chance alone gets behind cookies and socket ids.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bilbycast_srt::Micros;
use bilbycast_srt::crypto::Passphrase;
use bilbycast_srt::handshake::{
    Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Negotiated, Outcome, Rendezvous, Settings,
};
use bilbycast_srt::wire::{
    Control, ControlPacket, ExtensionField, ExtensionKind, ExtensionsWriter, Handshake,
    HandshakeKind, HsExtension, Packet, PeerIp, SeqNumber, SocketId, SrtFlags, SrtVersion,
    Timestamp,
};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const FROM: SocketAddr = SocketAddr::new(IP, 5_000);
const OURS: SocketId = SocketId(77);
const THEIRS: SocketId = SocketId(99);
const INPUT_BYTES_MAX: usize = 1_024;

#[test]
fn fuzz_listener() {
    bolero::check!()
        .with_max_len(INPUT_BYTES_MAX)
        .for_each(|input| {
            let (settings, orders) = settings_of(input);
            let mut listener =
                Listener::new(settings.clone(), OURS, &[5; 32], Micros::ZERO).unwrap();
            let mut reply = [0; HANDSHAKE_PACKET_BYTES_MAX];
            let mut now = Micros::ZERO;
            let cookie = cookie_of(&mut listener, &mut reply);
            for order in Orders(orders) {
                now += Micros::from_millis(u64::from(order.kind));
                let kind = if order.kind & 0x40 == 0 {
                    HandshakeKind::Conclusion
                } else {
                    HandshakeKind::Induction
                };
                let datagram = order.datagram(kind, SocketId::NONE, cookie, true);
                let Ok(packet) = Packet::parse(&datagram) else {
                    continue;
                };
                let length = match listener.handle(now, FROM, &packet, &mut reply) {
                    Action::Ignore => continue,
                    Action::Reply(length) => length,
                    Action::Accept(request) if order.kind & 0x20 == 0 => {
                        match listener.accept(now, *request, &settings, THEIRS, &mut reply) {
                            Ok(accepted) => {
                                check(&accepted.negotiated, &settings);
                                accepted.reply
                            }
                            Err(refused) => refused.reply,
                        }
                    }
                    Action::Accept(request) => {
                        let reason = bilbycast_srt::handshake::RejectReason::Backlog;
                        listener.reject(now, *request, reason, &mut reply)
                    }
                };
                assert!(Packet::parse(&reply[..length]).is_ok());
            }
        });
}

#[test]
fn fuzz_caller() {
    bolero::check!()
        .with_max_len(INPUT_BYTES_MAX)
        .for_each(|input| {
            let (settings, orders) = settings_of(input);
            let mut caller =
                Caller::new(settings.clone(), OURS, SeqNumber::MAX, IP, Micros::ZERO).unwrap();
            let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
            let mut now = Micros::ZERO;
            let mut outcomes = 0;
            for order in Orders(orders) {
                now += Micros::from_millis(u64::from(order.kind));
                while let Some(length) = caller.poll_transmit(now, &mut buffer).unwrap() {
                    assert!(Packet::parse(&buffer[..length]).is_ok());
                }
                let kind = if order.kind & 0x40 == 0 {
                    HandshakeKind::Induction
                } else {
                    HandshakeKind::Conclusion
                };
                let datagram = order.datagram(kind, OURS, 0x1234_5678, false);
                if let Ok(packet) = Packet::parse(&datagram) {
                    caller.handle(now, &packet);
                }
                outcomes += count(caller.poll_outcome(), &settings);
            }
            now = Micros::from_secs(100);
            while caller.poll_transmit(now, &mut buffer).unwrap().is_some() {}
            outcomes += count(caller.poll_outcome(), &settings);
            assert_eq!(outcomes, 1, "one outcome, and no more");
            assert_eq!(caller.poll_timeout(), None);
        });
}

#[test]
fn fuzz_rendezvous() {
    bolero::check!()
        .with_max_len(INPUT_BYTES_MAX)
        .for_each(|input| {
            let (settings, orders) = settings_of(input);
            let sequence = SeqNumber::new(0);
            let cookie = 0x1234_5678;
            let mut side =
                Rendezvous::new(settings.clone(), OURS, sequence, cookie, IP, Micros::ZERO)
                    .unwrap();
            let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
            let mut now = Micros::ZERO;
            let mut outcomes = 0;
            for order in Orders(orders) {
                now += Micros::from_millis(u64::from(order.kind));
                while let Some(length) = side.poll_transmit(now, &mut buffer).unwrap() {
                    assert!(Packet::parse(&buffer[..length]).is_ok());
                }
                let kind = match order.kind & 0x60 {
                    0 => HandshakeKind::WaveAHand,
                    0x20 => HandshakeKind::Agreement,
                    _ => HandshakeKind::Conclusion,
                };
                // Half of the far ends win the contest.
                let cookie = if order.kind & 0x10 == 0 {
                    cookie + 1
                } else {
                    cookie - 1
                };
                let datagram = order.datagram(kind, OURS, cookie, order.kind & 0x10 == 0);
                if let Ok(packet) = Packet::parse(&datagram) {
                    side.handle(now, &packet);
                }
                outcomes += count(side.poll_outcome(), &settings);
            }
            now = Micros::from_secs(100);
            while side.poll_transmit(now, &mut buffer).unwrap().is_some() {}
            outcomes += count(side.poll_outcome(), &settings);
            assert_eq!(outcomes, 1, "one outcome, and no more");
            assert_eq!(side.poll_timeout(), None);
        });
}

/// The orders of an input.
struct Orders<'a>(&'a [u8]);

struct Order<'a> {
    kind: u8,
    content: &'a [u8],
}

impl<'a> Iterator for Orders<'a> {
    type Item = Order<'a>;

    fn next(&mut self) -> Option<Order<'a>> {
        let ([kind, length], rest) = self.0.split_first_chunk()?;
        let (content, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        self.0 = rest;
        Some(Order {
            kind: *kind,
            content,
        })
    }
}

impl Order<'_> {
    /// The datagram that the order sends: raw, with the content as extensions, or a changed one that fits.
    fn datagram(&self, kind: HandshakeKind, to: SocketId, cookie: u32, request: bool) -> Vec<u8> {
        match self.kind % 4 {
            0 => self.content.to_vec(),
            1 => {
                let mut bytes = handshake(kind, to, cookie, request, false);
                bytes.extend_from_slice(self.content);
                bytes
            }
            _ => {
                let mut bytes = handshake(kind, to, cookie, request, true);
                for change in self.content.chunks_exact(2) {
                    let at = usize::from(change[0]) % bytes.len();
                    bytes[at] = change[1];
                }
                bytes
            }
        }
    }
}

/// A handshake of a far end; with `extensions`, what is needed to connect without a passphrase.
fn handshake(
    kind: HandshakeKind,
    to: SocketId,
    cookie: u32,
    request: bool,
    extensions: bool,
) -> Vec<u8> {
    let mut content = [0; 512];
    let mut writer = ExtensionsWriter::new(&mut content);
    if extensions && kind == HandshakeKind::Conclusion {
        let hs = HsExtension {
            version: SrtVersion::OURS,
            flags: SrtFlags(0xbf),
            recv_latency_ms: 120,
            send_latency_ms: 0,
        };
        let (hs_kind, km_kind) = if request {
            (ExtensionKind::HsReq, ExtensionKind::KmReq)
        } else {
            (ExtensionKind::HsRsp, ExtensionKind::KmRsp)
        };
        writer.push(hs_kind, &hs.to_bytes()).unwrap();
        writer
            .push_text(ExtensionKind::StreamId, "#!::r=live,m=publish")
            .unwrap();
        writer
            .push_text(ExtensionKind::Filter, "fec,cols:10")
            .unwrap();
        writer.push(km_kind, &[0x12, 0x20, 0x29, 1]).unwrap();
    }
    let extension = if kind == HandshakeKind::Induction && !request {
        ExtensionField::MAGIC
    } else {
        ExtensionField(7)
    };
    let packet = ControlPacket {
        timestamp: Timestamp(1_000),
        destination: to,
        control: Control::Handshake(Handshake {
            version: 5,
            encryption: 2,
            extension,
            initial_sequence: SeqNumber::new(7),
            mss: 1_500,
            flow_window: 8_192,
            kind,
            socket: THEIRS,
            cookie,
            peer_ip: PeerIp::from(IP),
            extensions: writer.finish(),
        }),
    };
    let mut bytes = vec![0; 1_024];
    let length = packet.write(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

/// The settings that the first byte asks for, and the rest. Keys are dear, so that one input of eight has them.
fn settings_of(input: &[u8]) -> (Settings, &[u8]) {
    let (choice, orders) = input.split_first().unwrap_or((&0, &[]));
    let settings = Settings {
        passphrase: (choice & 7 == 1).then(|| Passphrase::new("correct horse").unwrap()),
        enforced_encryption: choice & 8 == 0,
        packet_filter: (choice & 16 != 0).then(|| "fec,cols:10".to_owned()),
        ..Settings::default()
    };
    (settings, orders)
}

fn cookie_of(listener: &mut Listener, reply: &mut [u8]) -> u32 {
    let bytes = handshake(HandshakeKind::Induction, SocketId::NONE, 0, true, false);
    let packet = Packet::parse(&bytes).unwrap();
    let Action::Reply(length) = listener.handle(Micros::ZERO, FROM, &packet, reply) else {
        panic!("every INDUCTION gets a cookie");
    };
    match Packet::parse(&reply[..length]) {
        Ok(Packet::Control(ControlPacket {
            control: Control::Handshake(handshake),
            ..
        })) => handshake.cookie,
        other => panic!("{other:?}"),
    }
}

fn count(outcome: Option<Outcome>, settings: &Settings) -> usize {
    if let Some(Outcome::Connected(negotiated)) = &outcome {
        check(negotiated, settings);
    }
    usize::from(outcome.is_some())
}

/// What holds for every connection.
fn check(negotiated: &Negotiated, settings: &Settings) {
    assert_ne!(negotiated.peer_socket, SocketId::NONE);
    assert!((76..=settings.mss).contains(&negotiated.mss));
    assert!((1..=settings.flight_flag_size).contains(&negotiated.flow_window));
    assert!(negotiated.recv_latency >= Micros::from_millis(u64::from(settings.recv_latency_ms)));
    assert_eq!(negotiated.crypto.is_some(), settings.passphrase.is_some());
    if settings.enforced_encryption
        && let Some(crypto) = &negotiated.crypto
    {
        assert!(crypto.receive.is_secured());
    }
}
