use proptest::prelude::*;

use super::*;

const CODECS: [Codec; 12] = [
    Codec::AacAdts,
    Codec::AacLatm,
    Codec::Ac3,
    Codec::Dts,
    Codec::EAc3,
    Codec::H264,
    Codec::H265,
    Codec::Mpeg1Video,
    Codec::Mpeg2Video,
    Codec::MpegAudio,
    Codec::Smpte302M,
    Codec::Opus,
];

proptest! {
    #[test]
    fn any_bytes_may_be_read(bytes in prop::collection::vec(any::<u8>(), 0..CAPTURE_SIZE)) {
        for codec in CODECS {
            let _ = read(codec, &bytes);
        }
    }

    #[test]
    fn any_parameter_set_may_be_read(
        bytes in prop::collection::vec(prop_oneof![Just(0xFF_u8), Just(0x80), any::<u8>()], 0..300),
        cut in 0_usize..300,
    ) {
        for start in [&[0x67, 100, 0, 40][..], &[0x67, 66, 0, 30], &[0x67, 244, 0, 51]] {
            let unit = [start, &bytes[..cut.min(bytes.len())]].concat();
            let _ = h264::sps(&unit);
        }
        // NAL header, then profile, tier and level of Main 4.0.
        let start = [0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 120];
        let _ = h265::sps(&[&start[..], &bytes].concat());
    }
}

fn audio(codec: &'static str, sample_rate_hz: u32, channels: u8) -> Option<MediaInfo> {
    Some(MediaInfo::Audio(AudioInfo {
        codec,
        sample_rate_hz,
        channels,
    }))
}

#[test]
fn headers_of_sound_are_read() {
    // ADTS, LC, 44.1 kHz, 5.1.
    let adts = [0xFF, 0xF1, 0x51, 0x80, 0x40, 0x1F, 0xFC, 0];
    assert_eq!(read(Codec::AacAdts, &adts), audio("AAC-LC", 44_100, 6));
    // MPEG-2 layer III, 24 kHz, mono.
    let mp3 = [0xFF, 0xF3, 0x84, 0xC4, 0, 0, 0, 0];
    assert_eq!(
        read(Codec::MpegAudio, &mp3),
        audio("MPEG-2 Layer III", 24_000, 1)
    );
    // AC-3 3/2 with LFE at 448 kb/s: acmod 7, cmixlev, surmixlev, lfeon.
    let ac3 = [0x0B, 0x77, 0, 0, 0x1E, 0x40, 0xE1, 0, 0, 0];
    assert_eq!(read(Codec::Ac3, &ac3), audio("AC-3", 48_000, 6));
    // E-AC-3 independent, 48 kHz, 6 blocks, 3/2 with LFE, bsid 16.
    let eac3 = [0x0B, 0x77, 0x02, 0xFF, 0x3F, 0x80, 0, 0];
    assert_eq!(read(Codec::EAc3, &eac3), audio("E-AC-3", 48_000, 6));
    // DTS core: FTYPE 1, SHORT 31, CPF 0, NBLKS 15, FSIZE 1005, AMODE 9, SFREQ 13, LFF 2.
    let dts = dts_header();
    assert_eq!(read(Codec::Dts, &dts), audio("DTS", 48_000, 6));
    // SMPTE 302M: 4 channels, 24 bits.
    let smpte_302m = [0x05, 0xA0, 0x40, 0x20];
    assert_eq!(
        read(Codec::Smpte302M, &smpte_302m),
        audio("SMPTE 302M", 48_000, 4)
    );
    assert_eq!(
        MediaInfo::from_pmt(Codec::Opus, None, 6),
        audio("Opus", 48_000, 6).unwrap()
    );
}

fn dts_header() -> Vec<u8> {
    let fields = [
        (1, 1),
        (31, 5),
        (0, 1),
        (15, 7),
        (1005, 14),
        (9, 6),
        (13, 4),
        (24, 5),
        (0, 5),
        (0, 3),
        (0, 2),
        (2, 2),
    ];
    let mut bits = 0x7FFE_8001_u128;
    let mut count = 32;
    for (value, size) in fields {
        bits = bits << size | value;
        count += size;
    }
    (bits << (128 - count)).to_be_bytes().to_vec()
}

#[test]
fn a_false_sync_is_passed_over() {
    // Something like a header in the middle of a frame, whose next frame is not where it says.
    let mut bytes = vec![0x55; 10];
    bytes.extend_from_slice(&[0xFF, 0xFD, 0x14, 0x04]);
    bytes.extend_from_slice(&[0; 100]);
    let frame = 576; // 192 kb/s at 48 kHz
    let start = bytes.len();
    for n in 0..2 {
        bytes.resize(start + n * frame, 0);
        bytes.extend_from_slice(&[0xFF, 0xFD, 0xA4, 0x04]);
    }
    assert_eq!(
        read(Codec::MpegAudio, &bytes),
        audio("MPEG-1 Layer II", 48_000, 2)
    );
}

#[test]
fn mpeg_2_sequence_of_1080i_in_4_2_2() {
    let bytes = [
        0, 0, 1, 0xB3, 0x78, 0x04, 0x38, 0x34, 0xFF, 0xFF, 0xE0, 0x18, // 1920x1080, 29.97
        0, 0, 1, 0xB5, 0x18, 0x24, 0x00, 0x01, 0x00, 0x00, // profile and level 0x82
    ];
    let Some(MediaInfo::Video(video)) = read(Codec::Mpeg2Video, &bytes) else {
        panic!()
    };
    assert_eq!(video.size, Some((1920, 1080)));
    assert_eq!(video.frame_rate, FrameRate::new(30_000, 1001));
    assert_eq!((video.profile, video.level), ("4:2:2", "High"));
    assert_eq!((video.chroma, video.interlaced), ("4:2:2", Some(true)));
}
