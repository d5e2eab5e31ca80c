//! IS-04 v1.3, the Node API: resources to look at.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};

use super::http::{Fault, Served, children, id, json};
use super::resources::ResourceType;
use crate::api::slashed;

/// The routes, and the list of all NMOS APIs.
pub(crate) fn routes(app: &mut web::ServiceConfig) {
    app.service(slashed("/x-nmos", [(Method::GET, web::to(apis))]))
        .service(slashed("/x-nmos/node", [(Method::GET, web::to(versions))]))
        .service(slashed(
            "/x-nmos/node/v1.3/",
            [(Method::GET, web::to(index))],
        ))
        .service(slashed(
            "/x-nmos/node/v1.3/self",
            [(Method::GET, web::to(node))],
        ));
    list(app, "/x-nmos/node/v1.3/sources/", ResourceType::Source);
    list(app, "/x-nmos/node/v1.3/flows/", ResourceType::Flow);
    list(app, "/x-nmos/node/v1.3/devices/", ResourceType::Device);
    list(app, "/x-nmos/node/v1.3/senders/", ResourceType::Sender);
    list(app, "/x-nmos/node/v1.3/receivers/", ResourceType::Receiver);
    one(app, "/x-nmos/node/v1.3/sources/{id}", ResourceType::Source);
    one(app, "/x-nmos/node/v1.3/flows/{id}", ResourceType::Flow);
    one(app, "/x-nmos/node/v1.3/devices/{id}", ResourceType::Device);
    one(app, "/x-nmos/node/v1.3/senders/{id}", ResourceType::Sender);
    one(
        app,
        "/x-nmos/node/v1.3/receivers/{id}",
        ResourceType::Receiver,
    );
    app.service(slashed(
        "/x-nmos/node/v1.3/receivers/{id}/target",
        [(Method::PUT, web::to(super::target::target))],
    ));
}

fn list(app: &mut web::ServiceConfig, path: &str, kind: ResourceType) {
    let handler = move |Served(model): Served| {
        let resources = model.of_kind(kind).iter();
        let all: Vec<_> = resources.map(|resource| resource.json()).collect();
        std::future::ready(HttpResponse::Ok().json(all))
    };
    app.service(slashed(path, [(Method::GET, web::to(handler))]));
}

fn one(app: &mut web::ServiceConfig, path: &str, kind: ResourceType) {
    let handler = move |served: Served, path: web::Path<String>| {
        std::future::ready(show(&served, kind, &path))
    };
    app.service(slashed(path, [(Method::GET, web::to(handler))]));
}

fn show(Served(model): &Served, kind: ResourceType, text: &str) -> Result<HttpResponse, Fault> {
    match model.get(kind, id(text)?) {
        Some(resource) => Ok(json(resource.json())),
        None => Err(unknown(kind, text)),
    }
}

fn unknown(kind: ResourceType, id: &str) -> Fault {
    Fault::not_found(format!("There is no {} '{id}'", kind.singular()))
}

async fn apis(_: Served) -> HttpResponse {
    children(&["node", "connection"])
}

async fn versions(_: Served) -> HttpResponse {
    children(&["v1.3"])
}

async fn index(_: Served) -> HttpResponse {
    children(&[
        "self",
        "sources",
        "flows",
        "devices",
        "senders",
        "receivers",
    ])
}

async fn node(Served(model): Served) -> HttpResponse {
    json(model.node().json())
}
