//! `/api/v1/ws/stats`, `/api/v1/ws/overview` and `/api/v1/ws/events`.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::Notify;

use super::envelope::ApiError;
use super::{events, resource};
use crate::node::Node;
use crate::ws::{self, Client, Feed, Limits, Paced, Streams};

pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.service(resource(
        "/api/v1/ws/stats",
        [(Method::GET, web::to(stream_stats))],
    ))
    .service(resource(
        "/api/v1/ws/overview",
        [(Method::GET, web::to(stream_overview))],
    ))
    .service(resource(
        "/api/v1/ws/events",
        [(Method::GET, web::to(stream_events))],
    ));
}

async fn stream_stats(
    request: HttpRequest,
    payload: web::Payload,
    node: web::Data<Node>,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, ApiError> {
    upgrade(&request, payload, &node, &streams, || streams.stats())
}

async fn stream_overview(
    request: HttpRequest,
    payload: web::Payload,
    node: web::Data<Node>,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, ApiError> {
    upgrade(&request, payload, &node, &streams, || streams.overview())
}

async fn stream_events(
    request: HttpRequest,
    payload: web::Payload,
    node: web::Data<Node>,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, ApiError> {
    let since = events::since(&request)?;
    upgrade(&request, payload, &node, &streams, || {
        Feed::events(node.events(), since)
    })
}

/// Makes the request a WebSocket that carries `feed`.
fn upgrade(
    request: &HttpRequest,
    payload: web::Payload,
    node: &Node,
    streams: &Streams,
    feed: impl FnOnce() -> Feed,
) -> Result<HttpResponse, ApiError> {
    let place = streams.place().ok_or_else(|| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "{} WebSocket clients are connected already",
                streams.clients()
            ),
        )
    })?;
    let (response, session, messages) = actix_ws::handle(request, payload).map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            format!("this path is a WebSocket: {error}"),
        )
    })?;
    let taken = Arc::new(Notify::new());
    let response = response.map_body(|_, body| Paced::new(body, Arc::clone(&taken)).boxed());
    let client = Client {
        session,
        messages: messages.max_frame_size(Limits::FRAME_BYTES_MAX),
        taken,
        place,
    };
    actix_web::rt::spawn(ws::serve(
        client,
        feed(),
        node.streams_end(),
        Limits::DEFAULT,
    ));
    Ok(response)
}
