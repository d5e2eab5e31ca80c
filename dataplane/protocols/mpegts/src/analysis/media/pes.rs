//! The header of a PES packet (ISO/IEC 13818-1 2.4.3.6).

use crate::packet::Pts90kHz;

/// What the first payload of a PES packet tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct PesStart<'a> {
    /// Presentation time.
    pub(super) pts: Option<Pts90kHz>,
    /// Decoding time, when it differs.
    pub(super) dts: Option<Pts90kHz>,
    /// What follows the header.
    pub(super) payload: &'a [u8],
}

impl<'a> PesStart<'a> {
    /// `None` when no PES packet begins here, or when its header does not lie in this payload.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let (&[0, 0, 1, stream_id, _, _, marks, flags, header_len], rest) =
            bytes.split_first_chunk()?
        else {
            return None;
        };
        if !has_header(stream_id) || marks >> 6 != 2 {
            return None;
        }
        let (header, payload) = rest.split_at_checked(usize::from(header_len))?;
        let time = |present: bool, at: usize| {
            let bytes = header.get(at..)?.first_chunk()?;
            present.then(|| Pts90kHz::from_wire(bytes))
        };
        Some(Self {
            pts: time(flags & 0x80 != 0, 0),
            dts: time(flags & 0xC0 == 0xC0, 5),
            payload,
        })
    }
}

/// False for the stream_ids whose packets consist of data alone (table 2-21).
const fn has_header(stream_id: u8) -> bool {
    !matches!(stream_id, 0xBC | 0xBE | 0xBF | 0xF0..=0xF2 | 0xF8 | 0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_payload_are_found() {
        let mut bytes = vec![0, 0, 1, 0xE0, 0, 0, 0x84, 0xC0, 10];
        bytes.extend_from_slice(&Pts90kHz::from_ticks(90_000).to_wire(3));
        bytes.extend_from_slice(&Pts90kHz::from_ticks(86_400).to_wire(1));
        bytes.push(0x42);
        let pes = PesStart::new(&bytes).unwrap();
        assert_eq!(pes.pts.map(Pts90kHz::ticks), Some(90_000));
        assert_eq!(pes.dts.map(Pts90kHz::ticks), Some(86_400));
        assert_eq!(pes.payload, [0x42]);
        for len in 0..18 {
            assert!(PesStart::new(&bytes[..len]).is_none(), "{len}");
        }
        bytes[3] = 0xBE;
        assert!(PesStart::new(&bytes).is_none());
    }
}
