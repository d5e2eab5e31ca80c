//! `/api/v1/openapi.json` and `/api/v1/docs`, the same for people. The page has no data of the node: its script
//! fetches the document, with a token where one is needed.

use actix_web::http::{Method, header};
use actix_web::{HttpResponse, web};

use super::page::{asset, html};
use super::resource;
use crate::openapi;

pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.service(resource(
        "/api/v1/openapi.json",
        [(Method::GET, web::to(document))],
    ))
    .service(resource("/api/v1/docs", [(Method::GET, web::to(page))]))
    .service(resource(
        "/api/v1/docs/docs.css",
        [(Method::GET, web::to(css))],
    ))
    .service(resource(
        "/api/v1/docs/docs.js",
        [(Method::GET, web::to(script))],
    ));
}

async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(openapi::json())
}

async fn page() -> HttpResponse {
    html(openapi::PAGE)
}

async fn css() -> HttpResponse {
    asset("text/css; charset=utf-8", openapi::CSS)
}

async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", openapi::SCRIPT)
}
