//! Source, flow, receiver and senders of one flow of the configuration.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Value, json};
use uuid::Uuid;

use super::facts::Facts;
use super::rate::GrainRate;
use super::{
    Interfaces, ReceiverKey, ResourceType, SenderKey, Subject, flow_id, receiver_id, sender_id,
    source_id,
};
use crate::config::{
    FlowConfig, InputConfig, OutputConfig, OutputKindConfig, ReceiveConfig, RtpInputConfig,
    RtpOutputConfig, SendConfig,
};

/// A resource that has no version yet.
pub(super) struct Draft {
    pub(super) kind: ResourceType,
    pub(super) id: Uuid,
    pub(super) json: Value,
    pub(super) subject: Subject,
    pub(super) unseen: Value,
}

/// What the resources of all flows have in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Surroundings {
    pub(super) node_id: Uuid,
    pub(super) device_id: Uuid,
    pub(super) base_url: String,
    /// [`crate::config::AppConfig::wrap_payload_type`].
    pub(super) wrap_payload_type: u8,
}

/// A flow, and what is known of it at the moment.
pub(super) struct FlowView<'a> {
    pub(super) config: &'a FlowConfig,
    pub(super) is_running: bool,
    pub(super) facts: Facts,
    pub(super) surroundings: &'a Surroundings,
    pub(super) interfaces: &'a Interfaces,
    /// The far ends that activations named, by sender and receiver.
    pub(super) peers: &'a HashMap<Uuid, Uuid>,
    /// Payload types that transport files named, by receiver.
    pub(super) announced: &'a HashMap<Uuid, u8>,
}

/// Local address and far end of a leg, as far as they are configured.
#[derive(Clone, Copy, Default)]
struct Leg {
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
}

impl FlowView<'_> {
    pub(super) fn source(&self) -> Draft {
        let Surroundings {
            node_id, device_id, ..
        } = self.surroundings;
        let id = source_id(*node_id, &self.config.id);
        let description = format!("Input of flow {}", self.config.id);
        let mut json = core(id, &self.config.name, description);
        json["format"] = json!(FORMAT);
        json["caps"] = json!({});
        json["device_id"] = json!(device_id);
        json["parents"] = json!([]);
        json["clock_name"] = json!(super::device::CLOCK);
        json["grain_rate"] = self.grain_rate().json();
        self.draft(ResourceType::Source, id, json)
    }

    pub(super) fn flow(&self) -> Draft {
        let Surroundings {
            node_id, device_id, ..
        } = self.surroundings;
        let id = flow_id(*node_id, &self.config.id);
        let description = format!("Transport stream of flow {}", self.config.id);
        let mut json = core(id, &self.config.name, description);
        json["format"] = json!(FORMAT);
        json["media_type"] = json!(MEDIA_TYPE);
        json["source_id"] = json!(source_id(*node_id, &self.config.id));
        json["device_id"] = json!(device_id);
        json["parents"] = json!([]);
        json["grain_rate"] = self.grain_rate().json();
        if let Some(kbps) = self.facts.bit_rate_kbps {
            json["bit_rate"] = json!(kbps);
        }
        self.draft(ResourceType::Flow, id, json)
    }

    pub(super) fn receiver(&self) -> Draft {
        let id = receiver_id(self.surroundings.node_id, &self.config.id);
        let input = &self.config.input;
        let kind = input.type_name();
        let description = format!("{kind} input of flow {}", self.config.id);
        let (legs, is_enabled, unseen) = match input {
            InputConfig::Rtp(rtp) => (
                rtp_input_legs(rtp),
                rtp.master_enable.unwrap_or(true),
                rtp_input_parameters(rtp),
            ),
            other => (other_input_legs(other), true, Value::Null),
        };
        let is_active = self.is_running && is_enabled;
        let sender = self.peers.get(&id).filter(|_| is_active);
        let mut json = core(id, &self.config.name, description);
        json["format"] = json!(FORMAT);
        json["caps"] = json!({
            "media_types": [MEDIA_TYPE],
            "constraint_sets": [{
                "urn:x-nmos:cap:meta:label": "MPEG transport stream",
                "urn:x-nmos:cap:meta:preference": 0,
                "urn:x-nmos:cap:meta:enabled": true,
                "urn:x-nmos:cap:format:media_type": {"enum": [MEDIA_TYPE]},
                "urn:x-nmos:cap:transport:bit_rate": {"maximum": bit_rate_maximum(input)},
            }],
        });
        json["device_id"] = json!(self.surroundings.device_id);
        json["transport"] = json!(transport(kind));
        json["interface_bindings"] = self.bindings(&legs);
        json["subscription"] = json!({"sender_id": sender, "active": is_active});
        json["tags"][TAG_GROUP_HINT] = self.group_hint("Input");
        let subject = Subject::Receiver(ReceiverKey {
            flow_id: self.config.id.clone(),
            legs: legs.len(),
            is_rtp: matches!(input, InputConfig::Rtp(_)),
        });
        Draft {
            kind: ResourceType::Receiver,
            id,
            json,
            subject,
            unseen,
        }
    }

    pub(super) fn senders(&self) -> impl Iterator<Item = Draft> {
        self.config.outputs.iter().map(|output| self.sender(output))
    }

    fn sender(&self, output: &OutputConfig) -> Draft {
        let Surroundings {
            node_id,
            device_id,
            base_url,
            ..
        } = self.surroundings;
        let id = sender_id(*node_id, &self.config.id, &output.id);
        let kind = output.kind.type_name();
        let label = format!("{} / {}", self.config.name, output.name);
        let description = format!("{kind} output {} of flow {}", output.id, self.config.id);
        let rtp = match &output.kind {
            OutputKindConfig::Rtp(rtp) => Some(rtp.as_ref()),
            _ => None,
        };
        let legs = match rtp {
            Some(rtp) => rtp_output_legs(rtp),
            None => other_output_legs(&output.kind),
        };
        let is_enabled = rtp.is_none_or(|rtp| rtp.master_enable.unwrap_or(true));
        let is_active = self.is_running && is_enabled;
        let is_unicast = rtp.is_some_and(|rtp| !rtp.send.dest_addr.ip().is_multicast());
        let receiver = self.peers.get(&id).filter(|_| is_active && is_unicast);
        let manifest = rtp.map(|_| {
            format!("{base_url}/x-nmos/connection/v1.1/single/senders/{id}/transportfile")
        });
        let mut json = core(id, &label, description);
        json["caps"] = json!({});
        json["flow_id"] = json!(flow_id(*node_id, &self.config.id));
        json["transport"] = json!(transport(kind));
        json["device_id"] = json!(device_id);
        json["manifest_href"] = json!(manifest);
        json["interface_bindings"] = self.bindings(&legs);
        json["subscription"] = json!({"receiver_id": receiver, "active": is_active});
        json["bit_rate"] = json!(self.sender_kbps());
        json["tags"][TAG_GROUP_HINT] = self.group_hint(&format!("Output {}", output.id));
        let mut unseen = Value::Null;
        if let Some(rtp) = rtp {
            unseen = rtp_output_parameters(rtp);
            unseen[PAYLOAD_TYPE] = json!(self.payload_type(rtp));
            let names = json["interface_bindings"].as_array().into_iter().flatten();
            unseen["port_ids"] = names.map(|name| self.port_id(name)).collect();
        }
        let subject = Subject::Sender(SenderKey {
            flow_id: self.config.id.clone(),
            output_id: output.id.clone(),
            legs: legs.len(),
            is_rtp: rtp.is_some(),
        });
        Draft {
            kind: ResourceType::Sender,
            id,
            json,
            subject,
            unseen,
        }
    }

    fn draft(&self, kind: ResourceType, id: Uuid, json: Value) -> Draft {
        Draft {
            kind,
            id,
            json,
            subject: Subject::Flow {
                flow_id: self.config.id.clone(),
            },
            unseen: Value::Null,
        }
    }

    fn grain_rate(&self) -> GrainRate {
        self.facts.grain_rate.unwrap_or(GrainRate::USUAL)
    }

    /// Headers included, in steps of 100 kbit/s.
    fn sender_kbps(&self) -> u64 {
        let kbps = self.facts.bit_rate_kbps.unwrap_or(KBPS_UNMEASURED);
        let with_headers = kbps.saturating_mul(DATAGRAM_BYTES).div_ceil(PAYLOAD_BYTES);
        with_headers.div_ceil(100).saturating_mul(100)
    }

    /// What stands in the packets of an output: its own, else that of RTP which passes through untouched, as it was
    /// last seen or, before that, as configuration or transport file of the input tell it, else that of TS which is
    /// wrapped here.
    fn payload_type(&self, output: &RtpOutputConfig) -> u8 {
        let seen = || self.facts.payload_type;
        let told = || match &self.config.input {
            InputConfig::Rtp(rtp) => match rtp.allowed_payload_types.as_deref() {
                Some([only]) => Some(*only),
                _ => {
                    let id = receiver_id(self.surroundings.node_id, &self.config.id);
                    self.announced.get(&id).copied()
                }
            },
            _ => None,
        };
        let own = output.payload_type;
        own.or_else(seen)
            .or_else(told)
            .unwrap_or(self.surroundings.wrap_payload_type)
    }

    fn bindings(&self, legs: &[Leg]) -> Value {
        let names = legs
            .iter()
            .filter_map(|leg| self.interfaces.of_leg(leg.local, leg.remote));
        names.collect()
    }

    fn port_id(&self, name: &Value) -> Option<String> {
        let interface = self.interfaces.named(name.as_str()?)?;
        Some(interface.port_id())
    }

    /// Input and outputs of a flow belong together (BCP-002-01). A colon would end the name of the group.
    fn group_hint(&self, role: &str) -> Value {
        let [group, role] = [&self.config.id, role].map(|name| name.replace(':', "%3A"));
        json!([format!("{group}:{role}")])
    }
}

/// What all resources have.
pub(super) fn core(id: Uuid, label: &str, description: String) -> Value {
    json!({"id": id, "label": label, "description": description, "tags": {}})
}

/// The register of transports has RTP alone of what this node speaks; a vendor must not invent names there (nmos.md 8).
fn transport(kind: &str) -> String {
    match kind {
        "rtp" => "urn:x-nmos:transport:rtp".to_owned(),
        other => format!("urn:x-bilbycast:transport:{other}"),
    }
}

fn rtp_input_legs(rtp: &RtpInputConfig) -> Vec<Leg> {
    let leg_2 = rtp.redundancy.as_ref().map(|leg_2| &leg_2.receive);
    let legs = [Some(&rtp.receive), leg_2].into_iter().flatten();
    legs.map(receive_leg).collect()
}

fn rtp_output_legs(rtp: &RtpOutputConfig) -> Vec<Leg> {
    let legs = [Some(&rtp.send), rtp.redundancy.as_ref()];
    legs.into_iter().flatten().map(send_leg).collect()
}

fn other_input_legs(input: &InputConfig) -> Vec<Leg> {
    match input {
        InputConfig::Rtmp(rtmp) => vec![local(rtmp.listen_addr.ip())],
        InputConfig::Srt(srt) => {
            let leg_2 = srt.redundancy.as_ref().map(|leg_2| &leg_2.leg);
            let legs = [Some(&srt.leg), leg_2].into_iter().flatten();
            legs.map(|leg| Leg {
                local: Some(leg.local_addr.ip()),
                remote: leg.remote_addr.map(|remote| remote.ip()),
            })
            .collect()
        }
        InputConfig::Udp(udp) => vec![receive_leg(&udp.receive)],
        _ => vec![Leg::default()],
    }
}

fn other_output_legs(output: &OutputKindConfig) -> Vec<Leg> {
    match output {
        OutputKindConfig::Srt(srt) => {
            let legs = [Some(&srt.leg), srt.redundancy.as_ref()];
            let legs = legs.into_iter().flatten();
            legs.map(|leg| Leg {
                local: Some(leg.local_addr.ip()),
                remote: leg.remote_addr.map(|remote| remote.ip()),
            })
            .collect()
        }
        OutputKindConfig::Udp(send) => vec![send_leg(send)],
        _ => vec![Leg::default()],
    }
}

fn local(address: IpAddr) -> Leg {
    Leg {
        local: Some(address),
        remote: None,
    }
}

fn receive_leg(receive: &ReceiveConfig) -> Leg {
    let address = receive.bind_addr.ip();
    match address.is_multicast() {
        true => Leg {
            local: receive.interface_addr,
            remote: Some(address),
        },
        false => local(address),
    }
}

fn send_leg(send: &SendConfig) -> Leg {
    let bound = send.bind_addr.map(|bound| bound.ip());
    Leg {
        local: send.interface_addr.or(bound),
        remote: Some(send.dest_addr.ip()),
    }
}

fn rtp_input_parameters(rtp: &RtpInputConfig) -> Value {
    let leg = |receive: &ReceiveConfig| {
        json!([
            receive.bind_addr,
            receive.interface_addr,
            receive.source_addr,
            receive.rtp_enabled.unwrap_or(true),
        ])
    };
    json!({
        "legs": [
            leg(&rtp.receive),
            rtp.redundancy.as_ref().map(|leg_2| leg(&leg_2.receive)),
        ],
        "fec": rtp.fec_decode,
    })
}

fn rtp_output_parameters(rtp: &RtpOutputConfig) -> Value {
    let leg = |send: &SendConfig| {
        json!([
            send.dest_addr,
            send.bind_addr,
            send.interface_addr,
            send.rtp_enabled.unwrap_or(true),
        ])
    };
    json!({
        "legs": [leg(&rtp.send), rtp.redundancy.as_ref().map(leg)],
        "fec": rtp.fec_encode,
    })
}

/// In kbit/s: what the policer lets through.
fn bit_rate_maximum(input: &InputConfig) -> u64 {
    let policed = match input {
        InputConfig::Rtp(rtp) => rtp.max_bitrate_mbps,
        _ => None,
    };
    // The parser keeps it above 0 and at most at 10,000 Mb/s.
    policed.map_or(KBPS_MAX, |mbps| (mbps * 1_000.0).floor().max(1.0) as u64)
}

/// Where the payload type of a sender stands among what is not seen of it.
pub(super) const PAYLOAD_TYPE: &str = "payload_type";

const FORMAT: &str = "urn:x-nmos:format:mux";

/// As IANA registered it; receivers compare it letter by letter.
const MEDIA_TYPE: &str = "video/MP2T";

const TAG_GROUP_HINT: &str = "urn:x-nmos:tag:grouphint/v1.0";

/// Rate of a sender of which nothing has been measured: BCP-006-04 demands one.
const KBPS_UNMEASURED: u64 = 20_000;

/// Highest rate of an input that is not policed: that of the fastest network that a gateway is built for.
const KBPS_MAX: u64 = 10_000_000;

/// Seven TS packets.
const PAYLOAD_BYTES: u64 = 7 * 188;

/// The same with the headers of RTP, UDP and IPv4.
const DATAGRAM_BYTES: u64 = PAYLOAD_BYTES + 12 + 8 + 20;
