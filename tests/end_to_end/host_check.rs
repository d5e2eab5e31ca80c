//! `bilbycast-dataplane --check`: what of this host would hurt packets, by itself and as events of a data plane that runs.

use std::process::{Command, Output};
use std::time::Duration;

use bilbycast_tests::node::{Node, binary_folder};
use bilbycast_tests::wait;
use serde_json::Value;

fn check(arguments: &[&str]) -> Output {
    Command::new(binary_folder().join("bilbycast-dataplane"))
        .arg("--check")
        .args(arguments)
        .output()
        .unwrap()
}

fn json(arguments: &[&str]) -> (Value, Option<i32>) {
    let output = check(&[&["--json"], arguments].concat());
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (report, output.status.code())
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().unwrap()
}

#[test]
fn text_json_and_exit_code_agree() {
    let (report, code) = json(&[]);
    let expected = match report["state"].as_str() {
        Some("OK") => 0,
        Some("WARN") => 1,
        Some("FAIL") => 2,
        other => panic!("{other:?}: {report:#}"),
    };
    assert_eq!(code, Some(expected), "{report:#}");
    let output = check(&[]);
    assert_eq!(output.status.code(), Some(expected));
    let text = String::from_utf8(output.stdout).unwrap();
    for finding in findings(&report) {
        let name = finding["name"].as_str().unwrap();
        let state = finding["state"].as_str().unwrap();
        let line = text
            .lines()
            .find(|line| line.contains(&format!("  {name} ")));
        assert!(
            line.is_some_and(|line| line.starts_with(state)),
            "{name} in:\n{text}"
        );
        assert_eq!(finding["mend"].is_string(), state != "OK", "{finding}");
    }
    let ring = findings(&report)
        .iter()
        .find(|finding| finding["name"] == "io_uring");
    assert_eq!(
        ring.unwrap()["state"],
        "OK",
        "these tests run on io_uring: {report:#}"
    );
}

#[test]
fn a_cpu_that_is_not_there_is_a_failure() {
    let (report, code) = json(&["--cores", "8191"]);
    assert_eq!(code, Some(2), "{report:#}");
    let cores = findings(&report)
        .iter()
        .find(|finding| finding["name"] == "cores");
    let cores = cores.unwrap();
    assert_eq!(cores["state"], "FAIL");
    assert!(
        cores["why"].as_str().unwrap().contains("CPU 8191"),
        "{cores}"
    );
}

/// No machine that runs tests has isolated CPUs, so there is always something to tell.
#[test]
fn what_is_wrong_is_told_as_events_at_the_start() {
    let node = Node::start(&[]);
    let packet_cpu = bilbycast_tests::cpu::packet_cpu().to_string();
    let (report, _) = json(&["--cores", &packet_cpu]);
    let wrong = findings(&report)
        .iter()
        .filter(|finding| finding["state"] != "OK");
    let wrong: Vec<&str> = wrong
        .filter_map(|finding| finding["name"].as_str())
        .collect();
    if wrong.is_empty() {
        println!("skipped: nothing is wrong with this host");
        return;
    }
    wait::until_true("every warning is an event", Duration::from_secs(5), || {
        let events = node.api().get("/api/v1/events?limit=500").data();
        let events = events["events"].as_array().unwrap();
        wrong.iter().all(|name| {
            events.iter().any(|event| {
                event["category"] == "system_resources"
                    && event["severity"] == "warning"
                    && event["details"]["name"] == **name
                    && event["details"]["mend"].is_string()
            })
        })
    });
}
