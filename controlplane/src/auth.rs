//! Who may do what: clients, their tokens, and a brake on guessing (configuration.md 11).
//!
//! The settings are those of the start of the control plane; a change of `server.auth` takes effect at the next one
//! (configuration.md 9.1). A new `jwt_secret` makes every token that was issued before worthless.
//!
//! Only a token whose five claims are exactly those that [`Auth::grant`] writes is accepted: this node issues no other,
//! and a claim that restricts a token (`nbf`, `aud`) must not be overlooked.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::config::{AuthConfig, Role};

mod clients;
mod request;
mod throttle;
mod token;

pub use request::TokenRequest;
pub use throttle::BLOCK_SECS;
pub use token::{Rejection, TOKEN_BYTES_MAX};

use clients::Clients;
use throttle::Throttle;
use token::{Claims, Keys};

/// Authentication as it was configured at the start.
pub struct Auth(Option<Enabled>);

/// What there is only when authentication is on.
struct Enabled {
    clients: Clients,
    keys: Keys,
    token_lifetime_secs: u64,
    public_metrics: bool,
    /// Held from the look at an address to the count of its failure, so that many requests at once get no more tries.
    throttle: Mutex<Throttle>,
}

/// Whoever sent a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The client of the token; absent while authentication is off.
    pub client_id: Option<String>,
    /// What it may do.
    pub role: Role,
}

impl Caller {
    /// Everyone, while authentication is off (configuration.md 11.2).
    #[must_use]
    pub const fn anyone() -> Self {
        Self {
            client_id: None,
            role: Role::Admin,
        }
    }
}

/// A token for a client.
pub struct Grant {
    /// The token.
    pub access_token: String,
    /// How long it is valid, in seconds.
    pub expires_in_secs: u64,
    /// Who holds it, and as what.
    pub caller: Caller,
}

/// Why a client gets no token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// Authentication is off.
    #[error("auth is not enabled")]
    Disabled,
    /// Unknown client or wrong secret; the answer does not say which.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// The body is not a token request; nothing of it is repeated, for it may hold a secret.
    #[error("{0}")]
    Malformed(String),
    /// The token could not be signed.
    #[error("the token could not be signed")]
    Signing,
    /// Too many failures of this address.
    #[error("too many failed token requests; try again in {BLOCK_SECS} s")]
    Throttled,
    /// Another grant than client credentials.
    #[error("unsupported grant_type, expected client_credentials")]
    UnsupportedGrantType,
}

impl Auth {
    /// Takes the settings over; authentication is off when there are none.
    #[must_use]
    pub fn new(config: Option<&AuthConfig>) -> Self {
        let config = config.filter(|config| config.enabled);
        Self(config.map(|config| Enabled {
            clients: Clients::new(&config.clients),
            keys: Keys::new(config.jwt_secret.expose()),
            token_lifetime_secs: config.token_lifetime_secs,
            public_metrics: config.public_metrics,
            throttle: Mutex::new(Throttle::new(config.token_rate_limit_per_minute)),
        }))
    }

    /// Whether callers have to identify themselves.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Whether `/metrics` is for everyone.
    #[must_use]
    pub fn has_public_metrics(&self) -> bool {
        self.0.as_ref().is_none_or(|enabled| enabled.public_metrics)
    }

    /// The holder of `token`, at this moment.
    ///
    /// # Errors
    ///
    /// The first of the checks of configuration.md 11.1 that fails.
    pub fn authenticate(&self, token: &str) -> Result<Caller, Rejection> {
        let Some(enabled) = &self.0 else {
            return Ok(Caller::anyone());
        };
        enabled.keys.verify(token, unix_now_secs())
    }

    /// Whether a token request from `peer` is to be read at all.
    ///
    /// # Errors
    ///
    /// [`GrantError::Disabled`] or [`GrantError::Throttled`].
    pub fn admit(&self, peer: IpAddr) -> Result<(), GrantError> {
        let enabled = self.0.as_ref().ok_or(GrantError::Disabled)?;
        if enabled.lock_throttle().is_blocked(peer, Instant::now()) {
            return Err(GrantError::Throttled);
        }
        Ok(())
    }

    /// Counts a token request from `peer` that failed before it could be handed to [`grant`](Self::grant).
    pub fn count_failure(&self, peer: IpAddr) {
        if let Some(enabled) = &self.0 {
            enabled.fail(&mut enabled.lock_throttle(), peer);
        }
    }

    /// A token for the client that `request` is from. Every failure but [`GrantError::Signing`] counts against the
    /// address; an address that has used up its failures gets none, be its secret right or not, so that guessing on
    /// is of no use.
    ///
    /// # Errors
    ///
    /// Any [`GrantError`].
    pub fn grant(
        &self,
        peer: IpAddr,
        request: Result<TokenRequest, GrantError>,
    ) -> Result<Grant, GrantError> {
        let enabled = self.0.as_ref().ok_or(GrantError::Disabled)?;
        let mut throttle = enabled.lock_throttle();
        if throttle.is_blocked(peer, Instant::now()) {
            return Err(GrantError::Throttled);
        }
        let identified = request.and_then(|request| enabled.identify(&request));
        let (client_id, role) = match identified {
            Ok(client) => client,
            Err(error) => {
                enabled.fail(&mut throttle, peer);
                return Err(error);
            }
        };
        drop(throttle);
        let claims = Claims::new(
            client_id,
            role,
            unix_now_secs(),
            enabled.token_lifetime_secs,
        );
        let access_token = enabled.keys.sign(&claims).map_err(|error| {
            tracing::error!("a token could not be signed: {error}");
            GrantError::Signing
        })?;
        Ok(Grant {
            access_token,
            expires_in_secs: enabled.token_lifetime_secs,
            caller: claims.into(),
        })
    }
}

impl Enabled {
    fn lock_throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn identify(&self, request: &TokenRequest) -> Result<(String, Role), GrantError> {
        if request.grant_type != "client_credentials" {
            return Err(GrantError::UnsupportedGrantType);
        }
        let client = self
            .clients
            .identify(&request.client_id, &request.client_secret);
        client.ok_or(GrantError::InvalidCredentials)
    }

    fn fail(&self, throttle: &mut Throttle, peer: IpAddr) {
        if throttle.fail(peer, Instant::now()) {
            tracing::warn!(
                "too many failed token requests from {peer}: all are refused for {BLOCK_SECS} s"
            );
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Auth")
            .field(&self.is_enabled())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Grant")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

/// Seconds since 1970. A clock before that counts as 1970: then no token is expired, and none is valid longer than its
/// lifetime after the clock has been set.
fn unix_now_secs() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |time| time.as_secs())
}

#[cfg(test)]
pub(crate) mod tests;
