//! Keys of the sending direction, and their refresh (draft 6.1.6).

use super::cipher::StreamKey;
use super::key_material::{Announcement, KmState};
use super::passphrase::{KeyLength, Secret};
use super::receive::Kek;
use super::{CryptoError, CryptoMode, Slot};
use crate::time::Micros;
use crate::wire::DataHeader;

/// When keys are refreshed (`km_refresh_rate`, `km_pre_announce`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefreshPolicy {
    /// Packets after which a new key is used.
    pub refresh_packets: u64,
    /// Packets before that at which it is announced.
    pub pre_announce_packets: u64,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            refresh_packets: 1 << 24,
            pre_announce_packets: 4_096,
        }
    }
}

/// The key that this side sends with, and the one that it has announced.
///
/// The salt stays for the life of the connection: another key is enough to keep counters apart, and neither end has to
/// derive a key encrypting key, which costs half a millisecond, while it forwards a stream.
pub struct SendKeys {
    mode: CryptoMode,
    kek: Kek,
    slot: Slot,
    key: StreamKey,
    policy: RefreshPolicy,
    packets: u64,
    next: Option<NextKey>,
    refused: Option<KmState>,
}

/// A key that has been announced.
struct NextKey {
    key: StreamKey,
    announcement: Announcement,
    confirmed: bool,
    repeat_at: Micros,
}

impl SendKeys {
    pub(super) const fn new(
        mode: CryptoMode,
        kek: Kek,
        slot: Slot,
        key: StreamKey,
        policy: RefreshPolicy,
    ) -> Self {
        Self {
            mode,
            kek,
            slot,
            key,
            policy,
            packets: 0,
            next: None,
            refused: None,
        }
    }

    /// Bytes that encryption adds to a payload.
    #[must_use]
    pub const fn tag_bytes(&self) -> usize {
        self.mode.tag_bytes()
    }

    /// Encrypts the first `length` bytes of `buffer` in place, names the key in `header`, and returns the length of the
    /// ciphertext. Each packet comes here once: what is retransmitted, and what the packet filter protects, is the
    /// ciphertext.
    ///
    /// # Errors
    /// [`CryptoError::NoRoom`] when `buffer` ends before the tag does; [`CryptoError::Exhausted`] when nobody has called
    /// [`SendKeys::poll_request`] for 2^31 packets.
    #[inline]
    pub fn encrypt(
        &mut self,
        header: &mut DataHeader,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<usize, CryptoError> {
        if self.packets >= self.policy.refresh_packets {
            self.switch();
            if self.packets >= KEY_PACKETS_MAX {
                return Err(CryptoError::Exhausted(self.packets));
            }
        }
        header.key = self.slot.flag();
        let length = self.key.encrypt(header, buffer, length)?;
        self.packets += 1;
        Ok(length)
    }

    /// The KMREQ to send now, if there is one: the announcement of the next key, repeated until it is confirmed.
    /// `rtt` is the present estimate of the round-trip time.
    ///
    /// # Errors
    /// [`CryptoError::Random`], and the key in use stays.
    pub fn poll_request(&mut self, now: Micros, rtt: Micros) -> Result<Option<&[u8]>, CryptoError> {
        let announce_at = self
            .policy
            .refresh_packets
            .saturating_sub(self.policy.pre_announce_packets);
        if self.next.is_none() {
            if self.packets < announce_at {
                return Ok(None);
            }
            self.next = Some(self.generate_next(now)?);
        }
        let Some(next) = self.next.as_mut() else {
            return Ok(None);
        };
        if next.confirmed || now < next.repeat_at {
            return Ok(None);
        }
        next.repeat_at = now + (rtt + Micros(rtt.0 / 2)).max(REPEAT_MIN);
        Ok(Some(next.announcement.as_bytes()))
    }

    /// When [`SendKeys::poll_request`] has to be called again, once a key is announced; before that it is enough to
    /// call it after packets have been encrypted.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        let next = self.next.as_ref()?;
        (!next.confirmed).then_some(next.repeat_at)
    }

    /// Takes a KMRSP.
    pub fn handle_response(&mut self, content: &[u8]) {
        let Some(next) = self.next.as_mut() else {
            return;
        };
        if content == next.announcement.as_bytes() {
            next.confirmed = true;
            self.refused = None;
        } else if let Some(state) = KmState::parse(content) {
            self.refused = Some(state);
        }
    }

    /// Takes note that the far end could not take the first key.
    pub(crate) const fn refuse(&mut self, state: KmState) {
        self.refused = Some(state);
    }

    /// Why the far end refuses the announced key; `None` when it does not.
    #[must_use]
    pub const fn refused(&self) -> Option<KmState> {
        self.refused
    }

    /// Whether a new key is due and the far end has not confirmed it: the old one stays in use meanwhile.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.packets > self.policy.refresh_packets
            && self.next.as_ref().is_none_or(|next| !next.confirmed)
    }

    /// Takes the next key into use, if the far end has it. A key that is not confirmed is not used, for the far end
    /// could not decrypt; but no key outlives its packet numbers.
    fn switch(&mut self) {
        let exhausted = self.packets >= KEY_PACKETS_MAX;
        match self.next.take() {
            Some(next) if next.confirmed || exhausted => {
                self.key = next.key;
                self.slot = self.slot.other();
                self.packets = 0;
            }
            next => self.next = next,
        }
    }

    fn generate_next(&self, now: Micros) -> Result<NextKey, CryptoError> {
        let secret = random_key(self.kek.secret.length())?;
        let flag = self.slot.other().flag();
        Ok(NextKey {
            key: StreamKey::new(self.mode, &self.kek.salt, &secret)?,
            announcement: Announcement::new(
                flag,
                self.mode,
                &self.kek.salt,
                &secret,
                &self.kek.secret,
            )?,
            confirmed: false,
            repeat_at: now,
        })
    }
}

impl std::fmt::Debug for SendKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SendKeys")
            .field("mode", &self.mode)
            .field("slot", &self.slot)
            .field("packets", &self.packets)
            .finish_non_exhaustive()
    }
}

/// A key from the system's generator.
pub(super) fn random_key(length: KeyLength) -> Result<Secret, CryptoError> {
    let mut key = Secret::zeroed(length);
    random(key.as_mut())?;
    Ok(key)
}

/// Bytes from the system's generator.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), CryptoError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| CryptoError::Random)
}

/// Packets that one key can encrypt: after 2^31 their numbers, and with them the counters, come again. A margin leaves
/// time for the announcement.
const KEY_PACKETS_MAX: u64 = (1 << 31) - (1 << 20);

/// Least time between two announcements, for a round-trip time that is not measured yet, or is that of a local link.
const REPEAT_MIN: Micros = Micros::from_millis(20);
