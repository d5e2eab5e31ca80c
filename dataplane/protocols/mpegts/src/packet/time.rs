//! The clocks of a program: 27 MHz for the PCR, 90 kHz for presentation and decoding times, both with a 33-bit base.

/// Both bases count 2^33 ticks of 90 kHz, about 26.5 hours, and start again.
const BASE_MODULUS: u64 = 1 << 33;

/// Program clock reference in ticks of 27 MHz, always below [`Pcr27MHz::MODULUS`].
///
/// There is no order between two clock references, since the clock wraps: see [`Pcr27MHz::ticks_since`] and
/// [`Pcr27MHz::signed_difference`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pcr27MHz(u64);

impl Pcr27MHz {
    /// The clock counts 2^33 times 300 ticks and starts again at 0.
    pub const MODULUS: u64 = BASE_MODULUS * 300;

    /// Ticks in a second.
    pub const HZ: u64 = 27_000_000;

    /// The clock reference `ticks` after 0, wrapped into range.
    pub const fn from_ticks(ticks: u64) -> Self {
        Self(ticks % Self::MODULUS)
    }

    /// Reads the six bytes of the program_clock_reference field. An extension above 299, which no valid stream has, is added
    /// as it is.
    pub const fn from_wire(bytes: &[u8; 6]) -> Self {
        let [b0, b1, b2, b3, b4, b5] = *bytes;
        let bits = u64::from_be_bytes([0, 0, b0, b1, b2, b3, b4, b5]);
        Self::from_ticks((bits >> 15) * 300 + (bits & 0x1FF))
    }

    /// The six bytes of the field; the reserved bits are ones.
    pub const fn to_wire(self) -> [u8; 6] {
        let bits = (self.base() << 15) | (0x3F << 9) | self.extension() as u64;
        let [_, _, b0, b1, b2, b3, b4, b5] = bits.to_be_bytes();
        [b0, b1, b2, b3, b4, b5]
    }

    /// Ticks of 27 MHz since the clock was 0.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// program_clock_reference_base, in ticks of 90 kHz, 33 bits.
    pub const fn base(self) -> u64 {
        self.0 / 300
    }

    /// program_clock_reference_extension, 0 to 299.
    pub const fn extension(self) -> u16 {
        (self.0 % 300) as u16
    }

    /// The clock `ticks` later.
    pub const fn wrapping_add(self, ticks: u64) -> Self {
        // Both terms are below the modulus of 2^42, the sum cannot overflow.
        Self::from_ticks(self.0 + ticks % Self::MODULUS)
    }

    /// Ticks from `earlier` to `self` going forward, 0 to [`Pcr27MHz::MODULUS`] - 1.
    pub const fn ticks_since(self, earlier: Self) -> u64 {
        (self.0 + Self::MODULUS - earlier.0) % Self::MODULUS
    }

    /// Ticks from `other` to `self` the short way round: negative when `self` lies up to half a cycle before `other`.
    pub const fn signed_difference(self, other: Self) -> i64 {
        signed(self.ticks_since(other), Self::MODULUS)
    }
}

/// Presentation or decoding time stamp in ticks of 90 kHz, 33 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pts90kHz(u64);

impl Pts90kHz {
    /// The clock counts 2^33 ticks and starts again at 0.
    pub const MODULUS: u64 = BASE_MODULUS;

    /// The time `ticks` after 0, wrapped into range.
    pub const fn from_ticks(ticks: u64) -> Self {
        Self(ticks % Self::MODULUS)
    }

    /// Reads the five bytes of a PTS or DTS in a PES header (ISO/IEC 13818-1 2.4.3.7); the prefix and the marker bits are
    /// not checked.
    pub const fn from_wire(bytes: &[u8; 5]) -> Self {
        let [b0, b1, b2, b3, b4] = *bytes;
        Self(
            ((b0 as u64 >> 1) & 0x07) << 30
                | (b1 as u64) << 22
                | (b2 as u64 >> 1) << 15
                | (b3 as u64) << 7
                | (b4 as u64 >> 1),
        )
    }

    /// The five bytes of the field behind a four-bit `prefix` (2 for a PTS alone, 3 for a PTS before a DTS, 1 for the DTS).
    pub const fn to_wire(self, prefix: u8) -> [u8; 5] {
        let t = self.0;
        [
            (prefix << 4) | ((t >> 29) as u8 & 0x0E) | 1,
            (t >> 22) as u8,
            ((t >> 14) as u8 & 0xFE) | 1,
            (t >> 7) as u8,
            ((t << 1) as u8 & 0xFE) | 1,
        ]
    }

    /// Ticks of 90 kHz since the clock was 0.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// The time `ticks` later.
    pub const fn wrapping_add(self, ticks: u64) -> Self {
        Self::from_ticks(self.0 + ticks % Self::MODULUS)
    }

    /// Ticks from `other` to `self` the short way round: negative when `self` lies up to half a cycle before `other`.
    pub const fn signed_difference(self, other: Self) -> i64 {
        signed(
            (self.0 + Self::MODULUS - other.0) % Self::MODULUS,
            Self::MODULUS,
        )
    }
}

/// Folds a forward distance below `modulus` into the range of minus half to plus half a cycle.
const fn signed(forward: u64, modulus: u64) -> i64 {
    if forward > modulus / 2 {
        forward as i64 - modulus as i64
    } else {
        forward as i64
    }
}
