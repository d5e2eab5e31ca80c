//! Markers, CSRC lists and extensions that come and go, from both kinds of sender.

use bilbycast_fec::{Decoder, DecoderConfig, Dimensions, EncoderConfig, Layout, Matrix};

use crate::sender::{Datagram, Lengths, Media, Random, send, sequence};

const MATRIX: (u8, u8) = (5, 5);

/// A stream of four blocks of which the first comes whole, and then every seventh packet is lost.
fn recover_all(packets: &[Vec<u8>], zeros: bool) {
    let mut random = Random::new(5);
    let config = EncoderConfig {
        matrix: Matrix::new(MATRIX.0, MATRIX.1).unwrap(),
        dimensions: Dimensions::ColumnAndRow,
        layout: Layout::BlockAligned,
        sequence_start: [0; 2],
    };
    let first = sequence(&packets[0]);
    let mut decoder = Decoder::new(DecoderConfig::default());
    let mut lost = 0;
    let mut recovered = 0;
    for datagram in send(config, packets, &mut random) {
        let mut take = |packet: &[u8]| {
            let place = usize::from(sequence(packet).wrapping_sub(first));
            assert_eq!(packet, packets[place], "packet {place}");
            recovered += 1;
        };
        match datagram {
            Datagram::Media(n, _) if n >= 25 && n % 7 == 0 => lost += 1,
            Datagram::Media(_, bytes) => decoder.push_media(&bytes, &mut take),
            Datagram::Fec(stream, _, mut bytes) => {
                if zeros {
                    bytes[0] = 0x80;
                    bytes[1] = 96;
                }
                decoder.push_fec(stream, &bytes, &mut take);
            }
        }
    }
    assert_eq!(recovered, lost);
}

fn packets(first_byte: impl Fn(usize) -> u8) -> Vec<Vec<u8>> {
    let mut random = Random::new(4);
    (0..101)
        .map(|n| {
            let media = Media {
                count: 1,
                first: u16::try_from(n).unwrap(),
                lengths: Lengths::UpTo(40),
                first_byte: first_byte(n),
            };
            media.packets(&mut random).remove(0)
        })
        .collect()
}

#[test]
fn a_sender_of_sums_gives_back_every_bit() {
    let mut packets = packets(|n| [0x80, 0x80, 0x91, 0x80, 0xa2, 0x80, 0xb0][n * n % 7]);
    for (n, packet) in packets.iter_mut().enumerate() {
        packet[1] |= if n % 4 == 0 { 0x80 } else { 0 };
    }
    recover_all(&packets, false);
}

#[test]
fn a_sender_of_zeros_gives_back_what_all_packets_have() {
    for first_byte in [0x90, 0x83, 0xa0] {
        recover_all(&packets(|_| first_byte), true);
    }
}

#[test]
fn a_sender_of_zeros_loses_a_marker_that_is_the_exception() {
    let mut packets = packets(|_| 0x80);
    for (n, packet) in packets.iter_mut().enumerate() {
        // Never one that is lost after the first block.
        packet[1] |= if n % 7 == 3 { 0x80 } else { 0 };
    }
    recover_all(&packets, true);
}
