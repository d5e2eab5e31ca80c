//! `GET /health`: always public, has no envelope.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::nmos::Nmos;
use crate::nmos::registration::Status;
use crate::node::Node;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    uptime_secs: u64,
    active_flows: usize,
    total_flows: usize,
    data_plane: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nmos: Option<Status>,
}

/// The monitor page has no NMOS.
pub(super) async fn health(node: web::Data<Node>, nmos: Option<web::Data<Nmos>>) -> HttpResponse {
    let survey = node.survey();
    HttpResponse::Ok().json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        uptime_secs: survey.uptime_secs,
        active_flows: survey.active_flows(),
        total_flows: survey.config.flows.len(),
        data_plane: survey.data_plane.as_str(),
        nmos: nmos.and_then(|nmos| nmos.registration_status()),
    })
}
