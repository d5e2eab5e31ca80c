//! Headers of sound: ADTS, MPEG audio, AC-3 and E-AC-3, DTS, SMPTE 302M, Opus.

use super::AudioInfo;
use super::bits::BitReader;
use crate::analysis::stream::Codec;

/// A frame that seems to begin here, and its size in bytes.
type Frame = (AudioInfo, usize);

/// AAC in ADTS (ISO/IEC 13818-7 6.2).
pub(super) fn adts(bytes: &[u8]) -> Option<AudioInfo> {
    first_frame(bytes, adts_frame)
}

/// MPEG-1 and MPEG-2 audio (ISO/IEC 11172-3 2.4.2.3, 13818-3 2.4.2.3).
pub(super) fn mpeg_audio(bytes: &[u8]) -> Option<AudioInfo> {
    first_frame(bytes, mpeg_frame)
}

/// AC-3 or E-AC-3, whichever it is (ETSI TS 102 366 4.3, annex E).
pub(super) fn ac3(bytes: &[u8]) -> Option<AudioInfo> {
    first_frame(bytes, ac3_frame)
}

/// The core of DTS (ETSI TS 102 114 5.3).
pub(super) fn dts(bytes: &[u8], codec: Codec) -> Option<AudioInfo> {
    let at = bytes
        .windows(DTS_SYNC.len())
        .position(|window| window == DTS_SYNC)?;
    let mut r = BitReader::new(bytes.get(at + DTS_SYNC.len()..)?);
    r.skip(1 + 5 + 1 + 7 + 14)?;
    let arrangement = r.bits(6)? as usize;
    let rate = r.bits(4)? as usize;
    r.skip(5 + 5 + 3 + 1 + 1)?;
    let lfe = r.bits(2)?;
    let channels = DTS_CHANNELS.get(arrangement).copied().unwrap_or(0);
    Some(AudioInfo {
        codec: codec.label(),
        sample_rate_hz: *DTS_RATES.get(rate).filter(|&&rate| rate > 0)?,
        channels: if channels > 0 {
            channels + u8::from(matches!(lfe, 1 | 2))
        } else {
            0
        },
    })
}

/// Linear PCM of AES3 (SMPTE ST 302 5.5): the rate is always 48 kHz.
pub(super) fn smpte_302m(bytes: &[u8]) -> Option<AudioInfo> {
    let mut r = BitReader::new(bytes);
    let size = r.bits(16)?;
    let pairs = r.bits(2)? as u8 + 1;
    r.bits(8)?; // channel_identification
    let word = r.bits(2)?;
    (size > 0 && word < 3).then_some(AudioInfo {
        codec: Codec::Smpte302M.label(),
        sample_rate_hz: 48_000,
        channels: 2 * pairs,
    })
}

/// Opus by the channel_config_code of its descriptor (Opus in MPEG-TS 3.2).
pub(super) fn opus(channel_config_code: u8) -> AudioInfo {
    AudioInfo {
        codec: Codec::Opus.label(),
        sample_rate_hz: 48_000,
        channels: match channel_config_code {
            0 => 2,
            1..=8 => channel_config_code,
            _ => 0,
        },
    }
}

/// The first frame that another one follows. At the very beginning, and when the end of the bytes hides the next one, a
/// frame is believed alone.
fn first_frame(bytes: &[u8], frame: fn(&[u8]) -> Option<Frame>) -> Option<AudioInfo> {
    for at in 0..bytes.len() {
        let rest = &bytes[at..];
        let Some((info, size)) = frame(rest) else {
            continue;
        };
        match rest.get(size..) {
            Some(next) if frame(next).is_some() => return Some(info),
            Some(next) if next.len() >= HEADER_SIZE_MAX => {}
            _ if at == 0 => return Some(info),
            _ => {}
        }
    }
    None
}

/// Bytes that suffice for any header here.
const HEADER_SIZE_MAX: usize = 16;

/// sampling_frequency_index of ISO/IEC 14496-3 table 1.18.
pub(super) const AAC_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Channels of channelConfiguration (ISO/IEC 14496-3 table 1.19); 0 where it is told elsewhere.
pub(super) const fn aac_channels(configuration: u32) -> u8 {
    match configuration {
        1..=6 => configuration as u8,
        7 | 12 | 14 => 8,
        11 => 7,
        13 => 24,
        _ => 0,
    }
}

fn adts_frame(bytes: &[u8]) -> Option<Frame> {
    let &[sync, b1, b2, b3, b4, b5, _] = bytes.first_chunk()?;
    // Syncword, and layer 0.
    if sync != 0xFF || b1 & 0xF6 != 0xF0 {
        return None;
    }
    let size = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
    let info = AudioInfo {
        codec: match b2 >> 6 {
            0 => "AAC Main",
            1 => "AAC-LC",
            2 => "AAC SSR",
            _ => "AAC LTP",
        },
        sample_rate_hz: *AAC_RATES.get(usize::from((b2 >> 2) & 0xF))?,
        channels: aac_channels(u32::from((b2 & 1) << 2 | b3 >> 6)),
    };
    (size >= 7).then_some((info, size))
}

/// Kilobits per second by bitrate_index: MPEG-1 layer I, II, III, then the lower rates of MPEG-2: layer I, layers II and III.
const MPEG_BITRATES: [[u16; 16]; 5] = [
    [
        0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0,
    ],
    [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0,
    ],
    [
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0,
    ],
    [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0,
    ],
    [
        0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0,
    ],
];

fn mpeg_frame(bytes: &[u8]) -> Option<Frame> {
    let &[sync, b1, b2, b3] = bytes.first_chunk()?;
    if sync != 0xFF || b1 & 0xE0 != 0xE0 {
        return None;
    }
    let (version, divisor) = match (b1 >> 3) & 3 {
        0 => (2, 4),
        2 => (2, 2),
        3 => (1, 1),
        _ => return None,
    };
    let layer = 4 - usize::from((b1 >> 1) & 3);
    let table = match (version, layer) {
        (_, 4) => return None,
        (1, layer) => layer - 1,
        (_, 1) => 3,
        _ => 4,
    };
    let bitrate = u32::from(
        *MPEG_BITRATES[table]
            .get(usize::from(b2 >> 4))
            .filter(|&&b| b > 0)?,
    );
    let rate = *[44_100, 48_000, 32_000].get(usize::from((b2 >> 2) & 3))? / divisor;
    let padding = u32::from((b2 >> 1) & 1);
    let size = match (version, layer) {
        (_, 1) => (12_000 * bitrate / rate + padding) * 4,
        (2, 3) => 72_000 * bitrate / rate + padding,
        _ => 144_000 * bitrate / rate + padding,
    };
    let info = AudioInfo {
        codec: match (version, layer) {
            (1, 1) => "MPEG-1 Layer I",
            (1, 2) => "MPEG-1 Layer II",
            (1, _) => "MP3",
            (_, 1) => "MPEG-2 Layer I",
            (_, 2) => "MPEG-2 Layer II",
            _ => "MPEG-2 Layer III",
        },
        sample_rate_hz: rate,
        channels: if b3 >> 6 == 3 { 1 } else { 2 },
    };
    Some((info, size as usize))
}

/// Channels by acmod, without low frequency effects.
const AC3_CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// Kilobits per second by half of frmsizecod.
const AC3_BITRATES: [u16; 19] = [
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
];

fn ac3_frame(bytes: &[u8]) -> Option<Frame> {
    let (&[0x0B, 0x77], rest) = bytes.split_first_chunk()? else {
        return None;
    };
    // bsid lies at the same place in both.
    match *rest.get(3)? >> 3 {
        0..=10 => plain_ac3_frame(rest),
        11..=16 => enhanced_ac3_frame(rest),
        _ => None,
    }
}

fn plain_ac3_frame(bytes: &[u8]) -> Option<Frame> {
    let mut r = BitReader::new(bytes);
    r.skip(16)?; // crc1
    let rate = *[48_000, 44_100, 32_000].get(r.bits(2)? as usize)?;
    let size_code = r.bits(6)?;
    let bsid = r.bits(5)?;
    r.bits(3)?; // bsmod
    let mode = r.bits(3)?;
    if mode & 1 != 0 && mode != 1 {
        r.bits(2)?; // cmixlev
    }
    if mode & 4 != 0 {
        r.bits(2)?; // surmixlev
    }
    if mode == 2 {
        r.bits(2)?; // dsurmod
    }
    let lfe = r.flag()?;
    let bitrate = u32::from(*AC3_BITRATES.get(size_code as usize / 2)?);
    // 1536 samples in words of 16 bits; 44.1 kHz needs an odd word now and then.
    let words = bitrate * 96_000 / rate + u32::from(rate == 44_100 && size_code % 2 == 1);
    Some((
        AudioInfo {
            codec: Codec::Ac3.label(),
            sample_rate_hz: rate >> bsid.saturating_sub(8),
            channels: AC3_CHANNELS[mode as usize % 8] + u8::from(lfe),
        },
        2 * words as usize,
    ))
}

fn enhanced_ac3_frame(bytes: &[u8]) -> Option<Frame> {
    let mut r = BitReader::new(bytes);
    let kind = r.bits(2)?;
    r.bits(3)?; // substreamid
    let size = 2 * (r.bits(11)? as usize + 1);
    let rate = match r.bits(2)? {
        3 => *[24_000, 22_050, 16_000].get(r.bits(2)? as usize)?,
        code => {
            r.bits(2)?; // numblkscod
            *[48_000, 44_100, 32_000].get(code as usize)?
        }
    };
    let mode = r.bits(3)?;
    let lfe = r.flag()?;
    // A dependent substream only adds channels to the one before.
    (kind != 1).then_some((
        AudioInfo {
            codec: Codec::EAc3.label(),
            sample_rate_hz: rate,
            channels: AC3_CHANNELS[mode as usize % 8] + u8::from(lfe),
        },
        size,
    ))
}

const DTS_SYNC: [u8; 4] = [0x7F, 0xFE, 0x80, 0x01];

/// By AMODE.
const DTS_CHANNELS: [u8; 16] = [1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 8, 8];

/// By SFREQ; 0 is invalid.
const DTS_RATES: [u32; 16] = [
    0, 8_000, 16_000, 32_000, 0, 0, 11_025, 22_050, 44_100, 0, 0, 12_000, 24_000, 48_000, 96_000,
    192_000,
];
