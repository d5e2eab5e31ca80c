//! One UDP socket and what happens on it.

use std::net::SocketAddr;

use bilbycast_shm_proto::counters::{EndpointState, SrtRecord};
use bilbycast_shm_proto::detail::SrtCallerDetail;
use bilbycast_shm_proto::model::{SrtLegSpec, SrtMode};
use bilbycast_srt::{Micros, Stats};

use super::Instant;
use super::answerer::Answerer;
use super::callers;
use super::derivations::Derivations;
use super::dialler::{Dialler, FAILURES_TOLD};
use super::ended::Ended;
use super::notice::Notices;
pub use super::notice::SrtNotice;
use super::peer::Peer;
use super::random::Random;
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
    /// Random, so that no other leg has it.
    id: u64,
    spec: SrtLegSpec,
    socket: DuplexSocket,
    segmentation: Segmentation,
    role: Role,
    sends: bool,
    random: Random,
    totals: Totals,
    ended: Ended,
    kernel: KernelCounts,
    drops_seen: u32,
    notices: Notices,
    trouble: Trouble,
}

/// What a leg lends to its role.
pub(super) struct Lent<'a> {
    /// Told apart by it among the legs of the core.
    pub(super) leg: u64,
    pub(super) random: &'a mut Random,
    pub(super) totals: &'a mut Totals,
    pub(super) ended: &'a mut Ended,
    pub(super) notices: &'a mut Notices,
    pub(super) derivations: &'a mut Derivations,
}

impl Lent<'_> {
    /// Whether a key may be derived now, which is then counted.
    pub(super) fn may_derive(&mut self, now: Micros) -> bool {
        self.derivations.take(self.leg, now)
    }

    /// Parts with a connection that is over.
    pub(super) fn end(&mut self, now: Micros, peer: Peer, reason: &'static str) {
        let remote = peer.address;
        self.notices.tell(now, SrtNotice::Lost { remote, reason });
        self.ended.take(now, peer, self.totals);
    }

    pub(super) fn tell_refusal(&mut self, now: Micros, remote: SocketAddr, reason: String) {
        self.notices
            .tell(now, SrtNotice::Refused { remote, reason });
    }
}

#[derive(Debug)]
enum Role {
    Dialler(Box<Dialler>),
    Answerer(Box<Answerer>),
}

/// Counters of mishaps that are watched once a second.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    dropped_before: u64,
    undecryptable_before: u64,
    too_long_before: u64,
    is_late: bool,
    is_undecryptable: bool,
    is_too_long: bool,
    is_refused: bool,
    is_overdue: bool,
}

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
        let settings = settings(&spec, sends, carries_rtp)?;
        let [seed, id, ..] = secret.as_chunks().0 else {
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
            id: u64::from_le_bytes(*id),
            spec,
            socket,
            segmentation: Segmentation::FULL,
            role,
            sends,
            random,
            totals: Totals::default(),
            ended: Ended::new(!sends),
            kernel: KernelCounts::default(),
            drops_seen: 0,
            notices: Notices::new(now),
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
        let is_pending = match &self.role {
            Role::Dialler(dialler) => dialler.is_pending(now),
            Role::Answerer(answerer) => answerer.is_pending(now),
        };
        is_pending || self.ended.is_pending(now)
    }

    /// Makes room in the socket for that rate.
    pub fn fit_buffer(&mut self, bytes: usize) {
        self.socket.grow_buffers(bytes);
    }

    /// Takes what has come on the socket, one batch, and does what is due. Returns how many datagrams came, and whether
    /// more wait. What the buffers held is gone.
    pub fn poll(&mut self, buffers: &mut PassBuffers, at: Instant) -> (u64, bool) {
        let PassBuffers {
            memory,
            receive,
            packets,
            derivations,
            ..
        } = buffers;
        packets.clear();
        let received = receive.receive(&self.socket, memory, packets, Sources::Told);
        self.kernel.batches += u64::from(received.messages > 0);
        self.kernel.errors += u64::from(received.error.is_some());
        if let Some(total) = received.dropped_total {
            self.kernel.dropped += u64::from(total.wrapping_sub(self.drops_seen));
            self.drops_seen = total;
        }
        let count = packets.len() as u64;
        let mut lent = Lent {
            leg: self.id,
            random: &mut self.random,
            totals: &mut self.totals,
            ended: &mut self.ended,
            notices: &mut self.notices,
            derivations,
        };
        for packet in packets.iter() {
            let Some(from) = receive.source(packet) else {
                continue;
            };
            let Some(datagram) = memory.received_mut().get_mut(packet.range()) else {
                continue;
            };
            let now = at.monotonic(packet.arrival_ns);
            match &mut self.role {
                Role::Dialler(dialler) => dialler.handle(now, from, datagram),
                Role::Answerer(answerer) => answerer.handle(now, from, datagram, &mut lent),
            }
        }
        packets.clear();
        match &mut self.role {
            Role::Dialler(dialler) => dialler.tick(at.now, &mut lent),
            Role::Answerer(answerer) => answerer.tick(at.now, &mut lent),
        }
        self.ended.tick(at.now, &mut self.totals);
        (count, Received::is_full(&received))
    }

    /// The next message that has come and whose time is there: its length in `room`, and when it was due on
    /// CLOCK_REALTIME, in nanoseconds.
    pub fn deliver(&mut self, at: Instant, room: &mut [u8]) -> Option<(usize, u64)> {
        let earlier = self.ended.deliver(at.now, room);
        let (bytes, due) = earlier.or_else(|| match &mut self.role {
            Role::Dialler(dialler) => dialler.peer_mut()?.deliver(at.now, room),
            Role::Answerer(answerer) => answerer
                .peers_mut()
                .find_map(|peer| peer.deliver(at.now, room)),
        })?;
        Some((bytes, at.realtime_ns(due)))
    }

    /// Takes a message for every far end, the `payload` parts one after the other. Returns how many took it, and how many
    /// did not.
    pub fn send(&mut self, at: Instant, payload: &[&[u8]]) -> (u64, u64) {
        self.send_each(|peer| peer.send(at.now, payload))
    }

    /// Takes transport stream for every far end, cut into messages that fit. Returns how many took it, and how many did not.
    pub fn send_ts(&mut self, at: Instant, stream: &[u8]) -> (u64, u64) {
        self.send_each(|peer| peer.send_ts(at.now, stream))
    }

    #[inline]
    fn send_each(&mut self, mut send: impl FnMut(&mut Peer) -> bool) -> (u64, u64) {
        let mut counts = (0, 0);
        let mut send = |peer| {
            if send(peer) {
                counts.0 += 1;
            } else {
                counts.1 += 1;
            }
        };
        match &mut self.role {
            Role::Dialler(dialler) => {
                if let Some(peer) = dialler.peer_mut() {
                    send(peer);
                }
            }
            Role::Answerer(answerer) => answerer.peers_mut().for_each(send),
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
        self.notices.take()
    }

    /// Its record at `now_ns` (CLOCK_MONOTONIC).
    #[must_use]
    pub fn record(&self, now_ns: u64) -> SrtRecord {
        let now = Micros(now_ns / 1_000);
        let live = self.live(now);
        self.all_totals(now, &live)
            .record(self.state(), &live, self.ended.last(), now)
    }

    /// Whether it waits for callers.
    #[must_use]
    pub const fn listens(&self) -> bool {
        matches!(self.role, Role::Answerer(_))
    }

    /// Its callers at `now_ns` (CLOCK_MONOTONIC), those that have been there for longest first.
    #[must_use]
    pub fn callers(&self, now_ns: u64) -> Vec<SrtCallerDetail> {
        callers::of(self.peers(), self.sends, Micros(now_ns / 1_000))
    }

    /// What all connections have counted, those that go on included.
    fn all_totals(&self, now: Micros, live: &[Stats]) -> Totals {
        let mut totals = self.totals;
        live.iter().for_each(|stats| totals.add(stats));
        for peer in self.ended.peers() {
            totals.add(&peer.connection.stats(now));
        }
        totals
    }

    fn live(&self, now: Micros) -> Vec<Stats> {
        self.peers()
            .map(|peer| peer.connection.stats(now))
            .collect()
    }

    /// The first connection of which this is true.
    fn remote_of(
        &self,
        now: Micros,
        is_so: impl Fn(&Stats) -> bool,
    ) -> Option<(SocketAddr, Stats)> {
        self.peers().find_map(|peer| {
            let stats = peer.connection.stats(now);
            is_so(&stats).then_some((peer.address, stats))
        })
    }

    /// Looks for mishaps; called once a second.
    pub fn second(&mut self, record: &SrtRecord) {
        let now = Micros(clock::monotonic_ns() / 1_000);
        let (too_long_total, bytes) = self.all_totals(now, &self.live(now)).too_long();
        let bytes_max = self
            .peers()
            .map(|peer| peer.connection.payload_bytes_max())
            .min()
            .unwrap_or(0);
        let refused = self.remote_of(now, |stats| stats.key_refused.is_some());
        let overdue = self.remote_of(now, |stats| stats.key_overdue);
        let Trouble {
            dropped_before,
            undecryptable_before,
            too_long_before,
            is_late,
            is_undecryptable,
            is_too_long,
            is_refused,
            is_overdue,
        } = &mut self.trouble;
        let too_long = too_long_total.saturating_sub(*too_long_before);
        *too_long_before = too_long_total;
        let dropped = record.pkt_drop_total.saturating_sub(*dropped_before);
        let undecryptable = record
            .pkt_undecrypt_total
            .saturating_sub(*undecryptable_before);
        (*dropped_before, *undecryptable_before) =
            (record.pkt_drop_total, record.pkt_undecrypt_total);
        let late =
            (dropped >= TOO_LATE_PER_SECOND).then_some(SrtNotice::TooLate { packets: dropped });
        let undecryptable = (undecryptable > 0).then_some(SrtNotice::Undecryptable {
            packets: undecryptable,
        });
        let too_long = (too_long > 0).then_some(SrtNotice::TooLong {
            packets: too_long,
            bytes,
            bytes_max,
        });
        let refused = refused.and_then(|(remote, stats)| {
            let reason = stats.key_refused?.to_string();
            Some(SrtNotice::KeyRefused { remote, reason })
        });
        let overdue = overdue.map(|(remote, _)| SrtNotice::KeyOverdue { remote });
        for (was_there, notice) in [
            (is_late, late),
            (is_undecryptable, undecryptable),
            (is_too_long, too_long),
            (is_refused, refused),
            (is_overdue, overdue),
        ] {
            let is_there = notice.is_some();
            if let Some(notice) = notice.filter(|_| !*was_there) {
                self.notices.tell(now, notice);
            }
            *was_there = is_there;
        }
        self.notices.second(now);
    }

    /// Packets that were given up on the way here, over all connections.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        let now = Micros(clock::monotonic_ns() / 1_000);
        let skipped = |peer: &Peer| peer.connection.stats(now).receive.counts.skipped;
        let others = self.peers().chain(self.ended.peers()).map(skipped);
        self.totals.skipped() + others.sum::<u64>()
    }

    /// State by configuration.md 8.1.
    #[must_use]
    pub fn state(&self) -> EndpointState {
        let mut peers = self.peers().peekable();
        if peers.peek().is_some() {
            let now = Micros(clock::monotonic_ns() / 1_000);
            return callers::state(peers, self.sends, now);
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
            peer.close(now);
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
