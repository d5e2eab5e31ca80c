use serde_json::json;

use super::interfaces::tests::{ethernet, loopback};
use super::*;
use crate::config::parse_flow;
use crate::node::Runs;

const NODE_ID: Uuid = Uuid::from_u128(0x6d5a_4c3b_0000_4000_8000_0000_0000_0001);

fn builder() -> Builder {
    let listening = Listening {
        address: "0.0.0.0:8080".parse().unwrap(),
        is_tls: false,
    };
    let interfaces = vec![loopback(), ethernet("eth0", 2, &["192.0.2.1"])];
    Builder::new(listening, Interfaces::new(interfaces, None))
}

/// A flow with an RTP output that sends to `dest`.
fn flow(id: &str, output_id: &str, dest: &str) -> Value {
    json!({
        "id": id,
        "name": "N",
        "input": {"type": "rtp", "bind_addr": "192.0.2.1:5000"},
        "outputs": [{"type": "rtp", "id": output_id, "name": "O", "dest_addr": dest,
            "bind_addr": "192.0.2.1:0"}],
    })
}

fn config(flows: &[Value]) -> Arc<AppConfig> {
    let mut config = AppConfig::default_with(NODE_ID);
    let flows = flows.iter();
    config.flows = flows
        .map(|flow| parse_flow(flow.clone(), None).unwrap().value)
        .collect();
    Arc::new(config)
}

fn step(builder: &mut Builder, flows: &[Value]) -> Model {
    builder.build(&config(flows), &Runs::default())
}

#[test]
fn counters_rise_by_one_with_a_change_of_their_kind() {
    let a = flow("a", "o", "192.0.2.9:5000");
    let b = flow("b", "o", "192.0.2.9:5002");
    let mut builder = builder();
    let first = step(&mut builder, std::slice::from_ref(&a));
    assert_eq!(first.version_counters(), [0; 6]);
    let same = step(&mut builder, std::slice::from_ref(&a));
    assert_eq!(same.version_counters(), [0; 6]);
    for (first, same) in first.resources().iter().zip(same.resources()) {
        assert!(Arc::ptr_eq(first, same));
    }
    let more = step(&mut builder, &[a.clone(), b]);
    assert_eq!(more.version_counters(), [0, 1, 1, 1, 1, 1]);
    let moved = step(&mut builder, &[flow("a", "o", "192.0.2.10:5000")]);
    assert_eq!(moved.version_counters(), [0, 2, 2, 2, 2, 2]);
    let renamed = step(&mut builder, &[flow("a", "p", "192.0.2.10:5000")]);
    assert_eq!(renamed.version_counters(), [0, 3, 2, 2, 3, 2]);
    let mut quiet = flow("a", "p", "192.0.2.10:5000");
    quiet["outputs"] = json!([]);
    let quiet = step(&mut builder, &[quiet]);
    assert_eq!(quiet.version_counters(), [0, 4, 2, 2, 4, 2]);
    let alone = Interfaces::new(vec![loopback()], None);
    assert!(builder.set_interfaces(alone.clone()));
    assert!(!builder.set_interfaces(alone));
    let elsewhere = step(&mut builder, &[a]);
    assert_eq!(elsewhere.version_counters(), [1, 5, 2, 2, 5, 3]);
}

#[test]
fn resources_come_in_the_order_of_registration_and_are_found_by_id() {
    let flows = [
        flow("a", "o", "192.0.2.9:5000"),
        flow("b", "o", "192.0.2.9:5002"),
    ];
    let model = step(&mut builder(), &flows);
    let kinds: Vec<_> = model.resources().iter().map(|one| one.kind()).collect();
    assert!(kinds.is_sorted());
    assert_eq!(kinds.len(), 10);
    for kind in ResourceType::ALL {
        for one in model.of_kind(kind) {
            assert_eq!(one.kind(), kind);
            assert_eq!(one.json()["id"], json!(one.id()));
            assert_eq!(one.json()["version"], json!(one.version().to_string()));
            assert!(Arc::ptr_eq(model.get(kind, one.id()).unwrap(), one));
            let other = ResourceType::ALL[(kind.index() + 1) % 6];
            assert!(model.get(other, one.id()).is_none());
        }
    }
    let id = sender_id(NODE_ID, "b", "o");
    let key = SenderKey {
        flow_id: "b".to_owned(),
        output_id: "o".to_owned(),
        legs: 1,
        is_rtp: true,
    };
    assert_eq!(model.sender(id), Some(&key));
    assert_eq!(model.receiver(id), None);
    let receiver = model.receiver(receiver_id(NODE_ID, "a")).unwrap();
    assert_eq!((receiver.flow_id.as_str(), receiver.legs), ("a", 1));
    assert_eq!(model.base_url(), "http://192.0.2.1:8080");
}

#[test]
fn an_activation_moves_the_version_and_not_that_of_the_capabilities() {
    let flows = [flow("a", "o", "192.0.2.9:5000")];
    let mut builder = builder();
    let before = step(&mut builder, &flows);
    for kind in [ResourceType::Sender, ResourceType::Receiver] {
        builder.bump(&before.of_kind(kind)[0]);
    }
    let after = step(&mut builder, &flows);
    assert_eq!(after.version_counters(), [0, 0, 0, 0, 1, 1]);
    let [old, new] = [&before, &after].map(|model| &model.of_kind(ResourceType::Receiver)[0]);
    assert!(new.version() > old.version());
    assert_eq!(new.json()["caps"], old.json()["caps"]);
    assert_eq!(old.json()["caps"]["version"], old.json()["version"]);
}

#[test]
fn a_subscription_names_the_far_end_only_while_it_may() {
    let peer = Uuid::from_u128(7);
    let shown = |model: &Model| {
        let [sender, receiver] = [ResourceType::Sender, ResourceType::Receiver]
            .map(|kind| model.of_kind(kind)[0].json()["subscription"].clone());
        [
            sender["receiver_id"].clone(),
            receiver["sender_id"].clone(),
            sender["active"].clone(),
            receiver["active"].clone(),
        ]
    };
    let unicast = flow("a", "o", "192.0.2.9:5000");
    let mut builder = builder();
    let model = step(&mut builder, std::slice::from_ref(&unicast));
    assert_eq!(
        shown(&model),
        [json!(null), json!(null), json!(true), json!(true)]
    );
    for kind in [ResourceType::Sender, ResourceType::Receiver] {
        builder.set_peer(&model.of_kind(kind)[0], Some(peer));
    }
    let model = step(&mut builder, std::slice::from_ref(&unicast));
    assert_eq!(
        shown(&model),
        [json!(peer), json!(peer), json!(true), json!(true)]
    );
    let multicast = step(&mut builder, &[flow("a", "o", "239.1.1.1:5000")]);
    assert_eq!(
        shown(&multicast),
        [json!(null), json!(peer), json!(true), json!(true)]
    );
    let mut off = unicast.clone();
    off["input"]["master_enable"] = json!(false);
    off["outputs"][0]["master_enable"] = json!(false);
    let off = step(&mut builder, &[off]);
    assert_eq!(
        shown(&off),
        [json!(null), json!(null), json!(false), json!(false)]
    );
    let mut stopped = unicast.clone();
    stopped["enabled"] = json!(false);
    let stopped = step(&mut builder, &[stopped]);
    assert_eq!(
        shown(&stopped),
        [json!(null), json!(null), json!(false), json!(false)]
    );
    // A flow that was deleted comes back without the far ends of the old one.
    step(&mut builder, &[]);
    let again = step(&mut builder, &[unicast]);
    assert_eq!(
        shown(&again),
        [json!(null), json!(null), json!(true), json!(true)]
    );
}

#[test]
fn what_would_have_one_id_twice_is_told_once() {
    let flows = [
        flow("a/b", "c", "192.0.2.9:5000"),
        flow("a", "b/c", "192.0.2.9:5002"),
    ];
    let model = step(&mut builder(), &flows);
    assert_eq!(
        sender_id(NODE_ID, "a/b", "c"),
        sender_id(NODE_ID, "a", "b/c")
    );
    let senders = model.of_kind(ResourceType::Sender);
    assert_eq!(senders.len(), 1);
    let device = &model.of_kind(ResourceType::Device)[0];
    assert_eq!(device.json()["senders"], json!([senders[0].id()]));
}
