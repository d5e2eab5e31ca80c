//! Whatever 188 bytes are, the packet view reads them without a panic and within their bounds. Run by
//! `cargo test`, and at length by `cargo bolero test fuzz_packet`.

use bilbycast_mpegts::{TS_PACKET_SIZE, TsPacket, packets};

#[test]
fn fuzz_packet() {
    bolero::check!().for_each(|bytes| {
        // Short inputs would never make a packet; repeating them reaches every field.
        let repeated: Vec<u8> = bytes
            .iter()
            .copied()
            .cycle()
            .take(2 * TS_PACKET_SIZE)
            .collect();
        for input in [bytes, &repeated[..]] {
            assert_eq!(
                TsPacket::from_slice(input).is_some(),
                input.len() == TS_PACKET_SIZE
            );
            assert_eq!(packets(input).len(), input.len() / TS_PACKET_SIZE);
            for packet in packets(input) {
                let field = packet.adaptation_field();
                let field_size = field.map_or(0, |field| 1 + field.as_bytes().len());
                let payload_size = packet.payload().map_or(0, <[u8]>::len);
                assert!(4 + field_size + payload_size <= TS_PACKET_SIZE);
                assert!(packet.pid().value() <= 0x1FFF);
                assert!(packet.continuity_counter() <= 15);
                if let Some(pcr) = packet.pcr() {
                    assert!(field_size >= 8);
                    assert!(pcr.ticks() < bilbycast_mpegts::Pcr27MHz::MODULUS);
                }
                let _ = format!("{packet:?} {:?}", packet.scrambling_control());
            }
        }
    });
}
