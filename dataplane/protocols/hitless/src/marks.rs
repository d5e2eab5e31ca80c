//! What says when a packet is due: the packets that were the newest when they came.

use crate::timeline::Instant;

/// Numbers with the times at which they came, both rising. A number that came at an
/// earlier time than one before it, as by clocks that do not agree, tells for that one too: so a mark goes when one comes
/// after it that is not later.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    /// Its whole size is reserved; its length is a power of two and grows as it is used.
    marks: Vec<(u64, Instant)>,
    /// Counts of marks; the place of one is its count modulo the length.
    start: usize,
    end: usize,
}

impl Marks {
    /// Room for `marks_max`, a power of two as `length` is; it begins with `length`.
    pub(crate) fn new(length: usize, marks_max: usize) -> Self {
        let mut marks = Vec::with_capacity(marks_max);
        marks.resize(length, VACANT);
        Self {
            marks,
            start: 0,
            end: 0,
        }
    }

    /// Adds a number above all others. There is room, for there are never more marks than numbers in the ring.
    #[inline]
    pub(crate) fn push(&mut self, ext: u64, at: Instant) {
        while self.start < self.end && self.get(self.end - 1).1 >= at {
            self.end -= 1;
        }
        debug_assert!(
            self.end - self.start < self.marks.len(),
            "a mark for each number"
        );
        let place = self.end & (self.marks.len() - 1);
        self.marks[place] = (ext, at);
        self.end += 1;
    }

    /// Forgets those below a number.
    #[inline]
    pub(crate) fn trim(&mut self, ext: u64) {
        while self.start < self.end && self.get(self.start).0 < ext {
            self.start += 1;
        }
    }

    /// The earliest time at which a number from `ext` on came. Takes one step after a [`trim`](Self::trim) to it.
    #[inline]
    pub(crate) fn first_from(&self, ext: u64) -> Option<Instant> {
        (self.start..self.end)
            .map(|count| self.get(count))
            .find(|mark| mark.0 >= ext)
            .map(|mark| mark.1)
    }

    /// Doubles the length.
    pub(crate) fn grow(&mut self) {
        let length = self.marks.len();
        self.marks.resize(2 * length, VACANT);
        for count in self.start..self.end {
            if count & length != 0 {
                self.marks[count & (2 * length - 1)] = self.marks[count & (length - 1)];
            }
        }
    }

    #[inline]
    fn get(&self, count: usize) -> (u64, Instant) {
        self.marks[count & (self.marks.len() - 1)]
    }
}

const VACANT: (u64, Instant) = (0, Instant::ZERO);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Instant {
        Instant::from_ns(ns)
    }

    #[test]
    fn the_earliest_time_of_all_later_numbers_counts() {
        let mut marks = Marks::new(8, 16);
        for (ext, ns) in [(1, 10), (2, 20), (4, 40), (5, 30), (6, 60)] {
            marks.push(ext, at(ns));
        }
        assert_eq!(marks.first_from(1), Some(at(10)));
        assert_eq!(marks.first_from(3), Some(at(30)));
        assert_eq!(marks.first_from(6), Some(at(60)));
        assert_eq!(marks.first_from(7), None);
        marks.trim(3);
        assert_eq!(marks.first_from(0), Some(at(30)));
        marks.push(7, at(0));
        assert_eq!(marks.first_from(0), Some(at(0)));
    }

    #[test]
    fn it_grows_wherever_it_is() {
        for offset in 0..20 {
            let mut marks = Marks::new(4, 16);
            for ext in 0..offset {
                marks.push(ext, at(ext));
                marks.trim(ext + 1);
            }
            for ext in offset..offset + 16 {
                if ext - offset == 4 || ext - offset == 8 {
                    marks.grow();
                }
                marks.push(ext, at(ext));
            }
            for ext in offset..offset + 16 {
                assert_eq!(marks.first_from(ext), Some(at(ext)));
                marks.trim(ext);
            }
        }
    }
}
