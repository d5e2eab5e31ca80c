mod decoder;

use proptest::prelude::*;

use super::checker::Checker;
use super::*;
use crate::packet::{DATAGRAM_SIZE, NULL_PACKET, TsPacket, packets};

fn source_of(bitrate_bps: u64) -> TestSource {
    TestSource::new(&TestSourceConfig::new(bitrate_bps)).unwrap()
}

/// Runs `packets` packets of a stream through the checker.
fn check(config: &TestSourceConfig, packets: u64) -> Checker {
    let mut source = TestSource::new(config).unwrap();
    let mut checker = Checker::new(config.bitrate_bps, config.start_pcr);
    let mut buffer = vec![0; DATAGRAM_SIZE];
    while source.packets_written() < packets {
        source.write(&mut buffer);
        checker.feed(&buffer);
    }
    checker
}

/// What must hold at every bitrate.
fn assert_clean(checker: &Checker, bitrate_bps: u64) {
    assert_eq!(checker.pids(), [0, 0x11, 256, 257, 4096, 0x1FFF]);
    let interval = |pid| checker.section_interval_ms_max[&pid];
    for (pid, limit, name) in [
        (0, 100.0, "PAT"),
        (4096, 100.0, "PMT"),
        (0x11, 1000.0, "SDT"),
    ] {
        let interval = interval(pid);
        assert!(
            interval <= limit,
            "{bitrate_bps}: {name} every {interval} ms"
        );
    }
    let pcr = checker.pcr_interval_ms_max;
    assert!(pcr <= 30.0, "{bitrate_bps}: PCR every {pcr} ms");
    for (lead, name) in [
        (checker.video_lead_ms, "video"),
        (checker.audio_lead_ms, "audio"),
    ] {
        assert!(
            lead.0 >= 20.0 && lead.1 <= 500.0,
            "{bitrate_bps}: {name} comes {} to {} ms before its PTS",
            lead.0,
            lead.1
        );
    }
}

#[test]
fn stream_is_clean_at_every_bitrate() {
    for (bitrate_bps, seconds) in [
        (300_000, 60),
        (545_000, 20),
        (1_000_000, 30),
        (2_000_000, 10),
        (3_999_999, 10),
        (8_000_000, 20),
        (50_000_000, 10),
        (1_000_000_000, 3),
    ] {
        let packets = source_of(bitrate_bps).packets_due(Duration::from_secs(seconds));
        let checker = check(&TestSourceConfig::new(bitrate_bps), packets);
        assert_clean(&checker, bitrate_bps);
        let (video, nulls) = (checker.share(256), checker.share(0x1FFF));
        match bitrate_bps {
            300_000 => assert!(video > 0.55 && nulls > 0.01, "{video} {nulls}"),
            ..20_000_000 => assert!((0.7..=0.76).contains(&video) && nulls > 0.05),
            _ => assert!((video * bitrate_bps as f64 - 2e7).abs() < 1e5, "{video}"),
        }
        // All frames are there: those of the time so far, less what is still on the way.
        let frames = checker.pes_packets().0.len() as u64;
        assert!(
            frames + 2 >= seconds * 25 && frames <= seconds * 25,
            "{bitrate_bps}: {frames}"
        );
    }
}

#[test]
fn highest_bitrate_is_clean() {
    let bitrate_bps = TestSourceConfig::BITRATE_BPS_MAX;
    let packets = source_of(bitrate_bps).packets_due(Duration::from_millis(1200));
    assert_clean(
        &check(&TestSourceConfig::new(bitrate_bps), packets),
        bitrate_bps,
    );
}

#[test]
fn clocks_wrap_without_a_seam() {
    for ticks in [
        Pcr27MHz::MODULUS - 1,
        Pcr27MHz::MODULUS - 3 * Pcr27MHz::HZ - 17,
    ] {
        let mut config = TestSourceConfig::new(1_000_000);
        config.start_pcr = Pcr27MHz::from_ticks(ticks);
        let packets = source_of(1_000_000).packets_due(Duration::from_secs(8));
        assert_clean(&check(&config, packets), 1_000_000);
    }
}

#[test]
fn tables_say_what_is_in_the_stream() {
    let checker = check(&TestSourceConfig::new(8_000_000), 2000);
    let pmt = &checker.sections[&4096];
    assert_eq!(pmt[3..5], [0, 1], "program_number");
    assert_eq!(pmt[8..10], [0xE1, 0x00], "PCR_PID");
    let streams = [
        0x1B, 0xE1, 0x00, 0xF0, 0, //
        0x03, 0xE1, 0x01, 0xF0, 6, 0x0A, 4, b'e', b'n', b'g', 0,
    ];
    assert_eq!(pmt[12..pmt.len() - 4], streams);
    let sdt = &checker.sections[&0x11];
    assert_eq!(sdt[0], 0x42);
    let name = b"bilbycast test";
    assert!(sdt.windows(name.len()).any(|window| window == name));
}

/// NAL unit types of an access unit; start codes inside NAL units do not occur.
fn nal_unit_types(access_unit: &[u8]) -> Vec<u8> {
    access_unit
        .windows(4)
        .filter(|window| window[..3] == [0, 0, 1])
        .map(|window| window[3] & 0x1F)
        .collect()
}

#[test]
fn access_units_are_complete_and_padded() {
    for bitrate_bps in [300_000, 1_000_000, 8_000_000] {
        let packets = source_of(bitrate_bps).packets_due(Duration::from_secs(3));
        let checker = check(&TestSourceConfig::new(bitrate_bps), packets);
        let (video, audio) = checker.pes_packets();
        for (number, pes) in video.iter().enumerate() {
            let types = nal_unit_types(&pes[14..]);
            let coded: &[u8] = if number % 24 == 0 {
                &[9, 7, 8, 5]
            } else {
                &[9, 1]
            };
            assert_eq!(types[..coded.len()], *coded, "frame {number}");
            match types[coded.len()..] {
                // Less than the shortest filler data NAL unit is padded with zeros.
                [] => assert!(!pes.ends_with(&[0; 5]), "frame {number}"),
                [12] => assert!(pes.ends_with(&[0x80])),
                _ => panic!("frame {number}: NAL units {types:?}"),
            }
        }
        for pes in audio {
            let frame_size = if bitrate_bps >= 2_000_000 { 384 } else { 192 };
            assert_eq!(pes.len(), 14 + 5 * frame_size);
            assert_eq!(
                usize::from(pes[4]) << 8 | usize::from(pes[5]),
                pes.len() - 6
            );
            assert!(
                pes[14..]
                    .chunks(frame_size)
                    .all(|frame| frame[..2] == [0xFF, 0xFD])
            );
        }
    }
}

#[test]
fn audio_never_overflows_its_buffer() {
    // T-STD: 3584 bytes for MPEG audio (ISO/IEC 13818-1 2.4.2.3). At 128 kb/s there are 16 bytes for
    // each millisecond from the arrival of a byte to its PTS, and what a packet brings at once.
    for bitrate_bps in [300_000, 2_000_000, 1_000_000_000] {
        let packets = source_of(bitrate_bps).packets_due(Duration::from_secs(2));
        let checker = check(&TestSourceConfig::new(bitrate_bps), packets);
        let (_, lead_ms) = checker.audio_lead_ms;
        assert!(
            lead_ms * 16.0 + 184.0 < 3584.0,
            "{bitrate_bps}: {lead_ms} ms"
        );
    }
}

#[test]
fn due_packets_are_exact() {
    let source = source_of(1_504_000); // 1000 packets a second
    assert_eq!(source.packets_due(Duration::ZERO), 0);
    assert_eq!(source.packets_due(Duration::from_nanos(999_999)), 0);
    assert_eq!(source.packets_due(Duration::from_millis(1)), 1);
    let year = Duration::from_secs(365 * 24 * 3600);
    assert_eq!(source.packets_due(year), 365 * 24 * 3600 * 1000);
    assert_eq!(
        source.packets_due(year - Duration::from_nanos(1)),
        365 * 24 * 3600 * 1000 - 1
    );
    assert_eq!(
        source_of(10_000_000_000).packets_due(Duration::MAX),
        u64::MAX
    );
}

#[test]
fn packets_written_counts_null_packets_too() {
    let mut source = source_of(1_000_000_000);
    source.write(&mut []);
    assert_eq!(source.packets_written(), 0);
    let mut buffer = [0; DATAGRAM_SIZE];
    source.write(&mut buffer);
    assert_eq!(source.packets_written(), 7);
    // Three tables, one packet each of video and audio, and nothing else is due so soon.
    let pids: Vec<u16> = packets(&buffer).map(|p| p.pid().value()).collect();
    assert_eq!(pids, [0, 4096, 0x11, 256, 257, 0x1FFF, 0x1FFF]);
    assert_eq!(buffer[5 * TS_PACKET_SIZE..6 * TS_PACKET_SIZE], NULL_PACKET);
}

#[test]
#[should_panic(expected = "whole packets")]
fn part_of_a_packet_is_refused() {
    source_of(1_000_000).write(&mut [0; 187]);
}

#[test]
fn configuration_is_checked() {
    for bitrate_bps in [0, 299_999, 10_000_000_001, u64::MAX] {
        let error = TestSource::new(&TestSourceConfig::new(bitrate_bps)).unwrap_err();
        assert_eq!(error, TestSourceError::BitrateOutOfRange { bitrate_bps });
    }
    for (name, error) in [
        (String::new(), TestSourceError::ServiceNameLength { len: 0 }),
        (
            "x".repeat(101),
            TestSourceError::ServiceNameLength { len: 101 },
        ),
        (
            "a\nb".to_owned(),
            TestSourceError::ServiceNameControlCharacter,
        ),
    ] {
        let config = TestSourceConfig {
            service_name: name,
            ..TestSourceConfig::new(1_000_000)
        };
        assert_eq!(TestSource::new(&config).unwrap_err(), error);
    }
    let text = TestSource::new(&TestSourceConfig::new(5))
        .unwrap_err()
        .to_string();
    assert_eq!(text, "bitrate_bps 5 is outside 300000 to 10000000000");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn splitting_writes_makes_no_difference(
        bitrate_bps in prop_oneof![300_000u64..10_000_000, 10_000_000u64..=10_000_000_000],
        sizes in proptest::collection::vec(0usize..40, 1..12),
    ) {
        let mut whole = vec![0; 3000 * 188];
        source_of(bitrate_bps).write(&mut whole);
        let mut pieces = vec![0; whole.len()];
        let mut split = source_of(bitrate_bps);
        let mut rest = &mut pieces[..];
        for size in sizes.iter().chain([&1]).cycle() {
            let (piece, left) = rest.split_at_mut(rest.len().min(size * 188));
            split.write(piece);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(whole == pieces);
        prop_assert_eq!(split.packets_written(), 3000);
    }

    #[test]
    fn any_bitrate_is_clean(bitrate_bps in 300_000u64..30_000_000, start: u64) {
        let mut config = TestSourceConfig::new(bitrate_bps);
        config.start_pcr = Pcr27MHz::from_ticks(start);
        let packets = source_of(bitrate_bps).packets_due(Duration::from_secs(3));
        assert_clean(&check(&config, packets), bitrate_bps);
    }
}
