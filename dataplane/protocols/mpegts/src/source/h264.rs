//! H.264 Constrained Baseline, CAVLC: just what flat macroblocks and one moving box need.
//!
//! An IDR picture is made of Intra_16x16 macroblocks. A macroblock that looks like the one above or
//! to the left is predicted from it and costs eight bits; any other adds one DC coefficient for each
//! component. The quantisers are chosen so that a coefficient of `c` changes every pixel by exactly
//! `c` (see [`QP`]), which makes decoded pictures exact to the bit.
//!
//! A P picture moves the box with motion vectors of whole pixels; everything else is skipped.

mod slice;

use super::bits::{BitWriter, push_nal_unit};
use super::picture::{GOP_FRAMES, MB, PictureFormat};

/// Codes one frame of the loop as an access unit in byte stream format, access unit delimiter first.
/// Every [`GOP_FRAMES`]th is an IDR picture with its parameter sets.
pub(super) fn push_access_unit(out: &mut Vec<u8>, format: &PictureFormat, frame: u32) {
    let frame_in_gop = frame % GOP_FRAMES;
    // primary_pic_type: 0 for I slices only, 1 for I and P; then the RBSP trailing bits.
    let delimiter = if frame_in_gop == 0 { 0x10 } else { 0x30 };
    push_nal_unit(out, 0, NAL_ACCESS_UNIT_DELIMITER, &[delimiter]);
    if frame_in_gop == 0 {
        push_nal_unit(out, 3, NAL_SPS, &sequence_parameter_set(format));
        push_nal_unit(out, 3, NAL_PPS, &picture_parameter_set());
        push_nal_unit(out, 3, NAL_SLICE_IDR, &slice::intra(format, frame));
    } else {
        push_nal_unit(out, 2, NAL_SLICE, &slice::predicted(format, frame));
    }
}

const NAL_SLICE: u8 = 1;
const NAL_SLICE_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_ACCESS_UNIT_DELIMITER: u8 = 9;
/// nal_unit_type of filler data, with which the multiplexer pads frames to the bitrate.
pub(super) const NAL_FILLER_DATA: u8 = 12;

/// Luma quantiser. H.264 8.5.10 at QP 28: LevelScale is 16 * 16, so a lone DC level `c` becomes
/// `(256 * c + 2) >> 2 = 64 * c`, and each pixel changes by `(64 * c + 32) >> 6 = c`.
const QP: i32 = 28;

/// H.264 8.5.11 at chroma QP 22: `((256 * c) << 3) >> 5 = 64 * c`, so each pixel changes by `c` too.
const CHROMA_QP_OFFSET: i32 = -6;

/// log2_max_frame_num: the counter of 0 to 15 wraps once in a GOP of 24.
const LOG2_MAX_FRAME_NUM: u32 = 4;

/// seq_parameter_set_rbsp (H.264 7.3.2.1) with VUI (E.1).
fn sequence_parameter_set(format: &PictureFormat) -> Vec<u8> {
    let mut w = BitWriter::default();
    w.bits(66, 8); // profile_idc: Baseline
    w.bits(0xC0, 8); // constraint_set0 and 1: Constrained Baseline
    w.bits(u32::from(format.level_idc), 8);
    w.ue(0); // seq_parameter_set_id
    w.ue(LOG2_MAX_FRAME_NUM - 4);
    w.ue(2); // pic_order_cnt_type: output order is decoding order
    w.ue(1); // max_num_ref_frames
    w.flag(false); // gaps_in_frame_num_value_allowed_flag
    w.ue(format.columns() - 1);
    w.ue(format.rows() - 1);
    w.flag(true); // frame_mbs_only_flag
    w.flag(true); // direct_8x8_inference_flag
    let excess = format.rows() * MB - format.height;
    w.flag(excess > 0); // frame_cropping_flag
    if excess > 0 {
        for offset in [0, 0, 0, excess / 2] {
            w.ue(offset); // left, right, top, bottom in units of two rows
        }
    }
    w.flag(true); // vui_parameters_present_flag
    w.flag(true); // aspect_ratio_info_present_flag
    w.bits(1, 8); // aspect_ratio_idc: square pixels
    w.flag(false); // overscan_info_present_flag
    w.flag(true); // video_signal_type_present_flag
    w.bits(5, 3); // video_format: unspecified
    w.flag(false); // video_full_range_flag
    w.flag(true); // colour_description_present_flag
    for _ in 0..3 {
        w.bits(1, 8); // primaries, transfer, matrix: ITU-R BT.709
    }
    w.flag(false); // chroma_loc_info_present_flag
    w.flag(true); // timing_info_present_flag
    w.bits(1, 32); // num_units_in_tick
    w.bits(50, 32); // time_scale: ticks are fields, 25 frames/s
    w.flag(true); // fixed_frame_rate_flag
    w.flag(false); // nal_hrd_parameters_present_flag
    w.flag(false); // vcl_hrd_parameters_present_flag
    w.flag(false); // pic_struct_present_flag
    w.flag(true); // bitstream_restriction_flag
    w.flag(false); // motion_vectors_over_pic_boundaries_flag
    w.ue(0); // max_bytes_per_pic_denom: no limit
    w.ue(0); // max_bits_per_mb_denom: no limit
    w.ue(8); // log2_max_mv_length_horizontal
    w.ue(0); // log2_max_mv_length_vertical
    w.ue(0); // max_num_reorder_frames: decoders may show each frame at once
    w.ue(1); // max_dec_frame_buffering
    w.trailing_bits();
    w.into_bytes()
}

/// pic_parameter_set_rbsp (H.264 7.3.2.2).
fn picture_parameter_set() -> Vec<u8> {
    let mut w = BitWriter::default();
    w.ue(0); // pic_parameter_set_id
    w.ue(0); // seq_parameter_set_id
    w.flag(false); // entropy_coding_mode_flag: CAVLC
    w.flag(false); // bottom_field_pic_order_in_frame_present_flag
    w.ue(0); // num_slice_groups_minus1
    w.ue(0); // num_ref_idx_l0_default_active_minus1
    w.ue(0); // num_ref_idx_l1_default_active_minus1
    w.flag(false); // weighted_pred_flag
    w.bits(0, 2); // weighted_bipred_idc
    w.se(QP - 26); // pic_init_qp_minus26
    w.se(0); // pic_init_qs_minus26
    w.se(CHROMA_QP_OFFSET);
    w.flag(true); // deblocking_filter_control_present_flag: slices turn the filter off
    w.flag(false); // constrained_intra_pred_flag
    w.flag(false); // redundant_pic_cnt_present_flag
    w.trailing_bits();
    w.into_bytes()
}

#[cfg(test)]
mod tests;
