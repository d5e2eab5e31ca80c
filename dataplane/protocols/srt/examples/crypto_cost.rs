//! What encryption costs: a handshake in memory, then payloads of 1,316 bytes for each mode and key length.
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
use bilbycast_srt::crypto::{
    CryptoError, CryptoMode, CryptoState, GCM_TAG_BYTES, KeyLength, Passphrase, prepare,
};
use bilbycast_srt::handshake::{
    Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Outcome, Settings,
};
use bilbycast_srt::wire::{
    DataHeader, KeyFlag, MessagePosition, MsgNumber, Packet, SeqNumber, SocketId, Timestamp,
};

const PAYLOAD_BYTES: usize = 1_316;
const BLOCKS: u32 = 2_000;
const BLOCK_PACKETS: u32 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    prepare()?;
    println!(
        "random generator: first use {} us",
        start.elapsed().as_micros()
    );
    let start = Instant::now();
    std::thread::scope(|scope| scope.spawn(prepare).join()).map_err(|_| "thread")??;
    println!(
        "random generator: first use of a second thread {} us",
        start.elapsed().as_micros()
    );
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
        let mut number = 0;
        let encrypt_ns = fastest(|| {
            number += 1;
            let mut header = header(number);
            caller
                .send
                .encrypt(&mut header, &mut buffer, PAYLOAD_BYTES)
                .map(|_| ())
        })?;
        // Decryption is in place and a payload authenticates once: each is copied first, which costs some 20 ns.
        let mut header = header(0);
        let sent = caller
            .send
            .encrypt(&mut header, &mut buffer, PAYLOAD_BYTES)?;
        let mut copy = buffer;
        let decrypt_ns = fastest(|| {
            copy.copy_from_slice(&buffer);
            listener
                .receive
                .decrypt(&header, &mut copy[..sent])
                .map(|_| ())
        })?;
        println!(
            "{mode:?} {length:?}: handshake {handshake_us} us, encrypt {encrypt_ns} ns, decrypt {decrypt_ns} ns"
        );
    }
    Ok(())
}

/// Nanoseconds of one call in the fastest block of calls: the one that nothing else has disturbed.
fn fastest(mut call: impl FnMut() -> Result<(), CryptoError>) -> Result<u128, CryptoError> {
    let mut fastest = u128::MAX;
    for _ in 0..BLOCKS {
        let start = Instant::now();
        for _ in 0..BLOCK_PACKETS {
            call()?;
        }
        fastest = fastest.min(start.elapsed().as_nanos() / u128::from(BLOCK_PACKETS));
    }
    Ok(fastest)
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
