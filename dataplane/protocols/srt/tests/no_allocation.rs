//! Once connected, a connection allocates nothing, whatever is lost.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::net::SocketAddr;

use bilbycast_counting_allocator::{Counting, allocations_in};
use bilbycast_srt::crypto::{CryptoMode, KeyLength, Passphrase};
use bilbycast_srt::handshake::{
    Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Outcome, Settings,
};
use bilbycast_srt::wire::{Packet, SeqNumber, SocketId};
use bilbycast_srt::{Connection, Micros};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn packets_allocate_nothing() {
    let clear = Settings::default();
    let encrypted = |mode| Settings {
        passphrase: Some(Passphrase::new("a passphrase of the tests").unwrap()),
        aes_key_len: Some(KeyLength::Aes256),
        crypto_mode: mode,
        ..Settings::default()
    };
    let filtered = |filter: &str| Settings {
        packet_filter: Some(filter.to_owned()),
        ..Settings::default()
    };
    for settings in [
        clear,
        encrypted(CryptoMode::Ctr),
        encrypted(CryptoMode::Gcm),
        filtered("fec,cols:10,rows:5,layout:staircase,arq:onreq"),
        filtered("fec,cols:10,rows:1,layout:even,arq:never"),
    ] {
        let (mut sender, mut receiver) = connected(&settings);
        let mut random = 1_u32;
        let mut now = Micros::from_secs(1);
        let mut delivered = 0;
        let allocations = allocations_in(|| {
            for packet in 0..20_000_u32 {
                now += Micros(500);
                // A third of the time nothing is lost, then a little, then much.
                let loss_percent = [0, 3, 30][(packet / 1_000 % 3) as usize];
                sender.send(now, &[&[0x47; 700], &[0x47; 616]]).unwrap();
                sender.handle_timeout(now);
                receiver.handle_timeout(now);
                let mut datagram = [0; 1_472];
                while let Some(length) = sender.poll_transmit(now, &mut datagram) {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if random >> 16 >= (loss_percent << 16) / 100 {
                        receiver.handle_packet(now, &mut datagram[..length]);
                    }
                }
                while let Some(length) = receiver.poll_transmit(now, &mut datagram) {
                    sender.handle_packet(now, &mut datagram[..length]);
                }
                while receiver.receive(now, &mut datagram).is_some() {
                    delivered += 1;
                }
            }
        });
        assert_eq!(allocations, 0, "{settings:?}");
        assert!(delivered > 15_000, "{delivered} delivered: {settings:?}");
    }
}

/// Two connections after a handshake.
fn connected(settings: &Settings) -> (Connection, Connection) {
    let now = Micros::from_secs(1);
    let at: SocketAddr = "127.0.0.1:9000".parse().unwrap();
    let first = SeqNumber::MAX.minus(500);
    let mut caller = Caller::new(settings.clone(), SocketId(1), first, at.ip(), now).unwrap();
    let mut listener = Listener::new(settings.clone(), SocketId(2), &[1; 32], now).unwrap();
    let (mut question, mut answer) = (
        [0; HANDSHAKE_PACKET_BYTES_MAX],
        [0; HANDSHAKE_PACKET_BYTES_MAX],
    );
    let mut accepted = None;
    loop {
        let length = caller.poll_transmit(now, &mut question).unwrap().unwrap();
        let packet = Packet::parse(&question[..length]).unwrap();
        let length = match listener.handle(now, at, &packet, &mut answer) {
            Action::Reply(length) => length,
            Action::Accept(request) => {
                let side = listener
                    .accept(now, *request, settings, SocketId(3), &mut answer)
                    .unwrap();
                accepted = Some(side.negotiated);
                side.reply
            }
            Action::Ignore => panic!("the listener ignores our caller"),
        };
        caller.handle(now, &Packet::parse(&answer[..length]).unwrap());
        if let Some(Outcome::Connected(negotiated)) = caller.poll_outcome() {
            return (
                Connection::new(*negotiated, settings, now),
                Connection::new(*accepted.unwrap(), settings, now),
            );
        }
    }
}
