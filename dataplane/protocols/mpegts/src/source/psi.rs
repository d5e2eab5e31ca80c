//! PAT, PMT and SDT of the test source, each a single section in a packet of its own.

use super::TestSource;
use crate::packet::{AdaptationFieldControl, PacketHeader, Pid, TS_PACKET_SIZE};

/// transport_stream_id of the stream.
const TRANSPORT_STREAM_ID: u16 = 1;
/// original_network_id, out of the range that ETSI TS 101 162 leaves for private use.
const ORIGINAL_NETWORK_ID: u16 = 0xFF01;
/// program_number, and so service_id.
const PROGRAM_NUMBER: u16 = 1;
/// Provider in the service descriptor.
const PROVIDER_NAME: &str = "bilbycast";

/// Packet with the program association section (ISO/IEC 13818-1 2.4.4.3).
pub(super) fn pat() -> [u8; TS_PACKET_SIZE] {
    let mut body = Vec::new();
    body.extend_from_slice(&PROGRAM_NUMBER.to_be_bytes());
    body.extend_from_slice(&(0xE000 | TestSource::PMT_PID.value()).to_be_bytes());
    section_packet(Pid::PAT, &section(0x00, 0xB0, TRANSPORT_STREAM_ID, &body))
}

/// Packet with the program map section (ISO/IEC 13818-1 2.4.4.8).
pub(super) fn pmt() -> [u8; TS_PACKET_SIZE] {
    let mut body = Vec::new();
    body.extend_from_slice(&(0xE000 | TestSource::VIDEO_PID.value()).to_be_bytes()); // PCR_PID
    body.extend_from_slice(&[0xF0, 0]); // program_info_length
    let language = [0x0A, 4, b'e', b'n', b'g', 0]; // ISO_639_language_descriptor, undefined type
    for (stream_type, pid, descriptors) in [
        (0x1B, TestSource::VIDEO_PID, &[][..]),
        (0x03, TestSource::AUDIO_PID, &language),
    ] {
        body.push(stream_type);
        body.extend_from_slice(&(0xE000 | pid.value()).to_be_bytes());
        body.extend_from_slice(&[0xF0, descriptors.len() as u8]); // ES_info_length
        body.extend_from_slice(descriptors);
    }
    section_packet(
        TestSource::PMT_PID,
        &section(0x02, 0xB0, PROGRAM_NUMBER, &body),
    )
}

/// Packet with the service description section of the actual stream (ETSI EN 300 468 5.2.3).
/// `service_name` has at most [`super::TestSourceConfig::SERVICE_NAME_LEN_MAX`] bytes.
pub(super) fn sdt(service_name: &str, service_type: ServiceType) -> [u8; TS_PACKET_SIZE] {
    let provider = dvb_text(PROVIDER_NAME);
    let name = dvb_text(service_name);
    let mut descriptor = vec![
        0x48,
        (3 + provider.len() + name.len()) as u8,
        service_type as u8,
    ];
    for text in [&provider, &name] {
        descriptor.push(text.len() as u8);
        descriptor.extend_from_slice(text);
    }
    let mut body = Vec::new();
    body.extend_from_slice(&ORIGINAL_NETWORK_ID.to_be_bytes());
    body.push(0xFF); // reserved_future_use
    body.extend_from_slice(&PROGRAM_NUMBER.to_be_bytes());
    body.push(0xFC); // no EIT of either kind
    body.extend_from_slice(&[0x80, descriptor.len() as u8]); // running, in the clear
    body.extend_from_slice(&descriptor);
    section_packet(Pid::SDT, &section(0x42, 0xF0, TRANSPORT_STREAM_ID, &body))
}

/// service_type (ETSI EN 300 468 table 87).
#[derive(Clone, Copy, Debug)]
pub(super) enum ServiceType {
    /// H.264/AVC SD digital television service.
    AvcSd = 0x16,
    /// H.264/AVC HD digital television service.
    AvcHd = 0x19,
}

/// ETSI EN 300 468 annex A: ASCII is the default table as it stands, all else is marked as UTF-8.
fn dvb_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 1);
    if !text.is_ascii() {
        bytes.push(0x15);
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// A section of the long form with its CRC, version 0, number 0 of 0. `flags` are the four bits above
/// section_length, which differ between ISO/IEC 13818-1 and DVB.
fn section(table_id: u8, flags: u8, extension: u16, body: &[u8]) -> Vec<u8> {
    // Five bytes of header behind section_length, and the CRC. One packet holds 183 bytes of section,
    // so the length fits in a byte.
    let length = 5 + body.len() + 4;
    let mut section = vec![table_id, flags, length as u8];
    section.extend_from_slice(&extension.to_be_bytes());
    section.extend_from_slice(&[0xC1, 0, 0]); // version 0, current; section 0 of 0
    section.extend_from_slice(body);
    let crc = crc32_mpeg2(&section);
    section.extend_from_slice(&crc.to_be_bytes());
    section
}

/// A packet that holds one whole section, stuffed with 0xFF.
fn section_packet(pid: Pid, section: &[u8]) -> [u8; TS_PACKET_SIZE] {
    let header = PacketHeader {
        pid,
        payload_unit_start: true,
        adaptation_field_control: AdaptationFieldControl::Payload,
        continuity_counter: 0,
    };
    let mut packet = [0xFF; TS_PACKET_SIZE];
    packet[..4].copy_from_slice(&header.to_wire());
    packet[4] = 0; // pointer_field
    packet[5..5 + section.len()].copy_from_slice(section);
    packet
}

/// CRC-32 of ISO/IEC 13818-1 annex A: polynomial 0x04C11DB7, all ones at the start, no reflection.
/// Over a section with its CRC the result is 0.
pub(super) fn crc32_mpeg2(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
            if crc & 0x8000_0000 != 0 {
                (crc << 1) ^ 0x04C1_1DB7
            } else {
                crc << 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::TestSourceConfig;
    use super::*;

    #[test]
    fn crc_has_the_catalogued_check_value() {
        assert_eq!(crc32_mpeg2(b"123456789"), 0x0376_E6E7);
    }

    #[test]
    fn pat_is_byte_for_byte_right() {
        let pat = pat();
        let expected = [
            0x47, 0x40, 0x00, 0x10, 0x00, 0x00, 0xB0, 0x0D, 0x00, 0x01, 0xC1, 0x00, 0x00, 0x00,
            0x01, 0xF0, 0x00,
        ];
        assert_eq!(pat[..17], expected);
        assert_eq!(crc32_mpeg2(&pat[5..21]), 0);
        assert!(pat[21..].iter().all(|&byte| byte == 0xFF));
    }

    #[test]
    fn longest_service_name_fits() {
        for name in [
            "x".repeat(TestSourceConfig::SERVICE_NAME_LEN_MAX),
            "\u{e9}".repeat(50),
        ] {
            let sdt = sdt(&name, ServiceType::AvcHd);
            let end = 5 + 3 + usize::from(sdt[7]);
            assert_eq!(crc32_mpeg2(&sdt[5..end]), 0);
        }
    }
}
