//! Packets that say who they are and when they left.
//!
//! An RTP header and seven TS null packets. The first TS packet carries a 64-bit number and the sending time; every
//! other byte is a function of the number, so that a receiver can check each of them.

use bilbycast_rtp::{RtpView, SeqNo};

/// Bytes of RTP header and payload.
pub const PACKET_BYTES: usize = HEADER_BYTES + PAYLOAD_BYTES;

/// Bytes of the payload: 7 x 188.
pub const PAYLOAD_BYTES: usize = 7 * TS_BYTES;

/// What a packet says about itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    /// Number of the packet in its stream, from 0.
    pub number: u64,
    /// Unix time of its sending, in nanoseconds.
    pub sent_ns: u64,
}

/// Makes the packets of one stream.
#[derive(Clone, Debug)]
pub struct Stamper {
    ssrc: u32,
    packet: [u8; PACKET_BYTES],
}

impl Stamper {
    /// A stream with this SSRC.
    #[must_use]
    pub fn new(ssrc: u32) -> Self {
        let mut packet = [0; PACKET_BYTES];
        packet[0] = 0x80;
        packet[1] = 33;
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        for ts_packet in packet[HEADER_BYTES..].chunks_exact_mut(TS_BYTES) {
            ts_packet[..4].copy_from_slice(&NULL_PACKET);
        }
        Self { ssrc, packet }
    }

    /// The packet with this stamp.
    pub fn stamp(&mut self, stamp: Stamp) -> &[u8; PACKET_BYTES] {
        let Stamp { number, sent_ns } = stamp;
        self.packet[2..4].copy_from_slice(&sequence_of(number).0.to_be_bytes());
        self.packet[4..8].copy_from_slice(&timestamp_of(number).to_be_bytes());
        for ts_packet in self.packet[HEADER_BYTES..].chunks_exact_mut(TS_BYTES) {
            ts_packet[4..].fill(filler_of(self.ssrc, number));
        }
        let first = &mut self.packet[HEADER_BYTES..HEADER_BYTES + TS_BYTES];
        first[4..12].copy_from_slice(&number.to_be_bytes());
        first[12..20].copy_from_slice(&sent_ns.to_be_bytes());
        &self.packet
    }
}

/// Reads and checks a payload of the stream with this SSRC; `None` when any byte is not what was sent.
#[must_use]
pub fn read_payload(ssrc: u32, payload: &[u8]) -> Option<Stamp> {
    if payload.len() != PAYLOAD_BYTES {
        return None;
    }
    let number = u64::from_be_bytes(payload[4..12].try_into().ok()?);
    let sent_ns = u64::from_be_bytes(payload[12..20].try_into().ok()?);
    let filler = filler_of(ssrc, number);
    let intact = payload
        .chunks_exact(TS_BYTES)
        .enumerate()
        .all(|(index, ts_packet)| {
            let body = if index == 0 { 20 } else { 4 };
            ts_packet[..4] == NULL_PACKET && ts_packet[body..].iter().all(|byte| *byte == filler)
        });
    intact.then_some(Stamp { number, sent_ns })
}

/// Reads and checks a whole RTP packet of that stream, header included.
#[must_use]
pub fn read_packet(ssrc: u32, packet: &[u8]) -> Option<Stamp> {
    let stamp = read_payload(ssrc, packet.get(HEADER_BYTES..)?)?;
    let view = RtpView::parse(packet)?;
    let intact = packet[..2] == [0x80, 33]
        && view.sequence() == sequence_of(stamp.number)
        && view.timestamp() == timestamp_of(stamp.number)
        && view.ssrc().0 == ssrc;
    intact.then_some(stamp)
}

const HEADER_BYTES: usize = 12;
const TS_BYTES: usize = 188;

/// Header of a null packet (ISO/IEC 13818-1 2.4.3.3: PID 0x1FFF, payload only).
const NULL_PACKET: [u8; 4] = [0x47, 0x1f, 0xff, 0x10];

/// Starts shortly before the wrap, so that every test sees one.
fn sequence_of(number: u64) -> SeqNo {
    SeqNo((number.wrapping_add(65_000) & 0xffff) as u16)
}

fn timestamp_of(number: u64) -> u32 {
    // 90 kHz at 100 Mb/s: 9.6 ticks for each packet.
    ((number.wrapping_mul(48) / 5).wrapping_add(0xffff_0000) & 0xffff_ffff) as u32
}

fn filler_of(ssrc: u32, number: u64) -> u8 {
    // 251 is prime, so that packets a power of two apart differ.
    ((number.wrapping_add(u64::from(ssrc))) % 251) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_recognised_and_every_changed_byte_is_noticed() {
        let stamp = Stamp {
            number: 12_345,
            sent_ns: 1 << 60,
        };
        let packet = *Stamper::new(7).stamp(stamp);
        assert_eq!(read_packet(7, &packet), Some(stamp));
        assert_eq!(read_payload(7, &packet[HEADER_BYTES..]), Some(stamp));
        assert_eq!(read_packet(8, &packet), None);
        for index in 0..PACKET_BYTES {
            let mut changed = packet;
            changed[index] ^= 0x80;
            // The stamp itself may be anything, so a change there shows as another stamp.
            assert_ne!(read_packet(7, &changed), Some(stamp), "byte {index}");
        }
    }
}
