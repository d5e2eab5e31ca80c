//! Pages for people: HTML, style sheets and scripts that are part of the program.

use actix_web::HttpResponse;
use actix_web::http::header;

/// A page. It may load what this node serves and nothing else, runs no script that stands in it, and is neither
/// framed nor kept.
pub(super) fn html(page: impl Into<String>) -> HttpResponse {
    served("text/html; charset=utf-8", page.into())
}

/// A style sheet or a script of a page.
pub(super) fn asset(content_type: &'static str, text: &'static str) -> HttpResponse {
    served(content_type, text.to_owned())
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
