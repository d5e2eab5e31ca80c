//! A view of an RTP packet.

use crate::sequence::{SeqNo, Ssrc};

/// Bytes of a header without CSRC list and extension.
pub const HEADER_BYTES_MIN: usize = 12;

/// An RTP packet in somebody else's buffer, with the place of its payload found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RtpView<'a> {
    packet: &'a [u8],
    payload_start: usize,
    payload_end: usize,
}

impl<'a> RtpView<'a> {
    /// The packet in `datagram`; `None` when it is not RTP version 2, or when its header or padding claims more bytes
    /// than there are.
    #[inline]
    #[must_use]
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let header = datagram.first_chunk::<HEADER_BYTES_MIN>()?;
        //= RFC 3550 5.1: "version (V): 2 bits"
        if header[0] >> 6 != 2 {
            return None;
        }
        let mut payload_start = HEADER_BYTES_MIN;
        let mut payload_end = datagram.len();
        // Almost every packet has neither padding, extension nor CSRC list.
        if header[0] & (PADDING | EXTENSION | CSRC_COUNT) != 0 {
            payload_start += 4 * usize::from(header[0] & CSRC_COUNT);
            if header[0] & EXTENSION != 0 {
                //= RFC 3550 5.3.1: length in 32-bit words, the four-octet extension header excluded
                let [_, _, high, low] = *datagram.get(payload_start..)?.first_chunk::<4>()?;
                payload_start += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
            }
            if header[0] & PADDING != 0 {
                //= RFC 3550 5.1: "The last octet of the padding contains a count of how many padding octets should be
                //  ignored, including itself."
                let padding = usize::from(*datagram.last()?);
                if padding == 0 {
                    return None;
                }
                payload_end = payload_end.checked_sub(padding)?;
            }
        }
        (payload_start <= payload_end).then_some(Self {
            packet: datagram,
            payload_start,
            payload_end,
        })
    }

    /// The whole packet, as it came.
    #[must_use]
    pub const fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// The payload, without padding.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.packet[self.payload_start..self.payload_end]
    }

    /// Offset of the payload in the packet, in bytes.
    #[inline]
    #[must_use]
    pub const fn payload_offset(&self) -> usize {
        self.payload_start
    }

    /// The payload type, 0-127.
    #[inline]
    #[must_use]
    pub const fn payload_type(&self) -> u8 {
        self.packet[1] & 0x7f
    }

    /// Whether it is an RTCP packet that came to the port of the media: SR, RR, SDES, BYE or APP. They have the version
    /// of RTP, and their packet type, 200 to 204, is where RTP has the marker and a payload type from 72 to 76, which no
    /// RTP stream may use for that reason.
    //= RFC 5761 4: "payload types 72-76 conflict with the RTCP SR, RR, SDES, BYE, and APP packets"
    #[inline]
    #[must_use]
    pub const fn is_rtcp(&self) -> bool {
        matches!(self.packet[1], 200..=204)
    }

    /// The marker bit.
    #[must_use]
    pub const fn marker(&self) -> bool {
        self.packet[1] & 0x80 != 0
    }

    /// The sequence number.
    #[inline]
    #[must_use]
    pub const fn sequence(&self) -> SeqNo {
        SeqNo(u16::from_be_bytes([self.packet[2], self.packet[3]]))
    }

    /// The timestamp, in units of the payload's clock.
    #[must_use]
    pub const fn timestamp(&self) -> u32 {
        let packet = self.packet;
        u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]])
    }

    /// The synchronisation source.
    #[inline]
    #[must_use]
    pub const fn ssrc(&self) -> Ssrc {
        let packet = self.packet;
        Ssrc(u32::from_be_bytes([
            packet[8], packet[9], packet[10], packet[11],
        ]))
    }
}

const PADDING: u8 = 0x20;
const EXTENSION: u8 = 0x10;
const CSRC_COUNT: u8 = 0x0f;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: [u8; 14] = [
        0x80, 0xa1, 0x12, 0x34, 0, 0, 0, 9, 0xde, 0xad, 0xbe, 0xef, 0x47, 0x48,
    ];

    #[test]
    fn a_plain_header_is_read() {
        let view = RtpView::parse(&PLAIN).unwrap();
        assert_eq!(view.payload_type(), 33);
        assert!(view.marker());
        assert_eq!(view.sequence(), SeqNo(0x1234));
        assert_eq!(view.timestamp(), 9);
        assert_eq!(view.ssrc(), Ssrc(0xdead_beef));
        assert_eq!(view.payload(), [0x47, 0x48]);
    }

    #[test]
    fn rtcp_is_told_from_rtp() {
        for (second, is_rtcp) in [
            (199, false),
            (200, true),
            (204, true),
            (205, false),
            (72, false),
        ] {
            let mut packet = PLAIN;
            packet[1] = second;
            assert_eq!(
                RtpView::parse(&packet).unwrap().is_rtcp(),
                is_rtcp,
                "{second}"
            );
        }
    }

    #[test]
    fn csrc_extension_and_padding_are_not_payload() {
        let mut packet = vec![0x80 | PADDING | EXTENSION | 2];
        packet.extend_from_slice(&PLAIN[1..12]);
        packet.extend_from_slice(&[0; 8]); // two CSRCs
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // one word of extension
        packet.extend_from_slice(&[0x47, 0x11, 0, 0, 3]); // two bytes of payload, three of padding
        assert_eq!(RtpView::parse(&packet).unwrap().payload(), [0x47, 0x11]);
    }

    #[test]
    fn what_is_not_rtp_is_refused() {
        assert!(RtpView::parse(&[]).is_none());
        assert!(RtpView::parse(&PLAIN[..11]).is_none());
        let mut packet = PLAIN;
        packet[0] = 0x47; // a TS packet
        assert!(RtpView::parse(&packet).is_none());
        packet[0] = 0x80 | PADDING;
        packet[13] = 3; // more padding than payload
        assert!(RtpView::parse(&packet).is_none());
        packet[13] = 0;
        assert!(RtpView::parse(&packet).is_none());
        packet[0] = 0x80 | EXTENSION;
        assert!(RtpView::parse(&packet).is_none());
        packet[0] = 0x8f; // fifteen CSRCs
        assert!(RtpView::parse(&packet).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_stay_in_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..1600)) {
            if let Some(view) = RtpView::parse(&bytes) {
                prop_assert!(view.payload_offset() >= HEADER_BYTES_MIN);
                prop_assert!(view.payload_offset() + view.payload().len() <= bytes.len());
            }
        }
    }
}
