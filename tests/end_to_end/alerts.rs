//! Prometheus and Grafana: the rules by their unit tests, a real Prometheus that scrapes a real node, and names that exist.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bilbycast_shm_proto::counters::{FlowRecord, LegRecord, OutputRecord, SrtRecord};
use bilbycast_tests::api::Api;
use bilbycast_tests::node::Node;
use bilbycast_tests::process::Process;
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::{address, flows, udp, wait};
use serde_json::{Value, json};

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap()
}

const ALERTS: &str = "prometheus/bilbycast-alerts.yml";
const RECORDING: &str = "prometheus/bilbycast-recording.yml";
const DASHBOARD: &str = "grafana/bilbycast-edge.json";

#[test]
fn the_rules_keep_their_promises() {
    for arguments in [
        ["check", "config", "prometheus/prometheus.yml"],
        ["check", "rules", ALERTS],
        ["check", "rules", RECORDING],
        ["test", "rules", "prometheus/tests/alerts.yml"],
        ["test", "rules", "prometheus/tests/quiet.yml"],
    ] {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(file("."))
            .output();
        let Ok(output) = output else {
            bilbycast_test_peers::skip("no promtool (Debian package prometheus)");
            return;
        };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            output.status.success(),
            "promtool {}: {said}",
            arguments.join(" ")
        );
    }
}

/// An alert that no test has seen fire may be one that never does.
#[test]
fn every_alert_fires_in_a_test() {
    let alerts = text(ALERTS);
    let names = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let tests = text("prometheus/tests/alerts.yml");
    let never: Vec<&str> = names
        .filter(|name| {
            let fires = format!("alertname: {name}\n        exp_alerts:\n          - exp_labels:");
            !tests.contains(&fires)
        })
        .collect();
    assert!(never.is_empty(), "without a test: {never:?}");
}

/// A real Prometheus scrapes a real node once a second with the rules as they are, but for how long an alert must last.
#[test]
fn prometheus_tells_of_a_lost_input_and_a_lost_leg_and_of_their_return() {
    let input = address::next_addr();
    let legs = [address::next_addr(), address::next_addr()];
    let lone = address::next_addr();
    let second = json!({"bind_addr": legs[1], "path_differential_ms": 20});
    let pair = flows::with(flows::rtp_input(legs[0]), "redundancy", second);
    let output = || [flows::rtp_output("out", address::next_addr())];
    let node = Node::start(&[
        flows::flow("news", flows::rtp_input(input), &output()),
        flows::flow("pair", pair, &output()),
        flows::flow("source", flows::test_input(2.0), &output()),
        flows::flow("stopped", flows::test_input(2.0), &output()),
        // What is switched off, as by an NMOS controller, and what waits for callers.
        flows::flow(
            "outputs",
            flows::test_input(2.0),
            &outputs_that_send_nothing(),
        ),
        flows::flow("one-leg", one_leg(lone), &output()),
        flows::flow(
            "off",
            flows::with(
                flows::rtp_input(address::next_addr()),
                "master_enable",
                false,
            ),
            &[],
        ),
        flows::flow("called", srt_listener(), &[]),
    ]);
    let to_legs = legs.map(|leg| udp::sending(address::own_ip().into(), leg).unwrap());
    let _to_legs = PacedSender::start_lossy(2, BITRATE, to_legs.into(), |leg, _| {
        leg == 1 && LEG_2_IS_CUT.load(Ordering::Relaxed)
    });
    let _to_lone = send_to(lone);
    let mut sender = send_to(input);
    for flow in ["news", "pair", "one-leg"] {
        let _stats = node.wait_stats(flow, "something arrives", WAIT, |stats| {
            stats["input"]["bitrate_bps"].as_u64() > Some(0)
        });
    }
    let Some(prometheus) = Prometheus::start(&node) else {
        return;
    };

    let is_input_lost = || prometheus.has_alert("BilbycastInputLost", &[("flow_id", "news")]);
    let leg = [("flow_id", "pair"), ("leg", "2")];
    let is_leg_down = || prometheus.has_alert("BilbycastLegDown", &leg);
    wait::until_true("Prometheus has scraped and finds no fault", WAIT, || {
        let inputs = prometheus.query("count(bilbycast_edge_flow_input_bitrate_bps > 0)");
        let legs = prometheus.query("count(bilbycast_edge_flow_leg_up == 1)");
        inputs[0]["value"][1] == "6"
            && legs[0]["value"][1] == "3"
            && !is_input_lost()
            && !is_leg_down()
    });
    assert_eq!(node.api().act("/api/v1/flows/stopped/stop").status, 200);
    sender.stop();
    LEG_2_IS_CUT.store(true, Ordering::Relaxed);
    wait::until_true("both alerts fire", WAIT, || {
        is_input_lost() && is_leg_down()
    });
    for there in [
        ("BilbycastInputLost", vec![("flow_id", "source")]),
        ("BilbycastInputLost", vec![("flow_id", "pair")]),
        ("BilbycastLegDown", vec![("leg", "1")]),
    ] {
        assert!(
            !prometheus.has_alert(there.0, &there.1),
            "{there:?} is there"
        );
    }
    sender = send_to(input);
    LEG_2_IS_CUT.store(false, Ordering::Relaxed);
    wait::until_true("both alerts clear", WAIT, || {
        !is_input_lost() && !is_leg_down()
    });
    let of_others = prometheus.alerts_besides(&["news", "pair"]);
    assert!(of_others.is_empty(), "{of_others:#?}");
    sender.stop();

    // Every expression of the dashboard is one that Prometheus understands, and every name in it exists.
    let names = prometheus.names();
    for expression in expressions_of_the_dashboard() {
        let expression = expression
            .replace("$instance", ".*")
            .replace("$flow", ".*")
            .replace("$__rate_interval", "1m");
        let _result = prometheus.query(&expression);
    }
    assert_all_exist(&names);
}

/// An RTP output that is off, and an SRT output that nobody calls.
fn outputs_that_send_nothing() -> [Value; 2] {
    let rtp = flows::rtp_output("off", address::next_addr());
    let srt = json!({"type": "srt", "id": "guests", "name": "Guests", "mode": "listener", "local_addr": address::next_addr()});
    [flows::with(rtp, "master_enable", false), srt]
}

/// An input of two legs after an SDP with one.
fn one_leg(leg_1: SocketAddr) -> Value {
    let leg_2 = json!({"bind_addr": address::next_addr(), "rtp_enabled": false});
    flows::with(flows::rtp_input(leg_1), "redundancy", leg_2)
}

fn srt_listener() -> Value {
    json!({"type": "srt", "mode": "listener", "local_addr": address::next_addr()})
}

fn send_to(input: SocketAddr) -> PacedSender {
    let socket = udp::sending(address::own_ip().into(), input).unwrap();
    PacedSender::start(1, BITRATE, vec![socket])
}

/// Names in rules and dashboard are those of the table of counters, or were seen in `/metrics` (`seen`), or are recorded by
/// a rule.
fn assert_all_exist(seen: &BTreeSet<String>) {
    let tables = [
        FlowRecord::FIELDS,
        LegRecord::FIELDS,
        OutputRecord::FIELDS,
        SrtRecord::FIELDS,
    ];
    let rows = tables.iter().flat_map(|table| table.iter());
    let table: BTreeSet<&str> = rows.filter_map(|row| row.prometheus).collect();
    let recording = text(RECORDING);
    let recorded: BTreeSet<&str> = recording
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "))
        .collect();
    assert!(!recorded.is_empty());
    for path in [ALERTS, RECORDING, DASHBOARD] {
        for name in names_in(&text(path)) {
            let exists = table.contains(name.as_str())
                || seen.contains(&name)
                || recorded.contains(name.as_str());
            assert!(exists, "{path}: there is no {name}");
        }
    }
}

/// Names of metrics: families of ours, and what rules record.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c);
    text.split(|c: char| !is_name(c))
        .filter(|word| word.starts_with("bilbycast_edge_") || word.contains(":bilbycast_"))
        .map(str::to_owned)
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&text(DASHBOARD)).unwrap()
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

fn expressions_of_the_dashboard() -> Vec<String> {
    let dashboard = dashboard();
    let targets = panels(&dashboard)
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let expressions: Vec<String> = targets
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(expressions.len() > 40);
    expressions
}

/// What Grafana would show wrongly without a word.
#[test]
fn the_dashboard_is_whole() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<&str> = variables
        .iter()
        .filter_map(|variable| variable["name"].as_str())
        .collect();
    assert_eq!(variables, ["datasource", "instance", "flow"]);

    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = &panel["title"];
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is taken"
        );
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(
            place("x") + place("w") <= 24,
            "{title}: beyond the right edge"
        );
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(cells.insert((x, y)), "{title}: another panel is there");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let mut references = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(
                references.insert(target["refId"].as_str().unwrap()),
                "{title}: a refId twice"
            );
            let expression = target["expr"].as_str().unwrap();
            assert!(
                expression.contains("$instance"),
                "{title}: {expression} is of all nodes"
            );
        }
    }
}

/// A Prometheus in the node's folder.
struct Prometheus {
    api: Api,
    _process: Process,
}

impl Prometheus {
    /// Nothing where it is not installed.
    fn start(node: &Node) -> Option<Self> {
        let version = Command::new("prometheus").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            bilbycast_test_peers::skip("no prometheus (Debian package prometheus)");
            return None;
        }
        let write = |name: &str, text: &str| fs::write(node.folder().join(name), text).unwrap();
        let alerts = text(ALERTS);
        let hasty: Vec<&str> = alerts
            .lines()
            .filter(|line| !line.trim_start().starts_with("for: "))
            .collect();
        assert_ne!(hasty.len(), alerts.lines().count());
        write("bilbycast-alerts.yml", &hasty.join("\n"));
        write("bilbycast-recording.yml", &text(RECORDING));
        let target = node.api().url("").replace("http://", "");
        let example = text("prometheus/prometheus.yml");
        let config = example
            .replace("_interval: 5s", "_interval: 1s")
            .replace("127.0.0.1:8080", &target);
        assert_eq!(config.matches("_interval: 1s").count(), 2);
        assert!(config.contains(&target));
        write("prometheus.yml", &config);

        let address = address::next_addr();
        let mut command = Command::new("prometheus");
        command
            .current_dir(node.folder())
            .args([
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=prometheus-data",
            ])
            .arg(format!("--web.listen-address={address}"));
        let mut process = Process::start("prometheus", node.folder(), &mut command);
        let api = Api::new(address);
        wait::until_true("Prometheus answers", WAIT, || {
            process.assert_alive();
            api.try_send(&ureq::http::Method::GET, "/-/ready", None)
                .is_ok_and(|answer| answer.status == 200)
        });
        Some(Self {
            api,
            _process: process,
        })
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.api.get(path);
        assert_eq!(
            answer.body["status"], "success",
            "{}: {}",
            answer.asked, answer.text
        );
        answer.body["data"].clone()
    }

    fn query(&self, expression: &str) -> Value {
        self.get(&format!("/api/v1/query?query={}", encoded(expression)))["result"].clone()
    }

    /// Whether an alert with these labels fires.
    fn has_alert(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let alerts = self.get("/api/v1/alerts");
        alerts["alerts"].as_array().unwrap().iter().any(|alert| {
            let found = &alert["labels"];
            alert["state"] == "firing"
                && found["alertname"] == name
                && labels.iter().all(|(label, value)| found[label] == *value)
        })
    }

    /// Alerts of the node and of flows but these. Nothing of the host, which the test shares with others, and nothing of what
    /// is in the streams: those that a sender of this test makes carry no transport stream.
    fn alerts_besides(&self, flows: &[&str]) -> Vec<Value> {
        let mut alerts = self.get("/api/v1/alerts")["alerts"].take();
        let mut alerts = std::mem::take(alerts.as_array_mut().unwrap());
        alerts.retain(|alert| {
            let labels = &alert["labels"];
            let name = labels["alertname"].as_str().unwrap();
            let is_left_out = ["BilbycastCore", "BilbycastTr101290"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            !is_left_out && !flows.iter().any(|flow| labels["flow_id"] == *flow)
        });
        alerts
    }

    /// All names of metrics that it has stored.
    fn names(&self) -> BTreeSet<String> {
        let names = self.get("/api/v1/label/__name__/values");
        let names = names.as_array().unwrap().iter();
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Whether the second leg of the flow `pair` gets nothing.
static LEG_2_IS_CUT: AtomicBool = AtomicBool::new(false);

/// Of each sender.
const BITRATE: u64 = 2_000_000;

/// A scrape, an evaluation, and a data plane that notices silence after a second.
const WAIT: Duration = Duration::from_secs(15);
