use proptest::prelude::*;

use super::*;

/// `count` packets whose payload tells them apart.
fn stream(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|index| {
            let mut packet = [index as u8; TS_PACKET_SIZE];
            packet[0] = 0x47;
            packet[1] = 0x01;
            packet[2] = (index >> 8) as u8;
            packet
        })
        .collect()
}

/// Cuts payloads of these sizes, one pass for each entry of `passes`.
fn cut(stream: &[u8], passes: &[Vec<usize>], header: usize) -> Vec<Vec<u8>> {
    let mut memory = PacketMemory::new();
    let mut cutter = TsDatagrams::new();
    let mut rest = stream;
    let mut out = Vec::new();
    for sizes in passes {
        let mut packets = Vec::new();
        for (slot, size) in sizes.iter().enumerate() {
            let (payload, behind) = rest.split_at((*size).min(rest.len()));
            rest = behind;
            let start = PacketMemory::slot_start(slot);
            memory.received_mut()[start + header..][..payload.len()].copy_from_slice(payload);
            packets.push(Packet {
                start: start as u32,
                bytes: (header + payload.len()) as u32,
                header_bytes: header as u32,
                payload_bytes: payload.len() as u32,
                arrival_ns: 5,
            });
        }
        let mut datagrams = Vec::new();
        cutter.push(&mut memory, &packets, &mut datagrams, 0);
        out.extend(
            datagrams
                .iter()
                .map(|datagram| memory.bytes()[datagram.range()].to_vec()),
        );
    }
    let mut datagrams = Vec::new();
    if cutter.has_stale_leftover(LEFTOVER_NS_MAX) {
        cutter.flush(&mut memory, &mut datagrams);
    }
    out.extend(
        datagrams
            .iter()
            .map(|datagram| memory.bytes()[datagram.range()].to_vec()),
    );
    out
}

#[test]
fn whole_datagrams_are_passed_on_where_they_lie() {
    let mut memory = PacketMemory::new();
    let bytes = stream(14);
    memory.received_mut()[100..100 + bytes.len()].copy_from_slice(&bytes);
    let packet = Packet {
        start: 88,
        bytes: 12 + bytes.len() as u32,
        header_bytes: 12,
        payload_bytes: bytes.len() as u32,
        arrival_ns: 9,
    };
    let mut datagrams = Vec::new();
    TsDatagrams::new().push(&mut memory, &[packet], &mut datagrams, 0);
    let places: Vec<(u32, u32)> = datagrams
        .iter()
        .map(|datagram| (datagram.start, datagram.bytes))
        .collect();
    assert_eq!(places, [(100, 1316), (1416, 1316)]);
}

#[test]
fn smaller_payloads_are_put_together() {
    let bytes = stream(30);
    let out = cut(
        &bytes,
        &[vec![188 * 4; 4], vec![188 * 3; 4], vec![188 * 2]],
        12,
    );
    let sizes: Vec<usize> = out.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1316, 1316, 1316, 1316, 2 * 188]);
    assert_eq!(out.concat(), bytes);
}

#[test]
fn a_leftover_waits_only_so_long() {
    let mut cutter = TsDatagrams::new();
    let mut memory = PacketMemory::new();
    let bytes = stream(2);
    memory.received_mut()[..bytes.len()].copy_from_slice(&bytes);
    let packet = Packet {
        start: 0,
        bytes: bytes.len() as u32,
        header_bytes: 0,
        payload_bytes: bytes.len() as u32,
        arrival_ns: 1,
    };
    let mut datagrams = Vec::new();
    cutter.push(&mut memory, &[packet], &mut datagrams, 1_000);
    assert!(datagrams.is_empty());
    assert!(!cutter.has_stale_leftover(1_000 + LEFTOVER_NS_MAX - 1));
    assert!(cutter.has_stale_leftover(1_000 + LEFTOVER_NS_MAX));
    cutter.flush(&mut memory, &mut datagrams);
    assert_eq!(datagrams.len(), 1);
    assert!(!cutter.has_stale_leftover(u64::MAX));
}

#[test]
fn rubbish_is_counted_and_dropped() {
    let mut memory = PacketMemory::new();
    let mut cutter = TsDatagrams::new();
    let packet = Packet {
        start: 0,
        bytes: 1_000,
        header_bytes: 0,
        payload_bytes: 1_000,
        arrival_ns: 1,
    };
    let mut datagrams = Vec::new();
    cutter.push(&mut memory, &[packet], &mut datagrams, 0);
    assert!(datagrams.is_empty());
    assert_eq!(cutter.bytes_unaligned(), 1_000);
}

proptest! {
    /// However a stream is cut into payloads and passes, the same bytes come out, in whole packets and in order.
    #[test]
    fn bytes_stay_the_same(
        passes in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![Just(1316_usize), (1_usize..12).prop_map(|n| n * 188), 1_usize..3_000], 1..20),
            1..6,
        ),
        header in prop_oneof![Just(0_usize), Just(12), Just(20)],
    ) {
        let total: usize = passes.iter().flatten().sum();
        // Whole packets, so that nothing waits inside the aligner at the end.
        let bytes = stream(total / 188 + 1);
        let out = cut(&bytes[..total / 188 * 188], &passes, header).concat();
        let fed = total / 188 * 188;
        prop_assert!(out.len() % 188 == 0);
        // Without lock up to four packets wait in the aligner; under lock nothing does.
        prop_assert!(out.len() + TsAligner::CARRIED_MAX >= fed);
        prop_assert_eq!(&out[..], &bytes[..out.len()]);
    }
}
