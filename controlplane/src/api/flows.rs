//! `/api/v1/flows`.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::body::JsonBody;
use super::envelope::{ApiError, data, nothing};
use crate::config::FlowConfig;
use crate::node::Node;

#[derive(Serialize)]
struct Flows<'a> {
    flows: Vec<Summary<'a>>,
}

#[derive(Serialize)]
struct Summary<'a> {
    id: &'a str,
    name: &'a str,
    enabled: bool,
    input_type: &'static str,
    output_count: usize,
}

impl<'a> From<&'a FlowConfig> for Summary<'a> {
    fn from(flow: &'a FlowConfig) -> Self {
        Self {
            id: &flow.id,
            name: &flow.name,
            enabled: flow.enabled,
            input_type: flow.input.type_name(),
            output_count: flow.outputs.len(),
        }
    }
}

pub(super) async fn list(node: web::Data<Node>) -> HttpResponse {
    data(Flows {
        flows: node.config().flows.iter().map(Summary::from).collect(),
    })
}

pub(super) async fn show(
    node: web::Data<Node>,
    flow_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    Ok(data(node.flow(&flow_id)?))
}

pub(super) async fn create(
    node: web::Data<Node>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    Ok(data(node.create_flow(body.value).await?))
}

pub(super) async fn replace(
    node: web::Data<Node>,
    flow_id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let flow = node.replace_flow(flow_id.into_inner(), body.value).await?;
    Ok(data(flow))
}

pub(super) async fn delete(
    node: web::Data<Node>,
    flow_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    node.delete_flow(flow_id.into_inner()).await?;
    Ok(nothing())
}

pub(super) async fn start(
    node: web::Data<Node>,
    flow_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    node.start_flow(flow_id.into_inner()).await?;
    Ok(nothing())
}

pub(super) async fn stop(
    node: web::Data<Node>,
    flow_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    node.stop_flow(flow_id.into_inner()).await?;
    Ok(nothing())
}

pub(super) async fn restart(
    node: web::Data<Node>,
    flow_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    node.restart_flow(flow_id.into_inner()).await?;
    Ok(nothing())
}
