//! What encryption costs: a handshake in memory, then one million payloads of 1,316 bytes for each mode and key length.
//!
//! `cargo run --release -p bilbycast-srt --example crypto_cost`
#![expect(
    clippy::disallowed_methods,
    reason = "a measurement of time reads the clock"
)]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use bilbycast_srt::Micros;
use bilbycast_srt::crypto::{CryptoMode, CryptoState, GCM_TAG_BYTES, KeyLength, Passphrase};
use bilbycast_srt::handshake::{
    Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Outcome, Settings,
};
use bilbycast_srt::wire::{
    DataHeader, KeyFlag, MessagePosition, MsgNumber, Packet, SeqNumber, SocketId, Timestamp,
};

const PACKETS: u32 = 1_000_000;
const PAYLOAD_BYTES: usize = 1_316;

fn main() -> Result<(), Box<dyn Error>> {
    let cases = [
        (CryptoMode::Ctr, KeyLength::Aes128),
        (CryptoMode::Ctr, KeyLength::Aes192),
        (CryptoMode::Ctr, KeyLength::Aes256),
        (CryptoMode::Gcm, KeyLength::Aes128),
        (CryptoMode::Gcm, KeyLength::Aes256),
    ];
    for (mode, length) in cases {
        let start = Instant::now();
        let (mut caller, listener) = connect(mode, length)?;
        let handshake_us = start.elapsed().as_micros();
        let mut buffer = [0; PAYLOAD_BYTES + GCM_TAG_BYTES];
        let start = Instant::now();
        for number in 0..PACKETS {
            let mut header = header(number);
            caller
                .send
                .encrypt(&mut header, &mut buffer, PAYLOAD_BYTES)?;
        }
        let encrypt_ns = start.elapsed().as_nanos() / u128::from(PACKETS);
        let start = Instant::now();
        let decrypted = (0..PACKETS).filter(|_| {
            let mut header = header(PACKETS - 1);
            header.key = KeyFlag::Even;
            listener.receive.decrypt(&header, &mut buffer).is_ok()
        });
        // A payload authenticates once; what fails after that has cost as much.
        let decrypted = decrypted.count();
        let decrypt_ns = start.elapsed().as_nanos() / u128::from(PACKETS);
        println!(
            "{mode:?} {length:?}: handshake {handshake_us} us, encrypt {encrypt_ns} ns, decrypt {decrypt_ns} ns \
             ({decrypted} packets)"
        );
    }
    Ok(())
}

fn connect(
    mode: CryptoMode,
    length: KeyLength,
) -> Result<(CryptoState, CryptoState), Box<dyn Error>> {
    let settings = Settings {
        passphrase: Some(Passphrase::new("correct horse battery")?),
        aes_key_len: Some(length),
        crypto_mode: mode,
        ..Settings::default()
    };
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let from = SocketAddr::new(ip, 5_000);
    let now = Micros::ZERO;
    let mut listener = Listener::new(settings.clone(), SocketId(1), &[1; 32], now)?;
    let mut caller = Caller::new(settings.clone(), SocketId(2), SeqNumber::new(1), ip, now)?;
    let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let mut reply = [0; HANDSHAKE_PACKET_BYTES_MAX];
    let mut accepted = None;
    loop {
        let Some(length) = caller.poll_transmit(now, &mut buffer)? else {
            return Err("the caller has nothing to say".into());
        };
        let question = Packet::parse(&buffer[..length])?;
        let length = match listener.handle(now, from, &question, &mut reply) {
            Action::Reply(length) => length,
            Action::Accept(request) => {
                let Ok(answer) = listener.accept(now, *request, &settings, SocketId(3), &mut reply)
                else {
                    return Err("the listener refuses".into());
                };
                accepted = answer.negotiated.crypto;
                answer.reply
            }
            Action::Ignore => return Err("the listener has nothing to say".into()),
        };
        caller.handle(now, &Packet::parse(&reply[..length])?);
        match (caller.poll_outcome(), accepted.take()) {
            (Some(Outcome::Connected(negotiated)), Some(theirs)) => {
                let ours = negotiated.crypto.ok_or("no keys")?;
                return Ok((ours, theirs));
            }
            (None, _) => {}
            (other, _) => return Err(format!("{other:?}").into()),
        }
    }
}

const fn header(number: u32) -> DataHeader {
    DataHeader {
        sequence: SeqNumber::new(number),
        position: MessagePosition::Single,
        in_order: false,
        key: KeyFlag::None,
        retransmitted: false,
        message: MsgNumber::FIRST,
        timestamp: Timestamp(0),
        destination: SocketId(3),
    }
}
