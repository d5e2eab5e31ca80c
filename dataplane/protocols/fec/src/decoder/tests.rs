use super::*;
use crate::encoder::{Encoder, EncoderConfig};
use crate::matrix::{Dimensions, Layout};

/// A sender and a receiver, with everything between them under control.
struct Pair {
    encoder: Encoder,
    decoder: Decoder,
    ssrc: u8,
    /// FEC packets that have been sent but not delivered.
    on_the_way: Vec<(Stream, Vec<u8>)>,
    recovered: Vec<u16>,
}

impl Pair {
    fn new(columns: u8, rows: u8) -> Self {
        let matrix = Matrix::new(columns, rows).unwrap();
        Self {
            encoder: Encoder::new(EncoderConfig {
                matrix,
                dimensions: Dimensions::ColumnAndRow,
                layout: Layout::BlockAligned,
                sequence_start: [0; 2],
            }),
            decoder: Decoder::new(DecoderConfig {
                expected: Some(matrix),
            }),
            ssrc: 1,
            on_the_way: Vec::new(),
            recovered: Vec::new(),
        }
    }

    /// Sends media packets, and delivers those that are not `lost`. FEC stays on the way.
    fn send(&mut self, numbers: impl IntoIterator<Item = u16>, lost: &[u16]) {
        for number in numbers {
            let packet = packet(number, self.ssrc);
            self.encoder.push(&[], &packet, &mut |stream, fec| {
                self.on_the_way.push((stream, fec.to_vec()));
            });
            if !lost.contains(&number) {
                self.media(&packet);
            }
        }
    }

    fn media(&mut self, packet: &[u8]) {
        let mut take = taker(&mut self.recovered, self.ssrc);
        self.decoder.push_media(packet, &mut take);
    }

    fn deliver_fec(&mut self) {
        for (stream, fec) in std::mem::take(&mut self.on_the_way) {
            self.fec(stream, &fec);
        }
    }

    fn fec(&mut self, stream: Stream, fec: &[u8]) {
        let mut take = taker(&mut self.recovered, self.ssrc);
        self.decoder.push_fec(stream, fec, &mut take);
    }
}

fn taker(recovered: &mut Vec<u16>, ssrc: u8) -> impl FnMut(&[u8]) {
    move |bytes| {
        let number = u16::from_be_bytes([bytes[2], bytes[3]]);
        assert_eq!(bytes, packet(number, ssrc));
        recovered.push(number);
    }
}

fn packet(number: u16, ssrc: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 33];
    packet.extend(number.to_be_bytes());
    packet.extend([0, ssrc, number.to_be_bytes()[0], number.to_be_bytes()[1]]);
    packet.extend([0, 0, 0, ssrc]);
    packet.resize(12 + 20 + usize::from(number % 3), number.to_be_bytes()[1]);
    packet
}

#[test]
fn losses_at_the_wrap_are_recovered() {
    let mut pair = Pair::new(4, 4);
    let numbers = (65_528..=u16::MAX).chain(0..24);
    pair.send(numbers, &[65_535, 0, 1, 2, 3]);
    pair.deliver_fec();
    assert_eq!(pair.decoder.stats().recovered, 5);
    pair.recovered.sort_unstable();
    assert_eq!(pair.recovered, [0, 1, 2, 3, 65_535]);
}

#[test]
fn recovery_goes_back_and_forth_between_rows_and_columns() {
    let mut pair = Pair::new(4, 4);
    // Row 0 lacks two, columns 0 and 1 two each, and row 1 lacks one: each step opens the next.
    pair.send(0..40, &[0, 1, 4, 9]);
    let mut fec = std::mem::take(&mut pair.on_the_way);
    // Columns first, for then nothing can be done until row 1 comes.
    fec.sort_by_key(|(stream, _)| *stream == Stream::Row);
    let (rows, columns): (Vec<_>, Vec<_>) = fec
        .into_iter()
        .partition(|(stream, _)| *stream == Stream::Row);
    for (stream, fec) in &columns {
        pair.fec(*stream, fec);
    }
    assert_eq!(pair.recovered, [] as [u16; 0]);
    pair.fec(Stream::Row, &rows[1].1);
    assert_eq!(pair.recovered, [4, 0]);
    pair.fec(Stream::Row, &rows[0].1);
    assert_eq!(pair.recovered, [4, 0, 1, 9]);
}

#[test]
fn a_packet_is_missing_only_when_a_later_one_has_come() {
    let mut pair = Pair::new(4, 4);
    pair.send(0..8, &[7]);
    pair.deliver_fec();
    assert!(pair.recovered.is_empty());
    pair.send([8], &[]);
    assert_eq!(pair.recovered, [7]);

    // The same at the end of a stream.
    pair.send(9..12, &[11]);
    pair.deliver_fec();
    let mut recovered = Vec::new();
    pair.decoder.flush(&mut taker(&mut recovered, 1));
    assert_eq!(recovered, [11]);
    pair.media(&packet(11, 1));
    assert_eq!(pair.decoder.stats().recovered_unneeded, 1);
    pair.media(&packet(11, 1));
    assert_eq!(pair.decoder.stats().recovered_unneeded, 1);
    assert_eq!(pair.decoder.stats().media_duplicate, 1);
}

#[test]
fn fec_before_its_media_waits_for_it() {
    let mut pair = Pair::new(4, 4);
    for number in 0..8 {
        pair.encoder
            .push(&[], &packet(number, 1), &mut |stream, fec| {
                pair.on_the_way.push((stream, fec.to_vec()));
            });
    }
    pair.deliver_fec();
    for number in [0, 1, 3, 4, 5, 6, 7] {
        pair.media(&packet(number, 1));
    }
    assert_eq!(pair.recovered, [2]);
}

#[test]
fn fec_that_comes_too_late_does_nothing() {
    let mut pair = Pair::new(4, 4);
    pair.send(0..4, &[2]);
    let late = std::mem::take(&mut pair.on_the_way);
    pair.send(4..100, &[]);
    pair.deliver_fec();
    pair.on_the_way = late.clone();
    pair.deliver_fec();
    assert_eq!(pair.recovered, [2], "100 packets are within reach");
    pair.send(100..300, &[]);
    pair.on_the_way = late;
    pair.deliver_fec();
    assert_eq!(pair.decoder.stats().fec_late, 1);
    assert_eq!(pair.recovered, [2]);
}

#[test]
fn another_ssrc_starts_anew() {
    let mut pair = Pair::new(4, 4);
    pair.send(0..19, &[2, 3]);
    pair.deliver_fec();
    assert_eq!(pair.recovered, [] as [u16; 0]);
    pair.ssrc = 2;
    pair.send(19..60, &[22]);
    pair.deliver_fec();
    pair.recovered.sort_unstable();
    // The first packet alone is not believed, and comes back by its column.
    assert_eq!(pair.recovered, [19, 22]);
    assert_eq!(pair.decoder.stats().resets, 1);
}

#[test]
fn packets_of_somebody_else_break_nothing() {
    let mut pair = Pair::new(4, 4);
    for number in 0..160 {
        pair.send(
            [number],
            if number % 16 == 6 {
                &[6, 22, 38, 54, 70, 86, 102, 118, 134, 150]
            } else {
                &[]
            },
        );
        if number % 3 == 1 {
            pair.media(&packet(40_000 + number, 9));
        }
    }
    pair.deliver_fec();
    let stats = pair.decoder.stats();
    assert_eq!((stats.media_foreign, stats.resets), (53, 0));
    assert_eq!(stats.recovered, 10);
    assert_eq!(pair.recovered.len(), 10);
}

#[test]
fn a_jump_starts_anew_and_a_gap_does_not() {
    let mut pair = Pair::new(4, 4);
    pair.send((0..10).chain(900..950), &[905]);
    pair.deliver_fec();
    assert_eq!(
        (pair.recovered.as_slice(), pair.decoder.stats().resets),
        (&[905][..], 0)
    );
    pair.send(5_000..5_050, &[5_003]);
    pair.deliver_fec();
    assert_eq!(pair.recovered, [905, 5_003]);
    assert_eq!(pair.decoder.stats().resets, 1);
}

#[test]
fn a_source_that_starts_a_little_earlier_is_recognised() {
    let mut pair = Pair::new(4, 4);
    pair.send(1_000..1_100, &[]);
    pair.on_the_way.clear();
    // Within what is kept: the numbers come again, with other contents.
    let mut other = packet(1_050, 1);
    other[5] ^= 0xff;
    pair.media(&other);
    assert_eq!(pair.decoder.stats().resets, 1);
    // Before what is kept: nothing but late packets.
    pair.send(500..600, &[590]);
    pair.deliver_fec();
    assert_eq!(pair.decoder.stats().resets, 2);
    assert_eq!(pair.decoder.stats().media_late, 64);
    pair.send(600..601, &[]);
    assert_eq!(pair.recovered, [590]);
}

#[test]
fn fec_for_media_that_never_came_is_given_up() {
    let mut pair = Pair::new(4, 4);
    let nothing: Vec<_> = (96..160).collect();
    pair.send(0..300, &nothing);
    pair.deliver_fec();
    assert!(pair.recovered.is_empty());
    pair.send(300..700, &[]);
    pair.deliver_fec();
    let stats = *pair.decoder.stats();
    assert!(stats.fec_unused + stats.fec_late >= 32, "{stats:?}");
    assert!(pair.decoder.held.is_empty());
}

#[test]
fn repeated_fec_is_kept_once() {
    let mut pair = Pair::new(4, 4);
    pair.send(0..6, &[1, 2]);
    let fec = pair.on_the_way.clone();
    for _ in 0..1_000 {
        pair.on_the_way.clone_from(&fec);
        pair.deliver_fec();
    }
    pair.media(&packet(1, 1));
    assert_eq!(pair.recovered, [2]);
    assert_eq!(pair.decoder.stats().fec_unused, 0);
}

#[test]
fn packets_too_long_to_keep_disable_their_groups() {
    let mut pair = Pair::new(4, 4);
    pair.send(0..4, &[1, 2]);
    pair.send(5..6, &[]);
    pair.deliver_fec();
    let mut long = packet(2, 1);
    long.resize(PACKET_BYTES_MAX + 1, 0);
    pair.media(&long);
    let stats = pair.decoder.stats();
    assert_eq!((stats.media_too_long, stats.fec_unused), (1, 1));
    assert!(pair.recovered.is_empty());
    pair.media(&long);
    assert_eq!(pair.decoder.stats().media_duplicate, 1);
}

#[test]
fn fec_that_cannot_be_right_recovers_nothing() {
    // Length recovery beyond the payload, and one that leaves bytes behind the end.
    for length in [0xff_u8, 0x04] {
        let mut pair = Pair::new(4, 4);
        pair.send(0..5, &[1]);
        pair.on_the_way[0].1[15] ^= length;
        pair.deliver_fec();
        assert_eq!(pair.decoder.stats().recovery_failed, 1);
        assert!(pair.recovered.is_empty());
    }
    // A payload shorter than the packets of the group.
    let mut pair = Pair::new(4, 4);
    pair.send(0..5, &[1]);
    pair.on_the_way[0].1.truncate(28 + 10);
    pair.deliver_fec();
    assert_eq!(pair.decoder.stats().recovery_failed, 1);
    // P set, and a padding that is longer than the packet.
    let mut pair = Pair::new(4, 4);
    pair.send(0..5, &[1]);
    pair.on_the_way[0].1[0] ^= 0x2f;
    pair.deliver_fec();
    assert_eq!(pair.decoder.stats().recovery_failed, 1);
}

#[test]
fn a_forged_packet_yields_to_the_real_one() {
    let mut pair = Pair::new(4, 4);
    pair.send(0..4, &[1]);
    pair.send(4..6, &[4]);
    let mut forged = pair.on_the_way[0].1.clone();
    forged[28] ^= 0x55;
    pair.decoder.push_fec(Stream::Row, &forged, &mut |_| {});
    assert_eq!(pair.decoder.stats().recovered, 1);
    pair.media(&packet(1, 1));
    assert_eq!(pair.decoder.stats().recovered_wrong, 1);
    // Others are recovered with the real one.
    pair.send(6..20, &[]);
    pair.send(20..40, &[]);
    pair.on_the_way
        .retain(|(stream, _)| *stream == Stream::Column);
    pair.deliver_fec();
    assert_eq!(pair.recovered, [4]);
}

#[test]
fn a_wrong_port_is_told_and_does_no_harm() {
    let mut pair = Pair::new(4, 4);
    pair.send(0..40, &[2, 17]);
    for (stream, fec) in std::mem::take(&mut pair.on_the_way) {
        let other = match stream {
            Stream::Column => Stream::Row,
            Stream::Row => Stream::Column,
        };
        pair.fec(other, &fec);
    }
    assert_eq!(pair.recovered, [2, 17]);
    assert!(pair.decoder.stats().fec_wrong_port > 10);
    assert_eq!(pair.decoder.matrix(), None);
}

#[test]
fn reset_forgets_all_but_the_counters() {
    let mut pair = Pair::new(4, 4);
    pair.send(0..40, &[2]);
    pair.deliver_fec();
    assert!(pair.decoder.matrix().is_some());
    let before = *pair.decoder.stats();
    pair.decoder.reset();
    assert_eq!(pair.decoder.matrix(), None);
    assert_eq!(*pair.decoder.stats(), before);
    pair.send(40..80, &[45]);
    pair.deliver_fec();
    assert_eq!(pair.recovered, [2, 45]);
    assert_eq!(pair.decoder.stats().resets, 0);
}

#[test]
fn what_is_not_rtp_is_counted() {
    let mut decoder = Decoder::new(DecoderConfig::default());
    decoder.push_media(&[0x80; 11], &mut |_| unreachable!());
    decoder.push_media(&[0x47; 188], &mut |_| unreachable!());
    decoder.push_fec(Stream::Row, &[0x80; 27], &mut |_| unreachable!());
    assert_eq!(decoder.stats().media_invalid, 2);
    assert_eq!(decoder.stats().fec_invalid, 1);
    assert_eq!(decoder.stats().fec_received, [0, 1]);
    assert_eq!(decoder.latency_packets(), 816);
}

#[test]
fn a_flood_of_fec_stays_in_bounds() {
    let mut pair = Pair::new(20, 20);
    pair.send(0..900, &[]);
    pair.on_the_way.clear();
    for base in 0..2_000_u16 {
        let mut fec = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        fec.extend((base % 1_800).to_be_bytes());
        fec.extend([
            0,
            20,
            0x80,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0x40,
            1,
            1 + (base % 20) as u8,
            0,
        ]);
        fec.resize(28 + 20, 0);
        pair.decoder.push_fec(Stream::Row, &fec, &mut |_| {});
    }
    assert!(pair.decoder.stats().fec_unused > 0);
    pair.send(900..2_100, &[2_001]);
    pair.deliver_fec();
    assert!(pair.recovered.contains(&2_001));
}
