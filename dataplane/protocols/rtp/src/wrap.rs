//! The RTP header that the gateway writes in front of raw MPEG-TS.

use crate::header::HEADER_BYTES_MIN;
use crate::sequence::{SeqNo, Ssrc};

/// Clock of MPEG-TS in RTP.
//= RFC 2250 2: "a 90 kHz clock"
pub const MPEGTS_CLOCK_HZ: u64 = 90_000;

/// Numbers the packets of one outgoing stream.
#[derive(Clone, Debug)]
pub struct RtpWrapper {
    payload_type: u8,
    ssrc: Ssrc,
    next: SeqNo,
}

impl RtpWrapper {
    /// A stream whose first packet carries `first`. SSRC and first sequence number should be random (RFC 3550 5.1).
    #[must_use]
    pub const fn new(payload_type: u8, ssrc: Ssrc, first: SeqNo) -> Self {
        Self {
            payload_type: payload_type & 0x7f,
            ssrc,
            next: first,
        }
    }

    /// The header of the next packet, whose first byte was received or made at `timestamp`.
    #[inline]
    #[must_use]
    pub fn next_header(&mut self, timestamp: u32) -> [u8; HEADER_BYTES_MIN] {
        let mut header = [0; HEADER_BYTES_MIN];
        header[0] = 0x80;
        header[1] = self.payload_type;
        header[2..4].copy_from_slice(&self.next.0.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..].copy_from_slice(&self.ssrc.0.to_be_bytes());
        self.next = self.next.next();
        header
    }
}

/// The RTP timestamp of an instant given in nanoseconds, modulo 2^32.
#[inline]
#[must_use]
pub const fn rtp_timestamp(instant_ns: u64) -> u32 {
    // Seconds and remainder apart, for the product of the whole would overflow within 57 hours.
    let seconds = instant_ns / 1_000_000_000;
    let rest_ns = instant_ns % 1_000_000_000;
    let ticks = seconds.wrapping_mul(MPEGTS_CLOCK_HZ) + rest_ns * MPEGTS_CLOCK_HZ / 1_000_000_000;
    (ticks & 0xffff_ffff) as u32
}

/// The first two bytes of a header with its payload type replaced; the marker stays.
#[inline]
#[must_use]
pub const fn with_payload_type(first_two: [u8; 2], payload_type: u8) -> [u8; 2] {
    [first_two[0], (first_two[1] & 0x80) | (payload_type & 0x7f)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::RtpView;

    #[test]
    fn headers_count_up_and_wrap() {
        let mut wrapper = RtpWrapper::new(33, Ssrc(7), SeqNo(u16::MAX));
        let first = wrapper.next_header(1);
        let view = RtpView::parse(&first).unwrap();
        assert_eq!(
            (view.payload_type(), view.sequence().0, view.ssrc().0),
            (33, u16::MAX, 7)
        );
        assert_eq!((view.timestamp(), view.marker()), (1, false));
        let second = wrapper.next_header(2);
        assert_eq!(RtpView::parse(&second).unwrap().sequence(), SeqNo(0));
    }

    #[test]
    fn timestamps_run_at_90_khz_and_wrap() {
        assert_eq!(rtp_timestamp(0), 0);
        assert_eq!(rtp_timestamp(1_000_000_000), 90_000);
        assert_eq!(rtp_timestamp(11_111), 0);
        assert_eq!(rtp_timestamp(11_112), 1);
        let wrap_ns = (1_u64 << 32) * 100_000 / 9;
        assert_eq!(rtp_timestamp(wrap_ns + 12_000), 1);
        let _no_overflow = rtp_timestamp(u64::MAX);
    }

    #[test]
    fn the_payload_type_alone_is_replaced() {
        assert_eq!(with_payload_type([0x90, 0x80 | 33], 96), [0x90, 0x80 | 96]);
    }
}
