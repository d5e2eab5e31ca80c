//! The registered clients, and the comparison that tells nothing by the time it takes.

use aws_lc_rs::hmac;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::config::{AuthClient, Role};

/// The clients. Their secrets are kept as keyed digests: equal ones compare equal, every comparison is of 32 bytes, and
/// a look into this process's memory finds no secret here.
pub(super) struct Clients {
    key: hmac::Key,
    clients: Vec<Client>,
}

struct Client {
    client_id: String,
    id_digest: hmac::Tag,
    secret_digest: hmac::Tag,
    role: Role,
}

impl Clients {
    pub(super) fn new(clients: &[AuthClient]) -> Self {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).expect("the system has random numbers");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let clients = clients.iter().map(|client| Client {
            client_id: client.client_id.clone(),
            id_digest: hmac::sign(&key, client.client_id.as_bytes()),
            secret_digest: hmac::sign(&key, client.client_secret.expose().as_bytes()),
            role: client.role,
        });
        let clients = clients.collect();
        Self { key, clients }
    }

    /// The client with this id and this secret. All clients are compared, whichever matches: the time depends only on
    /// their number and on the length of what was sent.
    pub(super) fn identify(&self, client_id: &str, client_secret: &str) -> Option<(String, Role)> {
        let id_digest = hmac::sign(&self.key, client_id.as_bytes());
        let secret_digest = hmac::sign(&self.key, client_secret.as_bytes());
        let mut found = NONE;
        for (index, client) in (0..).zip(&self.clients) {
            let id: Choice = client.id_digest.as_ref().ct_eq(id_digest.as_ref());
            let secret: Choice = client.secret_digest.as_ref().ct_eq(secret_digest.as_ref());
            found.conditional_assign(&index, id & secret);
        }
        let client = self.clients.get(usize::try_from(found).ok()?)?;
        Some((client.client_id.clone(), client.role))
    }
}

/// An index that no client has.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::client;

    #[test]
    fn only_the_pair_of_one_client_identifies_it() {
        let clients = Clients::new(&[
            client("a", "secret-a", Role::Admin),
            client("b", "secret-b", Role::Monitor),
        ]);
        let role = |id, secret| clients.identify(id, secret);
        assert_eq!(role("a", "secret-a"), Some(("a".into(), Role::Admin)));
        assert_eq!(role("b", "secret-b"), Some(("b".into(), Role::Monitor)));
        for (id, secret) in [
            ("a", "secret-b"),
            ("b", "secret-a"),
            ("a", "secret-a "),
            ("a", "secret-"),
            ("a", ""),
            ("", ""),
            ("A", "secret-a"),
            ("c", "secret-a"),
        ] {
            assert_eq!(role(id, secret), None, "{id} {secret}");
        }
        assert_eq!(Clients::new(&[]).identify("", ""), None);
    }
}
