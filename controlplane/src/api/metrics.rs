//! `GET /metrics`, and the counting of requests.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};

use super::envelope::ApiError;
use super::resource;
use crate::metrics::Metrics;

pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.service(resource("/metrics", [(Method::GET, web::to(show))]));
}

async fn show(metrics: web::Data<Metrics>) -> Result<HttpResponse, ApiError> {
    match metrics.text() {
        Ok(text) => Ok(HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, CONTENT_TYPE))
            .body(text)),
        Err(error) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("metrics cannot be written: {error}"),
        )),
    }
}

/// A middleware that counts every answer by its status.
pub(super) async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let metrics = request.app_data::<web::Data<Metrics>>().cloned();
    let answer = next.call(request).await;
    if let Some(metrics) = metrics {
        metrics.requests().count(match &answer {
            Ok(answer) => answer.status(),
            Err(error) => error.as_response_error().status_code(),
        });
    }
    answer
}

/// The text format of Prometheus; every version of it reads this.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4";
