//! `/api/v1/stats/{flow_id}/history`: the last minutes of a flow, second by second.

use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Compress;
use actix_web::{HttpRequest, HttpResponse, web};

use super::envelope::{ApiError, data};
use super::resource;
use crate::node::Node;
use crate::stats;

pub(super) fn routes(app: &mut web::ServiceConfig) {
    // Ten minutes are 200 KB of figures that hardly differ.
    app.service(
        resource(
            "/api/v1/stats/{flow_id}/history",
            [(Method::GET, web::to(show))],
        )
        .wrap(Compress::default()),
    );
}

async fn show(
    request: HttpRequest,
    node: web::Data<Node>,
    flow_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let since = number(&request, "since", "a time in microseconds since 1970")?;
    let last = number(&request, "last", "a number of seconds")?;
    let seconds = node.history(
        &flow_id,
        since.unwrap_or_default(),
        last.map(Duration::from_secs),
    )?;
    Ok(data(stats::history(&flow_id, &seconds)))
}

/// A number of the query; `None` when it is not there.
fn number(request: &HttpRequest, name: &str, what: &str) -> Result<Option<u64>, ApiError> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let fields = query.map(web::Query::into_inner).unwrap_or_default();
    let Some((_, value)) = fields.into_iter().rev().find(|(field, _)| field == name) else {
        return Ok(None);
    };
    let number = value.parse().map_err(|_| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            format!("{name} '{value}': must be {what}, a non-negative integer"),
        )
    })?;
    Ok(Some(number))
}
