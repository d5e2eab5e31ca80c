//! Whatever arrives, the analyser neither panics nor counts more than there was. Run by `cargo test`, and at length by
//! `cargo bolero test fuzz_analyse`.

use bilbycast_mpegts::analysis::{Analyser, AnalyserConfig, MediaInfo};
use bilbycast_mpegts::{TS_PACKET_SIZE, TestSource, TestSourceConfig};

/// Spoils a stream of the test source.
#[test]
fn fuzz_analyse_spoiled() {
    let mut clean = vec![0; 600 * TS_PACKET_SIZE];
    TestSource::new(&TestSourceConfig::new(2_000_000))
        .unwrap()
        .write(&mut clean);
    bolero::check!()
        .with_max_len(256)
        .for_each(|orders: &[u8]| analyse(&spoiled(&clean, orders), 1316));
}

/// Spoils streams of other multiplexers: AVC, HEVC, layer II, AAC in LATM and ADTS, AC-3, two programmes.
#[test]
fn fuzz_analyse_recorded() {
    let recorded = [
        include_bytes!("../../../../analyze/tests/media/h264_1080i_mp2_latm.ts").as_slice(),
        include_bytes!("../../../../analyze/tests/media/two_programs.ts").as_slice(),
    ];
    bolero::check!()
        .with_max_len(256)
        .for_each(|orders: &[u8]| {
            for recorded in recorded {
                analyse(&spoiled(recorded, orders), 1316);
            }
        });
}

/// Reads orders of four bytes: where to spoil a stream, how, and with what.
fn spoiled(clean: &[u8], orders: &[u8]) -> Vec<u8> {
    let mut bytes = clean.to_vec();
    // What is copied or cut out lies inside, wherever the order says.
    let packets = clean.len() / TS_PACKET_SIZE - 10;
    for order in orders.as_chunks::<4>().0 {
        let [high, low, how, with] = *order;
        let packet = usize::from(u16::from_be_bytes([high, low])) % packets;
        let at = packet * TS_PACKET_SIZE + usize::from(how) % TS_PACKET_SIZE;
        match how % 5 {
            // Headers and the bytes behind them are where parsers decide.
            0 => bytes[packet * TS_PACKET_SIZE + usize::from(how) % 32] = with,
            1 => bytes[at] ^= 1 << (with % 8),
            2 => bytes.copy_within(at..at + TS_PACKET_SIZE, packet * TS_PACKET_SIZE / 2),
            3 => drop(bytes.drain(at..at + usize::from(with))),
            _ => bytes[at..at + usize::from(with)].fill(with),
        }
        bytes.resize(clean.len(), with);
    }
    bytes
}

/// Takes the input as the stream itself.
#[test]
fn fuzz_analyse_raw() {
    bolero::check!().for_each(|bytes: &[u8]| {
        analyse(bytes, 1316);
        // With headers that lead to every PID kind.
        let mut packets = Vec::new();
        for (n, piece) in bytes.chunks(TS_PACKET_SIZE - 3).enumerate() {
            let pid = [0_u8, 1, 0x10, 0x11, 0x12, 0x14, 0x20][n % 7];
            packets.extend_from_slice(&[0x47, 0x40, pid]);
            packets.extend_from_slice(piece);
            packets.resize((n + 1) * TS_PACKET_SIZE, 0xFF);
        }
        analyse(&packets, 7 * TS_PACKET_SIZE);
    });
}

fn analyse(bytes: &[u8], datagram: usize) {
    let mut analyser = Analyser::new(AnalyserConfig::default());
    let mut at_ns = 0;
    for piece in bytes.chunks(datagram) {
        analyser.on_payload(piece, at_ns);
        analyser.tick(at_ns);
        at_ns += 50_000_000;
    }
    analyser.finish(at_ns + 1_000_000_000);
    let counters = analyser.counters();
    assert!(counters.packets <= (bytes.len() / TS_PACKET_SIZE) as u64);
    assert!(counters.cc_errors <= counters.packets);
    assert!(counters.pcr_accuracy_errors + counters.pcr_discontinuity_errors <= counters.packets);
    assert!(analyser.programmes().len() <= 64);
    assert!(analyser.pids().len() <= 384);
    for stream in analyser.streams() {
        if let MediaInfo::Video(video) = stream.media {
            assert!(
                video
                    .size
                    .is_none_or(|(width, height)| width > 0 && height > 0)
            );
            assert!(
                video
                    .frame_rate
                    .is_none_or(|rate| rate.per_second() <= 1000.0)
            );
        }
    }
    let _ = (analyser.overflows(), analyser.total_bitrate_bps());
}
