//! One writer, any number of readers, no torn record.
//!
//! The sequence word is odd while the writer is inside. A reader copies the words and takes the copy only when the
//! sequence was even and the same before and after. All accesses are atomic, so a reader that races the writer reads
//! old or new words, never undefined behaviour, and then throws the copy away.

use crate::sync::{AtomicU64, Ordering, fence};

/// How often a reader tries before it gives up. A writer is inside for well under a microsecond, a hundred times a
/// second at most; a reader that meets it this often in a row reads from a writer that died inside.
const TRIES: usize = 10_000;

/// Opens the record whose sequence word is `sequence` for writing, runs `write`, and closes it.
///
/// Only the record's one writer may call this.
pub(super) fn write(sequence: &AtomicU64, write: impl FnOnce()) {
    let before = sequence.load(Ordering::Relaxed);
    // `| 1`, not `+ 1`: a predecessor that died inside would have left the word odd.
    let inside = before | 1;
    sequence.store(inside, Ordering::Relaxed);
    // Orders the odd sequence before the words: a reader that sees a new word also sees that it must not trust it.
    fence(Ordering::Release);
    write();
    sequence.store(inside.wrapping_add(1), Ordering::Release);
}

/// Copies values into words; the counterpart of [`read`], used inside [`write`].
pub(super) fn store(words: &[AtomicU64], values: &[u64]) {
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
    }
}

/// Copies the words of a record into `values`. False when no untorn copy was to be had.
pub(super) fn read(sequence: &AtomicU64, words: &[AtomicU64], values: &mut [u64]) -> bool {
    for _ in 0..TRIES {
        if try_read(sequence, words, values) {
            return true;
        }
        pause();
    }
    false
}

/// One try of [`read`].
pub(super) fn try_read(sequence: &AtomicU64, words: &[AtomicU64], values: &mut [u64]) -> bool {
    let before = sequence.load(Ordering::Acquire);
    if before & 1 == 1 {
        return false;
    }
    for (value, word) in values.iter_mut().zip(words) {
        *value = word.load(Ordering::Relaxed);
    }
    fence(Ordering::Acquire);
    sequence.load(Ordering::Relaxed) == before
}

#[cfg(not(loom))]
fn pause() {
    std::hint::spin_loop();
}

#[cfg(loom)]
fn pause() {
    loom::thread::yield_now();
}

#[cfg(test)]
#[cfg(loom)]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Every interleaving of a writer that writes twice and a reader that looks twice.
    #[test]
    fn a_reader_never_sees_a_torn_record() {
        loom::model(|| {
            let record = Arc::new((AtomicU64::new(0), [AtomicU64::new(0), AtomicU64::new(0)]));
            let writer = {
                let record = Arc::clone(&record);
                thread::spawn(move || {
                    for value in 1..=2 {
                        write(&record.0, || store(&record.1, &[value, value]));
                    }
                })
            };
            for _ in 0..2 {
                let mut values = [0; 2];
                if try_read(&record.0, &record.1, &mut values) {
                    assert_eq!(values[0], values[1]);
                }
            }
            writer.join().unwrap();
            let mut values = [0; 2];
            assert!(try_read(&record.0, &record.1, &mut values));
            assert_eq!(values, [2, 2]);
        });
    }
}
