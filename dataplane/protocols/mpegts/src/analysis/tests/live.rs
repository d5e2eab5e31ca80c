//! Programmes, priorities, rates and silence, as a flow sees them.

use proptest::prelude::*;

use super::*;

#[test]
fn the_test_source_is_described_as_it_is() {
    let recording = Recording::new(8_000_000, 3_000);
    let analyser = recording.analyse();
    let programmes: Vec<_> = analyser.programmes().collect();
    let [programme] = programmes[..] else {
        panic!("{programmes:?}")
    };
    assert_eq!(programme.number, 1);
    assert_eq!(programme.pmt_pid, TestSource::PMT_PID.value());
    assert_eq!(programme.pcr_pid, Some(TestSource::VIDEO_PID.value()));
    let streams: Vec<_> = analyser.streams().collect();
    let [video, audio] = streams[..] else {
        panic!("{streams:?}")
    };
    assert_eq!((video.pid, video.codec), (256, Codec::H264));
    assert_eq!((audio.pid, audio.codec), (257, Codec::MpegAudio));
    assert_eq!(
        audio.language.map(|l| l.as_str().to_owned()).as_deref(),
        Some("eng")
    );
    let MediaInfo::Video(picture) = video.media else {
        panic!("{:?}", video.media)
    };
    assert_eq!(picture.size, Some((1920, 1080)));
    assert_eq!(picture.frame_rate.map(FrameRate::per_second), Some(25.0));
    let MediaInfo::Audio(sound) = audio.media else {
        panic!("{:?}", audio.media)
    };
    assert_eq!((sound.sample_rate_hz, sound.channels), (48_000, 2));
    assert!(analyser.total_bitrate_bps().abs_diff(8_000_000) < 20);
    let null = analyser.counters().null_packets as f64 / analyser.counters().packets as f64;
    assert!((analyser.null_bitrate_bps() as f64 / 8e6 - null).abs() < 0.02);
    let clock = analyser.pid(256).unwrap().clock.unwrap();
    assert!(clock.pcrs > 140);
}

#[test]
fn silence_counts_tables_and_pids_on() {
    let recording = Recording::new(2_000_000, 4_000);
    let mut analyser = Analyser::new(AnalyserConfig::default());
    for (n, datagram) in recording.packets.chunks(7).enumerate() {
        analyser.on_packets(datagram, recording.at_ns(7 * n));
    }
    let end_ns = recording.at_ns(recording.packets.len());
    assert_eq!(analyser.priorities_ok(end_ns), [true; 3]);
    for ms in (0..=5_300).step_by(100) {
        analyser.tick(end_ns + ms * 1_000_000);
    }
    // The last PAT came up to 80 ms and the last packet of each PID up to 40 ms before the end.
    let expected = Counters {
        pat_errors: 10,
        pmt_errors: 10,
        pid_errors: 2,
        ..NONE_AT_ALL
    };
    assert_eq!(errors(&analyser), expected);
    assert_eq!(
        analyser.priorities_ok(end_ns + 5_300_000_000),
        [false, true, true]
    );
    assert_eq!(analyser.total_bitrate_bps(), 0);
}

#[test]
fn a_clock_that_arrives_late_is_late() {
    // 90 ms more than the 20 ms from PCR to PCR; datagrams of seven take 5 ms.
    for (pause_ns, expected) in [(70_000_000, 0), (90_000_000, 1)] {
        let recording = Recording::new(2_000_000, 6_000);
        let pcrs = recording.pcrs();
        let at = pcrs[pcrs.len() / 2];
        let mut analyser = Analyser::new(AnalyserConfig::default());
        for (n, datagram) in recording.packets.chunks(7).enumerate() {
            let pause_ns = if 7 * n > at { pause_ns } else { 0 };
            analyser.on_packets(datagram, recording.at_ns(7 * n) + pause_ns);
        }
        let expected = Counters {
            pcr_repetition_errors: expected,
            ..NONE_AT_ALL
        };
        assert_eq!(errors(&analyser), expected);
    }
}

#[test]
fn a_priority_is_in_order_again_after_a_second() {
    let mut recording = Recording::new(4_000_000, 6_000);
    let at = recording.packets.len() / 2;
    recording.packets[at][1] |= 0x80;
    let mut analyser = Analyser::new(AnalyserConfig::default());
    let mut bad_ms = 0;
    for (n, packet) in recording.packets.iter().enumerate() {
        analyser.on_packets(std::slice::from_ref(packet), recording.at_ns(n));
        let [first, second, third] = analyser.priorities_ok(recording.at_ns(n));
        assert!(first && third);
        bad_ms += u64::from(!second);
    }
    let bad_ms = bad_ms * 1504 / 4_000;
    assert!((990..=1110).contains(&bad_ms), "{bad_ms}");
}

#[test]
fn a_pmt_that_drops_a_pid_ends_its_error_and_moves_are_followed() {
    let mut recording = Recording::new(2_000_000, 20_000);
    let half = recording.packets.len() / 2;
    // From the half on the PAT names another PMT PID, on which a PMT without the audio comes.
    for at in recording.of(Pid::PAT) {
        if at >= half {
            change_section(&mut recording.packets[at], |body| {
                body[10..12].copy_from_slice(&[0xE0 | 0x12, 0x34]);
            });
        }
    }
    for at in recording.of(TestSource::PMT_PID) {
        if at >= half {
            recording.packets[at][1..3].copy_from_slice(&[0x40 | 0x12, 0x34]);
            change_section(&mut recording.packets[at], |body| {
                // The entry of the video and four bytes of CRC remain behind the header.
                let len = 12 + 5 - 3 + 4;
                body[2] = len as u8;
                body.truncate(3 + len);
            });
        }
    }
    for at in recording.of(TestSource::AUDIO_PID) {
        if at >= half {
            recording.packets[at] = crate::packet::NULL_PACKET;
        }
    }
    let analyser = recording.analyse();
    assert_eq!(errors(&analyser), NONE_AT_ALL);
    let programmes: Vec<_> = analyser.programmes().map(|p| p.pmt_pid).collect();
    assert_eq!(programmes, [0x1234]);
    let streams: Vec<_> = analyser.streams().map(|s| s.pid).collect();
    assert_eq!(streams, [256]);
    assert_eq!(analyser.pid(257).unwrap().role, Role::Unreferenced);
    assert_eq!(analyser.pid(4096).unwrap().role, Role::Unreferenced);
}

/// Changes the section of a packet that begins with one, and its CRC.
fn change_section(packet: &mut Packet, change: impl FnOnce(&mut Vec<u8>)) {
    let length = usize::from(packet[6] & 0x0F) << 8 | usize::from(packet[7]);
    let mut section = packet[5..5 + 3 + length].to_vec();
    change(&mut section);
    let body = section.len() - 4;
    let crc = crc::advance_crc(crc::CRC_START, &section[..body]);
    section[body..].copy_from_slice(&crc.to_be_bytes());
    packet[5..].fill(0xFF);
    packet[5..5 + section.len()].copy_from_slice(&section);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_bytes_are_cut_the_counters_are_the_same(
        sizes in prop::collection::vec(prop_oneof![(1_usize..=7).prop_map(|n| n * 188), 1_usize..1500], 1..40),
        faults in prop::collection::vec((0.02_f64..0.98, 0_u8..6), 0..12),
    ) {
        let mut recording = Recording::new(2_000_000, 1_500);
        for (at, kind) in faults {
            let at = (at * recording.packets.len() as f64) as usize;
            match kind {
                0 => { recording.packets.remove(at); }
                1 => recording.packets[at][1] |= 0x80,
                2 => recording.packets[at][0] ^= 0x10,
                3 => { let packet = recording.packets[at]; recording.packets.insert(at, packet); }
                4 => {
                    recording.packets[at][0] ^= 0x10;
                    recording.packets[at + 1][0] ^= 0x10;
                }
                _ => recording.packets[at][20] ^= 1,
            }
        }
        let whole = run(recording.packets.as_flattened(), &[188]);
        let cut = run(recording.packets.as_flattened(), &sizes);
        prop_assert_eq!(whole, cut);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn clean_streams_raise_nothing_at_any_bitrate(
        exponent in 5.5_f64..9.0,
        sizes in prop::collection::vec(1_usize..=7, 1..9),
    ) {
        let bitrate_bps = 10_f64.powf(exponent) as u64;
        let ms = (10_000 * 1_504_000 / bitrate_bps).clamp(200, 20_000);
        let recording = Recording::new(bitrate_bps, ms);
        let mut analyser = Analyser::new(AnalyserConfig::default());
        let mut position = 0;
        for size in sizes.iter().cycle() {
            let end = recording.packets.len().min(position + size);
            analyser.on_packets(&recording.packets[position..end], recording.at_ns(position));
            position = end;
            if position == recording.packets.len() {
                break;
            }
        }
        analyser.finish(recording.at_ns(position));
        prop_assert_eq!(errors(&analyser), NONE_AT_ALL);
        prop_assert_eq!(analyser.overflows(), Overflows::default());
    }
}

/// Counters of bytes that come in pieces of the given sizes, over and over. All arrive at once: only order counts.
fn run(bytes: &[u8], sizes: &[usize]) -> Counters {
    let mut analyser = Analyser::new(AnalyserConfig::default());
    let mut rest = bytes;
    for &size in sizes.iter().cycle() {
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        analyser.on_payload(piece, 1_000_000_000);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    analyser.finish(1_000_000_000);
    *analyser.counters()
}
