//! Constraints, and that they have the keys of the parameters.

use super::super::constraints::constraints;
use super::*;

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

#[test]
fn constraints_staged_and_active_have_the_same_keys() {
    fn check<L: Mapped>(flow: &FlowConfig) {
        let endpoint = endpoint::<L>(flow);
        let constraints = constraints(&endpoint.seen().legs, &reach());
        let staged = endpoint.staged_json();
        assert_eq!(constraints.as_array().unwrap().len(), 2);
        for leg in 0..2 {
            let expected = keys(&constraints[leg]);
            assert_eq!(keys(&staged["transport_params"][leg]), expected);
            assert_eq!(keys(&active(&endpoint, leg)), expected);
        }
    }
    let two = flow(
        json!({"redundancy": {"bind_addr": "239.1.1.2:5002"}}),
        json!({"redundancy": {"dest_addr": "239.2.2.3:6002"}}),
    );
    check::<SenderLeg>(&two);
    check::<ReceiverLeg>(&two);
}

#[test]
fn the_constraints_of_a_sender() {
    let sender = endpoint::<SenderLeg>(&plain());
    let any_port = json!({"minimum": 1, "maximum": 65535});
    let any_source = json!({"minimum": 0, "maximum": 65535});
    let block = json!({"minimum": 4, "maximum": 20});
    assert_eq!(
        constraints(&sender.seen().legs, &reach()),
        json!([{
            "source_ip": {"enum": ["192.0.2.1", "127.0.0.1"]}, "destination_ip": {}, "source_port": any_source,
            "destination_port": {"minimum": 1024, "maximum": 65531}, "rtp_enabled": {}, "fec_enabled": {},
            "fec_destination_ip": {}, "fec_type": {"enum": ["XOR"]}, "fec_mode": {"enum": ["1D", "2D"]},
            "fec_block_width": block, "fec_block_height": block, "fec1D_destination_port": any_port,
            "fec2D_destination_port": any_port, "fec1D_source_port": any_source, "fec2D_source_port": any_source,
        }])
    );
}

#[test]
fn what_is_configured_lies_within_the_constraints() {
    let odd = flow(
        json!({"bind_addr": "198.51.100.9:80"}),
        json!({"dest_addr": "[2001:db8::9]:65535", "bind_addr": "[2001:db8::7]:0"}),
    );
    let sender = endpoint::<SenderLeg>(&odd);
    let shown = constraints(&sender.seen().legs, &reach());
    assert_eq!(
        shown[0]["source_ip"]["enum"],
        json!(["2001:db8::1", "2001:db8::7"])
    );
    assert_eq!(shown[0]["destination_port"]["maximum"], 65535);
    let receiver = endpoint::<ReceiverLeg>(&odd);
    let shown = constraints(&receiver.seen().legs, &reach());
    assert_eq!(
        shown[0]["interface_ip"]["enum"],
        json!(["192.0.2.1", "127.0.0.1", "198.51.100.9"])
    );
    assert_eq!(shown[0]["destination_port"]["minimum"], 80);
    // Sent back as it was shown, it stays legal.
    let parameters = receiver.staged_json()["transport_params"].clone();
    assert_eq!(
        staged(&receiver, json!({"transport_params": parameters})),
        receiver
    );
}
