//! PES packet headers with a PTS (ISO/IEC 13818-1 2.4.3.6).

use crate::packet::Pts90kHz;

/// Size in bytes of a PES header with a PTS and nothing else.
pub(super) const HEADER_SIZE: usize = 14;

/// stream_id of the first video stream.
pub(super) const STREAM_ID_VIDEO: u8 = 0xE0;

/// stream_id of the first MPEG audio stream.
pub(super) const STREAM_ID_AUDIO: u8 = 0xC0;

/// Where the PTS lies in the header.
pub(super) const PTS_RANGE: std::ops::Range<usize> = 9..14;

/// A PES header. `payload_size` is the number of bytes that follow it, 0 for a video PES packet of
/// unbounded length.
pub(super) fn header(stream_id: u8, payload_size: u16, pts: Pts90kHz) -> [u8; HEADER_SIZE] {
    // PES_packet_length counts from behind itself.
    let length = match payload_size {
        0 => 0,
        size => size + (HEADER_SIZE - 6) as u16,
    };
    let [length_high, length_low] = length.to_be_bytes();
    // '10', data_alignment_indicator; PTS_DTS_flags '10', because without reordering DTS equals PTS;
    // PES_header_data_length 5.
    let mut header = [0; HEADER_SIZE];
    header[..9].copy_from_slice(&[0, 0, 1, stream_id, length_high, length_low, 0x84, 0x80, 5]);
    header[PTS_RANGE].copy_from_slice(&pts.to_wire(2));
    header
}
