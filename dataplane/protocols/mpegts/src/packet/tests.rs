use proptest::prelude::*;

use super::*;

fn control(value: u8) -> AdaptationFieldControl {
    match value & 3 {
        0 => AdaptationFieldControl::Reserved,
        1 => AdaptationFieldControl::Payload,
        2 => AdaptationFieldControl::AdaptationField,
        _ => AdaptationFieldControl::Both,
    }
}

#[test]
fn null_packet_is_what_the_standard_says() {
    let packet = TsPacket::new(&NULL_PACKET);
    assert!(packet.has_sync_byte());
    assert_eq!(packet.pid(), Pid::NULL);
    assert_eq!(
        packet.adaptation_field_control(),
        AdaptationFieldControl::Payload
    );
    assert_eq!(packet.payload().map(<[u8]>::len), Some(184));
    assert_eq!(packet.pcr(), None);
}

#[test]
fn known_pcr_packet_reads_as_it_should() {
    // Adaptation field of 7 bytes: discontinuity, random access, PCR 1 s + 7 ticks: base 90000, extension 7.
    let mut bytes = [0xFF; TS_PACKET_SIZE];
    bytes[..12].copy_from_slice(&[
        0x47, 0x41, 0x00, 0x3A, 0x07, 0xD0, 0x00, 0x00, 0xAF, 0xC8, 0x7E, 0x07,
    ]);
    let packet = TsPacket::new(&bytes);
    assert!(packet.payload_unit_start_indicator());
    assert!(!packet.transport_error_indicator());
    assert_eq!(packet.pid().value(), 256);
    assert_eq!(packet.continuity_counter(), 10);
    assert!(packet.discontinuity_indicator());
    assert!(packet.random_access_indicator());
    assert_eq!(packet.pcr().map(Pcr27MHz::ticks), Some(27_000_007));
    assert_eq!(packet.payload().map(<[u8]>::len), Some(176));
}

#[test]
fn adaptation_field_longer_than_the_packet_is_absent() {
    let mut bytes = [0xFF; TS_PACKET_SIZE];
    bytes[..6].copy_from_slice(&[0x47, 0x01, 0x00, 0x30, 184, 0x90]);
    let packet = TsPacket::new(&bytes);
    assert!(packet.adaptation_field().is_none());
    assert!(!packet.discontinuity_indicator());
    assert_eq!(packet.pcr(), None);
    assert_eq!(packet.payload(), None);
}

#[test]
fn pcr_flag_in_a_field_too_short_gives_no_pcr() {
    let mut bytes = [0xFF; TS_PACKET_SIZE];
    bytes[..6].copy_from_slice(&[0x47, 0x01, 0x00, 0x30, 6, 0x10]);
    assert_eq!(TsPacket::new(&bytes).pcr(), None);
}

#[test]
fn empty_adaptation_field_is_one_byte_of_stuffing() {
    let mut bytes = [0xFF; TS_PACKET_SIZE];
    bytes[..5].copy_from_slice(&[0x47, 0x01, 0x00, 0x30, 0]);
    let packet = TsPacket::new(&bytes);
    assert_eq!(
        packet
            .adaptation_field()
            .map(|field| field.as_bytes().len()),
        Some(0)
    );
    assert_eq!(packet.payload().map(<[u8]>::len), Some(183));
}

#[test]
fn clocks_wrap() {
    let last = Pcr27MHz::from_ticks(Pcr27MHz::MODULUS - 1);
    assert_eq!(last.wrapping_add(1).ticks(), 0);
    assert_eq!(last.wrapping_add(1).ticks_since(last), 1);
    assert_eq!(last.signed_difference(last.wrapping_add(5)), -5);
    let last = Pts90kHz::from_ticks(Pts90kHz::MODULUS - 1);
    assert_eq!(last.wrapping_add(3).signed_difference(last), 3);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in any::<[u8; 32]>(), fill: u8) {
        let mut packet = [fill; TS_PACKET_SIZE];
        packet[..32].copy_from_slice(&bytes);
        let view = TsPacket::new(&packet);
        let payload = view.payload().map_or(0, <[u8]>::len);
        let field = view.adaptation_field().map_or(0, |field| 1 + field.as_bytes().len());
        prop_assert!(4 + field + payload <= TS_PACKET_SIZE);
        let _ = (view.pcr(), view.scrambling_control(), view.transport_priority());
    }

    #[test]
    fn written_header_reads_back(pid in 0u16..0x2000, start: bool, afc: u8, counter in 0u8..16, ticks: u64, random: bool) {
        let header = PacketHeader {
            pid: Pid::from_wire(pid),
            payload_unit_start: start,
            adaptation_field_control: control(afc),
            continuity_counter: counter,
        };
        let mut packet = [0xFF; TS_PACKET_SIZE];
        packet[..4].copy_from_slice(&header.to_wire());
        let pcr = Pcr27MHz::from_ticks(ticks);
        write_pcr(&mut packet, pcr, random);
        let view = TsPacket::new(&packet);
        prop_assert!(view.has_sync_byte());
        prop_assert_eq!(view.pid(), header.pid);
        prop_assert_eq!(view.payload_unit_start_indicator(), start);
        prop_assert_eq!(view.adaptation_field_control(), header.adaptation_field_control);
        prop_assert_eq!(view.continuity_counter(), counter);
        prop_assert_eq!(view.scrambling_control(), ScramblingControl::Clear);
        prop_assert!(!view.transport_error_indicator());
        if header.adaptation_field_control.has_adaptation_field() {
            prop_assert_eq!(view.pcr(), Some(pcr));
            prop_assert_eq!(view.random_access_indicator(), random);
            prop_assert!(!view.discontinuity_indicator());
        } else {
            prop_assert_eq!(view.pcr(), None);
        }
    }

    #[test]
    fn pts_reads_back(ticks: u64, prefix in 0u8..16) {
        let pts = Pts90kHz::from_ticks(ticks);
        let wire = pts.to_wire(prefix);
        prop_assert_eq!(Pts90kHz::from_wire(&wire), pts);
        prop_assert_eq!(wire[0] >> 4, prefix);
        prop_assert_eq!((wire[0] & wire[2] & wire[4]) & 1, 1);
    }

    #[test]
    fn pcr_arithmetic_is_consistent(a: u64, step in 0..Pcr27MHz::MODULUS) {
        let a = Pcr27MHz::from_ticks(a);
        prop_assert_eq!(a.wrapping_add(step).ticks_since(a), step);
        let difference = a.wrapping_add(step).signed_difference(a);
        prop_assert_eq!(difference.rem_euclid(Pcr27MHz::MODULUS as i64) as u64, step);
    }
}
