//! `/api/v1/flows/{flow_id}/outputs`.

use actix_web::{HttpResponse, web};

use super::body::JsonBody;
use super::envelope::{ApiError, data, nothing};
use crate::node::Node;

pub(super) async fn add(
    node: web::Data<Node>,
    flow_id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let output = node.add_output(flow_id.into_inner(), body.value).await?;
    Ok(data(output))
}

pub(super) async fn remove(
    node: web::Data<Node>,
    ids: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (flow_id, output_id) = ids.into_inner();
    node.remove_output(flow_id, output_id).await?;
    Ok(nothing())
}
