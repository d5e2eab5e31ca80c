//! HTTP: the paths of the API reference, one file for each resource.
//!
//! Every answer under `/api` is an envelope, errors included: unknown paths, wrong methods and bodies that are too
//! long too. Handlers only read snapshots or wait for a change that runs elsewhere; none holds a worker up.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::{KeepAlive, Method, StatusCode, header};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Resource, Route, guard, web};

use crate::node::Node;

mod body;
mod config;
mod envelope;
mod flows;
mod health;
mod outputs;
mod stats;

use body::BodyBudget;
use envelope::ApiError;

/// Serves the API on `listener`, on the current tokio runtime, until it is told to stop.
///
/// # Errors
///
/// When the listener cannot be used.
pub fn serve(node: Arc<Node>, listener: TcpListener) -> io::Result<Server> {
    let node = web::Data::from(node);
    let budget = web::Data::new(BodyBudget::default());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::clone(&node))
            .app_data(web::Data::clone(&budget))
            .configure(routes)
    });
    Ok(server
        .workers(workers())
        .max_connections(CONNECTIONS_PER_WORKER_MAX)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run())
}

fn routes(app: &mut web::ServiceConfig) {
    app.service(resource(
        "/health",
        [
            (Method::GET, web::to(health::health)),
            (Method::HEAD, web::to(health::health)),
        ],
    ))
    .service(resource(
        "/api/v1/flows",
        [
            (Method::GET, web::to(flows::list)),
            (Method::POST, web::to(flows::create)),
        ],
    ))
    .service(resource(
        "/api/v1/flows/{flow_id}",
        [
            (Method::DELETE, web::to(flows::delete)),
            (Method::GET, web::to(flows::show)),
            (Method::PUT, web::to(flows::replace)),
        ],
    ))
    .service(resource(
        "/api/v1/flows/{flow_id}/start",
        [(Method::POST, web::to(flows::start))],
    ))
    .service(resource(
        "/api/v1/flows/{flow_id}/stop",
        [(Method::POST, web::to(flows::stop))],
    ))
    .service(resource(
        "/api/v1/flows/{flow_id}/restart",
        [(Method::POST, web::to(flows::restart))],
    ))
    .service(resource(
        "/api/v1/flows/{flow_id}/outputs",
        [(Method::POST, web::to(outputs::add))],
    ))
    .service(resource(
        "/api/v1/flows/{flow_id}/outputs/{output_id}",
        [(Method::DELETE, web::to(outputs::remove))],
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
        "/api/v1/config",
        [
            (Method::GET, web::to(config::show)),
            (Method::PUT, web::to(config::replace)),
        ],
    ))
    .service(resource(
        "/api/v1/config/reload",
        [(Method::POST, web::to(config::reload))],
    ))
    .default_service(web::to(unknown_path));
}

/// A path, its methods, and 405 for all others.
fn resource<const N: usize>(path: &str, methods: [(Method, Route); N]) -> Resource {
    let names: Vec<_> = methods
        .iter()
        .map(|(method, _)| method.to_string())
        .collect();
    let allowed = names.join(", ");
    let mut resource = web::resource(path);
    for (method, route) in methods {
        resource = resource.route(route.guard(guard::Method(method)));
    }
    resource.default_service(web::to(move |request: HttpRequest| {
        let error = ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("Method {} is not allowed here", request.method()),
        );
        let mut response = HttpResponse::from_error(error);
        if let Ok(allowed) = header::HeaderValue::from_str(&allowed) {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        std::future::ready(response)
    }))
}

async fn unknown_path(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(
        StatusCode::NOT_FOUND,
        format!("Path '{}' not found", request.path()),
    ))
}

/// Two are plenty for a control API; the other cores belong to packets.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(2))
}

/// Connections that one worker serves at a time. More wait in the listen queue.
const CONNECTIONS_PER_WORKER_MAX: usize = 512;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may wait for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
