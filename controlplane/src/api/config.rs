//! `/api/v1/config`. Infrastructure secrets never leave the node (configuration.md 1.2).

use actix_web::{HttpResponse, web};

use super::body::JsonBody;
use super::envelope::{ApiError, data};
use crate::node::Node;

pub(super) async fn show(node: web::Data<Node>) -> HttpResponse {
    data(node.config().to_public())
}

pub(super) async fn replace(
    node: web::Data<Node>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let config = node.replace_config(body.value).await?;
    Ok(data(config.to_public()))
}

pub(super) async fn reload(node: web::Data<Node>) -> Result<HttpResponse, ApiError> {
    let config = node.reload().await?;
    Ok(data(config.to_public()))
}
