use proptest::prelude::*;

use super::*;
use crate::Micros;

#[test]
fn sequence_numbers_are_ordered_on_a_circle_of_2_to_the_31() {
    let last = SeqNumber::MAX;
    let first = SeqNumber::new(0);
    assert_eq!(last.next(), first);
    assert_eq!(first.previous(), last);
    assert!(last.is_before(first));
    assert!(first.is_after(last));
    assert_eq!(first.offset_from(last), 1);
    assert_eq!(last.offset_from(first), -1);
    assert_eq!(first.plus(5).minus(10), SeqNumber::new(0x7fff_fffb));
    assert_eq!(SeqNumber::new(0x8000_0001), SeqNumber::new(1));
}

#[test]
fn message_numbers_leave_zero_to_the_packet_filter() {
    assert_eq!(MsgNumber::MAX.next(), MsgNumber::FIRST);
    assert_ne!(MsgNumber::FIRST, MsgNumber::FILTER);
    assert_eq!(MsgNumber::new(0xffff_ffff), MsgNumber::MAX);
}

#[test]
fn timestamps_wrap_after_71_minutes() {
    let start = Micros(1_000);
    let before = Timestamp::at(start + Micros((1 << 32) - 1), start);
    let after = Timestamp::at(start + Micros((1 << 32) + 1), start);
    assert_eq!(before, Timestamp(u32::MAX));
    assert_eq!(after, Timestamp(1));
    assert_eq!(after.offset_from(before), 2);
    assert_eq!(before.offset_from(after), -2);
}

#[test]
fn a_data_header_of_libsrt() {
    // srt-live-transmit 1.5.1, AES-192 with the even key, first packet of a stream in live mode.
    let bytes = from_hex("7c586983 c8000001 000a1a04 023754ec 4747");
    let Ok(Packet::Data(packet)) = Packet::parse(&bytes) else {
        panic!("data");
    };
    assert_eq!(packet.header.sequence, SeqNumber::new(2_086_168_963));
    assert_eq!(packet.header.position, MessagePosition::Single);
    assert_eq!(packet.header.key, KeyFlag::Even);
    assert_eq!(packet.header.message, MsgNumber::FIRST);
    assert_eq!(packet.header.timestamp, Timestamp(662_020));
    assert_eq!(packet.header.destination, SocketId(0x0237_54ec));
    assert!(!packet.header.in_order && !packet.header.retransmitted);
    assert_eq!(packet.payload, b"GG");
    assert_eq!(packet.header.to_bytes(), bytes[..HEADER_BYTES]);
}

#[test]
fn acknowledgements_of_every_length() {
    let full = from_hex(
        "80020000 00000001 000a5d11 3d1a00ba 7c586984 000186a0 0000c350 00001ffe 00000002 000003e8 000005f4",
    );
    let Ok(Packet::Control(ControlPacket {
        control: Control::Ack(ack),
        ..
    })) = Packet::parse(&full)
    else {
        panic!("ACK");
    };
    let rates = AckRates {
        packets_per_second: 2,
        link_capacity: 1_000,
        bytes_per_second: 1_524,
    };
    let detail = AckDetail {
        rtt_us: 100_000,
        rtt_var_us: 50_000,
        buffer_available: 8_190,
        rates: Some(rates),
    };
    assert_eq!(ack.number, 1);
    assert_eq!(ack.acknowledged, SeqNumber::new(0x7c58_6984));
    assert_eq!(ack.detail, Some(detail));
    let parsed = |bytes: &[u8]| match Packet::parse(bytes) {
        Ok(Packet::Control(ControlPacket {
            control: Control::Ack(ack),
            ..
        })) => Some(ack),
        _ => None,
    };
    assert_eq!(parsed(&full[..20]).unwrap().detail, None);
    assert_eq!(parsed(&full[..32]).unwrap().detail.unwrap().rates, None);
    let old = parsed(&full[..40]).unwrap().detail.unwrap().rates.unwrap();
    assert_eq!(old.bytes_per_second, 0);
    assert_eq!(parsed(&full[..16]), None);
}

#[test]
fn a_nak_of_four_bytes_and_a_range_without_an_end_are_harmless() {
    let single = from_hex("80030000 00000000 00000001 00000001 00000007");
    assert_eq!(ranges(&single), [(7, 7)]);
    let open = from_hex("80030000 00000000 00000001 00000001 80000007");
    assert_eq!(ranges(&open), []);
    let empty = from_hex("80030000 00000000 00000001 00000001");
    assert!(matches!(
        Packet::parse(&empty),
        Err(ParseError::Truncated { packet: "NAK", .. })
    ));
}

#[test]
fn a_nak_of_everything_costs_what_is_in_flight() {
    // From 0 to 2^31 - 1: on the circle that is backwards, and from 0 to 2^30 - 1 it is the longest that is not.
    let backwards = from_hex("80030000 00000000 00000001 00000001 80000000 7fffffff");
    assert_eq!(ranges(&backwards), []);
    let longest = from_hex("80030000 00000000 00000001 00000001 80000000 3fffffff");
    assert_eq!(ranges(&longest), [(0, 0x3fff_ffff)]);
    let range = LossRange {
        first: SeqNumber::new(0),
        last: SeqNumber::new(0x3fff_ffff),
    };
    let within = |oldest, newest| {
        range
            .within(SeqNumber::new(oldest), SeqNumber::new(newest))
            .map(|range| (range.first.value(), range.last.value(), range.count()))
    };
    assert_eq!(within(100, 199), Some((100, 199, 100)));
    assert_eq!(
        within(0x3fff_fff0, 0x4000_000f),
        Some((0x3fff_fff0, 0x3fff_ffff, 16))
    );
    assert_eq!(within(0x4000_0000, 0x4000_000f), None);
    assert_eq!(range.count(), 1 << 30);
}

#[test]
fn control_types_that_nobody_needs_are_no_errors() {
    let control = |bytes: &str| match Packet::parse(&from_hex(bytes)) {
        Ok(Packet::Control(packet)) => format!("{:?}", packet.control),
        other => format!("{other:?}"),
    };
    let rest = "00000fa0 00000001 00000001";
    assert_eq!(control(&format!("80040000 {rest}")), "CongestionWarning");
    assert_eq!(
        control(&format!("80080000 {rest}")),
        "PeerError { code: 4000 }"
    );
    assert_eq!(
        control(&format!("80090000 {rest}")),
        "Unknown { kind: 9, subtype: 0 }"
    );
    assert_eq!(
        control(&format!("fffe0001 {rest}")),
        "Unknown { kind: 32766, subtype: 1 }"
    );
}

#[test]
fn a_drop_request_may_end_before_it_starts() {
    let bytes = from_hex("80070000 00000003 00000001 00000001 00000009 00000004");
    let Ok(Packet::Control(packet)) = Packet::parse(&bytes) else {
        panic!("DROPREQ");
    };
    assert_eq!(
        packet.control,
        Control::DropRequest {
            message: MsgNumber::new(3),
            first: SeqNumber::new(9),
            last: SeqNumber::new(4),
        }
    );
    assert!(Packet::parse(&bytes[..20]).is_err());
}

#[test]
fn a_conclusion_of_libsrt() {
    // srt-live-transmit srt://127.0.0.1:P?mode=caller&adapter=127.0.0.5&passphrase=0123456789abc&streamid=hello
    // &packetfilter=fec,cols:10&pbkeylen=32 with a listener that advertises 24.
    let bytes = from_hex(CONCLUSION);
    let Ok(Packet::Control(packet)) = Packet::parse(&bytes) else {
        panic!("control");
    };
    let Control::Handshake(handshake) = packet.control else {
        panic!("handshake");
    };
    assert_eq!(handshake.version, 5);
    assert_eq!(handshake.encryption, 3);
    assert_eq!(handshake.extension, ExtensionField(7));
    assert_eq!(handshake.kind, HandshakeKind::Conclusion);
    assert_eq!(handshake.cookie, 0xb356_82ac);
    assert_eq!(
        handshake.peer_ip,
        PeerIp::from(std::net::IpAddr::from([127, 0, 0, 1]))
    );
    let extensions: Vec<_> = handshake.extensions.iter().map(Result::unwrap).collect();
    let kinds: Vec<_> = extensions.iter().map(|extension| extension.kind).collect();
    let expected = [
        ExtensionKind::HsReq,
        ExtensionKind::StreamId,
        ExtensionKind::Filter,
        ExtensionKind::KmReq,
    ];
    assert_eq!(kinds, expected);
    let hs = HsExtension::parse(extensions[0].content).unwrap();
    assert_eq!(hs.version.to_string(), "1.5.1");
    assert_eq!(hs.flags, SrtFlags(0xbf));
    assert_eq!((hs.recv_latency_ms, hs.send_latency_ms), (120, 0));
    assert_eq!(extensions[1].text().as_deref(), Some("hello"));
    assert_eq!(extensions[2].text().as_deref(), Some("fec,cols:10"));
    let mut written = [0; 2_048];
    let length = packet.write(&mut written).unwrap();
    assert_eq!(written[..length], bytes);
}

#[test]
fn extensions_that_lie_about_their_length_end_the_list() {
    let block = |bytes: &str| {
        let bytes = from_hex(bytes);
        Extensions::new(&bytes)
            .iter()
            .map(|block| block.is_ok())
            .collect::<Vec<_>>()
    };
    assert_eq!(block("00010001 00000000 0002ffff 00000000"), [true, false]);
    assert_eq!(block("00050000 00080000 00ff0000"), [true, true, true]);
    assert_eq!(block("0005"), [false]);
}

#[test]
fn texts_must_be_utf_8_without_zeros_inside() {
    let text = |bytes: &str| {
        Extension {
            kind: ExtensionKind::StreamId,
            content: &from_hex(bytes),
        }
        .text()
    };
    assert_eq!(text(""), Some(String::new()));
    assert_eq!(text("00000061").as_deref(), Some("a"));
    assert_eq!(text("61000061"), None);
    assert_eq!(text("000000ff"), None);
    assert_eq!(text(&"61".repeat(512)).map(|text| text.len()), Some(512));
    assert_eq!(text(&"61".repeat(516)), None);
}

#[test]
fn a_buffer_that_is_too_small_is_an_error_for_every_packet() {
    let packet = |control| ControlPacket {
        timestamp: Timestamp(1),
        destination: SocketId(2),
        control,
    };
    let bytes = from_hex(CONCLUSION);
    let Ok(Packet::Control(handshake)) = Packet::parse(&bytes) else {
        panic!("control");
    };
    for packet in [
        packet(Control::KeepAlive),
        packet(Control::Shutdown),
        handshake,
    ] {
        let mut buffer = [0; 2_048];
        let length = packet.write(&mut buffer).unwrap();
        for short in [0, 15, length - 1] {
            let error = packet.write(&mut buffer[..short]).unwrap_err();
            assert_eq!((error.needed, error.available), (length, short));
        }
    }
    let mut buffer = [0; 19];
    let range = LossRange {
        first: SeqNumber::new(1),
        last: SeqNumber::new(1),
    };
    assert_eq!(
        write_nak(&mut buffer, Timestamp(0), SocketId(1), [range]),
        (0, 0)
    );
}

#[test]
fn a_nak_carries_as_many_ranges_as_fit() {
    let range = |first, last| LossRange {
        first: SeqNumber::new(first),
        last: SeqNumber::new(last),
    };
    let mut buffer = [0; HEADER_BYTES + 16];
    let all = [
        range(1, 1),
        range(0x7fff_ffff, 2),
        range(9, 9),
        range(20, 30),
    ];
    let (length, count) = write_nak(&mut buffer, Timestamp(5), SocketId(6), all);
    assert_eq!((length, count), (HEADER_BYTES + 16, 3));
    assert_eq!(
        ranges(&buffer[..length]),
        [(1, 1), (0x7fff_ffff, 2), (9, 9)]
    );
}

proptest! {
    #[test]
    fn offsets_undo_steps(start: u32, step in -(1_i32 << 30)..(1 << 30)) {
        let start = SeqNumber::new(start);
        let moved = if step < 0 {
            start.minus(step.unsigned_abs())
        } else {
            start.plus(step.unsigned_abs())
        };
        prop_assert_eq!(moved.offset_from(start), step);
        prop_assert_eq!(moved.is_before(start), step < 0);
        prop_assert_eq!(moved.is_after(start), step > 0);
    }

    #[test]
    fn every_data_header_survives_the_wire(first in 0_u32..1 << 31, flags: u32, rest: u64) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&first.to_be_bytes());
        bytes[4..8].copy_from_slice(&flags.to_be_bytes());
        bytes[8..].copy_from_slice(&rest.to_be_bytes());
        let Ok(Packet::Data(packet)) = Packet::parse(&bytes) else {
            panic!("data");
        };
        prop_assert_eq!(packet.header.to_bytes(), bytes);
        prop_assert_eq!(destination_of(&bytes), Some(packet.header.destination));
    }
}

/// The packet of `a_conclusion_of_libsrt`.
const CONCLUSION: &str = "80000000 00000000 00000607 00000000 00000005 00030007 7c586983 000005dc 00002000 ffffffff \
    023754ec b35682ac 0100007f 00000000 00000000 00000000 00010003 00010501 000000bf 00780000 00050002 6c6c6568 \
    0000006f 00070003 2c636566 736c6f63 0030313a 00030010 12202901 00000000 02000200 00000406 57c8732a 54ba8bca \
    bd2e3896 42c6cea1 81d578a2 aa48058c 2d5c3077 64eede03 d4b3a3e1 de3e1575 7e1e0fad 41032e1b";

fn ranges(nak: &[u8]) -> Vec<(u32, u32)> {
    match Packet::parse(nak) {
        Ok(Packet::Control(ControlPacket {
            control: Control::Nak(list),
            ..
        })) => list
            .ranges()
            .map(|range| (range.first.value(), range.last.value()))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| u8::try_from(digit).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
