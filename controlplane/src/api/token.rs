//! `POST /oauth/token`: always public, a good answer has no envelope, an error has (configuration.md 11.1).

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::Serialize;

use super::access_log;
use super::body;
use super::envelope::failure;
use crate::auth::{Auth, BLOCK_SECS, GrantError, TokenRequest};

#[derive(Serialize)]
struct Token<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    role: &'static str,
}

pub(super) async fn issue(
    request: HttpRequest,
    auth: web::Data<Auth>,
    payload: web::Payload,
) -> HttpResponse {
    // Of the connection: what a proxy or a client writes into a header is no address to count failures by.
    let peer = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    if let Err(error) = auth.admit(peer) {
        return refused(&error);
    }
    let body = match body::read(&request, payload.into_inner(), BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => {
            if error.status_code().is_client_error() {
                auth.count_failure(peer);
            }
            return error.error_response();
        }
    };
    match auth.grant(peer, TokenRequest::parse(&body.bytes, is_json(&request))) {
        Ok(grant) => {
            access_log::name_caller(&request, &grant.caller);
            HttpResponse::Ok()
                // RFC 6749 5.1.
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .insert_header((header::PRAGMA, "no-cache"))
                .json(Token {
                    access_token: &grant.access_token,
                    token_type: "bearer",
                    expires_in: grant.expires_in_secs,
                    role: grant.caller.role.as_str(),
                })
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &GrantError) -> HttpResponse {
    let status = match error {
        GrantError::Signing => StatusCode::INTERNAL_SERVER_ERROR,
        GrantError::Throttled => StatusCode::TOO_MANY_REQUESTS,
        GrantError::Disabled
        | GrantError::InvalidCredentials
        | GrantError::Malformed(_)
        | GrantError::UnsupportedGrantType => StatusCode::BAD_REQUEST,
    };
    let mut response = failure(status, &error.to_string());
    if status == StatusCode::TOO_MANY_REQUESTS {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from(BLOCK_SECS));
    }
    response
}

fn is_json(request: &HttpRequest) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Longest body in bytes: an id and a secret at their longest (configuration.md 17), percent-encoded.
const BODY_BYTES_MAX: usize = 64 << 10;
