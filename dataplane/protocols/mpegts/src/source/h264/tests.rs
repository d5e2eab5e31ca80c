use super::super::picture::{Colour, PictureFormat};
use super::super::psi::crc32_mpeg2;
use super::*;

/// Checksum of all access units of the loop.
fn checksum(format: &PictureFormat) -> u32 {
    let mut bytes = Vec::new();
    for frame in 0..format.loop_frames() {
        push_access_unit(&mut bytes, format, frame);
    }
    crc32_mpeg2(&bytes)
}

/// ffmpeg 5.1 decodes the streams with these checksums without a message, every pixel of every frame
/// as drawn. Whoever changes the coding checks that again, and then changes the numbers.
#[test]
fn coding_is_the_one_that_was_checked() {
    assert_eq!(checksum(&PictureFormat::SD), 1_434_900_593);
    assert_eq!(checksum(&PictureFormat::HD), 2_797_159_271);
}

/// Reads bits from an RBSP.
struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Reader<'_> {
    fn bit(&mut self) -> u32 {
        let bit = self.bytes[self.position / 8] >> (7 - self.position % 8) & 1;
        self.position += 1;
        u32::from(bit)
    }

    fn bits(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |value, _| value << 1 | self.bit())
    }

    fn zeros(&mut self) -> u32 {
        let mut zeros = 0;
        while self.bit() == 0 {
            zeros += 1;
        }
        zeros
    }

    fn ue(&mut self) -> u32 {
        let zeros = self.zeros();
        (1 << zeros) - 1 + self.bits(zeros)
    }

    fn se(&mut self) -> i32 {
        let code = self.ue() as i32;
        if code % 2 == 1 {
            (code + 1) / 2
        } else {
            -code / 2
        }
    }

    /// A DC block, whose coeff_token says none, one trailing one, or one larger coefficient.
    fn dc(&mut self, none: &str, trailing: &str, one: &str) -> i32 {
        let mut token = String::new();
        let level = loop {
            token.push(if self.bit() == 1 { '1' } else { '0' });
            if token == none {
                return 0;
            } else if token == trailing {
                break 1 - 2 * self.bit() as i32;
            } else if token == one {
                let prefix = self.zeros();
                let code = match prefix {
                    0..14 => prefix,
                    14 => 14 + self.bits(4),
                    15 => 30 + self.bits(12),
                    _ => panic!("level_prefix {prefix}"),
                } as i32
                    + 2;
                break if code % 2 == 0 {
                    (code + 2) / 2
                } else {
                    -(code + 1) / 2
                };
            }
            assert!(token.len() < 6, "coeff_token {token}");
        };
        assert_eq!(self.bit(), 1, "total_zeros");
        level
    }
}

/// Decodes the macroblocks of an IDR picture to one colour each.
fn decode_intra(format: &PictureFormat, rbsp: &[u8]) -> Vec<Colour> {
    let mut r = Reader {
        bytes: rbsp,
        position: 0,
    };
    assert_eq!((r.ue(), r.ue(), r.ue(), r.bits(4)), (0, 7, 0, 0));
    let _ = (r.ue(), r.bits(2));
    assert_eq!((r.se(), r.ue()), (0, 1));
    let columns = format.columns() as usize;
    let mut picture: Vec<Colour> = Vec::new();
    for index in 0..columns * format.rows() as usize {
        let mb_type = r.ue() - 1;
        let (mode, chroma_coded) = (mb_type % 4, mb_type / 4);
        assert!(chroma_coded <= 1);
        let chroma_mode = r.ue();
        assert_eq!(r.se(), 0);
        let (base, expected_chroma_mode) = match mode {
            0 => (picture[index - columns], 2),
            1 => {
                assert_ne!(index % columns, 0);
                (picture[index - 1], 1)
            }
            2 => {
                assert_eq!(index, 0);
                (
                    Colour {
                        y: 128,
                        cb: 128,
                        cr: 128,
                    },
                    0,
                )
            }
            _ => panic!("plane prediction"),
        };
        assert_eq!(chroma_mode, expected_chroma_mode);
        let y = r.dc("1", "01", "000101");
        let (cb, cr) = if chroma_coded == 1 {
            (r.dc("01", "1", "000111"), r.dc("01", "1", "000111"))
        } else {
            (0, 0)
        };
        let add = |base: u8, level: i32| u8::try_from(i32::from(base) + level).unwrap();
        picture.push(Colour {
            y: add(base.y, y),
            cb: add(base.cb, cb),
            cr: add(base.cr, cr),
        });
    }
    assert_eq!(r.bit(), 1, "rbsp_stop_one_bit");
    assert_eq!(r.position.div_ceil(8), rbsp.len());
    picture
}

#[test]
fn idr_pictures_decode_to_what_was_drawn() {
    for format in [&PictureFormat::SD, &PictureFormat::HD] {
        for frame in (0..format.loop_frames()).step_by(GOP_FRAMES as usize) {
            let picture = decode_intra(format, &slice::intra(format, frame));
            let expected: Vec<Colour> = (0..format.rows())
                .flat_map(|row| {
                    (0..format.columns()).map(move |column| format.colour(frame, column, row))
                })
                .collect();
            assert!(picture == expected, "frame {frame}");
        }
    }
}

#[test]
fn predicted_pictures_are_small() {
    for format in [&PictureFormat::SD, &PictureFormat::HD] {
        for frame in 1..GOP_FRAMES {
            assert!(slice::predicted(format, frame).len() < 100);
        }
    }
}
