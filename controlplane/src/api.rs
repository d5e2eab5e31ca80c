//! HTTP: the paths of the API reference, one file for each resource.
//!
//! Every answer under `/api` is an envelope, errors included: unknown paths, wrong methods and bodies that are too
//! long too. Handlers only read snapshots or wait for a change that runs elsewhere; none holds a worker up.
//!
//! On its way to a handler a request passes the access log, the containment of panics, and the guard, which lets only
//! those through who may use the route.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::{KeepAlive, Method, StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Resource, Route, web};

use crate::auth::Auth;
use crate::metrics::Metrics;
use crate::nmos::connection_api::Connections;
use crate::nmos::{self, Nmos};
use crate::node::Node;
use crate::tls::{self, Identity};
use crate::ws::Streams;

mod access_log;
mod body;
mod config;
mod dashboard;
mod envelope;
mod events;
mod flows;
mod guard;
mod health;
mod history;
mod metrics;
mod openapi;
mod outputs;
mod page;
mod panics;
mod setup;
mod stats;
#[cfg(test)]
mod tests;
mod token;
mod unbuilt;
mod ws;

pub use dashboard::serve_monitor;

pub(crate) use setup::is_foreign;

pub(crate) use body::JsonBody;

use body::BodyBudget;
pub(crate) use envelope::ApiError;

/// Serves the API over plain HTTP on `listener`, on the current tokio runtime, until it is told to stop. Who has to
/// identify themselves is what the node's configuration says at this moment.
///
/// # Errors
///
/// When the listener cannot be used.
pub fn serve(node: Arc<Node>, listener: TcpListener) -> io::Result<Server> {
    serve_nmos(&Nmos::start(&node, listener.local_addr()?, false), listener)
}

/// As [`serve`], for the node that `nmos` follows, which was started with the address of `listener`.
///
/// # Errors
///
/// When the listener cannot be used.
pub fn serve_nmos(nmos: &Arc<Nmos>, listener: TcpListener) -> io::Result<Server> {
    start(nmos, listener, None)
}

/// As [`serve`], over HTTPS as `identity`, whose files are watched from now on.
///
/// # Errors
///
/// When the listener or the identity cannot be used.
pub fn serve_tls(
    node: Arc<Node>,
    listener: TcpListener,
    identity: &Arc<Identity>,
) -> io::Result<Server> {
    let nmos = Nmos::start(&node, listener.local_addr()?, true);
    serve_nmos_tls(&nmos, listener, identity)
}

/// As [`serve_nmos`], over HTTPS as `identity`, whose files are watched from now on.
///
/// # Errors
///
/// When the listener or the identity cannot be used.
pub fn serve_nmos_tls(
    nmos: &Arc<Nmos>,
    listener: TcpListener,
    identity: &Arc<Identity>,
) -> io::Result<Server> {
    let config = identity.server_config().map_err(io::Error::other)?;
    tokio::spawn(tls::watch(Arc::downgrade(identity)));
    start(nmos, listener, Some(config))
}

fn start(
    nmos: &Arc<Nmos>,
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
) -> io::Result<Server> {
    let node = Arc::clone(nmos.node());
    crate::ws::limit_stall(&listener)?;
    let streams = web::Data::from(Streams::start(&node));
    let metrics = Metrics::new(Arc::clone(nmos), Arc::clone(&streams));
    let metrics = web::Data::new(metrics);
    let auth = web::Data::new(Auth::new(node.config().server.auth.as_ref()));
    let connections = web::Data::from(Connections::start(nmos));
    let nmos = web::Data::from(Arc::clone(nmos));
    let node = web::Data::from(node);
    let budget = web::Data::new(BodyBudget::default());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::clone(&node))
            .app_data(web::Data::clone(&auth))
            .app_data(web::Data::clone(&budget))
            .app_data(web::Data::clone(&metrics))
            .app_data(web::Data::clone(&nmos))
            .app_data(web::Data::clone(&connections))
            .app_data(web::Data::clone(&streams))
            .configure(routes)
            // The last one comes first on the way of a request.
            .wrap(from_fn(guard::admit))
            .wrap(from_fn(panics::contain))
            .wrap(from_fn(nmos::http::dress))
            .wrap(from_fn(metrics::count))
            .wrap(from_fn(access_log::record))
    });
    let server = server
        .workers(workers())
        .max_connections(CONNECTIONS_PER_WORKER_MAX)
        .client_request_timeout(HEAD_TIMEOUT)
        .tls_handshake_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
        .shutdown_timeout(1)
        .disable_signals();
    let server = match tls {
        None => server.listen(listener)?,
        Some(config) => server.listen_rustls_0_23(listener, config)?,
    };
    Ok(server.run())
}

fn routes(app: &mut web::ServiceConfig) {
    app.service(resource(
        "/health",
        [(Method::GET, web::to(health::health))],
    ))
    .service(resource(
        "/oauth/token",
        [(Method::POST, web::to(token::issue))],
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
        "/api/v1/stats/{flow_id}/pids",
        [(Method::GET, web::to(stats::pids))],
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
    .configure(dashboard::routes)
    .configure(events::routes)
    .configure(history::routes)
    .configure(metrics::routes)
    .configure(ws::routes)
    .configure(openapi::routes)
    .configure(setup::routes)
    .configure(nmos::routes)
    .configure(unbuilt::routes)
    .default_service(web::to(unknown_path));
}

/// A path, its methods, and 405 for all others. What answers GET answers HEAD, without its body; OPTIONS says what
/// there is.
fn resource<const N: usize>(path: &str, methods: [(Method, Route); N]) -> Resource {
    resource_at(path, web::resource(path), methods)
}

/// The same at `path` with and without a slash at its end; `path` is as the API reference writes it.
pub(crate) fn slashed<const N: usize>(path: &str, methods: [(Method, Route); N]) -> Resource {
    let other = match path.strip_suffix('/') {
        Some(bare) => bare.to_owned(),
        None => format!("{path}/"),
    };
    resource_at(path, web::resource([path.to_owned(), other]), methods)
}

fn resource_at<const N: usize>(
    path: &str,
    mut resource: Resource,
    methods: [(Method, Route); N],
) -> Resource {
    let mut allowed = vec![Method::OPTIONS.to_string()];
    #[cfg(test)]
    tests::note(path, methods.iter().map(|(method, _)| method));
    #[cfg(not(test))]
    let _ = path;
    for (method, route) in methods {
        allowed.push(method.to_string());
        if method == Method::GET {
            allowed.push(Method::HEAD.to_string());
        }
        resource = resource.route(route.guard(actix_web::guard::fn_guard(move |context| {
            let asked = &context.head().method;
            *asked == method || (*asked == Method::HEAD && method == Method::GET)
        })));
    }
    allowed.sort();
    let allowed = allowed.join(", ");
    resource.default_service(web::to(move |request: HttpRequest| {
        let mut response = if *request.method() == Method::OPTIONS {
            HttpResponse::NoContent().finish()
        } else {
            HttpResponse::from_error(ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("Method {} is not allowed here", request.method()),
            ))
        };
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
