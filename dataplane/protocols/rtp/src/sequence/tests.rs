use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const SSRC: Ssrc = Ssrc(1);

fn fed(numbers: impl IntoIterator<Item = u16>) -> SequenceTracker {
    let mut tracker = SequenceTracker::new();
    for number in numbers {
        tracker.on_packet(SSRC, SeqNo(number));
    }
    tracker
}

fn settled(mut tracker: SequenceTracker) -> SequenceTracker {
    tracker.settle();
    tracker.settle();
    tracker
}

#[test]
fn a_clean_stream_loses_nothing_over_the_wrap() {
    let tracker = settled(fed((65_000..=65_535).chain(0..5_000)));
    assert_eq!(
        (tracker.lost(), tracker.reordered(), tracker.duplicate()),
        (0, 0, 0)
    );
    assert_eq!(tracker.restarts(), 0);
}

#[test]
fn gaps_are_counted_exactly_once() {
    let tracker = settled(fed([1, 2, 5, 6, 106, 107]));
    assert_eq!(tracker.lost(), 2 + 99);
    assert_eq!(settled(tracker).lost(), 101);
}

#[test]
fn a_gap_of_a_thousand_is_loss_and_one_more_is_a_restart() {
    assert_eq!(fed([0, 1_000]).lost(), 999 - 127);
    assert_eq!(settled(fed([0, 1_000])).lost(), 999);
    let tracker = settled(fed([0, 1_001]));
    assert_eq!((tracker.lost(), tracker.restarts()), (0, 1));
}

#[test]
fn a_reordered_packet_is_not_lost() {
    let tracker = settled(fed([1, 3, 2, 4, 7, 6, 5]));
    assert_eq!((tracker.lost(), tracker.reordered()), (0, 3));
}

#[test]
fn a_duplicate_is_neither_lost_nor_reordered() {
    let tracker = settled(fed([1, 2, 2, 3, 1]));
    assert_eq!(
        (tracker.lost(), tracker.reordered(), tracker.duplicate()),
        (0, 0, 2)
    );
}

#[test]
fn loss_at_the_end_is_counted_by_settling_and_not_at_once() {
    let mut tracker = fed([1, 2, 4]);
    assert_eq!(tracker.lost(), 0);
    tracker.settle();
    assert_eq!(tracker.lost(), 0);
    tracker.settle();
    assert_eq!(tracker.lost(), 1);
    // Too late now: the count is not taken back.
    assert_eq!(tracker.on_packet(SSRC, SeqNo(3)), Arrival::Late);
    assert_eq!(tracker.lost(), 1);
}

#[test]
fn another_ssrc_is_a_restart() {
    let mut tracker = fed([1, 2]);
    assert_eq!(tracker.on_packet(Ssrc(2), SeqNo(500)), Arrival::First);
    assert_eq!(
        (settled(tracker.clone()).lost(), tracker.restarts()),
        (0, 1)
    );
}

#[test]
fn a_source_that_starts_anew_a_little_earlier_is_noticed() {
    let tracker = settled(fed((1_000..1_400).chain(1_000..1_300)));
    assert_eq!((tracker.lost(), tracker.restarts()), (0, 1));
}

proptest! {
    /// Against an oracle that looks at the whole stream: what was sent and never arrived is lost.
    #[test]
    fn lost_equals_what_never_arrived(
        start in any::<u16>(),
        fates in proptest::collection::vec((0_u8..20, 0_usize..12), 2..3_000),
    ) {
        // (position in time, number): fate 0 is lost, fate 1 is late by some positions, others arrive in order.
        let mut arrivals: Vec<(usize, usize)> = Vec::new();
        let last = fates.len() - 1;
        for (index, (fate, delay)) in fates.iter().enumerate() {
            match fate {
                0 if index != 0 && index != last => {}
                1 if index != 0 && index != last => arrivals.push((2 * (index + delay) + 1, index)),
                _ => arrivals.push((2 * index, index)),
            }
        }
        arrivals.sort_unstable();
        let mut tracker = SequenceTracker::new();
        for (_, index) in &arrivals {
            tracker.on_packet(SSRC, SeqNo(start.wrapping_add(*index as u16)));
        }
        let arrived: HashSet<usize> = arrivals.iter().map(|(_, index)| *index).collect();
        let never = (0..fates.len()).filter(|index| !arrived.contains(index)).count() as u64;
        prop_assert_eq!(settled(tracker).lost(), never);
    }

    #[test]
    fn any_numbers_never_panic(numbers in proptest::collection::vec((0_u32..3, any::<u16>()), 0..2_000)) {
        let mut tracker = SequenceTracker::new();
        for (index, (ssrc, number)) in numbers.iter().enumerate() {
            tracker.on_packet(Ssrc(*ssrc), SeqNo(*number));
            if index % 100 == 0 {
                tracker.settle();
            }
        }
    }
}
