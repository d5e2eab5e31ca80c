//! Bit strings: fixed-length fields, Exp-Golomb codes (H.264 9.1) and NAL unit framing (H.264 7.4.1).

/// Appends bits, most significant first, to bytes that it owns. For use at construction.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits used in the last byte, 0 to 7; 0 means that the next bit begins a new byte.
    used: u32,
}

impl BitWriter {
    /// The low `count` bits of `value`, `count` at most 32.
    pub(super) fn bits(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            let bit = (value >> shift) as u8 & 1;
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (7 - self.used);
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// u(1)
    pub(super) fn flag(&mut self, value: bool) {
        self.bits(u32::from(value), 1);
    }

    /// ue(v): unsigned Exp-Golomb code, `value` below 2^31.
    pub(super) fn ue(&mut self, value: u32) {
        let code = value + 1;
        let length = u32::BITS - code.leading_zeros();
        self.bits(0, length - 1);
        self.bits(code, length);
    }

    /// se(v): signed Exp-Golomb code.
    pub(super) fn se(&mut self, value: i32) {
        let magnitude = value.unsigned_abs();
        self.ue(if value > 0 {
            2 * magnitude - 1
        } else {
            2 * magnitude
        });
    }

    /// rbsp_trailing_bits: a one, then zeros up to the byte boundary.
    pub(super) fn trailing_bits(&mut self) {
        self.flag(true);
        self.used = 0;
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Appends a NAL unit in byte stream format (H.264 Annex B): start code with zero_byte, header,
/// `rbsp` with emulation prevention.
pub(super) fn push_nal_unit(out: &mut Vec<u8>, ref_idc: u8, unit_type: u8, rbsp: &[u8]) {
    out.extend_from_slice(&[0, 0, 0, 1, (ref_idc << 5) | unit_type]);
    let mut zeros = 0;
    for &byte in rbsp {
        // H.264 7.4.1.1: two zeros and then a byte of 0 to 3 would look like a start code.
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_of_table_9_2() {
        let mut writer = BitWriter::default();
        for value in 0..=4 {
            writer.ue(value); // 1 010 011 00100 00101
        }
        for value in [0, 1, -1, 2] {
            writer.se(value); // 1 010 011 00100
        }
        writer.trailing_bits();
        assert_eq!(
            writer.into_bytes(),
            [0b1010_0110, 0b0100_0010, 0b1101_0011, 0b0010_0100][..].to_vec()
        );
    }

    #[test]
    fn emulation_prevention_breaks_start_codes() {
        let mut out = Vec::new();
        push_nal_unit(&mut out, 3, 7, &[0, 0, 1, 0, 0, 0, 0, 4, 0, 0, 3]);
        let expected = [0, 0, 0, 1, 0x67, 0, 0, 3, 1, 0, 0, 3, 0, 0, 4, 0, 0, 3, 3];
        assert_eq!(out, expected);
    }
}
