//! Sequence parameter set of H.265 (7.3.2.2, annex E.2.1).

use super::bits::BitReader;
use super::h264::{chroma, skip_vui_to_chroma_location};
use super::{FrameRate, VideoInfo};

/// nal_unit_type of a sequence parameter set.
const SPS: u8 = 33;

/// Largest width or height that is believed, in pixels: that of level 6.2.
const SIZE_MAX: u32 = 16_888;

/// Most entries of a short-term reference picture set in either direction (7.4.8).
const PICTURES_MAX: usize = 16;

/// Reads a NAL unit; `None` unless it is a sequence parameter set of the base layer, whole at least up to its size.
pub(super) fn sps(unit: &[u8]) -> Option<VideoInfo> {
    let (&[header, layer], body) = unit.split_first_chunk()?;
    if header & 0x80 != 0 || header >> 1 != SPS || header & 1 != 0 || layer >> 3 != 0 {
        return None;
    }
    let mut reader = BitReader::of_nal_unit(body);
    let r = &mut reader;
    r.bits(4)?; // sps_video_parameter_set_id
    let sub_layers = r.bits(3)?;
    r.flag()?; // sps_temporal_id_nesting_flag
    let general = profile_tier_level(r, sub_layers)?;
    r.ue_to(15)?; // sps_seq_parameter_set_id
    let chroma_idc = r.ue_to(3)?;
    let separate = chroma_idc == 3 && r.flag()?;
    let coded_width = r.ue_to(SIZE_MAX)?;
    let coded_height = r.ue_to(SIZE_MAX)?;
    let window = if r.flag()? {
        [r.ue()?, r.ue()?, r.ue()?, r.ue()?]
    } else {
        [0; 4]
    };
    let (unit_x, unit_y) = match chroma_idc {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let unit = |unit| if separate { 1 } else { unit };
    let width = shown(coded_width, window[0], window[1], unit(unit_x))?;
    let height = shown(coded_height, window[2], window[3], unit(unit_y))?;
    let bit_depth = 8 + r.ue_to(8)? as u8;
    // A parameter set whose end is damaged or cut still tells the size.
    let timing = timing(r, sub_layers).unwrap_or_default();
    let frame_rate = timing.frame_rate.and_then(|rate| {
        // Pictures are fields: two of them make a frame.
        if timing.fields {
            FrameRate::new(rate.numerator, rate.denominator.checked_mul(2)?)
        } else {
            Some(rate)
        }
    });
    Some(VideoInfo {
        size: Some((
            width,
            if timing.fields {
                height.saturating_mul(2)
            } else {
                height
            },
        )),
        frame_rate,
        profile: profile(general.profile_idc, general.compatibility),
        level: level(general.level_idc),
        chroma: chroma(chroma_idc),
        bit_depth,
        interlaced: Some(timing.fields || (general.interlaced && !general.progressive)),
    })
}

struct General {
    profile_idc: u32,
    /// general_profile_compatibility_flag, flag 0 in the highest bit.
    compatibility: u32,
    progressive: bool,
    interlaced: bool,
    level_idc: u32,
}

/// profile_tier_level (7.3.3).
fn profile_tier_level(r: &mut BitReader<'_>, sub_layers: u32) -> Option<General> {
    r.bits(3)?; // general_profile_space, general_tier_flag
    let profile_idc = r.bits(5)?;
    let compatibility = r.bits(32)?;
    let progressive = r.flag()?;
    let interlaced = r.flag()?;
    r.skip(2 + 43 + 1)?;
    let level_idc = r.bits(8)?;
    let mut present = [(false, false); 8];
    let sub_layers = sub_layers as usize;
    for layer in present.get_mut(..sub_layers)? {
        *layer = (r.flag()?, r.flag()?);
    }
    if sub_layers > 0 {
        r.skip(2 * (8 - sub_layers as u32))?;
    }
    for &(has_profile, has_level) in present.get(..sub_layers)? {
        r.skip(if has_profile { 88 } else { 0 })?;
        r.skip(if has_level { 8 } else { 0 })?;
    }
    Some(General {
        profile_idc,
        compatibility,
        progressive,
        interlaced,
        level_idc,
    })
}

fn shown(size: u32, front: u32, back: u32, unit: u32) -> Option<u16> {
    let cut = front.checked_add(back)?.checked_mul(unit)?;
    let shown = size.checked_sub(cut).filter(|&size| size > 0)?;
    u16::try_from(shown).ok()
}

#[derive(Default)]
struct Timing {
    frame_rate: Option<FrameRate>,
    /// field_seq_flag: each picture is a field.
    fields: bool,
}

/// Everything from the bit depths to the timing in the VUI.
fn timing(r: &mut BitReader<'_>, sub_layers: u32) -> Option<Timing> {
    r.ue_to(8)?; // bit_depth_chroma_minus8
    let poc_bits = 4 + r.ue_to(12)?;
    let first = if r.flag()? { 0 } else { sub_layers };
    for _ in first..=sub_layers {
        r.ue()?;
        r.ue()?;
        r.ue()?;
    }
    for _ in 0..6 {
        r.ue()?; // coding and transform block sizes and depths
    }
    if r.flag()? && r.flag()? {
        skip_scaling_lists(r)?;
    }
    r.flag()?; // amp_enabled_flag
    r.flag()?; // sample_adaptive_offset_enabled_flag
    if r.flag()? {
        r.skip(8)?; // pcm sample bit depths
        r.ue()?;
        r.ue()?;
        r.flag()?;
    }
    skip_reference_picture_sets(r)?;
    if r.flag()? {
        for _ in 0..r.ue_to(32)? {
            r.skip(poc_bits + 1)?;
        }
    }
    r.flag()?; // sps_temporal_mvp_enabled_flag
    r.flag()?; // strong_intra_smoothing_enabled_flag
    if !r.flag()? {
        return None;
    }
    skip_vui_to_chroma_location(r)?;
    r.flag()?; // neutral_chroma_indication_flag
    let fields = r.flag()?;
    r.flag()?; // frame_field_info_present_flag
    if r.flag()? {
        for _ in 0..4 {
            r.ue()?; // default display window
        }
    }
    let frame_rate = if r.flag()? {
        let num_units_in_tick = r.bits(32)?;
        FrameRate::new(r.bits(32)?, num_units_in_tick)
    } else {
        None
    };
    Some(Timing { frame_rate, fields })
}

/// scaling_list_data (7.3.4).
fn skip_scaling_lists(r: &mut BitReader<'_>) -> Option<()> {
    for size in 0..4 {
        let step = if size == 3 { 3 } else { 1 };
        for _ in (0..6).step_by(step) {
            if !r.flag()? {
                r.ue()?;
                continue;
            }
            if size > 1 {
                r.se()?;
            }
            for _ in 0..(1 << (4 + 2 * size)).min(64) {
                r.se()?;
            }
        }
    }
    Some(())
}

/// Differences of picture order counts of one set, those before the picture and those behind it.
#[derive(Clone, Copy, Default)]
struct PictureSet {
    before: Deltas,
    behind: Deltas,
}

#[derive(Clone, Copy, Default)]
struct Deltas {
    values: [i32; PICTURES_MAX],
    len: usize,
}

impl Deltas {
    fn push(&mut self, value: i32) -> Option<()> {
        *self.values.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    fn values(&self) -> &[i32] {
        &self.values[..self.len]
    }
}

/// All st_ref_pic_set of the parameter set (7.3.7). Their lengths depend on each other's values (7.4.8).
fn skip_reference_picture_sets(r: &mut BitReader<'_>) -> Option<()> {
    let mut last = PictureSet::default();
    for n in 0..r.ue_to(64)? {
        last = if n > 0 && r.flag()? {
            predicted_set(r, &last)?
        } else {
            explicit_set(r)?
        };
    }
    Some(())
}

fn explicit_set(r: &mut BitReader<'_>) -> Option<PictureSet> {
    let mut set = PictureSet::default();
    let before = r.ue_to(PICTURES_MAX as u32)?;
    let behind = r.ue_to(PICTURES_MAX as u32)?;
    for (count, sign, deltas) in [(before, -1, &mut set.before), (behind, 1, &mut set.behind)] {
        let mut delta = 0_i32;
        for _ in 0..count {
            let step = r.ue_to(0x7FFF)? as i32 + 1;
            delta = delta.checked_add(sign * step)?;
            deltas.push(delta)?;
            r.flag()?; // used_by_curr_pic_flag
        }
    }
    Some(set)
}

fn predicted_set(r: &mut BitReader<'_>, from: &PictureSet) -> Option<PictureSet> {
    let negative = r.flag()?;
    let size = r.ue_to(0x7FFF)? as i32 + 1;
    let delta = if negative { -size } else { size };
    let (before, behind) = (from.before.values(), from.behind.values());
    let mut used = [false; 2 * PICTURES_MAX + 1];
    let used = used.get_mut(..=before.len() + behind.len())?;
    for used in used.iter_mut() {
        *used = r.flag()? || r.flag()?;
    }
    let (used_before, rest) = used.split_at_checked(before.len())?;
    let (used_behind, used_self) = rest.split_at_checked(behind.len())?;
    let used_self = used_self.first().copied().unwrap_or(false);
    let moved = |values: &[i32], used: &[bool], n: usize| {
        Some((values.get(n)?.checked_add(delta)?, *used.get(n)?))
    };
    let mut set = PictureSet::default();
    for n in (0..behind.len()).rev() {
        if let (value @ ..0, true) = moved(behind, used_behind, n)? {
            set.before.push(value)?;
        }
    }
    if delta < 0 && used_self {
        set.before.push(delta)?;
    }
    for n in 0..before.len() {
        if let (value @ ..0, true) = moved(before, used_before, n)? {
            set.before.push(value)?;
        }
    }
    for n in (0..before.len()).rev() {
        if let (value @ 1.., true) = moved(before, used_before, n)? {
            set.behind.push(value)?;
        }
    }
    if delta > 0 && used_self {
        set.behind.push(delta)?;
    }
    for n in 0..behind.len() {
        if let (value @ 1.., true) = moved(behind, used_behind, n)? {
            set.behind.push(value)?;
        }
    }
    Some(set)
}

/// Annex A.3. Streams without a profile of their own tell by compatibility.
fn profile(profile_idc: u32, compatibility: u32) -> &'static str {
    let compatible = |profile: u32| compatibility & (1 << (31 - profile)) != 0;
    match profile_idc {
        1 => "Main",
        2 => "Main 10",
        3 => "Main Still Picture",
        4 => "Format Range Extensions",
        5 => "High Throughput",
        6 => "Multiview Main",
        7 => "Scalable Main",
        9 => "Screen-Extended Main",
        _ if compatible(1) => "Main",
        _ if compatible(2) => "Main 10",
        _ => "",
    }
}

/// general_level_idc is 30 times the level (A.4.1).
const fn level(level_idc: u32) -> &'static str {
    match level_idc {
        30 => "1.0",
        60 => "2.0",
        63 => "2.1",
        90 => "3.0",
        93 => "3.1",
        120 => "4.0",
        123 => "4.1",
        150 => "5.0",
        153 => "5.1",
        156 => "5.2",
        180 => "6.0",
        183 => "6.1",
        186 => "6.2",
        _ => "",
    }
}
