//! AES key wrap (RFC 3394), for keys of 128, 192 and 256 bits: the library's own has no 192.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    UnboundCipherKey,
};
use zeroize::Zeroizing;

use super::CryptoError;
use super::passphrase::{KEY_BYTES_MAX, KeyLength, Secret};

/// Bytes that wrapping adds in front: the integrity check value.
pub(super) const WRAP_BYTES: usize = 8;

/// Bytes of the longest wrap: two keys of 256 bits.
pub(super) const WRAPPED_BYTES_MAX: usize = WRAP_BYTES + 2 * KEY_BYTES_MAX;

/// Wraps `keys`, a whole number of 64-bit blocks, into the start of `wrapped`, which is [`WRAP_BYTES`] longer.
pub(super) fn wrap(kek: &Secret, keys: &[u8], wrapped: &mut [u8]) -> Result<(), CryptoError> {
    let cipher = EncryptingKey::ecb(unbound(kek)?).map_err(|_| CryptoError::Cipher("key wrap"))?;
    let (check, blocks) = split(wrapped, keys.len())?;
    blocks.copy_from_slice(keys);
    let mut a = INITIAL_VALUE;
    let mut block = Zeroizing::new([0_u8; 16]);
    //= RFC 3394 2.2.1: for j = 0 to 5, for i = 1 to n: B = AES(K, A | R[i]), A = MSB(64, B) ^ t, R[i] = LSB(64, B)
    for t in steps(blocks.len()) {
        let register = register(blocks, t);
        block[..8].copy_from_slice(&a.to_be_bytes());
        block[8..].copy_from_slice(register);
        cipher
            .less_safe_encrypt(&mut block[..], EncryptionContext::None)
            .map_err(|_| CryptoError::Cipher("key wrap"))?;
        a = high(&block) ^ t;
        register.copy_from_slice(&block[8..]);
    }
    check.copy_from_slice(&a.to_be_bytes());
    Ok(())
}

/// Unwraps `wrapped` into the start of `keys`, which is [`WRAP_BYTES`] shorter.
///
/// # Errors
/// [`CryptoError::BadSecret`] when the integrity check fails.
pub(super) fn unwrap(kek: &Secret, wrapped: &[u8], keys: &mut [u8]) -> Result<(), CryptoError> {
    let cipher =
        DecryptingKey::ecb(unbound(kek)?).map_err(|_| CryptoError::Cipher("key unwrap"))?;
    let Some((check, blocks)) = wrapped.split_first_chunk::<WRAP_BYTES>() else {
        return Err(CryptoError::Cipher("key unwrap"));
    };
    if keys.len() != blocks.len() || !blocks.len().is_multiple_of(8) {
        return Err(CryptoError::Cipher("key unwrap"));
    }
    keys.copy_from_slice(blocks);
    let mut a = u64::from_be_bytes(*check);
    let mut block = Zeroizing::new([0_u8; 16]);
    for t in steps(keys.len()).rev() {
        let register = register(keys, t);
        block[..8].copy_from_slice(&(a ^ t).to_be_bytes());
        block[8..].copy_from_slice(register);
        cipher
            .decrypt(&mut block[..], DecryptionContext::None)
            .map_err(|_| CryptoError::Cipher("key unwrap"))?;
        a = high(&block);
        register.copy_from_slice(&block[8..]);
    }
    if a != INITIAL_VALUE {
        keys.fill(0);
        return Err(CryptoError::BadSecret);
    }
    Ok(())
}

/// A cipher key of the library.
pub(super) fn unbound(key: &Secret) -> Result<UnboundCipherKey, CryptoError> {
    let algorithm = match key.length() {
        KeyLength::Aes128 => &AES_128,
        KeyLength::Aes192 => &AES_192,
        KeyLength::Aes256 => &AES_256,
    };
    UnboundCipherKey::new(algorithm, key.as_ref()).map_err(|_| CryptoError::Cipher("key"))
}

/// The steps of the algorithm, t = n * j + i, counted from one.
fn steps(bytes: usize) -> std::ops::RangeInclusive<u64> {
    1..=6 * (bytes as u64 / 8)
}

/// The register that step `t` works on.
fn register(blocks: &mut [u8], t: u64) -> &mut [u8] {
    let count = blocks.len() as u64 / 8;
    #[expect(clippy::cast_possible_truncation, reason = "less than eight registers")]
    let at = 8 * ((t - 1) % count) as usize;
    &mut blocks[at..at + 8]
}

/// The most significant half of a block.
fn high(block: &[u8; 16]) -> u64 {
    block
        .first_chunk()
        .map_or(0, |half| u64::from_be_bytes(*half))
}

/// The integrity check value and the registers of a wrap of `bytes` bytes.
fn split(wrapped: &mut [u8], bytes: usize) -> Result<(&mut [u8], &mut [u8]), CryptoError> {
    if wrapped.len() != WRAP_BYTES + bytes || bytes == 0 || !bytes.is_multiple_of(8) {
        return Err(CryptoError::Cipher("key wrap"));
    }
    Ok(wrapped.split_at_mut(WRAP_BYTES))
}

//= RFC 3394 2.2.3.1: the default initial value
const INITIAL_VALUE: u64 = 0xa6a6_a6a6_a6a6_a6a6;
