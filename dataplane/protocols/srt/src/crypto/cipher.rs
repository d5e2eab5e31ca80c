//! A stream encrypting key at work (draft 6.2.2, 6.3.2).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{EncryptingKey, EncryptionContext};
use aws_lc_rs::iv::FixedLength;

use super::key_material::SALT_BYTES;
use super::passphrase::{KeyLength, Secret};
use super::wrap::unbound;
use super::{CryptoError, CryptoMode, GCM_TAG_BYTES};
use crate::wire::{DataHeader, HEADER_BYTES, SeqNumber};

/// A stream encrypting key with its salt, expanded once.
#[derive(Debug)]
pub(super) struct StreamKey {
    cipher: Cipher,
    salt: [u8; SALT_BYTES],
}

/// The key of a mode, in place: two of them for each direction, and a pointer less on the way to a packet.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few keys, and each is used for every packet"
)]
enum Cipher {
    Ctr(EncryptingKey),
    Gcm(LessSafeKey),
}

impl StreamKey {
    pub(super) fn new(
        mode: CryptoMode,
        salt: &[u8; SALT_BYTES],
        key: &Secret,
    ) -> Result<Self, CryptoError> {
        let cipher = match mode {
            CryptoMode::Ctr => Cipher::Ctr(
                EncryptingKey::ctr(unbound(key)?).map_err(|_| CryptoError::Cipher("key"))?,
            ),
            CryptoMode::Gcm => {
                let algorithm = match key.length() {
                    KeyLength::Aes128 => &AES_128_GCM,
                    KeyLength::Aes192 => return Err(CryptoError::Gcm192),
                    KeyLength::Aes256 => &AES_256_GCM,
                };
                let key = UnboundKey::new(algorithm, key.as_ref())
                    .map_err(|_| CryptoError::Cipher("key"))?;
                Cipher::Gcm(LessSafeKey::new(key))
            }
        };
        Ok(Self {
            cipher,
            salt: *salt,
        })
    }

    /// Encrypts the first `length` bytes of `buffer` in place, whose header is `header` with the key named in it;
    /// returns the length of the ciphertext.
    pub(super) fn encrypt(
        &self,
        header: &DataHeader,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<usize, CryptoError> {
        let no_room = CryptoError::NoRoom {
            bytes: buffer.len(),
            payload: length,
        };
        match &self.cipher {
            Cipher::Ctr(key) => {
                let payload = buffer.get_mut(..length).ok_or(no_room)?;
                self.apply_ctr(key, header.sequence, payload)?;
                Ok(length)
            }
            Cipher::Gcm(key) => {
                let (payload, rest) = buffer.split_at_mut_checked(length).ok_or(no_room)?;
                let target = rest.get_mut(..GCM_TAG_BYTES).ok_or(no_room)?;
                let nonce = self.gcm_nonce(header.sequence);
                let tag = key
                    .seal_in_place_separate_tag(nonce, associated(header), payload)
                    .map_err(|_| CryptoError::Cipher("encryption"))?;
                target.copy_from_slice(tag.as_ref());
                Ok(length + GCM_TAG_BYTES)
            }
        }
    }

    /// Decrypts `payload` in place and returns the length of the plaintext.
    pub(super) fn decrypt(
        &self,
        header: &DataHeader,
        payload: &mut [u8],
    ) -> Result<usize, CryptoError> {
        match &self.cipher {
            Cipher::Ctr(key) => {
                self.apply_ctr(key, header.sequence, payload)?;
                Ok(payload.len())
            }
            Cipher::Gcm(key) => {
                if payload.len() < GCM_TAG_BYTES {
                    return Err(CryptoError::Short(payload.len()));
                }
                let plain = key
                    .open_in_place(self.gcm_nonce(header.sequence), associated(header), payload)
                    .map_err(|_| CryptoError::Forged)?;
                Ok(plain.len())
            }
        }
    }

    fn apply_ctr(
        &self,
        key: &EncryptingKey,
        sequence: SeqNumber,
        payload: &mut [u8],
    ) -> Result<(), CryptoError> {
        //= draft-sharabayko-srt 6.1.2: a block counter in the least significant 16 bits, the packet index in the next
        //  32 bits, the upper 112 bits XORed with the most significant 112 bits of the salt
        let mut counter = self.salt;
        mix(&mut counter[10..14], sequence);
        counter[14..].fill(0);
        key.less_safe_encrypt(
            payload,
            EncryptionContext::Iv128(FixedLength::from(counter)),
        )
        .map_err(|_| CryptoError::Cipher("counter mode"))?;
        Ok(())
    }

    /// The nonce of libsrt since 1.5.4: 96 bits of the salt, the packet number in the last 32 of them.
    fn gcm_nonce(&self, sequence: SeqNumber) -> Nonce {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&self.salt[..12]);
        mix(&mut nonce[8..], sequence);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// What AES-GCM authenticates besides the payload: the header as it was sent first, for a retransmission sets a flag.
fn associated(header: &DataHeader) -> Aad<[u8; HEADER_BYTES]> {
    let first = DataHeader {
        retransmitted: false,
        ..*header
    };
    Aad::from(first.to_bytes())
}

/// XORs a packet number into four bytes.
fn mix(bytes: &mut [u8], sequence: SeqNumber) {
    for (byte, number) in bytes.iter_mut().zip(sequence.value().to_be_bytes()) {
        *byte ^= number;
    }
}
