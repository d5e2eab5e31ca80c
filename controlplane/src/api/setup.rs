//! `/setup`: public as long as `setup_enabled` is true, bare shapes without an envelope (configuration.md 3.6).
//!
//! Nobody is authenticated here, so a page of another site must not be able to make an operator's browser send the
//! form: the browser says where a request comes from, and such a request is refused. Programs say nothing and pass.

use actix_web::http::{Method, StatusCode, Uri, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::Serialize;
use serde_json::Value;

use super::body;
use super::envelope::ApiError;
use super::page::{asset, html};
use super::resource;
use crate::node::{Node, SetupOutcome};
use crate::setup::page::{self, Status};
use crate::setup::{Setup, form};

/// A good answer.
#[derive(Serialize)]
struct Saved {
    success: bool,
    message: &'static str,
}

pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.service(resource(
        "/setup",
        [(Method::GET, web::to(show)), (Method::POST, web::to(save))],
    ))
    .service(resource("/setup/status", [(Method::GET, web::to(status))]))
    .service(resource("/setup/setup.css", [(Method::GET, web::to(css))]))
    .service(resource(
        "/setup/setup.js",
        [(Method::GET, web::to(script))],
    ));
}

async fn show(node: web::Data<Node>) -> HttpResponse {
    let status = Status::of(&node.config());
    html(if status.setup_enabled {
        page::form(&status)
    } else {
        page::disabled()
    })
}

async fn status(node: web::Data<Node>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Status::of(&node.config()))
}

async fn css() -> HttpResponse {
    asset("text/css; charset=utf-8", page::CSS)
}

async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", page::SCRIPT)
}

async fn save(
    request: HttpRequest,
    node: web::Data<Node>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(&request, payload.into_inner(), BODY_BYTES_MAX).await?;
    let body = &body.bytes;
    let is_form = is_form(&request, body);
    if let Some(error) = refusal(&request, &node) {
        return match is_form {
            true => Ok(html_as(
                error.status_code(),
                page::refused(&error.to_string()),
            )),
            false => Err(error),
        };
    }
    if is_form {
        let document = form::document(body);
        return Ok(match store(&node, document.clone()).await {
            Ok(()) => html(page::saved(SAVED)),
            Err(error) => html_as(
                error.status_code(),
                page::form_again(&document, &error.to_string()),
            ),
        });
    }
    let document = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the request body is not valid JSON: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, message)
    })?;
    store(&node, document).await?;
    Ok(HttpResponse::Ok().json(Saved {
        success: true,
        message: SAVED,
    }))
}

const SAVED: &str =
    "Configuration saved. Restart the bilbycast-edge service to apply the new settings.";

async fn store(node: &web::Data<Node>, document: Value) -> Result<(), ApiError> {
    let setup = Setup::parse(document)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    match node.set_up(setup).await? {
        SetupOutcome::Saved => Ok(()),
        SetupOutcome::Disabled => Err(disabled()),
    }
}

fn refusal(request: &HttpRequest, node: &Node) -> Option<ApiError> {
    if is_foreign(request) {
        let message = "requests from pages of other sites are refused";
        return Some(ApiError::new(StatusCode::FORBIDDEN, message.to_owned()));
    }
    (!node.is_setup_enabled()).then(disabled)
}

fn disabled() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "Setup is disabled on this node".to_owned(),
    )
}

/// Whether a browser says that the request comes from a page that is not this node's.
pub(crate) fn is_foreign(request: &HttpRequest) -> bool {
    let header = |name| request.headers().get(name);
    // Fetch metadata, which no page can forge. Browsers send it over HTTPS and to the machine itself.
    if let Some(site) = header(header::HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = header(header::ORIGIN) else {
        return false;
    };
    let origin = origin
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Uri>().ok());
    let origin = origin.and_then(|uri| uri.authority().map(ToString::to_string));
    let own = header(header::HOST).and_then(|host| host.to_str().ok());
    match (origin, own) {
        (Some(origin), Some(own)) => !origin.eq_ignore_ascii_case(own),
        _ => true,
    }
}

/// Whether a browser sent its form. Tools that send JSON without naming its type call it a form too.
fn is_form(request: &HttpRequest, body: &[u8]) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = body.trim_ascii_start().first() == Some(&b'{');
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") && !is_json
}

fn html_as(status: StatusCode, page: String) -> HttpResponse {
    let mut response = html(page);
    *response.status_mut() = status;
    response
}

/// Longest body in bytes: every field at its longest, each character in percent encoding.
const BODY_BYTES_MAX: usize = 128 << 10;
