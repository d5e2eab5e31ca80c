//! Tokens: JWTs (RFC 7519) signed by HS256 alone.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use super::Caller;
use crate::config::Role;

/// Longest token that is looked at, in bytes. Those that are issued stay below 2 KB.
pub const TOKEN_BYTES_MAX: usize = 4_096;

/// Why a caller is turned away, in the words of configuration.md 11.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The request identifies nobody.
    #[error("missing Authorization header")]
    MissingHeader,
    /// It does so in another way, or in more than one.
    #[error("invalid authorization scheme, expected Bearer")]
    Scheme,
    /// No JWT.
    #[error("malformed JWT: expected 3 parts")]
    Parts,
    /// Longer than any token that this node issues.
    #[error("malformed JWT: longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Another algorithm, another type, or more than those two.
    #[error("invalid JWT header")]
    Header,
    /// Not signed with this node's key, or changed since.
    #[error("invalid JWT signature")]
    Signature,
    /// Signed with this node's key, and nothing that this node issues.
    #[error("invalid JWT claims")]
    Claims,
    /// It was valid once.
    #[error("token expired")]
    Expired,
}

/// What a token says, in the order of the API reference.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    sub: String,
    role: RoleClaim,
    iat: u64,
    exp: u64,
    iss: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum RoleClaim {
    Admin,
    Monitor,
}

impl Claims {
    pub(super) fn new(client_id: String, role: Role, now_secs: u64, lifetime_secs: u64) -> Self {
        Self {
            sub: client_id,
            role: match role {
                Role::Admin => RoleClaim::Admin,
                Role::Monitor => RoleClaim::Monitor,
            },
            iat: now_secs,
            exp: now_secs.saturating_add(lifetime_secs),
            iss: ISSUER.to_owned(),
        }
    }
}

impl From<Claims> for Caller {
    fn from(claims: Claims) -> Self {
        Self {
            client_id: Some(claims.sub),
            role: match claims.role {
                RoleClaim::Admin => Role::Admin,
                RoleClaim::Monitor => Role::Monitor,
            },
        }
    }
}

/// The key, for both directions.
pub(super) struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    header: Header,
    validation: Validation,
}

impl Keys {
    pub(super) fn new(secret: &str) -> Self {
        // The library would write `typ` first; as a further member it comes after `alg`, as the contract wants it.
        let mut header = Header::new(Algorithm::HS256);
        header.typ = None;
        header.extras.insert("typ", "JWT");
        // The claims are checked in `verify`: the library lets a token live for the second in which it expires.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
            header,
            validation,
        }
    }

    pub(super) fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        encode(&self.header, claims, &self.encoding)
    }

    /// The holder of `token`, by the checks of configuration.md 11.1 in their order.
    pub(super) fn verify(&self, token: &str, now_secs: u64) -> Result<Caller, Rejection> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Rejection::TooLong);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(_), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Rejection::Parts);
        };
        if header != HEADER {
            return Err(Rejection::Header);
        }
        let decoded = decode::<Claims>(token, &self.decoding, &self.validation);
        let claims = decoded.map_err(|error| match error.kind() {
            // The signature is compared before the claims are decoded from JSON, and base64 fails in both.
            ErrorKind::Json(_) | ErrorKind::Utf8(_) => Rejection::Claims,
            _ => Rejection::Signature,
        })?;
        let claims = claims.claims;
        if claims.exp <= now_secs {
            return Err(Rejection::Expired);
        }
        if claims.iss != ISSUER {
            return Err(Rejection::Claims);
        }
        Ok(claims.into())
    }
}

/// `{"alg":"HS256","typ":"JWT"}` in base64url. Compared as text, nothing else can mean the same.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

const ISSUER: &str = "bilbycast-edge";

#[cfg(test)]
mod tests;
