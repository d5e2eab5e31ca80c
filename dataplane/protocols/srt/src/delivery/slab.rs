//! Payload memory of a buffer: cells of one size, the warmest one first.

/// Cells of equal size, handed out last in, first out.
///
/// The memory is reserved at once and touched only as far as the buffer was ever filled, so that a connection costs what
/// its traffic needs and not what its limit allows, and the cells in use stay in the cache.
#[derive(Debug)]
pub(super) struct Slab<M> {
    bytes: Vec<u8>,
    meta: Vec<M>,
    free: Vec<u32>,
    cell_bytes: usize,
    cells: usize,
}

/// Number of a cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cell(u32);

impl<M: Copy> Slab<M> {
    /// `cells` cells of `cell_bytes` bytes, each with an `M` beside it.
    pub(super) fn new(cells: usize, cell_bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(cells.saturating_mul(cell_bytes)),
            meta: Vec::with_capacity(cells),
            free: Vec::with_capacity(cells),
            cell_bytes,
            cells,
        }
    }

    /// A cell, or `None` when all are in use.
    #[inline]
    pub(super) fn take(&mut self, meta: M) -> Option<Cell> {
        if let Some(index) = self.free.pop() {
            self.meta[index as usize] = meta;
            return Some(Cell(index));
        }
        let index = self.meta.len();
        if index == self.cells {
            return None;
        }
        // Within the capacity that was reserved: nothing moves.
        self.meta.push(meta);
        self.bytes.resize((index + 1) * self.cell_bytes, 0);
        u32::try_from(index).ok().map(Cell)
    }

    /// Gives `cell` back.
    #[inline]
    pub(super) fn release(&mut self, cell: Cell) {
        self.free.push(cell.0);
    }

    /// What is known about the content of `cell`.
    #[inline]
    pub(super) fn meta(&self, cell: Cell) -> &M {
        &self.meta[cell.0 as usize]
    }

    /// As [`meta`](Self::meta), to change it.
    #[inline]
    pub(super) fn meta_mut(&mut self, cell: Cell) -> &mut M {
        &mut self.meta[cell.0 as usize]
    }

    /// All bytes of `cell`.
    #[inline]
    pub(super) fn bytes(&self, cell: Cell) -> &[u8] {
        let start = cell.0 as usize * self.cell_bytes;
        &self.bytes[start..start + self.cell_bytes]
    }

    /// All bytes of `cell`, to change them.
    #[inline]
    pub(super) fn bytes_mut(&mut self, cell: Cell) -> &mut [u8] {
        let start = cell.0 as usize * self.cell_bytes;
        &mut self.bytes[start..start + self.cell_bytes]
    }

    /// What is known about `cell`, and all its bytes.
    #[inline]
    pub(super) fn both_mut(&mut self, cell: Cell) -> (&mut M, &mut [u8]) {
        let index = cell.0 as usize;
        let start = index * self.cell_bytes;
        (
            &mut self.meta[index],
            &mut self.bytes[start..start + self.cell_bytes],
        )
    }

    /// Bytes of one cell.
    pub(super) const fn cell_bytes(&self) -> usize {
        self.cell_bytes
    }
}

impl Cell {
    /// The number as a ring keeps it.
    pub(super) const fn index(self) -> u32 {
        self.0
    }

    /// The cell that [`index`](Self::index) told.
    pub(super) const fn from_index(index: u32) -> Self {
        Self(index)
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    #[test]
    fn the_last_cell_that_came_back_is_the_next_one_out() {
        let mut slab = Slab::new(3, 4);
        let cells: Vec<_> = (0..3).map(|meta| slab.take(meta).unwrap()).collect();
        assert_eq!(slab.take(3), None, "all in use");
        slab.bytes_mut(cells[1]).copy_from_slice(b"abcd");
        slab.release(cells[2]);
        slab.release(cells[0]);
        assert_eq!(slab.take(7), Some(cells[0]));
        assert_eq!(*slab.meta(cells[0]), 7);
        assert_eq!(slab.take(8), Some(cells[2]));
        assert_eq!(slab.bytes(cells[1]), b"abcd");
    }
}
