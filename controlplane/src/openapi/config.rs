//! The configuration (configuration.md 2 to 4 and 14.1).

use bilbycast_shm_proto::model::{ID_CHARS_MAX, OUTPUTS_PER_FLOW_MAX};
use utoipa::openapi::schema::ObjectBuilder;

use super::shape::{
    Fields, IP_ADDRESS, SOCKET_ADDRESS, Shape, choice, count, flag, formatted, integer, list,
    named, number, object, secret, text, text_of, with_default,
};
use crate::config::{FLOWS_MAX, LISTEN_PORT_DEFAULT, VERSION};
use crate::setup::{NAME_CHARS_MAX, TOKEN_CHARS_MAX, URL_CHARS_MAX};

pub(super) fn schemas() -> Vec<(&'static str, Shape)> {
    vec![
        ("AppConfig", app().into()),
        ("AuthClient", auth_client().into()),
        ("AuthConfig", auth().into()),
        ("BandwidthLimit", bandwidth_limit().into()),
        ("FlowConfig", flow().into()),
        ("ManagerConfig", manager().into()),
        ("MonitorConfig", listener("The status page.").into()),
        ("NmosConfig", nmos().into()),
        ("NmosRegistration", nmos_registration().into()),
        ("ServerConfig", server().into()),
        ("TlsConfig", tls().into()),
        ("TunnelConfig", tunnel().into()),
    ]
}

/// Id of a flow or an output.
pub(super) fn id(description: &str) -> ObjectBuilder {
    text_of(1, ID_CHARS_MAX, description)
}

/// Name for people.
pub(super) fn name() -> ObjectBuilder {
    text_of(1, NAME_CHARS_MAX, "Name for people.")
}

fn app() -> Fields {
    let version = i64::from(VERSION);
    object(
        "The whole configuration. What never leaves the node (server.auth, server.tls, secrets of \
         the manager link and of tunnels) is absent from answers; absent from a body it stays as \
         it is, and null removes it.",
    )
    .required(
        "version",
        integer(version, version, "Version of this schema."),
    )
    .optional(
        "node_id",
        formatted("uuid", "Identity of the node; absent: it stays."),
    )
    .optional(
        "device_name",
        text_of(0, NAME_CHARS_MAX, "Name for people."),
    )
    .optional(
        "setup_enabled",
        with_default(flag("Whether /setup is open."), true),
    )
    .required("server", named("ServerConfig"))
    .optional("monitor", named("MonitorConfig"))
    .optional("manager", named("ManagerConfig"))
    .optional("nmos", named("NmosConfig"))
    .optional(
        "flows",
        list(named("FlowConfig"), "The flows; ids are unique.").max_items(Some(FLOWS_MAX)),
    )
    .optional(
        "tunnels",
        list(named("TunnelConfig"), "IP tunnels; ids are unique.").max_items(Some(1_024)),
    )
}

fn listener(description: &str) -> Fields {
    object(description)
        .required(
            "listen_addr",
            formatted(IP_ADDRESS, "Address to listen on."),
        )
        .required("listen_port", port())
}

fn port() -> ObjectBuilder {
    let port = integer(1, u16::MAX.into(), "Port to listen on.");
    port.examples([LISTEN_PORT_DEFAULT])
}

fn server() -> Fields {
    listener("The API listener. Changes take effect at the next start of the control plane.")
        .optional("tls", named("TlsConfig"))
        .optional("auth", named("AuthConfig"))
}

fn tls() -> Fields {
    object("HTTPS. Never returned.")
        .required(
            "cert_path",
            text_of(1, 4_096, "File of the certificate chain, PEM."),
        )
        .required(
            "key_path",
            text_of(1, 4_096, "File of the private key, PEM."),
        )
}

fn auth() -> Fields {
    object("Authentication. Never returned.")
        .required("enabled", flag("False: everybody acts as admin."))
        .optional(
            "jwt_secret",
            secret(text_of(
                0,
                TOKEN_CHARS_MAX,
                "Key of the tokens, 32 characters or more; needed when enabled.",
            )),
        )
        .optional(
            "token_lifetime_secs",
            with_default(
                integer(1, 31_536_000, "Lifetime of a token in seconds."),
                3_600,
            ),
        )
        .optional(
            "public_metrics",
            with_default(flag("Whether /metrics needs no token."), true),
        )
        .optional(
            "token_rate_limit_per_minute",
            with_default(
                count("Failed token requests of one address in a minute; 0: any number."),
                10,
            ),
        )
        .optional(
            "clients",
            list(named("AuthClient"), "At least one when enabled.").max_items(Some(1_024)),
        )
}

fn auth_client() -> Fields {
    object("Somebody who may ask for a token.")
        .required("client_id", text_of(1, NAME_CHARS_MAX, "Unique."))
        .required(
            "client_secret",
            secret(text_of(1, TOKEN_CHARS_MAX, "Secret.")),
        )
        .required(
            "role",
            choice(&["admin", "monitor"], "What the tokens allow."),
        )
}

fn manager() -> Fields {
    let token = text_of(
        1,
        TOKEN_CHARS_MAX,
        "Used once, then cleared. Never returned.",
    );
    let node_secret = text_of(
        1,
        TOKEN_CHARS_MAX,
        "Assigned by the manager. Never returned.",
    );
    object("The link to the manager.")
        .optional(
            "enabled",
            with_default(flag("Whether the node connects."), false),
        )
        .optional("url", manager_url("Needed when enabled."))
        .optional(
            "accept_self_signed_cert",
            with_default(
                flag("Legal with BILBYCAST_ALLOW_INSECURE=1 in the environment only."),
                false,
            ),
        )
        .optional(
            "cert_fingerprint",
            text("SHA-256 of the manager's certificate, hex digits with colons.")
                .pattern(Some("^([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$")),
        )
        .optional("registration_token", secret(token))
        .optional(
            "node_id",
            text_of(1, NAME_CHARS_MAX, "Assigned by the manager."),
        )
        .optional("node_secret", secret(node_secret))
}

/// URL of a manager.
pub(super) fn manager_url(description: &str) -> ObjectBuilder {
    text_of(0, URL_CHARS_MAX, description).pattern(Some("^wss://."))
}

fn nmos() -> Fields {
    object("NMOS IS-04 and IS-05.")
        .optional(
            "enabled",
            with_default(flag("Whether NMOS is served and announced."), true),
        )
        .optional("registration", named("NmosRegistration"))
        .optional(
            "interfaces",
            list(
                text_of(1, 15, "Name of a network interface."),
                "For mDNS and the node resource.",
            ),
        )
        .optional(
            "host",
            text_of(1, 253, "Name or address in every endpoint."),
        )
        .optional(
            "rtp_payload_type",
            with_default(
                integer(
                    0,
                    127,
                    "Payload type of transport streams that this node wraps in RTP.",
                ),
                33,
            ),
        )
        .optional(
            "require_auth",
            with_default(flag("Whether NMOS routes need a token."), false),
        )
}

fn nmos_registration() -> Fields {
    object("How a registry is found.")
        .optional(
            "mode",
            with_default(
                choice(&["mdns", "off", "static", "unicast"], "How."),
                "mdns",
            ),
        )
        .optional("domain", text_of(1, 253, "DNS domain of mode unicast."))
        .optional(
            "dns_server",
            formatted(SOCKET_ADDRESS, "DNS server of mode unicast."),
        )
        .optional(
            "url",
            text_of(1, URL_CHARS_MAX, "Registration API of mode static.")
                .pattern(Some("^https?://.")),
        )
}

fn flow() -> Fields {
    object("A flow: one input, any number of outputs.")
        .required(
            "id",
            id("Unique on the node. In a PUT the path outranks it."),
        )
        .required("name", name())
        .optional(
            "enabled",
            with_default(
                flag("Whether it starts with the node and on creation."),
                true,
            ),
        )
        .optional(
            "media_analysis",
            with_default(flag("Whether its content is analysed."), true),
        )
        .optional("bandwidth_limit", named("BandwidthLimit"))
        .required("input", named("InputConfig"))
        .required(
            "outputs",
            list(named("OutputConfig"), "Ids are unique within the flow.")
                .max_items(Some(OUTPUTS_PER_FLOW_MAX)),
        )
}

fn bandwidth_limit() -> Fields {
    object("What happens when a flow carries more than was agreed.")
        .required(
            "max_bitrate_mbps",
            number(0.000_001, 10_000.0, "Limit in Mb/s."),
        )
        .required(
            "action",
            choice(
                &["alarm", "block"],
                "Tell people, or forward nothing until less arrives.",
            ),
        )
        .optional(
            "grace_period_secs",
            with_default(
                integer(1, 60, "Seconds in a row that the limit has to be exceeded."),
                5,
            ),
        )
}

fn tunnel() -> Fields {
    let key = |description| secret(text(description).pattern(Some("^[0-9A-Fa-f]{64}$")));
    object("An IP tunnel. Its secrets are never returned.")
        .required("id", formatted("uuid", "Identical on both ends."))
        .required("name", name())
        .optional(
            "enabled",
            with_default(flag("Whether it starts with the node."), true),
        )
        .required("protocol", choice(&["tcp", "udp"], "What it carries."))
        .required(
            "mode",
            choice(&["direct", "relay"], "Whether a relay is between the ends."),
        )
        .required(
            "direction",
            choice(
                &["egress", "ingress"],
                "Whether it takes from local_addr or delivers there.",
            ),
        )
        .required("local_addr", formatted(SOCKET_ADDRESS, "Local end."))
        .optional(
            "relay_addr",
            text_of(1, URL_CHARS_MAX, "Relay, host:port; needed in mode relay."),
        )
        .optional(
            "tunnel_encryption_key",
            key("64 hex digits; needed in mode relay."),
        )
        .optional("tunnel_bind_secret", key("64 hex digits."))
        .optional(
            "peer_addr",
            text_of(
                0,
                URL_CHARS_MAX,
                "Far end, host:port; needed in mode direct, egress.",
            ),
        )
        .optional(
            "direct_listen_addr",
            formatted(SOCKET_ADDRESS, "Needed in mode direct, ingress."),
        )
        .optional("tunnel_psk", key("64 hex digits."))
        .optional(
            "tls_cert_pem",
            secret(text("Certificate of the direct listener.")),
        )
        .optional("tls_key_pem", secret(text("Its key.")))
}
