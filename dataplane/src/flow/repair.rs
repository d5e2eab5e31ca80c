//! An RTP input whose packets are put in order and repaired: SMPTE ST 2022-7 legs, SMPTE ST 2022-1 FEC on each.
//!
//! Whatever arrives on a leg goes through its filters, then to its FEC decoder, which only remembers it, and into the merge,
//! which keeps order and a constant delay. What a decoder recovers goes into the merge as well. Packets leave the merge
//! when their time has come, so a repair is invisible behind it.

use bilbycast_fec::{Decoder, DecoderConfig, Matrix, Stream};
use bilbycast_hitless::{LegIndex, Merger, MergerConfig, Origin, Outcome};
use bilbycast_rtp::RtpView;
use bilbycast_shm_proto::model::{FecSpec, RtpInputSpec};

use super::PassBuffers;
use super::arrival::{ArrivalFigures, ArrivalMeter};
use super::filter::IngressFilter;
use super::receiver::{KernelCounts, Receiver, Taken};
use crate::net::clock;
use crate::net::memory::{PACKETS_MAX, Packet};
use crate::net::receive::Sources;

/// The legs of an input and what joins them.
#[derive(Debug)]
pub struct Repair {
    legs: Vec<Leg>,
    merger: Merger,
    /// Bytes of packets that came first on their leg, and how many they were.
    bytes: u64,
    packets: u64,
}

/// One leg.
#[derive(Debug)]
pub struct Leg {
    index: LegIndex,
    /// Absent: the leg is switched off.
    media: Option<Receiver>,
    fec: Option<LegFec>,
    filter: IngressFilter,
    arrival: ArrivalMeter,
    figures: ArrivalFigures,
    counts: LegCounts,
    /// CLOCK_MONOTONIC of the newest pass that brought a packet that its filters let in; `None` before the first.
    newest_ns: Option<u64>,
}

/// What a leg has counted since its flow started, filters and FEC aside.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LegCounts {
    /// RTP packets that its filters let in.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Datagrams that are not RTP version 2, or are RTCP.
    pub invalid: u64,
    /// What the kernel says, FEC sockets included.
    pub kernel: KernelCounts,
}

/// FEC of one leg.
#[derive(Debug)]
struct LegFec {
    decoder: Decoder,
    /// The decoder was told that the stream pauses, and nothing has come since.
    is_flushed: bool,
    column: Receiver,
    row: Receiver,
}

/// The sockets of one leg.
#[derive(Debug)]
pub struct LegReceivers {
    /// Media.
    pub media: Receiver,
    /// Column FEC and row FEC.
    pub fec: Option<[Receiver; 2]>,
}

/// Most packets that wait in a merge: 2 s of 200 Mb/s, half of what sequence numbers can tell apart.
const MERGE_PACKETS_MAX: usize = 32_768;

impl Repair {
    /// What `spec` asks for, on these sockets; `None` in place of a leg that is switched off.
    #[must_use]
    pub fn new(
        spec: &RtpInputSpec,
        receivers: impl IntoIterator<Item = Option<LegReceivers>>,
    ) -> Self {
        let legs: Vec<Leg> = LegIndex::ALL
            .into_iter()
            .zip(receivers)
            .map(|(index, receivers)| Leg::new(index, spec, receivers))
            .collect();
        let path_differential_ns = spec.redundancy.as_ref().map_or(0, |redundancy| {
            u64::from(redundancy.path_differential_ms) * 1_000_000
        });
        let merger = Merger::new(MergerConfig {
            legs: legs.len(),
            path_differential_ns,
            repair_packets: repair_packets(&legs),
            packets_max: MERGE_PACKETS_MAX,
        });
        Self {
            legs,
            merger,
            bytes: 0,
            packets: 0,
        }
    }

    /// The legs, leg 1 first.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }

    /// The merge.
    #[must_use]
    pub const fn merger(&self) -> &Merger {
        &self.merger
    }

    /// Packets that the filters let in and whose copy was the first.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Their bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All sockets.
    pub fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        self.legs.iter().flat_map(|leg| {
            let fec = leg.fec.iter().flat_map(|fec| [&fec.column, &fec.row]);
            leg.media.iter().chain(fec)
        })
    }

    /// All sockets, when the input ends.
    pub fn into_receivers(self) -> impl Iterator<Item = Receiver> {
        self.legs.into_iter().flat_map(|leg| {
            let fec = leg.fec.into_iter().flat_map(|fec| [fec.column, fec.row]);
            leg.media.into_iter().chain(fec)
        })
    }

    /// Whether packets wait for their time.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.merger.is_empty()
    }

    /// Makes room in the sockets for that rate.
    pub(super) fn fit_buffer(&mut self, bytes: usize) {
        for leg in &mut self.legs {
            let fec = leg
                .fec
                .iter_mut()
                .flat_map(|fec| [&mut fec.column, &mut fec.row]);
            for receiver in leg.media.iter_mut().chain(fec) {
                receiver.fit_buffer(bytes);
            }
        }
    }

    /// Ends a second of the arrival figures of the legs.
    pub(super) fn second(&mut self) {
        for leg in &mut self.legs {
            let lost = self.merger.stats().legs[leg.index.index()].lost;
            leg.figures = leg.arrival.second(lost);
        }
    }

    /// Takes one batch from each socket and puts the packets that are due into the buffers. `now_ns` is CLOCK_MONOTONIC.
    pub(super) fn fill(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> Taken {
        let mut all = Taken::default();
        for leg in &mut self.legs {
            let taken = leg.take_media(buffers, now_ns, &mut self.merger);
            self.packets += taken.used_packets;
            self.bytes += taken.used_bytes;
            for taken in [taken.taken, leg.take_fec(buffers, now_ns, &mut self.merger)] {
                all.received += taken.received;
                all.more |= taken.more;
            }
        }
        // A matrix that was learned from the wire may need another wait than the configured one.
        self.merger.set_repair_packets(repair_packets(&self.legs));
        buffers.packets.clear();
        all.more |= self.release(buffers);
        all
    }

    /// Copies what is due into the packet memory. True when there was no room for all of it.
    fn release(&mut self, buffers: &mut PassBuffers) -> bool {
        // Asked even when it is empty: in time it then counts what is missing at the end of a stream.
        let now_ns = clock::realtime_ns();
        let memory = buffers.memory.received_mut();
        let mut start = 0;
        while let Some(room) = memory.get_mut(start..start + PACKET_BYTES_MAX)
            && buffers.packets.len() < PACKETS_MAX
        {
            let Some(released) = self.merger.pop(now_ns, room) else {
                return false;
            };
            let Some(view) = room.get(..released.bytes).and_then(RtpView::parse) else {
                continue;
            };
            buffers.packets.push(Packet {
                // The whole memory is far below 4 GiB (tested in `memory`).
                start: start as u32,
                bytes: released.bytes as u32,
                header_bytes: view.payload_offset() as u32,
                payload_bytes: view.payload().len() as u32,
                arrival_ns: released.arrival_ns,
            });
            start += released.bytes;
        }
        true
    }
}

/// A decoder tells a lost packet by a later one; after a pause of this length there is none to wait for, and the merge has not
/// given up yet.
const PAUSE_NS: u64 = 80_000_000;

/// Longest packet that the merge takes.
const PACKET_BYTES_MAX: usize = bilbycast_hitless::PACKET_BYTES_MAX;

/// What [`Leg::take_media`] did.
struct MediaTaken {
    taken: Taken,
    used_packets: u64,
    used_bytes: u64,
}

impl Leg {
    fn new(index: LegIndex, spec: &RtpInputSpec, receivers: Option<LegReceivers>) -> Self {
        let (media, fec) = match receivers {
            None => (None, None),
            Some(LegReceivers { media, fec }) => (Some(media), fec),
        };
        Self {
            index,
            media,
            fec: fec.map(|[column, row]| LegFec {
                decoder: Decoder::new(DecoderConfig {
                    expected: spec.fec.as_ref().and_then(matrix),
                }),
                is_flushed: true,
                column,
                row,
            }),
            filter: IngressFilter::new(&spec.filter),
            arrival: ArrivalMeter::default(),
            figures: ArrivalFigures::default(),
            counts: LegCounts::default(),
            newest_ns: None,
        }
    }

    /// Which leg it is.
    #[must_use]
    pub const fn index(&self) -> LegIndex {
        self.index
    }

    /// False when it is switched off.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.media.is_some()
    }

    /// What it has counted.
    #[must_use]
    pub const fn counts(&self) -> &LegCounts {
        &self.counts
    }

    /// Packets that its filters dropped.
    #[must_use]
    pub const fn filtered(&self) -> u64 {
        self.filter.filtered()
    }

    /// Its FEC decoder, when it listens to FEC.
    #[must_use]
    pub fn decoder(&self) -> Option<&Decoder> {
        self.fec.as_ref().map(|fec| &fec.decoder)
    }

    /// How regularly packets arrived in the last second.
    #[must_use]
    pub const fn figures(&self) -> &ArrivalFigures {
        &self.figures
    }

    /// CLOCK_MONOTONIC of the newest pass that brought a packet that its filters let in; `None` before the first.
    #[must_use]
    pub const fn newest_ns(&self) -> Option<u64> {
        self.newest_ns
    }

    fn sources(&self) -> Sources {
        if self.filter.needs_sources() {
            Sources::Told
        } else {
            Sources::Unasked
        }
    }

    fn take_media(
        &mut self,
        buffers: &mut PassBuffers,
        now_ns: u64,
        merger: &mut Merger,
    ) -> MediaTaken {
        let sources = self.sources();
        let mut all = MediaTaken {
            taken: Taken::default(),
            used_packets: 0,
            used_bytes: 0,
        };
        let Some(media) = &mut self.media else {
            return all;
        };
        all.taken = media.receive(buffers, &mut self.counts.kernel, sources);
        let memory = buffers.memory.bytes();
        for packet in &buffers.packets {
            let bytes = memory.get(packet.range()).unwrap_or_default();
            let Some(view) = RtpView::parse(bytes).filter(|view| !view.is_rtcp()) else {
                self.counts.invalid += 1;
                continue;
            };
            let source = || buffers.receive.source(packet).map(|source| source.ip());
            if !self.filter.passes(&view, packet.arrival_ns, source) {
                continue;
            }
            self.counts.packets += 1;
            self.counts.bytes += u64::from(packet.bytes);
            self.newest_ns = Some(now_ns);
            self.arrival
                .on_packet(packet.arrival_ns, packet.bytes, Some(view.timestamp()));
            let outcome = merger.push(self.index, Origin::Received, packet.arrival_ns, bytes);
            if outcome == Outcome::Used {
                all.used_packets += 1;
                all.used_bytes += u64::from(packet.bytes);
            }
            // FEC protects the source in use; what is not of it would make the decoder forget that one.
            let is_protected = !matches!(outcome, Outcome::Foreign | Outcome::Invalid);
            if let Some(fec) = self.fec.as_mut().filter(|_| is_protected) {
                fec.is_flushed = false;
                let (index, arrival_ns) = (self.index, packet.arrival_ns);
                fec.decoder.push_media(bytes, &mut |recovered| {
                    // The merge counts what becomes of it.
                    let _ = merger.push(index, Origin::Recovered, arrival_ns, recovered);
                });
            }
        }
        all
    }

    fn take_fec(&mut self, buffers: &mut PassBuffers, now_ns: u64, merger: &mut Merger) -> Taken {
        let sources = self.sources();
        let mut all = Taken::default();
        let silent_ns = now_ns.saturating_sub(self.newest_ns.unwrap_or(now_ns));
        let Some(LegFec {
            decoder,
            is_flushed,
            column,
            row,
        }) = &mut self.fec
        else {
            return all;
        };
        if silent_ns >= PAUSE_NS && !std::mem::replace(is_flushed, true) {
            let (index, arrival_ns) = (self.index, clock::realtime_ns());
            decoder.flush(&mut |recovered| {
                // The merge counts what becomes of it.
                let _ = merger.push(index, Origin::Recovered, arrival_ns, recovered);
            });
        }
        for (stream, receiver) in [(Stream::Column, column), (Stream::Row, row)] {
            let taken = receiver.receive(buffers, &mut self.counts.kernel, sources);
            all.received += taken.received;
            all.more |= taken.more;
            let memory = buffers.memory.bytes();
            for packet in &buffers.packets {
                let source = || buffers.receive.source(packet).map(|source| source.ip());
                if !self.filter.passes_fec(source) {
                    continue;
                }
                let bytes = memory.get(packet.range()).unwrap_or_default();
                let (index, arrival_ns) = (self.index, packet.arrival_ns);
                decoder.push_fec(stream, bytes, &mut |recovered| {
                    // The merge counts what becomes of it.
                    let _ = merger.push(index, Origin::Recovered, arrival_ns, recovered);
                });
            }
        }
        all
    }
}

/// The matrix of a specification; `None` when it is none, which the control plane does not let pass.
pub(super) fn matrix(fec: &FecSpec) -> Option<Matrix> {
    Matrix::new(fec.columns, fec.rows).ok()
}

fn repair_packets(legs: &[Leg]) -> u32 {
    let decoders = legs.iter().filter_map(Leg::decoder);
    decoders.map(Decoder::latency_packets).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
