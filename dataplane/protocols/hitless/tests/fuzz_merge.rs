//! Whatever arrives whenever, the merge neither panics nor grows nor keeps a packet for good. Run by `cargo test`, and at
//! length by `cargo bolero test fuzz_merge`.

#![forbid(unsafe_code)]

use bilbycast_hitless::{
    LegIndex, Merger, MergerConfig, Origin, Outcome, PACKET_BYTES_MAX, SkewClass,
};

/// Reads the input as orders of eight bytes: what comes or is asked, and how the clock moves.
#[test]
fn fuzz_merge() {
    bolero::check!()
        .with_max_len(2_048)
        .for_each(|input: &[u8]| {
            let Some((&[legs, differential, repair, size], orders)) =
                input.split_first_chunk::<4>()
            else {
                return;
            };
            let class = [SkewClass::A, SkewClass::B, SkewClass::C, SkewClass::D]
                [usize::from(differential % 4)];
            let config = MergerConfig {
                legs: usize::from(legs % 3),
                path_differential_ns: if differential & 4 == 0 {
                    class.as_duration().as_nanos() as u64
                } else {
                    u64::from(differential) << 56
                },
                repair_packets: if repair == 255 {
                    u32::MAX
                } else {
                    repair.into()
                },
                packets_max: 64 << (size % 5),
            };
            let mut merger = Merger::new(config);
            let mut out = vec![0; PACKET_BYTES_MAX];
            let mut clock_ns = 1_700_000_000_000_000_000_u64;
            let (mut held, mut sequence) = (0_u64, 0_u16);
            for order in orders.as_chunks::<8>().0 {
                let [what, with, high, low, ahead, shift, tag, length] = *order;
                let step = u64::from(ahead) << (shift % 57);
                clock_ns = match shift >> 6 {
                    3 => clock_ns.wrapping_sub(step),
                    2 => clock_ns.wrapping_add(step),
                    _ => clock_ns.saturating_add(u64::from(ahead) * 10_000),
                };
                if what % 8 == 0 {
                    let room = usize::from(with) * 64;
                    let room = room.min(out.len());
                    held -= u64::from(merger.pop(clock_ns, &mut out[..room]).is_some());
                } else if what % 8 == 1 {
                    merger.set_repair_packets(u32::from_be_bytes([0, 0, high & with, low]));
                } else {
                    sequence = match what % 8 {
                        2 => u16::from_be_bytes([high, low]),
                        3 => sequence.wrapping_sub(u16::from(low)),
                        4 => sequence.wrapping_add(u16::from(low)),
                        _ => sequence.wrapping_add(1),
                    };
                    let mut packet = vec![if with == 0 { what } else { 0x80 }, 33];
                    packet.extend_from_slice(&sequence.to_be_bytes());
                    let timestamp = if tag & 0x80 == 0 {
                        sequence.into()
                    } else {
                        u32::from(tag)
                    };
                    packet.extend_from_slice(&timestamp.to_be_bytes());
                    packet.extend_from_slice(&[0, 0, 0, tag & 3 & (with >> 6)]);
                    packet.resize(12 + usize::from(length) * 40, tag);
                    let leg = LegIndex::ALL[usize::from(what >> 7)];
                    let origin = if with & 7 == 7 {
                        Origin::Recovered
                    } else {
                        Origin::Received
                    };
                    match merger.push(leg, origin, clock_ns, &packet) {
                        Outcome::Used => held += 1,
                        Outcome::Full => {
                            // The next one comes out, and then others.
                            held -= u64::from(
                                merger.pop(clock_ns, &mut out).expect("one must go").bytes > 0,
                            );
                        }
                        _ => {}
                    }
                }
                assert!(held <= config.packets_max as u64);
                assert_eq!(merger.is_empty(), held == 0);
                assert_eq!(merger.next_due_ns().is_none(), held == 0);
            }
            // Polled when it asks for it, or half a second later, as under load, it gives everything out.
            let mut polls = 0;
            while let Some(due_ns) = merger.next_due_ns() {
                if merger
                    .pop(due_ns.saturating_add(u64::from(size) << 21), &mut out)
                    .is_some()
                {
                    held -= 1;
                } else {
                    polls += 1;
                    assert!(polls <= 16, "it asks again and again");
                }
            }
            assert_eq!(held, 0);
            let stats = merger.stats();
            let used: u64 = stats.legs.iter().map(|leg| leg.used).sum();
            assert_eq!(stats.delivered, used);
            assert!(
                stats
                    .legs
                    .iter()
                    .all(|leg| leg.used <= leg.received + leg.recovered)
            );
        });
}
