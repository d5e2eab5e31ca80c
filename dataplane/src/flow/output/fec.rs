//! FEC of an output: what the encoder makes is collected for a pass and sent on each leg.

use bilbycast_fec::{Encoder, EncoderConfig};

use super::{OutputCounts, SendLeg, Sender};
use crate::net::send::SendBatch;

/// The encoder of an output, and its packets until the end of the pass.
#[derive(Debug)]
pub struct OutputFec {
    encoder: Encoder,
    /// At the index of the stream, as the sockets of a leg.
    pending: [Pending; 2],
}

/// FEC packets of one stream, one behind the other.
#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    lengths: Vec<usize>,
}

/// Bytes that are collected before they are sent: a datagram more, and a train of the kernel is full.
const PENDING_BYTES_MAX: usize = 64 << 10;

/// Packets that are collected before they are sent.
const PENDING_PACKETS_MAX: usize = 256;

/// Longest packet that the encoder makes.
const PACKET_BYTES_MAX: usize = bilbycast_fec::PACKET_BYTES_MAX + bilbycast_fec::FEC_OVERHEAD_BYTES;

impl OutputFec {
    /// An encoder that has seen nothing.
    #[must_use]
    pub fn new(config: EncoderConfig) -> Self {
        Self {
            encoder: Encoder::new(config),
            pending: [Pending::new(), Pending::new()],
        }
    }

    /// Takes a media packet that was sent; FEC packets that are due for it are kept, or sent when there are many.
    pub(super) fn protect(
        &mut self,
        head: &[u8],
        body: &[u8],
        legs: &mut [SendLeg],
        batch: &mut SendBatch,
        counts: &mut OutputCounts,
    ) {
        let Self { encoder, pending } = self;
        encoder.push(head, body, &mut |stream, packet| {
            pending[stream.index()].push(packet);
        });
        if self.pending.iter().any(Pending::is_full) {
            self.send(legs, batch, counts);
        }
    }

    /// Sends what is pending on each leg.
    pub(super) fn send(
        &mut self,
        legs: &mut [SendLeg],
        batch: &mut SendBatch,
        counts: &mut OutputCounts,
    ) {
        for leg in legs {
            let Some(senders) = &mut leg.fec else {
                continue;
            };
            for (sender, pending) in senders.iter_mut().zip(&self.pending) {
                pending.send(sender, batch, counts);
            }
        }
        for pending in &mut self.pending {
            pending.clear();
        }
    }
}

impl Pending {
    fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(PENDING_BYTES_MAX),
            lengths: Vec::with_capacity(PENDING_PACKETS_MAX),
        }
    }

    fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.lengths.push(packet.len());
    }

    /// Whether one media packet more could make more FEC packets than there is room for: two columns' worth and a row.
    fn is_full(&self) -> bool {
        self.bytes.len() + 4 * PACKET_BYTES_MAX > PENDING_BYTES_MAX
            || self.lengths.len() + 4 > PENDING_PACKETS_MAX
    }

    fn send(&self, sender: &mut Sender, batch: &mut SendBatch, counts: &mut OutputCounts) {
        if self.lengths.is_empty() {
            return;
        }
        let mut outgoing = batch.start();
        let mut rest = &self.bytes[..];
        for length in &self.lengths {
            let (packet, behind) = rest.split_at(*length);
            // A batch has room for far more than is collected here.
            outgoing.push(sender.segmentation, &[], packet);
            rest = behind;
        }
        counts.add_fec(sender.flush(outgoing, self.lengths.len() as u64));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
    }
}
