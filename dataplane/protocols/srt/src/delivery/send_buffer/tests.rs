use super::{KeyFlag, LossRange, Micros, MsgNumber, NakOutcome, SendBuffer, SeqNumber, Timestamp};

const FIRST: SeqNumber = SeqNumber::MAX;
const RTT: Micros = Micros::from_millis(40);

fn at(count: u32) -> SeqNumber {
    FIRST.plus(count)
}

fn range(first: u32, last: u32) -> LossRange {
    LossRange {
        first: at(first),
        last: at(last),
    }
}

/// A buffer with `count` packets written, one per millisecond, all of them sent.
fn sent(count: u32) -> SendBuffer {
    let mut buffer = SendBuffer::new(100, 16, FIRST);
    for index in 0..count {
        let now = Micros::from_millis(u64::from(index));
        let payload = index.to_be_bytes();
        buffer
            .push(
                now,
                Timestamp(index),
                MsgNumber::FIRST,
                &[&payload[..2], &payload[2..]],
            )
            .unwrap();
        let packet = buffer.next_unsent().unwrap();
        assert_eq!(packet.sequence, at(index));
        assert_eq!(packet.cell[..4], payload);
        assert_eq!(*packet.key, KeyFlag::None);
        buffer.mark_sent(now);
    }
    buffer
}

fn retransmit_all(buffer: &mut SendBuffer, now: Micros) -> Vec<u32> {
    let mut sequences = Vec::new();
    while let Some(packet) = buffer.next_retransmission() {
        let sequence = packet.sequence;
        assert_eq!(packet.cell[..4], packet.timestamp.0.to_be_bytes());
        buffer.mark_retransmitted(now, sequence);
        sequences.push(sequence.offset_from(FIRST).unsigned_abs());
    }
    sequences
}

#[test]
fn a_full_buffer_refuses_and_an_acknowledgement_makes_room() {
    let mut buffer = sent(100);
    let error = buffer.push(Micros::ZERO, Timestamp(0), MsgNumber::FIRST, &[b"x"]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the send buffer is full at 100 packets"
    );
    assert_eq!(buffer.acknowledge(at(30)), Some(30));
    assert_eq!(
        buffer.acknowledge(at(10)),
        Some(0),
        "an old one changes nothing"
    );
    assert_eq!(
        buffer.acknowledge(at(101)),
        None,
        "of a packet that was never sent"
    );
    assert_eq!((buffer.in_flight(), buffer.bytes()), (70, 280));
    for index in 100..130 {
        buffer
            .push(Micros::ZERO, Timestamp(index), MsgNumber::FIRST, &[b"x"])
            .unwrap();
    }
    assert_eq!(buffer.waiting(), 30);
}

#[test]
fn what_a_nak_asks_for_is_bounded_by_what_is_in_flight() {
    let mut buffer = sent(50);
    buffer.acknowledge(at(10));
    for _ in 0..180 {
        buffer.request(LossRange {
            first: at(12).minus(1 << 29),
            last: at(12),
        });
        buffer.request(LossRange {
            first: at(48),
            last: at(48).plus(1 << 29),
        });
    }
    let outcome = buffer.decide_requests(Micros::from_secs(1), RTT);
    assert_eq!((outcome.lost, outcome.scheduled), (5, 5));
    assert_eq!(
        retransmit_all(&mut buffer, Micros::from_secs(1)),
        [10, 11, 12, 48, 49]
    );
}

#[test]
fn a_request_that_crossed_the_retransmission_is_not_answered() {
    let mut buffer = sent(50);
    let start = Micros::from_secs(1);
    buffer.request(range(7, 7));
    assert_eq!(buffer.decide_requests(start, RTT).scheduled, 1);
    assert_eq!(retransmit_all(&mut buffer, start), [7]);
    buffer.request(range(7, 8));
    let outcome = buffer.decide_requests(start + Micros(39_999), RTT);
    assert_eq!(
        outcome,
        NakOutcome {
            lost: 1,
            scheduled: 1,
            suppressed: 1
        }
    );
    assert_eq!(retransmit_all(&mut buffer, start + Micros(39_999)), [8]);
    buffer.request(range(7, 7));
    assert_eq!(buffer.decide_requests(start + RTT, RTT).scheduled, 1);
}

#[test]
fn what_is_acknowledged_is_not_sent_again() {
    let mut buffer = sent(50);
    buffer.request(range(3, 6));
    buffer.decide_requests(Micros::from_secs(1), RTT);
    buffer.acknowledge(at(5));
    assert_eq!(retransmit_all(&mut buffer, Micros::from_secs(1)), [5, 6]);
    assert!(!buffer.has_retransmissions());
}

#[test]
fn too_late_packets_leave_sent_or_not() {
    let mut buffer = sent(50);
    for index in 50..60 {
        let now = Micros::from_millis(index);
        buffer
            .push(now, Timestamp(0), MsgNumber::FIRST, &[b"x"])
            .unwrap();
    }
    assert_eq!(
        buffer.drop_too_late(Micros::from_millis(4)),
        Some(range(0, 4))
    );
    assert_eq!(buffer.drop_too_late(Micros::from_millis(4)), None);
    assert_eq!(buffer.given_up(range(2, 20)), Some(range(2, 4)));
    assert_eq!(buffer.given_up(range(5, 20)), None);
    assert_eq!(
        buffer.drop_too_late(Micros::from_millis(54)),
        Some(range(5, 54))
    );
    assert_eq!((buffer.in_flight(), buffer.waiting()), (0, 5));
    assert_eq!(buffer.next_unsent().unwrap().sequence, at(55));
    assert_eq!(buffer.oldest_written(), Some(Micros::from_millis(55)));
    assert_eq!(buffer.given_up(range(0, 90)), Some(range(0, 54)));
}
