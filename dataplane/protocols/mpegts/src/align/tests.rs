use proptest::prelude::*;

use super::*;
use crate::packet::DATAGRAM_SIZE;
use crate::source::{TestSource, TestSourceConfig};

/// Packets without any sync byte but the first, so that no false grid can be found.
fn stream(packets: usize) -> Vec<u8> {
    (0..packets * TS_PACKET_SIZE)
        .map(
            |index| match (index % TS_PACKET_SIZE, (index / TS_PACKET_SIZE) as u8) {
                (0, _) => SYNC_BYTE,
                (1, number) if number != SYNC_BYTE => number,
                (offset, _) => (offset as u8) | 0x80,
            },
        )
        .collect()
}

/// Pushes `bytes` in pieces of the given sizes, again and again, and checks the balance.
fn push_all(aligner: &mut TsAligner, bytes: &[u8], sizes: &[usize]) -> (Vec<u8>, Discarded) {
    let mut out = Vec::new();
    let mut total = Discarded::default();
    let mut rest = bytes;
    let before = aligner.carried();
    for &size in sizes.iter().cycle() {
        let (piece, left) = rest.split_at(size.min(rest.len()));
        let discarded = aligner.push(piece, |packet| out.extend_from_slice(packet));
        total.bytes += discarded.bytes;
        total.sync_losses += discarded.sync_losses;
        assert!(aligner.carried() <= TsAligner::CARRIED_MAX);
        rest = left;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(
        before + bytes.len(),
        out.len() + total.bytes + aligner.carried()
    );
    (out, total)
}

#[test]
fn payload_check() {
    let bytes = stream(8);
    assert!(is_ts_payload(&bytes[..TS_PACKET_SIZE]));
    assert!(is_ts_payload(&bytes));
    assert!(!is_ts_payload(&[]));
    assert!(!is_ts_payload(&bytes[..187]));
    assert!(!is_ts_payload(&bytes[1..1 + TS_PACKET_SIZE]));
    let mut wrong = bytes;
    wrong[3 * TS_PACKET_SIZE] = 0;
    assert!(!is_ts_payload(&wrong));
}

#[test]
fn aligned_stream_loses_nothing_from_its_first_byte() {
    let bytes = stream(50);
    for size in [1, 187, 188, 189, 1000, DATAGRAM_SIZE, 5000] {
        let mut aligner = TsAligner::new();
        let (out, discarded) = push_all(&mut aligner, &bytes, &[size]);
        assert_eq!(discarded, Discarded::default(), "pieces of {size}");
        assert!(out == bytes, "pieces of {size}");
        assert_eq!(aligner.carried(), 0);
    }
}

#[test]
fn lock_takes_five_sync_bytes() {
    let bytes = stream(5);
    let mut aligner = TsAligner::new();
    let (out, _) = push_all(
        &mut aligner,
        &bytes[..4 * TS_PACKET_SIZE],
        &[TS_PACKET_SIZE],
    );
    assert!(out.is_empty() && !aligner.is_locked());
    let (out, _) = push_all(&mut aligner, &bytes[4 * TS_PACKET_SIZE..][..1], &[1]);
    assert!(aligner.is_locked());
    assert_eq!(out.len(), 4 * TS_PACKET_SIZE);
}

#[test]
fn short_aligned_stream_takes_the_fast_path() {
    let bytes = stream(7);
    let mut aligner = TsAligner::new();
    assert!(aligner.take_aligned(&bytes[..3 * TS_PACKET_SIZE]));
    assert!(!aligner.is_locked());
    assert!(aligner.take_aligned(&bytes[3 * TS_PACKET_SIZE..]));
    assert!(aligner.is_locked());
    assert!(!aligner.is_aligned(&bytes[..187]));
    assert!(!aligner.is_aligned(&[]));
}

#[test]
fn nothing_is_aligned_behind_carried_bytes() {
    let bytes = stream(20);
    let mut aligner = TsAligner::new();
    assert!(aligner.take_aligned(&bytes));
    let (out, _) = push_all(&mut aligner, &bytes[..100], &[100]);
    assert!(out.is_empty());
    assert!(!aligner.take_aligned(&bytes));
    let (out, discarded) = push_all(&mut aligner, &bytes[100..TS_PACKET_SIZE], &[88]);
    assert_eq!(
        (out.len(), discarded),
        (TS_PACKET_SIZE, Discarded::default())
    );
    assert!(aligner.take_aligned(&bytes));
}

#[test]
fn tr101290_1_1_single_wrong_sync_byte_passes() {
    let mut bytes = stream(21);
    bytes[8 * TS_PACKET_SIZE] = 0x46;
    bytes[13 * TS_PACKET_SIZE] = 0x00; // last packet of the second datagram
    let mut aligner = TsAligner::new();
    let (out, discarded) = push_all(&mut aligner, &bytes, &[500]);
    assert_eq!(discarded, Discarded::default());
    assert!(out == bytes);

    // The same through the fast path, where a wrong last packet has to wait.
    let mut aligner = TsAligner::new();
    let mut out = Vec::new();
    let mut taken = 0;
    for datagram in bytes.chunks(DATAGRAM_SIZE) {
        if aligner.take_aligned(datagram) {
            out.extend_from_slice(datagram);
            taken += 1;
        } else {
            let discarded = aligner.push(datagram, |packet| out.extend_from_slice(packet));
            assert_eq!(discarded, Discarded::default());
        }
    }
    assert!(out == bytes);
    assert_eq!(taken, 1);
    assert!(aligner.take_aligned(&bytes[..DATAGRAM_SIZE]));
}

#[test]
fn tr101290_1_1_two_wrong_sync_bytes_lose_lock() {
    let mut bytes = stream(30);
    bytes[10 * TS_PACKET_SIZE] = 0;
    bytes[11 * TS_PACKET_SIZE] = 0;
    let mut aligner = TsAligner::new();
    assert!(aligner.take_aligned(&bytes[..7 * TS_PACKET_SIZE]));
    assert!(!aligner.is_aligned(&bytes[7 * TS_PACKET_SIZE..14 * TS_PACKET_SIZE]));
    let (out, discarded) = push_all(&mut aligner, &bytes[7 * TS_PACKET_SIZE..], &[DATAGRAM_SIZE]);
    assert_eq!(
        discarded,
        Discarded {
            bytes: 2 * TS_PACKET_SIZE,
            sync_losses: 1
        }
    );
    assert!(out[..3 * TS_PACKET_SIZE] == bytes[7 * TS_PACKET_SIZE..10 * TS_PACKET_SIZE]);
    assert!(out[3 * TS_PACKET_SIZE..] == bytes[12 * TS_PACKET_SIZE..]);
    assert!(aligner.is_locked());
}

#[test]
fn lost_bytes_cost_lock_and_it_comes_back() {
    let bytes = stream(40);
    let mut broken = bytes[..10 * TS_PACKET_SIZE + 50].to_vec();
    broken.extend_from_slice(&bytes[10 * TS_PACKET_SIZE + 100..]);
    let mut aligner = TsAligner::new();
    let (out, discarded) = push_all(&mut aligner, &broken, &[DATAGRAM_SIZE]);
    // The damaged packet is completed with 50 bytes of the next one, whose rest goes.
    assert_eq!(
        discarded,
        Discarded {
            bytes: TS_PACKET_SIZE - 50,
            sync_losses: 1
        }
    );
    assert!(out[11 * TS_PACKET_SIZE..] == bytes[12 * TS_PACKET_SIZE..]);
}

#[test]
fn stray_short_datagram_costs_no_packet() {
    let bytes = stream(40);
    let mut aligner = TsAligner::new();
    assert!(aligner.take_aligned(&bytes[..DATAGRAM_SIZE]));
    let stray = aligner.push(&[0], |_| unreachable!("one byte is no packet"));
    assert_eq!(stray, Discarded::default());
    let (out, discarded) = push_all(&mut aligner, &bytes[DATAGRAM_SIZE..], &[DATAGRAM_SIZE]);
    assert_eq!(
        discarded,
        Discarded {
            bytes: 1,
            sync_losses: 1
        }
    );
    assert!(out == bytes[DATAGRAM_SIZE..]);
    assert!(aligner.is_aligned(&bytes[..DATAGRAM_SIZE]));
}

#[test]
fn reset_forgets() {
    let bytes = stream(7);
    let mut aligner = TsAligner::new();
    assert!(aligner.take_aligned(&bytes));
    let _ = aligner.push(&bytes[..10], |_| unreachable!("ten bytes are no packet"));
    assert_eq!(aligner.reset(), 10);
    assert!(!aligner.is_locked());
    assert_eq!(aligner.carried(), 0);
}

proptest! {
    #[test]
    fn any_chunking_behind_garbage_gives_the_stream(
        garbage in proptest::collection::vec(any::<u8>(), 0..700),
        sizes in proptest::collection::vec(1usize..1500, 1..20),
    ) {
        let bytes = stream(40);
        let mut all = garbage.clone();
        all.extend_from_slice(&bytes);
        let (out, discarded) = push_all(&mut TsAligner::new(), &all, &sizes);
        // A sync byte of the garbage can sit a whole number of packets before the stream.
        prop_assert!(out.ends_with(&bytes));
        prop_assert!(out.len() - bytes.len() <= garbage.len());
        prop_assert_eq!(discarded.sync_losses, 0);
    }

    #[test]
    fn chunking_makes_no_difference(
        noise in proptest::collection::vec((0usize..9400, any::<u8>()), 0..12),
        cuts in proptest::collection::vec((0usize..9000, 0usize..400), 0..4),
        sizes in proptest::collection::vec(1usize..2500, 1..20),
    ) {
        let mut bytes = stream(50);
        for (index, value) in noise {
            bytes[index] = value;
        }
        for (start, length) in cuts {
            let end = (start + length).min(bytes.len());
            bytes.drain(start.min(end)..end);
        }
        let whole = push_all(&mut TsAligner::new(), &bytes, &[usize::MAX]);
        let pieces = push_all(&mut TsAligner::new(), &bytes, &sizes);
        prop_assert!(whole == pieces);
    }

    #[test]
    fn fast_path_and_slow_path_agree(
        wrong in proptest::collection::vec(3usize..32, 0..10),
        sizes in proptest::collection::vec(1usize..8, 1..10),
    ) {
        // Never two in a row: once lock is lost, the fast path is content with fewer sync bytes.
        let mut bytes = stream(64);
        for pair in wrong {
            bytes[2 * pair * TS_PACKET_SIZE] = 0;
        }
        let slow = push_all(&mut TsAligner::new(), &bytes, &[DATAGRAM_SIZE]);
        let mut aligner = TsAligner::new();
        let mut fast = (Vec::new(), Discarded::default());
        let mut rest = &bytes[..];
        for size in sizes.iter().cycle() {
            let (datagram, left) = rest.split_at(rest.len().min(size * TS_PACKET_SIZE));
            if aligner.take_aligned(datagram) {
                fast.0.extend_from_slice(datagram);
            } else {
                let discarded = aligner.push(datagram, |packet| fast.0.extend_from_slice(packet));
                fast.1.bytes += discarded.bytes;
                fast.1.sync_losses += discarded.sync_losses;
            }
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(slow == fast);
    }

    #[test]
    fn real_stream_comes_out_again(sizes in proptest::collection::vec(1usize..1500, 1..20)) {
        let mut source = TestSource::new(&TestSourceConfig::new(1_000_000)).unwrap();
        let mut bytes = vec![0; 100 * TS_PACKET_SIZE];
        source.write(&mut bytes);
        let (out, discarded) = push_all(&mut TsAligner::new(), &bytes, &sizes);
        prop_assert_eq!(discarded, Discarded::default());
        prop_assert!(out == bytes);
    }
}
