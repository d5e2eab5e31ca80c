//! The resources of IS-04 v1.3, from the running configuration and what is measured (nmos.md 3).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::tai::Tai;
use crate::config::AppConfig;

mod builder;
mod device;
mod endpoints;
mod facts;
mod flow;
mod ids;
mod interfaces;
mod rate;
#[cfg(test)]
mod tests;

pub use endpoints::{Endpoint, Listening};
pub use ids::{device_id, flow_id, receiver_id, sender_id, source_id};
pub(crate) use interfaces::local_address_towards;
pub use interfaces::{Interface, Interfaces};

pub(super) use builder::Builder;

/// Kinds of resources, in the order in which they are registered.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ResourceType {
    /// This process.
    Node,
    /// The one device of the node.
    Device,
    /// Where a flow's content comes from.
    Source,
    /// A flow's content.
    Flow,
    /// An output.
    Sender,
    /// An input.
    Receiver,
}

/// A resource at one of its versions. It never changes: a newer version is another one.
#[derive(Debug)]
pub struct Resource {
    kind: ResourceType,
    id: Uuid,
    version: Tai,
    json: Value,
    subject: Subject,
    /// What moves the version besides `json`: where a sender sends stands in its transport file alone.
    unseen: Value,
}

/// What of the configuration a resource stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The node or its device.
    Node,
    /// A flow, as source or as flow.
    Flow {
        /// Its id in the configuration.
        flow_id: String,
    },
    /// An output.
    Sender(SenderKey),
    /// An input.
    Receiver(ReceiverKey),
}

/// Which output a sender is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SenderKey {
    /// Id of the flow in the configuration.
    pub flow_id: String,
    /// Id of the output in it.
    pub output_id: String,
    /// 1, or 2 with ST 2022-7.
    pub legs: usize,
    /// Whether it sends RTP; only then IS-05 knows it (nmos.md 8).
    pub is_rtp: bool,
}

/// Which input a receiver is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceiverKey {
    /// Id of the flow in the configuration.
    pub flow_id: String,
    /// 1, or 2 with ST 2022-7.
    pub legs: usize,
    /// Whether it receives RTP; only then IS-05 knows it (nmos.md 8).
    pub is_rtp: bool,
}

/// All resources at one moment.
#[derive(Debug)]
pub struct Model {
    config: Arc<AppConfig>,
    /// By kind in the order of registration, within a kind in the order of the configuration.
    resources: Vec<Arc<Resource>>,
    ranges: [Range<usize>; ResourceType::ALL.len()],
    index: HashMap<Uuid, usize>,
    counters: [u8; ResourceType::ALL.len()],
    endpoints: Vec<Endpoint>,
    interfaces: Arc<Interfaces>,
}

impl ResourceType {
    /// All kinds, in the order in which they are registered.
    pub const ALL: [Self; 6] = [
        Self::Node,
        Self::Device,
        Self::Source,
        Self::Flow,
        Self::Sender,
        Self::Receiver,
    ];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As the Registration API names it.
    #[must_use]
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Device => "device",
            Self::Source => "source",
            Self::Flow => "flow",
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        }
    }

    /// As paths name it.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Node => "nodes",
            Self::Device => "devices",
            Self::Source => "sources",
            Self::Flow => "flows",
            Self::Sender => "senders",
            Self::Receiver => "receivers",
        }
    }
}

impl Resource {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ResourceType {
        self.kind
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Its version, later than all before it.
    #[must_use]
    pub const fn version(&self) -> Tai {
        self.version
    }

    /// What the Node API and the registry are told, the version included.
    #[must_use]
    pub const fn json(&self) -> &Value {
        &self.json
    }

    /// What it stands for.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Its name for people.
    #[must_use]
    pub fn label(&self) -> &str {
        self.json["label"].as_str().unwrap_or_default()
    }

    /// Whether a sender or a receiver is enabled and its flow runs: `subscription.active`.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.json["subscription"]["active"] == true
    }

    /// Name of the network interface of a sender's or a receiver's leg, counted from 0.
    #[must_use]
    pub fn interface(&self, leg: usize) -> Option<&str> {
        self.json["interface_bindings"].get(leg)?.as_str()
    }

    /// Payload type of the packets of an RTP sender.
    #[must_use]
    pub fn payload_type(&self) -> Option<u8> {
        let payload_type = self.unseen.get(flow::PAYLOAD_TYPE)?.as_u64()?;
        u8::try_from(payload_type).ok()
    }

    /// Id of the flow in the configuration that it belongs to.
    fn flow_id(&self) -> Option<&str> {
        match &self.subject {
            Subject::Node => None,
            Subject::Flow { flow_id }
            | Subject::Receiver(ReceiverKey { flow_id, .. })
            | Subject::Sender(SenderKey { flow_id, .. }) => Some(flow_id),
        }
    }
}

impl Model {
    /// The configuration that it was made from.
    #[must_use]
    pub const fn config(&self) -> &Arc<AppConfig> {
        &self.config
    }

    /// All resources, in the order in which they are registered.
    #[must_use]
    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// All resources of one kind, in the order of the configuration.
    #[must_use]
    pub fn of_kind(&self, kind: ResourceType) -> &[Arc<Resource>] {
        &self.resources[self.ranges[kind.index()].clone()]
    }

    /// The node itself.
    #[must_use]
    pub fn node(&self) -> &Arc<Resource> {
        self.of_kind(ResourceType::Node)
            .first()
            .expect("every model is built with a node")
    }

    /// The resource of this kind with this id.
    #[must_use]
    pub fn get(&self, kind: ResourceType, id: Uuid) -> Option<&Arc<Resource>> {
        let resource = &self.resources[*self.index.get(&id)?];
        (resource.kind == kind).then_some(resource)
    }

    /// The output that the RTP sender with this id is; `None` also for senders that IS-05 does not know.
    #[must_use]
    pub fn sender(&self, id: Uuid) -> Option<&SenderKey> {
        match &self.get(ResourceType::Sender, id)?.subject {
            Subject::Sender(key) if key.is_rtp => Some(key),
            _ => None,
        }
    }

    /// The input that the RTP receiver with this id is; `None` also for receivers that IS-05 does not know.
    #[must_use]
    pub fn receiver(&self, id: Uuid) -> Option<&ReceiverKey> {
        match &self.get(ResourceType::Receiver, id)?.subject {
            Subject::Receiver(key) if key.is_rtp => Some(key),
            _ => None,
        }
    }

    /// `ver_slf`, `ver_dvc`, `ver_src`, `ver_flw`, `ver_snd` and `ver_rcv`: each rises by 1, and wraps at 255, with a
    /// change of its kind of resource.
    #[must_use]
    pub const fn version_counters(&self) -> [u8; 6] {
        self.counters
    }

    /// Where the APIs are found; never empty, the first one stands in every `href`.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The network interfaces of this host.
    #[must_use]
    pub const fn interfaces(&self) -> &Arc<Interfaces> {
        &self.interfaces
    }

    /// `http://host:port`, the start of every `href`.
    #[must_use]
    pub fn base_url(&self) -> String {
        base_url(&self.endpoints)
    }
}

fn base_url(endpoints: &[Endpoint]) -> String {
    let first = endpoints.first();
    first.map_or_else(String::new, Endpoint::base_url)
}
