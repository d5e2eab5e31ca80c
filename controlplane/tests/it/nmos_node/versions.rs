//! Versions: when they move, and when not.

use bilbycast_shm_proto::counters::{ABSENT, FlowRecord};
use bilbycast_shm_proto::detail::{StreamDetail, VideoDetail};
use serde_json::{Value, json};

use super::{KINDS, described, edge, get, list, rtp_flow, tai};
use crate::harness::{ControlPlane, output, wait_until};
use crate::wire::ask;

/// Id, kind and version of everything there is.
pub(super) fn versions(edge: &ControlPlane) -> Vec<(String, String, String)> {
    let mut versions = Vec::new();
    let mut note = |kind: &str, one: &Value| {
        let text = |field: &str| one[field].as_str().unwrap().to_owned();
        let what = match kind {
            "senders" | "receivers" => text("description"),
            _ => text("label"),
        };
        versions.push((kind.to_owned(), what, text("version")));
    };
    note("self", &get(edge, "/self"));
    for kind in KINDS {
        for one in list(edge, kind) {
            note(kind, &one);
        }
    }
    versions
}

/// What of `after` is new, or has another version than in `before`.
pub(super) fn moved(
    before: &[(String, String, String)],
    after: &[(String, String, String)],
) -> Vec<String> {
    let moved = after.iter().filter(|one| !before.contains(one));
    let mut moved: Vec<_> = moved
        .map(|(kind, what, _)| format!("{kind} {what}"))
        .collect();
    moved.sort();
    moved
}

#[test]
fn a_version_moves_with_its_resource_and_with_nothing_else() {
    let (edge, data_plane) = edge(&[rtp_flow("a", 5_000), rtp_flow("b", 5_002)]);
    edge.wait_for_active(2);
    let mut last = versions(&edge);
    let mut moves = |what: &str| {
        let now = versions(&edge);
        let moved = moved(&last, &now);
        for (kind, name, version) in &now {
            let old = last.iter().find(|old| (&old.0, &old.1) == (kind, name));
            if let Some(old) = old {
                assert!(tai(&json!(old.2)) <= tai(&json!(version)), "{what}: {kind}");
            }
        }
        last = now;
        moved
    };
    let label = get(&edge, "/self")["label"].as_str().unwrap().to_owned();
    let device = format!("devices {label}");
    assert!(moves("nothing").is_empty());

    assert_eq!(edge.post("/api/v1/flows", &rtp_flow("c", 5_004)).0, 200);
    assert_eq!(
        moves("a new flow"),
        [
            device.as_str(),
            "flows Flow c",
            "receivers rtp input of flow c",
            "senders rtp output out of flow c",
            "sources Flow c",
        ]
    );

    let mut changed = rtp_flow("b", 5_002);
    changed["outputs"][0]["dscp"] = json!(10);
    changed["media_analysis"] = json!(false);
    assert_eq!(edge.put("/api/v1/flows/b", &changed).0, 200);
    assert!(moves("what NMOS does not tell").is_empty());
    changed["outputs"][0]["dest_addr"] = json!("127.0.0.1:15999");
    assert_eq!(edge.put("/api/v1/flows/b", &changed).0, 200);
    assert_eq!(
        moves("where a sender sends"),
        ["senders rtp output out of flow b"]
    );
    changed["outputs"][0]["master_enable"] = json!(false);
    assert_eq!(edge.put("/api/v1/flows/b", &changed).0, 200);
    assert_eq!(
        moves("whether a sender sends"),
        ["senders rtp output out of flow b"]
    );
    let sender = described(&edge, "senders", "rtp output out of flow b");
    assert_eq!(sender["subscription"]["active"], false);
    changed["input"]["bind_addr"] = json!("127.0.0.1:5022");
    assert_eq!(edge.put("/api/v1/flows/b", &changed).0, 200);
    assert_eq!(
        moves("where a receiver receives"),
        ["receivers rtp input of flow b"]
    );
    let receiver = described(&edge, "receivers", "rtp input of flow b");
    assert!(tai(&receiver["caps"]["version"]) < tai(&receiver["version"]));
    changed["name"] = json!("Renamed");
    assert_eq!(edge.put("/api/v1/flows/b", &changed).0, 200);
    assert_eq!(
        moves("a name"),
        [
            "flows Renamed",
            "receivers rtp input of flow b",
            "senders rtp output out of flow b",
            "sources Renamed",
        ]
    );

    for (action, is_active) in [("stop", false), ("start", true)] {
        assert_eq!(edge.act(&format!("/api/v1/flows/a/{action}")).0, 200);
        assert_eq!(
            moves(action),
            [
                "receivers rtp input of flow a",
                "senders rtp output out of flow a",
            ]
        );
        for (kind, what) in [
            ("receivers", "rtp input of flow a"),
            ("senders", "rtp output out of flow a"),
        ] {
            let one = described(&edge, kind, what);
            assert_eq!(one["subscription"]["active"], is_active, "{action} {kind}");
        }
    }

    let outputs = "/api/v1/flows/a/outputs";
    assert_eq!(edge.post(outputs, &output("more", 40_009)).0, 200);
    assert_eq!(
        moves("a new output"),
        [device.as_str(), "senders udp output more of flow a"]
    );
    assert_eq!(edge.delete(&format!("{outputs}/more")).0, 200);
    assert_eq!(moves("an output that goes"), [device.as_str()]);
    assert_eq!(edge.delete("/api/v1/flows/c").0, 200);
    assert_eq!(moves("a flow that goes"), [device.as_str()]);
    assert_eq!(list(&edge, "senders").len(), 2);

    // A data plane that is away for a moment is no news for controllers.
    data_plane.disconnect();
    edge.wait_for_active(2);
    assert!(moves("a lost data plane").is_empty());
    drop(data_plane);
    edge.wait_for_data_plane("lost");
    assert!(moves("a lost data plane").is_empty());

    let mut document = edge.folder.read_config();
    document["device_name"] = json!("Studio");
    assert_eq!(edge.put("/api/v1/config", &document).0, 200);
    assert_eq!(moves("the name"), ["devices Studio", "self Studio"]);
}

fn detail(frame_rate: f64, total_bitrate_bps: u64) -> StreamDetail {
    StreamDetail {
        total_bitrate_bps,
        video_streams: vec![VideoDetail {
            pid: 256,
            frame_rate: Some(frame_rate),
            ..VideoDetail::default()
        }],
        ..StreamDetail::default()
    }
}

#[test]
fn what_is_measured_moves_versions_seldom() {
    let (edge, data_plane) = edge(&[rtp_flow("a", 5_000), rtp_flow("b", 5_002)]);
    edge.wait_for_active(2);
    let bit_rate = |label: &str| {
        let flows = list(&edge, "flows");
        let flow = flows.iter().find(|flow| flow["label"] == label).unwrap();
        flow["bit_rate"].clone()
    };
    data_plane.publish_detail("a", &detail(29.97, 9_876_543));
    wait_until("the measured rate", || bit_rate("Flow a") == 10_000);
    let sender = described(&edge, "senders", "rtp output out of flow a");
    // Of 1,356 bytes with headers 1,316 are payload.
    assert_eq!(sender["bit_rate"], 10_400);
    let rate = json!({"numerator": 30_000, "denominator": 1_001});
    assert_eq!(list(&edge, "flows")[0]["grain_rate"], rate);
    assert_eq!(list(&edge, "sources")[0]["grain_rate"], rate);

    // What a variable rate does is no news; the other flow shows that it has been looked at.
    let before = versions(&edge);
    data_plane.publish_detail("a", &detail(29.97, 8_400_000));
    data_plane.publish_detail("b", &detail(25.0, 4_000_000));
    wait_until("the measured rate", || bit_rate("Flow b") == 4_000);
    assert_eq!(
        moved(&before, &versions(&edge)),
        ["flows Flow b", "senders rtp output out of flow b"]
    );
}

/// What stands in the packets of a flow.
fn seen(payload_type: u64) -> FlowRecord {
    FlowRecord {
        input_packets_received: 1,
        input_payload_type: payload_type,
        ..FlowRecord::default()
    }
}

#[test]
fn senders_of_untouched_packets_tell_the_payload_type_that_was_last_seen() {
    let mut untouched = rtp_flow("a", 5_000);
    let output = untouched["outputs"][0].as_object_mut().unwrap();
    output.remove("payload_type");
    let mut own = output.clone();
    own.extend([
        ("id".to_owned(), json!("own")),
        ("payload_type".to_owned(), json!(98)),
        ("dest_addr".to_owned(), json!("127.0.0.1:15100")),
    ]);
    untouched["outputs"]
        .as_array_mut()
        .unwrap()
        .push(json!(own));
    let (edge, data_plane) = edge(&[untouched.clone(), rtp_flow("b", 5_002)]);
    edge.wait_for_active(2);
    let told = |output: &str| {
        let description = format!("rtp output {output} of flow a");
        let sender = described(&edge, "senders", &description);
        let path = format!(
            "GET /x-nmos/connection/v1.1/single/senders/{}/transportfile",
            sender["id"].as_str().unwrap()
        );
        let sdp = ask(edge.address(), &path, &[], "").body;
        let (_, rest) = sdp.split_once(" RTP/AVP ").unwrap();
        let payload_type = rest.split_once("\r\n").unwrap().0.to_owned();
        assert!(
            sdp.contains(&format!("a=rtpmap:{payload_type} MP2T/90000")),
            "{sdp}"
        );
        payload_type
    };
    // Nothing has come yet; then there was something else than RTP.
    data_plane.publish_flow("a", &FlowRecord::default());
    assert_eq!(
        (told("out"), told("own")),
        ("33".to_owned(), "98".to_owned())
    );
    let mut last = versions(&edge);
    let mut moves = || {
        let now = versions(&edge);
        let moved = moved(&last, &now);
        last = now;
        moved
    };
    let sender = "senders rtp output out of flow a";
    data_plane.publish_flow("a", &seen(97));
    wait_until("the payload type", || told("out") == "97");
    assert_eq!(
        (moves(), told("own")),
        (vec![sender.to_owned()], "98".to_owned())
    );

    // A signal that is lost is no news; that of the other flow shows that it was looked at.
    for (absent, bps) in [(ABSENT, 4_000_000), (97, 9_000_000)] {
        data_plane.publish_flow("a", &seen(absent));
        data_plane.publish_detail("b", &detail(25.0, bps));
        wait_until("a look", || {
            list(&edge, "flows")[1]["bit_rate"].as_u64() >= Some(bps / 1_000)
        });
        let other = ["flows Flow b", "senders rtp output out of flow b"];
        assert_eq!(
            (moves(), told("out")),
            (other.map(str::to_owned).into(), "97".to_owned())
        );
    }
    data_plane.publish_flow("a", &seen(100));
    wait_until("the payload type", || told("out") == "100");
    assert_eq!(moves(), [sender]);

    // Another source is another stream.
    untouched["input"]["max_bitrate_mbps"] = json!(100);
    assert_eq!(edge.put("/api/v1/flows/a", &untouched).0, 200);
    assert_eq!(told("out"), "100");
    untouched["input"]["bind_addr"] = json!("127.0.0.1:5022");
    assert_eq!(edge.put("/api/v1/flows/a", &untouched).0, 200);
    assert_eq!(told("out"), "33");
    assert_eq!(moves(), ["receivers rtp input of flow a", sender]);
}
