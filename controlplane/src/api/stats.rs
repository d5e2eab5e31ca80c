//! `/api/v1/stats`.

use actix_web::{HttpResponse, web};

use super::envelope::{ApiError, data};
use crate::node::{Node, NodeError};
use crate::stats;

pub(super) async fn all(node: web::Data<Node>) -> HttpResponse {
    data(stats::all(&node.survey()))
}

pub(super) async fn pids(
    node: web::Data<Node>,
    flow_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    match stats::pids(&node.survey(), &flow_id) {
        Some(pids) => Ok(data(pids)),
        None => Err(NodeError::FlowNotFound(flow_id.into_inner()).into()),
    }
}

pub(super) async fn one(
    node: web::Data<Node>,
    flow_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    match stats::one(&node.survey(), &flow_id) {
        Some(flow) => Ok(data(flow)),
        None => Err(NodeError::FlowNotFound(flow_id.into_inner()).into()),
    }
}
