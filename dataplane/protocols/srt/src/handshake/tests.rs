//! Both ends in virtual time, over a network that loses and delays.

mod faults;
mod pair;

use pair::{Network, Side, call, listener, settings};

use super::*;
use crate::crypto::{CryptoMode, KeyLength, KmState, Passphrase};
use crate::wire::Packet;

const SECRET: &str = "correct horse battery";

#[test]
fn a_caller_and_a_listener_agree() {
    let mut ours = settings(Some(SECRET));
    ours.aes_key_len = Some(KeyLength::Aes256);
    ours.stream_id = Some("live/one".to_owned());
    ours.packet_filter = Some("fec,cols:10".to_owned());
    ours.recv_latency_ms = 550;
    ours.peer_latency_ms = 250;
    ours.mss = 1_400;
    let mut theirs = settings(Some(SECRET));
    theirs.recv_latency_ms = 300;
    theirs.peer_latency_ms = 500;
    theirs.flight_flag_size = 8_192;
    theirs.packet_filter = Some("fec,rows:5,arq:never".to_owned());
    let (caller, listener) = call(ours, theirs).unwrap();
    // The latencies of libsrt's own example (docs/features/handshake.md).
    assert_eq!(caller.recv_latency, Micros::from_millis(550));
    assert_eq!(caller.send_latency, Micros::from_millis(300));
    assert_eq!(listener.recv_latency, Micros::from_millis(300));
    assert_eq!(listener.send_latency, Micros::from_millis(550));
    for (side, other) in [(&caller, &listener), (&listener, &caller)] {
        assert_eq!(side.local_socket, other.peer_socket);
        assert_eq!(side.send_sequence, other.recv_sequence);
        assert_eq!(side.mss, 1_400);
        assert_eq!(side.flow_window, 8_192);
        assert_eq!(side.stream_id.as_deref(), Some("live/one"));
        assert_eq!(
            side.packet_filter.as_deref(),
            Some("fec,cols:10,rows:5,arq:never")
        );
        assert_eq!(side.peer_version, SrtVersion::OURS);
        assert!(side.tlpktdrop && side.peer_nak_report && side.peer_retransmit_flag);
        assert!(side.recv_tsbpd && side.send_tsbpd);
        assert!(
            side.crypto
                .as_ref()
                .is_some_and(|crypto| crypto.receive.is_secured())
        );
    }
    assert_eq!(caller.rtt, Some(Micros::from_millis(40)));
}

#[test]
fn the_callers_timestamps_are_those_of_its_own_clock() {
    // A listener that is an hour old, a caller that starts now: 2 % of the packets lost and a delivery clock that is an
    // hour early would lose every one of them for good.
    let hour = Micros::from_secs(3_600);
    let mut network = Network::perfect(hour);
    let mut side = Side::caller(settings(None), hour);
    let mut listener = listener(settings(None), Micros::ZERO);
    let (caller, accepted) = network.connect(&mut side, &mut listener).unwrap();
    let base = |negotiated: &Negotiated| {
        negotiated.peer_timestamp_at.0 - u64::from(negotiated.peer_timestamp.0)
    };
    // Each end's base is the other's start and the way between them.
    let way = Micros::from_millis(20).0;
    assert_eq!(base(&accepted), caller.start.0 + way);
    assert_eq!(base(&caller), accepted.start.0 + way);
    assert!(accepted.peer_timestamp.0 < 100_000);
    assert!(
        caller.peer_timestamp.0 < 100_000,
        "the age of the connection, not of the listener"
    );
}

#[test]
fn every_key_length_of_a_caller_goes_with_every_one_of_a_listener() {
    let lengths = [
        None,
        Some(KeyLength::Aes128),
        Some(KeyLength::Aes192),
        Some(KeyLength::Aes256),
    ];
    for ours in lengths {
        for theirs in lengths {
            let side = |length| Settings {
                aes_key_len: length,
                ..settings(Some(SECRET))
            };
            let (mut caller, listener) = call(side(ours), side(theirs)).unwrap();
            assert_reads(&mut caller, &listener);
        }
    }
}

#[test]
fn a_caller_without_a_key_length_follows_the_listener() {
    let mut theirs = settings(Some(SECRET));
    theirs.aes_key_len = Some(KeyLength::Aes256);
    let mut side = Side::caller(settings(Some(SECRET)), Micros::ZERO);
    let mut listener = listener(theirs, Micros::ZERO);
    let mut network = Network::perfect(Micros::ZERO);
    network.connect(&mut side, &mut listener).unwrap();
    assert_eq!(network.advertised_by_caller, Some(KeyLength::Aes256));
}

#[test]
fn gcm_goes_with_gcm() {
    let side = |mode| Settings {
        crypto_mode: mode,
        ..settings(Some(SECRET))
    };
    let (mut caller, listener) = call(side(CryptoMode::Gcm), side(CryptoMode::Gcm)).unwrap();
    assert_reads(&mut caller, &listener);
    for (ours, theirs) in [
        (CryptoMode::Gcm, CryptoMode::Ctr),
        (CryptoMode::Ctr, CryptoMode::Gcm),
    ] {
        let rejection = call(side(ours), side(theirs)).unwrap_err();
        assert_eq!(rejection.reason, RejectReason::Crypto);
        assert!(rejection.by_peer);
    }
}

#[test]
fn passphrases_that_differ_are_refused_with_the_reason() {
    let cases = [
        (
            Some(SECRET),
            Some("another passphrase"),
            RejectReason::BadSecret,
        ),
        (Some(SECRET), None, RejectReason::Unsecure),
        (None, Some(SECRET), RejectReason::Unsecure),
    ];
    for (ours, theirs, reason) in cases {
        let rejection = call(settings(ours), settings(theirs)).unwrap_err();
        assert_eq!(
            rejection,
            Rejection {
                reason,
                by_peer: true
            }
        );
    }
}

#[test]
fn without_enforced_encryption_they_connect_and_nothing_leaks() {
    let side = |secret| Settings {
        enforced_encryption: false,
        ..settings(secret)
    };
    for (ours, theirs) in [
        (Some(SECRET), Some("another passphrase")),
        (Some(SECRET), None),
        (None, Some(SECRET)),
    ] {
        let (mut caller, mut listener) = call(side(ours), side(theirs)).unwrap();
        let state = if ours.is_some() && theirs.is_some() {
            KmState::BadSecret
        } else {
            KmState::NoSecret
        };
        for (end, secret) in [(&caller, ours), (&listener, theirs)] {
            let told = end.crypto.as_ref().and_then(|keys| keys.send.refused());
            assert_eq!(told, secret.map(|_| state));
        }
        assert_hides(&mut caller, &listener);
        assert_hides(&mut listener, &caller);
    }
}

#[test]
fn a_caller_that_enforces_encryption_refuses_a_listener_that_does_not() {
    let mut theirs = settings(None);
    theirs.enforced_encryption = false;
    let rejection = call(settings(Some(SECRET)), theirs).unwrap_err();
    let expected = Rejection {
        reason: RejectReason::Unsecure,
        by_peer: false,
    };
    assert_eq!(rejection, expected);
}

#[test]
fn packet_filters_must_agree() {
    let side = |filter: Option<&str>| Settings {
        packet_filter: filter.map(str::to_owned),
        ..settings(None)
    };
    let agreed = |ours, theirs| {
        call(side(ours), side(theirs))
            .map(|(caller, listener)| {
                assert_eq!(caller.packet_filter, listener.packet_filter);
                caller.packet_filter
            })
            .map_err(|rejection| rejection.reason)
    };
    let text = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(agreed(None, None), Ok(None));
    assert_eq!(agreed(Some("fec,cols:10"), None), text("fec,cols:10"));
    assert_eq!(agreed(None, Some("fec,cols:10")), text("fec,cols:10"));
    assert_eq!(
        agreed(Some("fec"), Some("fec,cols:10,rows:-5")),
        text("fec,cols:10,rows:-5")
    );
    assert_eq!(
        agreed(Some("fec,cols:10"), Some("fec,cols:20")),
        Err(RejectReason::Filter)
    );
    assert_eq!(agreed(Some("fec"), Some("fec")), Err(RejectReason::Filter));
}

#[test]
fn a_listener_with_a_stream_id_takes_no_other() {
    let side = |id: Option<&str>| Settings {
        stream_id: id.map(str::to_owned),
        ..settings(None)
    };
    assert!(call(side(Some("a")), side(Some("a"))).is_ok());
    assert!(call(side(Some("a")), side(None)).is_ok());
    for ours in [None, Some("b")] {
        let rejection = call(side(ours), side(Some("a"))).unwrap_err();
        assert_eq!(rejection.reason, RejectReason::FORBIDDEN);
        assert_eq!(
            rejection.to_string(),
            "the stream id does not fit (1403) by the peer"
        );
    }
}

#[test]
fn a_handshake_survives_any_loss_that_leaves_it_time() {
    for seed in 0..60 {
        let patient = |secret| Settings {
            connect_timeout: Micros::from_secs(30),
            ..settings(secret)
        };
        let mut network = Network::lossy(seed, 40);
        let mut side = Side::caller(patient(Some(SECRET)), Micros::ZERO);
        let mut listener = listener(patient(Some(SECRET)), Micros::ZERO);
        let (mut caller, accepted) = network
            .connect(&mut side, &mut listener)
            .unwrap_or_else(|rejection| panic!("seed {seed}: {rejection}"));
        assert_reads(&mut caller, &accepted);
        // However often an answer was lost, and whichever copy came: the base is that of the connection.
        let base = caller.peer_timestamp_at.0 - u64::from(caller.peer_timestamp.0);
        assert_eq!(base, accepted.start.0 + network.delay.0, "seed {seed}");
    }
}

#[test]
fn rendezvous_agrees_in_both_roles_and_under_loss() {
    for seed in 0..60 {
        let patient = Settings {
            connect_timeout: Micros::from_secs(30),
            ..settings(Some(SECRET))
        };
        let mut network = Network::lossy(seed, if seed < 10 { 0 } else { 40 });
        let mut one = Side::rendezvous(patient.clone(), 1, 5, Micros::ZERO);
        // Half of the seeds meet in parallel, the others one after the other; the cookies swap the roles.
        let later = Micros::from_millis(if seed % 2 == 0 { 0 } else { 700 });
        let cookie = if seed % 4 < 2 { 9 } else { 0xffff_fff0 };
        let mut other = Side::rendezvous(patient, 2, cookie, later);
        let (mut first, second) = network
            .meet(&mut one, &mut other)
            .unwrap_or_else(|rejection| panic!("seed {seed}: {rejection}"));
        assert_eq!(first.local_socket, second.peer_socket);
        assert_eq!(first.send_sequence, second.recv_sequence);
        assert_eq!(first.recv_sequence, second.send_sequence);
        assert_reads(&mut first, &second);
    }
}

#[test]
fn rendezvous_refuses_with_the_reason() {
    let cases = [
        (
            Some(SECRET),
            Some("another passphrase"),
            RejectReason::BadSecret,
        ),
        (Some(SECRET), None, RejectReason::Unsecure),
        (None, Some(SECRET), RejectReason::Unsecure),
    ];
    for (ours, theirs, reason) in cases {
        let mut network = Network::perfect(Micros::ZERO);
        let mut one = Side::rendezvous(settings(ours), 1, 1, Micros::ZERO);
        let mut other = Side::rendezvous(settings(theirs), 2, 2, Micros::ZERO);
        let rejection = network.meet(&mut one, &mut other).unwrap_err();
        assert_eq!(rejection.reason, reason);
    }
    let mut network = Network::perfect(Micros::ZERO);
    let mut one = Side::rendezvous(settings(None), 1, 7, Micros::ZERO);
    let mut other = Side::rendezvous(settings(None), 2, 7, Micros::ZERO);
    let rejection = network.meet(&mut one, &mut other).unwrap_err();
    assert_eq!(rejection.reason, RejectReason::RendezvousCookie);
}

#[test]
fn nobody_there_is_a_timeout() {
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let mut sides = [
        Side::caller(settings(None), Micros::ZERO),
        Side::rendezvous(settings(None), 1, 1, Micros::ZERO),
    ];
    for side in &mut sides {
        let mut now = Micros::ZERO;
        let mut sent = 0;
        while let Some(due) = side.poll_timeout() {
            now = now.max(due);
            if side.poll_transmit(now, &mut buffer).is_some() {
                sent += 1;
                assert!(Packet::parse(&buffer).is_ok());
            }
        }
        assert_eq!(now, Micros::from_secs(3));
        assert_eq!(sent, 12, "one each 250 ms");
        assert!(matches!(side.poll_outcome(), Some(Outcome::TimedOut)));
    }
}

#[test]
fn settings_that_no_handshake_can_be_made_with_name_the_field() {
    let error = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().unwrap_err().to_string()
    };
    assert!(error(|s| s.mss = 75).contains("mss: 75"));
    assert!(error(|s| s.flight_flag_size = 31).contains("flight_flag_size: 31"));
    assert!(error(|s| s.stream_id = Some("x".repeat(513))).contains("stream_id: 513"));
    assert!(error(|s| s.packet_filter = Some("fec,cols:0".to_owned())).contains("fec,cols:0"));
    assert!(error(|s| s.key_refresh.pre_announce_packets = 0).contains("km_pre_announce 0"));
    assert!(
        error(|s| {
            s.crypto_mode = CryptoMode::Gcm;
            s.aes_key_len = Some(KeyLength::Aes192);
        })
        .contains("24")
    );
    assert!(Passphrase::new("short").is_err());
}

/// What `from` encrypts, `to` reads.
fn assert_reads(from: &mut Negotiated, to: &Negotiated) {
    let mut header = pair::header();
    let mut buffer = [0x47; 64];
    let crypto = from.crypto.as_mut().expect("encrypted");
    let sent = crypto.send.encrypt(&mut header, &mut buffer, 40).unwrap();
    let crypto = to.crypto.as_ref().expect("encrypted");
    let got = crypto
        .receive
        .decrypt(&header, &mut buffer[..sent])
        .unwrap();
    assert_eq!(buffer[..got], [0x47; 40]);
}

/// What `from` sends with its passphrase, `to` cannot read.
fn assert_hides(from: &mut Negotiated, to: &Negotiated) {
    let Some(crypto) = &mut from.crypto else {
        return;
    };
    let mut header = pair::header();
    let mut payload = *b"secret of the studio";
    crypto.send.encrypt(&mut header, &mut payload, 20).unwrap();
    assert_ne!(&payload, b"secret of the studio");
    if let Some(crypto) = &to.crypto {
        // Not even noise comes out of it.
        assert!(crypto.receive.decrypt(&header, &mut payload).is_err());
    }
}
