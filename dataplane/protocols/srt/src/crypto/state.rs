//! The keys of both directions of a connection, as its handshake leaves them.

use super::cipher::StreamKey;
use super::key_material::{Announcement, KeyMaterial, KmState, SALT_BYTES};
use super::passphrase::{KeyLength, Passphrase};
use super::receive::{Kek, ReceiveKeys};
use super::send::{RefreshPolicy, SendKeys, random, random_key};
use super::{CryptoError, CryptoMode, Slot};

/// The keys of both directions of a connection.
///
/// Both start with the same key and the same salt, as the draft has it (6.1.5). Where both ends send on one connection,
/// that encrypts two streams with the same counters; a gateway's connections carry data one way.
#[derive(Debug)]
pub struct CryptoState {
    /// The sending direction.
    pub send: SendKeys,
    /// The receiving direction.
    pub receive: ReceiveKeys,
}

/// What a key exchange needs to know.
#[derive(Clone, Debug)]
pub(crate) struct KeyExchange<'a> {
    pub(crate) passphrase: &'a Passphrase,
    pub(crate) mode: CryptoMode,
    pub(crate) policy: RefreshPolicy,
    pub(crate) clear_allowed: bool,
}

impl CryptoState {
    /// The initiator's keys: a random one for both directions, and the KMREQ that tells the responder (draft 6.2.1).
    pub(crate) fn initiate(
        exchange: &KeyExchange<'_>,
        length: KeyLength,
    ) -> Result<(Self, Announcement), CryptoError> {
        let mode = exchange.mode;
        if mode == CryptoMode::Gcm && length == KeyLength::Aes192 {
            return Err(CryptoError::Gcm192);
        }
        let mut salt = [0; SALT_BYTES];
        random(&mut salt)?;
        let kek = Kek::derive(exchange.passphrase, &salt, length);
        let secret = random_key(length)?;
        let announcement = Announcement::new(Slot::Even.flag(), mode, &salt, &secret, &kek.secret)?;
        let mut receive = exchange.receive_keys();
        receive.place(
            Slot::Even,
            StreamKey::new(mode, &salt, &secret)?,
            kek.clone(),
        );
        let key = StreamKey::new(mode, &salt, &secret)?;
        let send = SendKeys::new(mode, kek, Slot::Even, key, exchange.policy);
        Ok((Self { send, receive }, announcement))
    }

    /// The responder's keys: those of the initiator's KMREQ, for both directions (draft 6.1.5).
    ///
    /// # Errors
    /// [`CryptoError::BadSecret`], [`CryptoError::Mode`] and what [`KeyMaterial::parse`] finds.
    pub(crate) fn respond(exchange: &KeyExchange<'_>, request: &[u8]) -> Result<Self, CryptoError> {
        let material = KeyMaterial::parse(request)?;
        let mut receive = exchange.receive_keys();
        let keys = receive.install(&material)?;
        let [even, odd] = keys;
        let (slot, secret) = match (even, odd) {
            (Some(secret), _) => (Slot::Even, secret),
            (None, Some(secret)) => (Slot::Odd, secret),
            (None, None) => return Err(CryptoError::Cipher("key unwrap")),
        };
        let Some(kek) = receive.kek() else {
            return Err(CryptoError::Cipher("key unwrap"));
        };
        let key = StreamKey::new(material.mode, material.salt, &secret)?;
        let send = SendKeys::new(material.mode, kek, slot, key, exchange.policy);
        Ok(Self { send, receive })
    }

    /// Takes note that the two ends have no common key. Only the far end knows what its packets are encrypted with: our own
    /// key would make noise of them that nobody could tell from a payload.
    pub(crate) fn refuse(&mut self, state: KmState) {
        self.send.refuse(state);
        self.receive.forget();
    }

    /// Takes key material of a KMRSP that is no echo of the request: newer peers give the direction towards us a key of
    /// its own.
    pub(crate) fn take_response(&mut self, response: &[u8]) -> Result<(), CryptoError> {
        self.receive.install(&KeyMaterial::parse(response)?)?;
        Ok(())
    }
}

impl KeyExchange<'_> {
    fn receive_keys(&self) -> ReceiveKeys {
        ReceiveKeys::new(self.passphrase.clone(), self.mode, self.clear_allowed)
    }
}
