//! The shape of every answer: `{"success": true, "data": ...}` or `{"success": false, "error": "..."}`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::node::{Fault, NodeError};

/// A good answer.
#[derive(Serialize)]
struct Success<T> {
    success: bool,
    data: T,
}

/// A bad one.
#[derive(Serialize)]
struct Failure<'a> {
    success: bool,
    error: &'a str,
}

/// The answer that carries `data`.
pub(super) fn data(data: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(Success {
        success: true,
        data,
    })
}

/// The answer to an operation that has nothing to tell: `data` is `null`.
pub(super) fn nothing() -> HttpResponse {
    data(())
}

/// The answer that says why not.
pub(super) fn failure(status: StatusCode, error: &str) -> HttpResponse {
    HttpResponse::build(status).json(Failure {
        success: false,
        error,
    })
}

/// An error as HTTP says it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(super) const fn new(status: StatusCode, message: String) -> Self {
        Self { status, message }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        failure(self.status, &self.message)
    }
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        let status = match error.fault() {
            Fault::Conflict => StatusCode::CONFLICT,
            Fault::Node => StatusCode::INTERNAL_SERVER_ERROR,
            Fault::NotFound => StatusCode::NOT_FOUND,
            Fault::Request => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}
