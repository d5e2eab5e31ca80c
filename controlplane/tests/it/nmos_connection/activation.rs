//! When what is staged becomes active, and what becomes of it when it cannot.

use bilbycast_shm_proto::control::ControlErrorKind;
use bilbycast_shm_proto::model::OutputKind;

use super::*;

#[test]
fn a_relative_activation_happens_when_its_time_has_come_and_not_before() {
    let node = Edge::start();
    let (_, path) = sender("a");
    let (status, answer) = node.patch(
        &path,
        &json!({
            "transport_params": [{"destination_port": 6900}],
            "activation": {"mode": "activate_scheduled_relative", "requested_time": "0:200000000"},
        }),
    );
    let answered = tai();
    assert_eq!(status, 202, "{answer}");
    assert_valid("sender-response-schema", &answer);
    let due = read(&answer["activation"]["activation_time"]);
    assert_eq!(answer["activation"]["requested_time"], "0:200000000");
    assert!(due <= answered + Duration::from_millis(200));
    let mut seen_before = false;
    loop {
        let asked = tai();
        let port =
            node.get(&format!("{path}/active"))["transport_params"][0]["destination_port"].clone();
        let told = tai();
        if told < due {
            assert_eq!(port, 6000, "before its time");
            seen_before = true;
        }
        if asked >= due {
            assert_eq!(port, 6900, "after its time");
            break;
        }
    }
    assert!(seen_before, "the host was too slow to see the time before");
    let active = node.get(&format!("{path}/active"));
    let activation = &active["activation"];
    assert_eq!(activation["mode"], "activate_scheduled_relative");
    assert_eq!(activation["requested_time"], "0:200000000");
    assert!(read(&activation["activation_time"]) >= due);
    assert_eq!(node.get(&format!("{path}/staged"))["activation"], nothing());
    assert_eq!(node.applied().len(), 1);
}

#[test]
fn the_timer_needs_nobody_who_asks() {
    let node = Edge::start();
    let (_, path) = receiver("a");
    let body = json!({
        "transport_params": [{"destination_port": 5900}],
        "activation": {"mode": "activate_scheduled_absolute",
            "requested_time": shown(tai() + Duration::from_millis(50))},
    });
    assert_eq!(node.patch(&path, &body).0, 202);
    wait_until("the activation", || {
        node.edge.folder.read_config()["flows"][0]["input"]["bind_addr"] == "127.0.0.1:5900"
    });
}

#[test]
fn a_scheduled_activation_locks_and_can_be_cancelled() {
    let node = Edge::start();
    let (_, path) = receiver("a");
    let time = shown(tai() + Duration::from_secs(1_000));
    let body = json!({
        "transport_params": [{"destination_port": 5900}],
        "activation": {"mode": "activate_scheduled_absolute", "requested_time": time},
    });
    let (status, answer) = node.patch(&path, &body);
    assert_eq!(status, 202);
    assert_valid("receiver-response-schema", &answer);
    assert_eq!(answer["activation"]["activation_time"], json!(time));
    assert_eq!(node.get(&format!("{path}/staged")), answer);
    for body in [json!({}), json!({"master_enable": true}), body] {
        let (status, answer) = node.patch(&path, &body);
        assert_eq!(status, 423, "{answer}");
        assert_valid("error", &answer);
    }
    // It outlives the process.
    let node = node.restart(|| {});
    assert_eq!(node.get(&format!("{path}/staged")), answer);
    assert_eq!(node.patch(&path, &json!({})).0, 423);
    let (status, answer) = node.patch(&path, &json!({"activation": {"mode": null}}));
    assert_eq!((status, &answer["activation"]), (200, &nothing()));
    assert_eq!(answer["transport_params"][0]["destination_port"], 5900);
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["transport_params"][0]["destination_port"], 5000);
    assert_eq!(node.patch(&path, &json!({})).0, 200);
}

#[test]
fn an_activation_that_became_due_while_nobody_was_there_happens_at_the_start() {
    let node = Edge::start();
    let (_, path) = sender("a");
    let due = tai() + Duration::from_millis(400);
    let body = json!({
        "transport_params": [{"destination_port": 6900}],
        "activation": {"mode": "activate_scheduled_absolute", "requested_time": shown(due)},
    });
    let (status, answer) = node.patch(&path, &body);
    assert_eq!(status, 202, "{answer}");
    let node = node.restart(|| wait_until("the time of the activation", || tai() > due));
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["transport_params"][0]["destination_port"], 6900);
    assert_eq!(active["activation"]["requested_time"], json!(shown(due)));
    assert_eq!(node.get(&format!("{path}/staged"))["activation"], nothing());
    wait_until("the data plane to follow", || {
        let OutputKind::Rtp(rtp) = node.data_plane.spec("a").outputs[0].kind.clone() else {
            panic!("an RTP output");
        };
        rtp.legs[0].as_ref().unwrap().dest_addr.port() == 6900
    });
    let saved = node.edge.folder.read_config();
    assert_eq!(
        saved["flows"][0]["outputs"][0]["dest_addr"],
        "239.1.1.1:6900"
    );
}

#[test]
fn many_at_once_are_answered_one_by_one() {
    let node = Edge::start();
    let ((a, path_a), (b, path_b)) = (receiver("a"), receiver("b"));
    let unknown = Uuid::from_u128(0x6d5a_4c3b_0000_4000_8000_0000_0000_00ff);
    let immediate = json!({"mode": "activate_immediate"});
    let body = json!([
        {"id": a, "params": {"transport_params": [{"destination_port": 5900}], "activation": immediate}},
        {"id": b, "params": {"transport_params": [{}], "activation": immediate}},
        {"id": unknown, "params": {}},
        {"id": b, "params": {"activation": {"mode": "activate_scheduled_relative", "requested_time": "1000:0"}}},
        {"id": b, "params": {"master_enable": false}},
    ]);
    let (status, answer) = node.edge.post(&format!("{API}/bulk/receivers"), &body);
    assert_eq!(status, 200, "{answer}");
    assert_valid("bulk-response-schema", &answer);
    let results: Vec<_> = answer.as_array().unwrap().iter().collect();
    let codes: Vec<_> = results
        .iter()
        .map(|result| (&result["id"], &result["code"]))
        .collect();
    let ids = [a, b, unknown, b, b].map(|id| json!(id));
    let expected = [200, 400, 404, 202, 423].map(|code| json!(code));
    assert_eq!(codes, ids.iter().zip(&expected).collect::<Vec<_>>());
    assert_eq!(results[0].get("error"), None);
    assert_eq!(
        results[1]["error"],
        "transport_params: a list of 1, this receiver has 2"
    );
    let active = node.get(&format!("{path_a}/active"));
    assert_eq!(active["transport_params"][0]["destination_port"], 5900);
    let staged = node.get(&format!("{path_b}/staged"));
    assert_eq!(staged["master_enable"], true);
    assert_eq!(staged["activation"]["mode"], "activate_scheduled_relative");
}

#[test]
fn what_cannot_be_carried_out_leaves_everything_as_it_was() {
    let node = Edge::start();
    let (_, path) = sender("a");
    let (staged, active) = (
        node.get(&format!("{path}/staged")),
        node.get(&format!("{path}/active")),
    );
    let config = node.edge.folder.read_config();
    let activation =
        |mode: Value| json!({"transport_params": [{"destination_port": 6900}], "activation": mode});
    let immediate = activation(json!({"mode": "activate_immediate"}));
    let unchanged = || {
        assert_eq!(node.get(&format!("{path}/active")), active);
        assert_eq!(node.edge.folder.read_config(), config);
    };

    node.data_plane
        .refuse("a", ControlErrorKind::Bind, "no such interface");
    let (status, answer) = node.patch(&path, &immediate);
    assert_eq!(status, 500, "{answer}");
    assert_valid("error", &answer);
    assert_eq!(answer["error"], "Flow 'a': no such interface");
    unchanged();
    assert_eq!(node.get(&format!("{path}/staged")), staged);

    // Nobody waits for the answer of a scheduled one; it ends, and people are told.
    let scheduled = json!({"mode": "activate_scheduled_relative", "requested_time": "0:0"});
    assert_eq!(node.patch(&path, &activation(scheduled)).0, 202);
    assert_eq!(node.get(&format!("{path}/staged"))["activation"], nothing());
    unchanged();
    let failed = node.told("a scheduled NMOS activation of sender");
    assert_eq!(failed.len(), 1, "{failed:?}");
    node.data_plane.accept("a");

    // A port that another input has.
    let (_, receiver) = receiver("a");
    let taken = json!({
        "transport_params": [{"multicast_ip": null, "interface_ip": "127.0.0.1", "destination_port": 5100}, {
            "multicast_ip": null, "interface_ip": "127.0.0.1", "destination_port": 5100}],
        "activation": {"mode": "activate_immediate"},
    });
    let (_, both) = self::receiver("b");
    let (status, answer) = node.patch(&both, &taken);
    assert_eq!(status, 400, "{answer}");
    assert!(
        answer["error"].as_str().unwrap().contains("5100"),
        "{answer}"
    );
    assert_eq!(
        node.get(&format!("{receiver}/active"))["master_enable"],
        true
    );

    node.edge.folder.break_disk();
    let (status, answer) = node.patch(&path, &json!({"master_enable": false}));
    assert_eq!(status, 500, "{answer}");
    let (status, answer) = node.patch(&path, &immediate);
    assert_eq!(status, 500, "{answer}");
    node.edge.folder.mend_disk();
    unchanged();
    assert_eq!(node.get(&format!("{path}/staged"))["master_enable"], true);
    assert_eq!(node.data_plane.spec("a"), crate::harness::spec(&plain()));
    node.activate(
        &path,
        &json!({"transport_params": [{"destination_port": 6900}]}),
    );
}

#[test]
fn what_is_staged_outlives_the_process() {
    let node = Edge::start();
    let (_, path) = sender("b");
    let (status, staged) = node.patch(
        &path,
        &json!({"master_enable": false, "transport_params": [{"source_port": 6400}, {"destination_ip": "auto"}]}),
    );
    assert_eq!(status, 200, "{staged}");
    let file = node.edge.folder.path().join("etc/nmos-state.json");
    let saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved["senders"].as_object().unwrap().len(), 1);
    let node = node.restart(|| {});
    assert_eq!(node.get(&format!("{path}/staged")), staged);
    // A file that is damaged costs what it held, and nothing else.
    let node = node.restart(|| fs::write(&file, "{").unwrap());
    let reset = node.get(&format!("{path}/staged"));
    assert_eq!(reset["master_enable"], true);
    assert_eq!(node.patch(&path, &json!({"master_enable": false})).0, 200);
}

#[test]
fn a_stopped_flow_is_activated_for_its_next_start() {
    let node = Edge::start();
    let (_, path) = receiver("a");
    assert_eq!(node.edge.act("/api/v1/flows/a/stop").0, 200);
    assert_eq!(node.get(&format!("{path}/active"))["master_enable"], false);
    node.activate(
        &path,
        &json!({"transport_params": [{"destination_port": 5900}]}),
    );
    assert_eq!(node.data_plane.running(), ["b"]);
    assert_eq!(node.edge.act("/api/v1/flows/a/start").0, 200);
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["master_enable"], true);
    assert_eq!(active["transport_params"][0]["destination_port"], 5900);
}
