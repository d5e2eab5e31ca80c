use proptest::prelude::*;

use super::key_material::Announcement;
use super::passphrase::Secret;
use super::state::KeyExchange;
use super::wrap::{unwrap, wrap};
use super::*;
use crate::Micros;
use crate::wire::{
    DataHeader, KeyFlag, MessagePosition, MsgNumber, SeqNumber, SocketId, Timestamp,
};

const RTT: Micros = Micros::from_millis(40);
const POLICY: RefreshPolicy = RefreshPolicy {
    refresh_packets: 100,
    pre_announce_packets: 20,
};

#[test]
fn rfc_3394_section_4_examples_of_keys_as_long_as_the_wrapping_one() {
    let key = "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f";
    let cases = [
        (
            KeyLength::Aes128,
            "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5",
        ),
        (
            KeyLength::Aes192,
            "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2",
        ),
        (
            KeyLength::Aes256,
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
    ];
    for (length, expected) in cases {
        let mut kek = Secret::zeroed(length);
        for (byte, value) in kek.as_mut().iter_mut().zip(0..) {
            *byte = value;
        }
        let plain = &from_hex(key)[..length.bytes()];
        let expected = from_hex(expected);
        let mut wrapped = vec![0; expected.len()];
        wrap(&kek, plain, &mut wrapped).unwrap();
        assert_eq!(wrapped, expected);
        let mut keys = vec![0; plain.len()];
        unwrap(&kek, &wrapped, &mut keys).unwrap();
        assert_eq!(keys, plain);
        wrapped[9] ^= 1;
        assert_eq!(
            unwrap(&kek, &wrapped, &mut keys),
            Err(CryptoError::BadSecret)
        );
        assert_eq!(
            keys,
            vec![0; plain.len()],
            "nothing of a failed unwrap is left"
        );
    }
}

#[test]
fn key_material_of_libsrt_unwraps_with_its_passphrase_alone() {
    // The KMREQ of srt-live-transmit 1.5.1 with passphrase=0123456789abc and a key of 24 bytes.
    let request = from_hex(
        "1220290100000000020002000000040657c8732a54ba8bcabd2e389642c6cea181d578a2aa48058c2d5c3077\
         64eede03d4b3a3e1de3e15757e1e0fad41032e1b",
    );
    let material = KeyMaterial::parse(&request).unwrap();
    assert_eq!(material.keys, KeyFlag::Even);
    assert_eq!(material.length, KeyLength::Aes192);
    let respond = |passphrase: &str| {
        let passphrase = Passphrase::new(passphrase).unwrap();
        CryptoState::respond(&exchange(&passphrase, CryptoMode::Ctr), &request).map(|_| ())
    };
    assert_eq!(respond("0123456789abc"), Ok(()));
    assert_eq!(respond("0123456789abd"), Err(CryptoError::BadSecret));
}

#[test]
fn each_malformed_field_of_key_material_is_named() {
    let passphrase = passphrase();
    let (_, announcement) =
        CryptoState::initiate(&exchange(&passphrase, CryptoMode::Ctr), KeyLength::Aes128).unwrap();
    let good = announcement.as_bytes();
    assert!(KeyMaterial::parse(good).is_ok());
    let with = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        KeyMaterial::parse(&bytes).unwrap_err().to_string()
    };
    assert!(with(0, 0x47).contains("version and packet type is 71"));
    assert!(with(2, 0).contains("signature"));
    assert!(with(3, 0).contains("KK is 0"));
    assert!(with(7, 1).contains("key index is 1"));
    assert!(with(8, 4).contains("cipher and authentication"));
    assert!(with(14, 0).contains("salt length"));
    assert!(with(15, 5).contains("key length in words is 5"));
    assert!(
        with(3, 3).contains("length in bytes"),
        "two keys need a longer wrap"
    );
    for length in 0..good.len() {
        assert!(KeyMaterial::parse(&good[..length]).is_err());
    }
    let mut gcm = good.to_vec();
    gcm[8..10].copy_from_slice(&[4, 1]);
    gcm[15] = 6;
    gcm.extend([0; 8]);
    assert_eq!(KeyMaterial::parse(&gcm), Err(CryptoError::Gcm192));
}

#[test]
fn both_ends_read_each_other_in_every_mode_and_key_length() {
    let cases = [
        (CryptoMode::Ctr, KeyLength::Aes128),
        (CryptoMode::Ctr, KeyLength::Aes192),
        (CryptoMode::Ctr, KeyLength::Aes256),
        (CryptoMode::Gcm, KeyLength::Aes128),
        (CryptoMode::Gcm, KeyLength::Aes256),
    ];
    for (mode, length) in cases {
        let (mut one, mut other) = pair(mode, length);
        for bytes in [0, 1, 16, 1_316, 1_456] {
            let plain = vec![0x5a; bytes];
            for (from, to) in [(0, 1), (1, 0)] {
                let ends = [&mut one, &mut other];
                let mut header = header(7);
                let mut buffer = plain.clone();
                buffer.resize(bytes + mode.tag_bytes(), 0);
                let sent = ends[from]
                    .send
                    .encrypt(&mut header, &mut buffer, bytes)
                    .unwrap();
                assert_eq!(sent, bytes + mode.tag_bytes());
                // What comes a second time carries the R flag and the same ciphertext.
                header.retransmitted = true;
                let got = ends[to]
                    .receive
                    .decrypt(&header, &mut buffer[..sent])
                    .unwrap();
                assert_eq!(buffer[..got], plain);
            }
        }
    }
    let passphrase = passphrase();
    let refused = CryptoState::initiate(&exchange(&passphrase, CryptoMode::Gcm), KeyLength::Aes192);
    assert_eq!(refused.map(|_| ()).unwrap_err(), CryptoError::Gcm192);
}

#[test]
fn gcm_finds_every_change_and_short_payloads() {
    let (mut one, other) = pair(CryptoMode::Gcm, KeyLength::Aes256);
    let mut header = header(1);
    let mut buffer = [7; 64];
    let sent = one.send.encrypt(&mut header, &mut buffer, 48).unwrap();
    let open =
        |header: &DataHeader, bytes: &[u8]| other.receive.decrypt(header, &mut bytes.to_vec());
    assert_eq!(open(&header, &buffer[..sent]), Ok(48));
    for at in [0, 47, 48, 63] {
        let mut changed = buffer;
        changed[at] ^= 1;
        assert_eq!(open(&header, &changed), Err(CryptoError::Forged));
    }
    let other_time = DataHeader {
        timestamp: Timestamp(9),
        ..header
    };
    assert_eq!(open(&other_time, &buffer), Err(CryptoError::Forged));
    assert_eq!(open(&header, &buffer[..15]), Err(CryptoError::Short(15)));
    let mut narrow = [0; 20];
    let no_room = CryptoError::NoRoom {
        bytes: 20,
        payload: 10,
    };
    assert_eq!(one.send.encrypt(&mut header, &mut narrow, 10), Err(no_room));
}

#[test]
fn packets_without_a_key_that_we_have_are_undecryptable() {
    let (_, other) = pair(CryptoMode::Ctr, KeyLength::Aes128);
    let try_with = |key| {
        other
            .receive
            .decrypt(&DataHeader { key, ..header(1) }, &mut [0; 8])
    };
    assert_eq!(try_with(KeyFlag::None), Err(CryptoError::Clear));
    assert_eq!(try_with(KeyFlag::Odd), Err(CryptoError::NoKey("odd")));
    assert_eq!(try_with(KeyFlag::Both), Err(CryptoError::BothKeys));
    assert_eq!(try_with(KeyFlag::Even), Ok(8));
}

#[test]
fn keys_are_refreshed_without_a_packet_lost_even_when_announcements_are() {
    let (mut one, mut other) = pair(CryptoMode::Ctr, KeyLength::Aes256);
    let mut now = Micros::ZERO;
    let mut flags = Vec::new();
    let mut announced = 0;
    for number in 0..1_000_u32 {
        let mut header = header(number);
        let mut buffer = *b"packet of a stream";
        let length = buffer.len();
        one.send.encrypt(&mut header, &mut buffer, length).unwrap();
        other.receive.decrypt(&header, &mut buffer).unwrap();
        assert_eq!(&buffer, b"packet of a stream", "packet {number}");
        flags.push(header.key);
        now += Micros::from_millis(5);
        // Every other announcement is lost, and every other answer to those that come.
        if let Some(request) = one.send.poll_request(now, RTT).unwrap().map(<[u8]>::to_vec) {
            announced += 1;
            if announced % 2 == 0 {
                assert_eq!(other.receive.handle_request(now, &request), KmAnswer::Echo);
            }
            if announced % 4 == 0 {
                one.send.handle_response(&request);
            }
        }
    }
    let switches = flags.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!((6..=9).contains(&switches), "{switches} switches");
}

#[test]
fn an_announced_key_waits_until_it_is_confirmed() {
    let (mut one, other) = pair(CryptoMode::Ctr, KeyLength::Aes128);
    let mut now = Micros::ZERO;
    let mut announced = 0;
    for number in 0..500 {
        let mut header = header(number);
        let mut buffer = [0; 4];
        one.send.encrypt(&mut header, &mut buffer, 4).unwrap();
        assert_eq!(header.key, KeyFlag::Even, "the far end has no other key");
        other.receive.decrypt(&header, &mut buffer).unwrap();
        now += Micros::from_millis(10);
        if one.send.poll_request(now, RTT).unwrap().is_some() {
            announced += 1;
            let repeat = one.send.poll_timeout().unwrap();
            assert_eq!(repeat, now + Micros::from_millis(60));
        }
    }
    assert!(announced > 10);
    assert!(one.send.is_overdue());
    one.send
        .handle_response(&KmState::BadSecret.to_wire().to_be_bytes());
    assert_eq!(one.send.refused(), Some(KmState::BadSecret));
}

#[test]
fn a_flood_of_requests_derives_one_key_a_second() {
    let (_, mut other) = pair(CryptoMode::Ctr, KeyLength::Aes128);
    let passphrase = passphrase();
    let foreign = Passphrase::new("somebody else's").unwrap();
    let request = |passphrase: &Passphrase| {
        let exchange = exchange(passphrase, CryptoMode::Ctr);
        let (_, announcement) = CryptoState::initiate(&exchange, KeyLength::Aes128).unwrap();
        announcement.as_bytes().to_vec()
    };
    let bad = request(&foreign);
    let good = request(&passphrase);
    let receive = &mut other.receive;
    let second = Micros::from_secs(1);
    assert_eq!(
        receive.handle_request(second, &bad),
        KmAnswer::Refuse(KmState::BadSecret)
    );
    assert_eq!(receive.handle_request(second, &good), KmAnswer::Ignore);
    assert_eq!(
        receive.handle_request(second + second, &good),
        KmAnswer::Echo
    );
    // The same salt costs nothing, and an echo may have been lost.
    assert_eq!(
        receive.handle_request(second + second, &good),
        KmAnswer::Echo
    );
    assert_eq!(
        receive.handle_request(second + second, b"garbage"),
        KmAnswer::Ignore
    );
    assert!(receive.is_secured());
}

#[test]
fn a_responder_with_a_key_of_its_own_is_understood() {
    let passphrase = passphrase();
    let exchange = exchange(&passphrase, CryptoMode::Ctr);
    let (mut one, _) = CryptoState::initiate(&exchange, KeyLength::Aes128).unwrap();
    let (mut other, own) = CryptoState::initiate(&exchange, KeyLength::Aes128).unwrap();
    one.take_response(own.as_bytes()).unwrap();
    let mut header = header(3);
    let mut buffer = *b"text";
    other.send.encrypt(&mut header, &mut buffer, 4).unwrap();
    one.receive.decrypt(&header, &mut buffer).unwrap();
    assert_eq!(&buffer, b"text");
}

#[test]
fn passphrases_have_10_to_79_bytes_and_are_not_shown() {
    for (bytes, legal) in [(9, false), (10, true), (79, true), (80, false)] {
        let passphrase = Passphrase::new(&"p".repeat(bytes));
        assert_eq!(passphrase.is_ok(), legal, "{bytes}");
        if let Err(error) = passphrase {
            assert!(error.to_string().contains(&format!("{bytes} bytes")));
        }
    }
    let secret = Passphrase::new("not to be seen").unwrap();
    assert!(!format!("{secret:?}").contains("seen"));
    let (state, _) =
        CryptoState::initiate(&exchange(&secret, CryptoMode::Ctr), KeyLength::Aes128).unwrap();
    assert!(!format!("{state:?}").contains("seen"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_key_material_makes_a_panic(at in 0_usize..56, value: u8, random: Vec<u8>) {
        let _ = KeyMaterial::parse(&random);
        let mut kek = Secret::zeroed(KeyLength::Aes128);
        kek.as_mut().fill(9);
        let key = kek.clone();
        let message =
            Announcement::new(KeyFlag::Odd, CryptoMode::Ctr, &[1; 16], &key, &kek).unwrap();
        let mut bytes = message.as_bytes().to_vec();
        bytes[at] = value;
        if let Ok(material) = KeyMaterial::parse(&bytes) {
            let _ = material.unwrap(&kek);
        }
    }
}

fn pair(mode: CryptoMode, length: KeyLength) -> (CryptoState, CryptoState) {
    let passphrase = passphrase();
    let exchange = exchange(&passphrase, mode);
    let (one, announcement) = CryptoState::initiate(&exchange, length).unwrap();
    let other = CryptoState::respond(&exchange, announcement.as_bytes()).unwrap();
    (one, other)
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery").unwrap()
}

fn exchange(passphrase: &Passphrase, mode: CryptoMode) -> KeyExchange<'_> {
    KeyExchange {
        passphrase,
        mode,
        policy: POLICY,
        clear_allowed: false,
    }
}

fn header(number: u32) -> DataHeader {
    DataHeader {
        sequence: SeqNumber::new(0x7fff_fff0).plus(number),
        position: MessagePosition::Single,
        in_order: false,
        key: KeyFlag::None,
        retransmitted: false,
        message: MsgNumber::FIRST,
        timestamp: Timestamp(1_000),
        destination: SocketId(5),
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
