//! The OpenAPI 3.1 document of the API, and the page that shows it.
//!
//! The configuration is parsed by hand, so its schemas are written by hand too, from the same constants; those of the
//! counters come from the table in `shm-proto`. Tests hold the document against the routes and the answers of a
//! running server.

use std::sync::LazyLock;

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::Tag;
use utoipa::openapi::{ComponentsBuilder, Info, OpenApi, OpenApiBuilder};

mod answers;
mod config;
mod connection;
mod dashboard;
mod endpoints;
mod examples;
mod nmos;
mod operation;
mod paths;
mod shape;
mod srt;
mod stats;
#[cfg(test)]
mod tests;

/// The document as JSON.
#[must_use]
pub fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        document()
            .to_pretty_json()
            .expect("the document has string keys and finite numbers")
    });
    &JSON
}

/// The page that shows it; it needs nothing but this node.
pub const PAGE: &str = include_str!("../web/docs.html");

/// Its style sheet.
pub const CSS: &str = include_str!("../web/docs.css");

/// Its script.
pub const SCRIPT: &str = include_str!("../web/docs.js");

fn document() -> OpenApi {
    let mut info = Info::new("bilbycast-edge", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("JWT".to_owned());
    bearer.description = Some("From POST /oauth/token.".to_owned());
    let schemas = [
        answers::schemas(),
        config::schemas(),
        connection::schemas(),
        dashboard::schemas(),
        endpoints::schemas(),
        nmos::schemas(),
        stats::schemas(),
    ];
    let components = schemas
        .into_iter()
        .flatten()
        .fold(ComponentsBuilder::new(), |components, (name, shape)| {
            components.schema(name, shape)
        })
        .security_scheme(operation::BEARER, SecurityScheme::Http(bearer));
    let tags = TAGS.map(|(name, description)| {
        let mut tag = Tag::new(name);
        tag.description = Some(description.to_owned());
        tag
    });
    OpenApiBuilder::new()
        .info(info)
        .paths(paths::paths())
        .components(Some(components.build()))
        .tags(Some(tags))
        .build()
}

const ABOUT: &str = "REST API of bilbycast-edge. Answers are {\"success\": true, \"data\": ...} or \
    {\"success\": false, \"error\": \"...\"} where nothing else is said. Tokens are needed when \
    server.auth is enabled; without it everybody acts as admin. All paths answer OPTIONS, and those \
    with GET answer HEAD. Unknown fields of a configuration are ignored with a warning in the log.";

const TAGS: [(&str, &str); 10] = [
    ("flows", "Flows: one input, any number of outputs."),
    ("outputs", "Outputs of a flow."),
    ("stats", "Statistics."),
    ("config", "The whole configuration."),
    ("node", "The node itself."),
    ("auth", "Tokens."),
    ("setup", "First configuration of a node."),
    ("document", "This document."),
    ("dashboard", "The page for the people on shift."),
    ("nmos", "AMWA NMOS: IS-04 v1.3 and IS-05 v1.1."),
];
