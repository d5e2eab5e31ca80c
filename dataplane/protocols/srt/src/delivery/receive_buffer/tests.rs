use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Arrival, LossRange, Micros, ReceiveBuffer, Reporting, SeqNumber, SourceTime};

const FIRST: SeqNumber = SeqNumber::MAX;
const WINDOW: u32 = 64;

fn at(count: u32) -> SeqNumber {
    FIRST.plus(count)
}

fn range(first: u32, last: u32) -> LossRange {
    LossRange {
        first: at(first),
        last: at(last),
    }
}

fn buffer(reporting: Reporting) -> ReceiveBuffer {
    ReceiveBuffer::new(WINDOW, 16, FIRST, reporting)
}

fn immediate() -> ReceiveBuffer {
    buffer(Reporting::Immediate { tolerance: 0 })
}

fn put(buffer: &mut ReceiveBuffer, count: u32) -> Arrival {
    let source = SourceTime(i64::from(count));
    buffer.insert(
        Micros(u64::from(count)),
        at(count),
        source,
        &count.to_be_bytes(),
        true,
    )
}

fn take(buffer: &mut ReceiveBuffer) -> Option<u32> {
    let mut out = [0; 4];
    assert_eq!(buffer.take(&mut out)?, 4);
    Some(u32::from_be_bytes(out))
}

fn first_reports(buffer: &mut ReceiveBuffer, now: Micros) -> Vec<LossRange> {
    let mut ranges = Vec::new();
    buffer.first_reports(now, &mut |range| ranges.push(range));
    ranges
}

fn repeated(buffer: &mut ReceiveBuffer, now: Micros, interval: Micros) -> Vec<LossRange> {
    let mut ranges = Vec::new();
    buffer.repeated_reports(now, interval, &mut |range| ranges.push(range));
    ranges
}

#[test]
fn a_gap_is_reported_once_at_first_and_again_after_the_interval() {
    let mut buffer = immediate();
    put(&mut buffer, 0);
    assert_eq!(put(&mut buffer, 4), Arrival::New { gap: 3 });
    assert_eq!(put(&mut buffer, 6), Arrival::New { gap: 1 });
    let now = Micros::from_millis(1);
    assert_eq!(first_reports(&mut buffer, now), [range(1, 3), range(5, 5)]);
    assert_eq!(first_reports(&mut buffer, now), []);
    let interval = Micros::from_millis(40);
    assert_eq!(
        repeated(&mut buffer, now + Micros::from_millis(39), interval),
        []
    );
    assert_eq!(put(&mut buffer, 2), Arrival::FillsGap { distance: 5 });
    let again = now + Micros::from_millis(41);
    assert_eq!(
        repeated(&mut buffer, again, interval),
        [range(1, 1), range(3, 3), range(5, 5)]
    );
    assert_eq!(repeated(&mut buffer, again, interval), []);
    assert_eq!(buffer.acknowledge(), at(1));
}

#[test]
fn reordering_within_the_tolerance_is_not_reported() {
    let mut buffer = buffer(Reporting::Immediate { tolerance: 3 });
    for count in [0, 1, 4] {
        put(&mut buffer, count);
    }
    assert_eq!(
        first_reports(&mut buffer, Micros(1)),
        [],
        "both may still come"
    );
    put(&mut buffer, 2);
    put(&mut buffer, 5);
    assert_eq!(first_reports(&mut buffer, Micros(1)), []);
    put(&mut buffer, 6);
    assert_eq!(first_reports(&mut buffer, Micros(1)), [range(3, 3)]);
    for count in 7..60 {
        put(&mut buffer, count);
    }
    put(&mut buffer, 61);
    assert_eq!(first_reports(&mut buffer, Micros(1)), []);
    put(&mut buffer, 62);
    assert_eq!(
        first_reports(&mut buffer, Micros(1)),
        [range(60, 60)],
        "the tolerance is two by now"
    );
}

#[test]
fn with_a_filter_only_what_it_gives_up_is_reported() {
    let mut buffer = buffer(Reporting::OnRequest);
    put(&mut buffer, 0);
    put(&mut buffer, 3);
    assert_eq!(first_reports(&mut buffer, Micros(1)), []);
    assert_eq!(repeated(&mut buffer, Micros::from_secs(1), Micros(1)), []);
    assert!(buffer.release_held(Micros::from_secs(1), at(2)));
    assert!(!buffer.release_held(Micros::from_secs(1), at(2)));
    assert!(!buffer.release_held(Micros::from_secs(1), at(3)));
    let later = Micros::from_secs(2);
    assert_eq!(
        repeated(&mut buffer, later, Micros::from_millis(40)),
        [range(2, 2)]
    );
    assert_eq!(buffer.acknowledge(), at(1));
}

#[test]
fn without_retransmission_losses_are_acknowledged_and_may_still_be_filled() {
    let mut buffer = buffer(Reporting::Never);
    put(&mut buffer, 0);
    put(&mut buffer, 3);
    assert_eq!(buffer.acknowledge(), at(4));
    assert!(!buffer.release_held(Micros(9), at(2)));
    assert_eq!(put(&mut buffer, 1), Arrival::FillsGap { distance: 3 });
    assert_eq!((take(&mut buffer), take(&mut buffer)), (Some(0), Some(1)));
    assert!(buffer.first().unwrap().after_gap);
    assert_eq!(take(&mut buffer), Some(3));
    assert_eq!((buffer.missing(), buffer.counts().skipped), (0, 1));
}

#[test]
fn delivery_skips_what_is_missing_and_refuses_it_later() {
    let mut buffer = immediate();
    put(&mut buffer, 0);
    put(&mut buffer, 3);
    assert_eq!(take(&mut buffer), Some(0));
    let delivery = buffer.first().unwrap();
    assert_eq!((delivery.sequence, delivery.after_gap), (at(3), true));
    assert_eq!(take(&mut buffer), Some(3));
    assert_eq!(buffer.acknowledge(), at(4));
    assert_eq!(put(&mut buffer, 2), Arrival::Belated);
    assert_eq!(put(&mut buffer, 3), Arrival::Belated);
    assert_eq!(buffer.missing(), 0);
}

#[test]
fn a_drop_request_closes_the_gap_but_keeps_what_is_there() {
    let mut buffer = immediate();
    for count in [0, 3, 5] {
        put(&mut buffer, count);
    }
    buffer.drop_request(Micros(9), range(3, 1));
    assert_eq!(
        buffer.missing(),
        3,
        "a range that ends before it starts is none"
    );
    buffer.drop_request(Micros(9), range(1, 3));
    assert_eq!((buffer.acknowledge(), buffer.missing()), (at(4), 1));
    assert_eq!((take(&mut buffer), take(&mut buffer)), (Some(0), Some(3)));
    buffer.drop_request(Micros(9), range(4, 20));
    assert_eq!(take(&mut buffer), Some(5));
    assert_eq!((buffer.acknowledge(), buffer.span()), (at(21), 0));
    assert_eq!(put(&mut buffer, 21), Arrival::New { gap: 0 });
}

#[test]
fn no_range_costs_more_than_the_window() {
    let mut buffer = immediate();
    put(&mut buffer, 0);
    buffer.drop_request(
        Micros(9),
        LossRange {
            first: at(1),
            last: at(1).plus(1 << 29),
        },
    );
    assert_eq!(buffer.span(), WINDOW);
    assert_eq!(take(&mut buffer), Some(0));
    assert_eq!(buffer.span(), 0, "nothing is left and nothing is expected");
    buffer.drop_request(
        Micros(9),
        LossRange {
            first: at(1),
            last: at(1).plus(1 << 29),
        },
    );
    assert_eq!(buffer.acknowledge(), at(2).plus(1 << 29));
}

#[test]
fn a_far_end_that_went_on_is_followed_once_nothing_is_left() {
    let mut buffer = immediate();
    put(&mut buffer, 0);
    assert_eq!(put(&mut buffer, 500), Arrival::NoRoom);
    assert_eq!(take(&mut buffer), Some(0));
    assert_eq!(put(&mut buffer, 500), Arrival::New { gap: 499 });
    assert_eq!(
        (take(&mut buffer), buffer.counts().skipped),
        (Some(500), 499)
    );
}

#[test]
fn what_cannot_be_decrypted_is_not_asked_for_again() {
    let mut buffer = immediate();
    put(&mut buffer, 0);
    buffer.insert_unusable(Micros(1), at(2));
    assert_eq!(first_reports(&mut buffer, Micros(1)), [range(1, 1)]);
    put(&mut buffer, 1);
    assert_eq!(buffer.acknowledge(), at(3));
    assert_eq!((take(&mut buffer), take(&mut buffer)), (Some(0), Some(1)));
    assert_eq!((buffer.span(), buffer.counts().skipped), (0, 1));
}

proptest! {
    /// Any order of arrivals, duplicates, deliveries and drop requests against a map.
    #[test]
    fn behaves_like_a_map(operations in proptest::collection::vec((0_u8..8, 0_u32..90), 1..300)) {
        let mut buffer = immediate();
        let mut oracle: BTreeMap<u32, u32> = BTreeMap::new();
        let (mut start, mut end) = (0_u32, 0_u32);
        for (operation, ahead) in operations {
            match operation {
                0..=4 => {
                    let count = (start + ahead).saturating_sub(5);
                    let arrival = put(&mut buffer, count);
                    let expected = if count < start {
                        Arrival::Belated
                    } else if oracle.contains_key(&count) {
                        Arrival::Duplicate
                    } else if count < end {
                        Arrival::FillsGap { distance: end - count }
                    } else if count < start + WINDOW || oracle.is_empty() {
                        Arrival::New { gap: count - end }
                    } else {
                        Arrival::NoRoom
                    };
                    prop_assert_eq!(arrival, expected);
                    if matches!(arrival, Arrival::New { .. } | Arrival::FillsGap { .. }) {
                        if count >= start + WINDOW {
                            start = count;
                        }
                        oracle.insert(count, count);
                        end = end.max(count + 1);
                    }
                }
                5 => {
                    let taken = take(&mut buffer);
                    prop_assert_eq!(taken, oracle.pop_first().map(|(count, _)| count));
                    if let Some(count) = taken {
                        start = count + 1;
                    }
                }
                6 if end > start => {
                    buffer.drop_request(Micros(1), range(start, (start + ahead).min(end - 1)));
                }
                _ => {
                    first_reports(&mut buffer, Micros(1));
                }
            }
            // A window of which nothing is left but what was given up closes by itself.
            if buffer.span() == 0 {
                start = end;
            }
            prop_assert_eq!(buffer.packets() as usize, oracle.len());
            prop_assert_eq!(buffer.span(), end - start);
            prop_assert!(buffer.missing() <= buffer.span() - buffer.packets());
            let first = buffer.first().map(|delivery| delivery.sequence);
            prop_assert_eq!(first, oracle.first_key_value().map(|(count, _)| at(*count)));
            let acknowledged = buffer.acknowledge().offset_from(at(start));
            prop_assert!((0..=buffer.span() as i32).contains(&acknowledged));
        }
    }
}
