//! What others change while an activation waits: the later word wins, and people are told.

use super::*;

const CANCELLED: &str = "is cancelled";

impl Edge {
    /// Schedules these transport parameters of a single leg, `millis` from now; returns when they are due.
    fn schedule(&self, path: &str, leg: &Value, millis: u64) -> Duration {
        let due = tai() + Duration::from_millis(millis);
        let body = json!({
            "transport_params": [leg],
            "activation": {"mode": "activate_scheduled_absolute", "requested_time": shown(due)},
        });
        let (status, answer) = self.patch(path, &body);
        assert_eq!(status, 202, "{answer}");
        due
    }

    fn put_flow(&self, flow: &Value) {
        let (status, answer) = self.edge.put("/api/v1/flows/a", flow);
        assert_eq!(status, 200, "{answer}");
    }

    fn saved(&self) -> Value {
        self.edge.folder.read_config()["flows"][0].clone()
    }
}

#[test]
fn a_change_of_the_same_sender_or_receiver_cancels_it() {
    let node = Edge::start();
    for (count, path, leg, pointer, address) in [
        (
            1,
            sender("a").1,
            json!({"destination_port": 6900}),
            "/outputs/0/dest_addr",
            "239.1.1.1:6100",
        ),
        (
            2,
            receiver("a").1,
            json!({"destination_port": 5900}),
            "/input/bind_addr",
            "127.0.0.1:5050",
        ),
    ] {
        node.schedule(&path, &leg, 1_000_000);
        let mut flow = node.saved();
        *flow.pointer_mut(pointer).unwrap() = json!(address);
        node.put_flow(&flow);
        wait_until("the event", || node.told(CANCELLED).len() == count);
        let event = node.told(CANCELLED).remove(0);
        assert_eq!(event["flow_id"], "a");
        assert_eq!(event["severity"], "warning");
        let staged = node.get(&format!("{path}/staged"));
        assert_eq!(staged["activation"], nothing());
        let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
        assert_eq!(staged["transport_params"][0]["destination_port"], port);
        assert_eq!(node.patch(&path, &json!({})).0, 200, "it is not locked");

        // The next change of it is that of anybody.
        *flow.pointer_mut(pointer).unwrap() = json!(format!("{address}1"));
        node.put_flow(&flow);
        assert_eq!(node.get(&format!("{path}/staged"))["activation"], nothing());
        assert_eq!(node.told(CANCELLED).len(), count);
    }
}

#[test]
fn the_file_does_not_bring_a_cancelled_one_back() {
    let node = Edge::start();
    let (_, path) = sender("a");
    node.schedule(&path, &json!({"destination_port": 6900}), 1_000_000);
    let file = node.edge.folder.path().join("etc/nmos-state.json");
    let saved = || fs::read_to_string(&file).unwrap();
    assert!(saved().contains("activate_scheduled_absolute"));
    let mut flow = plain();
    flow["outputs"][0]["dest_addr"] = json!("239.1.1.1:6100");
    node.put_flow(&flow);
    // Nobody asks anything of NMOS.
    wait_until("the file to forget it", || {
        !saved().contains("activate_scheduled_absolute")
    });
    let node = node.restart(|| {});
    assert_eq!(node.get(&format!("{path}/staged"))["activation"], nothing());
    assert_eq!(node.told(CANCELLED), [] as [Value; 0]);
}

#[test]
fn a_change_at_the_last_moment_is_not_overwritten() {
    let node = Edge::start();
    let (_, path) = receiver("a");
    let due = node.schedule(&path, &json!({"destination_port": 5900}), 1_500);
    let mut flow = plain();
    flow["input"]["bind_addr"] = json!("127.0.0.1:5050");
    node.put_flow(&flow);
    assert!(tai() < due, "the host was too slow to change it in time");
    wait_until("the time of the activation", || tai() > due);
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["transport_params"][0]["destination_port"], 5050);
    assert_eq!(active["activation"], nothing());
    assert_eq!(node.saved()["input"]["bind_addr"], "127.0.0.1:5050");
    assert_eq!(node.told(CANCELLED).len(), 1);
}

#[test]
fn a_change_of_anything_else_leaves_it_alone() {
    let node = Edge::start();
    let (_, path) = sender("a");
    let due = node.schedule(&path, &json!({"destination_port": 6900}), 1_500);
    let mut flow = plain();
    flow["name"] = json!("Another name");
    flow["media_analysis"] = json!(true);
    flow["input"]["bind_addr"] = json!("127.0.0.1:5050");
    flow["outputs"][0]["payload_type"] = json!(97);
    flow["outputs"][1]["dest_addr"] = json!("127.0.0.1:7100");
    node.put_flow(&flow);
    wait_until("the time of the activation", || tai() > due);
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["transport_params"][0]["destination_port"], 6900);
    flow["outputs"][0]["dest_addr"] = json!("239.1.1.1:6900");
    assert_eq!(node.saved(), flow);
    assert_eq!(node.told(CANCELLED), [] as [Value; 0]);
}

#[test]
fn what_was_changed_while_nobody_was_there_is_not_overwritten_at_the_start() {
    let node = Edge::start();
    let (_, path) = sender("a");
    let due = node.schedule(&path, &json!({"destination_port": 6900}), 1_500);
    let config = node.edge.folder.config();
    let mut document = node.edge.folder.read_config();
    let node = node.restart(|| {
        document["flows"][0]["outputs"][0]["dest_addr"] = json!("239.1.1.1:6100");
        fs::write(&config, document.to_string()).unwrap();
        wait_until("the time of the activation", || tai() > due);
    });
    wait_until("the event", || node.told(CANCELLED).len() == 1);
    let active = node.get(&format!("{path}/active"));
    assert_eq!(active["transport_params"][0]["destination_port"], 6100);
}

#[test]
fn it_goes_with_the_output_that_it_is_for() {
    let node = Edge::start();
    let (id, path) = sender("a");
    node.schedule(&path, &json!({"destination_port": 6900}), 1_000_000);
    let (status, answer) = node.edge.delete("/api/v1/flows/a/outputs/out");
    assert_eq!(status, 200, "{answer}");
    wait_until("the event", || node.told(CANCELLED).len() == 1);
    let event = node.told(CANCELLED).remove(0);
    assert!(event["message"].as_str().unwrap().contains(&id.to_string()));
}
