//! The paths of IS-05 v1.1 (nmos.md 2).

use std::sync::Arc;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpResponse, Route, web};
use serde_json::{Value, json};

use super::params::{ReceiverLeg, SenderLeg};
use super::patch::{Answer, entries};
use super::side::Side;
use super::{ConnectionError, Connections};
use crate::api::{JsonBody, slashed};
use crate::nmos::http::{Fault, Served, children, id, json};
use crate::nmos::sdp;

/// The routes.
pub(crate) fn routes(app: &mut web::ServiceConfig) {
    let index = |names: &'static [&'static str]| {
        web::to(move |_: Served| std::future::ready(children(names)))
    };
    for (path, names) in INDEXES {
        app.service(slashed(path, [(Method::GET, index(names))]));
    }
    side::<SenderLeg>(app, &SENDERS);
    side::<ReceiverLeg>(app, &RECEIVERS);
    app.service(slashed(
        "/x-nmos/connection/v1.1/single/senders/{id}/transportfile",
        [(Method::GET, web::to(transport_file))],
    ));
}

const INDEXES: [(&str, &[&str]); 4] = [
    ("/x-nmos/connection", &["v1.1"]),
    ("/x-nmos/connection/v1.1/", &["bulk", "single"]),
    ("/x-nmos/connection/v1.1/bulk/", &["senders", "receivers"]),
    ("/x-nmos/connection/v1.1/single/", &["senders", "receivers"]),
];

/// Paths of one side.
struct Paths {
    bulk: &'static str,
    list: &'static str,
    one: &'static str,
    children: &'static [&'static str],
    constraints: &'static str,
    staged: &'static str,
    active: &'static str,
    transport_type: &'static str,
}

const SENDERS: Paths = Paths {
    bulk: "/x-nmos/connection/v1.1/bulk/senders",
    list: "/x-nmos/connection/v1.1/single/senders/",
    one: "/x-nmos/connection/v1.1/single/senders/{id}/",
    children: &[
        "constraints",
        "staged",
        "active",
        "transporttype",
        "transportfile",
    ],
    constraints: "/x-nmos/connection/v1.1/single/senders/{id}/constraints",
    staged: "/x-nmos/connection/v1.1/single/senders/{id}/staged",
    active: "/x-nmos/connection/v1.1/single/senders/{id}/active",
    transport_type: "/x-nmos/connection/v1.1/single/senders/{id}/transporttype",
};

const RECEIVERS: Paths = Paths {
    bulk: "/x-nmos/connection/v1.1/bulk/receivers",
    list: "/x-nmos/connection/v1.1/single/receivers/",
    one: "/x-nmos/connection/v1.1/single/receivers/{id}/",
    children: &["constraints", "staged", "active", "transporttype"],
    constraints: "/x-nmos/connection/v1.1/single/receivers/{id}/constraints",
    staged: "/x-nmos/connection/v1.1/single/receivers/{id}/staged",
    active: "/x-nmos/connection/v1.1/single/receivers/{id}/active",
    transport_type: "/x-nmos/connection/v1.1/single/receivers/{id}/transporttype",
};

fn side<L: Side>(app: &mut web::ServiceConfig, paths: &Paths) {
    app.service(slashed(paths.bulk, [(Method::POST, web::to(bulk::<L>))]))
        .service(slashed(paths.list, [(Method::GET, web::to(list::<L>))]))
        .service(slashed(
            paths.one,
            [(Method::GET, one::<L>(paths.children))],
        ))
        .service(slashed(
            paths.constraints,
            [(Method::GET, shown::<L>(Connections::constraints::<L>))],
        ))
        .service(slashed(
            paths.staged,
            [
                (Method::GET, shown::<L>(Connections::staged::<L>)),
                (Method::PATCH, web::to(patch::<L>)),
            ],
        ))
        .service(slashed(
            paths.active,
            [(Method::GET, shown::<L>(Connections::active::<L>))],
        ))
        .service(slashed(
            paths.transport_type,
            [(Method::GET, shown::<L>(Connections::transport_type::<L>))],
        ));
}

/// Something of a sender or receiver to look at.
type Look = fn(&Connections, uuid::Uuid) -> Result<Value, ConnectionError>;

fn shown<L: Side>(look: Look) -> Route {
    web::to(
        move |connections: web::Data<Connections>, path: web::Path<String>| {
            let found = id(&path).and_then(|id| Ok(look(&connections, id)?));
            std::future::ready(found.map(|found| json(&found)))
        },
    )
}

fn one<L: Side>(names: &'static [&'static str]) -> Route {
    web::to(
        move |connections: web::Data<Connections>, path: web::Path<String>| {
            let known = id(&path).and_then(|id| Ok(connections.transport_type::<L>(id)?));
            std::future::ready(known.map(|_| children(names)))
        },
    )
}

async fn list<L: Side>(Served(model): Served) -> HttpResponse {
    let resources = model.of_kind(L::KIND).iter().map(|resource| resource.id());
    let known = resources.filter(|id| L::subject(&model, *id).is_some());
    let names: Vec<_> = known.map(|id| format!("{id}/")).collect();
    HttpResponse::Ok().json(names)
}

async fn patch<L: Side>(
    connections: web::Data<Connections>,
    path: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, Fault> {
    let connections = Arc::clone(&connections);
    let Answer { status, staged } = connections.patch::<L>(id(&path)?, body.value).await?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok(HttpResponse::build(status).json(staged))
}

async fn bulk<L: Side>(
    connections: web::Data<Connections>,
    body: JsonBody,
) -> Result<HttpResponse, Fault> {
    let connections = Arc::clone(&connections);
    let entries = entries(body.value)?;
    let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
    let answers = connections.patch_all::<L>(entries).await;
    let results = ids
        .into_iter()
        .zip(answers)
        .map(|(id, answer)| match answer {
            Ok(answer) => json!({"id": id, "code": answer.status}),
            Err(error) => json!({
                "id": id,
                "code": error.status(),
                "error": error.to_string(),
                "debug": null,
            }),
        });
    Ok(HttpResponse::Ok().json(results.collect::<Vec<_>>()))
}

async fn transport_file(
    connections: web::Data<Connections>,
    path: web::Path<String>,
) -> Result<HttpResponse, Fault> {
    let text = connections.transport_file(id(&path)?)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, sdp::MEDIA_TYPE))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text))
}

impl From<ConnectionError> for Fault {
    fn from(error: ConnectionError) -> Self {
        let status = StatusCode::from_u16(error.status());
        Self::new(
            status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            error.to_string(),
        )
    }
}
