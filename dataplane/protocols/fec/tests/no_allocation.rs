//! Once built, encoder and decoder allocate nothing, whatever is lost.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use bilbycast_counting_allocator::{Counting, allocations_in};
use bilbycast_fec::{
    Decoder, DecoderConfig, Dimensions, Encoder, EncoderConfig, Layout, Matrix, Stream,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
