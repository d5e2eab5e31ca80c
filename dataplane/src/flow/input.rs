//! Where the packets of a flow come from, and what is counted about them.

use bilbycast_mpegts::{DATAGRAM_SIZE, TestSource};
use bilbycast_rtp::{RtpView, SequenceTracker};
use bilbycast_shm_proto::model::ReceiveSpec;

use super::PassBuffers;
use crate::net::clock;
use crate::net::memory::{PACKETS_MAX, Packet, PacketMemory};
use crate::net::receive::Received;
use crate::net::socket::ReceiveSocket;

/// The input of a flow.
#[derive(Debug)]
pub struct Input {
    source: Source,
    counts: InputCounts,
    /// CLOCK_MONOTONIC of the newest pass that brought packets; `None` before the first.
    newest_ns: Option<u64>,
}

/// What an input receives from.
#[derive(Debug)]
enum Source {
    /// Switched off; nothing is bound.
    Off,
    Rtp {
        leg: Leg,
        sequence: SequenceTracker,
    },
    Test(TestPacer),
    Udp {
        leg: Leg,
    },
}

/// A bound socket and what it was opened for.
#[derive(Debug)]
pub struct Leg {
    socket: ReceiveSocket,
    spec: ReceiveSpec,
    /// The kernel's running count of drops when this flow last heard of it.
    drops_seen: u32,
}

/// What an input has counted since its flow started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct InputCounts {
    /// RTP packets, or datagrams of raw transport stream.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Datagrams that are not RTP version 2.
    pub invalid: u64,
    /// Datagrams that found the socket's buffer full.
    pub dropped_kernel: u64,
    /// Receive calls that returned data.
    pub batches: u64,
    /// Receive calls that failed, as after an ICMP error.
    pub errors: u64,
}

/// What [`Input::fill`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Filled {
    /// Datagrams taken, those that were dropped at once included.
    pub(crate) received: u64,
    /// More is waiting.
    pub(crate) more: bool,
}

impl Leg {
    /// A leg on a socket that was opened for `spec`.
    #[must_use]
    pub const fn new(socket: ReceiveSocket, spec: ReceiveSpec) -> Self {
        Self {
            socket,
            spec,
            drops_seen: 0,
        }
    }

    /// What it receives.
    #[must_use]
    pub const fn spec(&self) -> &ReceiveSpec {
        &self.spec
    }

    /// Its socket.
    #[must_use]
    pub const fn socket(&self) -> &ReceiveSocket {
        &self.socket
    }

    /// Leaves the group and closes the socket. On the control thread: it may take milliseconds.
    pub fn close(self) {
        self.socket.leave(&self.spec);
    }
}

impl Input {
    /// An input that is switched off.
    #[must_use]
    pub fn off() -> Self {
        Self::from(Source::Off)
    }

    /// RTP on a bound socket.
    #[must_use]
    pub fn rtp(leg: Leg) -> Self {
        Self::from(Source::Rtp {
            leg,
            sequence: SequenceTracker::new(),
        })
    }

    /// Raw transport stream on a bound socket.
    #[must_use]
    pub fn udp(leg: Leg) -> Self {
        Self::from(Source::Udp { leg })
    }

    /// The built-in source, which starts at the first pass.
    #[must_use]
    pub fn test(source: TestSource) -> Self {
        Self::from(Source::Test(TestPacer {
            source: Box::new(source),
            start: None,
        }))
    }

    fn from(source: Source) -> Self {
        Self {
            source,
            counts: InputCounts::default(),
            newest_ns: None,
        }
    }

    /// False when it is switched off.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !matches!(self.source, Source::Off)
    }

    /// The leg, when it receives from a socket.
    #[must_use]
    pub const fn leg(&self) -> Option<&Leg> {
        match &self.source {
            Source::Rtp { leg, .. } | Source::Udp { leg } => Some(leg),
            Source::Off | Source::Test(_) => None,
        }
    }

    /// Takes the leg out of an input that ends.
    #[must_use]
    pub fn into_leg(self) -> Option<Leg> {
        match self.source {
            Source::Rtp { leg, .. } | Source::Udp { leg } => Some(leg),
            Source::Off | Source::Test(_) => None,
        }
    }

    /// What it has counted.
    #[must_use]
    pub const fn counts(&self) -> &InputCounts {
        &self.counts
    }

    /// What its sequence numbers tell, when it is RTP.
    #[must_use]
    pub const fn sequence(&self) -> Option<&SequenceTracker> {
        match &self.source {
            Source::Rtp { sequence, .. } => Some(sequence),
            _ => None,
        }
    }

    /// CLOCK_MONOTONIC of the newest pass that brought packets; `None` before the first.
    #[must_use]
    pub const fn newest_ns(&self) -> Option<u64> {
        self.newest_ns
    }

    /// Counts packets that are missing for good; called about every 100 ms.
    pub fn settle(&mut self) {
        if let Source::Rtp { sequence, .. } = &mut self.source {
            sequence.settle();
        }
    }

    /// Makes room in the socket for that rate.
    pub fn fit_buffer(&mut self, bytes: usize) {
        if let Source::Rtp { leg, .. } | Source::Udp { leg } = &mut self.source {
            leg.socket.grow_buffer(bytes);
        }
    }

    /// Takes one batch into the buffers.
    pub(crate) fn fill(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> Filled {
        let filled = match &mut self.source {
            Source::Off => Filled::default(),
            Source::Rtp { leg, sequence } => {
                let filled = self.counts.receive(leg, buffers);
                self.counts.bytes += keep_rtp(buffers, sequence);
                let kept = buffers.packets.len() as u64;
                self.counts.packets += kept;
                self.counts.invalid += filled.received - kept;
                filled
            }
            Source::Test(pacer) => {
                let filled = pacer.fill(&mut buffers.memory, &mut buffers.packets, now_ns);
                self.counts.packets += filled.received;
                self.counts.bytes += filled.received * DATAGRAM_SIZE as u64;
                filled
            }
            Source::Udp { leg } => {
                let filled = self.counts.receive(leg, buffers);
                self.counts.packets += filled.received;
                self.counts.bytes += bytes_of(&buffers.packets);
                filled
            }
        };
        if !buffers.packets.is_empty() {
            self.newest_ns = Some(now_ns);
        }
        filled
    }
}

impl InputCounts {
    fn receive(&mut self, leg: &mut Leg, buffers: &mut PassBuffers) -> Filled {
        let received =
            buffers
                .receive
                .receive(&leg.socket, &mut buffers.memory, &mut buffers.packets);
        self.batches += u64::from(received.messages > 0);
        self.errors += u64::from(received.error.is_some());
        if let Some(total) = received.dropped_total {
            self.dropped_kernel += u64::from(total.wrapping_sub(leg.drops_seen));
            leg.drops_seen = total;
        }
        Filled {
            received: buffers.packets.len() as u64,
            more: Received::is_full(&received),
        }
    }
}

/// Finds header and payload of each packet, takes note of its number, and drops what is not RTP. Returns the bytes of
/// what stays.
#[inline]
fn keep_rtp(buffers: &mut PassBuffers, sequence: &mut SequenceTracker) -> u64 {
    let memory = buffers.memory.bytes();
    let mut bytes = 0;
    buffers.packets.retain_mut(|packet| {
        let Some(view) = memory.get(packet.range()).and_then(RtpView::parse) else {
            return false;
        };
        sequence.on_packet(view.ssrc(), view.sequence());
        packet.header_bytes = view.payload_offset() as u32;
        packet.payload_bytes = view.payload().len() as u32;
        bytes += u64::from(packet.bytes);
        true
    });
    bytes
}

fn bytes_of(packets: &[Packet]) -> u64 {
    packets.iter().map(|packet| u64::from(packet.bytes)).sum()
}

/// Writes the built-in source at its pace.
#[derive(Debug)]
struct TestPacer {
    source: Box<TestSource>,
    /// The instant of the stream's first bit, on both clocks, in nanoseconds.
    start: Option<Start>,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    monotonic_ns: u64,
    realtime_ns: u64,
}

/// A source that was held up for longer than this goes on from where it is instead of making up for the time: a burst
/// helps no receiver.
const HELD_UP_NS_MAX: u64 = 200_000_000;

/// Datagrams of one pass: what the receive region holds.
const TEST_DATAGRAMS_MAX: u64 = {
    let fit = PacketMemory::STAGING_START / DATAGRAM_SIZE;
    if fit < PACKETS_MAX {
        fit as u64
    } else {
        PACKETS_MAX as u64
    }
};

impl TestPacer {
    fn fill(
        &mut self,
        memory: &mut PacketMemory,
        packets: &mut Vec<Packet>,
        now_ns: u64,
    ) -> Filled {
        let mut start = *self.start.get_or_insert_with(|| Start {
            monotonic_ns: now_ns,
            realtime_ns: clock::realtime_ns(),
        });
        let written = self.source.packets_written() / TS_PACKETS_PER_DATAGRAM;
        let behind_ns = now_ns
            .saturating_sub(start.monotonic_ns)
            .saturating_sub(self.time_of_ns(written));
        if behind_ns > HELD_UP_NS_MAX {
            start.monotonic_ns += behind_ns;
            start.realtime_ns += behind_ns;
            self.start = Some(start);
        }
        let elapsed_ns = now_ns.saturating_sub(start.monotonic_ns);
        let due = self
            .source
            .packets_due(std::time::Duration::from_nanos(elapsed_ns))
            / TS_PACKETS_PER_DATAGRAM;
        let count = due.saturating_sub(written).min(TEST_DATAGRAMS_MAX);
        let bytes = count as usize * DATAGRAM_SIZE;
        let Some(room) = memory.received_mut().get_mut(..bytes) else {
            return Filled::default();
        };
        self.source.write(room);
        for index in 0..count {
            packets.push(Packet {
                // The region is far below 4 GiB.
                start: index as u32 * DATAGRAM_SIZE as u32,
                bytes: DATAGRAM_SIZE as u32,
                header_bytes: 0,
                payload_bytes: DATAGRAM_SIZE as u32,
                arrival_ns: start.realtime_ns + self.time_of_ns(written + index + 1),
            });
        }
        Filled {
            received: count,
            more: due - written > count,
        }
    }

    /// When the last bit of so many datagrams is due, after the start.
    fn time_of_ns(&self, datagrams: u64) -> u64 {
        let bits = u128::from(datagrams) * DATAGRAM_SIZE as u128 * 8;
        let rate = u128::from(self.source.bitrate_bps().max(1));
        u64::try_from(bits * 1_000_000_000 / rate).unwrap_or(u64::MAX)
    }
}

const TS_PACKETS_PER_DATAGRAM: u64 = bilbycast_mpegts::PACKETS_PER_DATAGRAM as u64;
