use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::{AppConfig, check_ports};
use super::{app, document, with};

/// Inputs on these addresses.
fn udp_inputs(addresses: &[&str]) -> AppConfig {
    let inputs = addresses
        .iter()
        .map(|address| json!({"type": "udp", "bind_addr": address}));
    flows(inputs.map(|input| (input, json!([]))))
}

fn flows(flows: impl Iterator<Item = (Value, Value)>) -> AppConfig {
    let flows = flows.enumerate().map(|(index, (input, outputs))| {
        json!({"id": format!("f{index}"), "name": "n", "input": input, "outputs": outputs})
    });
    app(document(&flows.collect())).value
}

fn conflict(config: &AppConfig) -> Option<String> {
    check_ports(config, |_| true).err().map(|error| {
        assert_eq!(error.error_code(), "port_conflict");
        error.to_string()
    })
}

#[test]
fn two_inputs_collide_or_not() {
    for (first, second, collide) in [
        ("192.0.2.1:5000", "192.0.2.1:5000", true),
        ("192.0.2.1:5000", "192.0.2.2:5000", false),
        ("192.0.2.1:5000", "192.0.2.1:5001", false),
        ("0.0.0.0:5000", "192.0.2.1:5000", true),
        ("192.0.2.1:5000", "0.0.0.0:5000", true),
        ("0.0.0.0:5000", "0.0.0.0:5000", true),
        ("0.0.0.0:0", "0.0.0.0:0", false),
        ("192.0.2.1:0", "192.0.2.1:0", false),
        // The kernel lets groups share a port with each other, and not with a wildcard.
        ("239.1.1.1:5000", "239.1.1.1:5000", false),
        ("239.1.1.1:5000", "239.1.1.2:5000", false),
        ("239.1.1.1:5000", "0.0.0.0:5000", true),
        ("0.0.0.0:5000", "239.1.1.1:5000", true),
        ("239.1.1.1:5000", "192.0.2.1:5000", false),
        ("[::]:5000", "0.0.0.0:5000", false),
        ("[::]:5000", "[2001:db8::1]:5000", true),
        ("[2001:db8::1]:5000", "[2001:db8::1]:5000", true),
        ("[2001:db8::1]:5000", "[::]:5000", true),
        ("[ff3e::1]:5000", "[ff3e::1]:5000", false),
        ("[ff3e::1]:5000", "[::]:5000", true),
        ("[fe80::1%1]:5000", "[fe80::1%2]:5000", false),
        ("[fe80::1%1]:5000", "[fe80::1%1]:5000", true),
        // UDP beside the TCP port of the API.
        ("0.0.0.0:8080", "0.0.0.0:9090", false),
    ] {
        let found = conflict(&udp_inputs(&[first, second]));
        assert_eq!(found.is_some(), collide, "{first} {second}: {found:?}");
    }
}

#[test]
fn a_third_party_between_two_does_not_hide_them() {
    assert!(conflict(&udp_inputs(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.1:1"])).is_some());
    assert!(conflict(&udp_inputs(&["239.1.1.1:1", "239.1.1.2:1", "0.0.0.0:1"])).is_some());
    assert!(conflict(&udp_inputs(&["0.0.0.0:2", "192.0.2.2:1", "192.0.2.2:2"])).is_some());
}

#[test]
fn both_owners_are_named() {
    assert_eq!(
        conflict(&udp_inputs(&["0.0.0.0:5000", "127.0.0.1:5000"])).unwrap(),
        "flow 'f1', input: bind_addr needs UDP 127.0.0.1:5000, which flow 'f0', input has already \
         (bind_addr 0.0.0.0:5000)"
    );
    let mut config = udp_inputs(&[]);
    config.monitor = Some(super::super::MonitorConfig {
        listen_addr: [127, 0, 0, 1].into(),
        listen_port: 8080,
    });
    assert_eq!(
        conflict(&config).unwrap(),
        "monitor: listen_port needs TCP 127.0.0.1:8080, which server has already (listen_port 0.0.0.0:8080)"
    );
}

#[test]
fn outputs_fec_and_legs_count() {
    let rtp = json!({"type": "rtp", "bind_addr": "192.0.2.1:5000"});
    let fec = with(&rtp, &json!({"fec_decode": {"columns": 4, "rows": 4}}));
    let legs = with(
        &fec,
        &json!({"redundancy": {"bind_addr": "192.0.2.1:6000"}}),
    );
    let off = with(
        &legs,
        &json!({"redundancy": {"bind_addr": "192.0.2.1:6000", "rtp_enabled": false}}),
    );
    let off_1 = with(&legs, &json!({"rtp_enabled": false}));
    let output = |bind_addr: &str| json!([{"type": "udp", "id": "o", "name": "O", "dest_addr": "192.0.2.9:1", "bind_addr": bind_addr}]);
    for (input, bind_addr, expected) in [
        (&rtp, "192.0.2.1:5002", None),
        (&rtp, "192.0.2.1:5000", Some("bind_addr 192.0.2.1:5000")),
        (&fec, "192.0.2.1:5001", None),
        (
            &fec,
            "192.0.2.1:5002",
            Some("flow 'f0', input has already (fec_decode 192.0.2.1:5002)"),
        ),
        (&fec, "0.0.0.0:5004", Some("(fec_decode 192.0.2.1:5004)")),
        (
            &legs,
            "192.0.2.1:6000",
            Some("flow 'f0', input, redundancy has already"),
        ),
        (&legs, "192.0.2.1:6004", Some("(fec_decode 192.0.2.1:6004)")),
        (&off, "192.0.2.1:6000", None),
        (&off, "192.0.2.1:5004", Some("fec_decode")),
        (
            &with(&legs, &json!({"master_enable": false})),
            "192.0.2.1:5000",
            None,
        ),
        (&off_1, "192.0.2.1:6000", Some("input, redundancy")),
        (&off_1, "192.0.2.1:5000", None),
    ] {
        let config = flows([(input.clone(), output(bind_addr))].into_iter());
        let found = conflict(&config);
        match expected {
            None => assert_eq!(found, None),
            Some(expected) => {
                let found = found.unwrap();
                assert!(
                    found.starts_with("flow 'f0', output 'o': bind_addr needs UDP"),
                    "{found}"
                );
                assert!(found.contains(expected), "{found}\n{expected}");
            }
        }
    }
    let two_legs = json!([{"type": "rtp", "id": "o", "name": "O", "dest_addr": "192.0.2.9:1",
        "bind_addr": "0.0.0.0:7000", "redundancy": {"dest_addr": "192.0.2.9:2", "bind_addr": "0.0.0.0:7000"}}]);
    let found = conflict(&flows([(json!({"type": "test"}), two_legs)].into_iter())).unwrap();
    assert!(
        found.starts_with("flow 'f0', output 'o', redundancy: bind_addr"),
        "{found}"
    );
}

#[test]
fn connections_and_tunnels_count() {
    let srt = |mode: &str, local_addr: &str| {
        json!({"type": "srt", "mode": mode,
        "local_addr": local_addr, "remote_addr": "192.0.2.9:9000"})
    };
    let legs = with(
        &srt("caller", "0.0.0.0:0"),
        &json!({"redundancy": srt("listener", "192.0.2.1:5000")}),
    );
    let rtmp = |listen_addr: &str| json!({"type": "rtmp", "listen_addr": listen_addr});
    let udp = json!({"type": "udp", "bind_addr": "0.0.0.0:5000"});
    for (first, second, expected) in [
        (
            &udp,
            &srt("listener", "192.0.2.1:5000"),
            Some("flow 'f1', input: local_addr needs UDP 192.0.2.1:5000"),
        ),
        (
            &udp,
            &srt("caller", "192.0.2.1:5000"),
            Some("local_addr needs UDP 192.0.2.1:5000"),
        ),
        (
            &udp,
            &srt("rendezvous", "192.0.2.1:5000"),
            Some("local_addr needs UDP"),
        ),
        (&udp, &srt("caller", "192.0.2.1:0"), None),
        (
            &udp,
            &legs,
            Some("flow 'f1', input, redundancy: local_addr needs UDP 192.0.2.1:5000"),
        ),
        (&udp, &rtmp("0.0.0.0:5000"), None),
        (
            &rtmp("0.0.0.0:1935"),
            &rtmp("192.0.2.1:1935"),
            Some(
                "flow 'f1', input: listen_addr needs TCP 192.0.2.1:1935, which flow 'f0', input has already",
            ),
        ),
        (
            &udp,
            &rtmp("127.0.0.1:8080"),
            Some("which server has already (listen_port 0.0.0.0:8080)"),
        ),
        (&json!({"type": "webrtc"}), &json!({"type": "webrtc"}), None),
    ] {
        let inputs = [first, second].map(|input| (input.clone(), json!([])));
        let found = conflict(&flows(inputs.into_iter()));
        match expected {
            None => assert_eq!(found, None),
            Some(expected) => assert!(found.as_ref().unwrap().contains(expected), "{found:?}"),
        }
    }
    let output = with(
        &srt("listener", "0.0.0.0:5000"),
        &json!({"id": "o", "name": "O"}),
    );
    let found = conflict(&flows([(udp.clone(), json!([output]))].into_iter()));
    assert!(
        found
            .as_ref()
            .unwrap()
            .starts_with("flow 'f0', output 'o': local_addr needs UDP"),
        "{found:?}"
    );

    let tunnel = json!({"id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890", "name": "T",
        "protocol": "udp", "mode": "direct", "direction": "egress", "local_addr": "0.0.0.0:5000",
        "peer_addr": "h:1", "direct_listen_addr": "0.0.0.0:5000"});
    let ingress = json!({"direction": "ingress", "local_addr": "127.0.0.1:8080"});
    for (fields, expected) in [
        (
            json!({}),
            Some("tunnel 'a1b2c3d4-e5f6-7890-abcd-ef1234567890': local_addr needs UDP"),
        ),
        (json!({"enabled": false}), None),
        (json!({"protocol": "tcp"}), None),
        (
            json!({"protocol": "tcp", "local_addr": "0.0.0.0:8080"}),
            Some("local_addr needs TCP"),
        ),
        (
            ingress.clone(),
            Some("direct_listen_addr needs UDP 0.0.0.0:5000"),
        ),
        (
            with(&ingress, &json!({"protocol": "tcp"})),
            Some("direct_listen_addr needs UDP"),
        ),
        (
            with(
                &ingress,
                &json!({"mode": "relay", "relay_addr": "h:1", "tunnel_encryption_key": "0".repeat(64)}),
            ),
            None,
        ),
    ] {
        let flow = json!({"id": "f", "name": "F", "input": udp, "outputs": []});
        let tunnels = json!({"tunnels": [with(&tunnel, &fields)]});
        let found = conflict(&app(with(&document(&json!([flow])), &tunnels)).value);
        match expected {
            None => assert_eq!(found, None),
            Some(expected) => assert!(found.as_ref().unwrap().contains(expected), "{found:?}"),
        }
    }
}

#[test]
fn only_flows_that_count_are_compared() {
    let config = udp_inputs(&["0.0.0.0:5000", "0.0.0.0:5000"]);
    assert!(check_ports(&config, |flow| flow.id == "f1").is_ok());
    assert!(check_ports(&config, |_| true).is_err());
}

#[test]
fn many_sockets_on_one_port_are_compared_quickly() {
    let outputs = |flow: usize| {
        (0..16_usize).map(move |output| {
            json!({"type": "udp", "id": output.to_string(), "name": "n", "dest_addr": "192.0.2.9:1",
                "bind_addr": format!("10.{}.{}.{output}:5000", flow / 256, flow % 256)})
        })
    };
    let config = flows((0..4_096).map(|flow| {
        let group = format!("239.0.{}.{}:5000", flow / 256, flow % 256);
        (
            json!({"type": "udp", "bind_addr": group}),
            outputs(flow).collect(),
        )
    }));
    let begin = Instant::now();
    assert_eq!(conflict(&config), None);
    // 69,632 sockets take some 30 ms; compared with each other they would take minutes.
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}
