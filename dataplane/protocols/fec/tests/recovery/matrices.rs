//! Every matrix, with every kind of trouble.

use std::collections::BTreeSet;

use bilbycast_fec::{Dimensions, EncoderConfig, Layout, Matrix, Stream};
use proptest::prelude::*;

use crate::channel::{Channel, judge};
use crate::sender::{Datagram, Lengths, Media, Random, send};
use crate::solver::groups;

const DIMENSIONS: [Dimensions; 2] = [Dimensions::Column, Dimensions::ColumnAndRow];
const LAYOUTS: [Layout; 2] = [Layout::BlockAligned, Layout::Staircase];

/// How many packets a test sends. Chains of recovery in a staircase go on for ever, and a decoder's memory does not, so
/// there the stream is as long as what the decoder keeps.
fn count(matrix: Matrix, layout: Layout) -> usize {
    let packets = usize::from(matrix.packets());
    match layout {
        Layout::BlockAligned => 3 * packets + 3,
        Layout::Staircase => 2 * packets + 100,
    }
}

#[test]
fn the_groups_are_those_of_the_standard() {
    let mut random = Random::new(1);
    for (l, d) in all_sides() {
        for (dimensions, layout) in all_kinds() {
            let matrix = Matrix::new(l, d).unwrap();
            let media = Media {
                count: count(matrix, layout),
                first: 65_500,
                lengths: Lengths::Equal(1),
                first_byte: 0x80,
            };
            let packets = media.packets(&mut random);
            let config = EncoderConfig {
                matrix,
                dimensions,
                layout,
                sequence_start: [u16::MAX, 7],
            };
            let sent = send(config, &packets, &mut random);
            let of = |which| {
                let of_stream = sent.iter().filter_map(|datagram| match datagram {
                    Datagram::Fec(stream, members, bytes) if *stream == which => {
                        Some((members.clone(), bytes))
                    }
                    _ => None,
                });
                of_stream.unzip::<_, _, Vec<_>, Vec<_>>()
            };
            let (columns, column_bytes) = of(Stream::Column);
            let (rows, row_bytes) = of(Stream::Row);
            let sides = (usize::from(l), usize::from(d));
            let (mut want_columns, want_rows) = groups(sides, dimensions, layout, media.count);
            if layout == Layout::BlockAligned {
                // Those of the last whole block go out over the next one, of which there is only the beginning.
                let packets = usize::from(matrix.packets());
                let last_block = (media.count / packets - 1) * packets;
                let due = (media.count % packets).div_ceil(sides.1);
                want_columns.retain(|group| group[0] < last_block + due);
            }
            assert_eq!(rows, want_rows);
            let sorted = |groups: Vec<Vec<usize>>| groups.into_iter().collect::<BTreeSet<_>>();
            assert_eq!(columns.len(), want_columns.len(), "{l} x {d} {layout:?}");
            assert_eq!(
                sorted(columns),
                sorted(want_columns),
                "{l} x {d} {layout:?}"
            );
            for (first, packets) in [(u16::MAX, column_bytes), (7, row_bytes)] {
                for (n, packet) in packets.iter().enumerate() {
                    let number = first.wrapping_add(u16::try_from(n).unwrap());
                    assert_eq!(packet[..2], [0x80, 96]);
                    assert_eq!(packet[2..4], number.to_be_bytes());
                    assert_eq!(packet[8..12], [0; 4], "SSRC");
                }
            }
        }
    }
}

#[test]
fn every_matrix_recovers_what_the_solver_says() {
    let mut random = Random::new(2);
    let mut recovered = 0;
    for (l, d) in all_sides() {
        for (dimensions, layout) in all_kinds() {
            let matrix = Matrix::new(l, d).unwrap();
            let media = Media {
                count: count(matrix, layout),
                first: 65_000 + u16::try_from(random.below(536)).unwrap(),
                lengths: Lengths::UpTo(24),
                first_byte: 0x80,
            };
            let packets = media.packets(&mut random);
            let config = EncoderConfig {
                matrix,
                dimensions,
                layout,
                sequence_start: [0; 2],
            };
            let mut sent = send(config, &packets, &mut random);
            if dimensions == Dimensions::ColumnAndRow && random.below(4) == 0 {
                sent.retain(|datagram| !matches!(datagram, Datagram::Fec(Stream::Column, ..)));
            }
            let channel = Channel {
                media_loss: [10, 60, 200][random.below(3)],
                burst: 1 + random.below(usize::from(l)),
                fec_loss: [0, 100][random.below(2)],
                ..Channel::default()
            };
            let arriving = channel.carry(&sent, &mut random);
            let expected = Some(matrix).filter(|_| random.below(2) == 0);
            recovered += judge(expected, &packets, &arriving, true).recovered;
        }
    }
    assert!(recovered > 5_000, "{recovered}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_channel_recovers_what_the_solver_says(
        (l, d) in (1_u8..=20, 1_u8..=20),
        dimensions in prop::sample::select(&DIMENSIONS[..]),
        layout in prop::sample::select(&LAYOUTS[..]),
        first in any::<u16>(),
        lengths in prop_oneof![
            (0_usize..60).prop_map(Lengths::Equal),
            (0_usize..60).prop_map(Lengths::UpTo),
        ],
        first_byte in prop::sample::select(&[0x80, 0x80, 0xa0, 0x90, 0x83, 0xb2][..]),
        (media_loss, burst, fec_loss) in (0_usize..300, 1_usize..12, 0_usize..300),
        (media_delay, fec_delay) in (0_usize..12, 0_usize..60),
        duplicates in 0_usize..100,
        seed in any::<u64>(),
    ) {
        let matrix = Matrix::new(l, d).unwrap();
        let mut random = Random::new(seed);
        let media = Media { count: count(matrix, layout), first, lengths, first_byte };
        let packets = media.packets(&mut random);
        let config = EncoderConfig { matrix, dimensions, layout, sequence_start: [seed as u16, 9] };
        let sent = send(config, &packets, &mut random);
        let channel = Channel { media_loss, burst, fec_loss, media_delay, fec_delay, duplicates };
        let arriving = channel.carry(&sent, &mut random);
        judge(None, &packets, &arriving, media_delay == 0);
    }
}

fn all_sides() -> impl Iterator<Item = (u8, u8)> {
    (1..=20).flat_map(|l| (1..=20).map(move |d| (l, d)))
}

fn all_kinds() -> impl Iterator<Item = (Dimensions, Layout)> {
    DIMENSIONS
        .into_iter()
        .flat_map(|dimensions| LAYOUTS.map(move |layout| (dimensions, layout)))
}
