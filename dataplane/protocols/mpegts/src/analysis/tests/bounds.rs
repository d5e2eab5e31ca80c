//! Memory is fixed, and what does not fit is counted.

use super::*;

#[test]
fn an_idle_analyser_takes_less_than_128_kib() {
    let bytes = size_of::<Analyser>()
        + size_of::<TsAligner>()
        + size_of::<Pids>()
        + size_of::<Sections>()
        + size_of::<Tables>()
        + size_of::<[Clock; CLOCKS]>()
        + size_of::<Media>();
    assert!(bytes <= 128 * 1024, "{bytes}");
}

#[test]
fn more_pids_than_fit_are_counted_and_the_named_ones_have_room() {
    let mut analyser = Analyser::new(AnalyserConfig::default());
    let mut flood = Vec::new();
    for pid in 0x20..0x1FF0_u16 {
        let mut packet = [0; TS_PACKET_SIZE];
        packet[0] = SYNC_BYTE;
        packet[1..3].copy_from_slice(&pid.to_be_bytes());
        // With a PCR.
        packet[3..6].copy_from_slice(&[0x30, 7, 0x10]);
        flood.push(packet);
    }
    analyser.on_packets(&flood, 1);
    assert_eq!(analyser.pids().len(), Pids::SLOTS);
    let overflows = analyser.overflows();
    assert_eq!(
        overflows.untracked_packets,
        flood.len() as u64 - Pids::SLOTS as u64
    );
    assert_eq!(overflows.pcrs, Pids::SLOTS as u64 - CLOCKS as u64);
    let recording = Recording::new(2_000_000, 4_000);
    for (n, datagram) in recording.packets.chunks(7).enumerate() {
        analyser.on_packets(datagram, recording.at_ns(7 * n));
    }
    let roles: Vec<_> = [0x0000, 4096, 256, 257]
        .map(|pid| analyser.pid(pid).map(|p| p.role))
        .into();
    assert_eq!(
        roles,
        [
            Some(Role::Pat),
            Some(Role::Pmt),
            Some(Role::Stream),
            Some(Role::Stream)
        ]
    );
    // Two of the flood were on the PIDs of the streams.
    assert_eq!(analyser.counters().cc_errors, 2);
}
