//! The state machine and its mapping to the configuration, with nothing around them.

mod activating;
mod configuration;
mod constraining;
mod files;
mod staging;

use std::net::IpAddr;

use serde_json::{Value, json};
use uuid::Uuid;

use super::endpoint::{Applied, Configured, Endpoint, Patched};
use super::mapping::{Host, Mapped, Subject, activated_flow};
use super::params::{Leg, Reach, ReceiverLeg, SenderLeg, to_json};
use super::settings::Told;
use crate::config::{FlowConfig, parse_flow};
use crate::nmos::tai::Tai;

/// A host with one interface, whose routes all lead there.
struct OneInterface(Vec<IpAddr>);

impl Host for OneInterface {
    fn route(&self, to: IpAddr) -> Option<IpAddr> {
        let same_family = self.0.iter().find(|own| own.is_ipv4() == to.is_ipv4());
        same_family.copied()
    }

    fn addresses(&self) -> &[IpAddr] {
        &self.0
    }
}

fn host() -> OneInterface {
    OneInterface(reach().local_addresses)
}

fn reach() -> Reach {
    Reach {
        local_addresses: ["192.0.2.1", "2001:db8::1", "127.0.0.1"]
            .map(|address| address.parse().unwrap())
            .to_vec(),
    }
}

fn tai(text: &str) -> Tai {
    text.parse().unwrap()
}

fn now() -> Tai {
    tai("1000:5")
}

const ID: Uuid = Uuid::from_u128(0x6d5a_4c3b_0000_4000_8000_0000_0001_0203);

/// A flow with an RTP input and an RTP output called `out`, with these fields besides.
fn flow(input: Value, output: Value) -> FlowConfig {
    let mut flow = json!({
        "id": "f",
        "name": "F",
        "input": {"type": "rtp", "bind_addr": "239.1.1.1:5000"},
        "outputs": [
            {"type": "rtp", "id": "out", "name": "Out", "dest_addr": "239.2.2.2:6000"},
            {"type": "udp", "id": "other", "name": "Other", "dest_addr": "192.0.2.77:7000"},
        ],
    });
    for (place, fields) in [("/input", input), ("/outputs/0", output)] {
        let object = flow.pointer_mut(place).unwrap().as_object_mut().unwrap();
        object.extend(fields.as_object().unwrap().clone());
    }
    parse_flow(flow, None).unwrap().value
}

fn plain() -> FlowConfig {
    flow(json!({}), json!({}))
}

fn subject<L: Leg>() -> Subject {
    Subject {
        flow_id: "f".to_owned(),
        output_id: (!L::HAS_TRANSPORT_FILE).then(|| "out".to_owned()),
    }
}

fn configured<L: Mapped>(flow: &FlowConfig) -> Configured<L> {
    L::configured(flow, &subject::<L>(), &Applied::default()).unwrap()
}

fn endpoint<L: Mapped>(flow: &FlowConfig) -> Endpoint<L> {
    Endpoint::new(configured(flow))
}

/// What a PATCH that is not activated leads to.
fn staged<L: Told>(endpoint: &Endpoint<L>, body: Value) -> Endpoint<L> {
    match endpoint.patch(&body, &reach(), now()).unwrap() {
        Patched::Staged(next) => next,
        other => panic!("{other:?}"),
    }
}

/// Why a PATCH is refused, with its status.
fn refused<L: Told>(endpoint: &Endpoint<L>, body: Value) -> (u16, String) {
    let error = endpoint.patch(&body, &reach(), now()).unwrap_err();
    (error.status(), error.to_string())
}

/// Stages `body` and activates it: the endpoint and the flow afterwards.
fn activated<L: Mapped>(
    endpoint: &Endpoint<L>,
    flow: &FlowConfig,
    mut body: Value,
) -> (Endpoint<L>, FlowConfig) {
    body["activation"] = json!({"mode": "activate_immediate"});
    let Patched::Activate(next) = endpoint.patch(&body, &reach(), now()).unwrap() else {
        panic!("an immediate activation");
    };
    let mut applied = next.applied().clone();
    let flow = activated_flow(flow, &subject::<L>(), next.staged(), ID, &mut applied).unwrap();
    let next = next.activated(applied.removed, now());
    let configured = L::configured(&flow, &subject::<L>(), next.applied()).unwrap();
    (next.settled(configured), flow)
}

/// The active parameters of a leg.
fn active<L: Mapped>(endpoint: &Endpoint<L>, leg: usize) -> Value {
    to_json(&L::resolved(&endpoint.seen().legs, &host())[leg])
}

fn input_of(flow: &FlowConfig) -> Value {
    serde_json::to_value(&flow.input).unwrap()
}

fn output_of(flow: &FlowConfig) -> Value {
    serde_json::to_value(&flow.outputs[0]).unwrap()
}
