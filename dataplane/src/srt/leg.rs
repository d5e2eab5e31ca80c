//! One UDP socket and what happens on it.

use std::net::SocketAddr;

use bilbycast_shm_proto::counters::{EndpointState, SrtRecord};
use bilbycast_shm_proto::model::{SrtLegSpec, SrtMode};
use bilbycast_srt::{Micros, State, Stats};

use super::Instant;
use super::answerer::Answerer;
use super::dialler::{Dialler, FAILURES_TOLD};
use super::peer::Peer;
use super::settings::{LegSettingsError, settings};
use super::totals::Totals;
use crate::flow::PassBuffers;
use crate::flow::receiver::KernelCounts;
use crate::net::clock;
use crate::net::receive::{Received, Sources};
use crate::net::send::{Segmentation, Sent};
use crate::net::socket::DuplexSocket;

/// A leg of an SRT input or output.
#[derive(Debug)]
pub struct SrtLeg {
    spec: SrtLegSpec,
    socket: DuplexSocket,
    segmentation: Segmentation,
    role: Role,
    sends: bool,
    random: Random,
    totals: Totals,
    kernel: KernelCounts,
    drops_seen: u32,
    notices: Vec<SrtNotice>,
    trouble: Trouble,
}

#[derive(Debug)]
enum Role {
    Dialler(Box<Dialler>),
    Answerer(Box<Answerer>),
}

/// Something that began or ended on a leg. Told once each time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SrtNotice {
    /// A connection was made.
    Connected {
        /// The far end.
        remote: SocketAddr,
        /// What the caller asked for.
        stream_id: Option<String>,
    },
    /// Attempts to connect fail.
    ConnectFailed {
        /// The far end.
        remote: SocketAddr,
        /// Why.
        reason: String,
        /// How often in a row.
        failures: u32,
    },
    /// A connection ended.
    Lost {
        /// The far end.
        remote: SocketAddr,
        /// Why.
        reason: &'static str,
    },
    /// A caller was refused.
    Refused {
        /// The far end.
        remote: SocketAddr,
        /// Why.
        reason: String,
    },
    /// A caller does not acknowledge what it is sent.
    Stale {
        /// The far end.
        remote: SocketAddr,
    },
    /// Packets are given up because they are too late: so many in the last second.
    TooLate {
        /// How many.
        packets: u64,
    },
    /// Packets cannot be decrypted: so many in the last second.
    Undecryptable {
        /// How many.
        packets: u64,
    },
}

/// Counters of mishaps that are watched once a second.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    dropped_before: u64,
    undecryptable_before: u64,
    is_late: bool,
    is_undecryptable: bool,
}

/// Notices that wait to be told; what comes on top is told by the counters alone.
const NOTICES_MAX: usize = 64;

/// Packets that were given up within a second are told from here on.
const TOO_LATE_PER_SECOND: u64 = 10;

impl SrtLeg {
    /// A leg on a socket that was opened for `spec`. `sends`: it belongs to an output; `carries_rtp`: RTP packets travel
    /// whole; `secret`: from the operating system's source of randomness, new for each leg.
    ///
    /// # Errors
    ///
    /// [`LegSettingsError`].
    pub fn new(
        spec: SrtLegSpec,
        socket: DuplexSocket,
        sends: bool,
        carries_rtp: bool,
        now_ns: u64,
        secret: &[u8; 32],
    ) -> Result<Self, LegSettingsError> {
        let settings = settings(&spec, carries_rtp)?;
        let [seed, ..] = secret.as_chunks().0 else {
            unreachable!("32 bytes are four words");
        };
        let mut random = Random::new(u64::from_le_bytes(*seed));
        let now = Micros(now_ns / 1_000);
        let role = match (spec.mode, spec.remote_addr) {
            (SrtMode::Listener, _) => {
                let answerer = Answerer::new(settings, sends, &mut random, secret, now)?;
                Role::Answerer(Box::new(answerer))
            }
            (_, None) => return Err(LegSettingsError::NoRemote),
            (mode, Some(remote)) => {
                let is_rendezvous = mode == SrtMode::Rendezvous;
                Role::Dialler(Box::new(Dialler::new(is_rendezvous, remote, settings)))
            }
        };
        Ok(Self {
            spec,
            socket,
            segmentation: Segmentation::FULL,
            role,
            sends,
            random,
            totals: Totals::default(),
            kernel: KernelCounts::default(),
            drops_seen: 0,
            notices: Vec::new(),
            trouble: Trouble::default(),
        })
    }

    /// What it was opened for.
    #[must_use]
    pub const fn spec(&self) -> &SrtLegSpec {
        &self.spec
    }

    /// Its socket.
    #[must_use]
    pub const fn socket(&self) -> &DuplexSocket {
        &self.socket
    }

    /// What the kernel says about it.
    #[must_use]
    pub const fn kernel(&self) -> &KernelCounts {
        &self.kernel
    }

    /// False when the kernel or the network card turned out not to coalesce datagrams on their way out.
    #[must_use]
    pub fn coalesces(&self) -> bool {
        self.segmentation != Segmentation::NONE
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.peers().next().is_some()
    }

    /// Whether it has to be looked at soon, without anything to wake its flow.
    #[must_use]
    pub fn is_pending(&self, now_ns: u64) -> bool {
        let now = Micros(now_ns / 1_000);
        match &self.role {
            Role::Dialler(dialler) => dialler.is_pending(now),
            Role::Answerer(answerer) => answerer.is_pending(now),
        }
    }

    /// Makes room in the socket for that rate.
    pub fn fit_buffer(&mut self, bytes: usize) {
        self.socket.grow_buffers(bytes);
    }

    /// Takes what has come on the socket, one batch, and does what is due. Returns how many datagrams came, and whether
    /// more wait. What the buffers held is gone.
    pub fn poll(&mut self, buffers: &mut PassBuffers, at: Instant) -> (u64, bool) {
        buffers.packets.clear();
        let received = buffers.receive.receive(
            &self.socket,
            &mut buffers.memory,
            &mut buffers.packets,
            Sources::Told,
        );
        self.kernel.batches += u64::from(received.messages > 0);
        self.kernel.errors += u64::from(received.error.is_some());
        if let Some(total) = received.dropped_total {
            self.kernel.dropped += u64::from(total.wrapping_sub(self.drops_seen));
            self.drops_seen = total;
        }
        let count = buffers.packets.len() as u64;
        let notices = &mut self.notices;
        let mut tell = |notice| {
            if notices.len() < NOTICES_MAX {
                notices.push(notice);
            }
        };
        for packet in &buffers.packets {
            let Some(from) = buffers.receive.source(packet) else {
                continue;
            };
            let Some(datagram) = buffers.memory.received_mut().get_mut(packet.range()) else {
                continue;
            };
            let now = at.monotonic(packet.arrival_ns);
            match &mut self.role {
                Role::Dialler(dialler) => dialler.handle(now, from, datagram),
                Role::Answerer(answerer) => answerer.handle(
                    now,
                    from,
                    datagram,
                    &mut self.random,
                    &mut self.totals,
                    &mut tell,
                ),
            }
        }
        buffers.packets.clear();
        match &mut self.role {
            Role::Dialler(dialler) => {
                dialler.tick(at.now, &mut self.random, &mut self.totals, &mut tell);
            }
            Role::Answerer(answerer) => answerer.tick(at.now, &mut self.totals, &mut tell),
        }
        (count, Received::is_full(&received))
    }

    /// The next message that has come and whose time is there: its length in `room`, and when it was due on
    /// CLOCK_REALTIME, in nanoseconds.
    pub fn deliver(&mut self, at: Instant, room: &mut [u8]) -> Option<(usize, u64)> {
        let (bytes, due) = match &mut self.role {
            Role::Dialler(dialler) => dialler.peer_mut()?.deliver(at.now, room)?,
            Role::Answerer(answerer) => answerer
                .peers_mut()
                .find_map(|peer| peer.deliver(at.now, room))?,
        };
        Some((bytes, at.realtime_ns(due)))
    }

    /// Takes a message for every far end. Returns how many took it, and how many did not.
    pub fn send(&mut self, at: Instant, payload: &[&[u8]]) -> (u64, u64) {
        let mut counts = (0, 0);
        let mut send = |is_taken: bool| {
            if is_taken {
                counts.0 += 1;
            } else {
                counts.1 += 1;
            }
        };
        match &mut self.role {
            Role::Dialler(dialler) => {
                if let Some(peer) = dialler.peer_mut() {
                    send(peer.send(at.now, payload));
                }
            }
            Role::Answerer(answerer) => {
                for peer in answerer.peers_mut() {
                    send(peer.send(at.now, payload));
                }
            }
        }
        counts
    }

    /// Sends what is due. The staging region of the packet memory is used for it.
    pub fn transmit(&mut self, buffers: &mut PassBuffers, at: Instant) -> Sent {
        let PassBuffers {
            memory,
            send,
            datagrams,
            ..
        } = buffers;
        datagrams.clear();
        let (_, staging) = memory.split_staging();
        let mut start = 0;
        while let Some(room) = staging.get_mut(start..start + DATAGRAM_BYTES_MAX)
            && datagrams.len() < datagrams.capacity()
        {
            let next = match &mut self.role {
                Role::Dialler(dialler) => dialler
                    .transmit(at.now, room)
                    .map(|bytes| (bytes, dialler.remote())),
                Role::Answerer(answerer) => answerer.transmit(at.now, room),
            };
            let Some((bytes, dest)) = next else {
                break;
            };
            datagrams.push((start..start + bytes, dest));
            start += bytes;
        }
        if datagrams.is_empty() {
            return Sent::default();
        }
        let (_, staging) = memory.split_staging();
        let staging = &*staging;
        let mut outgoing = send.start();
        let mut current = None;
        for (range, dest) in datagrams.iter() {
            if current != Some(dest) {
                outgoing.set_destination(*dest);
                current = Some(dest);
            }
            // A batch has room for more than the list of datagrams.
            outgoing.push(self.segmentation, &[], &staging[range.clone()]);
        }
        outgoing.flush(&self.socket, &mut self.segmentation)
    }

    /// Takes the notices that wait.
    pub fn take_notices(&mut self) -> Vec<SrtNotice> {
        std::mem::take(&mut self.notices)
    }

    /// Its record at `now_ns` (CLOCK_MONOTONIC).
    #[must_use]
    pub fn record(&self, now_ns: u64) -> SrtRecord {
        let now = Micros(now_ns / 1_000);
        let live: Vec<Stats> = self
            .peers()
            .map(|peer| peer.connection.stats(now))
            .collect();
        self.totals.record(self.state(), &live)
    }

    /// Looks for mishaps; called once a second.
    pub fn second(&mut self, record: &SrtRecord) {
        let Trouble {
            dropped_before,
            undecryptable_before,
            is_late,
            is_undecryptable,
        } = &mut self.trouble;
        let dropped = record.pkt_drop_total.saturating_sub(*dropped_before);
        let undecryptable = record
            .pkt_undecrypt_total
            .saturating_sub(*undecryptable_before);
        (*dropped_before, *undecryptable_before) =
            (record.pkt_drop_total, record.pkt_undecrypt_total);
        for (told, now, notice) in [
            (
                is_late,
                dropped >= TOO_LATE_PER_SECOND,
                SrtNotice::TooLate { packets: dropped },
            ),
            (
                is_undecryptable,
                undecryptable > 0,
                SrtNotice::Undecryptable {
                    packets: undecryptable,
                },
            ),
        ] {
            if now && !*told && self.notices.len() < NOTICES_MAX {
                self.notices.push(notice);
            }
            *told = now;
        }
    }

    /// Packets that were given up on the way here, over all connections.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        let now = Micros(clock::monotonic_ns() / 1_000);
        let live = self
            .peers()
            .map(|peer| peer.connection.stats(now).receive.counts.skipped);
        self.totals.skipped() + live.sum::<u64>()
    }

    /// State by configuration.md 8.1.
    #[must_use]
    pub fn state(&self) -> EndpointState {
        let mut peers = self.peers().peekable();
        if peers.peek().is_some() {
            let has_carried =
                peers.any(|peer| peer.has_carried && peer.connection.state() == State::Connected);
            return match (has_carried, self.sends) {
                (false, _) => EndpointState::Connected,
                (true, false) => EndpointState::Receiving,
                (true, true) => EndpointState::Active,
            };
        }
        match &self.role {
            Role::Answerer(_) => EndpointState::Waiting,
            Role::Dialler(dialler) if dialler.failures() >= FAILURES_TOLD => {
                EndpointState::ConnectFailed
            }
            Role::Dialler(_) if self.totals.connects > 0 => EndpointState::Broken,
            Role::Dialler(_) => EndpointState::Connecting,
        }
    }

    fn peers(&self) -> impl Iterator<Item = &Peer> {
        let (one, many) = match &self.role {
            Role::Dialler(dialler) => (dialler.peer(), None),
            Role::Answerer(answerer) => (None, Some(answerer.peers())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl Drop for SrtLeg {
    /// Tells the far ends that it is over, a few times at once, for there is nobody left to repeat it. On the control thread.
    fn drop(&mut self) {
        let now = Micros(clock::monotonic_ns() / 1_000);
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let socket = &self.socket;
        let mut end = |peer: &mut Peer| {
            peer.connection.close(now);
            for round in 0..SHUTDOWNS {
                let later = now + Micros::from_secs(round);
                if let Some(bytes) = peer.connection.poll_transmit(later, &mut buffer) {
                    // A far end that does not hear it notices the silence.
                    let _ = socket.send_to(&buffer[..bytes], peer.address);
                }
            }
        };
        match &mut self.role {
            Role::Dialler(dialler) => dialler.peer_mut().into_iter().for_each(&mut end),
            Role::Answerer(answerer) => answerer.peers_mut().for_each(&mut end),
        }
    }
}

/// How often the end of a connection is told.
const SHUTDOWNS: u64 = 3;

/// Longest datagram of SRT: `mss` is 9,000 at most.
const DATAGRAM_BYTES_MAX: usize = 9_000;

/// Random numbers for socket ids, sequence numbers and cookies, from a seed of the operating system: SplitMix64. Keys are not
/// made of it.
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next(&mut self) -> u32 {
        (self.next_word() >> 32) as u32
    }

    pub(super) fn not_zero(&mut self) -> u32 {
        // The topmost bit says "group" in libsrt, and zero says "no socket".
        (self.next() & 0x3fff_ffff).max(1)
    }

    fn next_word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}
