//! Once a merge is made, its packets allocate nothing: 200,000 of them over two lossy legs, counted.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::hint::black_box;

use bilbycast_counting_allocator::{Counting, allocations_in};
use bilbycast_hitless::{LegIndex, Merger, MergerConfig, Origin, PACKET_BYTES_MAX};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_merge_allocates_nothing_per_packet() {
    let mut merger = Merger::new(MergerConfig {
        legs: 2,
        path_differential_ns: 50_000_000,
        repair_packets: 0,
        packets_max: 32_768,
    });
    let mut out = vec![0; PACKET_BYTES_MAX];
    let mut packet = vec![0x47; 12 + 7 * 188];
    packet[0] = 0x80;
    let allocations = allocations_in(|| {
        for index in 0..200_000_u64 {
            // 1 Gb/s, so that the ring has to grow; the source starts anew and learns of FEC on the way.
            let now_ns = 1_700_000_000_000_000_000 + index * 10_500;
            packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&(index as u32).to_be_bytes());
            packet[8] = (index / 100_000) as u8;
            if index == 50_000 {
                merger.set_repair_packets(100);
            }
            for leg in LegIndex::ALL {
                if index % 10 != 3 + leg.index() as u64 {
                    let _ = merger.push(leg, Origin::Received, now_ns, &packet);
                }
            }
            while merger.pop(now_ns, &mut out).is_some() {}
        }
    });
    assert_eq!(allocations, 0);
    assert!(merger.stats().delivered > 190_000);
    assert_eq!(merger.stats().lost, 0);
    assert_eq!(
        allocations_in(|| drop(black_box(Box::new(1_u64)))),
        1,
        "the counter counts"
    );
}
