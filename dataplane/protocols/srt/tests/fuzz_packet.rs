//! Fuzz target: any bytes as an SRT packet, and everything in it read. Run by `cargo test`, and at length by
//! `cargo bolero test fuzz_packet`.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use bilbycast_srt::crypto::KeyMaterial;
use bilbycast_srt::wire::{
    Control, ControlPacket, HEADER_BYTES, HsExtension, LossRange, Packet, SeqNumber,
    destination_of, write_nak,
};

#[test]
fn fuzz_packet() {
    bolero::check!().with_max_len(2_048).for_each(|bytes| {
        let Ok(packet) = Packet::parse(bytes) else {
            return;
        };
        assert_eq!(destination_of(bytes), Some(packet.destination()));
        let mut buffer = [0; 2_100];
        match packet {
            Packet::Data(data) => {
                let length = data.write(&mut buffer).unwrap();
                assert_eq!(&buffer[..length], bytes);
            }
            Packet::Control(control) => read(&control, &mut buffer),
        }
    });
}

fn read(packet: &ControlPacket<'_>, buffer: &mut [u8]) {
    let length = packet.write(buffer).unwrap();
    let Ok(Packet::Control(again)) = Packet::parse(&buffer[..length]) else {
        panic!("what was written is a control packet");
    };
    assert_eq!(again.destination, packet.destination);
    match packet.control {
        Control::Handshake(handshake) => {
            assert_eq!(again.control, packet.control);
            for extension in handshake.extensions.iter().flatten() {
                let _ = extension.text();
                let _ = HsExtension::parse(extension.content);
                let _ = KeyMaterial::parse(extension.content);
            }
        }
        Control::Nak(list) => {
            let oldest = SeqNumber::new(u32::try_from(list.as_bytes().len()).unwrap());
            let newest = oldest.plus(1_000);
            let ranges: Vec<LossRange> = list.ranges().collect();
            for range in &ranges {
                assert!(!range.last.is_before(range.first));
                if let Some(part) = range.within(oldest, newest) {
                    assert!(part.count() <= 1_001, "{part:?}");
                    assert!(!part.first.is_before(oldest) && !part.last.is_after(newest));
                }
            }
            let mut buffer = [0; 2_100];
            let (length, count) = write_nak(
                &mut buffer,
                packet.timestamp,
                packet.destination,
                ranges.iter().copied(),
            );
            assert_eq!(count, ranges.len());
            assert!(length == 0 || length >= HEADER_BYTES + 4);
        }
        Control::Unknown { .. } => {}
        _ => assert_eq!(again.control, packet.control),
    }
}
