use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::FilterDecoder;
use crate::filter::{FilterConfig, FilterEncoder, FilterText};
use crate::wire::{
    DataHeader, KeyFlag, MessagePosition, MsgNumber, Packet, SeqNumber, SocketId, Timestamp,
};

const PAYLOAD: usize = 32;
const FIRST: SeqNumber = SeqNumber::MAX;
const PEER: SocketId = SocketId(7);

fn config(text: &str) -> FilterConfig {
    FilterText::parse(text).unwrap().resolve().unwrap()
}

fn packet(index: u32) -> (DataHeader, Vec<u8>) {
    let header = DataHeader {
        sequence: FIRST.plus(index),
        position: MessagePosition::Single,
        in_order: true,
        key: if index.is_multiple_of(3) {
            KeyFlag::Odd
        } else {
            KeyFlag::Even
        },
        retransmitted: false,
        message: MsgNumber::new(index + 1),
        timestamp: Timestamp(index.wrapping_mul(0x9e37_79b9)),
        destination: PEER,
    };
    let length = 1 + index as usize % PAYLOAD;
    (
        header,
        (0..length)
            .map(|at| (index as usize * 31 + at) as u8)
            .collect(),
    )
}

/// All that a sender of `count` packets sends: the index of a packet, or a FEC packet.
fn sent(config: FilterConfig, count: u32) -> Vec<Result<u32, Vec<u8>>> {
    let mut encoder = FilterEncoder::new(config, FIRST, PAYLOAD);
    let mut sent = Vec::new();
    for index in 0..count {
        let (header, payload) = packet(index);
        encoder.feed(&header, &payload);
        sent.push(Ok(index));
        let mut out = [0xee; 100];
        while let Some(length) = encoder.poll(PEER, &mut out) {
            sent.push(Err(out[..length].to_vec()));
        }
    }
    sent
}

/// What a receiver rebuilds and gives up when `is_lost` of the packets do not arrive.
fn received(
    config: FilterConfig,
    sent: &[Result<u32, Vec<u8>>],
    is_lost: impl Fn(u32) -> bool,
) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let mut decoder = FilterDecoder::new(config, FIRST, PAYLOAD);
    let (mut rebuilt, mut given_up) = (BTreeSet::new(), BTreeSet::new());
    for what in sent {
        match what {
            Ok(index) if is_lost(*index) => {}
            Ok(index) => {
                let (header, payload) = packet(*index);
                decoder.packet(&header, &payload, &mut |sequence| {
                    assert!(given_up.insert(sequence.offset_from(FIRST).unsigned_abs()));
                });
            }
            Err(datagram) => {
                let Ok(Packet::Data(fec)) = Packet::parse(datagram) else {
                    panic!("a FEC packet is a data packet");
                };
                decoder.fec_packet(&fec.header, fec.payload);
            }
        }
        let mut out = [0; PAYLOAD];
        while let Some((header, length)) = decoder.poll_rebuilt(PEER, &mut out, &mut |sequence| {
            assert!(given_up.insert(sequence.offset_from(FIRST).unsigned_abs()));
        }) {
            let index = header.sequence.offset_from(FIRST).unsigned_abs();
            let (expected, payload) = packet(index);
            assert_eq!(out[..length], payload, "{index}");
            assert_eq!(
                header,
                DataHeader {
                    retransmitted: true,
                    ..expected
                }
            );
            assert!(rebuilt.insert(index), "{index} rebuilt once");
            assert!(is_lost(index), "{index} had arrived");
        }
    }
    (rebuilt, given_up)
}

#[test]
fn fec_packets_are_as_documented_and_leave_in_the_documented_order() {
    let sent = sent(config("fec,cols:10,rows:5,layout:staircase"), 53);
    let mut fec = Vec::new();
    for datagram in sent.iter().filter_map(|what| what.as_ref().err()) {
        let Ok(Packet::Data(packet)) = Packet::parse(datagram) else {
            panic!("a FEC packet is a data packet");
        };
        assert_eq!(packet.header.message, MsgNumber::FILTER);
        assert_eq!(packet.header.position, MessagePosition::Single);
        assert_eq!(packet.header.key, KeyFlag::None);
        assert!(packet.header.retransmitted);
        assert_eq!(packet.payload.len(), 4 + PAYLOAD);
        let index = packet.header.sequence.offset_from(FIRST);
        fec.push((packet.payload[0], index));
    }
    assert_eq!(
        fec,
        [
            (255, 9),
            (255, 19),
            (255, 29),
            (255, 39),
            (0, 40),
            (5, 45),
            (255, 49),
            (1, 51)
        ]
    );
}

#[test]
fn a_fec_packet_is_the_xor_of_its_group() {
    let sent = sent(config("fec,cols:3"), 3);
    let Some(Err(datagram)) = sent.last() else {
        panic!("a FEC packet ends the row");
    };
    let Ok(Packet::Data(fec)) = Packet::parse(datagram) else {
        panic!("a FEC packet is a data packet");
    };
    let group: Vec<_> = (0..3).map(packet).collect();
    let timestamp = group
        .iter()
        .fold(0, |xor, (header, _)| xor ^ header.timestamp.0);
    assert_eq!(fec.header.timestamp, Timestamp(timestamp));
    // Keys odd, even, even; lengths 1, 2, 3.
    assert_eq!(fec.payload[..4], [255, 2, 0, 1 ^ 2 ^ 3]);
    let byte = |at: usize| {
        group
            .iter()
            .filter_map(|(_, payload)| payload.get(at))
            .fold(0, |xor, byte| xor ^ byte)
    };
    let expected: Vec<u8> = (0..PAYLOAD).map(byte).collect();
    assert_eq!(fec.payload[4..], expected);
}

#[test]
fn a_row_rebuilds_one_packet_and_gives_up_two() {
    let config = config("fec,cols:5");
    let sent = sent(config, 30);
    let (rebuilt, given_up) = received(config, &sent, |index| [2, 9, 11, 13].contains(&index));
    assert_eq!(rebuilt, BTreeSet::from([2, 9]));
    assert_eq!(given_up, BTreeSet::from([11, 13]));
}

#[test]
fn rows_and_columns_rebuild_a_burst_together() {
    for layout in ["even", "staircase"] {
        let config = config(&format!("fec,cols:10,rows:5,layout:{layout},arq:always"));
        let sent = sent(config, 300);
        // A burst longer than a row, and single losses in neighbouring rows.
        let is_lost = |index: u32| (101..110).contains(&index) || [115, 127, 133].contains(&index);
        let (rebuilt, given_up) = received(config, &sent, is_lost);
        assert_eq!(rebuilt.len(), 12, "{layout}: {rebuilt:?}");
        assert!(given_up.is_empty());
    }
}

#[test]
fn columns_alone_rebuild_a_burst() {
    let config = config("fec,cols:8,rows:-4,layout:even");
    let sent = sent(config, 64);
    assert_eq!(sent.iter().filter(|what| what.is_err()).count(), 16);
    let (rebuilt, _) = received(config, &sent, |index| (8..16).contains(&index));
    assert_eq!(rebuilt, (8..16).collect());
}

#[test]
fn the_window_keeps_up_over_the_wrap_and_a_jump() {
    let config = config("fec,cols:4,rows:4,layout:staircase");
    let sent = sent(config, 4_000);
    let is_lost = |index: u32| (1_000..3_000).contains(&index) || index == 3_505;
    let (rebuilt, given_up) = received(config, &sent, is_lost);
    assert!(rebuilt.contains(&3_505));
    assert!(given_up.contains(&2_950), "the end of the gap is asked for");
}

#[test]
fn a_column_that_looks_like_a_row_has_no_fec() {
    let config = config("fec,cols:256,rows:2,layout:even");
    let sent = sent(config, 512);
    assert_eq!(sent.iter().filter(|what| what.is_err()).count(), 2 + 255);
    let (rebuilt, _) = received(config, &sent, |index| index == 255 || index == 511);
    assert_eq!(rebuilt, BTreeSet::from([255, 511]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is rebuilt is exact, and with `onreq` everything else is given up: nothing is left to nobody.
    #[test]
    fn every_loss_is_rebuilt_or_given_up(
        columns in 1_u16..9,
        rows in 1_i16..7,
        even in any::<bool>(),
        no_rows in any::<bool>(),
        lost in proptest::collection::btree_set(0_u32..400, 0..60),
    ) {
        let rows = if no_rows && rows > 1 { -rows } else { rows };
        let layout = if even { "even" } else { "staircase" };
        let config = config(&format!("fec,cols:{columns},rows:{rows},layout:{layout}"));
        let sent = sent(config, 600);
        let (rebuilt, given_up) = received(config, &sent, |index| lost.contains(&index));
        let settled: BTreeSet<u32> = rebuilt.union(&given_up).copied().collect();
        // Without rows nothing covers what lies in front of a staircase.
        let uncovered = |index: &u32| rows < -1 && {
            let index = u64::from(*index);
            index < config.column_start(index % u64::from(columns))
        };
        let left: Vec<_> = lost.difference(&settled).filter(|index| !uncovered(index)).collect();
        prop_assert!(left.is_empty(), "{left:?} of {config}");
    }

    /// Whatever arrives in whatever order, duplicates included: nothing wrong is ever rebuilt.
    #[test]
    fn no_order_of_arrival_rebuilds_something_wrong(
        seed in proptest::collection::vec((0_usize..700, any::<bool>()), 1..900),
    ) {
        let config = config("fec,cols:5,rows:4,layout:staircase");
        let sent = sent(config, 500);
        let shuffled: Vec<_> = seed
            .iter()
            .filter_map(|(at, _)| sent.get(*at).cloned())
            .collect();
        let arrived: BTreeMap<u32, ()> =
            shuffled.iter().filter_map(|what| what.as_ref().ok()).map(|index| (*index, ())).collect();
        let mut decoder = FilterDecoder::new(config, FIRST, PAYLOAD);
        for what in &shuffled {
            match what {
                Ok(index) => {
                    let (header, payload) = packet(*index);
                    decoder.packet(&header, &payload, &mut |_| {});
                }
                Err(datagram) => {
                    let Ok(Packet::Data(fec)) = Packet::parse(datagram) else {
                        panic!("a FEC packet is a data packet");
                    };
                    decoder.fec_packet(&fec.header, fec.payload);
                }
            }
            let mut out = [0; PAYLOAD];
            while let Some((header, length)) = decoder.poll_rebuilt(PEER, &mut out, &mut |_| {}) {
                let index = header.sequence.offset_from(FIRST).unsigned_abs();
                prop_assert_eq!(&out[..length], &packet(index).1[..]);
            }
        }
        prop_assert!(arrived.len() <= 500);
    }
}
