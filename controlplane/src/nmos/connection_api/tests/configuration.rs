//! Between parameters and configuration.

use super::*;

#[test]
fn an_activation_without_changes_changes_nothing_of_the_flow() {
    for (input, output) in [
        (json!({}), json!({})),
        (
            json!({"bind_addr": "192.0.2.1:5000", "interface_addr": "192.0.2.1",
                "fec_decode": {"columns": 3, "rows": 5}, "allowed_sources": ["203.0.113.7"], "master_enable": true}),
            json!({"dest_addr": "203.0.113.9:6000", "bind_addr": "192.0.2.1:6500", "interface_addr": "127.0.0.1",
                "fec_encode": {"columns": 3, "rows": 5, "layout": "staircase"}, "rtp_enabled": false}),
        ),
        (
            json!({"bind_addr": "[::]:5000", "redundancy": {"bind_addr": "239.1.1.1:5000", "source_addr": "203.0.113.7",
                "interface_addr": "192.0.2.1"}}),
            json!({"dest_addr": "[ff3e::8000:1]:6000", "bind_addr": "[::]:6500", "interface_addr": "2001:db8::1",
                "fec_encode": {"columns": 1, "rows": 5}, "redundancy": {"dest_addr": "203.0.113.9:6000"}}),
        ),
        (
            json!({"allowed_sources": ["203.0.113.0/24"], "max_bitrate_mbps": 12.5}),
            json!({"interface_addr": "192.0.2.1", "payload_type": 96, "dscp": 0}),
        ),
    ] {
        let flow = flow(input, output);
        let (_, after) = activated(&endpoint::<SenderLeg>(&flow), &flow, json!({}));
        assert_eq!(after, flow);
        let (_, after) = activated(&endpoint::<ReceiverLeg>(&flow), &flow, json!({}));
        assert_eq!(after, flow);
    }
}

#[test]
fn a_sender_goes_where_it_is_told() {
    let flow = flow(
        json!({}),
        json!({"redundancy": {"dest_addr": "239.2.2.3:6002", "dscp": 10}}),
    );
    let (sender, after) = activated(
        &endpoint::<SenderLeg>(&flow),
        &flow,
        json!({
            "master_enable": false,
            "transport_params": [
                {"destination_ip": "203.0.113.9", "destination_port": 6100, "source_ip": "192.0.2.1",
                    "source_port": 6200},
                {"destination_ip": "239.2.2.4", "source_ip": "127.0.0.1", "rtp_enabled": false},
            ],
        }),
    );
    assert_eq!(
        output_of(&after),
        json!({
            "id": "out", "name": "Out", "type": "rtp", "dest_addr": "203.0.113.9:6100",
            "bind_addr": "192.0.2.1:6200", "interface_addr": "192.0.2.1", "master_enable": false,
            "redundancy": {"dest_addr": "239.2.2.4:6002", "bind_addr": "127.0.0.1:0",
                "interface_addr": "127.0.0.1", "dscp": 10, "rtp_enabled": false},
        })
    );
    assert_eq!(after.outputs[1], flow.outputs[1]);
    assert_eq!(after.input, flow.input);
    let leg = active(&sender, 0);
    assert_eq!(leg["source_port"], 6200);
    assert_eq!(leg["fec1D_source_port"], 6202);
    assert_eq!(leg["fec2D_destination_port"], 6104);
    let leg_2 = active(&sender, 1);
    assert_eq!(leg_2["source_port"], 5004);
    assert_eq!(leg_2["rtp_enabled"], false);

    // A port that is bound stays when the choice is the node's.
    let (_, after) = activated(
        &sender,
        &after,
        json!({"transport_params": [{"source_ip": "auto", "source_port": "auto"}, {"source_ip": "auto"}]}),
    );
    let output = output_of(&after);
    assert_eq!(output["bind_addr"], "0.0.0.0:6200");
    assert_eq!(output.get("interface_addr"), None);
    assert_eq!(output["redundancy"].get("bind_addr"), None);
}

#[test]
fn auto_is_resolved_and_stable() {
    let flow = plain();
    let everything = json!({"transport_params": [{
        "source_ip": "auto", "destination_ip": "auto", "source_port": "auto", "destination_port": "auto",
    }]});
    let (sender, after) = activated(&endpoint::<SenderLeg>(&flow), &flow, everything.clone());
    let leg = active(&sender, 0);
    assert!(!leg.to_string().contains("auto"), "{leg}");
    assert_eq!(leg["source_ip"], "192.0.2.1");
    assert_eq!(
        (&leg["source_port"], &leg["destination_port"]),
        (&json!(5004), &json!(5004))
    );
    assert_eq!(leg["destination_ip"], "239.193.2.3");
    assert_eq!(leg["fec_destination_ip"], "239.193.2.3");
    assert_eq!(output_of(&after)["dest_addr"], "239.193.2.3:5004");
    let (again, unchanged) = activated(&sender, &after, everything);
    assert_eq!(unchanged, after);
    assert_eq!(active(&again, 0), leg);
    // An explicit 0 leaves the port to the kernel, and is shown.
    let (zero, _) = activated(
        &again,
        &after,
        json!({"transport_params": [{"source_port": 0}]}),
    );
    assert_eq!(active(&zero, 0)["source_port"], 0);
    assert_eq!(active(&zero, 0)["fec1D_source_port"], 0);
}

#[test]
fn a_sender_changes_its_address_family() {
    let flow = flow(
        json!({}),
        json!({"bind_addr": "192.0.2.1:6500", "interface_addr": "192.0.2.1"}),
    );
    let (_, after) = activated(
        &endpoint::<SenderLeg>(&flow),
        &flow,
        json!({"transport_params": [{"destination_ip": "ff3e::8000:1", "source_ip": "2001:db8::1"}]}),
    );
    let output = output_of(&after);
    assert_eq!(output["dest_addr"], "[ff3e::8000:1]:6000");
    assert_eq!(output["bind_addr"], "[2001:db8::1]:6500");
    assert_eq!(output["interface_addr"], "2001:db8::1");
}

#[test]
fn fec_comes_and_goes_and_keeps_what_only_the_operator_knows() {
    let flow = flow(
        json!({}),
        json!({"fec_encode": {"columns": 5, "rows": 6, "layout": "staircase"}}),
    );
    let sender = endpoint::<SenderLeg>(&flow);
    let leg = active(&sender, 0);
    assert_eq!(leg["fec_enabled"], true);
    assert_eq!(
        (&leg["fec_block_width"], &leg["fec_block_height"]),
        (&json!(5), &json!(6))
    );
    let (sender, off) = activated(
        &sender,
        &flow,
        json!({"transport_params": [{"fec_enabled": false}]}),
    );
    assert_eq!(output_of(&off).get("fec_encode"), None);
    assert_eq!(active(&sender, 0)["fec_block_width"], 5);
    let (sender, on) = activated(
        &sender,
        &off,
        json!({"transport_params": [{"fec_enabled": true, "fec_mode": "1D", "fec_block_height": 7}]}),
    );
    assert_eq!(
        output_of(&on)["fec_encode"],
        json!({"columns": 5, "rows": 7, "layout": "staircase", "mode": "1D"})
    );
    assert_eq!(active(&sender, 0)["fec_mode"], "1D");

    let receiver = endpoint::<ReceiverLeg>(&plain());
    let (receiver, on) = activated(
        &receiver,
        &plain(),
        json!({"transport_params": [{"fec_enabled": true, "fec_mode": "1D"}]}),
    );
    assert_eq!(
        input_of(&on)["fec_decode"],
        json!({"columns": 10, "rows": 10})
    );
    assert_eq!(active(&receiver, 0)["fec_mode"], "1D");
    let (receiver, off) = activated(
        &receiver,
        &on,
        json!({"transport_params": [{"fec_enabled": false, "fec_mode": "auto"}]}),
    );
    assert_eq!(off, plain());
    assert_eq!(active(&receiver, 0)["fec_mode"], "2D");
}

#[test]
fn a_receiver_joins_what_it_is_told() {
    let flow = flow(
        json!({"redundancy": {"bind_addr": "239.1.1.2:5002", "path_differential_ms": 60}}),
        json!({}),
    );
    let (receiver, after) = activated(
        &endpoint::<ReceiverLeg>(&flow),
        &flow,
        json!({
            "sender_id": ID,
            "transport_params": [
                {"multicast_ip": "239.5.5.5", "source_ip": "203.0.113.7", "interface_ip": "192.0.2.1",
                    "destination_port": 5100},
                {"multicast_ip": null, "interface_ip": "127.0.0.1", "rtp_enabled": false},
            ],
        }),
    );
    assert_eq!(
        input_of(&after),
        json!({
            "type": "rtp", "bind_addr": "239.5.5.5:5100", "interface_addr": "192.0.2.1",
            "source_addr": "203.0.113.7",
            "redundancy": {"bind_addr": "127.0.0.1:5002", "rtp_enabled": false, "path_differential_ms": 60},
        })
    );
    assert_eq!(after.outputs, flow.outputs);
    let leg = active(&receiver, 0);
    assert_eq!(leg["fec_destination_ip"], "239.5.5.5");
    assert_eq!(active(&receiver, 1)["fec_destination_ip"], "127.0.0.1");

    // Back to any source, on the interface that the routes lead to.
    let (receiver, after) = activated(
        &receiver,
        &after,
        json!({"transport_params": [{"source_ip": null, "interface_ip": "auto"}, {"interface_ip": "auto"}]}),
    );
    let input = input_of(&after);
    assert_eq!(
        (input.get("source_addr"), input.get("interface_addr")),
        (None, None)
    );
    assert_eq!(input["redundancy"]["bind_addr"], "0.0.0.0:5002");
    assert_eq!(active(&receiver, 0)["interface_ip"], "192.0.2.1");
    assert_eq!(active(&receiver, 1)["interface_ip"], "192.0.2.1");
}

#[test]
fn the_source_of_a_unicast_leg_is_the_only_one_that_is_let_in() {
    let unicast = flow(json!({"bind_addr": "192.0.2.1:5000"}), json!({}));
    let only = json!({"transport_params": [{"source_ip": "203.0.113.7"}]});
    let (receiver, after) = activated(&endpoint::<ReceiverLeg>(&unicast), &unicast, only.clone());
    assert_eq!(input_of(&after)["allowed_sources"], json!(["203.0.113.7"]));
    assert_eq!(active(&receiver, 0)["source_ip"], "203.0.113.7");
    let any = json!({"transport_params": [{"source_ip": null}]});
    let (receiver, after) = activated(&receiver, &after, any.clone());
    assert_eq!(after, unicast);
    assert_eq!(active(&receiver, 0)["source_ip"], json!(null));

    // What the operator allows is narrowed and comes back, and is never left.
    let ranges = json!(["203.0.113.0/24", "198.51.100.1"]);
    let bounded = flow(
        json!({"bind_addr": "192.0.2.1:5000", "allowed_sources": ranges}),
        json!({}),
    );
    let (receiver, after) = activated(&endpoint::<ReceiverLeg>(&bounded), &bounded, only);
    assert_eq!(input_of(&after)["allowed_sources"], json!(["203.0.113.7"]));
    let (receiver, after) = activated(&receiver, &after, any);
    assert_eq!(after, bounded);
    let outside = json!({"transport_params": [{"source_ip": "192.0.2.200"}]});
    let next = staged(&receiver, outside);
    let refused = activated_flow(
        &after,
        &subject::<ReceiverLeg>(),
        next.staged(),
        ID,
        &mut next.applied().clone(),
    );
    let error = refused.unwrap_err().to_string();
    assert!(
        error.contains("192.0.2.200") && error.contains("allowed_sources"),
        "{error}"
    );
}

#[test]
fn the_sources_of_all_legs_are_let_in_or_none_is_named() {
    let two = flow(
        json!({"bind_addr": "192.0.2.1:5000", "redundancy": {"bind_addr": "239.1.1.1:5000"}}),
        json!({}),
    );
    let receiver = endpoint::<ReceiverLeg>(&two);
    let half = json!({
        "transport_params": [{"source_ip": "203.0.113.7"}, {}],
        "activation": {"mode": "activate_immediate"},
    });
    let error = "transport_params[1].source_ip: null is not allowed while a unicast leg names its source: name one on \
                 every leg";
    assert_eq!(refused(&receiver, half), (400, error.to_owned()));
    let both =
        json!({"transport_params": [{"source_ip": "203.0.113.7"}, {"source_ip": "203.0.113.8"}]});
    let (receiver, after) = activated(&receiver, &two, both);
    assert_eq!(
        input_of(&after)["allowed_sources"],
        json!(["203.0.113.7", "203.0.113.8"])
    );
    assert_eq!(input_of(&after)["redundancy"]["source_addr"], "203.0.113.8");
    assert_eq!(active(&receiver, 0)["source_ip"], "203.0.113.7");
}

#[test]
fn what_is_no_legal_configuration_is_not_activated() {
    let flow = plain();
    let sender = endpoint::<SenderLeg>(&flow);
    let next = staged(
        &sender,
        json!({"transport_params": [{"destination_ip": "::ffff:192.0.2.1", "source_ip": "auto"}]}),
    );
    let refused = activated_flow(
        &flow,
        &subject::<SenderLeg>(),
        next.staged(),
        ID,
        &mut next.applied().clone(),
    );
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("dest_addr"), "{error}");
}
