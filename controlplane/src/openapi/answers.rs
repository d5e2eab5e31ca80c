//! Bodies that are neither configuration nor statistics.

use bilbycast_shm_proto::counters::{FlowRecord, OutputRecord};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType};

use super::config::manager_url;
use super::shape::{
    Fields, IP_ADDRESS, Shape, choice, count, flag, formatted, integer, list, named, object,
    secret, text, text_of, with_default,
};
use crate::setup::{NAME_CHARS_MAX, TOKEN_CHARS_MAX};

pub(super) fn schemas() -> Vec<(&'static str, Shape)> {
    vec![
        ("Event", event().into()),
        ("Events", events().into()),
        ("Failure", failure().into()),
        ("FlowList", flow_list().into()),
        ("FlowSummary", flow_summary().into()),
        ("Health", health().into()),
        ("SetupRequest", setup_request().into()),
        ("SetupSaved", setup_saved().into()),
        ("SetupStatus", setup_status().into()),
        ("TokenRequest", token_request().into()),
        ("Token", token().into()),
    ]
}

/// `{"success": true, "data": ...}`.
pub(super) fn envelope(data: impl Into<Shape>) -> Shape {
    object("")
        .required("success", flag("Always true.").enum_values(Some([true])))
        .required("data", data)
        .into()
}

/// `data` of an operation that has nothing to tell.
pub(super) fn nothing() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(utoipa::openapi::schema::Type::Null))
        .description(Some("Nothing to tell."))
}

/// Families that `/metrics` has of every flow and output that runs, for its description.
pub(super) fn metric_families() -> String {
    let rows = FlowRecord::FIELDS.iter().chain(OutputRecord::FIELDS);
    let families: Vec<_> = rows
        .filter_map(|row| Some(format!("* {}: {}", row.prometheus?, row.help.trim())))
        .collect();
    families.join("\n")
}

fn failure() -> Fields {
    object("Why a request failed.")
        .required("success", flag("Always false.").enum_values(Some([false])))
        .required("error", text("The reason, for people."))
}

fn health() -> Fields {
    object("A sign of life.")
        .required(
            "status",
            choice(&["ok"], "Always ok when the server answers."),
        )
        .required("version", text("Version of the software."))
        .required(
            "uptime_secs",
            count("Seconds since the start of the control plane."),
        )
        .required("active_flows", count("Flows that run."))
        .required("total_flows", count("Configured flows."))
        .required(
            "data_plane",
            choice(
                &["connected", "lost", "uncontrolled"],
                "Whether the packet process is there; uncontrolled: its flows run on, and nothing can be changed.",
            ),
        )
        .optional("nmos", nmos_registration())
}

fn nmos_registration() -> Fields {
    object("Registration with an NMOS registry; absent when this process does not register.")
        .required(
            "mode",
            choice(
                &["mdns", "unicast", "static", "off"],
                "How registries are looked for.",
            ),
        )
        .required(
            "state",
            choice(
                &["off", "searching", "registering", "registered", "retrying"],
                "Where it stands.",
            ),
        )
        .nullable("registry", text("The registry that is used or tried."))
        .nullable(
            "last_heartbeat_age_secs",
            count(
                "Whole seconds since a registry last answered a heartbeat, or took the node, well.",
            ),
        )
        .nullable(
            "reason",
            text("Why the node is not registered, or not all of it."),
        )
        .required(
            "registries",
            list(
                found_registry(),
                "Those that this node may use, best first, then the others; 64 at most.",
            ),
        )
        .required(
            "refused",
            list(
                refused_resource(),
                "Resources that the registry does not take: the first 16 of them.",
            ),
        )
        .required("refused_total", count("How many it does not take."))
}

fn found_registry() -> Fields {
    object("A registry that is advertised or configured.")
        .required("name", text("Its name, and where it is."))
        .nullable(
            "priority",
            count("The lowest is the best; absent where it is not told."),
        )
        .required("taken", flag("Whether this node may use it."))
        .nullable(
            "why",
            text("Why it is not taken; or what went wrong with it since it was last of use."),
        )
}

fn refused_resource() -> Fields {
    object("A resource that the registry does not take.")
        .required(
            "type",
            choice(
                &["node", "device", "source", "flow", "sender", "receiver"],
                "What it is.",
            ),
        )
        .required("id", formatted("uuid", "Its id."))
        .required("code", count("Status of the registry's answer."))
}

fn flow_list() -> Fields {
    object("All flows.").required("flows", list(named("FlowSummary"), "The flows."))
}

fn flow_summary() -> Fields {
    object("A flow in short.")
        .required("id", text("Id."))
        .required("name", text("Name for people."))
        .required("enabled", flag("Whether it starts with the node."))
        .required("input_type", text("The configured type of its input."))
        .required("output_count", count("Number of its outputs."))
}

fn setup_status() -> Fields {
    object("What the setup page shows.")
        .required("listen_addr", formatted(IP_ADDRESS, "Address of the API."))
        .required(
            "listen_port",
            integer(1, u16::MAX.into(), "Port of the API."),
        )
        .nullable("manager_url", text("URL of the manager."))
        .required(
            "accept_self_signed_cert",
            flag("Whether any certificate of the manager is accepted."),
        )
        .required(
            "registration_token",
            nothing().description(Some("Never shown.")),
        )
        .nullable("device_name", text("Name for people."))
        .required("setup_enabled", flag("Whether the page is open."))
}

fn setup_request() -> Fields {
    let token = text_of(
        0,
        TOKEN_CHARS_MAX,
        "From the manager; absent or empty: it stays.",
    );
    object("What the setup page sends. What is absent stays as it is.")
        .optional("listen_addr", formatted(IP_ADDRESS, "Address of the API."))
        .optional(
            "listen_port",
            integer(1, u16::MAX.into(), "Port of the API."),
        )
        .required("manager_url", manager_url("URL of the manager."))
        .optional(
            "accept_self_signed_cert",
            with_default(
                flag("Legal with BILBYCAST_ALLOW_INSECURE=1 in the environment only."),
                false,
            ),
        )
        .optional("registration_token", secret(token))
        .optional(
            "device_name",
            text_of(0, NAME_CHARS_MAX, "Name for people; empty: none."),
        )
}

fn setup_saved() -> Fields {
    object("The setup is saved.")
        .required("success", flag("Always true.").enum_values(Some([true])))
        .required("message", text("What to do next."))
}

fn token_request() -> Fields {
    object("OAuth 2.0 client credentials.")
        .required("grant_type", choice(&["client_credentials"], "The grant."))
        .required("client_id", text("Registered client."))
        .required("client_secret", secret(text("Its secret.")))
}

fn token() -> Fields {
    object("A token.")
        .required("access_token", text("JWT, HS256."))
        .required("token_type", choice(&["bearer"], "Always bearer."))
        .required("expires_in", count("Lifetime in seconds."))
        .required("role", choice(&["admin", "monitor"], "What it allows."))
}

fn events() -> Fields {
    object("What happened.")
        .required("events", list(named("Event"), "Newest first."))
        .required("dropped", count("Events that are no longer kept."))
}

fn event() -> Fields {
    object("Something that happened.")
        .required("id", count("Rises strictly, over restarts too."))
        .required("timestamp", formatted("date-time", "RFC 3339."))
        .required(
            "severity",
            choice(&["critical", "info", "warning"], "How bad it is."),
        )
        .required("category", text("Part of the product."))
        .required("message", text("For people."))
        .optional("flow_id", text("The flow."))
        .optional("details", object("For programs."))
}
