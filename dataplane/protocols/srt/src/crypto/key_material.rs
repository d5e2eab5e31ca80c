//! Key material messages (draft 3.2.2).

use zeroize::Zeroizing;

use super::passphrase::{KeyLength, Secret};
use super::wrap::{self, WRAP_BYTES, WRAPPED_BYTES_MAX};
use super::{CryptoError, CryptoMode};
use crate::wire::KeyFlag;

/// Bytes of the longest key material message: two keys of 256 bits.
pub const KEY_MATERIAL_BYTES_MAX: usize = HEAD_BYTES + SALT_BYTES + WRAPPED_BYTES_MAX;

/// Bytes of a salt.
pub(super) const SALT_BYTES: usize = 16;

/// A key material message, its fields checked and its keys still wrapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyMaterial<'a> {
    /// Which keys it carries: the even, the odd or both.
    pub keys: KeyFlag,
    /// What they are for.
    pub mode: CryptoMode,
    /// Their length.
    pub length: KeyLength,
    pub(super) salt: &'a [u8; SALT_BYTES],
    wrapped: &'a [u8],
}

impl<'a> KeyMaterial<'a> {
    /// The message in `content`; what follows it is skipped.
    ///
    /// # Errors
    /// [`CryptoError::KeyMaterial`] names the field, [`CryptoError::Gcm192`] the combination that is not allowed.
    pub fn parse(content: &'a [u8]) -> Result<Self, CryptoError> {
        let short = CryptoError::KeyMaterial {
            field: "length in bytes",
            value: u32::try_from(content.len()).unwrap_or(u32::MAX),
        };
        let Some((head, rest)) = content.split_first_chunk::<HEAD_BYTES>() else {
            return Err(short);
        };
        let Some((salt, rest)) = rest.split_first_chunk::<SALT_BYTES>() else {
            return Err(short);
        };
        let expect = |field, value: u32, expected: u32| {
            if value == expected {
                return Ok(());
            }
            Err(CryptoError::KeyMaterial { field, value })
        };
        expect(
            "version and packet type",
            u32::from(head[0]),
            u32::from(VERSION_AND_TYPE),
        )?;
        let sign = u16::from_be_bytes([head[1], head[2]]);
        expect("signature", u32::from(sign), u32::from(SIGNATURE))?;
        // Other indices name keys of a key management system, which nobody has.
        let keki = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        expect("key encrypting key index", keki, 0)?;
        expect(
            "salt length in words",
            u32::from(head[14]),
            SALT_BYTES as u32 / 4,
        )?;
        let mode = match (head[8], head[9]) {
            (CIPHER_CTR, AUTH_NONE) => CryptoMode::Ctr,
            (CIPHER_GCM, AUTH_GCM) => CryptoMode::Gcm,
            (cipher, auth) => {
                return Err(CryptoError::KeyMaterial {
                    field: "cipher and authentication",
                    value: u32::from(u16::from_be_bytes([cipher, auth])),
                });
            }
        };
        let Some(length) = KeyLength::from_bytes(4 * usize::from(head[15])) else {
            return Err(CryptoError::KeyMaterial {
                field: "key length in words",
                value: u32::from(head[15]),
            });
        };
        if mode == CryptoMode::Gcm && length == KeyLength::Aes192 {
            return Err(CryptoError::Gcm192);
        }
        let keys = KeyFlag::from_bits(u32::from(head[3]));
        let count = match keys {
            KeyFlag::None => {
                return Err(CryptoError::KeyMaterial {
                    field: "KK",
                    value: 0,
                });
            }
            KeyFlag::Even | KeyFlag::Odd => 1,
            KeyFlag::Both => 2,
        };
        let Some(wrapped) = rest.get(..WRAP_BYTES + count * length.bytes()) else {
            return Err(short);
        };
        Ok(Self {
            keys,
            mode,
            length,
            salt,
            wrapped,
        })
    }

    /// The even and the odd key, as far as the message has them.
    pub(super) fn unwrap(&self, kek: &Secret) -> Result<[Option<Secret>; 2], CryptoError> {
        let mut bytes = Zeroizing::new([0_u8; WRAPPED_BYTES_MAX]);
        let plain = &mut bytes[..self.wrapped.len() - WRAP_BYTES];
        wrap::unwrap(kek, self.wrapped, plain)?;
        let mut keys = plain.chunks_exact(self.length.bytes()).map(|bytes| {
            let mut key = Secret::zeroed(self.length);
            key.as_mut().copy_from_slice(bytes);
            key
        });
        //= draft-sharabayko-srt 3.2.2, xSEK: with both keys, the even one comes first
        Ok(match self.keys {
            KeyFlag::Odd => [None, keys.next()],
            _ => [keys.next(), keys.next()],
        })
    }
}

/// A key material message of one key, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Announcement {
    bytes: [u8; KEY_MATERIAL_BYTES_MAX],
    length: usize,
}

impl Announcement {
    /// The message that announces `key` as the `keys` one.
    pub(super) fn new(
        keys: KeyFlag,
        mode: CryptoMode,
        salt: &[u8; SALT_BYTES],
        key: &Secret,
        kek: &Secret,
    ) -> Result<Self, CryptoError> {
        let mut bytes = [0; KEY_MATERIAL_BYTES_MAX];
        let length = HEAD_BYTES + SALT_BYTES + WRAP_BYTES + key.length().bytes();
        let (cipher, auth) = match mode {
            CryptoMode::Ctr => (CIPHER_CTR, AUTH_NONE),
            CryptoMode::Gcm => (CIPHER_GCM, AUTH_GCM),
        };
        let [sign_high, sign_low] = SIGNATURE.to_be_bytes();
        let words = |bytes: usize| u8::try_from(bytes / 4).unwrap_or(u8::MAX);
        bytes[..4].copy_from_slice(&[VERSION_AND_TYPE, sign_high, sign_low, keys as u8]);
        bytes[8..12].copy_from_slice(&[cipher, auth, ENCAPSULATION_SRT, 0]);
        bytes[14] = words(SALT_BYTES);
        bytes[15] = words(key.length().bytes());
        bytes[HEAD_BYTES..HEAD_BYTES + SALT_BYTES].copy_from_slice(salt);
        wrap::wrap(
            kek,
            key.as_ref(),
            &mut bytes[HEAD_BYTES + SALT_BYTES..length],
        )?;
        Ok(Self { bytes, length })
    }

    /// The message in wire form.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// State of the key exchange that a KMRSP reports in place of key material (draft 3.2.1.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KmState {
    /// The peer encrypts and this side does not.
    Unsecured,
    /// The peer has no passphrase.
    NoSecret,
    /// The peer has another passphrase.
    BadSecret,
    /// The peer has another crypto mode.
    BadCryptoMode,
    /// Anything else.
    Unknown(u32),
}

impl KmState {
    /// The state as on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u32 {
        match self {
            Self::Unsecured => 0,
            Self::NoSecret => 3,
            Self::BadSecret => 4,
            Self::BadCryptoMode => 5,
            Self::Unknown(state) => state,
        }
    }

    /// The state in a KMRSP; `None` when it is key material.
    #[must_use]
    pub fn parse(content: &[u8]) -> Option<Self> {
        let Ok(word) = <[u8; 4]>::try_from(content) else {
            return None;
        };
        Some(match u32::from_be_bytes(word) {
            0 => Self::Unsecured,
            3 => Self::NoSecret,
            4 => Self::BadSecret,
            5 => Self::BadCryptoMode,
            other => Self::Unknown(other),
        })
    }
}

impl std::fmt::Display for KmState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsecured => formatter.write_str("it expects no encryption"),
            Self::NoSecret => formatter.write_str("it has no passphrase"),
            Self::BadSecret => formatter.write_str("it has another passphrase"),
            Self::BadCryptoMode => formatter.write_str("it has another crypto mode"),
            Self::Unknown(state) => write!(formatter, "unknown state {state}"),
        }
    }
}

/// Bytes before the salt.
const HEAD_BYTES: usize = 16;

//= draft-sharabayko-srt 3.2.2: S = 0, V = 1, PT = 2
const VERSION_AND_TYPE: u8 = 0x12;
//= draft-sharabayko-srt 3.2.2: Sign, value = 0x2029
const SIGNATURE: u16 = 0x2029;
const CIPHER_CTR: u8 = 2;
const CIPHER_GCM: u8 = 4;
const AUTH_NONE: u8 = 0;
const AUTH_GCM: u8 = 1;
//= draft-sharabayko-srt 3.2.2: SE, 2: MPEG-TS/SRT
const ENCAPSULATION_SRT: u8 = 2;
