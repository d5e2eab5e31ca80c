//! Random numbers for socket ids, sequence numbers and cookies.

/// SplitMix64 from a seed of the operating system. Keys are not made of it.
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next(&mut self) -> u32 {
        (self.next_word() >> 32) as u32
    }

    pub(super) fn not_zero(&mut self) -> u32 {
        // The topmost bit says "group" in libsrt, and zero says "no socket".
        (self.next() & 0x3fff_ffff).max(1)
    }

    fn next_word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}
