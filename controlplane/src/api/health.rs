//! `GET /health`: always public, has no envelope.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::node::Node;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    uptime_secs: u64,
    active_flows: usize,
    total_flows: usize,
    data_plane: &'static str,
}

pub(super) async fn health(node: web::Data<Node>) -> HttpResponse {
    HttpResponse::Ok().json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        uptime_secs: node.uptime_secs(),
        active_flows: node.active_flows(),
        total_flows: node.config().flows.len(),
        data_plane: if node.is_connected() {
            "connected"
        } else {
            "lost"
        },
    })
}
