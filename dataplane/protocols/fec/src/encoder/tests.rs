use super::*;
use crate::header::{FecView, PACKET_BYTES_MAX};

const L: u8 = 5;
const D: u8 = 4;

fn encoder(layout: Layout) -> Encoder {
    Encoder::new(EncoderConfig {
        matrix: Matrix::new(L, D).unwrap(),
        dimensions: Dimensions::ColumnAndRow,
        layout,
        sequence_start: [100, 200],
    })
}

fn packet(sequence: u16, ssrc: u8, length: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 33];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, sequence.to_be_bytes()[0], sequence.to_be_bytes()[1]]);
    packet.extend([0, 0, 0, ssrc]);
    packet.resize(12 + length, sequence.to_be_bytes()[1]);
    packet
}

/// Stream, first media packet and place in time of everything that is sent while packets are pushed.
fn push_all(
    encoder: &mut Encoder,
    packets: impl IntoIterator<Item = Vec<u8>>,
) -> Vec<(Stream, u16, usize)> {
    let mut sent = Vec::new();
    for (at, packet) in packets.into_iter().enumerate() {
        encoder.push(&[], &packet, &mut |_, fec| {
            let view = FecView::parse(fec).unwrap();
            sent.push((view.stream, view.base, at));
        });
    }
    sent
}

fn of(stream: Stream, sent: &[(Stream, u16, usize)]) -> Vec<(u16, usize)> {
    sent.iter()
        .filter(|(which, ..)| *which == stream)
        .map(|&(_, base, at)| (base, at))
        .collect()
}

#[test]
fn rows_follow_at_once_and_columns_are_spread_over_the_next_block() {
    let mut encoder = encoder(Layout::BlockAligned);
    let sent = push_all(&mut encoder, (0..40).map(|n| packet(n, 1, 10)));
    let rows = [
        (0, 4),
        (5, 9),
        (10, 14),
        (15, 19),
        (20, 24),
        (25, 29),
        (30, 34),
        (35, 39),
    ];
    assert_eq!(of(Stream::Row, &sent), rows);
    let columns = [(0, 20), (1, 24), (2, 28), (3, 32), (4, 36)];
    assert_eq!(of(Stream::Column, &sent), columns);
    assert_eq!(encoder.sent(), 13);
}

#[test]
fn staircase_columns_follow_at_once() {
    let mut encoder = encoder(Layout::Staircase);
    let sent = push_all(&mut encoder, (0..40).map(|n| packet(n, 1, 10)));
    // Column 4 begins with packet 4, for with four rows a fifth step leads back to the first row.
    let columns = [
        (0, 15),
        (4, 19),
        (6, 21),
        (12, 27),
        (18, 33),
        (20, 35),
        (24, 39),
    ];
    assert_eq!(of(Stream::Column, &sent), columns);
}

#[test]
fn a_gap_starts_a_block_and_keeps_the_columns_that_are_complete() {
    let mut encoder = encoder(Layout::BlockAligned);
    let numbers = (0..27).chain(30..60);
    let sent = push_all(&mut encoder, numbers.map(|n| packet(n, 1, 10)));
    let columns = of(Stream::Column, &sent);
    assert_eq!(columns[..2], [(0, 20), (1, 24)]);
    assert_eq!(columns[2..5], [(2, 35), (3, 39), (4, 43)]);
    assert_eq!(columns[5], (30, 47));
    assert!(of(Stream::Row, &sent).contains(&(30, 31)));
    assert!(!of(Stream::Row, &sent).iter().any(|&(base, _)| base == 25));
}

#[test]
fn another_source_gets_no_packets_of_the_old_one() {
    let mut encoder = encoder(Layout::BlockAligned);
    let first = (0..22).map(|n| packet(n, 1, 10));
    let second = (22..44).map(|n| packet(n, 2, 10));
    let sent = push_all(&mut encoder, first.chain(second));
    assert_eq!(of(Stream::Column, &sent), [(0, 20), (22, 42)]);
}

#[test]
fn late_packets_and_repeats_stay_out() {
    let mut encoder = encoder(Layout::BlockAligned);
    let numbers = [7, 0, 1, 2, 2, 1, 3, 4];
    let sent = push_all(&mut encoder, numbers.map(|n| packet(n, 1, 10)));
    assert!(sent.is_empty(), "7 is the newest");
    assert_eq!(encoder.unprotected(), 7);
    // A source that started anew a little below its old numbers is believed in the end.
    let sent = push_all(
        &mut encoder,
        (5..7).chain(0..200).map(|n| packet(n % 6, 1, 10)),
    );
    assert!(!sent.is_empty());
}

#[test]
fn a_packet_that_is_too_long_spoils_its_groups_only() {
    let longest = PACKET_BYTES_MAX - 12;
    let mut encoder = encoder(Layout::BlockAligned);
    let packets = (0..41).map(|n| packet(n, 1, if n == 7 { longest + 1 } else { longest }));
    let sent = push_all(&mut encoder, packets);
    let rows: Vec<_> = of(Stream::Row, &sent).iter().map(|row| row.0).collect();
    assert_eq!(rows, [0, 10, 15, 20, 25, 30, 35]);
    let columns: Vec<_> = of(Stream::Column, &sent).iter().map(|row| row.0).collect();
    assert_eq!(columns, [0, 1, 3, 4, 20]);
    assert_eq!(encoder.unprotected(), 1);
}

#[test]
fn what_is_not_rtp_is_not_protected() {
    let mut encoder = encoder(Layout::BlockAligned);
    encoder.push(&[], &[], &mut |_, _| unreachable!());
    encoder.push(&[0x80; 5], &[0; 6], &mut |_, _| unreachable!());
    encoder.push(&[0x47; 12], &[0x47; 188], &mut |_, _| unreachable!());
    assert_eq!((encoder.unprotected(), encoder.sent()), (3, 0));
}

#[test]
fn lengths_add_up_and_short_packets_count_as_padded() {
    let mut encoder = encoder(Layout::BlockAligned);
    let lengths = [3, 9, 0, 9, 5];
    let mut sum = [0; 9];
    for (n, &length) in lengths.iter().enumerate() {
        for byte in &mut sum[..length] {
            *byte ^= n as u8;
        }
    }
    let mut sent = 0;
    for (n, length) in (0..).zip(lengths) {
        let packet = packet(n, 1, length);
        encoder.push(&packet[..12], &packet[12..], &mut |_, fec| {
            let view = FecView::parse(fec).unwrap();
            assert_eq!(view.fields.length, 3 ^ 9 ^ 9 ^ 5);
            assert_eq!(view.fields.payload_type, 33);
            assert_eq!(view.payload, sum);
            assert_eq!(fec[2..4], 200_u16.to_be_bytes());
            assert_eq!(fec[4..8], 4_u32.to_be_bytes(), "of the latest packet");
            sent += 1;
        });
    }
    assert_eq!(sent, 1);
}
