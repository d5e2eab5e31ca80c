//! CRC-32 of sections (ISO/IEC 13818-1 annex A).

/// Register before the first byte.
pub(super) const CRC_START: u32 = 0xFFFF_FFFF;

/// Moves the register on by `bytes`. Behind a whole section with its CRC_32 it is 0.
pub(super) fn advance_crc(register: u32, bytes: &[u8]) -> u32 {
    let (rows, rest) = bytes.as_chunks::<8>();
    let register = rows.iter().fold(register, |register, row| {
        let [r0, r1, r2, r3] = register.to_be_bytes();
        let [b0, b1, b2, b3, b4, b5, b6, b7] = *row;
        at(7, b0 ^ r0)
            ^ at(6, b1 ^ r1)
            ^ at(5, b2 ^ r2)
            ^ at(4, b3 ^ r3)
            ^ at(3, b4)
            ^ at(2, b5)
            ^ at(1, b6)
            ^ at(0, b7)
    });
    rest.iter().fold(register, |register, &byte| {
        (register << 8) ^ at(0, (register >> 24) as u8 ^ byte)
    })
}

#[inline]
fn at(zeros: usize, byte: u8) -> u32 {
    TABLES[zeros][usize::from(byte)]
}

/// `TABLES[n][byte]` is the register that `byte` and `n` zero bytes behind it leave.
static TABLES: [[u32; 256]; 8] = tables();

const POLYNOMIAL: u32 = 0x04C1_1DB7;

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut register = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            register = (register << 1) ^ (POLYNOMIAL & ((register >> 31).wrapping_neg()));
            bit += 1;
        }
        tables[0][byte] = register;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = tables[table - 1][byte];
            tables[table][byte] = (before << 8) ^ tables[0][(before >> 24) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_standard_string() {
        assert_eq!(advance_crc(CRC_START, b"123456789"), 0x0376_E6E7);
    }

    #[test]
    fn cutting_changes_nothing() {
        let bytes: Vec<u8> = (0..=255).collect();
        let whole = advance_crc(CRC_START, &bytes);
        for cut in 0..=bytes.len() {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(advance_crc(advance_crc(CRC_START, front), back), whole);
        }
    }
}
