//! Keys of the receiving direction.

use super::cipher::StreamKey;
use super::key_material::{KeyMaterial, KmState, SALT_BYTES};
use super::passphrase::{KeyLength, Passphrase, Secret};
use super::{CryptoError, CryptoMode, Slot};
use crate::time::Micros;
use crate::wire::{DataHeader, KeyFlag};

/// The keys that the far end sends with: two places, of which one is in use and the other is old or announced.
pub struct ReceiveKeys {
    passphrase: Passphrase,
    mode: CryptoMode,
    keys: [Option<StreamKey>; 2],
    kek: Option<Kek>,
    clear_allowed: bool,
    derive_not_before: Micros,
}

/// A key encrypting key, kept for as long as its salt stays.
#[derive(Clone)]
pub(super) struct Kek {
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) secret: Secret,
}

/// What to answer to a KMREQ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KmAnswer {
    /// The same message as a KMRSP: the keys are in place.
    Echo,
    /// Nothing: the message is broken, or the far end asks too often and will repeat itself.
    Ignore,
    /// A KMRSP with this state in place of key material.
    Refuse(KmState),
}

impl ReceiveKeys {
    /// No keys yet. With `clear_allowed`, payloads without encryption are taken all the same, which
    /// `enforced_encryption` forbids.
    pub(super) const fn new(passphrase: Passphrase, mode: CryptoMode, clear_allowed: bool) -> Self {
        Self {
            passphrase,
            mode,
            keys: [None, None],
            kek: None,
            clear_allowed,
            derive_not_before: Micros::ZERO,
        }
    }

    /// Puts a key in place that this side has made.
    pub(super) fn place(&mut self, slot: Slot, key: StreamKey, kek: Kek) {
        self.keys[slot.index()] = Some(key);
        self.kek = Some(kek);
    }

    /// Takes the keys out of their places.
    pub(super) fn forget(&mut self) {
        self.keys = [None, None];
    }

    /// The key encrypting key of the last message.
    pub(super) fn kek(&self) -> Option<Kek> {
        self.kek.clone()
    }

    /// Decrypts `payload` in place and returns the length of the plaintext, which starts where the payload started.
    ///
    /// Packets of the packet filter are not encrypted and never come here.
    ///
    /// # Errors
    /// [`CryptoError`]: the packet is undecryptable. After [`CryptoError::Forged`] the payload is garbage.
    #[inline]
    pub fn decrypt(&self, header: &DataHeader, payload: &mut [u8]) -> Result<usize, CryptoError> {
        let slot = match header.key {
            KeyFlag::None if self.clear_allowed => return Ok(payload.len()),
            KeyFlag::None => return Err(CryptoError::Clear),
            KeyFlag::Even => Slot::Even,
            KeyFlag::Odd => Slot::Odd,
            KeyFlag::Both => return Err(CryptoError::BothKeys),
        };
        match &self.keys[slot.index()] {
            Some(key) => key.decrypt(header, payload),
            None => Err(CryptoError::NoKey(slot.name())),
        }
    }

    /// Whether any key is in place.
    #[must_use]
    pub fn is_secured(&self) -> bool {
        self.keys.iter().any(Option::is_some)
    }

    /// Takes the keys of a KMREQ, in a handshake or during a refresh (draft 6.1.6), and says what to answer.
    ///
    /// A new salt costs a derivation of the key encrypting key, so that one a second is taken from the wire.
    pub fn handle_request(&mut self, now: Micros, content: &[u8]) -> KmAnswer {
        // What does not even parse was sent by nobody whom an answer would help.
        let Ok(material) = KeyMaterial::parse(content) else {
            return KmAnswer::Ignore;
        };
        let known = self
            .kek
            .as_ref()
            .is_some_and(|kek| kek.matches(material.salt, material.length));
        if !known {
            if now < self.derive_not_before {
                return KmAnswer::Ignore;
            }
            self.derive_not_before = now + DERIVATION_INTERVAL;
        }
        match self.install(&material) {
            Ok(_) => KmAnswer::Echo,
            Err(CryptoError::BadSecret) => KmAnswer::Refuse(KmState::BadSecret),
            Err(_) => KmAnswer::Refuse(KmState::BadCryptoMode),
        }
    }

    /// Puts the keys of `material` in place, and returns them.
    pub(super) fn install(
        &mut self,
        material: &KeyMaterial<'_>,
    ) -> Result<[Option<Secret>; 2], CryptoError> {
        if material.mode != self.mode {
            return Err(CryptoError::Mode);
        }
        let kek = match &self.kek {
            Some(kek) if kek.matches(material.salt, material.length) => kek.clone(),
            _ => Kek::derive(&self.passphrase, material.salt, material.length),
        };
        let keys = material.unwrap(&kek.secret)?;
        for (place, key) in self.keys.iter_mut().zip(&keys) {
            if let Some(key) = key {
                *place = Some(StreamKey::new(self.mode, material.salt, key)?);
            }
        }
        self.kek = Some(kek);
        Ok(keys)
    }
}

impl Kek {
    pub(super) fn derive(
        passphrase: &Passphrase,
        salt: &[u8; SALT_BYTES],
        length: KeyLength,
    ) -> Self {
        Self {
            salt: *salt,
            secret: passphrase.derive(salt, length),
        }
    }

    fn matches(&self, salt: &[u8; SALT_BYTES], length: KeyLength) -> bool {
        self.salt == *salt && self.secret.length() == length
    }
}

impl std::fmt::Debug for ReceiveKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ReceiveKeys")
            .field("mode", &self.mode)
            .field("secured", &self.is_secured())
            .finish_non_exhaustive()
    }
}

/// How often the far end may have a key encrypting key derived. A refresh comes every few hours.
const DERIVATION_INTERVAL: Micros = Micros::from_secs(1);
