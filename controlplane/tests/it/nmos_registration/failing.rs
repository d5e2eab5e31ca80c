//! Registries that do not take the node, or not all of it, and registries that die.

use super::discovery::{announce, unicast};
use super::dns::DnsServer;
use super::*;
use crate::wire::ask;

#[test]
fn a_registry_that_refuses_the_node_at_first_has_it_later() {
    for code in [401, 403, 409] {
        let registry = Registry::start(Manner::Failing(code));
        let edge = Edge::start(&at(&registry));
        edge.wait_for(State::Retrying);
        let status = edge.status().unwrap();
        let reason = status.reason.unwrap();
        assert!(reason.contains(&format!("it answers {code}")), "{reason}");
        let why = status.registries[0].why.as_ref().unwrap();
        assert!(reason.ends_with(&format!(": {why}")), "{reason}; {why}");
        let warned = edge.messages().into_iter().filter(|told| *told == reason);
        assert_eq!(warned.count(), 1, "{:?}", edge.messages());
        registry.set(Manner::Good);
        edge.wait_for(State::Registered);
        assert_eq!(edge.status().unwrap().registries[0].why, None);
        edge.end();
    }
}

#[test]
fn a_registered_node_moves_to_the_next_registry_and_back_when_that_one_dies() {
    let (first, second) = (Registry::start(Manner::Good), Registry::start(Manner::Good));
    let dns = DnsServer::start();
    announce(&dns, &[("first", &first), ("second", &second)]);
    let edge = Edge::start(&unicast(&dns));
    let is_registered_with = |name: &str| {
        edge.status().is_some_and(|status| {
            let registry = status.registry.unwrap_or_default();
            status.state == State::Registered && registry.starts_with(name)
        })
    };
    let heard_only_heartbeats = |registry: &Registry| {
        let requests = lines(&registry.take());
        assert!(!requests.is_empty());
        assert!(
            requests.iter().all(|line| line == "HEARTBEAT"),
            "{requests:?}"
        );
    };
    wait_until("the registration", || is_registered_with("first."));
    assert_eq!(lines(&first.take()), ALL);
    assert!(second.take().is_empty());

    first.set(Manner::Failing(503));
    wait_until("the move", || is_registered_with("second."));
    heard_only_heartbeats(&first);
    let requests = second.take();
    // It is asked whether it knows the node, and does not.
    assert_eq!(lines(&requests)[0], "HEARTBEAT");
    assert_eq!(lines(&requests)[1..=ALL.len()], ALL);
    let told = edge.messages();
    let is_told = |text: &str| told.iter().any(|message| message.contains(text));
    assert!(is_told(": it answers 503"), "{told:?}");
    assert!(is_told("the registration moved from first."), "{told:?}");
    let status = edge.status().unwrap();
    assert!(status.registries[0].why.is_some() && status.registries[1].why.is_none());

    // The first one is back, and still has the node; nobody listens where the second one was.
    first.set(Manner::Good);
    drop(second);
    wait_until("the way back", || is_registered_with("first."));
    heard_only_heartbeats(&first);
    edge.end();
    assert_eq!(lines(&first.take()).last().unwrap(), "DELETE nodes");
}

#[test]
fn what_a_registry_does_not_take_is_in_the_health_and_in_the_metrics() {
    let registry = Registry::start(Manner::Picky("POST sender"));
    let folder = Folder::new();
    folder.write_document(&configuration(&at(&registry)));
    let mut process = Process::start(&folder, &["-p", "0", "-b", "127.0.0.1"]);
    let address = process.address();
    let client = Client::new(address.clone());
    let health = || client.get("/health").1["nmos"].take();
    wait_until("the registration", || health()["state"] == "registered");
    let nmos = health();
    let senders = client.get("/x-nmos/node/v1.3/senders/").1;
    let expected = json!([{"type": "sender", "id": senders[0]["id"], "code": 400}]);
    assert_eq!(nmos["refused"], expected);
    assert_eq!(nmos["refused_total"], 1);
    let reason = nmos["reason"].as_str().unwrap();
    assert!(
        reason.contains("refuses sender") && reason.ends_with("it answers 400, \"not here\""),
        "{reason}"
    );
    let name = format!("http://{}/", registry.address());
    let expected = json!([{"name": name, "priority": 0, "taken": true, "why": null}]);
    assert_eq!(nmos["registries"], expected);

    let metrics = ask(&address, "GET /metrics", &[], "").body;
    for line in [
        "bilbycast_edge_nmos_registered 1",
        "bilbycast_edge_nmos_registries{taken=\"true\"} 1",
        "bilbycast_edge_nmos_registries{taken=\"false\"} 0",
        "bilbycast_edge_nmos_resources_refused 1",
    ] {
        assert!(
            metrics.contains(&format!("\n{line}\n")),
            "{line}: {metrics}"
        );
    }
}
