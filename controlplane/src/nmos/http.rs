//! What all NMOS APIs have in common over HTTP (nmos.md 2): errors, CORS, OPTIONS, and who may write.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde_json::Value;
use uuid::Uuid;

mod dress;
mod fault;

pub(crate) use dress::dress;
pub(crate) use fault::Fault;

use super::Nmos;
use super::resources::Model;

/// The resources of this moment, for a handler. While NMOS is switched off there is no such path.
pub(crate) struct Served(pub(crate) Arc<Model>);

impl FromRequest for Served {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let nmos = request.app_data::<web::Data<Nmos>>();
        let nmos = nmos.expect("the server hands every application its NMOS");
        ready(match nmos.is_enabled() {
            true => Ok(Self(nmos.model())),
            false => Err(Fault::switched_off()),
        })
    }
}

/// A good answer.
pub(crate) fn json(value: &Value) -> HttpResponse {
    HttpResponse::Ok().json(value)
}

/// The names below a path, each with the slash that NMOS wants.
pub(crate) fn children(names: &[&str]) -> HttpResponse {
    let names = names.iter().map(|name| format!("{name}/"));
    HttpResponse::Ok().json(names.collect::<Vec<_>>())
}

/// An id of a path. Only the form in which NMOS writes ids is one.
pub(crate) fn id(text: &str) -> Result<Uuid, Fault> {
    let id = Uuid::try_parse(text).ok();
    let id = id.filter(|id| id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text);
    id.ok_or_else(|| {
        Fault::new(
            StatusCode::NOT_FOUND,
            format!("Resource '{text}' not found"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_lower_case_with_hyphens() {
        let text = "6d5a4c3b-0000-4000-8000-00000000000f";
        assert_eq!(id(text).unwrap().to_string(), text);
        for other in [
            "",
            "6D5A4C3B-0000-4000-8000-00000000000F",
            "6d5a4c3b00004000800000000000000f",
            "{6d5a4c3b-0000-4000-8000-00000000000f}",
            "urn:uuid:6d5a4c3b-0000-4000-8000-00000000000f",
            "6d5a4c3b-0000-4000-8000-00000000000g",
        ] {
            assert!(id(other).is_err(), "{other}");
        }
    }
}
