//! One bit for each packet of a window.

/// A ring of bits, indexed by anything that counts up; the number of bits is a power of two and at least 64.
#[derive(Clone, Debug)]
pub(crate) struct BitRing {
    words: Vec<u64>,
    ones: usize,
}

impl BitRing {
    /// At least `bits` zeros.
    pub(crate) fn new(bits: usize) -> Self {
        Self {
            words: vec![0; bits.next_power_of_two().div_ceil(64).max(1)],
            ones: 0,
        }
    }

    /// How many bits are set.
    #[inline]
    pub(crate) const fn ones(&self) -> usize {
        self.ones
    }

    #[inline]
    pub(crate) fn get(&self, index: u64) -> bool {
        let (word, bit) = self.place(index);
        self.words[word] >> bit & 1 == 1
    }

    /// Sets the bit; whether it was clear.
    #[inline]
    pub(crate) fn set(&mut self, index: u64) -> bool {
        let (word, bit) = self.place(index);
        let clear = self.words[word] >> bit & 1 == 0;
        self.words[word] |= 1 << bit;
        self.ones += usize::from(clear);
        clear
    }

    /// Clears the bit; whether it was set.
    #[inline]
    pub(crate) fn clear(&mut self, index: u64) -> bool {
        let (word, bit) = self.place(index);
        let set = self.words[word] >> bit & 1 == 1;
        self.words[word] &= !(1 << bit);
        self.ones -= usize::from(set);
        set
    }

    /// Sets `count` bits from `first` on, a word at a time.
    pub(crate) fn set_range(&mut self, first: u64, count: u64) {
        self.each_word(first, count, |word, mask| *word |= mask);
    }

    /// Clears `count` bits from `first` on, a word at a time.
    pub(crate) fn clear_range(&mut self, first: u64, count: u64) {
        self.each_word(first, count, |word, mask| *word &= !mask);
    }

    /// Index of the first set bit among the `count` bits from `first` on.
    #[inline]
    pub(crate) fn next_one(&self, first: u64, count: u64) -> Option<u64> {
        if self.ones == 0 {
            return None;
        }
        let end = first + count.min(self.bits());
        let mut index = first;
        while index < end {
            let (word, bit) = self.place(index);
            let rest = self.words[word] >> bit;
            if rest != 0 {
                let found = index + u64::from(rest.trailing_zeros());
                return (found < end).then_some(found);
            }
            index += 64 - u64::from(bit);
        }
        None
    }

    const fn bits(&self) -> u64 {
        self.words.len() as u64 * 64
    }

    #[inline]
    const fn place(&self, index: u64) -> (usize, u32) {
        let index = index & (self.bits() - 1);
        ((index / 64) as usize, (index % 64) as u32)
    }

    fn each_word(&mut self, first: u64, count: u64, change: impl Fn(&mut u64, u64)) {
        let end = first + count.min(self.bits());
        let mut index = first;
        while index < end {
            let (word, bit) = self.place(index);
            let step = (64 - u64::from(bit)).min(end - index);
            let mask = (u64::MAX >> (64 - step)) << bit;
            let word = &mut self.words[word];
            let before = word.count_ones() as usize;
            change(word, mask);
            self.ones = self.ones + word.count_ones() as usize - before;
            index += step;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::BitRing;

    proptest! {
        #[test]
        fn behaves_like_a_set(
            operations in proptest::collection::vec((0_u8..4, 1_000_u64..1_256, 0_u64..256), 1..60),
        ) {
            let mut ring = BitRing::new(256);
            let mut oracle = BTreeSet::new();
            for (operation, first, count) in operations {
                let range = || (first..first + count).map(|index| index % 256);
                match operation {
                    0 => prop_assert_eq!(ring.set(first), oracle.insert(first % 256)),
                    1 => prop_assert_eq!(ring.clear(first), oracle.remove(&(first % 256))),
                    2 => {
                        ring.set_range(first, count);
                        oracle.extend(range());
                    }
                    _ => {
                        ring.clear_range(first, count);
                        for index in range() {
                            oracle.remove(&index);
                        }
                    }
                }
                prop_assert_eq!(ring.ones(), oracle.len());
                let next = (first..first + count).find(|index| oracle.contains(&(index % 256)));
                prop_assert_eq!(ring.next_one(first, count), next);
            }
        }
    }
}
