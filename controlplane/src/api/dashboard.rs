//! `/` and `/dashboard/*`: the page for the people on shift, and the server of the monitor port.
//!
//! Browsers keep the files and ask by their tags whether they are still right, so that a new version of this program
//! shows its own page at once.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::{KeepAlive, Method, StatusCode};
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use super::envelope::ApiError;
use super::page::versioned;
use super::{
    CONNECTIONS_PER_WORKER_MAX, HEAD_TIMEOUT, KEEP_ALIVE, access_log, events, health, history,
    panics, resource, stats, unknown_path, ws,
};
use crate::auth::Auth;
use crate::dashboard::{self, Surface};
use crate::node::Node;
use crate::ws::Streams;

/// Serves the monitor page on `listener`, on the current tokio runtime, until it is told to stop.
///
/// It shares nothing with the API's authentication (configuration.md 3.4): whoever configures it opens it, so it has
/// what is measured and what happened, no configuration, no credentials, and no way to change anything.
///
/// # Errors
///
/// When the listener cannot be used.
pub fn serve_monitor(node: Arc<Node>, listener: TcpListener) -> io::Result<Server> {
    crate::ws::limit_stall(&listener)?;
    let streams = web::Data::from(Streams::start(&node));
    let auth = web::Data::new(Auth::new(None));
    let node = web::Data::from(node);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::clone(&node))
            .app_data(web::Data::clone(&auth))
            .app_data(web::Data::clone(&streams))
            .configure(monitor_routes)
            .wrap(from_fn(panics::contain))
            .wrap(from_fn(access_log::record))
    });
    let server = server
        .workers(1)
        .max_connections(CONNECTIONS_PER_WORKER_MAX)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
        .shutdown_timeout(1)
        .disable_signals();
    Ok(server.listen(listener)?.run())
}

pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.service(resource("/", [(Method::GET, web::to(page))]).wrap(Compress::default()))
        .configure(files);
}

fn monitor_routes(app: &mut web::ServiceConfig) {
    app.service(resource("/", [(Method::GET, web::to(monitor_page))]).wrap(Compress::default()))
        .configure(files)
        .service(resource(
            "/health",
            [(Method::GET, web::to(health::health))],
        ))
        .service(resource(
            "/api/v1/stats",
            [(Method::GET, web::to(stats::all))],
        ))
        .service(resource(
            "/api/v1/stats/{flow_id}",
            [(Method::GET, web::to(stats::one))],
        ))
        .service(resource(
            "/api/v1/stats/{flow_id}/pids",
            [(Method::GET, web::to(stats::pids))],
        ))
        .configure(history::routes)
        .configure(events::routes)
        .configure(ws::routes)
        .default_service(web::to(unknown_path));
}

fn files(app: &mut web::ServiceConfig) {
    app.service(
        resource("/dashboard/{file}", [(Method::GET, web::to(file))]).wrap(Compress::default()),
    );
}

async fn page(request: HttpRequest) -> HttpResponse {
    versioned(&request, dashboard::page(Surface::Api))
}

async fn monitor_page(request: HttpRequest) -> HttpResponse {
    versioned(&request, dashboard::page(Surface::Monitor))
}

async fn file(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    match dashboard::asset(&name) {
        Some(asset) => Ok(versioned(&request, asset)),
        None => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format!("Path '{}' not found", request.path()),
        )),
    }
}
