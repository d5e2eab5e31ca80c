use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::config::parse_app;

/// A configuration of flows (id, port, enabled).
fn config(flows: &[(&str, u16, bool)]) -> AppConfig {
    let flows: Vec<_> = flows
        .iter()
        .map(|(id, port, enabled)| {
            json!({
                "id": id, "name": id, "enabled": enabled, "outputs": [],
                "input": {"type": "udp", "bind_addr": format!("127.0.0.1:{port}")},
            })
        })
        .collect();
    let document = json!({
        "version": 1,
        "server": {"listen_addr": "127.0.0.1", "listen_port": 8080},
        "flows": flows,
    });
    let current = AppConfig::default_with(Uuid::nil());
    parse_app(document, &current).unwrap().value
}

/// A data plane that runs these flows and remembers those as stopped by an operator.
fn runs(running: &[(&str, u16)], stopped: &[&str]) -> Runs {
    let running: Vec<_> = running
        .iter()
        .map(|(id, port)| (*id, *port, true))
        .collect();
    let config = config(&running);
    let list = bilbycast_shm_proto::control::FlowList {
        running: config
            .flows
            .iter()
            .map(|flow| flow_spec(flow, config.wrap_payload_type()).unwrap())
            .collect(),
        stopped_by_operator: stopped.iter().map(ToString::to_string).collect(),
    };
    let mut runs = Runs::default();
    runs.begin(1, list);
    runs
}

/// Ids of the flows that are stopped, and of those that are applied.
fn outcome(config: &AppConfig, runs: &Runs) -> (Vec<String>, Vec<String>) {
    let plan = plan(config, runs);
    assert!(plan.impossible.is_empty());
    (
        plan.stops,
        plan.applies.into_iter().map(|flow| flow.id).collect(),
    )
}

fn nothing() -> (Vec<String>, Vec<String>) {
    (Vec::new(), Vec::new())
}

fn stops(flow_id: &str) -> (Vec<String>, Vec<String>) {
    (vec![flow_id.to_owned()], Vec::new())
}

fn applies(flow_id: &str) -> (Vec<String>, Vec<String>) {
    (Vec::new(), vec![flow_id.to_owned()])
}

#[test]
fn equal_flows_are_untouched_whatever_enabled_says() {
    for enabled in [true, false] {
        let config = config(&[("a", 5000, enabled)]);
        assert_eq!(outcome(&config, &runs(&[("a", 5000)], &[])), nothing());
    }
}

#[test]
fn flows_that_differ_are_changed_or_stopped_when_not_enabled() {
    let running = runs(&[("a", 6000)], &[]);
    assert_eq!(
        outcome(&config(&[("a", 5000, true)]), &running),
        applies("a")
    );
    assert_eq!(
        outcome(&config(&[("a", 5000, false)]), &running),
        stops("a")
    );
}

#[test]
fn flows_that_are_not_configured_are_stopped() {
    assert_eq!(
        outcome(&config(&[]), &runs(&[("a", 5000)], &[])),
        stops("a")
    );
}

#[test]
fn missing_flows_start_when_enabled_and_not_stopped_by_an_operator() {
    let enabled = config(&[("a", 5000, true)]);
    assert_eq!(outcome(&enabled, &runs(&[], &[])), applies("a"));
    assert_eq!(outcome(&enabled, &runs(&[], &["a"])), nothing());
    let disabled = config(&[("a", 5000, false)]);
    assert_eq!(outcome(&disabled, &runs(&[], &[])), nothing());
}

#[test]
fn changes_that_were_accepted_meanwhile_are_carried_out() {
    let mut stopped = runs(&[], &["a"]);
    stopped.owe("a", Owed::Start);
    assert_eq!(
        outcome(&config(&[("a", 5000, true)]), &stopped),
        applies("a")
    );
    let mut running = runs(&[("a", 5000)], &[]);
    running.owe("a", Owed::Stop);
    assert_eq!(
        outcome(&config(&[("a", 5000, false)]), &running),
        stops("a")
    );
    running.settle_debts();
    assert_eq!(outcome(&config(&[("a", 5000, false)]), &running), nothing());
}

#[test]
fn what_the_data_plane_cannot_run_is_told_and_holds_up_nobody() {
    let mut config = config(&[("a", 5000, true), ("b", 5002, true)]);
    let current = AppConfig::default_with(Uuid::nil());
    let document = json!({
        "version": 1,
        "server": {"listen_addr": "127.0.0.1", "listen_port": 8080},
        "flows": [{
            "id": "a", "name": "a", "outputs": [],
            "input": {
                "type": "rtp", "bind_addr": "127.0.0.1:5000",
                "redundancy": {"bind_addr": "127.0.0.1:5010"},
            },
        }],
    });
    let hitless = parse_app(document, &current).unwrap().value;
    config.flows[0] = hitless.flows[0].clone();
    let plan = plan(&config, &runs(&[], &[]));
    let expected = flow_spec(&config.flows[0], 33);
    match expected {
        Ok(spec) => assert!(plan.applies.contains(&spec)),
        Err(error) => assert_eq!(plan.impossible, [Failure::impossible("a", &error)]),
    }
    assert!(plan.applies.iter().any(|flow| flow.id == "b"));
}
