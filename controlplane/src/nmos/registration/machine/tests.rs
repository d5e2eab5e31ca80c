//! The machine against a registry that is a table, in virtual time.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::State;
use super::super::registry::tests::advert;
use super::registries::{RETRY_MAX, RETRY_MIN};
use super::*;
use crate::config::{AppConfig, parse_flow};
use crate::nmos::resources::{Builder, Interfaces, Listening, ResourceType};
use crate::node::Runs;

mod changes;
mod failing;
mod joining;

const NODE_ID: Uuid = Uuid::from_u128(0x6d5a_4c3b_0000_4000_8000_0000_0000_0000);

/// What a registry answers to a call, which is written as in [`Bench::calls`].
type Answering = Box<dyn FnMut(&str) -> Answer>;

/// A machine, its clock, and the registries that it may call.
struct Bench {
    machine: Machine,
    builder: Builder,
    start: Instant,
    now: Instant,
    /// What each registry answers, by its port; silence where there is nothing: a call then fails after 3 s.
    registries: HashMap<u16, Answering>,
    /// Every call, with the milliseconds since the start: `5000 8001 POST health/nodes/..`.
    calls: Vec<String>,
    /// What was told as an event.
    events: Vec<String>,
    /// Those of them that are no good news.
    bad_events: Vec<String>,
    announced: Option<[u8; 6]>,
    has_ended: bool,
}

impl Bench {
    fn new(is_peer: bool) -> Self {
        let listening = Listening {
            address: "127.0.0.1:8080".parse().unwrap(),
            is_tls: false,
        };
        let mut builder = Builder::new(listening, Interfaces::default());
        let model = build(&mut builder, &["a"]);
        let identity = Identity {
            node_id: NODE_ID,
            protocol: "http",
            is_peer,
            way: "by mDNS",
        };
        let now = Instant::now();
        Self {
            machine: Machine::new(identity, model, now),
            builder,
            start: now,
            now,
            registries: HashMap::new(),
            calls: Vec::new(),
            events: Vec::new(),
            bad_events: Vec::new(),
            announced: None,
            has_ended: false,
        }
    }

    /// With one registry that behaves, at port 8001.
    fn registered() -> Self {
        let mut bench = Self::new(false);
        bench.serve(8_001, good());
        bench.advertise(&[(8_001, "10")]);
        bench.run(0);
        bench.take_calls();
        bench.events.clear();
        bench
    }

    fn serve(&mut self, port: u16, answer: impl FnMut(&str) -> Answer + 'static) {
        self.registries.insert(port, Box::new(answer));
    }

    fn advertise(&mut self, registries: &[(u16, &str)]) {
        let adverts: Vec<_> = registries
            .iter()
            .map(|(port, pri)| advert(&format!("r{port}"), *port, pri))
            .collect();
        self.machine.handle_adverts(&adverts, self.now);
    }

    fn set_flows(&mut self, flows: &[&str]) {
        let model = build(&mut self.builder, flows);
        self.machine.handle_model(model, self.now);
    }

    fn end(&mut self) {
        self.machine.handle_end(self.now);
        self.run(10_000);
    }

    /// Runs for so many milliseconds, and all that is due at once.
    fn run(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        loop {
            match self.machine.poll_output() {
                Output::Advertise(counters) => self.announced = Some(counters),
                Output::Ended => self.has_ended = true,
                Output::Send(call) => self.answer(&call),
                Output::Tell(report) => match report.weight {
                    Weight::BadEvent => {
                        self.bad_events.push(report.message.clone());
                        self.events.push(report.message);
                    }
                    Weight::Event => self.events.push(report.message),
                    Weight::Detail | Weight::Problem | Weight::Step => {}
                },
                Output::Wait(Some(at)) if at <= until => {
                    self.now = self.now.max(at);
                    self.machine.handle_timeout(self.now);
                }
                Output::Wait(_) => {
                    self.now = self.now.max(until);
                    return;
                }
                Output::Withdraw => self.announced = None,
            }
        }
    }

    fn answer(&mut self, call: &Call) {
        let (_, rest) = call.url.split_once("127.0.0.1:").unwrap();
        let (port, path) = rest.split_once("/x-nmos/registration/").unwrap();
        let path = path.strip_prefix("v1.3/").unwrap_or(path);
        let path = path.replace(&NODE_ID.to_string(), "NODE");
        let verb = match call.verb {
            Verb::Delete => "DELETE",
            Verb::Post => "POST",
        };
        let mut line = format!("{verb} {path}");
        if let Some(resource) = &call.body {
            assert_eq!(path, "resource");
            line = format!("POST {}", resource.kind().singular());
        }
        if line.starts_with("POST node") {
            assert_eq!(self.announced, None, "still announced to peers");
        }
        let ms = (self.now - self.start).as_millis();
        self.calls.push(format!("{ms} {port} {line}"));
        let port: u16 = port.parse().unwrap();
        let answer = match self.registries.get_mut(&port) {
            Some(registry) => registry(&line),
            None => {
                self.now += Duration::from_secs(3);
                Answer::Failed("timeout".to_owned())
            }
        };
        self.machine.handle_answer(answer, self.now);
    }

    fn take_calls(&mut self) -> Vec<String> {
        std::mem::take(&mut self.calls)
    }
}

fn build(builder: &mut Builder, flows: &[&str]) -> Arc<Model> {
    let mut config = AppConfig::default_with(NODE_ID);
    let flows = flows.iter().map(|flow| {
        let flow = flow_named(flow);
        parse_flow(flow, None).unwrap().value
    });
    config.flows = flows.collect();
    Arc::new(builder.build(&Arc::new(config), &Runs::default()))
}

/// `a` is a flow with one output; `a0` is the same without; `a1` is the same with a name of its own.
fn flow_named(text: &str) -> Value {
    let (id, variant) = text.split_at(1);
    let output = json!({"type": "rtp", "id": "o", "name": "O", "dest_addr": "127.0.0.1:5002"});
    json!({
        "id": id,
        "name": format!("Flow {variant}"),
        "input": {"type": "rtp", "bind_addr": "127.0.0.1:5000"},
        "outputs": if variant == "0" { vec![] } else { vec![output] },
    })
}

fn status(code: u16) -> Answer {
    Answer::Status {
        code,
        location: None,
        detail: String::new(),
    }
}

/// What a registry answers that knows nothing at first.
fn good() -> impl FnMut(&str) -> Answer {
    let mut has_node = false;
    move |line| {
        status(match line {
            "POST node" if std::mem::replace(&mut has_node, true) => 200,
            "DELETE resource/nodes/NODE" => {
                has_node = false;
                204
            }
            line if line.starts_with("POST health") && !has_node => 404,
            line if line.starts_with("POST health") => 200,
            line if line.starts_with("DELETE") => 204,
            _ => 201,
        })
    }
}

/// Calls without their time and their registry.
fn lines(calls: &[String]) -> Vec<&str> {
    let calls = calls.iter();
    calls
        .map(|call| call.splitn(3, ' ').nth(2).unwrap())
        .collect()
}

/// When they were made, in milliseconds since the start.
fn at(calls: &[String]) -> Vec<u64> {
    let first = calls.iter().map(|call| call.split(' ').next().unwrap());
    first.map(|ms| ms.parse().unwrap()).collect()
}

const ALL: [&str; 6] = [
    "POST node",
    "POST device",
    "POST source",
    "POST flow",
    "POST sender",
    "POST receiver",
];

const HEARTBEAT: &str = "POST health/nodes/NODE";
