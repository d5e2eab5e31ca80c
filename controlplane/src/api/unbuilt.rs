//! Routes of the contract that this version does not serve yet: each says so, in the shape of its own errors.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::envelope::ApiError;
use super::resource;
use crate::node::Node;

/// An error of the tunnel routes, which have no envelope.
#[derive(Serialize)]
struct Bare {
    error: &'static str,
}

/// What a WebRTC route says of its flow.
#[derive(Deserialize)]
struct FlowPath {
    flow_id: String,
}

/// The paths of the contract's endpoint summary, their methods, and whose they are.
pub(super) const ROUTES: [(&str, &[Method], Group); 6] = [
    (
        "/api/v1/flows/{flow_id}/whip",
        &[Method::POST],
        Group::WebRtc,
    ),
    (
        "/api/v1/flows/{flow_id}/whip/{session_id}",
        &[Method::DELETE],
        Group::WebRtc,
    ),
    (
        "/api/v1/flows/{flow_id}/whep",
        &[Method::POST],
        Group::WebRtc,
    ),
    (
        "/api/v1/flows/{flow_id}/whep/{session_id}",
        &[Method::DELETE],
        Group::WebRtc,
    ),
    (
        "/api/v1/tunnels",
        &[Method::GET, Method::POST],
        Group::Tunnels,
    ),
    (
        "/api/v1/tunnels/{id}",
        &[Method::DELETE, Method::GET],
        Group::Tunnels,
    ),
];

/// Which part of the product a route belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Group {
    /// IP tunnels.
    Tunnels,
    /// WHIP and WHEP.
    WebRtc,
}

pub(super) fn routes(app: &mut web::ServiceConfig) {
    for (path, methods, group) in ROUTES {
        let route = || match group {
            Group::Tunnels => web::to(tunnels),
            Group::WebRtc => web::to(webrtc),
        };
        match methods {
            [one] => app.service(resource(path, [(one.clone(), route())])),
            [one, two] => app.service(resource(
                path,
                [(one.clone(), route()), (two.clone(), route())],
            )),
            _ => unreachable!("the table above gives a path one method or two"),
        };
    }
}

async fn tunnels() -> HttpResponse {
    HttpResponse::NotImplemented().json(Bare {
        error: "this version of bilbycast-edge does not run tunnels",
    })
}

/// A flow that is not there is told as such, as the finished routes will.
async fn webrtc(
    node: web::Data<Node>,
    path: web::Path<FlowPath>,
) -> Result<HttpResponse, ApiError> {
    node.flow(&path.flow_id)?;
    Err(ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        "this version of bilbycast-edge does not serve WHIP and WHEP".to_owned(),
    ))
}
