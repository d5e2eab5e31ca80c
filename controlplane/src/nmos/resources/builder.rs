//! From one model to the next: what did not change keeps its version, and is not even looked at.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::tai::Tai;
use super::super::versions::{Counters, Versions};
use super::device::{device, node};
use super::endpoints::endpoints;
use super::facts::{Facts, Measured};
use super::flow::{Draft, FlowView, Surroundings};
use super::{Endpoint, Interfaces, Listening, Model, Resource, ResourceType, base_url, device_id};
use crate::config::{AppConfig, FlowConfig};
use crate::node::{Runs, Survey};

/// What models are made of, and the last one.
#[derive(Debug)]
pub(in super::super) struct Builder {
    listening: Listening,
    interfaces: Arc<Interfaces>,
    measured: Measured,
    /// The far ends that activations named, by sender and receiver.
    peers: HashMap<Uuid, Uuid>,
    /// Payload types that transport files named, by receiver.
    announced: HashMap<Uuid, u8>,
    /// Resources that get a new version though they may look the same.
    forced: HashSet<Uuid>,
    /// Flows that have to be looked at again.
    stale: HashSet<String>,
    versions: Versions,
    counters: Counters,
    last: Option<Last>,
}

/// What the last model was made of.
#[derive(Debug)]
struct Last {
    config: Arc<AppConfig>,
    surroundings: Surroundings,
    interfaces: Arc<Interfaces>,
    node: Arc<Resource>,
    device: Arc<Resource>,
    flows: HashMap<String, Built>,
}

/// The resources of a flow, and what they were made of.
#[derive(Debug)]
struct Built {
    /// Index of its configuration.
    place: usize,
    is_running: bool,
    facts: Facts,
    source: Arc<Resource>,
    flow: Arc<Resource>,
    senders: Vec<Arc<Resource>>,
    receiver: Arc<Resource>,
}

impl Built {
    fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        [&self.source, &self.flow, &self.receiver]
            .into_iter()
            .chain(&self.senders)
    }
}

/// The changes of one step.
struct Step<'a> {
    version: Tai,
    forced: &'a HashSet<Uuid>,
    changed: [bool; ResourceType::ALL.len()],
}

impl Builder {
    pub(in super::super) fn new(listening: Listening, interfaces: Interfaces) -> Self {
        Self {
            listening,
            interfaces: Arc::new(interfaces),
            measured: Measured::default(),
            peers: HashMap::new(),
            announced: HashMap::new(),
            forced: HashSet::new(),
            stale: HashSet::new(),
            versions: Versions::default(),
            counters: Counters::default(),
            last: None,
        }
    }

    /// Takes what is measured now; true when that is news.
    pub(in super::super) fn read(&mut self, survey: &Survey, now: Instant) -> bool {
        self.measured.read(survey, now)
    }

    /// Takes the interfaces that the system has now; true when that is news.
    pub(in super::super) fn set_interfaces(&mut self, interfaces: Interfaces) -> bool {
        let is_changed = *self.interfaces != interfaces;
        if is_changed {
            self.interfaces = Arc::new(interfaces);
        }
        is_changed
    }

    /// The far end of a sender or a receiver, as an activation names it.
    pub(in super::super) fn set_peer(&mut self, resource: &Resource, peer: Option<Uuid>) {
        match peer {
            Some(peer) => self.peers.insert(resource.id, peer),
            None => self.peers.remove(&resource.id),
        };
        self.stale.extend(resource.flow_id().map(str::to_owned));
    }

    /// The payload type that a receiver's transport file names; true when that is news.
    pub(in super::super) fn set_announced(
        &mut self,
        receiver: &Resource,
        payload_type: Option<u8>,
    ) -> bool {
        let before = match payload_type {
            Some(payload_type) => self.announced.insert(receiver.id, payload_type),
            None => self.announced.remove(&receiver.id),
        };
        let is_changed = before != payload_type;
        if is_changed {
            self.stale.extend(receiver.flow_id().map(str::to_owned));
        }
        is_changed
    }

    /// Gives the resource a new version with the next model.
    pub(in super::super) fn bump(&mut self, resource: &Resource) {
        self.forced.insert(resource.id);
        self.stale.extend(resource.flow_id().map(str::to_owned));
    }

    /// The model of this configuration, while that runs.
    pub(in super::super) fn build(&mut self, config: &Arc<AppConfig>, runs: &Runs) -> Model {
        let forced = std::mem::take(&mut self.forced);
        let stale = std::mem::take(&mut self.stale);
        let mut step = Step {
            version: self.versions.next(),
            forced: &forced,
            changed: [false; ResourceType::ALL.len()],
        };
        let nmos = config.nmos.as_ref();
        let host = nmos.and_then(|nmos| nmos.host.as_deref());
        let endpoints = endpoints(self.listening, host, &self.interfaces);
        let surroundings = Surroundings {
            node_id: config.node_id,
            device_id: device_id(config.node_id),
            base_url: base_url(&endpoints),
            wrap_payload_type: config.wrap_payload_type(),
        };
        let mut last = self.last.take();
        let is_elsewhere = last.as_ref().is_none_or(|last| {
            last.surroundings != surroundings || last.interfaces != self.interfaces
        });

        let mut flows = Vec::with_capacity(config.flows.len());
        for (place, flow) in config.flows.iter().enumerate() {
            let is_running = is_running(flow, runs);
            let facts = self.measured.of(flow);
            let old = last.as_mut().and_then(|last| last.flows.remove(&flow.id));
            let as_before = old.as_ref().zip(last.as_ref()).is_some_and(|(old, last)| {
                !is_elsewhere
                    && !stale.contains(&flow.id)
                    && old.is_running == is_running
                    && old.facts == facts
                    && last.config.flows[old.place] == *flow
            });
            let built = match old {
                Some(old) if as_before => Built { place, ..old },
                old => {
                    let view = FlowView {
                        config: flow,
                        is_running,
                        facts,
                        surroundings: &surroundings,
                        interfaces: &self.interfaces,
                        peers: &self.peers,
                        announced: &self.announced,
                    };
                    step.build_flow(place, &view, old.as_ref())
                }
            };
            flows.push(built);
        }
        let gone = last.iter().flat_map(|last| last.flows.values());
        for resource in gone.flat_map(Built::resources) {
            step.changed[resource.kind.index()] = true;
        }

        let senders = flows.iter().flat_map(|flow| &flow.senders);
        let receivers = flows.iter().map(|flow| &flow.receiver);
        let used: BTreeSet<_> = senders
            .clone()
            .chain(receivers.clone())
            .flat_map(|resource| resource.json["interface_bindings"].as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let used: Vec<_> = used.into_iter().collect();
        let listed = self.interfaces.listed(&used);
        let old = last.as_ref().map(|last| (&last.node, &last.device));
        let node = node(config, &endpoints, &listed);
        let node = step.settle(node, old.map(|(node, _)| node));
        // Output `c` of flow `a/b` and output `b/c` of flow `a` have one name, so one id.
        let mut told = HashSet::new();
        let sender_ids = senders.map(|sender| sender.id);
        let device = device(
            config,
            surroundings.device_id,
            &endpoints,
            sender_ids.filter(|id| told.insert(*id)),
            receivers.map(|receiver| receiver.id),
        );
        let device = step.settle(device, old.map(|(_, device)| device));

        for kind in ResourceType::ALL {
            if last.is_some() && step.changed[kind.index()] {
                self.counters.count(kind);
            }
        }
        let model = self.assemble(config, endpoints, &node, &device, &flows);
        self.peers.retain(|id, _| model.index.contains_key(id));
        self.announced.retain(|id, _| model.index.contains_key(id));
        let flows = flows.into_iter().zip(&config.flows);
        self.last = Some(Last {
            config: Arc::clone(config),
            surroundings,
            interfaces: Arc::clone(&self.interfaces),
            node,
            device,
            flows: flows
                .map(|(built, flow)| (flow.id.clone(), built))
                .collect(),
        });
        model
    }

    fn assemble(
        &self,
        config: &Arc<AppConfig>,
        endpoints: Vec<Endpoint>,
        node: &Arc<Resource>,
        device: &Arc<Resource>,
        flows: &[Built],
    ) -> Model {
        let all = [node, device]
            .into_iter()
            .chain(flows.iter().map(|flow| &flow.source))
            .chain(flows.iter().map(|flow| &flow.flow))
            .chain(flows.iter().flat_map(|flow| &flow.senders))
            .chain(flows.iter().map(|flow| &flow.receiver));
        let mut resources: Vec<Arc<Resource>> = Vec::new();
        let mut index = HashMap::new();
        let mut ranges = std::array::from_fn(|_| 0..0);
        for resource in all {
            // Of two with one id the first one is told.
            if index.contains_key(&resource.id) {
                continue;
            }
            index.insert(resource.id, resources.len());
            let range = &mut ranges[resource.kind.index()];
            if range.start == range.end {
                *range = resources.len()..resources.len();
            }
            range.end += 1;
            resources.push(Arc::clone(resource));
        }
        Model {
            config: Arc::clone(config),
            resources,
            ranges,
            index,
            counters: self.counters.values(),
            endpoints,
            interfaces: Arc::clone(&self.interfaces),
        }
    }
}

impl Step<'_> {
    fn build_flow(&mut self, place: usize, view: &FlowView<'_>, old: Option<&Built>) -> Built {
        let old_senders = old.map_or(&[][..], |old| &old.senders);
        let senders: Vec<_> = view
            .senders()
            .map(|draft| {
                let old = old_senders.iter().find(|old| old.id == draft.id);
                self.settle(draft, old)
            })
            .collect();
        let is_kept = |old: &Arc<Resource>| senders.iter().any(|sender| sender.id == old.id);
        if !old_senders.iter().all(is_kept) {
            self.changed[ResourceType::Sender.index()] = true;
        }
        Built {
            place,
            is_running: view.is_running,
            facts: view.facts,
            source: self.settle(view.source(), old.map(|old| &old.source)),
            flow: self.settle(view.flow(), old.map(|old| &old.flow)),
            senders,
            receiver: self.settle(view.receiver(), old.map(|old| &old.receiver)),
        }
    }

    /// The old resource when the draft says nothing new, else a new one.
    fn settle(&mut self, mut draft: Draft, old: Option<&Arc<Resource>>) -> Arc<Resource> {
        let old = old.filter(|old| old.id == draft.id);
        if draft.kind == ResourceType::Receiver {
            let version = caps_version(&draft.json["caps"], old);
            draft.json["caps"]["version"] = version.unwrap_or_else(|| shown(self.version));
        }
        if let Some(old) = old
            && !self.forced.contains(&draft.id)
            && old.unseen == draft.unseen
            && old.subject == draft.subject
        {
            draft.json["version"] = shown(old.version);
            if draft.json == old.json {
                return Arc::clone(old);
            }
        }
        draft.json["version"] = shown(self.version);
        self.changed[draft.kind.index()] = true;
        Arc::new(Resource {
            kind: draft.kind,
            id: draft.id,
            version: self.version,
            json: draft.json,
            subject: draft.subject,
            unseen: draft.unseen,
        })
    }
}

/// The version of capabilities that are still the same: an activation must not move it.
fn caps_version(caps: &Value, old: Option<&Arc<Resource>>) -> Option<Value> {
    let mut old_caps = old?.json["caps"].clone();
    let version = old_caps.as_object_mut()?.remove("version")?;
    (old_caps == *caps).then_some(version)
}

fn shown(version: Tai) -> Value {
    json!(version.to_string())
}

/// Whether a flow runs or is meant to: that the data plane is away for a moment is no news for a controller.
fn is_running(flow: &FlowConfig, runs: &Runs) -> bool {
    runs.flows().contains_key(&flow.id) || (flow.enabled && !runs.is_stopped_by_operator(&flow.id))
}
