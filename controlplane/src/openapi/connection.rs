//! NMOS: IS-05 v1.1.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::{Get, Patch, Post};

use super::nmos::uuid;
use super::operation::Operation;
use super::shape::{Fields, Shape, choice, flag, formatted, integer, list, named, object, text};

pub(super) fn schemas() -> Vec<(&'static str, Shape)> {
    vec![
        ("NmosActivation", activation().into()),
        ("NmosBulkEntry", bulk_entry().into()),
        (
            "NmosBulkRequest",
            list(named("NmosBulkEntry"), "What to stage and activate.").into(),
        ),
        ("NmosBulkResult", bulk_result().into()),
        ("NmosReceiverChange", change("sender_id").with(file).into()),
        (
            "NmosReceiverConnection",
            connection("sender_id").with(known_file).into(),
        ),
        ("NmosSenderChange", change("receiver_id").into()),
        ("NmosSenderConnection", connection("receiver_id").into()),
        ("NmosTransportFile", transport_file().into()),
    ]
}

pub(super) fn operations() -> Vec<Operation> {
    let names = |path, id, summary, example: Value| {
        let shape = list(text("A name and a slash."), "What is below.");
        Operation::of_nmos(Get, path, id, summary).returns_bare(shape, example)
    };
    let mut operations = vec![
        names(
            "/x-nmos/connection",
            "nmos_connection_versions",
            "Versions of the Connection API",
            json!(["v1.1/"]),
        ),
        names(
            "/x-nmos/connection/v1.1/",
            "nmos_connection_api",
            "The Connection API (IS-05)",
            json!(["bulk/", "single/"]),
        ),
        names(
            "/x-nmos/connection/v1.1/bulk/",
            "nmos_bulk",
            "What can be changed many at a time",
            json!(["senders/", "receivers/"]),
        ),
        names(
            "/x-nmos/connection/v1.1/single/",
            "nmos_single",
            "What can be changed one at a time",
            json!(["senders/", "receivers/"]),
        ),
        Operation::of_nmos(
            Get,
            "/x-nmos/connection/v1.1/single/senders/{id}/transportfile",
            "nmos_sender_transport_file",
            "SDP of a sender",
        )
        .returns_text("application/sdp", "SDP (RFC 8866)."),
    ];
    for side in [&SENDERS, &RECEIVERS] {
        operations.extend(side.operations());
    }
    operations
}

/// Paths and names of senders or of receivers.
struct Side {
    name: &'static str,
    bulk: (&'static str, &'static str),
    list: (&'static str, &'static str),
    one: (&'static str, &'static str),
    constraints: (&'static str, &'static str),
    staged: (&'static str, &'static str),
    change_id: &'static str,
    active: (&'static str, &'static str),
    transport_type: (&'static str, &'static str),
    connection: &'static str,
    change: &'static str,
    peer: &'static str,
    children: &'static [&'static str],
}

const SENDERS: Side = Side {
    name: "sender",
    bulk: (
        "/x-nmos/connection/v1.1/bulk/senders",
        "nmos_change_senders",
    ),
    list: (
        "/x-nmos/connection/v1.1/single/senders/",
        "nmos_connection_senders",
    ),
    one: (
        "/x-nmos/connection/v1.1/single/senders/{id}/",
        "nmos_connection_sender",
    ),
    constraints: (
        "/x-nmos/connection/v1.1/single/senders/{id}/constraints",
        "nmos_sender_constraints",
    ),
    staged: (
        "/x-nmos/connection/v1.1/single/senders/{id}/staged",
        "nmos_sender_staged",
    ),
    change_id: "nmos_change_sender",
    active: (
        "/x-nmos/connection/v1.1/single/senders/{id}/active",
        "nmos_sender_active",
    ),
    transport_type: (
        "/x-nmos/connection/v1.1/single/senders/{id}/transporttype",
        "nmos_sender_transport_type",
    ),
    connection: "NmosSenderConnection",
    change: "NmosSenderChange",
    peer: "receiver_id",
    children: &[
        "constraints/",
        "staged/",
        "active/",
        "transporttype/",
        "transportfile/",
    ],
};

const RECEIVERS: Side = Side {
    name: "receiver",
    bulk: (
        "/x-nmos/connection/v1.1/bulk/receivers",
        "nmos_change_receivers",
    ),
    list: (
        "/x-nmos/connection/v1.1/single/receivers/",
        "nmos_connection_receivers",
    ),
    one: (
        "/x-nmos/connection/v1.1/single/receivers/{id}/",
        "nmos_connection_receiver",
    ),
    constraints: (
        "/x-nmos/connection/v1.1/single/receivers/{id}/constraints",
        "nmos_receiver_constraints",
    ),
    staged: (
        "/x-nmos/connection/v1.1/single/receivers/{id}/staged",
        "nmos_receiver_staged",
    ),
    change_id: "nmos_change_receiver",
    active: (
        "/x-nmos/connection/v1.1/single/receivers/{id}/active",
        "nmos_receiver_active",
    ),
    transport_type: (
        "/x-nmos/connection/v1.1/single/receivers/{id}/transporttype",
        "nmos_receiver_transport_type",
    ),
    connection: "NmosReceiverConnection",
    change: "NmosReceiverChange",
    peer: "sender_id",
    children: &["constraints/", "staged/", "active/", "transporttype/"],
};

impl Side {
    fn operations(&self) -> Vec<Operation> {
        let name = self.name;
        let get = |(path, id), summary: String| Operation::of_nmos(Get, path, id, &summary);
        let id = "5c1d3d3a-54c3-5f1e-a3a4-9b0d8a7c2e10";
        let connection = || named(self.connection);
        let names = || list(text("A name and a slash."), "What is below.");
        let (bulk, bulk_id) = self.bulk;
        let (staged, _) = self.staged;
        vec![
            get(self.list, format!("All {name}s of RTP"))
                .returns_bare(names(), json!([format!("{id}/")])),
            get(self.one, format!("What there is of a {name}"))
                .returns_bare(names(), json!(self.children)),
            get(
                self.constraints,
                format!("What the parameters of a {name} may be"),
            )
            .returns_bare(
                list(object("Constraints by the name of the parameter."), "Leg 1 first."),
                json!([{"destination_port": {"minimum": 1024, "maximum": 65531}}]),
            ),
            get(self.staged, format!("What is staged for a {name}"))
                .returns_bare(connection(), self.example(json!(null))),
            Operation::of_nmos(Patch, staged, self.change_id, &format!("Stage and activate a {name}"))
                .describe("An activation is a change of the flow: it is in force and saved, or nothing has changed.")
                .takes(self.change, json!({"master_enable": true, "activation": {"mode": "activate_immediate"}}))
                .returns_bare(connection(), self.example(json!("activate_immediate")))
                .returns_with(
                    202,
                    "An activation is scheduled.",
                    connection(),
                    self.example(json!("activate_scheduled_absolute")),
                )
                .fails(400, "Malformed or not legal; the text names field and value.")
                .fails(423, "An activation is scheduled, which locks what is staged.")
                .fails(500, "It could not be carried out; nothing has changed."),
            get(self.active, format!("What is active of a {name}"))
                .returns_bare(connection(), self.example(json!("activate_immediate"))),
            get(self.transport_type, format!("Transport of a {name}")).returns_bare(
                choice(&["urn:x-nmos:transport:rtp"], "URN of the transport."),
                json!("urn:x-nmos:transport:rtp"),
            ),
            Operation::of_nmos(Post, bulk, bulk_id, &format!("Stage and activate {name}s"))
                .takes("NmosBulkRequest", json!([{"id": id, "params": {"master_enable": true}}]))
                .returns_bare(
                    list(named("NmosBulkResult"), "One for each entry, in its order."),
                    json!([{"id": id, "code": 200}]),
                )
                .fails(400, "It is no list of entries."),
        ]
    }

    fn example(&self, mode: Value) -> Value {
        let time = (!mode.is_null()).then_some("1700000037:0");
        let requested = time.filter(|_| mode != "activate_immediate");
        let mut example = json!({
            self.peer: null,
            "master_enable": true,
            "activation": {"mode": mode, "requested_time": requested, "activation_time": time},
            "transport_params": [{"destination_port": 5004, "rtp_enabled": true}],
        });
        if self.peer == "sender_id" {
            example["transport_file"] = json!({"data": null, "type": null});
        }
        example
    }
}

fn activation() -> Fields {
    let modes = [
        "activate_immediate",
        "activate_scheduled_absolute",
        "activate_scheduled_relative",
    ];
    object("When what is staged becomes active.")
        .nullable(
            "mode",
            choice(&modes, "How; null cancels what is scheduled."),
        )
        .optional(
            "requested_time",
            text("TAI, or an offset, in seconds and nanoseconds."),
        )
        .optional(
            "activation_time",
            text("TAI at which it happened or will happen; never sent."),
        )
}

fn change(peer: &str) -> Fields {
    object("What to stage; what is absent stays as it is.")
        .optional(peer, uuid("The other end."))
        .optional("master_enable", flag("Whether it is switched on."))
        .optional("activation", named("NmosActivation"))
        .optional("transport_params", parameters())
}

fn connection(peer: &str) -> Fields {
    object("What is staged or active.")
        .nullable(peer, uuid("The other end."))
        .required("master_enable", flag("Whether it is switched on."))
        .required("activation", named("NmosActivation"))
        .required("transport_params", parameters())
}

fn parameters() -> Shape {
    let leg = object("Parameters of IS-05 for RTP, by their names.");
    list(leg, "Leg 1, and leg 2 of ST 2022-7.").into()
}

fn file(fields: Fields) -> Fields {
    fields.optional("transport_file", named("NmosTransportFile"))
}

fn known_file(fields: Fields) -> Fields {
    fields.required("transport_file", named("NmosTransportFile"))
}

fn transport_file() -> Fields {
    object("A description of a stream; both fields are texts, or both are null.")
        .nullable("data", text("SDP."))
        .nullable("type", choice(&["application/sdp"], "Its media type."))
}

fn bulk_entry() -> Fields {
    object("One sender or receiver.")
        .required("id", formatted("uuid", "Which one."))
        .required("params", object("As for a single one."))
}

fn bulk_result() -> Fields {
    object("What came of one entry.")
        .required("id", formatted("uuid", "Which one."))
        .required(
            "code",
            integer(200, 599, "The status that it would have had alone."),
        )
        .optional("error", text("Why it failed."))
        .optional("debug", text("More, for programmers."))
}
