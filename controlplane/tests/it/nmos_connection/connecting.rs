//! What senders and receivers do when they are told.

use bilbycast_shm_proto::model::{InputSpec, OutputKind};

use super::*;

#[test]
fn a_sender_moves_and_its_siblings_do_not() {
    let node = Edge::start();
    let (id, path) = sender("a");
    let before = node.data_plane.spec("a");
    let version = node.resource("senders", id)["version"].clone();
    let started = tai();
    let answer = node.activate(
        &path,
        &json!({"transport_params": [{"destination_ip": "239.9.9.9", "destination_port": 6900}]}),
    );
    assert_valid("sender-response-schema", &answer);
    let activation = &answer["activation"];
    assert_eq!(activation["mode"], "activate_immediate");
    assert_eq!(activation["requested_time"], json!(null));
    let at = read(&activation["activation_time"]);
    assert!((started..=tai()).contains(&at), "{activation}");

    let applied = node.applied();
    assert_eq!(applied.len(), 1);
    let OutputKind::Rtp(rtp) = &applied[0].outputs[0].kind else {
        panic!("{applied:?}");
    };
    assert_eq!(
        rtp.legs[0].as_ref().unwrap().dest_addr.to_string(),
        "239.9.9.9:6900"
    );
    assert_eq!(applied[0].outputs[1], before.outputs[1]);
    assert_eq!(applied[0].input, before.input);

    let staged = node.get(&format!("{path}/staged"));
    assert_eq!(staged["activation"], nothing());
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["activation"], *activation);
    assert_eq!(active["transport_params"][0]["destination_ip"], "239.9.9.9");
    assert_eq!(
        active["transport_params"][0]["fec1D_destination_port"],
        6902
    );
    let saved = node.edge.folder.read_config();
    assert_eq!(
        saved["flows"][0]["outputs"][0]["dest_addr"],
        "239.9.9.9:6900"
    );
    assert_eq!(
        saved["flows"][0]["outputs"][0]["interface_addr"],
        "127.0.0.1"
    );
    let moved = node.resource("senders", id)["version"].clone();
    assert!(read(&moved) > read(&version));

    // The same once more: nothing for the data plane to do, and an activation all the same.
    node.activate(&path, &json!({}));
    assert_eq!(node.applied(), []);
    let again = node.resource("senders", id)["version"].clone();
    assert!(read(&again) > read(&moved));
    assert!(read(&node.get(&format!("{path}/active"))["activation"]["activation_time"]) > at);
}

#[test]
fn switching_off_and_on_shows_in_is_04() {
    let node = Edge::start();
    let ((sender_id, sender), (receiver_id, receiver)) = (sender("a"), receiver("a"));
    let peer = Uuid::from_u128(0x6d5a_4c3b_0000_4000_8000_0000_0000_00ff);
    node.activate(&sender, &json!({"master_enable": false}));
    assert_eq!(
        node.get(&format!("{sender}/active"))["master_enable"],
        false
    );
    let subscription = &node.resource("senders", sender_id)["subscription"];
    assert_eq!(*subscription, json!({"receiver_id": null, "active": false}));
    let saved = node.edge.folder.read_config();
    assert_eq!(saved["flows"][0]["outputs"][0]["master_enable"], false);
    let OutputKind::Rtp(rtp) = &node.applied()[0].outputs[0].kind else {
        panic!("an RTP output");
    };
    assert_eq!(rtp.legs, [None, None]);

    node.activate(
        &sender,
        &json!({"master_enable": true, "receiver_id": peer, "transport_params": [{"destination_ip": "127.0.0.9"}]}),
    );
    let subscription = &node.resource("senders", sender_id)["subscription"];
    assert_eq!(*subscription, json!({"receiver_id": peer, "active": true}));
    node.activate(&receiver, &json!({"sender_id": peer}));
    let subscription = &node.resource("receivers", receiver_id)["subscription"];
    assert_eq!(*subscription, json!({"sender_id": peer, "active": true}));
    assert_eq!(
        node.get(&format!("{receiver}/active"))["sender_id"],
        json!(peer)
    );

    // It is known after a restart, and forgotten when somebody else changes the input.
    let node = node.restart(|| {});
    let subscription = &node.resource("receivers", receiver_id)["subscription"];
    assert_eq!(*subscription, json!({"sender_id": peer, "active": true}));
    assert_eq!(
        node.get(&format!("{receiver}/active"))["sender_id"],
        json!(peer)
    );
    let mut flow = plain();
    flow["input"]["bind_addr"] = json!("127.0.0.1:5050");
    assert_eq!(node.edge.put("/api/v1/flows/a", &flow).0, 200);
    let subscription = &node.resource("receivers", receiver_id)["subscription"];
    assert_eq!(*subscription, json!({"sender_id": null, "active": true}));
    let active = node.get(&format!("{receiver}/active"));
    assert_eq!(active["sender_id"], json!(null));
    assert_eq!(active["transport_params"][0]["destination_port"], 5050);
    let staged = node.get(&format!("{receiver}/staged"));
    assert_eq!(staged["transport_params"][0]["destination_port"], 5050);
}

#[test]
fn both_legs_and_fec_are_told_at_once() {
    let node = Edge::start();
    let (_, path) = sender("b");
    let fec = json!({"fec_block_width": 8, "fec_block_height": 4, "fec_mode": "1D"});
    let mut legs = json!([
        {"destination_ip": "239.7.7.1", "destination_port": 6200, "fec1D_destination_port": 6202},
        {"destination_ip": "239.7.7.2", "destination_port": 6300, "rtp_enabled": false},
    ]);
    for leg in legs.as_array_mut().unwrap() {
        leg.as_object_mut()
            .unwrap()
            .extend(fec.as_object().unwrap().clone());
    }
    node.activate(&path, &json!({"transport_params": legs}));
    let output = &node.edge.folder.read_config()["flows"][1]["outputs"][0];
    assert_eq!(output["dest_addr"], "239.7.7.1:6200");
    assert_eq!(output["redundancy"]["dest_addr"], "239.7.7.2:6300");
    assert_eq!(output["redundancy"]["rtp_enabled"], false);
    assert_eq!(
        output["fec_encode"],
        json!({"columns": 8, "rows": 4, "mode": "1D"})
    );
    let active = node.get(&format!("{path}/active"));
    assert_valid("sender-response-schema", &active);
    assert_eq!(
        active["transport_params"][1]["fec2D_destination_port"],
        6304
    );
    assert_eq!(active["transport_params"][1]["rtp_enabled"], false);
    let OutputKind::Rtp(rtp) = &node.applied()[0].outputs[0].kind else {
        panic!("an RTP output");
    };
    assert!(rtp.legs[0].is_some() && rtp.legs[1].is_none());
    assert_eq!(rtp.fec.as_ref().unwrap().columns, 8);
}

#[test]
fn the_sdp_of_a_sender_connects_a_receiver() {
    let node = Edge::start();
    let (sender_id, sender) = sender("b");
    let (_, receiver) = receiver("b");
    let address = node.edge.address();
    let transport_file = ask(
        address,
        &format!("GET {API}{sender}/transportfile"),
        &[],
        "",
    );
    assert_eq!(transport_file.status, 200);
    assert_eq!(
        transport_file.header("content-type"),
        Some("application/sdp")
    );
    assert_eq!(transport_file.header("cache-control"), Some("no-cache"));
    let href = node.resource("senders", sender_id)["manifest_href"].clone();
    let href = href
        .as_str()
        .unwrap()
        .strip_prefix(&format!("http://{address}"));
    let manifest = ask(address, &format!("GET {}", href.unwrap()), &[], "");
    assert_eq!(manifest.body, transport_file.body);

    let sdp = transport_file.body;
    let mut lines = sdp.split("\r\n");
    assert_eq!(lines.next(), Some("v=0"));
    let expected = [
        "s=",
        "t=0 0",
        "a=group:DUP leg0 leg1",
        "m=video 6100 RTP/AVP 96",
        "c=IN IP4 239.2.2.3/64",
        "a=source-filter: incl IN IP4 239.2.2.3 127.0.0.1",
        "a=rtpmap:96 MP2T/90000",
        "a=ts-refclk:localmac=00-00-00-00-00-00",
        "a=mediaclk:direct=0",
        "a=mid:leg0",
        "m=video 6102 RTP/AVP 96",
        "c=IN IP4 239.2.2.4/64",
        "a=source-filter: incl IN IP4 239.2.2.4 127.0.0.1",
        "a=rtpmap:96 MP2T/90000",
        "a=ts-refclk:localmac=00-00-00-00-00-00",
        "a=mediaclk:direct=0",
        "a=mid:leg1",
        "",
    ];
    let found: Vec<_> = lines.skip(1).collect();
    assert_eq!(found.len(), expected.len(), "{sdp}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}: {sdp}");
    }

    node.activate(
        &receiver,
        &json!({"sender_id": sender_id, "transport_file": {"data": sdp, "type": "application/sdp"}}),
    );
    let active = node.get(&format!("{receiver}/active"));
    assert_valid("receiver-response-schema", &active);
    assert_eq!(active["transport_file"]["data"], json!(sdp));
    assert_eq!(active["transport_params"][1]["multicast_ip"], "239.2.2.4");
    assert_eq!(active["transport_params"][1]["source_ip"], "127.0.0.1");
    let InputSpec::Rtp(rtp) = node.data_plane.spec("b").input else {
        panic!("an RTP input");
    };
    let joined = rtp.legs().map(|leg| {
        let leg = leg.unwrap();
        (
            leg.bind_addr.to_string(),
            leg.source_addr.unwrap().to_string(),
        )
    });
    assert_eq!(
        joined[0],
        ("239.2.2.3:6100".to_owned(), "127.0.0.1".to_owned())
    );
    assert_eq!(
        joined[1],
        ("239.2.2.4:6102".to_owned(), "127.0.0.1".to_owned())
    );

    // RTP that passes through untouched keeps its payload type, and senders say so.
    let mut untouched = protected();
    let output = untouched["outputs"][0].as_object_mut().unwrap();
    output.remove("payload_type");
    output.insert("id".to_owned(), json!("untouched"));
    output.insert("dest_addr".to_owned(), json!("239.2.2.5:6200"));
    let added = node
        .edge
        .post("/api/v1/flows/b/outputs", &untouched["outputs"][0]);
    assert_eq!(added.0, 200, "{}", added.1);
    let line = format!(
        "GET {API}/single/senders/{}/transportfile",
        id("sender/b/untouched")
    );
    let through = ask(address, &line, &[], "").body;
    assert!(through.contains("m=video 6200 RTP/AVP 96\r\n"), "{through}");

    // It goes on being served while the sender is off, with another version in it.
    node.activate(&sender, &json!({"master_enable": false}));
    let off = ask(
        address,
        &format!("GET {API}{sender}/transportfile"),
        &[],
        "",
    );
    assert_eq!(off.status, 200);
    let version = |sdp: &str| {
        let origin = sdp.lines().nth(1).unwrap();
        let version = origin.split(' ').nth(2).unwrap();
        version.parse::<u64>().unwrap()
    };
    assert!(version(&off.body) > version(&sdp));
    assert_eq!(
        off.body.lines().skip(2).collect::<Vec<_>>(),
        sdp.lines().skip(2).collect::<Vec<_>>()
    );
}

#[test]
fn a_stream_that_the_input_would_drop_is_refused() {
    let node = Edge::start();
    let (_, path) = receiver("b");
    let file = ask(
        node.edge.address(),
        &format!("GET {API}{}/transportfile", sender("b").1),
        &[],
        "",
    )
    .body;
    let allow = |types: Value| {
        let mut flow = protected();
        flow["input"]["allowed_payload_types"] = types;
        let (status, answer) = node.edge.put("/api/v1/flows/b", &flow);
        assert_eq!(status, 200, "{answer}");
    };
    let told = json!({"transport_file": {"data": file, "type": "application/sdp"}});
    let with = |mut body: Value, activation: Value| {
        body["activation"] = activation;
        body
    };
    let immediate = json!({"mode": "activate_immediate"});
    let later = json!({"mode": "activate_scheduled_relative", "requested_time": "1000:0"});
    allow(json!([33, 97]));
    let staged = node.get(&format!("{path}/staged"));
    let config = node.edge.folder.read_config();
    for body in [
        told.clone(),
        with(told.clone(), immediate.clone()),
        with(told.clone(), later.clone()),
    ] {
        let (status, answer) = node.patch(&path, &body);
        assert_eq!(status, 400, "{answer}");
        assert_valid("error", &answer);
        let error = answer["error"].as_str().unwrap();
        assert!(
            error.contains("allowed_payload_types is [33, 97]")
                && error.contains("payload type 96 of the transport file"),
            "{error}"
        );
        assert_eq!(node.get(&format!("{path}/staged")), staged);
    }
    assert_eq!(node.edge.folder.read_config(), config);

    // What was staged in time is judged again, and switching off is always possible.
    allow(json!([96]));
    assert_eq!(node.patch(&path, &told).0, 200);
    allow(json!([33]));
    for activation in [&immediate, &later] {
        let (status, answer) = node.patch(&path, &with(json!({}), activation.clone()));
        assert_eq!(status, 400, "{answer}");
    }
    node.activate(&path, &json!({"master_enable": false}));
    allow(json!([33, 96]));
    node.activate(&path, &told);
}
