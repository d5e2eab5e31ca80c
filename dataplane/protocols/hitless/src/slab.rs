//! The bytes of the packets that are held.

/// Longest packet: a jumbo frame of 9,000 bytes and some.
pub const PACKET_BYTES_MAX: usize = 9_216;

/// Blocks of one size, the one freed last taken first: only as many as are in use at a time ever become resident. A
/// packet that is longer than a block is a chain.
#[derive(Clone, Debug)]
pub(crate) struct Slab {
    /// Its whole size is reserved; its length is what has been used so far.
    bytes: Vec<u8>,
    /// The block after each, in a chain or in the list of free ones.
    next: Vec<Block>,
    free: Block,
    free_count: usize,
    blocks_max: usize,
}

/// Number of a block.
pub(crate) type Block = u16;

impl Slab {
    /// Room for `blocks_max` blocks, at most 32,768.
    pub(crate) fn new(blocks_max: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(blocks_max * BLOCK_BYTES),
            next: Vec::with_capacity(blocks_max),
            free: NONE,
            free_count: 0,
            blocks_max,
        }
    }

    /// Blocks that are not in use.
    #[inline]
    pub(crate) const fn available(&self) -> usize {
        self.blocks_max - self.next.len() + self.free_count
    }

    /// Blocks that a packet takes.
    #[inline]
    pub(crate) const fn blocks_of(bytes: usize) -> usize {
        bytes.div_ceil(BLOCK_BYTES)
    }

    /// Stores a packet and returns its first block; `None` when there is no room for it.
    #[inline]
    pub(crate) fn store(&mut self, packet: &[u8]) -> Option<Block> {
        if Self::blocks_of(packet.len()) > self.available() {
            return None;
        }
        let mut first = NONE;
        // From its end, so that each block is linked to the one after it.
        for piece in packet.chunks(BLOCK_BYTES).rev() {
            let block = self.take();
            let start = usize::from(block) * BLOCK_BYTES;
            self.bytes[start..start + piece.len()].copy_from_slice(piece);
            self.next[usize::from(block)] = first;
            first = block;
        }
        Some(first)
    }

    /// Copies a packet out and frees its blocks. `out` is as long as the packet.
    #[inline]
    pub(crate) fn take_out(&mut self, first: Block, out: &mut [u8]) {
        let mut block = first;
        for piece in out.chunks_mut(BLOCK_BYTES) {
            let start = usize::from(block) * BLOCK_BYTES;
            piece.copy_from_slice(&self.bytes[start..start + piece.len()]);
            let after = self.next[usize::from(block)];
            self.next[usize::from(block)] = self.free;
            self.free = block;
            self.free_count += 1;
            block = after;
        }
    }

    fn take(&mut self) -> Block {
        if self.free_count > 0 {
            let block = self.free;
            self.free = self.next[usize::from(block)];
            self.free_count -= 1;
            return block;
        }
        // Within the reserved capacity, which `available` has looked after.
        let block = self.next.len();
        self.bytes.resize((block + 1) * BLOCK_BYTES, 0);
        self.next.push(NONE);
        // At most 32,768 blocks.
        block as Block
    }
}

/// Holds a datagram of an Ethernet frame.
const BLOCK_BYTES: usize = 1_536;

/// No block.
const NONE: Block = Block::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|index| (index * 7 + bytes) as u8).collect()
    }

    #[test]
    fn packets_of_all_lengths_come_back() {
        let mut slab = Slab::new(16);
        let lengths = [12, 1_536, 1_537, PACKET_BYTES_MAX, 1_328];
        let stored = lengths.map(|bytes| slab.store(&packet(bytes)).unwrap());
        assert_eq!(slab.available(), 16 - 1 - 1 - 2 - 6 - 1);
        for (bytes, first) in lengths.into_iter().zip(stored) {
            let mut out = vec![0; bytes];
            slab.take_out(first, &mut out);
            assert!(out == packet(bytes), "{bytes} bytes");
        }
        assert_eq!(slab.available(), 16);
    }

    #[test]
    fn what_does_not_fit_is_refused_whole() {
        let mut slab = Slab::new(3);
        assert!(slab.store(&packet(PACKET_BYTES_MAX)).is_none());
        let first = slab.store(&packet(3 * BLOCK_BYTES)).unwrap();
        assert!(slab.store(&packet(1)).is_none());
        slab.take_out(first, &mut vec![0; 3 * BLOCK_BYTES]);
        assert_eq!(slab.available(), 3);
    }

    #[test]
    fn the_block_freed_last_is_taken_first() {
        let mut slab = Slab::new(32_768);
        let capacity = slab.bytes.capacity();
        for _ in 0..1_000 {
            let first = slab.store(&packet(1_328)).unwrap();
            slab.take_out(first, &mut vec![0; 1_328]);
        }
        assert_eq!(slab.next.len(), 1);
        assert_eq!(slab.bytes.capacity(), capacity);
    }
}
