//! The middleware that makes every answer below `/x-nmos` one of NMOS, whoever gave it: the guard, the router, the
//! containment of panics.
//!
//! NMOS wants every origin to be let in. That hands no page anything that it could not have without a browser: there are
//! no cookies, and where a token is needed the page must have it.

use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError, web};

use super::Fault;
use crate::api::is_foreign;
use crate::nmos::connection_api::Connections;
use crate::node::Node;

/// A failure on its way through other middleware.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
struct Dressed {
    fault: Fault,
    /// What else the answer says.
    headers: HeaderMap,
}

/// The middleware.
pub(crate) async fn dress<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let path = request.path();
    let is_below = path
        .strip_prefix(ROOT)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !is_below {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    if let Some(fault) = refusal(&request) {
        return Err(Dressed {
            fault,
            headers: HeaderMap::new(),
        }
        .into());
    }
    // An activation that is due has happened for everybody who asks.
    if let Some(connections) = request.app_data::<web::Data<Connections>>() {
        Arc::clone(connections).settle().await;
    }
    let is_options = *request.method() == Method::OPTIONS;
    let response = match next.call(request).await {
        Ok(response) => response,
        Err(error) => return Err(Dressed::of(&error).into()),
    };
    let undressed = response.response().error().filter(|error| {
        let is_dressed = error.as_error::<Fault>().is_some();
        !is_dressed
    });
    if let Some(error) = undressed {
        let dressed = Dressed::new(error, response.status(), response.headers());
        return Ok(response.into_response(dressed.error_response().map_into_right_body()));
    }
    let mut response = response.map_into_left_body();
    if is_options && response.status() == StatusCode::NO_CONTENT {
        *response.response_mut().status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        if let Some(methods) = headers.get(header::ALLOW).and_then(for_pages) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        for (name, value) in PREFLIGHT {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    open(response.headers_mut());
    Ok(response)
}

impl Dressed {
    fn of(error: &Error) -> Self {
        let answer = error.as_response_error().error_response();
        Self::new(error, answer.status(), answer.headers())
    }

    /// What an answer with this status and these headers says of `error`.
    fn new(error: &Error, status: StatusCode, headers: &HeaderMap) -> Self {
        let mut headers = headers.clone();
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_LENGTH);
        let fault = match error.as_error::<Fault>() {
            Some(fault) => fault.clone(),
            None => Fault::new(status, error.to_string()),
        };
        Self { fault, headers }
    }
}

impl ResponseError for Dressed {
    fn status_code(&self) -> StatusCode {
        self.fault.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.fault.error_response();
        for (name, value) in &self.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        open(response.headers_mut());
        response
    }
}

/// Lets pages of every origin read the answer.
fn open(headers: &mut HeaderMap) {
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
}

/// The methods that a page of another origin may try, from those that are answered. GET is always among them, for the
/// RAML of IS-05 has it where the answer is 405, and a page must be able to read that.
fn for_pages(allowed: &HeaderValue) -> Option<HeaderValue> {
    let allowed = allowed.to_str().ok()?;
    let has_get = allowed.split(", ").any(|method| method == "GET");
    let methods = if has_get {
        allowed.to_owned()
    } else {
        format!("GET, {allowed}")
    };
    HeaderValue::from_str(&methods).ok()
}

/// Why the request must not even be looked at.
fn refusal(request: &ServiceRequest) -> Option<Fault> {
    let config = request.app_data::<web::Data<Node>>()?.config();
    if !crate::nmos::is_enabled(&config) {
        return Some(Fault::switched_off());
    }
    let nmos = config.nmos.as_ref()?;
    let is_write = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    (is_write && nmos.require_auth == Some(true) && is_foreign(request.request())).then(|| {
        let error = "requests from pages of other sites are refused";
        Fault::new(StatusCode::FORBIDDEN, error)
    })
}

const ROOT: &str = "/x-nmos";

/// What a browser wants to know before it asks (Fetch standard 3.2.3). `*` would not stand for `Authorization`.
const PREFLIGHT: [(HeaderName, &str); 2] = [
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Accept, Authorization, Content-Type",
    ),
    (header::ACCESS_CONTROL_MAX_AGE, "3600"),
];
