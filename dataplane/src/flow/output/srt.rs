//! An SRT output: one leg with raw transport stream, or two with the same RTP packets.

use bilbycast_rtp::{RtpWrapper, rtp_timestamp};

use super::OutputCounts;
use crate::flow::PassBuffers;
use crate::net::memory::Packet;
use crate::srt::Instant;
use crate::srt::leg::SrtLeg;

/// The legs of an SRT output.
#[derive(Debug)]
pub struct SrtOutput {
    legs: Vec<SrtLeg>,
    /// With two legs RTP travels, and what came without is wrapped; both legs get the same header.
    wrapper: Option<RtpWrapper>,
}

impl SrtOutput {
    /// An output with these legs; `wrapper` is there when RTP packets travel.
    #[must_use]
    pub const fn new(legs: Vec<SrtLeg>, wrapper: Option<RtpWrapper>) -> Self {
        Self { legs, wrapper }
    }

    /// The legs, leg 1 first.
    #[must_use]
    pub fn legs(&self) -> &[SrtLeg] {
        &self.legs
    }

    /// The legs, to be asked what they have to tell.
    pub fn legs_mut(&mut self) -> &mut [SrtLeg] {
        &mut self.legs
    }

    /// Whether it sends RTP packets whole.
    pub(super) const fn carries_rtp(&self) -> bool {
        self.wrapper.is_some()
    }

    /// Hands the packets of a pass to the connections; they leave when [`service`](Self::service) is called.
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        packets: &[Packet],
        now_ns: u64,
        counts: &mut OutputCounts,
    ) -> u64 {
        let at = Instant::new(now_ns);
        let mut sent = 0;
        for packet in packets {
            let Some(body) = bytes.get(packet.range()) else {
                continue;
            };
            let head = match &mut self.wrapper {
                Some(wrapper) if packet.header_bytes == 0 => {
                    Some(wrapper.next_header(rtp_timestamp(packet.arrival_ns)))
                }
                _ => None,
            };
            let head = head.as_ref().map_or(&[][..], |head| &head[..]);
            let (mut taken, mut refused) = (0, 0);
            for leg in &mut self.legs {
                let of_leg = leg.send(at, &[head, body]);
                taken += of_leg.0;
                refused += of_leg.1;
            }
            if taken > 0 {
                sent += 1;
                counts.packets += 1;
                counts.bytes += (head.len() + body.len()) as u64;
            }
            counts.dropped += refused;
        }
        sent
    }

    /// Takes what the far ends say and sends what is due. What the buffers held is gone.
    pub(super) fn service(
        &mut self,
        buffers: &mut PassBuffers,
        now_ns: u64,
        counts: &mut OutputCounts,
    ) -> bool {
        let at = Instant::new(now_ns);
        let mut more = false;
        for leg in &mut self.legs {
            more |= leg.poll(buffers, at).1;
            let sent = leg.transmit(buffers, at);
            counts.batches += sent.calls;
            counts.errors += sent.errors;
            counts.error = sent.error.or(counts.error);
        }
        more
    }

    /// Whether it has to be looked at soon, without anything to wake its flow.
    pub(super) fn is_pending(&self, now_ns: u64) -> bool {
        self.legs.iter().any(|leg| leg.is_pending(now_ns))
    }
}
