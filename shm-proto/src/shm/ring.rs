//! A ring of records that one writer overwrites and any number of readers follow at their own pace.
//!
//! The map is read-only for readers, so the ring has no reader's index: a reader keeps its own, and learns from the
//! index stored in each entry when the writer has lapped it.

use super::seqlock;
use crate::sync::{AtomicU64, Ordering};

/// Words of an entry before its payload: sequence, index.
pub(super) const ENTRY_HEAD_WORDS: usize = 2;

/// A view of a ring in shared memory: one head word, then the entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring<'a> {
    head: &'a AtomicU64,
    entries: &'a [AtomicU64],
    entry_words: usize,
}

/// What became of an entry that a reader asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Entry {
    /// Copied.
    Read,
    /// Not written yet.
    Future,
    /// Overwritten since.
    Lapped,
}

impl<'a> Ring<'a> {
    /// A ring over `words`: the head and whole entries of `payload_words` each.
    pub(super) fn new(words: &'a [AtomicU64], payload_words: usize) -> Option<Self> {
        let (head, entries) = words.split_first()?;
        let entry_words = ENTRY_HEAD_WORDS + payload_words;
        (entries.len() >= entry_words).then_some(Self {
            head,
            entries,
            entry_words,
        })
    }

    /// Number of words that a ring of `entries` takes.
    pub(super) const fn words(entries: usize, payload_words: usize) -> usize {
        1 + entries * (ENTRY_HEAD_WORDS + payload_words)
    }

    /// Index of the next entry to be written.
    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Index of the oldest entry that may still be there.
    pub(super) fn tail(&self) -> u64 {
        self.head().saturating_sub(self.capacity())
    }

    /// Number of entries.
    pub(super) const fn capacity(&self) -> u64 {
        (self.entries.len() / self.entry_words) as u64
    }

    /// Writes the next entry. Only the ring's one writer may call this.
    pub(super) fn push(&self, payload: &[u64]) {
        let index = self.head.load(Ordering::Relaxed);
        let (sequence, words) = self.entry(index);
        seqlock::write(sequence, || {
            words[0].store(index, Ordering::Relaxed);
            seqlock::store(&words[1..], payload);
        });
        self.head.store(index + 1, Ordering::Release);
    }

    /// Copies entry `index` into `payload`; `scratch` has one word more than the payload.
    pub(super) fn read(&self, index: u64, scratch: &mut [u64]) -> Entry {
        if index >= self.head() {
            return Entry::Future;
        }
        let (sequence, words) = self.entry(index);
        if !seqlock::read(sequence, words, scratch) || scratch[0] != index {
            return Entry::Lapped;
        }
        Entry::Read
    }

    fn entry(&self, index: u64) -> (&'a AtomicU64, &'a [AtomicU64]) {
        let start = (index % self.capacity()) as usize * self.entry_words;
        let entry = &self.entries[start..start + self.entry_words];
        (&entry[0], &entry[1..])
    }
}

#[cfg(test)]
#[cfg(loom)]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A ring of two entries; the writer laps the reader. What the reader gets is whole and is what it asked for.
    #[test]
    fn a_lapped_reader_is_told_so() {
        let mut model = loom::model::Builder::new();
        // Two preemptions show every pairwise race; without a bound the search takes hours.
        model.preemption_bound = Some(2);
        model.check(|| {
            let words: Arc<Vec<AtomicU64>> =
                Arc::new((0..Ring::words(2, 2)).map(|_| AtomicU64::new(0)).collect());
            let writer = {
                let words = Arc::clone(&words);
                thread::spawn(move || {
                    let ring = Ring::new(&words, 2).unwrap();
                    for value in 0..3 {
                        ring.push(&[value, value]);
                    }
                })
            };
            let ring = Ring::new(&words, 2).unwrap();
            let mut scratch = [0; 3];
            if ring.read(0, &mut scratch) == Entry::Read {
                assert_eq!(scratch, [0, 0, 0]);
            }
            writer.join().unwrap();
            assert_eq!(ring.read(0, &mut scratch), Entry::Lapped);
            assert_eq!(ring.read(2, &mut scratch), Entry::Read);
            assert_eq!(scratch, [2, 2, 2]);
            assert_eq!(ring.read(3, &mut scratch), Entry::Future);
        });
    }
}
