//! `PUT /receivers/{id}/target` of IS-04: connecting a receiver by the resource of a sender, the way of IS-04 v1.0 that
//! later versions keep for simple controllers.
//!
//! The node fetches the SDP that the sender names and activates it at once, as a PATCH of the Connection API with that
//! SDP does. What it cannot receive at all (another transport, no MPEG transport stream) is not implemented, in the words
//! of HTTP.

mod manifest;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::connection_api::Connections;
use super::http::{self, Fault, Served};
use super::resources::{Model, ResourceType};
use super::sdp::{self, SdpError};
use crate::api::{ApiError, JsonBody};

/// The sender that the request names.
#[derive(Debug)]
struct Named {
    id: Uuid,
    manifest_href: String,
}

/// The handler.
pub(super) async fn target(
    connections: web::Data<Connections>,
    Served(model): Served,
    path: web::Path<String>,
    body: Result<JsonBody, ApiError>,
) -> Result<HttpResponse, actix_web::Error> {
    let receiver = http::id(&path)?;
    check(&model, receiver)?;
    let body = body?;
    let sender = named(&body.value)?;
    let file = manifest::fetch(sender.manifest_href).await?;
    if let Err(error @ SdpError::NoStream) = sdp::read(&file) {
        return Err(not_implemented(format!("the sender's SDP: {error}")).into());
    }
    let patch = json!({
        "sender_id": sender.id,
        "master_enable": true,
        "transport_file": {"data": file, "type": sdp::MEDIA_TYPE},
        "activation": {"mode": "activate_immediate"},
    });
    let connections = Arc::clone(&connections);
    let activated = connections.patch_receiver(receiver, patch).await;
    activated.map_err(Fault::from)?;
    Ok(HttpResponse::Accepted().json(&body.value))
}

fn check(model: &Model, receiver: Uuid) -> Result<(), Fault> {
    let Some(resource) = model.get(ResourceType::Receiver, receiver) else {
        return Err(Fault::not_found(format!(
            "There is no receiver '{receiver}'"
        )));
    };
    let transport = resource.json()["transport"].as_str().unwrap_or_default();
    match is_rtp(transport) {
        true => Ok(()),
        false => {
            let error = format!("no controller can connect a receiver with {transport}");
            let instead = format!("change its flow: {}/api/v1/flows", model.base_url());
            Err(not_implemented(error).with_debug(instead))
        }
    }
}

fn named(body: &Value) -> Result<Named, Fault> {
    let Some(sender) = body.as_object() else {
        return Err(malformed("the body is not an object: a sender is expected"));
    };
    if sender.is_empty() {
        // The RAML of IS-04 has a sender as the only answer, and for a receiver without one there is none.
        let error = "no receiver can be disconnected by an empty object";
        let instead = "PATCH master_enable in the receiver's staged of the Connection API";
        return Err(not_implemented(error.to_owned()).with_debug(instead.to_owned()));
    }
    let id = text(sender, "id")?;
    let id = http::id(id).map_err(|_| malformed(format!("id: '{id}' is not a UUID")))?;
    let transport = text(sender, "transport")?;
    if !is_rtp(transport) {
        return Err(not_implemented(format!(
            "transport: senders with {transport} cannot be received, RTP is expected"
        )));
    }
    Ok(Named {
        id,
        manifest_href: text(sender, "manifest_href")?.to_owned(),
    })
}

fn text<'a>(sender: &'a Map<String, Value>, field: &str) -> Result<&'a str, Fault> {
    match sender.get(field) {
        Some(Value::String(text)) if text.len() <= TEXT_BYTES_MAX => Ok(text),
        Some(Value::String(text)) => Err(malformed(format!(
            "{field} has {} bytes, {TEXT_BYTES_MAX} are allowed",
            text.len()
        ))),
        Some(_) => Err(malformed(format!("{field} is not a text"))),
        None => Err(malformed(format!("{field} is missing"))),
    }
}

/// The base of the name, or one of its kinds.
fn is_rtp(transport: &str) -> bool {
    let rest = transport.strip_prefix("urn:x-nmos:transport:rtp");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn malformed(error: impl Into<String>) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, error)
}

fn not_implemented(error: String) -> Fault {
    Fault::new(StatusCode::NOT_IMPLEMENTED, error)
}

/// Longest field that is looked at: browsers and servers take URLs of that length.
const TEXT_BYTES_MAX: usize = 2_048;
