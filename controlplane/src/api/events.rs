//! `/api/v1/events`.

use std::sync::Arc;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::envelope::{ApiError, data};
use super::resource;
use crate::events::{Listing, RecordedEvent};
use crate::node::Node;

#[derive(Serialize)]
struct Events {
    #[serde(serialize_with = "in_order")]
    events: Vec<Arc<RecordedEvent>>,
    dropped: u64,
}

pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.service(resource("/api/v1/events", [(Method::GET, web::to(list))]));
}

async fn list(node: web::Data<Node>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let Listing { events, dropped } = node.events().list(since(&request)?);
    Ok(data(Events { events, dropped }))
}

/// The value of `?since=`: 0 when there is none.
pub(super) fn since(request: &HttpRequest) -> Result<u64, ApiError> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let fields = query.map(web::Query::into_inner).unwrap_or_default();
    let Some((_, since)) = fields.into_iter().rev().find(|(name, _)| name == "since") else {
        return Ok(0);
    };
    since.parse().map_err(|_| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            format!("since '{since}': must be the id of an event, a non-negative integer"),
        )
    })
}

fn in_order<S: serde::Serializer>(
    events: &[Arc<RecordedEvent>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(events.iter().map(|event| &**event))
}
