//! Encryption and key refresh.

use crate::crypto::{CryptoMode, KeyLength, RefreshPolicy};
use crate::time::Micros;
use crate::wire::{Control, ExtensionKind, KeyFlag, Packet};

use super::link::Conditions;
use super::pair::{Pair, Setup};

fn setup(length: KeyLength, mode: CryptoMode, refresh: u64) -> Setup {
    let policy = RefreshPolicy {
        refresh_packets: refresh,
        pre_announce_packets: refresh / 2,
    };
    Setup {
        keys: Some((length, mode, policy)),
        ..Setup::default()
    }
}

#[test]
fn every_key_size_and_mode_delivers_under_loss() {
    for (length, mode) in [
        (KeyLength::Aes128, CryptoMode::Ctr),
        (KeyLength::Aes192, CryptoMode::Ctr),
        (KeyLength::Aes256, CryptoMode::Ctr),
        (KeyLength::Aes128, CryptoMode::Gcm),
        (KeyLength::Aes256, CryptoMode::Gcm),
    ] {
        let mut pair = Pair::new(setup(length, mode, 1 << 24).network(0.05, 40));
        pair.run(Micros::from_secs(3));
        pair.assert_recovered();
        assert_eq!(
            pair.receiver
                .connection
                .stats(pair.now)
                .receive
                .undecryptable,
            0
        );
    }
}

#[test]
fn keys_are_refreshed_under_loss_without_a_packet_that_cannot_be_decrypted() {
    for mode in [CryptoMode::Ctr, CryptoMode::Gcm] {
        let mut setup = setup(KeyLength::Aes256, mode, 8_000).network(0.2, 40);
        setup.latency = Micros::from_millis(1_500);
        // A key is replaced 4,000 packets after it was last used, when none of its packets is asked for any more.
        let mut pair = Pair::new(setup);
        // Half of all key messages are lost as well, both ways.
        pair.forth.filter = Some(loses_half_of_key_material);
        let mut seen = [false; 4];
        for _ in 0..20 {
            pair.write_for(Micros::from_millis(800));
            seen[key_in_use(&mut pair) as usize] = true;
        }
        pair.run(Micros::from_secs(1));
        assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
        assert_eq!(
            pair.receiver
                .connection
                .stats(pair.now)
                .receive
                .undecryptable,
            0
        );
        assert_eq!(seen, [false, true, true, false], "both keys were in use");
    }
}

/// The key of the next packet that leaves.
fn key_in_use(pair: &mut Pair) -> KeyFlag {
    let now = pair.sender.clock(pair.now);
    pair.write();
    let mut out = [0; 1_500];
    let mut key = KeyFlag::None;
    while let Some(length) = pair.sender.connection.poll_transmit(now, &mut out) {
        if let Ok(Packet::Data(packet)) = Packet::parse(&out[..length]) {
            key = packet.header.key;
        }
        pair.forth.send(pair.now, &out[..length]);
    }
    key
}

fn loses_half_of_key_material(datagram: &[u8]) -> bool {
    let Ok(Packet::Control(packet)) = Packet::parse(datagram) else {
        return false;
    };
    matches!(packet.control, Control::UserDefined { subtype, .. } if subtype == ExtensionKind::KmReq.to_wire())
        && packet.timestamp.0 / 7 % 2 == 0
}

#[test]
fn a_damaged_packet_of_gcm_is_sent_again() {
    let conditions = Conditions::default();
    let mut pair = Pair::new(Setup {
        forth: conditions,
        ..setup(KeyLength::Aes128, CryptoMode::Gcm, 1 << 24)
    });
    pair.write_for(Micros::from_millis(100));
    let mut out = [0; 1_500];
    pair.write();
    let now = pair.sender.clock(pair.now);
    let length = pair.sender.connection.poll_transmit(now, &mut out).unwrap();
    out[40] ^= 1;
    pair.forth.send(pair.now, &out[..length]);
    pair.run(Micros::from_secs(1));
    assert_eq!((pair.delivered, pair.skipped), (pair.written, 0));
    let receive = pair.receiver.connection.stats(pair.now).receive;
    assert_eq!(receive.undecryptable, 1);
}

#[test]
fn without_the_key_nothing_is_delivered_and_nothing_asked_for() {
    let mut pair = Pair::new(setup(KeyLength::Aes128, CryptoMode::Ctr, 1 << 24));
    let other = Pair::new(Setup::default());
    pair.receiver = other.receiver;
    pair.run(Micros::from_secs(2));
    let receive = pair.receiver.connection.stats(pair.now).receive;
    assert_eq!((pair.delivered, receive.undecryptable), (0, pair.written));
    assert_eq!(receive.naks, 0);
    assert_eq!(pair.sender.connection.stats(pair.now).send.in_flight, 0);
}
