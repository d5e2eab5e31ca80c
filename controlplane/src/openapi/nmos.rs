//! NMOS: IS-04 v1.3.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::{Get, Put};

use super::operation::Operation;
use super::shape::{
    Fields, Shape, choice, count, flag, formatted, integer, list, named, object, text,
};

pub(super) fn schemas() -> Vec<(&'static str, Shape)> {
    vec![
        ("NmosDevice", device().into()),
        ("NmosError", error().into()),
        ("NmosFlow", flow().into()),
        ("NmosNode", node().into()),
        ("NmosReceiver", receiver().into()),
        ("NmosSender", sender().into()),
        ("NmosTarget", target().into()),
        ("NmosSource", source().into()),
    ]
}

pub(super) fn operations() -> Vec<Operation> {
    let names = |path, id, summary, example: Value| {
        let shape = list(text("A name and a slash."), "What is below.");
        Operation::of_nmos(Get, path, id, summary).returns_bare(shape, example)
    };
    let mut operations = vec![
        names(
            "/x-nmos",
            "nmos_apis",
            "The NMOS APIs",
            json!(["node/", "connection/"]),
        ),
        names(
            "/x-nmos/node",
            "nmos_node_versions",
            "Versions of the Node API",
            json!(["v1.3/"]),
        ),
        names(
            "/x-nmos/node/v1.3/",
            "nmos_node_api",
            "The Node API (IS-04)",
            json!([
                "self/",
                "sources/",
                "flows/",
                "devices/",
                "senders/",
                "receivers/"
            ]),
        ),
        Operation::of_nmos(Get, "/x-nmos/node/v1.3/self", "nmos_self", "The node")
            .returns_bare(named("NmosNode"), example(Kind::Node)),
        Operation::of_nmos(
            Put,
            "/x-nmos/node/v1.3/receivers/{id}/target",
            "nmos_receiver_target",
            "Connect a receiver, the old way",
        )
        .describe(
            "The SDP of the sender is fetched and activated at once, as a PATCH of the Connection API with it would do.",
        )
        .takes("NmosTarget", target_example())
        .returns_with(
            202,
            "Connected; the request is repeated.",
            named("NmosTarget"),
            target_example(),
        )
        .fails(400, "Not legal; the text names the field and the rule.")
        .fails(423, "An activation is scheduled.")
        .fails(500, "It could not be carried out, and nothing has changed.")
        .fails(
            501,
            "The receiver or the sender is not one of RTP, the sender's SDP names no MPEG transport stream, or the object is empty: \
             PATCH disconnects.",
        )
        .fails(502, "The sender's SDP could not be fetched."),
    ];
    for kind in KINDS {
        let (all, one, id, component) = kind.names();
        let item = named(component);
        operations.push(
            Operation::of_nmos(Get, all, id, &format!("All {id}").replace("nmos_", ""))
                .returns_bare(list(item, "All of them."), json!([example(kind)])),
        );
        let id = id.trim_end_matches('s');
        operations.push(
            Operation::of_nmos(Get, one, id, &format!("One {id}").replace("nmos_", ""))
                .returns_bare(named(component), example(kind)),
        );
    }
    operations
}

#[derive(Clone, Copy)]
enum Kind {
    Device,
    Flow,
    Node,
    Receiver,
    Sender,
    Source,
}

const KINDS: [Kind; 5] = [
    Kind::Source,
    Kind::Flow,
    Kind::Device,
    Kind::Sender,
    Kind::Receiver,
];

impl Kind {
    /// Path of all and of one, name of the operation and of the component.
    const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Device => (
                "/x-nmos/node/v1.3/devices/",
                "/x-nmos/node/v1.3/devices/{id}",
                "nmos_devices",
                "NmosDevice",
            ),
            Self::Flow => (
                "/x-nmos/node/v1.3/flows/",
                "/x-nmos/node/v1.3/flows/{id}",
                "nmos_flows",
                "NmosFlow",
            ),
            Self::Node => (
                "/x-nmos/node/v1.3/self",
                "/x-nmos/node/v1.3/self",
                "nmos_self",
                "NmosNode",
            ),
            Self::Receiver => (
                "/x-nmos/node/v1.3/receivers/",
                "/x-nmos/node/v1.3/receivers/{id}",
                "nmos_receivers",
                "NmosReceiver",
            ),
            Self::Sender => (
                "/x-nmos/node/v1.3/senders/",
                "/x-nmos/node/v1.3/senders/{id}",
                "nmos_senders",
                "NmosSender",
            ),
            Self::Source => (
                "/x-nmos/node/v1.3/sources/",
                "/x-nmos/node/v1.3/sources/{id}",
                "nmos_sources",
                "NmosSource",
            ),
        }
    }
}

/// An id of NMOS.
pub(super) fn uuid(description: &str) -> Shape {
    formatted("uuid", description).into()
}

fn error() -> Fields {
    object("Why a request to NMOS failed.")
        .required("code", integer(400, 599, "The HTTP status."))
        .required("error", text("The reason, for people."))
        .nullable("debug", text("More, for programmers."))
}

fn resource(description: &str) -> Fields {
    object(description)
        .required("id", uuid("Id, the same after every restart."))
        .required(
            "version",
            text("TAI in seconds and nanoseconds; rises with every change."),
        )
        .required("label", text("Name for people."))
        .required("description", text("More, for people."))
        .required("tags", object("Lists of texts, by the name of the tag."))
}

fn node() -> Fields {
    let endpoint = object("A way to the APIs.")
        .required("host", text("Name or address."))
        .required("port", integer(1, u16::MAX.into(), "TCP port."))
        .required("protocol", choice(&["http", "https"], "Protocol."))
        .required("authorization", flag("Always false."));
    let api = object("How the Node API is reached.")
        .required("versions", list(text("A version."), "Versions."))
        .required("endpoints", list(endpoint, "All ways."));
    let clock = object("A clock.")
        .required("name", text("Its name."))
        .required("ref_type", choice(&["internal"], "What it follows."));
    let interface = object("A network interface.")
        .required("name", text("Its name."))
        .nullable("chassis_id", text("Always null: no LLDP is sent."))
        .required("port_id", text("Its hardware address."));
    resource("The node.")
        .required("href", formatted("uri", "Where it is found."))
        .optional("hostname", text("Name of the host."))
        .required("caps", object("Empty."))
        .required("api", api)
        .required("services", list(object("A service."), "None."))
        .required("clocks", list(clock, "Its clocks."))
        .required("interfaces", list(interface, "Its network interfaces."))
}

fn device() -> Fields {
    let control = object("A way to control it.")
        .required("type", text("Kind of the control."))
        .required("href", formatted("uri", "Where it is found."))
        .required("authorization", flag("Always false."));
    resource("The device.")
        .required("type", text("Kind of the device."))
        .required("node_id", uuid("Its node."))
        .required("senders", list(uuid("A sender."), "Its senders."))
        .required("receivers", list(uuid("A receiver."), "Its receivers."))
        .required("controls", list(control, "Ways to control it."))
}

fn source() -> Fields {
    resource("Where a flow comes from.")
        .required("format", text("Always a multiplex."))
        .required("caps", object("Empty."))
        .required("device_id", uuid("Its device."))
        .required("parents", list(uuid("A source."), "None."))
        .nullable("clock_name", text("Its clock."))
        .required("grain_rate", grain_rate())
}

fn flow() -> Fields {
    resource("What a flow carries.")
        .required("format", text("Always a multiplex."))
        .required("media_type", choice(&["video/MP2T"], "IANA media type."))
        .required("source_id", uuid("Its source."))
        .required("device_id", uuid("Its device."))
        .required("parents", list(uuid("A flow."), "None."))
        .required("grain_rate", grain_rate())
        .optional(
            "bit_rate",
            count("Of the multiplex, in coarse steps of kbit/s."),
        )
}

fn sender() -> Fields {
    let subscription = object("Whether it sends, and to whom.")
        .nullable(
            "receiver_id",
            uuid("The receiver that an activation named, if unicast."),
        )
        .required("active", flag("Whether it is enabled and its flow runs."));
    resource("An output.")
        .required("caps", object("Empty."))
        .nullable("flow_id", uuid("What it sends."))
        .required("transport", text("URN of the transport."))
        .required("device_id", uuid("Its device."))
        .nullable(
            "manifest_href",
            formatted("uri", "Its SDP; null unless it sends RTP."),
        )
        .required(
            "interface_bindings",
            list(text("A network interface."), "One for each leg."),
        )
        .required("subscription", subscription)
        .required("bit_rate", count("Headers included, in kbit/s."))
}

fn target_example() -> Value {
    let sender = example(Kind::Sender);
    let fields = ["id", "transport", "manifest_href"];
    let fields = fields.map(|field| (field.to_owned(), sender[field].clone()));
    Value::Object(fields.into_iter().collect())
}

fn target() -> Fields {
    object("The sender to connect a receiver with. Other fields of a sender are ignored.")
        .optional("id", uuid("Its id."))
        .optional("transport", text("URN of its transport: RTP."))
        .optional(
            "manifest_href",
            formatted(
                "uri",
                "Its SDP, by http or https; at most 64 KiB, within 2 s.",
            ),
        )
}

fn receiver() -> Fields {
    let subscription = object("Whether it receives, and from whom.")
        .nullable("sender_id", uuid("The sender that an activation named."))
        .required("active", flag("Whether it is enabled and its flow runs."));
    let caps = object("What it can receive.")
        .required("media_types", list(text("A media type."), "Media types."))
        .required("version", text("As that of the resource."))
        .required(
            "constraint_sets",
            list(object("Constraints by the name."), "BCP-004-01."),
        );
    resource("An input.")
        .required("format", text("Always a multiplex."))
        .required("caps", caps)
        .required("transport", text("URN of the transport."))
        .required("device_id", uuid("Its device."))
        .required(
            "interface_bindings",
            list(text("A network interface."), "One for each leg."),
        )
        .required("subscription", subscription)
}

fn grain_rate() -> Fields {
    object("Pictures in a second.")
        .required("numerator", count("Numerator."))
        .required("denominator", count("Denominator."))
}

fn example(kind: Kind) -> Value {
    let (device, source, flow) = (
        "86bcb3b4-8f1b-5a57-a7f3-3c8a8a3a1c5f",
        "0f6f2b8c-3d3c-5a3b-9a53-52a1f1d8a9b1",
        "e0d5a9a2-7f09-5a0c-8c8e-0f4d0a2c7b11",
    );
    let bindings = json!(["eth0"]);
    let grain_rate = json!({"numerator": 25, "denominator": 1});
    let mut example = match kind {
        Kind::Device => json!({
            "id": device, "type": "urn:x-nmos:device:generic", "node_id": "6d5a4c3b-0000-4000-8000-000000000001",
            "senders": ["5c1d3d3a-54c3-5f1e-a3a4-9b0d8a7c2e10"], "receivers": [],
            "controls": [{"type": "urn:x-nmos:control:sr-ctrl/v1.1", "authorization": false,
                "href": "http://192.0.2.1:8080/x-nmos/connection/v1.1/"}],
        }),
        Kind::Flow => json!({
            "id": flow, "format": "urn:x-nmos:format:mux", "media_type": "video/MP2T", "source_id": source,
            "device_id": device, "parents": [], "grain_rate": grain_rate, "bit_rate": 10_000,
        }),
        Kind::Node => json!({
            "id": "6d5a4c3b-0000-4000-8000-000000000001", "href": "http://192.0.2.1:8080/", "hostname": "edge-1",
            "caps": {}, "services": [], "clocks": [{"name": "clk0", "ref_type": "internal"}],
            "api": {"versions": ["v1.3"], "endpoints": [
                {"host": "192.0.2.1", "port": 8080, "protocol": "http", "authorization": false}]},
            "interfaces": [{"name": "eth0", "chassis_id": null, "port_id": "02-00-00-00-00-01"}],
        }),
        Kind::Receiver => json!({
            "id": "b1c0a1fe-6a0f-5c9e-8d0c-2a6e4b1f7d33", "format": "urn:x-nmos:format:mux",
            "caps": {"media_types": ["video/MP2T"], "version": "1700000037:0", "constraint_sets": [
                {"urn:x-nmos:cap:format:media_type": {"enum": ["video/MP2T"]}}]},
            "transport": "urn:x-nmos:transport:rtp", "device_id": device, "interface_bindings": bindings,
            "subscription": {"sender_id": null, "active": true},
        }),
        Kind::Sender => json!({
            "id": "5c1d3d3a-54c3-5f1e-a3a4-9b0d8a7c2e10", "caps": {}, "flow_id": flow,
            "transport": "urn:x-nmos:transport:rtp", "device_id": device, "manifest_href": null,
            "interface_bindings": bindings, "subscription": {"receiver_id": null, "active": true},
            "bit_rate": 10_400,
        }),
        Kind::Source => json!({
            "id": source, "format": "urn:x-nmos:format:mux", "caps": {}, "device_id": device, "parents": [],
            "clock_name": "clk0", "grain_rate": grain_rate,
        }),
    };
    example["version"] = json!("1700000037:0");
    example["label"] = json!("Main feed");
    example["description"] = json!("Flow main-feed");
    example["tags"] = json!({});
    example
}
