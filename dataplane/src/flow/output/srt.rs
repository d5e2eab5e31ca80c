//! An SRT output: one leg with raw transport stream, or two with the same RTP packets.

use bilbycast_mpegts::TS_PACKET_SIZE;
use bilbycast_rtp::{HEADER_BYTES_MIN, RtpWrapper, rtp_timestamp};

use super::OutputCounts;
use crate::flow::PassBuffers;
use crate::net::memory::Packet;
use crate::srt::Instant;
use crate::srt::leg::SrtLeg;
use crate::srt::settings::message_bytes_max;

/// The legs of an SRT output.
#[derive(Debug)]
pub struct SrtOutput {
    legs: Vec<SrtLeg>,
    /// With two legs RTP travels, and what came without is wrapped; both legs get the same header.
    wrapper: Option<RtpWrapper>,
    /// Most bytes of transport stream that are wrapped into one packet.
    wrapped_bytes_max: usize,
}

impl SrtOutput {
    /// An output with these legs; `wrapper` is there when RTP packets travel.
    #[must_use]
    pub fn new(legs: Vec<SrtLeg>, wrapper: Option<RtpWrapper>) -> Self {
        // Both legs send the same packets, which have to fit into those of either.
        let room = |leg: &SrtLeg| message_bytes_max(leg.spec()).saturating_sub(HEADER_BYTES_MIN);
        let payload_size = legs.first().map(|leg| leg.spec().payload_size.into());
        let least = legs.iter().map(room).chain(payload_size).min().unwrap_or(0);
        Self {
            legs,
            wrapper,
            wrapped_bytes_max: (least / TS_PACKET_SIZE).max(1) * TS_PACKET_SIZE,
        }
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
            let (legs, wrapper) = (&mut self.legs, &mut self.wrapper);
            match wrapper {
                None => sent += send_to(legs, body.len(), counts, |leg| leg.send_ts(at, body)),
                Some(_) if packet.header_bytes > 0 => {
                    sent += send_to(legs, body.len(), counts, |leg| leg.send(at, &[body]));
                }
                Some(wrapper) => {
                    for piece in body.chunks(self.wrapped_bytes_max) {
                        let head = wrapper.next_header(rtp_timestamp(packet.arrival_ns));
                        let bytes = head.len() + piece.len();
                        sent += send_to(legs, bytes, counts, |leg| leg.send(at, &[&head, piece]));
                    }
                }
            }
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

/// Sends a packet of `bytes` bytes to every leg; 1 when a far end took it, otherwise 0.
#[inline]
fn send_to(
    legs: &mut [SrtLeg],
    bytes: usize,
    counts: &mut OutputCounts,
    mut send: impl FnMut(&mut SrtLeg) -> (u64, u64),
) -> u64 {
    let (mut taken, mut refused) = (0, 0);
    for leg in legs {
        let of_leg = send(leg);
        taken += of_leg.0;
        refused += of_leg.1;
    }
    counts.dropped += refused;
    if taken == 0 {
        return 0;
    }
    counts.packets += 1;
    counts.bytes += bytes as u64;
    1
}
