//! The shared secret, and the key that is derived from it.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use super::key_material::SALT_BYTES;

/// A passphrase of 10 to 79 bytes, overwritten when dropped.
#[derive(Clone, Eq, PartialEq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The passphrase `text`.
    ///
    /// # Errors
    /// [`PassphraseError`] when it is shorter than 10 or longer than 79 bytes.
    pub fn new(text: &str) -> Result<Self, PassphraseError> {
        if !(PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&text.len()) {
            return Err(PassphraseError { bytes: text.len() });
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The key encrypting key for `salt`: the secret of 2,048 rounds of PBKDF2.
    ///
    /// Costs several hundred microseconds; callers limit how often the far end can ask for it.
    pub(super) fn derive(&self, salt: &[u8; SALT_BYTES], length: KeyLength) -> Secret {
        let mut secret = Secret::zeroed(length);
        //= draft-sharabayko-srt 6.2.1: KEK = PBKDF2(passphrase, LSB(64,Salt), Iter, KLen)
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA1,
            ROUNDS,
            &salt[SALT_BYTES - 8..],
            self.0.as_bytes(),
            secret.as_mut(),
        );
        secret
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Passphrase(..)")
    }
}

/// A passphrase of a length that SRT does not allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("passphrase has {bytes} bytes, 10 to 79 allowed")]
pub struct PassphraseError {
    /// Bytes that it has.
    pub bytes: usize,
}

/// Length of the keys (`aes_key_len`).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum KeyLength {
    /// 16 bytes.
    #[default]
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

impl KeyLength {
    /// Length in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// The length of `bytes` bytes; `None` when it is neither 16, 24 nor 32.
    #[must_use]
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            16 => Some(Self::Aes128),
            24 => Some(Self::Aes192),
            32 => Some(Self::Aes256),
            _ => None,
        }
    }

    /// The length in the encryption field of a handshake (draft 3.2.1, table 2).
    #[must_use]
    pub const fn to_field(self) -> u16 {
        match self {
            Self::Aes128 => 2,
            Self::Aes192 => 3,
            Self::Aes256 => 4,
        }
    }

    /// The length that an encryption field advertises; `None` for none, and for values that the draft does not know.
    #[must_use]
    pub const fn from_field(field: u16) -> Option<Self> {
        match field {
            2 => Some(Self::Aes128),
            3 => Some(Self::Aes192),
            4 => Some(Self::Aes256),
            _ => None,
        }
    }
}

/// Key bytes, overwritten when dropped.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Secret {
    bytes: Zeroizing<[u8; KEY_BYTES_MAX]>,
    length: KeyLength,
}

impl Secret {
    /// A key of zeros, to be filled.
    pub(super) fn zeroed(length: KeyLength) -> Self {
        Self {
            bytes: Zeroizing::new([0; KEY_BYTES_MAX]),
            length,
        }
    }

    /// Length of the key.
    pub(super) const fn length(&self) -> KeyLength {
        self.length
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length.bytes()]
    }
}

impl AsMut<[u8]> for Secret {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length.bytes()]
    }
}

/// Bytes of the longest key.
pub(super) const KEY_BYTES_MAX: usize = 32;

const PASSPHRASE_BYTES_MIN: usize = 10;
const PASSPHRASE_BYTES_MAX: usize = 79;

//= draft-sharabayko-srt 6.2.1: Iter=2048
const ROUNDS: NonZeroU32 = NonZeroU32::new(2_048).expect("2,048 is not zero");
