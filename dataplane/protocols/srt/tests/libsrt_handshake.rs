//! The handshake and the ciphers against libsrt, as `srt-live-transmit` brings it: every role, each key length, both
//! directions of data, and every refusal that can be told apart.
#![expect(
    clippy::disallowed_methods,
    reason = "a test against a process that runs in real time reads the clock"
)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "libsrt_handshake/link.rs"]
mod link;

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::time::Duration;

use bilbycast_srt::Micros;
use bilbycast_srt::crypto::{KeyLength, Passphrase};
use bilbycast_srt::handshake::{Outcome, RejectReason, Rejection, Settings};
use link::{
    Link, SECRET, connected, free_address, in_parallel, is_installed, key_query, libsrt, loopback,
    payloads, receive_all, settings,
};

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
