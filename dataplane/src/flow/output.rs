//! How the packets of a flow leave.

use bilbycast_rtp::{HEADER_BYTES_MIN, RtpWrapper, rtp_timestamp, with_payload_type};
use bilbycast_shm_proto::model::{OutputKind, OutputSpec};

mod fec;
mod srt;

pub use fec::OutputFec;
pub use srt::SrtOutput;

use super::PassBuffers;
use crate::net::send::{Outgoing, Segmentation, Sent};
use crate::net::socket::SendSocket;
use crate::srt::leg::SrtLeg;

/// An output of a flow.
#[derive(Debug)]
pub struct Output {
    spec: OutputSpec,
    sink: Sink,
    counts: OutputCounts,
    /// The newest packets had RTP headers. What is left over of a datagram when a stream pauses belongs to them.
    came_as_rtp: bool,
    /// CLOCK_MONOTONIC of the newest pass whose packets the kernel took; `None` before the first.
    newest_ns: Option<u64>,
}

/// Where an output sends to.
#[derive(Debug)]
enum Sink {
    /// Switched off; nothing is bound.
    Off,
    On {
        form: Form,
        legs: Vec<SendLeg>,
        fec: Option<Box<OutputFec>>,
    },
    Srt(Box<SrtOutput>),
}

/// One place that an output sends to: the whole of it, or a leg of ST 2022-7.
#[derive(Debug)]
pub struct SendLeg {
    media: Sender,
    /// Column FEC and row FEC.
    fec: Option<[Sender; 2]>,
}

/// A socket and what is known of it.
#[derive(Debug)]
struct Sender {
    socket: SendSocket,
    segmentation: Segmentation,
}

impl Sender {
    const fn new(socket: SendSocket) -> Self {
        Self {
            socket,
            segmentation: Segmentation::FULL,
        }
    }

    /// Sends so many datagrams.
    fn flush(&mut self, outgoing: Outgoing<'_, '_>, datagrams: u64) -> Sent {
        if let Some(error) = self.socket.unreached() {
            return Sent {
                dropped: datagrams,
                errors: 1,
                error: Some(error),
                ..Sent::default()
            };
        }
        outgoing.flush(&self.socket, &mut self.segmentation)
    }
}

impl SendLeg {
    /// A leg on these sockets; `fec` has those of column FEC and row FEC.
    #[must_use]
    pub fn new(media: SendSocket, fec: Option<[SendSocket; 2]>) -> Self {
        Self {
            media: Sender::new(media),
            fec: fec.map(|fec| fec.map(Sender::new)),
        }
    }

    fn senders(&self) -> impl Iterator<Item = &Sender> {
        std::iter::once(&self.media).chain(self.fec.iter().flatten())
    }

    fn senders_mut(&mut self) -> impl Iterator<Item = &mut Sender> {
        std::iter::once(&mut self.media).chain(self.fec.iter_mut().flatten())
    }
}

/// In which form packets leave.
#[derive(Debug)]
pub enum Form {
    /// As they came.
    AsReceived,
    /// As they came, with the payload type replaced.
    Retyped(u8),
    /// Transport stream without RTP, in datagrams of 7 x 188 bytes.
    Ts,
    /// Transport stream in datagrams of 7 x 188 bytes behind an RTP header of ours.
    Wrapped(RtpWrapper),
    /// What came as RTP as it came, with the payload type replaced when there is one, and everything else wrapped.
    Either {
        /// For what came without RTP.
        wrapper: RtpWrapper,
        /// For what came as RTP.
        payload_type: Option<u8>,
    },
}

/// The form of the packets of one pass.
#[derive(Debug)]
enum Shape<'a> {
    AsReceived,
    Retyped(u8),
    Ts,
    Wrapped(&'a mut RtpWrapper),
}

/// What an output has counted since it was added.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OutputCounts {
    /// Datagrams that the kernel took; of two legs, those that at least one took.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Datagrams that it did not take; of two legs, of both.
    pub dropped: u64,
    /// FEC packets that the kernel took, of all legs and streams.
    pub fec_packets: u64,
    /// Calls to the kernel.
    pub batches: u64,
    /// Calls that failed for another reason than a full buffer.
    pub errors: u64,
    /// The newest such reason, as the kernel's number.
    pub error: Option<i32>,
}

impl Output {
    /// An output that is switched off.
    #[must_use]
    pub fn off(spec: OutputSpec) -> Self {
        Self::new(spec, Sink::Off)
    }

    /// An output that sends in `form` to `legs`, which were opened for `spec`, each with the FEC that `fec` makes.
    #[must_use]
    pub fn on(spec: OutputSpec, form: Form, legs: Vec<SendLeg>, fec: Option<OutputFec>) -> Self {
        let fec = fec.map(Box::new);
        Self::new(spec, Sink::On { form, legs, fec })
    }

    /// An SRT output.
    #[must_use]
    pub fn srt(spec: OutputSpec, srt: SrtOutput) -> Self {
        Self::new(spec, Sink::Srt(Box::new(srt)))
    }

    fn new(spec: OutputSpec, sink: Sink) -> Self {
        Self {
            spec,
            sink,
            counts: OutputCounts::default(),
            came_as_rtp: false,
            newest_ns: None,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.spec.id
    }

    /// What it was opened for.
    #[must_use]
    pub const fn spec(&self) -> &OutputSpec {
        &self.spec
    }

    /// How it sends.
    #[must_use]
    pub const fn kind(&self) -> &OutputKind {
        &self.spec.kind
    }

    /// False when it is switched off.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !matches!(self.sink, Sink::Off)
    }

    /// Whether it needs the transport stream cut into datagrams.
    #[must_use]
    pub const fn takes_ts_datagrams(&self) -> bool {
        matches!(
            self.sink,
            Sink::On {
                form: Form::Ts | Form::Wrapped(_) | Form::Either { .. },
                ..
            } | Sink::Srt(_)
        )
    }

    /// Whether it has to be looked at by the clock, when there is nothing to send.
    #[must_use]
    pub const fn has_timers(&self) -> bool {
        matches!(self.sink, Sink::Srt(_))
    }

    /// Whether it has to be looked at soon, without anything to wake its flow; `now_ns` is CLOCK_MONOTONIC.
    #[must_use]
    pub fn is_pending(&self, now_ns: u64) -> bool {
        matches!(&self.sink, Sink::Srt(srt) if srt.is_pending(now_ns))
    }

    /// Its SRT legs.
    #[must_use]
    pub fn as_srt(&self) -> Option<&SrtOutput> {
        match &self.sink {
            Sink::Srt(srt) => Some(srt),
            Sink::Off | Sink::On { .. } => None,
        }
    }

    /// The same, to be asked what they have to tell.
    pub(super) fn as_srt_mut(&mut self) -> Option<&mut SrtOutput> {
        match &mut self.sink {
            Sink::Srt(srt) => Some(srt),
            Sink::Off | Sink::On { .. } => None,
        }
    }

    /// Takes what its far ends say and sends them what is due. True when more waits.
    pub(super) fn service(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> bool {
        match &mut self.sink {
            Sink::Srt(srt) => srt.service(buffers, now_ns, &mut self.counts),
            Sink::Off | Sink::On { .. } => false,
        }
    }

    /// What it has counted.
    #[must_use]
    pub const fn counts(&self) -> &OutputCounts {
        &self.counts
    }

    /// CLOCK_MONOTONIC of the newest pass whose packets the kernel took; `None` before the first.
    #[must_use]
    pub const fn newest_ns(&self) -> Option<u64> {
        self.newest_ns
    }

    /// False when the kernel or the network card turned out not to coalesce datagrams on their way out.
    #[must_use]
    pub fn coalesces(&self) -> bool {
        match &self.sink {
            Sink::Off => true,
            Sink::Srt(srt) => srt.legs().iter().all(SrtLeg::coalesces),
            Sink::On { legs, .. } => legs
                .iter()
                .flat_map(SendLeg::senders)
                .all(|sender| sender.segmentation != Segmentation::NONE),
        }
    }

    /// Looks for a way to its destinations where there has been none; a failure is counted. To be called about once a
    /// second.
    pub(super) fn reach(&mut self) {
        if let Sink::On { legs, .. } = &mut self.sink {
            for sender in legs.iter_mut().flat_map(SendLeg::senders_mut) {
                if let Err(error) = sender.socket.reach() {
                    self.counts.errors += 1;
                    self.counts.error = Some(error);
                }
            }
        }
    }

    /// Makes room in the socket for that rate.
    pub fn fit_buffer(&mut self, bytes: usize) {
        match &mut self.sink {
            Sink::Off => {}
            Sink::On { legs, .. } => {
                for sender in legs.iter_mut().flat_map(SendLeg::senders_mut) {
                    sender.socket.grow_buffer(bytes);
                }
            }
            Sink::Srt(srt) => srt
                .legs_mut()
                .iter_mut()
                .for_each(|leg| leg.fit_buffer(bytes)),
        }
    }

    /// Sends the packets of this pass. Returns how many the kernel took.
    pub(crate) fn send(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> u64 {
        if let Some(packet) = buffers.packets.first() {
            self.came_as_rtp = packet.header_bytes > 0;
        }
        let came_as_rtp = self.came_as_rtp;
        let (form, legs, fec) = match &mut self.sink {
            Sink::Off => return 0,
            Sink::Srt(srt) => {
                let packets = if srt.carries_rtp() && came_as_rtp {
                    &buffers.packets
                } else {
                    &buffers.ts_datagrams
                };
                let sent = srt.send(buffers.memory.bytes(), packets, now_ns, &mut self.counts);
                if sent > 0 {
                    self.newest_ns = Some(now_ns);
                }
                return sent;
            }
            Sink::On { form, legs, fec } => (form, legs, fec),
        };
        let mut form = match form {
            Form::AsReceived => Shape::AsReceived,
            Form::Retyped(payload_type) => Shape::Retyped(*payload_type),
            Form::Ts => Shape::Ts,
            Form::Wrapped(wrapper) => Shape::Wrapped(wrapper),
            Form::Either {
                wrapper,
                payload_type,
            } => match payload_type {
                _ if !came_as_rtp => Shape::Wrapped(wrapper),
                None => Shape::AsReceived,
                Some(payload_type) => Shape::Retyped(*payload_type),
            },
        };
        let packets = match form {
            Shape::AsReceived | Shape::Retyped(_) => &buffers.packets,
            Shape::Ts | Shape::Wrapped(_) => &buffers.ts_datagrams,
        };
        if packets.is_empty() {
            return 0;
        }
        let bytes = buffers.memory.bytes();
        let heads = &mut buffers.heads;
        heads.clear();
        // How many bytes of the head lead each datagram, and how many of the packet's own they replace.
        let (head_bytes, replaced_bytes) = match &mut form {
            Shape::AsReceived | Shape::Ts => (0, 0),
            Shape::Retyped(payload_type) => {
                heads.extend(packets.iter().map(|packet| {
                    let mut head = [0; HEADER_BYTES_MIN];
                    if let Some(first_two) = bytes
                        .get(packet.range())
                        .and_then(|bytes| bytes.first_chunk::<2>())
                    {
                        head[..2].copy_from_slice(&with_payload_type(*first_two, *payload_type));
                    }
                    head
                }));
                (2, 2)
            }
            Shape::Wrapped(wrapper) => {
                heads.extend(
                    packets
                        .iter()
                        .map(|packet| wrapper.next_header(rtp_timestamp(packet.arrival_ns))),
                );
                (HEADER_BYTES_MIN, 0)
            }
        };
        let heads = &*heads;
        let head_of = |index: usize| heads.get(index).map_or(&[][..], |head| &head[..head_bytes]);
        let mut sent = Sent::default();
        for (index, leg) in legs.iter_mut().enumerate() {
            let mut outgoing = buffers.send.start();
            let mut refused = 0;
            for (index, packet) in packets.iter().enumerate() {
                let body = &bytes[packet.range()][replaced_bytes..];
                refused += u64::from(!outgoing.push(leg.media.segmentation, head_of(index), body));
            }
            let mut taken = leg.media.flush(outgoing, packets.len() as u64 - refused);
            taken.dropped += refused;
            sent = if index == 0 {
                taken
            } else {
                sent.of_legs(taken)
            };
        }
        self.counts.add(sent);
        if let Some(fec) = fec {
            for (index, packet) in packets.iter().enumerate() {
                let body = &bytes[packet.range()][replaced_bytes..];
                fec.protect(
                    head_of(index),
                    body,
                    legs,
                    &mut buffers.send,
                    &mut self.counts,
                );
            }
            fec.send(legs, &mut buffers.send, &mut self.counts);
        }
        if sent.packets > 0 {
            self.newest_ns = Some(now_ns);
        }
        sent.packets
    }
}

impl OutputCounts {
    fn add(&mut self, sent: Sent) {
        self.packets += sent.packets;
        self.bytes += sent.bytes;
        self.dropped += sent.dropped;
        self.batches += sent.calls;
        self.errors += sent.errors;
        self.error = sent.error.or(self.error);
    }

    fn add_fec(&mut self, sent: Sent) {
        self.fec_packets += sent.packets;
        self.batches += sent.calls;
        self.errors += sent.errors;
        self.error = sent.error.or(self.error);
    }
}
