//! The system's allocator, and a count of what a piece of work asks of it. For tests that say that nothing is allocated:
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts allocations of the thread that asks for it. A growing reallocation is one.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<Option<u64>> = const { Cell::new(None) };
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is being torn down counts nothing.
        let _ = ALLOCATIONS.try_with(|counter| counter.set(counter.get().map(|count| count + 1)));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often `work` allocates on this thread, when [`Counting`] is the global allocator.
pub fn allocations_in(work: impl FnOnce()) -> u64 {
    ALLOCATIONS.with(|counter| counter.set(Some(0)));
    work();
    ALLOCATIONS.with(Cell::take).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    #[test]
    fn the_counter_counts() {
        let two = || drop(std::hint::black_box((vec![1], Box::new(2))));
        assert_eq!(allocations_in(two), 2);
        assert_eq!(allocations_in(|| {}), 0);
    }
}
