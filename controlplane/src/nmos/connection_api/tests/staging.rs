//! What may be staged.

use super::*;

#[test]
fn a_new_sender_stages_what_is_configured() {
    let sender = endpoint::<SenderLeg>(&plain());
    assert_eq!(
        sender.staged_json(),
        json!({
            "receiver_id": null,
            "master_enable": true,
            "activation": {"mode": null, "requested_time": null, "activation_time": null},
            "transport_params": [{
                "source_ip": "auto", "destination_ip": "239.2.2.2", "source_port": "auto",
                "destination_port": 6000, "rtp_enabled": true, "fec_enabled": false,
                "fec_destination_ip": "auto", "fec_type": "XOR", "fec_mode": "2D", "fec_block_width": 10,
                "fec_block_height": 10, "fec1D_destination_port": "auto", "fec2D_destination_port": "auto",
                "fec1D_source_port": "auto", "fec2D_source_port": "auto",
            }],
        })
    );
}

#[test]
fn a_new_receiver_stages_what_is_configured() {
    let receiver = endpoint::<ReceiverLeg>(&flow(
        json!({"master_enable": false, "redundancy": {"bind_addr": "192.0.2.1:5002", "rtp_enabled": false}}),
        json!({}),
    ));
    let leg = json!({
        "source_ip": null, "multicast_ip": "239.1.1.1", "interface_ip": "auto", "destination_port": 5000,
        "rtp_enabled": true, "fec_enabled": false, "fec_destination_ip": "auto", "fec_mode": "auto",
        "fec1D_destination_port": "auto", "fec2D_destination_port": "auto",
    });
    let mut leg_2 = leg.clone();
    leg_2["multicast_ip"] = json!(null);
    leg_2["interface_ip"] = json!("192.0.2.1");
    leg_2["destination_port"] = json!(5002);
    leg_2["rtp_enabled"] = json!(false);
    assert_eq!(
        receiver.staged_json(),
        json!({
            "sender_id": null,
            "master_enable": false,
            "activation": {"mode": null, "requested_time": null, "activation_time": null},
            "transport_file": {"data": null, "type": null},
            "transport_params": [leg, leg_2],
        })
    );
}

#[test]
fn only_what_a_patch_names_changes() {
    let two = flow(
        json!({}),
        json!({"redundancy": {"dest_addr": "239.2.2.3:6002"}}),
    );
    let before = endpoint::<SenderLeg>(&two);
    let peer = "0f6f2b8c-3d3c-5a3b-9a53-52a1f1d8a9b1";
    let after = staged(
        &before,
        json!({"receiver_id": peer, "transport_params": [{}, {"destination_port": 6100, "source_ip": "192.0.2.1"}]}),
    );
    let mut expected = before.staged_json();
    expected["receiver_id"] = json!(peer);
    expected["transport_params"][1]["destination_port"] = json!(6100);
    expected["transport_params"][1]["source_ip"] = json!("192.0.2.1");
    assert_eq!(after.staged_json(), expected);
    // The active side knows nothing of it.
    assert_eq!(active(&after, 1)["destination_port"], 6002);
    assert_eq!(staged(&after, json!({})), after);
}

#[test]
fn what_is_not_legal_is_refused_with_field_and_value() {
    let sender = endpoint::<SenderLeg>(&plain());
    for (body, error) in [
        (json!([]), "the body: a list is not an object"),
        (
            json!({"sender_id": null}),
            "sender_id: there is no such field",
        ),
        (
            json!({"transport_file": {}}),
            "transport_file: there is no such field",
        ),
        (json!({"a\nb": 1}), "a\\nb: there is no such field"),
        (
            json!({"master_enable": 1}),
            "master_enable: 1 is not true or false",
        ),
        (
            json!({"receiver_id": "x"}),
            "receiver_id: \"x\" is not a UUID in lower case or null",
        ),
        (
            json!({"receiver_id": "0F6F2B8C-3D3C-5A3B-9A53-52A1F1D8A9B1"}),
            "receiver_id: \"0F6F2B8C-3D3C-5A3B-9A53-52A1F1D8A9B1\" is not a UUID in lower case or null",
        ),
        (
            json!({"transport_params": {}}),
            "transport_params: an object is not a list",
        ),
        (
            json!({"transport_params": []}),
            "transport_params: a list of 0, this sender has 1",
        ),
        (
            json!({"transport_params": [{}, {}]}),
            "transport_params: a list of 2, this sender has 1",
        ),
        (
            json!({"transport_params": [1]}),
            "transport_params[0]: 1 is not an object",
        ),
        (
            json!({"transport_params": [{"multicast_ip": "239.1.1.1"}]}),
            "transport_params[0].multicast_ip: there is no such parameter",
        ),
        (
            json!({"transport_params": [{"rtcp_enabled": true}]}),
            "transport_params[0].rtcp_enabled: there is no such parameter",
        ),
        (
            json!({"transport_params": [{"destination_port": "5004"}]}),
            "transport_params[0].destination_port: \"5004\" is not a port or \"auto\"",
        ),
        (
            json!({"transport_params": [{"destination_port": 5004.5}]}),
            "transport_params[0].destination_port: 5004.5 is not a port or \"auto\"",
        ),
        (
            json!({"transport_params": [{"destination_port": 65536}]}),
            "transport_params[0].destination_port: 65536 is not a port or \"auto\"",
        ),
        (
            json!({"transport_params": [{"destination_port": 80}]}),
            "transport_params[0].destination_port: 80 is not allowed: it has to be from 1024 to 65531",
        ),
        (
            json!({"transport_params": [{"source_ip": "203.0.113.1"}]}),
            "transport_params[0].source_ip: \"203.0.113.1\" is not allowed: it has to be one of \"192.0.2.1\", \
             \"127.0.0.1\"",
        ),
        (
            json!({"transport_params": [{"source_ip": null}]}),
            "transport_params[0].source_ip: null is not an IP address or \"auto\"",
        ),
        (
            json!({"transport_params": [{"source_ip": "2001:db8::1"}]}),
            "transport_params[0].source_ip: 2001:db8::1 is of another address family than destination_ip 239.2.2.2",
        ),
        (
            json!({"transport_params": [{"destination_ip": "0.0.0.0"}]}),
            "transport_params[0].destination_ip: packets cannot be sent to 0.0.0.0",
        ),
        (
            json!({"transport_params": [{"destination_ip": "example.com"}]}),
            "transport_params[0].destination_ip: \"example.com\" is not an IP address or \"auto\"",
        ),
        (
            json!({"transport_params": [{"fec_type": "Reed-Solomon"}]}),
            "transport_params[0].fec_type: \"Reed-Solomon\" is not \"XOR\"",
        ),
        (
            json!({"transport_params": [{"fec_mode": "auto"}]}),
            "transport_params[0].fec_mode: \"auto\" is not \"1D\" or \"2D\"",
        ),
        (
            json!({"transport_params": [{"fec_block_width": 21}]}),
            "transport_params[0].fec_block_width: 21 is not allowed: it has to be from 4 to 20",
        ),
        (
            json!({"transport_params": [{"fec_destination_ip": "239.9.9.9"}]}),
            "transport_params[0].fec_destination_ip: 239.9.9.9 is not allowed: FEC goes where the media goes, or \
             \"auto\"",
        ),
        (
            json!({"transport_params": [{"fec1D_destination_port": 6001}]}),
            "transport_params[0].fec1D_destination_port: 6001 is not allowed: FEC has the media port 6000 + 2, or \
             \"auto\"",
        ),
        (json!({"activation": {}}), "activation.mode: it is missing"),
        (json!({"activation": 1}), "activation: 1 is not an object"),
        (
            json!({"activation": {"mode": "now"}}),
            "activation.mode: \"now\" is not \"activate_immediate\", \"activate_scheduled_absolute\", \
             \"activate_scheduled_relative\" or null",
        ),
        (
            json!({"activation": {"mode": "activate_scheduled_absolute"}}),
            "activation.requested_time: it is missing, a scheduled activation needs it",
        ),
        (
            json!({"activation": {"mode": "activate_scheduled_relative", "requested_time": null}}),
            "activation.requested_time: null is not \"<seconds>:<nanoseconds>\"",
        ),
        (
            json!({"activation": {"mode": "activate_scheduled_relative", "requested_time": "-1:0"}}),
            "activation.requested_time: '-1:0' is not a TAI timestamp of the form <seconds>:<nanoseconds>",
        ),
        (
            json!({"activation": {"mode": null, "x": 1}}),
            "activation.x: there is no such field",
        ),
    ] {
        assert_eq!(
            refused(&sender, body.clone()),
            (400, error.to_owned()),
            "{body}"
        );
    }
}

#[test]
fn receivers_have_rules_of_their_own() {
    let receiver = endpoint::<ReceiverLeg>(&plain());
    for (parameters, error) in [
        (
            json!({"multicast_ip": "192.0.2.9"}),
            "multicast_ip: 192.0.2.9 is not a multicast group",
        ),
        (
            json!({"source_ip": "239.1.1.1"}),
            "source_ip: 239.1.1.1 is not the address of a source",
        ),
        (
            json!({"source_ip": "2001:db8::7"}),
            "source_ip: 2001:db8::7 is of another address family than 239.1.1.1",
        ),
        (
            json!({"interface_ip": "192.0.2.2"}),
            "interface_ip: \"192.0.2.2\" is not allowed: it has to be one of \"192.0.2.1\", \"127.0.0.1\"",
        ),
        (
            json!({"interface_ip": null}),
            "interface_ip: null is not an IP address or \"auto\"",
        ),
        (
            json!({"fec_mode": "3D"}),
            "fec_mode: \"3D\" is not \"auto\", \"1D\" or \"2D\"",
        ),
        (
            json!({"fec2D_destination_port": 5000}),
            "fec2D_destination_port: 5000 is not allowed: FEC has the media port 5000 + 4, or \"auto\"",
        ),
        (
            json!({"fec_destination_ip": "192.0.2.1"}),
            "fec_destination_ip: 192.0.2.1 is not allowed: FEC comes where the media comes, or \"auto\"",
        ),
    ] {
        let body = json!({"transport_params": [parameters]});
        let error = format!("transport_params[0].{error}");
        assert_eq!(refused(&receiver, body.clone()), (400, error), "{body}");
    }
}

#[test]
fn fec_ports_that_are_right_are_taken_and_follow_the_media() {
    let sender = staged(
        &endpoint::<SenderLeg>(&plain()),
        json!({"transport_params": [{"destination_port": 6010, "fec1D_destination_port": 6012,
            "fec2D_destination_port": 6014, "source_port": 6020, "fec1D_source_port": 6022,
            "fec2D_source_port": 6024, "fec_destination_ip": "239.2.2.2"}]}),
    );
    let leg = &sender.staged_json()["transport_params"][0];
    assert_eq!(leg["fec1D_destination_port"], 6012);
    assert_eq!(leg["fec_destination_ip"], "239.2.2.2");
    let sender = staged(
        &sender,
        json!({"transport_params": [{"destination_port": "auto", "destination_ip": "239.2.2.9"}]}),
    );
    let leg = &sender.staged_json()["transport_params"][0];
    assert_eq!(leg["fec1D_destination_port"], "auto");
    assert_eq!(leg["fec_destination_ip"], "auto");
    assert_eq!(leg["fec1D_source_port"], 6022);
    // `auto` is 5004, so its FEC has 5006.
    let parameters = json!([{"fec1D_destination_port": 5006}]);
    staged(&sender, json!({"transport_params": parameters}));
}

#[test]
fn a_change_by_others_is_staged_too() {
    let mut sender = staged(
        &endpoint::<SenderLeg>(&plain()),
        json!({"receiver_id": ID, "transport_params": [{"destination_port": 6100}]}),
    );
    let before = sender.clone();
    sender.follow(configured(&plain()));
    assert_eq!(sender, before);
    let moved = flow(
        json!({}),
        json!({"dest_addr": "239.3.3.3:6300", "master_enable": false}),
    );
    sender.follow(configured(&moved));
    assert_eq!(sender, Endpoint::new(configured(&moved)));
}
