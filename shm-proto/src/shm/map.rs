//! The file behind the shared memory, seen as atomic words.

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapMut, MmapOptions};

use crate::sync::AtomicU64;

/// A mapping that this process writes.
#[derive(Debug)]
pub(super) struct WriteMap(MmapMut);

/// A mapping that this process only reads.
#[derive(Debug)]
pub(super) struct ReadMap(Mmap);

impl WriteMap {
    /// Maps the whole file.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the file is unlinked or renamed by its owner, never truncated, so the map stays valid; every access
        // goes through atomics, so changes by another process are not undefined behaviour.
        let map = unsafe { MmapOptions::new().map_mut(file)? };
        Ok(Self(map))
    }

    /// All words.
    pub(super) fn words(&self) -> &[AtomicU64] {
        words(self.0.as_ptr(), self.0.len())
    }
}

impl ReadMap {
    /// Maps the whole file read-only.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: as in `WriteMap::new`; the writer never shortens the file.
        let map = unsafe { MmapOptions::new().map(file)? };
        Ok(Self(map))
    }

    /// All words. Only loads are legal: the pages are mapped read-only.
    pub(super) fn words(&self) -> &[AtomicU64] {
        words(self.0.as_ptr(), self.0.len())
    }
}

fn words<'a>(start: *const u8, bytes: usize) -> &'a [AtomicU64] {
    // SAFETY: a mapping is page-aligned, so it is aligned for u64; `bytes / 8` words lie inside it; AtomicU64 has the
    // layout of u64, for which every bit pattern is valid. Both callers return the slice with the lifetime of the
    // mapping that they borrow.
    unsafe { std::slice::from_raw_parts(start.cast::<AtomicU64>(), bytes / 8) }
}
