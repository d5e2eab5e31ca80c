//! SYN cookies (draft 4.3.1.1).

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::hmac;

use crate::time::Micros;

/// Makes and checks cookies: a keyed hash of the caller's address and the time, so that a listener remembers nothing of
/// callers whose address may be false.
#[derive(Debug)]
pub(super) struct Cookies {
    key: hmac::Key,
}

impl Cookies {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    /// The cookie for a caller at `from`.
    pub(super) fn make(&self, now: Micros, from: SocketAddr) -> u32 {
        self.of_slot(now.0 / SLOT.0, from)
    }

    /// Whether `cookie` was made for `from` in this slot of time or the one before it.
    pub(super) fn is_valid(&self, now: Micros, from: SocketAddr, cookie: u32) -> bool {
        let slot = now.0 / SLOT.0;
        cookie == self.of_slot(slot, from)
            || slot
                .checked_sub(1)
                .is_some_and(|slot| cookie == self.of_slot(slot, from))
    }

    fn of_slot(&self, slot: u64, from: SocketAddr) -> u32 {
        let mut input = [0; 26];
        match from.ip() {
            IpAddr::V4(address) => input[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => input[..16].copy_from_slice(&address.octets()),
        }
        input[16..18].copy_from_slice(&from.port().to_be_bytes());
        input[18..].copy_from_slice(&slot.to_be_bytes());
        let tag = hmac::sign(&self.key, &input);
        tag.as_ref()
            .first_chunk()
            .map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
}

/// How long a cookie is handed out; it is good for as long again.
const SLOT: Micros = Micros::from_secs(30);
