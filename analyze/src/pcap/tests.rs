use proptest::prelude::*;

use super::*;

fn ipv4_packet(port: u16, payload: &[u8]) -> Vec<u8> {
    let total = (28 + payload.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&total.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0x40, 0, 9, UDP, 0, 0, 127, 0, 0, 1, 239, 1, 2, 3]);
    udp_header(&mut packet, port, payload);
    packet
}

fn ipv6_packet(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[UDP, 9]);
    packet.extend_from_slice(&[0; 15]);
    packet.push(1);
    packet.extend_from_slice(&[0xFF, 0x0E, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    udp_header(&mut packet, port, payload);
    packet
}

fn udp_header(packet: &mut Vec<u8>, port: u16, payload: &[u8]) {
    packet.extend_from_slice(&40_000_u16.to_be_bytes());
    packet.extend_from_slice(&port.to_be_bytes());
    packet.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(payload);
}

fn capture(magic: [u8; 4], link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let big_endian = magic[0] == 0xA1;
    let word = |value: u32| {
        if big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    };
    let mut file = magic.to_vec();
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&word(link));
    for frame in frames {
        file.extend_from_slice(&[0; 8]);
        file.extend_from_slice(&word(frame.len() as u32));
        file.extend_from_slice(&word(frame.len() as u32));
        file.extend_from_slice(frame);
    }
    file
}

fn read(file: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut reader = PcapReader::new(file).unwrap();
    let mut datagrams = Vec::new();
    while let Some(datagram) = reader.next_datagram().unwrap() {
        datagrams.push((datagram.destination, datagram.payload.to_vec()));
    }
    datagrams
}

#[test]
fn every_byte_order_and_link_type_is_read() {
    let v4 = ipv4_packet(5004, b"payload");
    let v6 = ipv6_packet(5006, b"other");
    let behind = |front: &[u8], packet: &[u8]| [front, packet].concat();
    let ethernet =
        |ethertype: &[u8], packet: &[u8]| behind(&[&[0; 12], ethertype].concat(), packet);
    for magic in [
        [0xA1, 0xB2, 0xC3, 0xD4],
        [0xD4, 0xC3, 0xB2, 0xA1],
        [0xA1, 0xB2, 0x3C, 0x4D],
        [0x4D, 0x3C, 0xB2, 0xA1],
    ] {
        for (link, frames) in [
            (1, [ethernet(&[8, 0], &v4), ethernet(&[0x86, 0xDD], &v6)]),
            (
                1,
                [
                    ethernet(&[0x81, 0, 0, 5, 8, 0], &v4),
                    ethernet(&[0x86, 0xDD], &v6),
                ],
            ),
            (0, [behind(&[2, 0, 0, 0], &v4), behind(&[30, 0, 0, 0], &v6)]),
            (101, [v4.clone(), v6.clone()]),
            (113, [behind(&[0; 16], &v4), behind(&[0; 16], &v6)]),
            (276, [behind(&[0; 20], &v4), behind(&[0; 20], &v6)]),
        ] {
            let found = read(&capture(magic, link, &frames));
            let expected = [
                ("239.1.2.3:5004".parse().unwrap(), b"payload".to_vec()),
                ("[ff0e::7]:5006".parse().unwrap(), b"other".to_vec()),
            ];
            assert_eq!(found, expected, "{magic:?} {link}");
        }
    }
}

#[test]
fn padding_fragments_and_other_protocols_are_no_payload() {
    let mut padded = ipv4_packet(1, b"x");
    padded.extend_from_slice(&[0; 20]);
    let mut fragment = ipv4_packet(2, b"y");
    fragment[6] = 0x20;
    let mut tcp = ipv4_packet(3, b"z");
    tcp[9] = 6;
    let found = read(&capture(
        [0xD4, 0xC3, 0xB2, 0xA1],
        101,
        &[padded, fragment, tcp],
    ));
    assert_eq!(found, [("239.1.2.3:1".parse().unwrap(), b"x".to_vec())]);
}

#[test]
fn errors_name_what_is_wrong() {
    let error = PcapReader::new(&[7; 24][..]).unwrap_err();
    assert!(matches!(error, PcapError::NotPcap));
    let error = PcapReader::new(&capture([0xA1, 0xB2, 0xC3, 0xD4], 147, &[])[..]).unwrap_err();
    assert!(error.to_string().contains("147"));
    let mut file = capture([0xA1, 0xB2, 0xC3, 0xD4], 1, &[vec![0; 4]]);
    file[32..36].copy_from_slice(&0x7FFF_FFFF_u32.to_be_bytes());
    let error = PcapReader::new(&file[..])
        .unwrap()
        .next_datagram()
        .unwrap_err();
    assert!(error.to_string().contains("2147483647"));
}

proptest! {
    #[test]
    fn anything_may_be_in_the_frames(
        link in prop_oneof![Just(0_u32), Just(1), Just(101), Just(113), Just(276)],
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..20),
        cut in 0_usize..100,
    ) {
        let mut file = capture([0xD4, 0xC3, 0xB2, 0xA1], link, &frames);
        file.truncate((file.len() - cut.min(file.len())).max(24));
        prop_assert!(read(&file).len() <= frames.len());
    }
}
