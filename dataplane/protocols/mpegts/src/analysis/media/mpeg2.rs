//! Sequence header and extension of MPEG-1 and MPEG-2 video (ISO/IEC 13818-2 6.2.2).

use super::bits::{BitReader, nal_units};
use super::h264::chroma;
use super::{FrameRate, VideoInfo};

/// sequence_header_code and extension_start_code, behind the prefix.
const SEQUENCE_HEADER: u8 = 0xB3;
const EXTENSION: u8 = 0xB5;

/// Looks for a sequence header; with the extension behind it the stream is MPEG-2, without MPEG-1.
pub(super) fn sequence(bytes: &[u8]) -> Option<VideoInfo> {
    // Start codes of MPEG video are those of NAL units.
    let mut units = nal_units(bytes).skip_while(|unit| unit.first() != Some(&SEQUENCE_HEADER));
    let mut header = BitReader::new(units.next()?.get(1..)?);
    let width = header.bits(12)?;
    let height = header.bits(12)?;
    header.bits(4)?; // aspect_ratio_information
    let (numerator, denominator) = frame_rate(header.bits(4)?)?;
    let extension = units.next().filter(|unit| unit.first() == Some(&EXTENSION));
    let Some(extension) = extension.and_then(Extension::new) else {
        return Some(VideoInfo {
            size: size(width, height),
            frame_rate: FrameRate::new(numerator, denominator),
            chroma: "4:2:0",
            bit_depth: 8,
            interlaced: Some(false),
            ..VideoInfo::default()
        });
    };
    Some(VideoInfo {
        size: size(
            width | extension.width_high << 12,
            height | extension.height_high << 12,
        ),
        frame_rate: FrameRate::new(
            numerator * (extension.rate_n + 1),
            denominator * (extension.rate_d + 1),
        ),
        profile: profile(extension.profile_and_level),
        level: level(extension.profile_and_level),
        chroma: chroma(extension.chroma_format),
        bit_depth: 8,
        interlaced: Some(!extension.progressive),
    })
}

/// sequence_extension (6.2.2.3).
struct Extension {
    profile_and_level: u32,
    progressive: bool,
    chroma_format: u32,
    width_high: u32,
    height_high: u32,
    rate_n: u32,
    rate_d: u32,
}

impl Extension {
    /// `None` for the other extensions, and where the bytes end.
    fn new(unit: &[u8]) -> Option<Self> {
        let mut r = BitReader::new(unit.get(1..)?);
        if r.bits(4)? != 1 {
            return None;
        }
        let profile_and_level = r.bits(8)?;
        let progressive = r.flag()?;
        let chroma_format = r.bits(2)?;
        let width_high = r.bits(2)?;
        let height_high = r.bits(2)?;
        r.skip(12 + 1 + 8 + 1)?;
        Some(Self {
            profile_and_level,
            progressive,
            chroma_format,
            width_high,
            height_high,
            rate_n: r.bits(2)?,
            rate_d: r.bits(5)?,
        })
    }
}

fn size(width: u32, height: u32) -> Option<(u16, u16)> {
    let fits = |size: u32| u16::try_from(size).ok().filter(|&size| size > 0);
    Some((fits(width)?, fits(height)?))
}

/// Table 6-4.
const fn frame_rate(code: u32) -> Option<(u32, u32)> {
    match code {
        1 => Some((24_000, 1001)),
        2 => Some((24, 1)),
        3 => Some((25, 1)),
        4 => Some((30_000, 1001)),
        5 => Some((30, 1)),
        6 => Some((50, 1)),
        7 => Some((60_000, 1001)),
        8 => Some((60, 1)),
        _ => None,
    }
}

/// Table 8-2, and 8-4 with the escape bit.
const fn profile(profile_and_level: u32) -> &'static str {
    match profile_and_level >> 4 {
        1 => "High",
        2 => "Spatially Scalable",
        3 => "SNR Scalable",
        4 => "Main",
        5 => "Simple",
        8 if matches!(profile_and_level & 0xF, 2 | 5) => "4:2:2",
        _ => "",
    }
}

/// Table 8-3, and 8-4 with the escape bit.
const fn level(profile_and_level: u32) -> &'static str {
    match (profile_and_level >> 4, profile_and_level & 0xF) {
        (8, 2) | (1..=5, 4) => "High",
        (1..=5, 6) => "High 1440",
        (8, 5) | (1..=5, 8) => "Main",
        (1..=5, 10) => "Low",
        _ => "",
    }
}
