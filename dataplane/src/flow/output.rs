//! How the packets of a flow leave.

use bilbycast_rtp::{HEADER_BYTES_MIN, RtpWrapper, rtp_timestamp, with_payload_type};
use bilbycast_shm_proto::model::{OutputKind, OutputSpec};

use super::PassBuffers;
use crate::net::send::{Segmentation, Sent};
use crate::net::socket::SendSocket;

/// An output of a flow.
#[derive(Debug)]
pub struct Output {
    spec: OutputSpec,
    sink: Sink,
    counts: OutputCounts,
    /// CLOCK_MONOTONIC of the newest pass whose packets the kernel took; `None` before the first.
    newest_ns: Option<u64>,
}

/// Where an output sends to.
#[derive(Debug)]
enum Sink {
    /// Switched off; nothing is bound.
    Off,
    On {
        socket: SendSocket,
        segmentation: Segmentation,
        form: Form,
    },
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
}

/// What an output has counted since it was added.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OutputCounts {
    /// Datagrams that the kernel took.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Datagrams that it did not take.
    pub dropped: u64,
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

    /// An output that sends in `form` to a socket that was opened for `spec`.
    #[must_use]
    pub fn on(spec: OutputSpec, socket: SendSocket, form: Form) -> Self {
        let segmentation = Segmentation::FULL;
        Self::new(
            spec,
            Sink::On {
                socket,
                segmentation,
                form,
            },
        )
    }

    fn new(spec: OutputSpec, sink: Sink) -> Self {
        Self {
            spec,
            sink,
            counts: OutputCounts::default(),
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
    pub const fn kind(&self) -> &OutputKind {
        &self.spec.kind
    }

    /// False when it is switched off.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        matches!(self.sink, Sink::On { .. })
    }

    /// Whether it needs the transport stream cut into datagrams.
    #[must_use]
    pub const fn takes_ts_datagrams(&self) -> bool {
        matches!(
            self.sink,
            Sink::On {
                form: Form::Ts | Form::Wrapped(_),
                ..
            }
        )
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
            Sink::On { segmentation, .. } => *segmentation != Segmentation::NONE,
        }
    }

    /// Makes room in the socket for that rate.
    pub fn fit_buffer(&mut self, bytes: usize) {
        if let Sink::On { socket, .. } = &mut self.sink {
            socket.grow_buffer(bytes);
        }
    }

    /// Sends the packets of this pass. Returns how many the kernel took.
    pub(crate) fn send(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> u64 {
        let Sink::On {
            socket,
            segmentation,
            form,
        } = &mut self.sink
        else {
            return 0;
        };
        let packets = match form {
            Form::AsReceived | Form::Retyped(_) => &buffers.packets,
            Form::Ts | Form::Wrapped(_) => &buffers.ts_datagrams,
        };
        if packets.is_empty() {
            return 0;
        }
        let bytes = buffers.memory.bytes();
        let heads = &mut buffers.heads;
        heads.clear();
        // How many bytes of the head lead each datagram, and how many of the packet's own they replace.
        let (head_bytes, replaced_bytes) = match form {
            Form::AsReceived | Form::Ts => (0, 0),
            Form::Retyped(payload_type) => {
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
            Form::Wrapped(wrapper) => {
                heads.extend(
                    packets
                        .iter()
                        .map(|packet| wrapper.next_header(rtp_timestamp(packet.arrival_ns))),
                );
                (HEADER_BYTES_MIN, 0)
            }
        };
        let mut outgoing = buffers.send.start();
        let mut refused = 0;
        if head_bytes == 0 {
            for packet in packets {
                refused += u64::from(!outgoing.push(*segmentation, &[], &bytes[packet.range()]));
            }
        } else {
            for (packet, head) in packets.iter().zip(heads.iter()) {
                let body = &bytes[packet.range()][replaced_bytes..];
                refused += u64::from(!outgoing.push(*segmentation, &head[..head_bytes], body));
            }
        }
        let sent = outgoing.flush(socket, segmentation);
        self.counts.add(sent, refused);
        if sent.packets > 0 {
            self.newest_ns = Some(now_ns);
        }
        sent.packets
    }
}

impl OutputCounts {
    fn add(&mut self, sent: Sent, refused: u64) {
        self.packets += sent.packets;
        self.bytes += sent.bytes;
        self.dropped += sent.dropped + refused;
        self.batches += sent.calls;
        self.errors += sent.errors;
        self.error = sent.error.or(self.error);
    }
}
