//! The node and its one device.

use std::fs;

use serde_json::{Value, json};
use uuid::Uuid;

use super::flow::{Draft, core};
use super::{Endpoint, Interface, ResourceType, Subject, base_url};
use crate::config::AppConfig;

/// The name of the node's clock, which follows nothing.
pub(super) const CLOCK: &str = "clk0";

pub(super) fn node(config: &AppConfig, endpoints: &[Endpoint], interfaces: &[&Interface]) -> Draft {
    let host = host_name();
    let description = format!("bilbycast-edge {}", env!("CARGO_PKG_VERSION"));
    let mut json = core(config.node_id, &label(config, host.as_deref()), description);
    json["tags"] = asset_tags(config.node_id);
    json["href"] = json!(format!("{}/", base_url(endpoints)));
    if let Some(host) = host {
        json["hostname"] = json!(host);
    }
    json["caps"] = json!({});
    json["api"] = json!({
        "versions": ["v1.3"],
        "endpoints": endpoints.iter().map(Endpoint::json).collect::<Vec<_>>(),
    });
    json["services"] = json!([]);
    json["clocks"] = json!([{"name": CLOCK, "ref_type": "internal"}]);
    json["interfaces"] = interfaces
        .iter()
        .map(|interface| interface.json())
        .collect();
    draft(ResourceType::Node, config.node_id, json)
}

pub(super) fn device(
    config: &AppConfig,
    id: Uuid,
    endpoints: &[Endpoint],
    senders: impl Iterator<Item = Uuid>,
    receivers: impl Iterator<Item = Uuid>,
) -> Draft {
    let description = "Gateway of MPEG transport streams".to_owned();
    let mut json = core(id, &label(config, host_name().as_deref()), description);
    json["tags"] = asset_tags(config.node_id);
    json["tags"]["urn:x-nmos:tag:asset:function/v1.0"] = json!(["IP Media Gateway"]);
    json["type"] = json!("urn:x-nmos:device:generic");
    json["node_id"] = json!(config.node_id);
    json["senders"] = senders.map(|id| json!(id)).collect();
    json["receivers"] = receivers.map(|id| json!(id)).collect();
    json["controls"] = endpoints.iter().map(control).collect();
    draft(ResourceType::Device, id, json)
}

fn draft(kind: ResourceType, id: Uuid, json: Value) -> Draft {
    Draft {
        kind,
        id,
        json,
        subject: Subject::Node,
        unseen: Value::Null,
    }
}

fn control(endpoint: &Endpoint) -> Value {
    json!({
        "type": "urn:x-nmos:control:sr-ctrl/v1.1",
        "href": format!("{}/x-nmos/connection/v1.1/", endpoint.base_url()),
        "authorization": false,
    })
}

/// BCP-002-02.
fn asset_tags(node_id: Uuid) -> Value {
    json!({
        "urn:x-nmos:tag:asset:manufacturer/v1.0": ["bilbycast"],
        "urn:x-nmos:tag:asset:product/v1.0": ["bilbycast-edge"],
        "urn:x-nmos:tag:asset:instance-id/v1.0": [node_id],
    })
}

fn label(config: &AppConfig, host: Option<&str>) -> String {
    let name = config.device_name.as_deref().or(host);
    name.unwrap_or("bilbycast-edge").to_owned()
}

/// The host's name, if it is one that DNS could have.
fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_owned())
}
