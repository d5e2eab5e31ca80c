//! The routes, one entry for each path and method of the endpoint summary that is served.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::{Delete, Get, Post, Put};
use utoipa::openapi::{Paths, PathsBuilder};

use super::answers::{metric_families, nothing};
use super::examples;
use super::operation::{Access, Operation};
use super::shape::{count, named, object, text};

/// All of them.
pub(super) fn paths() -> Paths {
    let groups = [
        node(),
        auth(),
        flows(),
        outputs(),
        stats(),
        config(),
        setup(),
        document(),
        super::dashboard::operations(),
        super::nmos::operations(),
        super::connection::operations(),
    ];
    let operations = groups.into_iter().flatten().map(Operation::finish);
    operations
        .fold(PathsBuilder::new(), |paths, (path, item)| {
            paths.path(path, item)
        })
        .build()
}

fn node() -> Vec<Operation> {
    vec![
        Operation::new(
            Get,
            "/health",
            "node",
            "health",
            Access::Public,
            "Sign of life for balancers and monitors",
        )
        .returns_bare(named("Health"), examples::health()),
        Operation::new(
            Get,
            "/metrics",
            "node",
            "metrics",
            Access::Configurable,
            "Prometheus metrics",
        )
        .describe(&format!(
            "Only flows that run are in it. A token is needed when public_metrics is false. \
                 Families of the counters:\n\n{}",
            metric_families()
        ))
        .returns_text(
            "text/plain",
            "Prometheus text exposition format, version 0.0.4.",
        ),
        Operation::new(
            Get,
            "/api/v1/events",
            "node",
            "events",
            Access::Any,
            "What happened, newest first",
        )
        .query(
            "since",
            count("Id of an event."),
            "Only events with a greater id.",
        )
        .fails(400, "since is not a number.")
        .returns(named("Events"), examples::events()),
        socket(Operation::new(
            Get,
            "/api/v1/ws/events",
            "node",
            "ws_events",
            Access::Any,
            "Events over a WebSocket, as they happen",
        ))
        .query(
            "since",
            count("Id of an event."),
            "First those with a greater id that are kept.",
        )
        .describe("Each text frame is an Event. Frames of the client are ignored."),
    ]
}

fn socket(operation: Operation) -> Operation {
    operation
        .query(
            "token",
            text("JWT."),
            "For browsers, which cannot send the Authorization header here.",
        )
        .answers_nothing(101, "The connection is a WebSocket now.")
        .fails(400, "The request is no WebSocket handshake.")
        .fails(503, "Too many connections of this kind.")
}

fn auth() -> Vec<Operation> {
    vec![
        Operation::new(
            Post,
            "/oauth/token",
            "auth",
            "token",
            Access::Public,
            "A token for client credentials",
        )
        .takes_either(
            "TokenRequest",
            &["application/json", "application/x-www-form-urlencoded"],
            examples::token_request(),
        )
        .fails(
            400,
            "Authentication is off, or grant, credentials or body are wrong.",
        )
        .fails(429, "Too many failed attempts from this address.")
        .fails(500, "The token could not be signed.")
        .returns_bare(named("Token"), examples::token()),
    ]
}

const FLOW: &str = "/api/v1/flows/{flow_id}";

fn flows() -> Vec<Operation> {
    let action = |path, id, summary| {
        Operation::new(Post, path, "flows", id, Access::Admin, summary)
            .fails(404, "No such flow.")
            .fails(500, "The data plane could not do it, or is away.")
            .returns(nothing(), Value::Null)
    };
    vec![
        Operation::new(
            Get,
            "/api/v1/flows",
            "flows",
            "list_flows",
            Access::Any,
            "All flows in short",
        )
        .returns(named("FlowList"), examples::flow_list()),
        Operation::new(
            Post,
            "/api/v1/flows",
            "flows",
            "create_flow",
            Access::Admin,
            "Create a flow",
        )
        .describe("It starts at once when enabled is true.")
        .takes("FlowConfig", examples::new_flow())
        .fails(400, "The flow is not legal, or this version cannot run it.")
        .fails(409, "There is a flow with this id.")
        .fails(
            500,
            "The flow could not be started or saved; nothing has changed.",
        )
        .returns(named("FlowConfig"), examples::new_flow()),
        Operation::new(
            Get,
            FLOW,
            "flows",
            "show_flow",
            Access::Any,
            "A flow's configuration",
        )
        .fails(404, "No such flow.")
        .returns(named("FlowConfig"), examples::flow()),
        Operation::new(
            Put,
            FLOW,
            "flows",
            "replace_flow",
            Access::Admin,
            "Replace a flow",
        )
        .describe(
            "The id in the path outranks that of the body. A flow that is equal goes on untouched.",
        )
        .takes("FlowConfig", examples::new_flow())
        .fails(400, "The flow is not legal, or this version cannot run it.")
        .fails(404, "No such flow.")
        .fails(
            500,
            "The flow could not be started or saved; nothing has changed.",
        )
        .returns(named("FlowConfig"), examples::new_flow()),
        Operation::new(
            Delete,
            FLOW,
            "flows",
            "delete_flow",
            Access::Admin,
            "Stop and remove a flow",
        )
        .fails(404, "No such flow.")
        .fails(500, "The removal could not be saved; nothing has changed.")
        .returns(nothing(), Value::Null),
        action(
            "/api/v1/flows/{flow_id}/start",
            "start_flow",
            "Start a flow",
        )
        .fails(400, "This version cannot run the flow.")
        .fails(409, "The flow runs already."),
        action("/api/v1/flows/{flow_id}/stop", "stop_flow", "Stop a flow")
            .fails(409, "The flow does not run."),
        action(
            "/api/v1/flows/{flow_id}/restart",
            "restart_flow",
            "Stop and start a flow",
        )
        .fails(400, "This version cannot run the flow.")
        .fails(409, "Its ports are taken by a flow that runs."),
    ]
}

fn outputs() -> Vec<Operation> {
    vec![
        Operation::new(
            Post,
            "/api/v1/flows/{flow_id}/outputs",
            "outputs",
            "add_output",
            Access::Admin,
            "Add an output to a flow",
        )
        .describe("A running flow goes on undisturbed.")
        .takes("OutputConfig", examples::output())
        .fails(
            400,
            "The output is not legal, or this version cannot run it.",
        )
        .fails(404, "No such flow.")
        .fails(409, "The flow has an output with this id.")
        .fails(
            500,
            "The output could not be started or saved; nothing has changed.",
        )
        .returns(named("OutputConfig"), examples::output()),
        Operation::new(
            Delete,
            "/api/v1/flows/{flow_id}/outputs/{output_id}",
            "outputs",
            "remove_output",
            Access::Admin,
            "Remove an output from a flow",
        )
        .describe("A running flow goes on undisturbed.")
        .fails(404, "No such flow, or no such output in it.")
        .fails(500, "The removal could not be saved; nothing has changed.")
        .returns(nothing(), Value::Null),
    ]
}

fn stats() -> Vec<Operation> {
    vec![
        Operation::new(Get, "/api/v1/stats", "stats", "stats", Access::Any, "Statistics of the node and all flows")
            .returns(named("Stats"), examples::stats()),
        Operation::new(Get, "/api/v1/stats/{flow_id}", "stats", "flow_stats", Access::Any, "Statistics of a flow")
            .fails(404, "No such flow.")
            .returns(named("FlowStats"), examples::flow_stats()),
        Operation::new(
            Get,
            "/api/v1/stats/{flow_id}/pids",
            "stats",
            "flow_pids",
            Access::Any,
            "The PIDs of a flow",
        )
        .fails(404, "No such flow.")
        .returns(named("FlowPids"), examples::flow_pids()),
        socket(Operation::new(
            Get,
            "/api/v1/ws/stats",
            "stats",
            "ws_stats",
            Access::Any,
            "Statistics over a WebSocket, once a second",
        ))
        .describe(
            "Each text frame is an array of FlowStats. A client that is slow misses frames; its own \
             frames are ignored.",
        ),
        socket(Operation::new(
            Get,
            "/api/v1/ws/overview",
            "stats",
            "ws_overview",
            Access::Any,
            "A summary of all flows over a WebSocket, once a second",
        ))
        .describe(
            "For pages that show many flows; the dashboard uses it. The first frame is \
             {number, data_plane, flows}: an object for each flow with the part of FlowStats that an \
             overview shows. A later frame, when its number is the next one, is {number, data_plane, \
             changed, whole}: changed holds pairs of a place in flows and an object with the fields that \
             differ, to be merged into what was there (in a list null stands for what is the same); whole \
             holds pairs of a place and the object that takes the old one's. A frame with flows replaces \
             everything: after frames that a slow client missed, and when flows were added or removed.",
        ),
    ]
}

fn config() -> Vec<Operation> {
    vec![
        Operation::new(
            Get,
            "/api/v1/config",
            "config",
            "show_config",
            Access::Any,
            "The configuration",
        )
        .describe("Credentials of flows are in it, secrets of the node are not.")
        .returns(named("AppConfig"), examples::config()),
        Operation::new(
            Put,
            "/api/v1/config",
            "config",
            "replace_config",
            Access::Admin,
            "Replace the configuration",
        )
        .describe("Flows that are equal go on untouched.")
        .takes("AppConfig", examples::config())
        .fails(
            400,
            "The configuration is not legal, or this version cannot run it; nothing has changed.",
        )
        .fails(
            500,
            "It could not be saved; or it is in force, and some flows failed to start.",
        )
        .returns(named("AppConfig"), examples::config()),
        Operation::new(
            Post,
            "/api/v1/config/reload",
            "config",
            "reload_config",
            Access::Admin,
            "Read the configuration from disk again",
        )
        .describe("Flows that are equal go on untouched.")
        .fails(
            400,
            "The file is not a legal configuration; nothing has changed.",
        )
        .fails(
            500,
            "The file cannot be read; or it is in force, and some flows failed to start.",
        )
        .returns(named("AppConfig"), examples::config()),
    ]
}

fn setup() -> Vec<Operation> {
    vec![
        Operation::new(
            Get,
            "/setup",
            "setup",
            "setup_page",
            Access::Public,
            "The setup page",
        )
        .returns_text(
            "text/html",
            "The form, or a page that says that the setup is closed.",
        ),
        Operation::new(
            Get,
            "/setup/status",
            "setup",
            "setup_status",
            Access::Public,
            "What the setup page shows",
        )
        .returns_bare(named("SetupStatus"), examples::setup_status()),
        Operation::new(
            Post,
            "/setup",
            "setup",
            "set_up",
            Access::Public,
            "Save a first configuration",
        )
        .describe(
            "In force after a restart of the control plane. A form is answered with a page. \
                 Requests that a browser sends from a page of another site are refused.",
        )
        .takes("SetupRequest", examples::setup_request())
        .fails(400, "A value is not legal; nothing has changed.")
        .fails(
            403,
            "The setup is closed, or the request comes from another site.",
        )
        .fails(500, "It could not be saved; nothing has changed.")
        .returns_bare(named("SetupSaved"), examples::setup_saved()),
        Operation::new(
            Get,
            "/setup/setup.css",
            "setup",
            "setup_css",
            Access::Public,
            "Style of the setup page",
        )
        .returns_text("text/css", "A style sheet."),
        Operation::new(
            Get,
            "/setup/setup.js",
            "setup",
            "setup_js",
            Access::Public,
            "Script of the setup page",
        )
        .returns_text("text/javascript", "A script."),
    ]
}

fn document() -> Vec<Operation> {
    vec![
        Operation::new(
            Get,
            "/api/v1/openapi.json",
            "document",
            "openapi",
            Access::Any,
            "This document",
        )
        .returns_bare(
            object("An OpenAPI 3.1 document."),
            json!({"openapi": "3.1.0"}),
        ),
        Operation::new(
            Get,
            "/api/v1/docs",
            "document",
            "docs",
            Access::Public,
            "This document as a page",
        )
        .returns_text("text/html", "A page."),
        Operation::new(
            Get,
            "/api/v1/docs/docs.css",
            "document",
            "docs_css",
            Access::Public,
            "Its style",
        )
        .returns_text("text/css", "A style sheet."),
        Operation::new(
            Get,
            "/api/v1/docs/docs.js",
            "document",
            "docs_js",
            Access::Public,
            "Its script",
        )
        .returns_text("text/javascript", "A script."),
    ]
}
