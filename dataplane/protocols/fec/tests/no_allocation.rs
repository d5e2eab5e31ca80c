//! Once built, encoder and decoder allocate nothing, whatever is lost.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;

use bilbycast_fec::{
    Decoder, DecoderConfig, Dimensions, Encoder, EncoderConfig, Layout, Matrix, Stream,
};

/// Counts allocations of the thread that asks for it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<Option<u64>> = const { Cell::new(None) };
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        // A thread that is being torn down counts nothing.
        let _ = ALLOCATIONS.try_with(|counter| counter.set(counter.get().map(|count| count + 1)));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_in(work: impl FnOnce()) -> u64 {
    ALLOCATIONS.with(|counter| counter.set(Some(0)));
    work();
    ALLOCATIONS.with(|counter| counter.take()).unwrap_or(0)
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_in(|| drop(std::hint::black_box(vec![1]))), 1);
}

#[test]
fn packets_allocate_nothing() {
    for (columns, rows, layout) in [
        (10, 10, Layout::BlockAligned),
        (20, 20, Layout::BlockAligned),
        (5, 7, Layout::Staircase),
        (1, 10, Layout::BlockAligned),
    ] {
        let mut encoder = Encoder::new(EncoderConfig {
            matrix: Matrix::new(columns, rows).unwrap(),
            dimensions: Dimensions::ColumnAndRow,
            layout,
            sequence_start: [0; 2],
        });
        let mut decoder = Decoder::new(DecoderConfig::default());
        let mut packet = [0; 1_328];
        packet[..2].copy_from_slice(&[0x80, 33]);
        let mut random = 1_u32;
        let mut recovered = 0;
        let allocations = allocations_in(|| {
            for n in 0..40_000_u32 {
                // A third of the time nothing is lost, then a little, then more than can be recovered.
                let loss_percent = [0, 3, 30][(n / 2_000 % 3) as usize];
                let mut lost = || {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 16) % 100 < loss_percent
                };
                // Now and then the source starts anew.
                let number = n + n / 10_000 * 5_000;
                packet[2..4].copy_from_slice(&number.to_be_bytes()[2..]);
                packet[100] = number.to_be_bytes()[3];
                let mut take = |_: &[u8]| recovered += 1;
                if !lost() {
                    decoder.push_media(&packet, &mut take);
                }
                encoder.push(
                    &packet[..12],
                    &packet[12..],
                    &mut |stream: Stream, fec: &[u8]| {
                        if !lost() {
                            decoder.push_fec(stream, fec, &mut take);
                        }
                    },
                );
            }
        });
        assert_eq!(allocations, 0, "{columns} x {rows}");
        assert!(recovered > 300, "{recovered} with {columns} x {rows}");
        assert_eq!(decoder.stats().resets, 3);
        assert_eq!(decoder.stats().recovery_failed, 0);
    }
}
