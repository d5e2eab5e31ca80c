//! A capture of two legs, see `tests/data/README.md`.

use std::collections::BTreeMap;

use bilbycast_hitless::{LegIndex, Merger, MergerConfig, Origin, SkewClass};

use crate::driver::{Arrival, run};

const CAPTURE: &[u8] = include_bytes!("../data/s01_wrap.pcap");
const PORTS: [u16; 2] = [31_004, 31_104];
const FIRST: u16 = 65_500;
const PACKETS: u16 = 72;

/// The datagrams of a pcap file of Ethernet frames with IPv4 and UDP, without options.
fn arrivals(capture: &[u8]) -> Vec<Arrival> {
    let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0xa1b2_c3d4, "microseconds, little-endian");
    let mut arrivals = Vec::new();
    let mut at = 24;
    while at < capture.len() {
        let (seconds, micros, bytes) = (word(at), word(at + 4), word(at + 8) as usize);
        let frame = &capture[at + 16..at + 16 + bytes];
        let port = u16::from_be_bytes([frame[36], frame[37]]);
        let leg = PORTS.iter().position(|leg| *leg == port).unwrap();
        arrivals.push(Arrival {
            at_ns: u64::from(seconds) * 1_000_000_000 + u64::from(micros) * 1_000,
            leg: LegIndex::ALL[leg],
            origin: Origin::Received,
            packet: frame[42..].to_vec(),
        });
        at += 16 + bytes;
    }
    arrivals
}

#[test]
fn a_capture_of_two_lossy_legs_is_merged_without_a_scratch() {
    let arrivals = arrivals(CAPTURE);
    let class = SkewClass::B.as_duration();
    let mut merger = Merger::new(MergerConfig {
        legs: 2,
        path_differential_ns: class.as_nanos() as u64,
        repair_packets: 0,
        packets_max: 4_096,
    });
    let deliveries = run(&mut merger, &arrivals);

    let sequence = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
    let sent: BTreeMap<_, _> = arrivals
        .iter()
        .map(|arrival| (sequence(&arrival.packet), &arrival.packet))
        .collect();
    assert_eq!(deliveries.len(), usize::from(PACKETS));
    for (index, delivery) in (0..PACKETS).zip(&deliveries) {
        let expected = FIRST.wrapping_add(index);
        assert_eq!(sequence(&delivery.packet), expected);
        assert!(
            delivery.packet == *sent[&expected],
            "{expected} is bit-exact"
        );
    }

    let stats = merger.stats();
    assert_eq!((stats.lost, stats.late, stats.source_restarts), (0, 0, 0));
    // The capture has microseconds.
    let skew_ns = stats.skew_ns.unwrap();
    assert!((7_999_000..=8_001_000).contains(&skew_ns), "{skew_ns}");
    let [one, two] = stats.legs;
    assert_eq!((one.received, one.lost, one.used), (68, 4, 68));
    assert_eq!((two.received, two.lost, two.used), (66, 6, 4));
    assert_eq!(merger.ssrc_mismatch(), None);
}
