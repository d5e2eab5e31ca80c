//! The arithmetic of the code.

/// Adds `source` to `target`, byte by byte, as far as the shorter one goes.
///
/// In steps of 16 bytes that the compiler turns into vector instructions.
#[inline]
pub(crate) fn xor_into(target: &mut [u8], source: &[u8]) {
    let length = target.len().min(source.len());
    let (target_chunks, target_rest) = target[..length].as_chunks_mut::<16>();
    let (source_chunks, source_rest) = source[..length].as_chunks::<16>();
    for (target, source) in target_chunks.iter_mut().zip(source_chunks) {
        *target = (u128::from_ne_bytes(*target) ^ u128::from_ne_bytes(*source)).to_ne_bytes();
    }
    for (target, source) in target_rest.iter_mut().zip(source_rest) {
        *target ^= source;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_byte_is_added_once(
            target in proptest::collection::vec(any::<u8>(), 0..100),
            source in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut sum = target.clone();
            xor_into(&mut sum, &source);
            for (n, (sum, target)) in sum.iter().zip(&target).enumerate() {
                prop_assert_eq!(*sum, target ^ source.get(n).unwrap_or(&0));
            }
        }
    }
}
