//! Encryption of payloads (draft 6): keys from a passphrase, key material messages, and the ciphers.
//!
//! One library does all of it, aws-lc-rs. Cost of a payload of 1,316 bytes in place, on one core with AES-NI and VAES,
//! as the crate's example `crypto_cost` measures it:
//!
//! | what | encrypt, ns | decrypt, ns |
//! |---|---|---|
//! | AES-CTR with 128 / 192 / 256 bits | 190 / 200 / 224 | 201 / 211 / 234 |
//! | AES-GCM with 128 / 256 bits | 265 / 285 | 268 / 290 |
//! | key encrypting key of 128 / 256 bits (PBKDF2) | 250,000 / 500,000 | |
//!
//! The crates `aes` 0.9.4 and `ctr` 0.10.1 took 331 ns for AES-CTR with 128 bits and 406 ns with 256, and would have been
//! a second library.
//!
//! The draft names AES-GCM and leaves out its nonce and what it authenticates. Both follow libsrt's public description of
//! its change in 1.5.4: the nonce is the first 96 bits of the salt with the packet number XORed into the last 32, and the
//! packet header in wire order, with the R flag clear, is authenticated. That holds against libsrt 1.5.7, as ffmpeg 9.0.2
//! has it, in both directions. Peers older than 1.5.4 do both otherwise and are refused in this mode.

mod cipher;
mod key_material;
mod passphrase;
mod receive;
mod send;
mod state;
mod wrap;

pub use key_material::{KEY_MATERIAL_BYTES_MAX, KeyMaterial, KmState};
pub use passphrase::{KeyLength, Passphrase, PassphraseError};
pub use receive::{KmAnswer, ReceiveKeys};
pub use send::{RefreshPolicy, SendKeys};
pub use state::CryptoState;
pub(crate) use state::KeyExchange;

pub(crate) use key_material::Announcement;

/// How payloads are encrypted (`crypto_mode`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CryptoMode {
    /// AES in counter mode.
    #[default]
    Ctr,
    /// AES in Galois/counter mode, which authenticates as well.
    Gcm,
}

impl CryptoMode {
    /// Bytes that encryption adds to a payload.
    #[must_use]
    pub const fn tag_bytes(self) -> usize {
        match self {
            Self::Ctr => 0,
            Self::Gcm => GCM_TAG_BYTES,
        }
    }
}

/// Has the library's random generator collect its first entropy, which takes it about 0.1 s once in a process: a data
/// plane calls this at its start, on any thread, for otherwise its first encrypted handshake stops a core for as long.
///
/// # Errors
/// [`CryptoError::Random`].
pub fn prepare() -> Result<(), CryptoError> {
    send::random(&mut [0; 16])
}

/// Bytes of the tag that AES-GCM appends.
pub const GCM_TAG_BYTES: usize = 16;

/// Why key material or a payload cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The key material does not unwrap: another passphrase.
    #[error("key material does not unwrap: wrong passphrase")]
    BadSecret,
    /// The packet claims to be encrypted with both keys.
    #[error("payload says that it is encrypted with both keys")]
    BothKeys,
    /// The cipher library refused an input that is legal: a fault in this crate or the library.
    #[error("cipher failed in {0}")]
    Cipher(&'static str),
    /// The payload is not encrypted, and encryption is enforced.
    #[error("payload is not encrypted")]
    Clear,
    /// Every number of the key has been used, and no other key is confirmed.
    #[error("key has encrypted {0} packets, all that it may")]
    Exhausted(u64),
    /// The payload did not authenticate.
    #[error("payload failed authentication")]
    Forged,
    /// The key that the packet names has not been announced.
    #[error("no {0} key")]
    NoKey(&'static str),
    /// The buffer has no room for the authentication tag.
    #[error("buffer of {bytes} bytes has no room for a payload of {payload} and its tag")]
    NoRoom {
        /// Bytes of the buffer.
        bytes: usize,
        /// Bytes of the payload.
        payload: usize,
    },
    /// The random number generator of the system failed.
    #[error("no random numbers from the system")]
    Random,
    /// The payload is shorter than its tag.
    #[error("payload of {0} bytes is shorter than its tag")]
    Short(usize),
    /// AES-GCM with a key of 192 bits does not exist in SRT.
    #[error("crypto_mode aes-gcm takes keys of 16 or 32 bytes, not 24")]
    Gcm192,
    /// Key material with a field that the draft does not allow.
    #[error("key material: {field} is {value}")]
    KeyMaterial {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// The far end uses another crypto mode.
    #[error("key material is for another crypto mode")]
    Mode,
}

/// One of the two keys of a direction (draft 6.1.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Slot {
    Even,
    Odd,
}

impl Slot {
    const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Even => 0,
            Self::Odd => 1,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Odd => "odd",
        }
    }

    const fn flag(self) -> crate::wire::KeyFlag {
        match self {
            Self::Even => crate::wire::KeyFlag::Even,
            Self::Odd => crate::wire::KeyFlag::Odd,
        }
    }
}

#[cfg(test)]
mod tests;
