//! Pages for people: HTML, style sheets and scripts that are part of the program.

use actix_web::http::header;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse};

use crate::dashboard::Asset;

/// A page. It may load what this node serves and nothing else, runs no script that stands in it, and is neither
/// framed nor kept.
pub(super) fn html(page: impl Into<String>) -> HttpResponse {
    served("text/html; charset=utf-8", page.into())
}

/// A style sheet or a script of a page.
pub(super) fn asset(content_type: &'static str, text: &'static str) -> HttpResponse {
    served(content_type, text.to_owned())
}

/// A file that a browser may keep, and asks for again by its tag; 304 when it still has the right one.
pub(super) fn versioned(request: &HttpRequest, asset: &'static Asset) -> HttpResponse {
    let is_known = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(','))
        .any(|tag| tag.trim() == asset.etag || tag.trim() == "*");
    let mut response = match is_known {
        true => HttpResponse::NotModified().finish(),
        false => served(asset.content_type, asset.text.clone()),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&asset.etag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

fn served(content_type: &'static str, body: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body)
}

/// The icon of the pages is an empty `data:` URL, so that browsers do not ask for one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
