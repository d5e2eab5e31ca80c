//! Two connections, a link in each direction, and an application at each end.

use crate::connection::{Connection, SendError, State};
use crate::crypto::{CryptoMode, CryptoState, KeyExchange, KeyLength, Passphrase, RefreshPolicy};
use crate::handshake::{Negotiated, Settings};
use crate::time::Micros;
use crate::wire::{SeqNumber, SocketId, SrtVersion, Timestamp};

use super::link::{Conditions, Link};

/// What a pair is made of.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) settings: Settings,
    pub(super) forth: Conditions,
    pub(super) back: Conditions,
    pub(super) seed: u64,
    pub(super) latency: Micros,
    /// How long the sender's socket has been there before the connection.
    pub(super) age: Micros,
    /// By how much the sender's clock is fast, in ppm.
    pub(super) drift_ppm: i64,
    pub(super) keys: Option<(KeyLength, CryptoMode, RefreshPolicy)>,
    pub(super) filter: Option<&'static str>,
    pub(super) first: SeqNumber,
    pub(super) interval: Micros,
    pub(super) payload: usize,
    pub(super) peer_nak_report: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            forth: Conditions::default(),
            back: Conditions::default(),
            seed: 1,
            latency: Micros::from_millis(500),
            age: Micros::from_secs(6),
            drift_ppm: 0,
            keys: None,
            filter: None,
            first: SeqNumber::MAX.minus(1_000),
            interval: Micros(526),
            payload: 96,
            peer_nak_report: true,
        }
    }
}

impl Setup {
    /// Loss and round-trip time of both directions alike.
    pub(super) fn network(mut self, loss: f64, rtt_ms: u64) -> Self {
        self.forth.loss = loss;
        self.forth.delay = Micros(rtt_ms * 500);
        self.back = self.forth;
        self
    }
}

/// One end, with its clock.
#[derive(Debug)]
pub(super) struct End {
    pub(super) connection: Connection,
    offset: Micros,
    drift_ppm: i64,
}

/// A stream from `sender` to `receiver`.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) now: Micros,
    pub(super) sender: End,
    pub(super) receiver: End,
    pub(super) forth: Link,
    pub(super) back: Link,
    setup: Setup,
    next_write: Micros,
    pub(super) written: u64,
    written_at: Vec<Micros>,
    /// The next message that is expected.
    expected: u64,
    pub(super) delivered: u64,
    /// Messages that were skipped.
    pub(super) skipped: u64,
    /// Shortest and longest time from writing to delivery.
    pub(super) delay: (Micros, Micros),
    /// As `delay`, over messages from this one on.
    pub(super) measure_from: u64,
    pub(super) events: u64,
    /// Whether the application at the receiver reads.
    pub(super) reading: bool,
}

impl End {
    /// The end's clock at `now` of the simulation.
    pub(super) fn clock(&self, now: Micros) -> Micros {
        let drift = now.0 as i64 * self.drift_ppm / 1_000_000;
        Micros((self.offset.0 + now.0).saturating_add_signed(drift))
    }

    /// When the end's clock will show `local`.
    fn simulated(&self, local: Micros) -> Micros {
        if local == Micros::MAX {
            return local;
        }
        let elapsed = local.since(self.offset).0 as i64;
        let now = elapsed - elapsed * self.drift_ppm / 1_000_000;
        // Rounding and the second order of the drift must not make a time that never comes.
        let mut now = Micros(now.max(0) as u64);
        while self.clock(now) < local {
            now += Micros(1);
        }
        now
    }
}

impl Pair {
    pub(super) fn new(setup: Setup) -> Self {
        let mut keys = (None, None);
        if let Some((length, mode, policy)) = setup.keys {
            let passphrase = Passphrase::new("a passphrase of the tests").unwrap();
            let exchange = KeyExchange {
                passphrase: &passphrase,
                mode,
                policy,
                clear_allowed: false,
            };
            let (sender, announcement) = CryptoState::initiate(&exchange, length).unwrap();
            let receiver = CryptoState::respond(&exchange, announcement.as_bytes()).unwrap();
            keys = (Some(sender), Some(receiver));
        }
        // The sender's clock shows its age when the simulation starts, and so does its timestamp.
        let sender_now = setup.age;
        let receiver_now = Micros::from_secs(1_000);
        let handshake_delay = setup.forth.delay;
        let sender = Negotiated {
            peer_timestamp: Timestamp(0),
            peer_timestamp_at: sender_now,
            crypto: keys.0,
            ..negotiated(&setup, SocketId(1), SocketId(2), Micros::ZERO)
        };
        let receiver = Negotiated {
            peer_timestamp: Timestamp::at(sender_now, Micros::ZERO),
            peer_timestamp_at: receiver_now + handshake_delay,
            crypto: keys.1,
            ..negotiated(&setup, SocketId(2), SocketId(1), receiver_now)
        };
        let settings = &setup.settings;
        Self {
            now: Micros::ZERO,
            sender: End {
                connection: Connection::new(sender, settings, sender_now),
                offset: sender_now,
                drift_ppm: setup.drift_ppm,
            },
            receiver: End {
                connection: Connection::new(receiver, settings, receiver_now),
                offset: receiver_now,
                drift_ppm: 0,
            },
            forth: Link::new(setup.forth, setup.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            back: Link::new(setup.back, setup.seed.wrapping_mul(0xd1b5_4a32_d192_ed03)),
            next_write: Micros::from_millis(20),
            written: 0,
            written_at: Vec::new(),
            expected: 0,
            delivered: 0,
            skipped: 0,
            delay: (Micros::MAX, Micros::ZERO),
            measure_from: 0,
            events: 0,
            reading: true,
            setup,
        }
    }

    /// Writes for `span`, and then lets everything arrive that can.
    pub(super) fn run(&mut self, span: Micros) {
        let end = self.now + span;
        while self.now < end {
            self.step(end, true);
        }
        let drained = end + self.setup.latency + Micros::from_secs(2);
        while self.now < drained {
            self.step(drained, false);
        }
    }

    /// Writes for `span`.
    pub(super) fn write_for(&mut self, span: Micros) {
        let end = self.now + span;
        while self.now < end {
            self.step(end, true);
        }
    }

    /// Writes nothing for `span`.
    pub(super) fn pause(&mut self, span: Micros) {
        let end = self.now + span;
        while self.now < end {
            self.step(end, false);
        }
        self.next_write = self.now;
    }

    /// Goes on to the next event, not beyond `end`.
    pub(super) fn step(&mut self, end: Micros, writing: bool) {
        self.events += 1;
        assert!(
            self.events < 60_000_000,
            "the simulation spins at {:?}",
            self.now
        );
        let timers = [
            self.sender.simulated(self.sender.connection.next_timeout()),
            self.receiver
                .simulated(self.receiver.connection.next_timeout()),
            self.receiver
                .connection
                .next_delivery()
                .filter(|_| self.reading)
                .map_or(Micros::MAX, |at| self.receiver.simulated(at)),
            self.forth.next_arrival().unwrap_or(Micros::MAX),
            self.back.next_arrival().unwrap_or(Micros::MAX),
            if writing {
                self.next_write
            } else {
                Micros::MAX
            },
        ];
        let next = timers.into_iter().min().unwrap_or(end).min(end);
        // A timer that stays in the past would spin.
        self.now = if next <= self.now {
            self.now + Micros(1)
        } else {
            next
        };

        while let Some(mut datagram) = self.forth.receive(self.now) {
            let now = self.receiver.clock(self.now);
            self.receiver.connection.handle_packet(now, &mut datagram);
        }
        while let Some(mut datagram) = self.back.receive(self.now) {
            let now = self.sender.clock(self.now);
            self.sender.connection.handle_packet(now, &mut datagram);
        }
        let now = self.sender.clock(self.now);
        self.sender.connection.handle_timeout(now);
        let now = self.receiver.clock(self.now);
        self.receiver.connection.handle_timeout(now);
        if writing && self.now >= self.next_write {
            self.write();
            self.next_write += self.setup.interval;
        }
        if self.reading {
            self.read();
        }
        self.transmit();
    }

    pub(super) fn write(&mut self) {
        let mut payload = vec![0; self.setup.payload];
        payload[..8].copy_from_slice(&self.written.to_be_bytes());
        for (index, byte) in payload[8..].iter_mut().enumerate() {
            *byte = (self.written as usize * 7 + index) as u8;
        }
        let now = self.sender.clock(self.now);
        let (head, tail) = payload.split_at(5);
        match self.sender.connection.send(now, &[head, tail]) {
            Ok(()) => {
                self.written += 1;
                self.written_at.push(self.now);
            }
            Err(SendError::Full { .. } | SendError::Closed) => {}
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) fn transmit(&mut self) {
        let mut out = [0; 1_500];
        let now = self.sender.clock(self.now);
        while let Some(length) = self.sender.connection.poll_transmit(now, &mut out) {
            self.forth.send(self.now, &out[..length]);
        }
        let now = self.receiver.clock(self.now);
        while let Some(length) = self.receiver.connection.poll_transmit(now, &mut out) {
            self.back.send(self.now, &out[..length]);
        }
    }

    fn read(&mut self) {
        let mut out = [0; 1_500];
        let now = self.receiver.clock(self.now);
        while let Some(received) = self.receiver.connection.receive(now, &mut out) {
            assert_eq!(received.bytes, self.setup.payload);
            let payload = &out[..received.bytes];
            let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
            assert!(number >= self.expected, "{number} after {}", self.expected);
            for (index, byte) in payload[8..].iter().enumerate() {
                assert_eq!(
                    *byte,
                    (number as usize * 7 + index) as u8,
                    "byte {index} of {number}"
                );
            }
            self.skipped += number - self.expected;
            self.expected = number + 1;
            self.delivered += 1;
            if number >= self.measure_from {
                let delay = self.now.since(self.written_at[number as usize]);
                self.delay = (self.delay.0.min(delay), self.delay.1.max(delay));
            }
        }
    }

    /// Share of packets that were sent again, and share of data packets that the link lost.
    pub(super) fn shares(&self) -> (f64, f64) {
        let send = self.sender.connection.stats(self.now).send;
        (
            send.retransmitted as f64 / send.packets as f64,
            self.forth.data.1 as f64 / self.forth.data.0 as f64,
        )
    }

    /// Everything arrived, and no more was sent again than 1.2 times what was lost.
    pub(super) fn assert_recovered(&self) {
        let (retransmitted, lost) = self.shares();
        assert_eq!(self.sender.connection.state(), State::Connected);
        assert_eq!(self.receiver.connection.state(), State::Connected);
        assert_eq!(
            (self.delivered, self.skipped),
            (self.written, 0),
            "residual loss with seed {}",
            self.setup.seed
        );
        assert!(
            retransmitted <= 1.2 * lost,
            "{:.2} % sent again for {:.2} % lost, seed {}",
            retransmitted * 100.0,
            lost * 100.0,
            self.setup.seed
        );
    }
}

fn negotiated(setup: &Setup, local: SocketId, peer: SocketId, start: Micros) -> Negotiated {
    Negotiated {
        local_socket: local,
        peer_socket: peer,
        send_sequence: setup.first,
        recv_sequence: setup.first,
        mss: setup.settings.mss,
        flow_window: setup.settings.flight_flag_size,
        recv_latency: setup.latency,
        send_latency: setup.latency,
        recv_tsbpd: true,
        send_tsbpd: true,
        tlpktdrop: setup.settings.tlpkt_drop,
        peer_nak_report: setup.peer_nak_report,
        peer_retransmit_flag: true,
        packet_filter: setup.filter.map(str::to_owned),
        stream_id: None,
        peer_version: SrtVersion::OURS,
        rtt: None,
        start,
        peer_timestamp: Timestamp(0),
        peer_timestamp_at: Micros::ZERO,
        crypto: None,
    }
}
