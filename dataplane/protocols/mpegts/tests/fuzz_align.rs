//! Whatever arrives, the aligner neither panics nor grows nor loses count of a byte. Run by `cargo test`, and
//! at length by `cargo bolero test fuzz_align`.

use bilbycast_mpegts::{SYNC_BYTE, TS_PACKET_SIZE, TsAligner};

/// Reads the input as orders: the first byte of each pair says what to send, the second how much.
#[test]
fn fuzz_align() {
    bolero::check!().with_max_len(256).for_each(|orders| {
        let mut aligner = TsAligner::new();
        let (mut fed, mut delivered, mut discarded) = (0, 0, 0);
        for order in orders.chunks(2) {
            let [kind, size] = [order[0], order.get(1).copied().unwrap_or(0)];
            let packets = usize::from(size) % 8;
            let mut datagram = vec![kind; packets * TS_PACKET_SIZE];
            if kind & 1 == 0 {
                for start in (0..datagram.len()).step_by(TS_PACKET_SIZE) {
                    datagram[start] = SYNC_BYTE;
                }
            }
            match kind % 5 {
                0 => datagram.truncate(usize::from(size)),
                1 => datagram.extend_from_slice(orders),
                2 if packets > 0 => datagram[usize::from(kind) % packets * TS_PACKET_SIZE] = size,
                _ => {}
            }
            fed += datagram.len();
            if aligner.take_aligned(&datagram) {
                assert_eq!(datagram.len() % TS_PACKET_SIZE, 0);
                delivered += datagram.len();
            } else {
                discarded += aligner
                    .push(&datagram, |packet| delivered += packet.len())
                    .bytes;
            }
            assert!(aligner.carried() <= TsAligner::CARRIED_MAX);
            assert_eq!(fed, delivered + discarded + aligner.carried());
        }
    });
}

/// Arbitrary bytes in arbitrary pieces.
#[test]
fn fuzz_align_raw() {
    bolero::check!().for_each(|bytes| {
        let mut aligner = TsAligner::new();
        let (mut delivered, mut discarded) = (0, 0);
        for piece in bytes.chunks(1 + bytes.len() / 7) {
            let _ = aligner.is_aligned(piece);
            discarded += aligner
                .push(piece, |packet| delivered += packet.len())
                .bytes;
        }
        assert!(aligner.carried() <= TsAligner::CARRIED_MAX);
        assert_eq!(bytes.len(), delivered + discarded + aligner.carried());
    });
}
