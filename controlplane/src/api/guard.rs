//! Who gets to which route (configuration.md 11.2).
//!
//! Routes are classed by method and path before they are looked up, on the path as it was sent. What no class is
//! known of is for administrators: a route that is forgotten here is closed, and nobody can find out by asking which
//! paths there are. Paths that are written in another way (`/%61pi/v1/...`) fall into that class too.

use std::borrow::Cow;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError, web};

use super::access_log;
use super::envelope::failure;
use crate::auth::{Auth, Caller, Rejection};
use crate::config::Role;
use crate::node::Node;

/// Who may use a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    /// Administrators.
    Admin,
    /// Everyone with a token.
    AnyRole,
    /// Everyone.
    Public,
}

/// What of the configuration decides on a class.
#[derive(Clone, Copy, Debug)]
struct Openness {
    metrics: bool,
    nmos: bool,
}

/// Why a request is turned away.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("nmos.require_auth is set and server.auth is not in force: nobody can be let in")]
    NoAuth,
    #[error("admin role required")]
    Role,
    #[error(transparent)]
    Token(#[from] Rejection),
}

/// The middleware.
pub(super) async fn admit<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let auth = request.app_data::<web::Data<Auth>>().cloned();
    let auth = auth.expect("the server hands every application its authentication");
    let query_token = take_query_token(&mut request);
    let caller = if auth.is_enabled() {
        identify(&request, &auth, query_token)?
    } else if is_shut(&request) {
        return Err(Refusal::NoAuth.into());
    } else {
        Some(Caller::anyone())
    };
    if let Some(caller) = caller {
        access_log::name_caller(request.request(), &caller);
        request.extensions_mut().insert(caller);
    }
    next.call(request).await
}

/// Who sends `request`, if it matters.
fn identify(
    request: &ServiceRequest,
    auth: &Auth,
    query_token: Option<String>,
) -> Result<Option<Caller>, Refusal> {
    let openness = Openness {
        metrics: auth.has_public_metrics(),
        nmos: !requires_nmos_auth(request),
    };
    let class = class(request.method(), request.path(), openness);
    if class == Class::Public {
        return Ok(None);
    }
    let header_token = bearer_token(request.headers());
    let token = match (&header_token, &query_token) {
        (Err(Rejection::MissingHeader), Some(token)) => token.as_str(),
        _ => header_token?,
    };
    let caller = auth.authenticate(token)?;
    // The log names whoever tried.
    if class == Class::Admin && caller.role != Role::Admin {
        access_log::name_caller(request.request(), &caller);
        return Err(Refusal::Role);
    }
    Ok(Some(caller))
}

fn class(method: &Method, path: &str, openness: Openness) -> Class {
    let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let is_below = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match path {
        "/health" | "/oauth/token" => Class::Public,
        "/metrics" if openness.metrics => Class::Public,
        "/metrics" if is_read => Class::AnyRole,
        _ if is_below("/setup") => Class::Public,
        // The page alone, for browsers open it without a token; the document that it shows needs one.
        _ if is_below("/api/v1/docs") && is_read => Class::Public,
        // The same for the dashboard.
        "/" if is_read => Class::Public,
        _ if is_below("/dashboard") && is_read => Class::Public,
        _ if is_below("/x-nmos") && openness.nmos => Class::Public,
        // A browser asks so whether it may send a token, and sends none.
        _ if is_below("/x-nmos") && *method == Method::OPTIONS => Class::Public,
        _ if is_below("/x-nmos") && is_read => Class::AnyRole,
        _ if is_below("/api/v1") && is_read => Class::AnyRole,
        _ => Class::Admin,
    }
}

/// `nmos.require_auth` of this moment, for NMOS follows its configuration at once.
fn requires_nmos_auth(request: &ServiceRequest) -> bool {
    let node = request.app_data::<web::Data<Node>>();
    node.is_none_or(|node| {
        let config = node.config();
        let nmos = config.nmos.as_ref();
        nmos.is_some_and(|nmos| nmos.require_auth == Some(true))
    })
}

/// Whether it asks for NMOS that is protected, while there are no tokens that could open it. Here the path counts as
/// the router reads it, for there is no class for all other paths.
fn is_shut(request: &ServiceRequest) -> bool {
    let path = request.match_info().as_str();
    let is_nmos = path
        .strip_prefix("/x-nmos")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_nmos && *request.method() != Method::OPTIONS && requires_nmos_auth(request)
}

/// The token of the `Authorization` header (RFC 6750 2.1). With more than one header it is open who is meant.
fn bearer_token(headers: &HeaderMap) -> Result<&str, Rejection> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let value = values.next().ok_or(Rejection::MissingHeader)?;
    if values.next().is_some() {
        return Err(Rejection::Scheme);
    }
    let value = value.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ');
    let (scheme, token) = value.split_at(end.unwrap_or(value.len()));
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Err(Rejection::Scheme);
    }
    str::from_utf8(token.trim_ascii()).map_err(|_| Rejection::Parts)
}

/// Takes the token out of the query of a WebSocket request (configuration.md 10.1), so that nothing behind can show or
/// log it. Browsers cannot give a WebSocket a header.
fn take_query_token(request: &mut ServiceRequest) -> Option<String> {
    if !request.path().starts_with(WEBSOCKETS) {
        return None;
    }
    let query = request.uri().query()?;
    let mut token = None;
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match token_in(pair) {
            Some(found) => token = token.or(Some(found)),
            None => rest.push(pair),
        }
    }
    token.as_ref()?;
    let path = request.path();
    let redacted = match rest.is_empty() {
        true => Cow::Borrowed(path),
        false => Cow::Owned(format!("{path}?{}", rest.join("&"))),
    };
    let redacted: Uri = redacted
        .parse()
        .expect("a part of a URI that was parsed is a URI");
    request.head_mut().uri = redacted;
    token
}

fn token_in(pair: &str) -> Option<String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(pair).ok()?;
    let (name, value) = pairs.into_inner().pop()?;
    (name == "token").then_some(value)
}

/// Where a token may stand in the query.
const WEBSOCKETS: &str = "/api/v1/ws/";

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Role => StatusCode::FORBIDDEN,
            Self::NoAuth | Self::Token(_) => StatusCode::UNAUTHORIZED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = failure(self.status_code(), &self.to_string());
        if self.status_code() == StatusCode::UNAUTHORIZED {
            //= RFC 9110 15.5.2: a 401 says which scheme would do.
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const OPEN: Openness = Openness {
        metrics: true,
        nmos: true,
    };
    const CLOSED: Openness = Openness {
        metrics: false,
        nmos: false,
    };

    #[test]
    fn routes_have_the_class_of_the_specification_and_all_others_are_for_administrators() {
        for (method, path, open, closed) in [
            (Method::GET, "/health", Class::Public, Class::Public),
            (Method::POST, "/oauth/token", Class::Public, Class::Public),
            (Method::GET, "/setup", Class::Public, Class::Public),
            (Method::POST, "/setup", Class::Public, Class::Public),
            (Method::GET, "/setup/status", Class::Public, Class::Public),
            (Method::GET, "/api/v1/docs", Class::Public, Class::Public),
            (
                Method::GET,
                "/api/v1/docs/docs.js",
                Class::Public,
                Class::Public,
            ),
            (Method::GET, "/metrics", Class::Public, Class::AnyRole),
            (
                Method::GET,
                "/x-nmos/node/v1.3/",
                Class::Public,
                Class::AnyRole,
            ),
            (
                Method::PATCH,
                "/x-nmos/connection/v1.1/x",
                Class::Public,
                Class::Admin,
            ),
            (
                Method::OPTIONS,
                "/x-nmos/connection/v1.1/x",
                Class::Public,
                Class::Public,
            ),
            (Method::GET, "/api/v1/flows", Class::AnyRole, Class::AnyRole),
            (
                Method::HEAD,
                "/api/v1/stats",
                Class::AnyRole,
                Class::AnyRole,
            ),
            (
                Method::GET,
                "/api/v1/ws/stats",
                Class::AnyRole,
                Class::AnyRole,
            ),
            (Method::POST, "/api/v1/flows", Class::Admin, Class::Admin),
            (Method::PUT, "/api/v1/config", Class::Admin, Class::Admin),
            (
                Method::DELETE,
                "/api/v1/flows/a",
                Class::Admin,
                Class::Admin,
            ),
            (Method::PATCH, "/api/v1/flows/a", Class::Admin, Class::Admin),
            (Method::GET, "/", Class::Public, Class::Public),
            (Method::POST, "/", Class::Admin, Class::Admin),
            (
                Method::GET,
                "/dashboard/main.js",
                Class::Public,
                Class::Public,
            ),
            (Method::PUT, "/dashboard/x", Class::Admin, Class::Admin),
            (Method::GET, "/dashboardx", Class::Admin, Class::Admin),
            (Method::GET, "/api/v2/flows", Class::Admin, Class::Admin),
            (Method::GET, "/api/v1x", Class::Admin, Class::Admin),
            (Method::GET, "/healthy", Class::Admin, Class::Admin),
            (Method::GET, "/health/", Class::Admin, Class::Admin),
            (Method::GET, "/setupx", Class::Admin, Class::Admin),
            (Method::GET, "/x-nmosx", Class::Admin, Class::Admin),
            (Method::GET, "/metrics/", Class::Admin, Class::Admin),
            (Method::GET, "/%61pi/v1/flows", Class::Admin, Class::Admin),
            (Method::GET, "//api/v1/flows", Class::Admin, Class::Admin),
            (Method::OPTIONS, "*", Class::Admin, Class::Admin),
        ] {
            assert_eq!(class(&method, path, OPEN), open, "{method} {path}");
            assert_eq!(class(&method, path, CLOSED), closed, "{method} {path}");
        }
    }

    #[test]
    fn only_one_bearer_header_holds_a_token() {
        let found = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value).unwrap();
                headers.append(header::AUTHORIZATION, value);
            }
            bearer_token(&headers).map(str::to_owned)
        };
        assert_eq!(found(&[]), Err(Rejection::MissingHeader));
        assert_eq!(found(&[b"Bearer a.b.c"]), Ok("a.b.c".to_owned()));
        assert_eq!(found(&[b"bearer   a.b.c "]), Ok("a.b.c".to_owned()));
        assert_eq!(found(&[b"Bearer"]), Ok(String::new()));
        assert_eq!(found(&[b"Bearer \xff"]), Err(Rejection::Parts));
        for other in [
            &b""[..],
            b"a.b.c",
            b"Basic YTpi",
            b"Bearera.b.c",
            b"Bearer\ta",
            b"\xff",
        ] {
            assert_eq!(found(&[other]), Err(Rejection::Scheme), "{other:?}");
        }
        let two: [&[u8]; 2] = [b"Bearer a.b.c", b"Bearer a.b.c"];
        assert_eq!(found(&two), Err(Rejection::Scheme));
    }

    #[test]
    fn a_token_leaves_the_query_of_websockets_alone() {
        for (uri, token, left) in [
            (
                "/api/v1/ws/stats?token=a.b",
                Some("a.b"),
                "/api/v1/ws/stats",
            ),
            (
                "/api/v1/ws/events?since=1&token=a%2Eb&x",
                Some("a.b"),
                "/api/v1/ws/events?since=1&x",
            ),
            (
                "/api/v1/ws/stats?%74oken=a&token=b",
                Some("a"),
                "/api/v1/ws/stats",
            ),
            (
                "/api/v1/ws/stats?tokens=a",
                None,
                "/api/v1/ws/stats?tokens=a",
            ),
            ("/api/v1/ws/stats", None, "/api/v1/ws/stats"),
            ("/api/v1/flows?token=a", None, "/api/v1/flows?token=a"),
        ] {
            let mut request = TestRequest::with_uri(uri).to_srv_request();
            assert_eq!(take_query_token(&mut request).as_deref(), token, "{uri}");
            assert_eq!(request.uri().to_string(), left, "{uri}");
        }
    }
}
