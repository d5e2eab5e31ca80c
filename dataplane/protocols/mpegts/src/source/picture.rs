//! What is to be seen: colour bars above, a box that runs to and fro on a black band below.

/// A colour as 8-bit Y'CbCr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour {
    pub(super) y: u8,
    pub(super) cb: u8,
    pub(super) cr: u8,
}

impl Colour {
    const fn new(y: u8, cb: u8, cr: u8) -> Self {
        Self { y, cb, cr }
    }

    /// Black of ITU-R BT.709.
    pub(super) const BLACK: Self = Self::new(16, 128, 128);
    /// White of ITU-R BT.709.
    pub(super) const WHITE: Self = Self::new(235, 128, 128);
}

/// EBU colour bars 100/0/75/0 in ITU-R BT.709, left to right.
pub(super) const BARS: [Colour; 8] = [
    Colour::WHITE,
    Colour::new(168, 44, 136),
    Colour::new(145, 147, 44),
    Colour::new(133, 63, 52),
    Colour::new(63, 193, 204),
    Colour::new(51, 109, 212),
    Colour::new(28, 212, 120),
    Colour::BLACK,
];

/// Frames from one IDR picture to the next: 0.96 s.
pub(super) const GOP_FRAMES: u32 = 24;

/// Side of a macroblock in pixels.
pub(super) const MB: u32 = 16;

/// Geometry of the picture, in macroblocks where the name says so.
///
/// Everything lies on the macroblock grid, except that the box moves by `step` pixels a frame and
/// so is back on the grid at each IDR picture.
#[derive(Debug)]
pub(super) struct PictureFormat {
    pub(super) width: u32,
    pub(super) height: u32,
    /// level_idc (H.264 table A-1).
    pub(super) level_idc: u8,
    /// Macroblock rows of the bars; the black band fills the rest.
    bar_rows: u32,
    /// First macroblock row of the box.
    box_row: u32,
    /// Side of the box in macroblocks.
    box_mbs: u32,
    /// Pixels that the box moves in a frame.
    step: u32,
    /// GOPs that the box needs from left to right.
    travel_gops: u32,
}

impl PictureFormat {
    /// 640x360: 920 macroblocks, 23,000 a second, so level 3.
    pub(super) const SD: Self = Self {
        width: 640,
        height: 360,
        level_idc: 30,
        bar_rows: 18,
        box_row: 19,
        box_mbs: 2,
        step: 4,
        travel_gops: 6,
    };

    /// 1920x1080: 8,160 macroblocks, 204,000 a second, so level 4.
    pub(super) const HD: Self = Self {
        width: 1920,
        height: 1080,
        level_idc: 40,
        bar_rows: 54,
        box_row: 59,
        box_mbs: 4,
        step: 8,
        travel_gops: 9,
    };

    /// Width in macroblocks.
    pub(super) const fn columns(&self) -> u32 {
        self.width.div_ceil(MB)
    }

    /// Height in macroblocks.
    pub(super) const fn rows(&self) -> u32 {
        self.height.div_ceil(MB)
    }

    /// Frames after which the picture repeats: to the right and back.
    pub(super) const fn loop_frames(&self) -> u32 {
        2 * self.travel_gops * GOP_FRAMES
    }

    /// Left edge of the box in `frame`, in pixels.
    pub(super) const fn box_x(&self, frame: u32) -> u32 {
        let one_way = self.travel_gops * GOP_FRAMES;
        let phase = frame % (2 * one_way);
        let steps = if phase <= one_way {
            phase
        } else {
            2 * one_way - phase
        };
        // Centred, with the margin rounded down to whole macroblocks.
        let margin = (self.width - self.box_mbs * MB - one_way * self.step) / 2 / MB * MB;
        margin + steps * self.step
    }

    /// Macroblock rows that the box covers.
    pub(super) const fn box_rows(&self) -> std::ops::Range<u32> {
        self.box_row..self.box_row + self.box_mbs
    }

    /// Macroblock columns that the box touches in `frame` or touched in the frame before.
    pub(super) fn moving_columns(&self, frame: u32) -> std::ops::Range<u32> {
        let (old, new) = (self.box_x(frame - 1), self.box_x(frame));
        old.min(new) / MB..(old.max(new) + self.box_mbs * MB).div_ceil(MB)
    }

    /// Colour of a macroblock of `frame`, which must be one with the box on the grid.
    pub(super) fn colour(&self, frame: u32, column: u32, row: u32) -> Colour {
        if row < self.bar_rows {
            let bar = column as usize * BARS.len() / self.columns() as usize;
            return BARS[bar];
        }
        let left = self.box_x(frame) / MB;
        if self.box_rows().contains(&row) && (left..left + self.box_mbs).contains(&column) {
            Colour::WHITE
        } else {
            Colour::BLACK
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_is_on_the_grid_at_every_idr_and_stays_off_the_edges() {
        for format in [&PictureFormat::SD, &PictureFormat::HD] {
            for frame in 0..format.loop_frames() {
                let x = format.box_x(frame);
                if frame % GOP_FRAMES == 0 {
                    assert_eq!(x % MB, 0, "frame {frame}");
                }
                // The motion vectors fetch up to one step beside the box: that must be picture.
                assert!(x >= format.step);
                assert!(x + format.box_mbs * MB + format.step <= format.width);
                let next = format.box_x((frame + 1) % format.loop_frames());
                assert_eq!(x.abs_diff(next), format.step);
            }
            assert!(format.box_rows().start > format.bar_rows);
            assert!(format.box_rows().end < format.rows());
        }
    }
}
