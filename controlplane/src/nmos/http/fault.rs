//! Errors as NMOS wants them: `{"code": 404, "error": "...", "debug": null}`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::node::{self, NodeError};

/// Why a request failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Fault {
    status: StatusCode,
    error: String,
    debug: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    error: &'a str,
    debug: Option<&'a str>,
}

impl Fault {
    /// A failure with this status, 400 or above, and its reason for people.
    #[must_use]
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            debug: None,
        }
    }

    /// As [`Self::new`] with 404.
    #[must_use]
    pub(crate) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// NMOS is not served at all.
    pub(crate) fn switched_off() -> Self {
        Self::not_found("NMOS is switched off on this node")
    }

    /// More, for those who program against the API.
    #[must_use]
    pub(crate) fn with_debug(mut self, debug: impl Into<String>) -> Self {
        self.debug = Some(debug.into());
        self
    }

    /// Its HTTP status.
    #[must_use]
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<NodeError> for Fault {
    fn from(error: NodeError) -> Self {
        let status = match error.fault() {
            node::Fault::Conflict => StatusCode::CONFLICT,
            node::Fault::Node => StatusCode::INTERNAL_SERVER_ERROR,
            node::Fault::NotFound => StatusCode::NOT_FOUND,
            node::Fault::Request => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).json(Body {
            code: self.status.as_u16(),
            error: &self.error,
            debug: self.debug.as_deref(),
        })
    }
}
