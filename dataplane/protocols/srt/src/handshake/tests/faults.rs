//! What a far end may send instead of a handshake: each of these has brought an implementation down.

use super::pair::{CALLER_AT, PEER_IP, listener, settings};
use super::*;
use crate::wire::{
    Control, ControlPacket, ExtensionField, ExtensionKind, ExtensionsWriter, Handshake,
    HandshakeKind, HsExtension, PeerIp, SrtFlags,
};

/// Kind and content of extension blocks.
type Blocks<'a> = &'a [(u16, &'a [u8])];

#[test]
fn extensions_that_we_do_not_speak_are_refused_or_skipped() {
    let hs = hs_request();
    let group = [0, 0, 0, 1, 1, 0, 0, 0];
    let cases: [(Blocks<'_>, Option<RejectReason>); 15] = [
        (&[(1, &hs)], None),
        (&[(1, &hs), (6, b"evil")], None),
        (&[(1, &hs), (6, b"elif")], Some(RejectReason::Congestion)),
        (&[(1, &hs), (6, b"")], None),
        (&[(1, &hs), (8, &group)], Some(RejectReason::Group)),
        (&[(1, &hs), (8, b"")], Some(RejectReason::Group)),
        (&[(1, &hs), (5, b"")], None),
        (&[(1, &hs), (5, &[0xff; 4])], Some(RejectReason::Rogue)),
        (&[(1, &hs), (7, b"")], None),
        (&[(1, &hs), (99, b"whatever"), (0, b"")], None),
        (&[(99, b"whatever")], Some(RejectReason::Rogue)),
        (&[], Some(RejectReason::Rogue)),
        (&[(1, &hs[..8])], Some(RejectReason::Rogue)),
        (&[(1, &hs), (3, b"")], Some(RejectReason::Rogue)),
        (
            &[(1, &hs), (3, &[0, 0, 0, 3])],
            Some(RejectReason::Unsecure),
        ),
    ];
    for (extensions, reason) in cases {
        assert_eq!(answer_to(extensions), reason, "{extensions:?}");
    }
    let stream = hs_with(SrtVersion::OURS, SrtFlags(0xff));
    assert_eq!(answer_to(&[(1, &stream)]), Some(RejectReason::MessageApi));
    let old = hs_with(SrtVersion(0x0001_0200), SrtFlags(0xbf));
    assert_eq!(answer_to(&[(1, &old)]), Some(RejectReason::Version));
    let filter = *b",cefsloc\0\x000:";
    assert_eq!(
        answer_to(&[(1, &hs), (7, &filter)]),
        Some(RejectReason::Filter)
    );
}

#[test]
fn a_peer_whose_gcm_is_another_is_refused() {
    let ours = Settings {
        crypto_mode: CryptoMode::Gcm,
        ..settings(Some(SECRET))
    };
    let old = hs_with(SrtVersion(0x0001_0503), SrtFlags(0xbf));
    let mut km = [0; 56];
    km[..4].copy_from_slice(&[0x12, 0x20, 0x29, 1]);
    km[8..11].copy_from_slice(&[4, 1, 2]);
    km[14..16].copy_from_slice(&[4, 4]);
    assert_eq!(
        answer_with(&ours, &[(1, &old), (3, &km)], 5),
        Some(RejectReason::Crypto)
    );
    // With a version that fits it comes to the passphrase.
    let hs = hs_request();
    assert_eq!(
        answer_with(&ours, &[(1, &hs), (3, &km)], 5),
        Some(RejectReason::BadSecret)
    );
}

#[test]
fn a_caller_of_version_4_is_told_so() {
    let hs = hs_request();
    assert_eq!(
        answer_with(&settings(None), &[(1, &hs)], 4),
        Some(RejectReason::Version)
    );
}

#[test]
fn a_listener_answers_no_cookie_that_is_not_its_own() {
    let mut listener = listener(settings(None), Micros::ZERO);
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let now = Micros::from_secs(100);
    let cookie = cookie_of(&mut listener, now);
    let hs = hs_request();
    let mut is_known = |now, from, cookie| {
        let bytes = conclusion(&[(1, &hs)], cookie, 5);
        let packet = Packet::parse(&bytes).unwrap();
        !matches!(
            listener.handle(now, from, &packet, &mut buffer),
            Action::Ignore
        )
    };
    let mut other_port = CALLER_AT;
    other_port.set_port(1);
    let mut other_host = CALLER_AT;
    other_host.set_ip("2001:db8::1".parse().unwrap());
    assert!(is_known(now, CALLER_AT, cookie));
    assert!(!is_known(now, CALLER_AT, cookie ^ 1));
    assert!(!is_known(now, CALLER_AT, 0));
    assert!(!is_known(now, other_port, cookie));
    assert!(!is_known(now, other_host, cookie));
    assert!(
        is_known(now + Micros::from_secs(30), CALLER_AT, cookie),
        "the slot before"
    );
    assert!(
        !is_known(now + Micros::from_secs(60), CALLER_AT, cookie),
        "expired"
    );
}

#[test]
fn no_answer_before_the_cookie_is_larger_than_its_question() {
    let mut listener = listener(settings(Some(SECRET)), Micros::ZERO);
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let bytes = packet(HandshakeKind::Induction, &[], 0, 4);
    for _ in 0..1_000 {
        let parsed = Packet::parse(&bytes).unwrap();
        let Action::Reply(length) = listener.handle(Micros::ZERO, CALLER_AT, &parsed, &mut buffer)
        else {
            panic!("a cookie");
        };
        assert_eq!(length, bytes.len());
    }
    assert_eq!(listener.answers(), 0, "no state before the cookie returns");
}

#[test]
fn a_repeated_request_gets_the_same_answer_with_the_present_time() {
    let mut listener = listener(settings(None), Micros::ZERO);
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let now = Micros::from_secs(10);
    let cookie = cookie_of(&mut listener, now);
    let bytes = conclusion(&[(1, &hs_request())], cookie, 5);
    let request = Packet::parse(&bytes).unwrap();
    let Action::Accept(accepted) = listener.handle(now, CALLER_AT, &request, &mut buffer) else {
        panic!("a request");
    };
    let own = settings(None);
    let accepted = listener
        .accept(now, *accepted, &own, SocketId(9), &mut buffer)
        .unwrap();
    let first = buffer[..accepted.reply].to_vec();
    let later = now + Micros::from_millis(250);
    let Action::Reply(length) = listener.handle(later, CALLER_AT, &request, &mut buffer) else {
        panic!("the answer again");
    };
    assert_eq!(buffer[..8], first[..8]);
    assert_eq!(buffer[12..length], first[12..]);
    let timestamp = |bytes: &[u8]| u32::from_be_bytes(bytes[8..12].try_into().unwrap());
    assert_eq!(timestamp(&first), 0);
    assert_eq!(timestamp(&buffer), 250_000);
    // A connection that is over is forgotten, and so is everything after a while.
    listener.forget(CALLER_AT, SocketId(77));
    assert!(matches!(
        listener.handle(later, CALLER_AT, &request, &mut buffer),
        Action::Accept(_)
    ));
}

#[test]
fn what_is_answered_is_kept_in_bounds() {
    let mut listener = listener(settings(Some(SECRET)), Micros::ZERO);
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let cookie = cookie_of(&mut listener, Micros::ZERO);
    for number in 0..10_000_u32 {
        // 10,000 in a second, each with another socket id.
        let now = Micros(100 * u64::from(number));
        let mut bytes = conclusion(&[(1, &hs_request()), (3, &[7; 56])], cookie, 5);
        bytes[40..44].copy_from_slice(&(number + 1).to_be_bytes());
        let request = Packet::parse(&bytes).unwrap();
        let Action::Accept(request) = listener.handle(now, CALLER_AT, &request, &mut buffer) else {
            panic!("{number}");
        };
        assert!(request.is_encrypted());
        listener.reject(now, *request, RejectReason::BadSecret, &mut buffer);
    }
    assert!(listener.answers() <= 1_024);
}

#[test]
fn a_caller_takes_no_answer_that_is_not_for_it() {
    let mut caller = caller();
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    caller.poll_transmit(Micros::ZERO, &mut buffer).unwrap();
    let answer = |kind, destination: u32| {
        let mut bytes = packet(kind, &[], 1, 5);
        bytes[12..16].copy_from_slice(&destination.to_be_bytes());
        bytes[22..24].copy_from_slice(&ExtensionField::MAGIC.0.to_be_bytes());
        bytes
    };
    for bytes in [
        answer(HandshakeKind::Rejection(1_010), 78),
        answer(HandshakeKind::Conclusion, 77),
        answer(HandshakeKind::Agreement, 77),
        answer(HandshakeKind::Unknown(12), 77),
    ] {
        caller.handle(Micros::ZERO, &Packet::parse(&bytes).unwrap());
        assert!(caller.poll_outcome().is_none(), "{bytes:?}");
    }
    let bytes = answer(HandshakeKind::Rejection(2_403), 77);
    caller.handle(Micros::ZERO, &Packet::parse(&bytes).unwrap());
    let Some(Outcome::Rejected(rejection)) = caller.poll_outcome() else {
        panic!("rejected");
    };
    assert_eq!(rejection.reason, RejectReason::FORBIDDEN);
}

#[test]
fn an_answer_that_is_not_srt_is_refused_and_a_bad_one_ends_in_a_shutdown() {
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let mut rogue = caller();
    rogue.poll_transmit(Micros::ZERO, &mut buffer).unwrap();
    let mut bytes = packet(HandshakeKind::Induction, &[], 1, 5);
    bytes[12..16].copy_from_slice(&77_u32.to_be_bytes());
    rogue.handle(Micros::ZERO, &Packet::parse(&bytes).unwrap());
    assert_eq!(reason_of(rogue.poll_outcome()), RejectReason::Version);

    let mut caller = caller();
    caller.poll_transmit(Micros::ZERO, &mut buffer).unwrap();
    bytes[22..24].copy_from_slice(&ExtensionField::MAGIC.0.to_be_bytes());
    caller.handle(Micros::ZERO, &Packet::parse(&bytes).unwrap());
    let mut bytes = packet(HandshakeKind::Conclusion, &[], 1, 5);
    bytes[12..16].copy_from_slice(&77_u32.to_be_bytes());
    caller.handle(Micros::ZERO, &Packet::parse(&bytes).unwrap());
    assert_eq!(reason_of(caller.poll_outcome()), RejectReason::Rogue);
    let length = caller
        .poll_transmit(Micros::ZERO, &mut buffer)
        .unwrap()
        .unwrap();
    let Ok(Packet::Control(farewell)) = Packet::parse(&buffer[..length]) else {
        panic!("control");
    };
    assert_eq!(farewell.control, Control::Shutdown);
    assert_eq!(farewell.destination, SocketId(77));
    assert_eq!(caller.poll_timeout(), None);
}

#[test]
fn every_reason_survives_the_wire() {
    for code in [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 1_403, 2_005,
    ] {
        let reason = RejectReason::from_code(code);
        assert_eq!(reason.code(), code);
        assert_eq!(RejectReason::from_wire(reason.to_wire()), reason);
        assert!(reason.to_string().ends_with(&format!("({code})")));
    }
}

/// What a listener without a passphrase answers to a CONCLUSION with `extensions`.
fn answer_to(extensions: Blocks<'_>) -> Option<RejectReason> {
    answer_with(&settings(None), extensions, 5)
}

fn answer_with(settings: &Settings, extensions: Blocks<'_>, version: u32) -> Option<RejectReason> {
    let mut listener = listener(settings.clone(), Micros::ZERO);
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let cookie = cookie_of(&mut listener, Micros::ZERO);
    let bytes = conclusion(extensions, cookie, version);
    let request = Packet::parse(&bytes).unwrap();
    let length = match listener.handle(Micros::ZERO, CALLER_AT, &request, &mut buffer) {
        Action::Accept(request) => {
            match listener.accept(Micros::ZERO, *request, settings, SocketId(9), &mut buffer) {
                Ok(accepted) => accepted.reply,
                Err(refused) => refused.reply,
            }
        }
        Action::Reply(length) => length,
        Action::Ignore => panic!("every refusal is answered"),
    };
    match Packet::parse(&buffer[..length]) {
        Ok(Packet::Control(ControlPacket {
            control: Control::Handshake(handshake),
            destination: SocketId(77),
            ..
        })) => match handshake.kind {
            HandshakeKind::Conclusion => None,
            HandshakeKind::Rejection(code) => Some(RejectReason::from_wire(code)),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn cookie_of(listener: &mut Listener, now: Micros) -> u32 {
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let bytes = packet(HandshakeKind::Induction, &[], 0, 4);
    let question = Packet::parse(&bytes).unwrap();
    let Action::Reply(length) = listener.handle(now, CALLER_AT, &question, &mut buffer) else {
        panic!("a cookie");
    };
    match Packet::parse(&buffer[..length]) {
        Ok(Packet::Control(ControlPacket {
            control: Control::Handshake(handshake),
            ..
        })) => handshake.cookie,
        other => panic!("{other:?}"),
    }
}

fn conclusion(extensions: Blocks<'_>, cookie: u32, version: u32) -> Vec<u8> {
    packet(HandshakeKind::Conclusion, extensions, cookie, version)
}

fn packet(kind: HandshakeKind, extensions: Blocks<'_>, cookie: u32, version: u32) -> Vec<u8> {
    let mut content = [0; 1_024];
    let mut writer = ExtensionsWriter::new(&mut content);
    for (kind, content) in extensions {
        writer
            .push(ExtensionKind::from_wire(*kind), content)
            .unwrap();
    }
    let packet = ControlPacket {
        timestamp: Timestamp(5),
        destination: SocketId::NONE,
        control: Control::Handshake(Handshake {
            version,
            encryption: 0,
            extension: ExtensionField(7),
            initial_sequence: SeqNumber::new(1),
            mss: 1_500,
            flow_window: 8_192,
            kind,
            socket: SocketId(77),
            cookie,
            peer_ip: PeerIp::default(),
            extensions: writer.finish(),
        }),
    };
    let mut bytes = vec![0; 2_048];
    let length = packet.write(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

fn hs_request() -> [u8; HsExtension::BYTES] {
    hs_with(SrtVersion::OURS, SrtFlags(0xbf))
}

fn hs_with(version: SrtVersion, flags: SrtFlags) -> [u8; HsExtension::BYTES] {
    HsExtension {
        version,
        flags,
        recv_latency_ms: 120,
        send_latency_ms: 0,
    }
    .to_bytes()
}

fn caller() -> Caller {
    let sequence = SeqNumber::new(1);
    Caller::new(
        settings(None),
        SocketId(77),
        sequence,
        PEER_IP,
        Micros::ZERO,
    )
    .unwrap()
}

fn reason_of(outcome: Option<Outcome>) -> RejectReason {
    match outcome {
        Some(Outcome::Rejected(rejection)) => rejection.reason,
        other => panic!("{other:?}"),
    }
}
