//! Once connected, a connection allocates nothing, whatever is lost.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;

use bilbycast_srt::crypto::{CryptoMode, KeyLength, Passphrase};
use bilbycast_srt::handshake::{
    Action, Caller, HANDSHAKE_PACKET_BYTES_MAX, Listener, Outcome, Settings,
};
use bilbycast_srt::wire::{Packet, SeqNumber, SocketId};
use bilbycast_srt::{Connection, Micros};

/// Counts allocations of the thread that asks for it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<Option<u64>> = const { Cell::new(None) };
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is being torn down counts nothing.
        let _ = ALLOCATIONS.try_with(|counter| counter.set(counter.get().map(|count| count + 1)));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_in(work: impl FnOnce()) -> u64 {
    ALLOCATIONS.with(|counter| counter.set(Some(0)));
    work();
    ALLOCATIONS.with(|counter| counter.take()).unwrap_or(0)
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_in(|| drop(std::hint::black_box(vec![1]))), 1);
}

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
