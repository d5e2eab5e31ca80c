//! The routes as they are registered, against the OpenAPI document and the endpoint summary.

use std::cell::RefCell;
use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web::{App, test};
use serde_json::Value;

use super::{routes, unbuilt};

type Routes = BTreeSet<(String, String)>;

thread_local! {
    static NOTED: RefCell<Routes> = RefCell::default();
}

/// Called for each path that is registered. HEAD and OPTIONS, which all paths answer, are not among the methods.
pub(super) fn note<'a>(path: &str, methods: impl Iterator<Item = &'a Method>) {
    NOTED.with_borrow_mut(|noted| {
        noted.extend(methods.map(|method| (path.to_owned(), method.to_string())));
    });
}

async fn registered() -> Routes {
    NOTED.take();
    test::init_service(App::new().configure(routes)).await;
    NOTED.take()
}

fn unbuilt_routes() -> Routes {
    let routes = unbuilt::ROUTES.iter();
    routes
        .flat_map(|(path, methods, _)| {
            let methods = methods.iter();
            methods.map(|method| ((*path).to_owned(), method.to_string()))
        })
        .collect()
}

fn documented() -> Routes {
    let document: Value = serde_json::from_str(crate::openapi::json()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| (path.clone(), method.to_uppercase()))
        })
        .collect()
}

#[actix_web::test]
async fn the_document_has_every_route_that_is_served_and_no_other() {
    let registered = registered().await;
    let unbuilt = unbuilt_routes();
    assert!(unbuilt.is_subset(&registered));
    let served: Routes = registered.difference(&unbuilt).cloned().collect();
    let documented = documented();
    let missing: Vec<_> = served.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&served).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not in the document: {missing:?}; not served: {invented:?}"
    );
}
