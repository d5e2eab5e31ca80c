//! Headers on the wire: the FEC packet's, and what of a media packet's takes part in the code.

use bilbycast_rtp::HEADER_BYTES_MIN;

use crate::matrix::{Matrix, Stream};

/// Longest media packet that can be protected, RTP header included, in bytes. Datagrams of an Ethernet network have at
/// most 1,472.
pub const PACKET_BYTES_MAX: usize = 2_048;

/// What an FEC packet is longer than the longest packet that it protects, in bytes.
pub const FEC_OVERHEAD_BYTES: usize = FEC_HEADER_BYTES;

/// Payload type of FEC packets.
//= ST 2022-1: FEC streams have payload type 96
pub const PAYLOAD_TYPE: u8 = 96;

/// Bytes of the FEC header behind the RTP header.
const FEC_HEADER_BYTES: usize = 16;

/// Where the XOR of what follows the RTP headers starts in an FEC packet.
pub(crate) const FEC_PAYLOAD_START: usize = HEADER_BYTES_MIN + FEC_HEADER_BYTES;

/// Most bytes that a media packet may have after its RTP header.
pub(crate) const PROTECTED_BYTES_MAX: usize = PACKET_BYTES_MAX - HEADER_BYTES_MIN;

/// P, X and CC in the first byte of an RTP header, M in the second: what has no field in the FEC header.
pub(crate) const HEAD_BITS: [u8; 2] = [0x3f, 0x80];

/// The fields of RTP headers that the code covers, of one packet or added up over several.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fields {
    /// P, X, CC and M, in their places in the first two bytes.
    pub(crate) head_bits: [u8; 2],
    /// The payload type, 0-127.
    pub(crate) payload_type: u8,
    pub(crate) timestamp: u32,
    /// Bytes after the 12-byte header.
    pub(crate) length: u16,
}

/// The packets of one group: NA packets, `offset` sequence numbers apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shape {
    pub(crate) offset: u8,
    pub(crate) count: u8,
}

/// An FEC packet, with the place of its payload found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FecView<'a> {
    /// What D says, whatever port the packet came from.
    pub(crate) stream: Stream,
    pub(crate) base: u16,
    pub(crate) shape: Shape,
    pub(crate) fields: Fields,
    pub(crate) payload: &'a [u8],
}

impl Fields {
    /// The fields of a media packet's header, with `length` bytes after it.
    #[inline]
    pub(crate) fn of(header: &[u8; HEADER_BYTES_MIN], length: u16) -> Self {
        let [first, second, _, _, t0, t1, t2, t3, ..] = *header;
        Self {
            head_bits: [first & HEAD_BITS[0], second & HEAD_BITS[1]],
            payload_type: second & 0x7f,
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            length,
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, other: &Self) {
        self.head_bits[0] ^= other.head_bits[0];
        self.head_bits[1] ^= other.head_bits[1];
        self.payload_type ^= other.payload_type;
        self.timestamp ^= other.timestamp;
        self.length ^= other.length;
    }
}

impl Shape {
    /// Distance from the first packet of the group to the last.
    #[inline]
    pub(crate) const fn span(self) -> u64 {
        self.offset as u64 * (self.count as u64 - 1)
    }
}

impl<'a> FecView<'a> {
    /// The FEC packet in `datagram`; `None` when it is none, or when it claims what no matrix has.
    ///
    /// E, N, index and the extension of SNBase are not looked at: they have one legal value each, and nothing depends on
    /// them. So is the payload type, for on its own port nothing else can come.
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (header, payload) = datagram.split_first_chunk::<FEC_PAYLOAD_START>()?;
        let (rtp, fec) = header.split_first_chunk::<HEADER_BYTES_MIN>()?;
        let [
            s0,
            s1,
            l0,
            l1,
            payload_type,
            mask @ ..,
            t0,
            t1,
            t2,
            t3,
            kind,
            offset,
            count,
            _,
        ] = *fec.first_chunk::<FEC_HEADER_BYTES>()?;
        //= ST 2022-1: the mask is zero, and type 0 is XOR
        if rtp[0] >> 6 != 2 || mask != [0; 3] || kind & 0x38 != 0 {
            return None;
        }
        let sides = 1..=Matrix::SIDE_MAX;
        if !sides.contains(&offset) || !sides.contains(&count) {
            return None;
        }
        if payload.len() > PROTECTED_BYTES_MAX {
            return None;
        }
        Some(Self {
            stream: if kind & 0x40 == 0 {
                Stream::Column
            } else {
                Stream::Row
            },
            base: u16::from_be_bytes([s0, s1]),
            shape: Shape { offset, count },
            fields: Fields {
                head_bits: [rtp[0] & HEAD_BITS[0], rtp[1] & HEAD_BITS[1]],
                payload_type: payload_type & 0x7f,
                timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
                length: u16::from_be_bytes([l0, l1]),
            },
            payload,
        })
    }
}

/// Writes both headers of an FEC packet. `sent_at` is the media timestamp of when it is sent.
pub(crate) fn write(
    target: &mut [u8; FEC_PAYLOAD_START],
    stream: Stream,
    sequence: u16,
    sent_at: u32,
    base: u16,
    shape: Shape,
    sum: &Fields,
) {
    let (rtp, fec) = target.split_at_mut(HEADER_BYTES_MIN);
    rtp[0] = 0x80 | sum.head_bits[0];
    rtp[1] = PAYLOAD_TYPE | sum.head_bits[1];
    rtp[2..4].copy_from_slice(&sequence.to_be_bytes());
    rtp[4..8].copy_from_slice(&sent_at.to_be_bytes());
    rtp[8..].fill(0);
    fec[..2].copy_from_slice(&base.to_be_bytes());
    fec[2..4].copy_from_slice(&sum.length.to_be_bytes());
    //= ST 2022-1: E is 1, for the header is longer than that of RFC 2733
    fec[4] = 0x80 | sum.payload_type;
    fec[5..8].fill(0);
    fec[8..12].copy_from_slice(&sum.timestamp.to_be_bytes());
    fec[12] = match stream {
        Stream::Column => 0,
        Stream::Row => 0x40,
    };
    fec[13] = shape.offset;
    fec[14] = shape.count;
    fec[15] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row FEC packet of ffmpeg 5.1 (`prompeg=l=5:d=5`), cut short.
    const FFMPEG_ROW: [u8; 30] = [
        0x80, 0x60, 0x03, 0x48, 0xf1, 0x35, 0x5e, 0x3c, 0, 0, 0, 0, 0x03, 0x68, 0x04, 0x68, 0xa1,
        0, 0, 0, 0xf1, 0x35, 0x5e, 0x3c, 0x40, 1, 5, 0, 0x47, 0x40,
    ];

    #[test]
    fn a_header_of_ffmpeg_is_read_and_written_alike() {
        let view = FecView::parse(&FFMPEG_ROW).unwrap();
        assert_eq!((view.stream, view.base), (Stream::Row, 0x368));
        let shape = Shape {
            offset: 1,
            count: 5,
        };
        assert_eq!(view.shape, shape);
        assert_eq!(view.shape.span(), 4);
        let fields = Fields {
            head_bits: [0, 0],
            payload_type: 33,
            timestamp: 0xf135_5e3c,
            length: 1128,
        };
        assert_eq!(view.fields, fields);
        assert_eq!(view.payload, [0x47, 0x40]);
        let mut written = [0xff; FEC_PAYLOAD_START];
        let timestamp = fields.timestamp;
        write(
            &mut written,
            Stream::Row,
            0x348,
            timestamp,
            0x368,
            shape,
            &fields,
        );
        assert_eq!(written, FFMPEG_ROW[..FEC_PAYLOAD_START]);
    }

    #[test]
    fn impossible_headers_are_refused() {
        let spoiled = |at: usize, value| {
            let mut packet = FFMPEG_ROW;
            packet[at] = value;
            FecView::parse(&packet).is_none()
        };
        assert!(!spoiled(0, 0x80));
        assert!(spoiled(0, 0x47));
        assert!(spoiled(17, 1), "a mask");
        assert!(spoiled(24, 0x48), "another code than XOR");
        assert!(spoiled(25, 0) && spoiled(25, 21), "offset");
        assert!(spoiled(26, 0) && spoiled(26, 21), "NA");
        assert!(FecView::parse(&FFMPEG_ROW[..27]).is_none());
        let mut long = FFMPEG_ROW.to_vec();
        long.resize(FEC_PAYLOAD_START + PROTECTED_BYTES_MAX, 0);
        assert!(FecView::parse(&long).is_some());
        long.push(0);
        assert!(FecView::parse(&long).is_none());
    }
}
