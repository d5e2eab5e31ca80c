//! The injector: every fault raises its own counters, by the exact number, and no other.

use super::*;

const BITRATES: [u64; 3] = [300_000, 4_000_000, 38_000_000];

/// Ten seconds are spoiled from the fourth on, when every verdict has been reached.
fn spoiled(spoil: impl Fn(&mut Recording), expected: Counters) {
    for bitrate_bps in BITRATES {
        let mut recording = Recording::new(bitrate_bps, 10_000);
        spoil(&mut recording);
        for per_datagram in [1, 7] {
            let found = errors(&recording.analyse_in(per_datagram));
            assert_eq!(found, expected, "{bitrate_bps} b/s, {per_datagram} packets");
        }
    }
}

/// Those of `positions` that lie in the second half.
fn later(recording: &Recording, positions: Vec<usize>) -> Vec<usize> {
    let half = recording.packets.len() / 2;
    positions.into_iter().filter(|&n| n > half).collect()
}

/// A packet in the second half with payload of the video and neither a clock nor a beginning.
fn some_video(recording: &Recording) -> Vec<usize> {
    let video = recording.positions(|packet| {
        packet.pid() == TestSource::VIDEO_PID
            && packet.pcr().is_none()
            && packet.payload().is_some()
            && !packet.payload_unit_start_indicator()
    });
    later(recording, video)
}

#[test]
fn clean_streams_raise_nothing() {
    for (bitrate_bps, ms) in [
        (300_000, 40_000),
        (1_000_000, 20_000),
        (38_000_000, 12_000),
        (200_000_000, 4_000),
        (1_000_000_000, 2_000),
    ] {
        let recording = Recording::new(bitrate_bps, ms);
        for per_datagram in [1, 3, 7] {
            let analyser = recording.analyse_in(per_datagram);
            assert_eq!(errors(&analyser), NONE_AT_ALL, "{bitrate_bps} b/s");
            assert_eq!(analyser.overflows(), Overflows::default());
            assert_eq!(analyser.counters().packets, recording.packets.len() as u64);
        }
    }
}

/// Less than the test source can do: a clock and times in every second packet of the video, tables every 376 ms.
#[test]
fn a_clean_stream_of_64_kbps_raises_nothing() {
    let donor = Recording::new(300_000, 1_000);
    let pat = donor.packets[donor.of(Pid::PAT)[0]];
    let pmt = donor.packets[donor.of(TestSource::PMT_PID)[0]];
    let mut counters = [0_u8; 4];
    // They fill datagrams of every size.
    let packets = (0..2_520_u64).map(|n| {
        let pcr = Pcr27MHz::from_ticks(n * 1504 * 27_000_000 / 64_000);
        let (kind, mut packet) = match n % 16 {
            0 => (0, pat),
            8 => (1, pmt),
            4 => (2, pes_packet(257, 0xC0, pcr)),
            _ if n % 2 == 1 => (3, pes_packet(256, 0xE0, pcr)),
            _ => return crate::packet::NULL_PACKET,
        };
        packet[3] = (packet[3] & 0xF0) | counters[kind];
        counters[kind] = (counters[kind] + 1) & 0x0F;
        packet
    });
    let recording = Recording {
        bitrate_bps: 64_000,
        packets: packets.collect(),
    };
    for per_datagram in 1..=7 {
        let found = errors(&recording.analyse_in(per_datagram));
        assert_eq!(found, NONE_AT_ALL, "{per_datagram} packets");
    }
}

/// The beginning of a PES packet with a PTS, in a packet with a PCR.
fn pes_packet(pid: u16, stream_id: u8, pcr: Pcr27MHz) -> Packet {
    let mut packet = [0x55; TS_PACKET_SIZE];
    packet[..3].copy_from_slice(&[SYNC_BYTE, 0x40 | (pid >> 8) as u8, pid as u8]);
    packet[3..6].copy_from_slice(&[0x30, 7, 0x10]);
    packet[6..12].copy_from_slice(&pcr.to_wire());
    packet[12..21].copy_from_slice(&[0, 0, 1, stream_id, 0, 0, 0x84, 0x80, 5]);
    packet[21..26].copy_from_slice(&crate::packet::Pts90kHz::from_ticks(pcr.base()).to_wire(2));
    packet
}

#[test]
fn tr101290_1_1_sync_loss() {
    spoiled(
        |recording| {
            let at = some_video(recording)[20];
            recording.packets[at][0] = 0x48;
            recording.packets[at + 1][0] = 0x48;
        },
        Counters {
            sync_losses: 1,
            sync_byte_errors: 2,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_1_2_bad_sync() {
    spoiled(
        |recording| {
            for &at in some_video(recording).iter().step_by(9).take(3) {
                recording.packets[at][0] = 0x46;
            }
        },
        Counters {
            sync_byte_errors: 3,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_1_3_pat_gap() {
    spoiled(
        |recording| {
            let pats = later(recording, recording.of(Pid::PAT));
            // PATs come every 80 ms: eight missing ones leave a gap of 720 ms.
            recording.take_out(&pats[4..12]);
        },
        Counters {
            pat_errors: 1,
            ..NONE_AT_ALL
        },
    );
    spoiled(
        |recording| {
            let pats = later(recording, recording.of(Pid::PAT));
            recording.take_out(&pats[4..24]);
        },
        Counters {
            pat_errors: 3,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_1_3_scrambled_pat() {
    spoiled(
        |recording| {
            let at = later(recording, recording.of(Pid::PAT))[3];
            recording.packets[at][3] |= 0x80;
        },
        Counters {
            pat_errors: 1,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_1_3_another_table_on_the_pid_of_the_pat() {
    spoiled(
        |recording| {
            let at = later(recording, recording.of(Pid::PAT))[3];
            // table_id behind pointer_field; 0x80 is private, its CRC is not judged.
            recording.packets[at][5] = 0x80;
        },
        Counters {
            pat_errors: 1,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_1_4_drop() {
    spoiled(
        |recording| {
            for n in 0..3 {
                let at = some_video(recording)[20 + 40 * n];
                recording.packets.remove(at);
            }
        },
        Counters {
            cc_errors: 3,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn dropped_null_packets_are_no_error() {
    spoiled(
        |recording| {
            for n in 0..4 {
                let at = later(recording, recording.of(Pid::NULL))[5 + 11 * n];
                recording.packets.remove(at);
            }
        },
        NONE_AT_ALL,
    );
}

#[test]
fn tr101290_1_4_duplicate() {
    let repeat = |times: usize| {
        move |recording: &mut Recording| {
            let at = some_video(recording)[20];
            let packet = recording.packets[at];
            for _ in 0..times {
                recording.packets.insert(at, packet);
            }
        }
    };
    spoiled(repeat(1), NONE_AT_ALL);
    spoiled(
        repeat(3),
        Counters {
            cc_errors: 2,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_1_4_swap() {
    spoiled(
        |recording| {
            let audio = recording.positions(|packet| {
                packet.pid() == TestSource::AUDIO_PID && !packet.payload_unit_start_indicator()
            });
            let audio = later(recording, audio);
            let next = |n: usize| (recording.packets[audio[n]][3] + 1) & 0x0F;
            let pair = (20..).find(|&n| next(n) == recording.packets[audio[n + 1]][3] & 0x0F);
            let (a, b) = pair.map(|n| (audio[n], audio[n + 1])).unwrap();
            recording.packets.swap(a, b);
        },
        // 0 2 1 3: each of the three steps is out of order.
        Counters {
            cc_errors: 3,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn discontinuity_indicator_clears_the_check() {
    spoiled(
        |recording| {
            let pcrs = later(recording, recording.pcrs());
            let (gap, next) = (pcrs[10] + 1, pcrs[11]);
            let lost: Vec<_> = some_video(recording)
                .into_iter()
                .filter(|&n| n >= gap && n < next)
                .collect();
            for &at in &lost {
                recording.packets[at] = crate::packet::NULL_PACKET;
            }
            recording.packets[next][5] |= 0x80;
        },
        NONE_AT_ALL,
    );
}

#[test]
fn tr101290_1_5_pmt_gap() {
    spoiled(
        |recording| {
            let pmts = later(recording, recording.of(TestSource::PMT_PID));
            recording.take_out(&pmts[4..12]);
        },
        Counters {
            pmt_errors: 1,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_1_5_scrambled_pmt() {
    spoiled(
        |recording| {
            let at = later(recording, recording.of(TestSource::PMT_PID))[3];
            recording.packets[at][3] |= 0xC0;
        },
        Counters {
            pmt_errors: 1,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_1_6_missing_pid() {
    for (seconds, expected) in [(10, 1), (14, 2)] {
        let mut recording = Recording::new(2_000_000, 3_000 + 1_000 * seconds);
        let audio = recording.of(TestSource::AUDIO_PID);
        let start = recording.packets.len() * 3 / (3 + seconds as usize);
        let end = recording.packets.len() * (seconds as usize + 1) / (3 + seconds as usize);
        for at in audio {
            if at > start && at < end {
                recording.packets[at] = crate::packet::NULL_PACKET;
            }
        }
        let found = errors(&recording.analyse());
        // What is missing also breaks the counter once and leaves a PTS gap when it comes back.
        let expected = Counters {
            pid_errors: expected,
            pts_errors: 1,
            cc_errors: found.cc_errors.min(1),
            ..NONE_AT_ALL
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn tr101290_2_1_tei() {
    spoiled(
        |recording| {
            for &at in some_video(recording).iter().step_by(9).take(5) {
                recording.packets[at][1] |= 0x80;
            }
            let at = later(recording, recording.of(Pid::NULL))[0];
            recording.packets[at][1] |= 0x80;
        },
        Counters {
            tei_errors: 6,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_2_2_crc() {
    spoiled(
        |recording| {
            for pid in [Pid::PAT, TestSource::PMT_PID, Pid::SDT] {
                let at = later(recording, recording.of(pid))[1];
                // The last byte of the body: table_id, length and numbers stay right.
                recording.packets[at][5 + 9] ^= 0x10;
            }
        },
        Counters {
            crc_errors: 3,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_2_3_pcr_gap() {
    spoiled(
        |recording| {
            let pcrs = later(recording, recording.pcrs());
            // PCRs come every 20 ms; without seven the gap is 160 ms.
            for &at in &pcrs[10..17] {
                // PCR_flag goes, the field is stuffing.
                recording.packets[at][5] &= !0x10;
            }
        },
        Counters {
            pcr_repetition_errors: 1,
            pcr_discontinuity_errors: 1,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_2_3_pcr_jump() {
    let jump = |flagged: bool| {
        move |recording: &mut Recording| {
            let pcrs = later(recording, recording.pcrs());
            let range = [10..pcrs.len(), 30..pcrs.len()];
            for range in range {
                for &at in &pcrs[range] {
                    recording.move_pcr(at, 5 * 27_000_000);
                }
            }
            if flagged {
                recording.packets[pcrs[10]][5] |= 0x80;
                recording.packets[pcrs[30]][5] |= 0x80;
            }
        }
    };
    spoiled(
        jump(false),
        Counters {
            pcr_discontinuity_errors: 2,
            ..NONE_AT_ALL
        },
    );
    spoiled(jump(true), NONE_AT_ALL);
}

#[test]
fn tr101290_2_4_pcr_accuracy() {
    spoiled(
        |recording| {
            let pcrs = recording.pcrs();
            for n in 0..10 {
                recording.move_pcr(pcrs[40 + 17 * n], if n % 2 == 0 { 54 } else { -54 });
            }
        },
        Counters {
            pcr_accuracy_errors: 10,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_2_4_pcr_jitter_within_300_ns() {
    spoiled(
        |recording| {
            let mut random = 1_u64;
            for at in recording.pcrs() {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                recording.move_pcr(at, (random >> 33) as i64 % 17 - 8);
            }
        },
        NONE_AT_ALL,
    );
}

#[test]
fn tr101290_2_5_pts_gap() {
    spoiled(
        |recording| {
            let at_s = |n| (recording.at_ns(n) - 1_000_000_000) as f64 / 1e9;
            let gap: Vec<_> = recording
                .positions(|packet| {
                    packet.pid() == TestSource::VIDEO_PID && packet.payload_unit_start_indicator()
                })
                .into_iter()
                .filter(|&n| (6.0..6.9).contains(&at_s(n)))
                .collect();
            for at in gap {
                // PTS_DTS_flags of the PES header, behind whatever adaptation field there is.
                let packet = &mut recording.packets[at];
                let start = TS_PACKET_SIZE - TsPacket::new(packet).payload().unwrap().len();
                packet[start + 7] &= 0x3F;
            }
        },
        Counters {
            pts_errors: 1,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_2_6_scrambled_without_a_cat() {
    let mut recording = Recording::new(4_000_000, 8_000);
    let half = recording.packets.len() / 2;
    for at in recording.of(TestSource::VIDEO_PID) {
        // A datagram arrives when its first packet does.
        if at > half + 7 {
            recording.packets[at][3] |= 0x80;
        }
    }
    let found = errors(&recording.analyse());
    let expected = Counters {
        cat_errors: 3,
        ..NONE_AT_ALL
    };
    assert_eq!(found, expected);
}

#[test]
fn tr101290_3_4_unreferenced_pid() {
    spoiled(
        |recording| {
            for (n, at) in later(recording, recording.of(Pid::NULL))
                .into_iter()
                .enumerate()
            {
                if n % 4 == 0 {
                    let counter = (n / 4 % 16) as u8;
                    recording.packets[at][1..4].copy_from_slice(&[0x05, 0x55, 0x10 | counter]);
                }
            }
        },
        Counters {
            unreferenced_pids: 1,
            ..NONE_AT_ALL
        },
    );
}

#[test]
fn tr101290_3_5_sdt_gap() {
    spoiled(
        |recording| {
            // SDTs come every 800 ms.
            let sdts = later(recording, recording.of(Pid::SDT));
            recording.take_out(&sdts[1..4]);
        },
        Counters {
            sdt_errors: 1,
            ..NONE_AT_ALL
        },
    );
}
