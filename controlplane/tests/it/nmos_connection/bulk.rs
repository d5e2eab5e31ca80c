//! Many activations in one request: one change of the node.

use std::time::Instant;

use bilbycast_shm_proto::control::ControlErrorKind;

use super::*;

/// A flow with `outputs` RTP outputs, its ports counted up from `port`.
fn wide(id: &str, port: u16, outputs: u16) -> Value {
    let outputs = (0..outputs).map(|number| {
        json!({"type": "rtp", "id": format!("o{number}"), "name": "O",
            "dest_addr": format!("127.0.0.1:{}", port + 1 + number)})
    });
    json!({"id": id, "name": id, "enabled": true,
        "input": {"type": "rtp", "bind_addr": format!("127.0.0.1:{port}")},
        "outputs": outputs.collect::<Vec<_>>()})
}

fn start(flows: &[Value]) -> Edge {
    let folder = Folder::new();
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    folder.write_config(flows);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(flows.len());
    data_plane.take_commands();
    Edge { edge, data_plane }
}

fn sender(flow: &str, output: &str) -> Uuid {
    id(&format!("sender/{flow}/{output}"))
}

fn entry(id: Uuid, port: u16) -> Value {
    json!({"id": id, "params": {
        "transport_params": [{"destination_port": port}],
        "activation": {"mode": "activate_immediate"},
    }})
}

/// Code and error of each entry.
fn post(node: &Edge, side: &str, entries: &[Value]) -> Vec<(u64, Option<String>)> {
    let body = json!(entries);
    let (status, answer) = node.edge.post(&format!("{API}/bulk/{side}"), &body);
    assert_eq!(status, 200, "{answer}");
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), entries.len());
    let results = answers.iter().zip(entries).map(|(answer, entry)| {
        assert_eq!(answer["id"], entry["id"]);
        let error = answer["error"].as_str().map(str::to_owned);
        (answer["code"].as_u64().unwrap(), error)
    });
    results.collect()
}

fn port_of(node: &Edge, sender: Uuid) -> Value {
    let active = node.get(&format!("/single/senders/{sender}/active"));
    active["transport_params"][0]["destination_port"].clone()
}

#[test]
fn two_hundred_activations_take_less_than_a_second() {
    let flows = (0..100).map(|number| wide(&format!("f{number}"), 20_000 + 10 * number, 1));
    let mut flows: Vec<_> = flows.collect();
    flows.push(wide("wide", 30_000, 100));
    let node = start(&flows);
    let single = (0..100).map(|number| sender(&format!("f{number}"), "o0"));
    let beside = (0..100).map(|number| sender("wide", &format!("o{number}")));
    let ids: Vec<_> = single.chain(beside).collect();
    let entries: Vec<_> = (40_000..)
        .zip(&ids)
        .map(|(port, id)| entry(*id, port))
        .collect();
    let asked = Instant::now();
    let results = post(&node, "senders", &entries);
    let took = asked.elapsed();
    println!("200 activations of 101 flows took {took:?}");
    assert!(
        results.iter().all(|result| *result == (200, None)),
        "{results:?}"
    );
    assert!(took < Duration::from_secs(1), "{took:?}");
    let applied = node.applied();
    assert_eq!(applied.len(), 101, "each flow once");
    for (port, id) in [
        (40_000, ids[0]),
        (40_099, ids[99]),
        (40_100, ids[100]),
        (40_199, ids[199]),
    ] {
        assert_eq!(port_of(&node, id), port);
    }
    let saved = node.edge.folder.read_config();
    assert_eq!(
        saved["flows"][100]["outputs"][99]["dest_addr"],
        "127.0.0.1:40199"
    );
}

#[test]
fn an_entry_that_fails_leaves_the_others() {
    let flows = ["a", "b", "c"].into_iter().zip([20_000, 20_100, 20_200]);
    let flows: Vec<_> = flows.map(|(id, port)| wide(id, port, 3)).collect();
    let node = start(&flows);
    let [a0, a1, b0, b1, c0] = [
        ("a", "o0"),
        ("a", "o1"),
        ("b", "o0"),
        ("b", "o1"),
        ("c", "o0"),
    ]
    .map(|(flow, output)| sender(flow, output));
    // The data plane refuses one flow; something is wrong with one entry of another one.
    node.data_plane
        .refuse("b", ControlErrorKind::Bind, "no such interface");
    let mut bad = entry(a1, 40_001);
    bad["params"]["transport_params"][0]["no_such"] = json!(1);
    let entries = [
        entry(a0, 40_000),
        bad,
        entry(b0, 40_002),
        entry(b1, 40_003),
        entry(c0, 40_004),
        entry(a0, 40_005),
    ];
    let codes: Vec<_> = post(&node, "senders", &entries)
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(codes, [200, 400, 500, 500, 200, 200]);
    let ports = [
        (a0, 40_005),
        (a1, 20_002),
        (b0, 20_101),
        (b1, 20_102),
        (c0, 40_004),
    ];
    for (id, port) in ports {
        assert_eq!(port_of(&node, id), port);
    }
    let saved = node.edge.folder.read_config();
    assert_eq!(saved["flows"][1]["outputs"], flows[1]["outputs"]);
    assert_eq!(
        saved["flows"][0]["outputs"][0]["dest_addr"],
        "127.0.0.1:40005"
    );
    node.data_plane.accept("b");

    // Of two receivers that want one port the first one gets it.
    let [a, b] = ["a", "b"].map(|flow| id(&format!("receiver/{flow}")));
    let results = post(&node, "receivers", &[entry(a, 20_900), entry(b, 20_900)]);
    assert_eq!(results[0], (200, None));
    let (code, error) = &results[1];
    assert_eq!(*code, 400);
    assert!(error.as_ref().unwrap().contains("20900"), "{error:?}");

    // A disk that is full takes everything back.
    let before = node.edge.folder.read_config();
    node.edge.folder.break_disk();
    let results = post(&node, "senders", &[entry(b0, 40_010), entry(c0, 40_011)]);
    assert!(results.iter().all(|(code, _)| *code == 500), "{results:?}");
    node.edge.folder.mend_disk();
    assert_eq!(node.edge.folder.read_config(), before);
    assert_eq!(
        (port_of(&node, b0), port_of(&node, c0)),
        (json!(20_101), json!(40_004))
    );
}

#[test]
fn scheduled_ones_that_are_due_together_happen_in_one_change() {
    let flows = ["a", "b"].into_iter().zip([20_000, 20_100]);
    let flows: Vec<_> = flows.map(|(id, port)| wide(id, port, 2)).collect();
    let node = start(&flows);
    let due = shown(tai() + Duration::from_millis(300));
    let ids = [("a", "o0"), ("a", "o1"), ("b", "o0")].map(|(flow, output)| sender(flow, output));
    let entries: Vec<_> = (40_000..)
        .zip(ids)
        .map(|(port, id)| {
            let mut entry = entry(id, port);
            entry["params"]["activation"] =
                json!({"mode": "activate_scheduled_absolute", "requested_time": due});
            entry
        })
        .collect();
    let results = post(&node, "senders", &entries);
    assert!(
        results.iter().all(|result| *result == (202, None)),
        "{results:?}"
    );
    wait_until("the activations", || port_of(&node, ids[2]) == 40_002);
    assert_eq!(
        (port_of(&node, ids[0]), port_of(&node, ids[1])),
        (json!(40_000), json!(40_001))
    );
    assert_eq!(node.applied().len(), 2);
}
