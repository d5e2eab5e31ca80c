//! Encryption of the secrets at rest (configuration.md 1.3).
//!
//! ```text
//! magic "BCSECRET" | version 1 | key source | salt, 32 bytes | nonce, 12 bytes | ciphertext | tag, 16 bytes
//! ```
//!
//! The cipher is AES-256-GCM; everything before the ciphertext is its associated data. The key is derived by
//! HKDF-SHA256 from the key material and the salt, which is new for every file, so no key ever meets a second nonce.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{hkdf, rand};

use super::error::SecretsProblem;
use super::key::{KeySource, Keys};

/// Whether these bytes are meant to be an envelope.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Encrypts `plaintext` with key material from `source`; only a defect of the library or of the system fails.
pub(super) fn seal(
    plaintext: &[u8],
    source: KeySource,
    material: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    let mut salt_and_nonce = [0; SALT_BYTES + NONCE_LEN];
    rand::fill(&mut salt_and_nonce)?;
    let mut envelope = Vec::with_capacity(HEADER_BYTES + plaintext.len() + AES_256_GCM.tag_len());
    envelope.extend_from_slice(MAGIC);
    envelope.push(VERSION);
    envelope.push(match source {
        KeySource::Machine => 0,
        KeySource::File => 1,
    });
    envelope.extend_from_slice(&salt_and_nonce);
    let (key, nonce) = key_and_nonce(&envelope, material)?;
    let mut ciphertext = plaintext.to_vec();
    key.seal_in_place_append_tag(nonce, Aad::from(&envelope), &mut ciphertext)?;
    envelope.append(&mut ciphertext);
    Ok(envelope)
}

/// Decrypts an envelope.
pub(super) fn open(bytes: &[u8], keys: &Keys) -> Result<Vec<u8>, SecretsProblem> {
    let rest = bytes.get(MAGIC.len()..).unwrap_or_default();
    match rest.first() {
        None => return Err(SecretsProblem::Truncated),
        Some(&VERSION) => {}
        Some(&other) => return Err(SecretsProblem::EnvelopeVersion(other)),
    }
    if bytes.len() < HEADER_BYTES + AES_256_GCM.tag_len() {
        return Err(SecretsProblem::Truncated);
    }
    let (header, ciphertext) = bytes.split_at(HEADER_BYTES);
    let source = match header[SOURCE_AT] {
        0 => KeySource::Machine,
        1 => KeySource::File,
        other => {
            return Err(SecretsProblem::KeyUnavailable {
                source_of_key: format!("source {other}"),
                reason: "this program does not know it".to_owned(),
            });
        }
    };
    let source_of_key = || keys.describe(source).to_string();
    let material = keys
        .to_decrypt(source)
        .map_err(|error| SecretsProblem::KeyUnavailable {
            source_of_key: source_of_key(),
            reason: error.to_string(),
        })?;
    open_with(header, ciphertext, &material).map_err(|_| SecretsProblem::Undecryptable {
        source_of_key: source_of_key(),
    })
}

const MAGIC: &[u8; 8] = b"BCSECRET";
const VERSION: u8 = 1;
const SOURCE_AT: usize = MAGIC.len() + 1;
const SALT_AT: usize = SOURCE_AT + 1;
const SALT_BYTES: usize = 32;
const NONCE_AT: usize = SALT_AT + SALT_BYTES;
const HEADER_BYTES: usize = NONCE_AT + NONCE_LEN;

/// Names the product and the purpose, so that the same machine id gives nobody else this key.
const INFO: &[u8] = b"bilbycast-edge secrets.json version 1";

fn open_with(header: &[u8], ciphertext: &[u8], material: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let (key, nonce) = key_and_nonce(header, material)?;
    let mut plaintext = ciphertext.to_vec();
    let length = key
        .open_in_place(nonce, Aad::from(header), &mut plaintext)?
        .len();
    plaintext.truncate(length);
    Ok(plaintext)
}

fn key_and_nonce(header: &[u8], material: &[u8]) -> Result<(LessSafeKey, Nonce), Unspecified> {
    let salt = header.get(SALT_AT..NONCE_AT).ok_or(Unspecified)?;
    let nonce = header.get(NONCE_AT..HEADER_BYTES).ok_or(Unspecified)?;
    let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(material);
    let key = UnboundKey::from(derived.expand(&[INFO], &AES_256_GCM)?);
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    Ok((LessSafeKey::new(key), nonce))
}
