//! Slice data of the two kinds of picture.

use super::super::bits::BitWriter;
use super::super::picture::{Colour, GOP_FRAMES, PictureFormat};
use super::LOG2_MAX_FRAME_NUM;

/// slice_layer_without_partitioning_rbsp of an IDR picture.
pub(super) fn intra(format: &PictureFormat, frame: u32) -> Vec<u8> {
    let mut w = BitWriter::default();
    w.ue(0); // first_mb_in_slice
    w.ue(7); // slice_type: I, like all slices of the picture
    w.ue(0); // pic_parameter_set_id
    w.bits(0, LOG2_MAX_FRAME_NUM); // frame_num
    // Two IDR pictures in a row must differ in it; alternating is enough.
    w.ue((frame / GOP_FRAMES) % 2); // idr_pic_id
    w.flag(false); // no_output_of_prior_pics_flag
    w.flag(false); // long_term_reference_flag
    w.se(0); // slice_qp_delta
    w.ue(1); // disable_deblocking_filter_idc: off, edges stay exact
    for row in 0..format.rows() {
        for column in 0..format.columns() {
            let above = row
                .checked_sub(1)
                .map(|row| format.colour(frame, column, row));
            let left = column
                .checked_sub(1)
                .map(|column| format.colour(frame, column, row));
            flat_macroblock(&mut w, format.colour(frame, column, row), above, left);
        }
    }
    w.trailing_bits();
    w.into_bytes()
}

/// slice_layer_without_partitioning_rbsp of a P picture.
pub(super) fn predicted(format: &PictureFormat, frame: u32) -> Vec<u8> {
    let mut w = BitWriter::default();
    w.ue(0); // first_mb_in_slice
    w.ue(5); // slice_type: P, like all slices of the picture
    w.ue(0); // pic_parameter_set_id
    w.bits(frame % GOP_FRAMES, LOG2_MAX_FRAME_NUM); // frame_num, modulo its range
    w.flag(false); // num_ref_idx_active_override_flag
    w.flag(false); // ref_pic_list_modification_flag_l0
    w.flag(false); // adaptive_ref_pic_marking_mode_flag
    w.se(0); // slice_qp_delta
    w.ue(1); // disable_deblocking_filter_idc

    // The vector points to where the box was, in quarter pixels. Whole steps of four pixels are whole
    // chroma pixels as well, so prediction copies and nothing blurs.
    let vector_x = (format.box_x(frame - 1) as i32 - format.box_x(frame) as i32) * 4;
    let moving = format.moving_columns(frame);
    let mut field = MotionField::new(format);
    let mut skipped = 0;
    for row in 0..format.rows() {
        for column in 0..format.columns() {
            if !(format.box_rows().contains(&row) && moving.contains(&column)) {
                // P_Skip infers a vector of 0 here: every skipped macroblock has a neighbour to the
                // left or above with a vector of 0, or none there (H.264 8.4.1.1). The first row and
                // column are always such, and so is what lies right of and below the box.
                skipped += 1;
                continue;
            }
            w.ue(skipped); // mb_skip_run
            skipped = 0;
            w.ue(0); // mb_type: P_L0_16x16
            w.se(vector_x - field.predict(column, row)); // mvd_l0, horizontal
            w.se(0); // mvd_l0, vertical
            w.ue(0); // coded_block_pattern: inter codeNum 0 is no residual
            field.set(column, row, vector_x);
        }
    }
    if skipped > 0 {
        w.ue(skipped);
    }
    w.trailing_bits();
    w.into_bytes()
}

/// Intra_16x16 prediction modes, as in mb_type (H.264 table 8-4).
const LUMA_VERTICAL: u32 = 0;
const LUMA_HORIZONTAL: u32 = 1;
const LUMA_DC: u32 = 2;
/// intra_chroma_pred_mode (H.264 table 8-5).
const CHROMA_DC: u32 = 0;
const CHROMA_HORIZONTAL: u32 = 1;
const CHROMA_VERTICAL: u32 = 2;

/// What DC prediction answers when there is no neighbour.
const MID_GREY: Colour = Colour {
    y: 128,
    cb: 128,
    cr: 128,
};

/// macroblock_layer of one flat macroblock between flat neighbours.
fn flat_macroblock(w: &mut BitWriter, target: Colour, above: Option<Colour>, left: Option<Colour>) {
    let (luma_mode, chroma_mode, predicted) = match (above, left) {
        (Some(above), Some(left)) if above != target && left == target => {
            (LUMA_HORIZONTAL, CHROMA_HORIZONTAL, left)
        }
        (Some(above), _) => (LUMA_VERTICAL, CHROMA_VERTICAL, above),
        (None, Some(left)) => (LUMA_HORIZONTAL, CHROMA_HORIZONTAL, left),
        (None, None) => (LUMA_DC, CHROMA_DC, MID_GREY),
    };
    let difference = |target: u8, predicted: u8| i32::from(target) - i32::from(predicted);
    let luma = difference(target.y, predicted.y);
    let chroma = [
        difference(target.cb, predicted.cb),
        difference(target.cr, predicted.cr),
    ];
    let coded_chroma = chroma != [0, 0];
    // H.264 table 7-11: I_16x16_<mode>_<chroma pattern>_0, chroma pattern 1 being DC only.
    w.ue(1 + luma_mode + 4 * u32::from(coded_chroma));
    w.ue(chroma_mode);
    w.se(0); // mb_qp_delta
    // No luma AC is ever coded, so nC is 0 for every luma DC block (H.264 9.2.1).
    single_dc(w, luma, &LUMA_DC_TOKENS);
    if coded_chroma {
        for level in chroma {
            single_dc(w, level, &CHROMA_DC_TOKENS);
        }
    }
}

/// coeff_token codes as (value, length) of H.264 table 9-5.
struct CoeffTokens {
    none: (u32, u32),
    /// One coefficient of magnitude 2 or more.
    one: (u32, u32),
    /// One coefficient of magnitude 1.
    trailing_one: (u32, u32),
}

/// The column 0 <= nC < 2.
const LUMA_DC_TOKENS: CoeffTokens = CoeffTokens {
    none: (0b1, 1),
    one: (0b00_0101, 6),
    trailing_one: (0b01, 2),
};

/// The column nC = -1.
const CHROMA_DC_TOKENS: CoeffTokens = CoeffTokens {
    none: (0b01, 2),
    one: (0b00_0111, 6),
    trailing_one: (0b1, 1),
};

/// residual_block_cavlc (H.264 7.3.5.3.2) with at most the DC coefficient.
fn single_dc(w: &mut BitWriter, level: i32, tokens: &CoeffTokens) {
    let (value, length) = match level.abs() {
        0 => tokens.none,
        1 => tokens.trailing_one,
        _ => tokens.one,
    };
    w.bits(value, length);
    match level.abs() {
        0 => return,
        1 => w.flag(level < 0), // trailing_ones_sign_flag
        _ => first_level(w, level),
    }
    w.flag(true); // total_zeros 0, both in table 9-7 and in table 9-9
}

/// level_prefix and level_suffix (H.264 9.2.2.1) of a first coefficient of magnitude 2 or more, with
/// suffixLength 0.
fn first_level(w: &mut BitWriter, level: i32) {
    // 2 * |level| - 2, one more for negative levels; less 2, since a magnitude of 1 would have been
    // a trailing one.
    let code = 2 * level.unsigned_abs() - 4 + u32::from(level < 0);
    match code {
        0..14 => {
            w.bits(0, code);
            w.flag(true);
        }
        14..30 => {
            w.bits(0, 14);
            w.flag(true);
            w.bits(code - 14, 4);
        }
        _ => {
            // Levels are differences of 8-bit samples, far below the 4096 codes of this escape.
            w.bits(0, 15);
            w.flag(true);
            w.bits(code - 30, 12);
        }
    }
}

/// Horizontal motion vectors of the macroblocks of a P picture, 0 where skipped.
struct MotionField {
    columns: u32,
    vectors: Vec<i32>,
}

impl MotionField {
    fn new(format: &PictureFormat) -> Self {
        let count = (format.columns() * format.rows()) as usize;
        Self {
            columns: format.columns(),
            vectors: vec![0; count],
        }
    }

    fn set(&mut self, column: u32, row: u32, vector: i32) {
        let index = (row * self.columns + column) as usize;
        self.vectors[index] = vector;
    }

    fn at(&self, column: u32, row: u32) -> i32 {
        self.vectors[(row * self.columns + column) as usize]
    }

    /// The median of left, above and above right (H.264 8.4.1.3.1). The box keeps off all four edges
    /// of the picture, so all three exist and refer to the one reference frame.
    fn predict(&self, column: u32, row: u32) -> i32 {
        let mut neighbours = [
            self.at(column - 1, row),
            self.at(column, row - 1),
            self.at(column + 1, row - 1),
        ];
        neighbours.sort_unstable();
        neighbours[1]
    }
}
