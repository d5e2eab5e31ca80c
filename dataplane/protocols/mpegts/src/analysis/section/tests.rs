use proptest::prelude::*;

use super::*;

/// A section of the long syntax with a right CRC.
pub(crate) fn section(table_id: u8, extension: u16, body: &[u8]) -> Vec<u8> {
    let length = 5 + body.len() + 4;
    let [length_high, length_low] = (length as u16).to_be_bytes();
    let [ext_high, ext_low] = extension.to_be_bytes();
    let mut bytes = vec![table_id, 0xB0 | length_high, length_low, ext_high, ext_low];
    bytes.extend_from_slice(&[0xC1, 0, 0]);
    bytes.extend_from_slice(body);
    let crc = advance_crc(CRC_START, &bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

/// Payloads of `size` bytes that carry the sections one behind the other.
fn payloads(sections: &[Vec<u8>], size: usize) -> Vec<(bool, Vec<u8>)> {
    let mut starts = Vec::new();
    let mut stream = Vec::new();
    for section in sections {
        starts.push(stream.len());
        stream.extend_from_slice(section);
    }
    let mut payloads = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        let start = starts
            .iter()
            .find(|&&start| start >= at && start < at + size - 1);
        let mut payload = Vec::new();
        let room = if let Some(start) = start {
            payload.push((start - at) as u8);
            size - 1
        } else {
            size
        };
        let end = (at + room).min(stream.len());
        payload.extend_from_slice(&stream[at..end]);
        payload.resize(size, 0xFF);
        payloads.push((start.is_some(), payload));
        at = end;
    }
    payloads
}

#[derive(Debug, PartialEq)]
struct Seen {
    table_id: u8,
    extension: u16,
    crc: Option<bool>,
    bytes: Option<Vec<u8>>,
}

fn read(payloads: &[(bool, Vec<u8>)]) -> (Vec<Seen>, Sections) {
    let mut sections = Sections::new();
    let index = sections.open().unwrap();
    let mut seen = Vec::new();
    for (unit_start, payload) in payloads {
        sections.push(index, payload, *unit_start, |section| {
            seen.push(Seen {
                table_id: section.table_id,
                extension: section.extension,
                crc: section.crc,
                bytes: section.bytes.map(<[u8]>::to_vec),
            });
        });
    }
    (seen, sections)
}

proptest! {
    #[test]
    fn sections_come_out_whole_however_they_are_cut(
        sizes in prop::collection::vec((0_usize..1000, 0_u8..3), 1..8),
        payload_size in 20_usize..=184,
    ) {
        let sections: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(n, &(size, table_id))| section(table_id, n as u16, &vec![n as u8; size]))
            .collect();
        let (seen, reader) = read(&payloads(&sections, payload_size));
        prop_assert_eq!(seen.len(), sections.len());
        for (n, (seen, section)) in seen.iter().zip(&sections).enumerate() {
            prop_assert_eq!(seen.crc, Some(true));
            prop_assert_eq!(usize::from(seen.extension), n);
            prop_assert_eq!(seen.bytes.as_deref(), Some(&section[..]));
        }
        prop_assert_eq!(reader.used, 0);
    }

    #[test]
    fn one_wrong_bit_is_one_crc_error(size in 0_usize..900, at in 0.0..1.0, bit in 0_u8..8) {
        let mut damaged = section(0x4E, 1, &vec![7; size]);
        // Behind the length: otherwise it would be another section.
        let index = 3 + (at * (damaged.len() - 3) as f64) as usize;
        damaged[index] ^= 1 << bit;
        let (seen, _) = read(&payloads(&[damaged, section(0x42, 2, &[1])], 184));
        prop_assert_eq!(seen.len(), 2);
        prop_assert_eq!((seen[0].crc, seen[1].crc), (Some(false), Some(true)));
    }

    #[test]
    fn anything_may_come(
        payloads in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..184)), 0..60),
    ) {
        let (_, reader) = read(&payloads);
        prop_assert!(reader.used.count_ones() <= 1);
    }
}

#[test]
fn what_is_lost_within_a_section_is_lost_alone() {
    let long = section(2, 1, &[5; 600]);
    let short = section(2, 2, &[6; 10]);
    let mut cut = payloads(&[long], 184);
    cut.remove(1);
    cut.extend(payloads(std::slice::from_ref(&short), 184));
    let mut sections = Sections::new();
    let index = sections.open().unwrap();
    let mut seen = Vec::new();
    for (n, (unit_start, payload)) in cut.iter().enumerate() {
        if n == 1 {
            sections.abandon(index);
        }
        sections.push(index, payload, *unit_start, |section| {
            seen.push(section.bytes.map(<[u8]>::to_vec));
        });
    }
    assert_eq!(seen, [Some(short)]);
    assert_eq!(sections.used, 0);
}

#[test]
fn readers_and_buffers_run_out_without_harm() {
    let mut sections = Sections::new();
    let indices: Vec<u8> = std::iter::from_fn(|| sections.open()).collect();
    assert_eq!(indices.len(), Sections::READERS);
    let long = section(2, 1, &[5; 600]);
    let first = &payloads(&[long], 184)[0].1;
    for &index in &indices {
        sections.push(index, first, true, |_| panic!("no section is complete"));
    }
    assert_eq!(sections.unread, (Sections::READERS - BUFFERS) as u64);
    for index in indices {
        sections.close(index);
    }
    assert_eq!(sections.used, 0);
    assert!(sections.open().is_some());
}
