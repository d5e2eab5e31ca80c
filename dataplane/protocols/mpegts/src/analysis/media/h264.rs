//! Sequence parameter set of H.264 (7.3.2.1.1, annex E.1.1).

use super::bits::BitReader;
use super::{FrameRate, VideoInfo};

/// nal_unit_type of a sequence parameter set.
const SPS: u8 = 7;

/// Largest width or height that is believed, in pixels: twice that of level 6.2.
const SIZE_MAX: u32 = 16_384;

/// Reads a NAL unit; `None` unless it is a whole sequence parameter set.
pub(super) fn sps(unit: &[u8]) -> Option<VideoInfo> {
    let (&header, body) = unit.split_first()?;
    if header & 0x9F != SPS {
        return None;
    }
    let mut reader = BitReader::of_nal_unit(body);
    let r = &mut reader;
    let profile_idc = r.bits(8)?;
    let constraints = r.bits(8)?;
    let level_idc = r.bits(8)?;
    r.ue_to(31)?;
    let format = chroma_format(r, profile_idc)?;
    r.ue_to(12)?; // log2_max_frame_num_minus4
    picture_order_count(r)?;
    r.ue()?; // max_num_ref_frames
    r.flag()?; // gaps_in_frame_num_value_allowed_flag
    let width_mbs = r.ue_to(SIZE_MAX / 16)? + 1;
    let height_map_units = r.ue_to(SIZE_MAX / 16)? + 1;
    let frame_mbs_only = r.flag()?;
    if !frame_mbs_only {
        r.flag()?; // mb_adaptive_frame_field_flag
    }
    r.flag()?; // direct_8x8_inference_flag
    let crop = if r.flag()? {
        [r.ue()?, r.ue()?, r.ue()?, r.ue()?]
    } else {
        [0; 4]
    };
    let fields = if frame_mbs_only { 1 } else { 2 };
    let (unit_x, unit_y) = match format.array_type {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let width = cropped(width_mbs * 16, crop[0], crop[1], unit_x)?;
    //= H.264 7.4.2.1.1: CropUnitY is doubled where fields may occur.
    let height = cropped(
        height_map_units * 16 * fields,
        crop[2],
        crop[3],
        unit_y * fields,
    )?;
    // A parameter set whose VUI is damaged or cut still tells the size.
    let frame_rate = timing(r);
    Some(VideoInfo {
        size: Some((width, height)),
        frame_rate,
        profile: profile(profile_idc, constraints),
        level: level(profile_idc, constraints, level_idc),
        chroma: chroma(format.idc),
        bit_depth: format.bit_depth,
        interlaced: Some(!frame_mbs_only),
    })
}

struct Format {
    idc: u32,
    /// ChromaArrayType.
    array_type: u32,
    bit_depth: u8,
}

fn chroma_format(r: &mut BitReader<'_>, profile_idc: u32) -> Option<Format> {
    if !matches!(
        profile_idc,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        return Some(Format {
            idc: 1,
            array_type: 1,
            bit_depth: 8,
        });
    }
    let idc = r.ue_to(3)?;
    let separate = idc == 3 && r.flag()?;
    let bit_depth = 8 + r.ue_to(6)? as u8;
    r.ue_to(6)?; // bit_depth_chroma_minus8
    r.flag()?; // qpprime_y_zero_transform_bypass_flag
    if r.flag()? {
        let lists = if idc == 3 { 12 } else { 8 };
        for list in 0..lists {
            if r.flag()? {
                skip_scaling_list(r, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(Format {
        idc,
        array_type: if separate { 0 } else { idc },
        bit_depth,
    })
}

/// scaling_list (7.3.2.1.1.1): it ends early where the next scale becomes 0.
fn skip_scaling_list(r: &mut BitReader<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8_i32, 8_i32);
    for _ in 0..size {
        if next != 0 {
            next = last.wrapping_add(r.se()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn picture_order_count(r: &mut BitReader<'_>) -> Option<()> {
    match r.ue_to(2)? {
        0 => {
            r.ue_to(12)?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            r.flag()?;
            r.se()?;
            r.se()?;
            for _ in 0..r.ue_to(255)? {
                r.se()?;
            }
        }
        _ => {}
    }
    Some(())
}

fn cropped(size: u32, front: u32, back: u32, unit: u32) -> Option<u16> {
    let crop = front.checked_add(back)?.checked_mul(unit)?;
    let shown = size.checked_sub(crop).filter(|&size| size > 0)?;
    u16::try_from(shown).ok()
}

/// The frame rate in vui_parameters, which is half the rate of ticks, for those are fields.
fn timing(r: &mut BitReader<'_>) -> Option<FrameRate> {
    if !r.flag()? {
        return None;
    }
    skip_vui_to_chroma_location(r)?;
    if !r.flag()? {
        return None;
    }
    let num_units_in_tick = r.bits(32)?;
    let time_scale = r.bits(32)?;
    FrameRate::new(time_scale, num_units_in_tick.checked_mul(2)?)
}

/// vui_parameters up to chroma_loc_info, which H.265 has just so.
pub(super) fn skip_vui_to_chroma_location(r: &mut BitReader<'_>) -> Option<()> {
    if r.flag()? && r.bits(8)? == 255 {
        r.skip(32)?; // sar_width, sar_height
    }
    if r.flag()? {
        r.flag()?; // overscan_appropriate_flag
    }
    if r.flag()? {
        r.skip(4)?; // video_format, video_full_range_flag
        if r.flag()? {
            r.skip(24)?; // colour description
        }
    }
    if r.flag()? {
        r.ue()?;
        r.ue()?;
    }
    Some(())
}

pub(super) const fn chroma(idc: u32) -> &'static str {
    match idc {
        0 => "4:0:0",
        1 => "4:2:0",
        2 => "4:2:2",
        3 => "4:4:4",
        _ => "",
    }
}

/// Annex A.2, in the words of the standard.
const fn profile(profile_idc: u32, constraints: u32) -> &'static str {
    let set1 = constraints & 0x40 != 0;
    let set3 = constraints & 0x10 != 0;
    let set4_5 = constraints & 0x0C == 0x0C;
    match profile_idc {
        66 if set1 => "Constrained Baseline",
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 if set4_5 => "Constrained High",
        100 => "High",
        110 if set3 => "High 10 Intra",
        110 => "High 10",
        122 if set3 => "High 4:2:2 Intra",
        122 => "High 4:2:2",
        244 if set3 => "High 4:4:4 Intra",
        244 => "High 4:4:4 Predictive",
        44 => "CAVLC 4:4:4 Intra",
        83 => "Scalable Baseline",
        86 => "Scalable High",
        118 => "Multiview High",
        128 => "Stereo High",
        _ => "",
    }
}

/// Table A-1.
const fn level(profile_idc: u32, constraints: u32, level_idc: u32) -> &'static str {
    match level_idc {
        9 => "1b",
        10 => "1.0",
        //= H.264 A.3.4.1: level 1b of the older profiles is 11 with constraint_set3_flag.
        11 if constraints & 0x10 != 0 && matches!(profile_idc, 66 | 77 | 88) => "1b",
        11 => "1.1",
        12 => "1.2",
        13 => "1.3",
        20 => "2.0",
        21 => "2.1",
        22 => "2.2",
        30 => "3.0",
        31 => "3.1",
        32 => "3.2",
        40 => "4.0",
        41 => "4.1",
        42 => "4.2",
        50 => "5.0",
        51 => "5.1",
        52 => "5.2",
        60 => "6.0",
        61 => "6.1",
        62 => "6.2",
        _ => "",
    }
}
