//! Bit strings and NAL units (H.264 7.3, 9.1, annex B; H.265 likewise).

/// Reads bits, most significant first. Every read says `None` where the bytes end.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Next byte.
    at: usize,
    /// Bits of the current byte that are left, in the low end of `current`.
    left: u32,
    current: u8,
    /// Zero bytes in a row; `None` when emulation prevention is not to be taken out.
    zeros: Option<u8>,
}

impl<'a> BitReader<'a> {
    /// Bits as they are.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            left: 0,
            current: 0,
            zeros: None,
        }
    }

    /// Bits of a NAL unit behind its header, without emulation_prevention_three_byte.
    pub(super) fn of_nal_unit(bytes: &'a [u8]) -> Self {
        Self {
            zeros: Some(0),
            ..Self::new(bytes)
        }
    }

    fn next_byte(&mut self) -> Option<u8> {
        let mut byte = *self.bytes.get(self.at)?;
        self.at += 1;
        if let Some(zeros) = &mut self.zeros {
            if *zeros >= 2 && byte == 3 {
                *zeros = 0;
                byte = *self.bytes.get(self.at)?;
                self.at += 1;
            }
            *zeros = if byte == 0 {
                zeros.saturating_add(1)
            } else {
                0
            };
        }
        Some(byte)
    }

    /// u(1)
    pub(super) fn flag(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.current = self.next_byte()?;
            self.left = 8;
        }
        self.left -= 1;
        Some((self.current >> self.left) & 1 == 1)
    }

    /// u(n), `count` at most 32.
    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// Passes over `count` bits.
    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.flag().map(|_| ()))
    }

    /// ue(v); `None` also for codes above 32 bits, which no valid stream has.
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros | self.bits(zeros)?) - 1)
    }

    /// ue(v) up to `max`.
    pub(super) fn ue_to(&mut self, max: u32) -> Option<u32> {
        self.ue().filter(|&value| value <= max)
    }

    /// se(v)
    pub(super) fn se(&mut self) -> Option<i32> {
        let code = self.ue()?;
        let half = (code / 2) as i32;
        Some(if code % 2 == 1 { half + 1 } else { -half })
    }
}

/// The NAL units of a byte stream, from header to the next start code. The last one may be cut.
pub(super) fn nal_units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(bytes);
    std::iter::from_fn(move || {
        let unit = rest?;
        let next = start_code(unit);
        rest = next.and_then(|at| unit.get(at + 3..));
        Some(next.map_or(unit, |at| &unit[..at]))
    })
}

/// Where the next 00 00 01 is.
pub(super) fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(start_code(bytes)? + 3..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_of_the_standard() {
        // H.264 table 9-2: 1, 010, 011, 00100, 00101.
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let values: Vec<_> = (0..5).map_while(|_| reader.ue()).collect();
        assert_eq!(values, [0, 1, 2, 3, 4]);
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let values: Vec<_> = (0..5).map_while(|_| reader.se()).collect();
        assert_eq!(values, [0, 1, -1, 2, -2]);
        assert_eq!(BitReader::new(&[0; 8]).ue(), None);
        assert_eq!(BitReader::new(&[]).bits(1), None);
    }

    #[test]
    fn emulation_prevention_is_taken_out() {
        let mut reader = BitReader::of_nal_unit(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]);
        assert_eq!(reader.bits(32), Some(0x0000_0100));
        assert_eq!(reader.bits(32), Some(0x0000_0003));
        assert_eq!(reader.bits(1), None);
    }

    #[test]
    fn nal_units_lie_between_start_codes() {
        let bytes = [9, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 1];
        let units: Vec<_> = nal_units(&bytes).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[]]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    }
}
