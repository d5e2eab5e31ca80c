//! Where the packets of a flow come from, and what is counted about them.

use bilbycast_mpegts::{DATAGRAM_SIZE, TestSource};
use bilbycast_rtp::{RtpView, SequenceTracker};

use super::PassBuffers;
use super::filter::IngressFilter;
use super::receiver::{KernelCounts, Receiver, Taken};
use super::repair::Repair;
use super::socket::{InputSocket, Waitable};
use super::srt_input::SrtInput;
use super::test_pacer::TestPacer;
use crate::net::memory::Packet;
use crate::net::receive::Sources;

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
    /// One leg that is forwarded as it comes.
    Rtp(Box<Plain>),
    /// Legs that are put in order and repaired.
    Repaired(Box<Repair>),
    Srt(Box<SrtInput>),
    Test(TestPacer),
    Udp(Receiver),
}

/// An RTP leg without repair.
#[derive(Debug)]
struct Plain {
    receiver: Receiver,
    sequence: SequenceTracker,
    /// Absent: everything passes.
    filter: Option<IngressFilter>,
}

/// What an input has counted since its flow started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct InputCounts {
    /// RTP packets, or datagrams of raw transport stream. Of two legs, the copies that came first.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Datagrams that are not RTP version 2, or are RTCP.
    pub invalid: u64,
    /// Packets that ingress filters dropped.
    pub filtered: u64,
    /// Payload type of the newest RTP packet; none when an SRT input carries raw transport stream.
    pub payload_type: Option<u8>,
    /// What the kernel says of all sockets.
    pub kernel: KernelCounts,
}

/// What the numbers of the packets tell about an RTP input.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SequenceCounts {
    /// Packets that are missing behind the input.
    pub lost: u64,
    /// Packets that came again; of two legs, on the same leg.
    pub duplicate: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// How often the source started anew.
    pub restarts: u64,
}

impl Input {
    /// An input that is switched off.
    #[must_use]
    pub fn off() -> Self {
        Self::from(Source::Off)
    }

    /// RTP on a bound socket; `filter`: what it lets in, absent when that is everything.
    #[must_use]
    pub fn rtp(receiver: Receiver, filter: Option<IngressFilter>) -> Self {
        Self::from(Source::Rtp(Box::new(Plain {
            receiver,
            sequence: SequenceTracker::new(),
            filter,
        })))
    }

    /// RTP that is put in order and repaired.
    #[must_use]
    pub fn repaired(repair: Repair) -> Self {
        Self::from(Source::Repaired(Box::new(repair)))
    }

    /// SRT.
    #[must_use]
    pub fn srt(srt: SrtInput) -> Self {
        Self::from(Source::Srt(Box::new(srt)))
    }

    /// Raw transport stream on a bound socket.
    #[must_use]
    pub fn udp(receiver: Receiver) -> Self {
        Self::from(Source::Udp(receiver))
    }

    /// The built-in source, which starts at the first pass.
    #[must_use]
    pub fn test(source: TestSource) -> Self {
        Self::from(Source::Test(TestPacer::new(source)))
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

    /// Whether it makes its packets itself, so that there is nothing to wait for.
    #[must_use]
    pub const fn makes_packets(&self) -> bool {
        matches!(self.source, Source::Test(_))
    }

    /// Whether it has to be looked at by the clock, when nothing comes in.
    #[must_use]
    pub const fn has_timers(&self) -> bool {
        matches!(self.source, Source::Repaired(_) | Source::Srt(_))
    }

    /// Whether it has to be looked at soon, without anything to wake its flow; `now_ns` is CLOCK_MONOTONIC.
    #[must_use]
    pub fn is_pending(&self, now_ns: u64) -> bool {
        match &self.source {
            Source::Repaired(repair) => repair.is_pending(),
            Source::Srt(srt) => srt.is_pending(now_ns),
            Source::Off | Source::Rtp(_) | Source::Test(_) | Source::Udp(_) => false,
        }
    }

    /// What a quiet flow waits on.
    #[must_use]
    pub fn waitables(&self) -> Vec<Waitable<'_>> {
        match &self.source {
            Source::Srt(srt) => srt.legs().iter().map(Waitable::srt).collect(),
            _ => self.receivers().into_iter().map(Waitable::plain).collect(),
        }
    }

    /// The plain sockets that it receives from.
    #[must_use]
    pub fn receivers(&self) -> Vec<&Receiver> {
        match &self.source {
            Source::Rtp(plain) => vec![&plain.receiver],
            Source::Repaired(repair) => repair.receivers().collect(),
            Source::Udp(receiver) => vec![receiver],
            Source::Off | Source::Srt(_) | Source::Test(_) => Vec::new(),
        }
    }

    /// Takes the sockets out of an input that ends.
    #[must_use]
    pub fn into_sockets(self) -> Vec<InputSocket> {
        match self.source {
            Source::Rtp(plain) => vec![InputSocket::Plain(plain.receiver)],
            Source::Repaired(repair) => repair.into_receivers().map(InputSocket::Plain).collect(),
            Source::Srt(srt) => {
                let legs = srt.into_legs().into_iter();
                legs.map(|leg| InputSocket::Srt(Box::new(leg))).collect()
            }
            Source::Udp(receiver) => vec![InputSocket::Plain(receiver)],
            Source::Off | Source::Test(_) => Vec::new(),
        }
    }

    /// Its SRT legs and their merge.
    #[must_use]
    pub fn as_srt(&self) -> Option<&SrtInput> {
        match &self.source {
            Source::Srt(srt) => Some(srt),
            _ => None,
        }
    }

    /// The same, to be asked what they have to tell.
    pub(super) fn as_srt_mut(&mut self) -> Option<&mut SrtInput> {
        match &mut self.source {
            Source::Srt(srt) => Some(srt),
            _ => None,
        }
    }

    /// The legs and their merge, when it is repaired.
    #[must_use]
    pub fn repair(&self) -> Option<&Repair> {
        match &self.source {
            Source::Repaired(repair) => Some(repair),
            _ => None,
        }
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> InputCounts {
        match &self.source {
            Source::Repaired(repair) => InputCounts {
                payload_type: self.counts.payload_type,
                ..of_legs(repair)
            },
            Source::Srt(srt) => InputCounts {
                payload_type: self.counts.payload_type,
                packets: srt.packets(),
                bytes: srt.bytes(),
                kernel: srt.kernel(),
                ..InputCounts::default()
            },
            _ => self.counts,
        }
    }

    /// What its sequence numbers tell, when it is RTP.
    #[must_use]
    pub fn sequence(&self) -> Option<SequenceCounts> {
        match &self.source {
            Source::Rtp(plain) => Some(SequenceCounts {
                lost: plain.sequence.lost(),
                duplicate: plain.sequence.duplicate(),
                reordered: plain.sequence.reordered(),
                restarts: plain.sequence.restarts(),
            }),
            Source::Repaired(repair) => {
                let stats = repair.merger().stats();
                let one_leg = repair.legs().len() == 1;
                Some(SequenceCounts {
                    lost: stats.lost,
                    // With two legs every packet comes twice, which is no mishap.
                    duplicate: if one_leg { stats.legs[0].duplicate } else { 0 },
                    reordered: 0,
                    restarts: stats.source_restarts,
                })
            }
            Source::Srt(srt) => Some(SequenceCounts {
                lost: srt.lost(),
                restarts: srt
                    .merger()
                    .map_or(0, |merger| merger.stats().source_restarts),
                ..SequenceCounts::default()
            }),
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
        match &mut self.source {
            Source::Rtp(plain) => plain.sequence.settle(),
            Source::Srt(srt) => srt.settle(),
            Source::Off | Source::Repaired(_) | Source::Test(_) | Source::Udp(_) => {}
        }
    }

    /// Ends a second of what is measured on the legs.
    pub(super) fn second(&mut self) {
        if let Source::Repaired(repair) = &mut self.source {
            repair.second();
        }
    }

    /// Makes room in the sockets for that rate.
    pub fn fit_buffer(&mut self, bytes: usize) {
        match &mut self.source {
            Source::Rtp(plain) => plain.receiver.fit_buffer(bytes),
            Source::Repaired(repair) => repair.fit_buffer(bytes),
            Source::Srt(srt) => srt
                .legs_mut()
                .iter_mut()
                .for_each(|leg| leg.fit_buffer(bytes)),
            Source::Udp(receiver) => receiver.fit_buffer(bytes),
            Source::Off | Source::Test(_) => {}
        }
    }

    /// Takes one batch into the buffers.
    pub(super) fn fill(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> Taken {
        let taken = match &mut self.source {
            Source::Off => Taken::default(),
            Source::Rtp(plain) => plain.fill(buffers, &mut self.counts),
            Source::Repaired(repair) => {
                let taken = repair.fill(buffers, now_ns);
                self.counts.payload_type =
                    newest_payload_type(buffers).or(self.counts.payload_type);
                taken
            }
            Source::Srt(srt) => {
                let taken = srt.fill(buffers, now_ns);
                // Each message tells whether it is RTP, and the newest one counts.
                if !buffers.packets.is_empty() {
                    self.counts.payload_type = newest_payload_type(buffers);
                }
                taken
            }
            Source::Test(pacer) => {
                let taken = pacer.fill(&mut buffers.memory, &mut buffers.packets, now_ns);
                self.counts.packets += taken.received;
                self.counts.bytes += taken.received * DATAGRAM_SIZE as u64;
                taken
            }
            Source::Udp(receiver) => {
                let taken = receiver.receive(buffers, &mut self.counts.kernel, Sources::Unasked);
                self.counts.packets += taken.received;
                self.counts.bytes += bytes_of(&buffers.packets);
                taken
            }
        };
        if !buffers.packets.is_empty() {
            self.newest_ns = Some(now_ns);
        }
        taken
    }
}

impl Plain {
    fn fill(&mut self, buffers: &mut PassBuffers, counts: &mut InputCounts) -> Taken {
        let Self {
            receiver,
            sequence,
            filter,
        } = self;
        let sources = match filter {
            Some(filter) if filter.needs_sources() => Sources::Told,
            _ => Sources::Unasked,
        };
        let taken = receiver.receive(buffers, &mut counts.kernel, sources);
        let mut invalid = 0;
        counts.bytes += keep_rtp(buffers, sequence, filter.as_mut(), &mut invalid);
        counts.payload_type = newest_payload_type(buffers).or(counts.payload_type);
        counts.packets += buffers.packets.len() as u64;
        counts.invalid += invalid;
        counts.filtered = filter.as_ref().map_or(0, IngressFilter::filtered);
        taken
    }
}

/// The counts of the legs, put together.
fn of_legs(repair: &Repair) -> InputCounts {
    let mut all = InputCounts {
        packets: repair.packets(),
        bytes: repair.bytes(),
        ..InputCounts::default()
    };
    for leg in repair.legs() {
        let counts = leg.counts();
        all.invalid += counts.invalid;
        all.filtered += leg.filtered();
        all.kernel.dropped += counts.kernel.dropped;
        all.kernel.batches += counts.kernel.batches;
        all.kernel.errors += counts.kernel.errors;
    }
    all
}

/// Finds header and payload of each packet, takes note of its number, and drops what is not RTP or may not pass. Returns the
/// bytes of what stays.
#[inline]
fn keep_rtp(
    buffers: &mut PassBuffers,
    sequence: &mut SequenceTracker,
    mut filter: Option<&mut IngressFilter>,
    invalid: &mut u64,
) -> u64 {
    let PassBuffers {
        memory,
        receive,
        packets,
        ..
    } = buffers;
    let memory = memory.bytes();
    let mut bytes = 0;
    packets.retain_mut(|packet| {
        let view = memory.get(packet.range()).and_then(RtpView::parse);
        let Some(view) = view.filter(|view| !view.is_rtcp()) else {
            *invalid += 1;
            return false;
        };
        if let Some(filter) = &mut filter
            && !filter.passes(&view, packet.arrival_ns, || {
                receive.source(packet).map(|source| source.ip())
            })
        {
            return false;
        }
        sequence.on_packet(view.ssrc(), view.sequence());
        packet.header_bytes = view.payload_offset() as u32;
        packet.payload_bytes = view.payload().len() as u32;
        bytes += u64::from(packet.bytes);
        true
    });
    bytes
}

/// Payload type of the newest packet of a pass, when that is RTP.
fn newest_payload_type(buffers: &PassBuffers) -> Option<u8> {
    let newest = buffers.packets.last()?;
    let header = buffers.memory.bytes().get(newest.range())?;
    let second = header.get(1).filter(|_| newest.header_bytes > 0)?;
    Some(second & 0x7f)
}

fn bytes_of(packets: &[Packet]) -> u64 {
    packets.iter().map(|packet| u64::from(packet.bytes)).sum()
}
