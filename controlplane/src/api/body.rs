//! Request bodies, bounded in size, in time, and in sum over all clients. Most are JSON whatever the `Content-Type`
//! says.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, web};
use futures_lite::StreamExt;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::envelope::ApiError;

/// Longest body in bytes: a configuration of 4,096 flows with a dozen outputs each.
pub(super) const BODY_BYTES_MAX: usize = 8 << 20;

/// A body that was JSON. It counts against the budget until it is dropped.
#[derive(Debug)]
pub(crate) struct JsonBody {
    /// What it says.
    pub(crate) value: Value,
    _budget: Vec<OwnedSemaphorePermit>,
}

/// A body as it came. It counts against the budget until it is dropped, and is never printed: it may hold a secret.
pub(super) struct RawBody {
    /// What it says.
    pub(super) bytes: Vec<u8>,
    budget: Vec<OwnedSemaphorePermit>,
}

/// Memory for bodies of all clients together.
#[derive(Clone, Debug)]
pub(super) struct BodyBudget(Arc<Semaphore>);

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET_BYTES)))
    }
}

impl FromRequest for JsonBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload.take(), BODY_BYTES_MAX);
        Box::pin(async move {
            let RawBody { bytes, budget } = body.await?;
            let value = serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!("the request body is not valid JSON: {error}");
                ApiError::new(StatusCode::BAD_REQUEST, message)
            })?;
            Ok(Self {
                value,
                _budget: budget,
            })
        })
    }
}

/// Reads the body of `request`, which may have `bytes_max` bytes.
pub(super) fn read(
    request: &HttpRequest,
    payload: Payload,
    bytes_max: usize,
) -> impl Future<Output = Result<RawBody, ApiError>> + use<> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let budget = request
        .app_data::<web::Data<BodyBudget>>()
        .map(|budget| BodyBudget::clone(budget));
    async move {
        if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
            return Err(too_large(bytes_max));
        }
        let budget = budget.unwrap_or_default();
        let collected = collect(payload, &budget, bytes_max);
        match tokio::time::timeout(BODY_TIMEOUT, collected).await {
            Ok(body) => body,
            Err(_) => Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                format!(
                    "the request body was not complete after {} s",
                    BODY_TIMEOUT.as_secs()
                ),
            )),
        }
    }
}

async fn collect(
    mut payload: Payload,
    budget: &BodyBudget,
    bytes_max: usize,
) -> Result<RawBody, ApiError> {
    let mut bytes = Vec::new();
    let mut permits = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            let message = format!("the request body could not be read: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, message)
        })?;
        if bytes.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        let wanted = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        match Arc::clone(&budget.0).try_acquire_many_owned(wanted) {
            Ok(permit) => permits.push(permit),
            Err(_) => {
                return Err(ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many large requests at once; try again".to_owned(),
                ));
            }
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(RawBody {
        bytes,
        budget: permits,
    })
}

fn too_large(bytes_max: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the request body exceeds the limit of {bytes_max} bytes"),
    )
}

/// Two bodies of full length. A parsed one may take twenty times its text, which keeps all of them below 400 MB.
const BUDGET_BYTES: usize = 2 * BODY_BYTES_MAX;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
