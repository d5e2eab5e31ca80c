//! Registration with NMOS registries, over real sockets. The rules one by one, in virtual time, are tested beside the
//! machine that follows them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use controlplane::config::Store;
use controlplane::nmos::Nmos;
use controlplane::nmos::registration::{Registration, SeenRegistry, State, Status};
use controlplane::nmos::resources::ResourceType;
use controlplane::node::{DataPlanePaths, Node};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

mod discovery;
mod dns;
mod failing;
mod registry;

use registry::{Manner, Registry, Request};

use crate::harness::{Client, Folder, document, wait_until};
use crate::process::Process;

const NODE_ID: &str = "6d5a4c3b-0000-4000-8000-000000000001";

/// A node that registers, without a server and without a data plane.
struct Edge {
    nmos: Arc<Nmos>,
    registration: Option<Registration>,
    runtime: Runtime,
    _folder: Folder,
}

impl Edge {
    fn start(registration: &Value) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let folder = Folder::new();
        folder.write_document(&configuration(registration));
        let store = Store::new(folder.config());
        let config = store.load().unwrap().config;
        let paths = DataPlanePaths {
            control_socket: folder.path().join("dataplane.sock"),
            shm: folder.path().join("counters.shm"),
        };
        let (nmos, registration) = runtime.block_on(async {
            let node = Node::start(config, store, paths);
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8_080));
            let nmos = Nmos::start(&node, address, false);
            let registration = Registration::start(&nmos);
            (nmos, registration)
        });
        Self {
            nmos,
            registration: Some(registration),
            runtime,
            _folder: folder,
        }
    }

    fn status(&self) -> Option<Status> {
        self.nmos.registration_status()
    }

    fn wait_for(&self, state: State) {
        wait_until(&format!("{state:?}, not {:?}", self.status()), || {
            self.status().is_some_and(|status| status.state == state)
        });
    }

    fn messages(&self) -> Vec<String> {
        let events = self.nmos.node().events().list(0).events;
        let events = events.iter().rev();
        let ours = events.filter(|event| event.message.starts_with("NMOS: "));
        ours.map(|event| event.message.trim_start_matches("NMOS: ").to_owned())
            .collect()
    }

    fn end(mut self) -> Duration {
        let since = Instant::now();
        let registration = self.registration.take().unwrap();
        self.runtime.block_on(registration.end());
        since.elapsed()
    }
}

fn configuration(registration: &Value) -> Value {
    let rtp = json!({
        "id": "a",
        "name": "Flow a",
        "input": {"type": "rtp", "bind_addr": "127.0.0.1:5000"},
        "outputs": [{"type": "rtp", "id": "o", "name": "O", "dest_addr": "127.0.0.1:5002"}],
    });
    let mut document = document(&[rtp]);
    document["nmos"] = json!({"registration": registration});
    document
}

fn at(registry: &Registry) -> Value {
    json!({"mode": "static", "url": format!("http://{}/", registry.address())})
}

/// `POST node`, `DELETE senders`, `HEARTBEAT`.
fn lines(requests: &[Request]) -> Vec<String> {
    requests.iter().map(Request::line).collect()
}

const ALL: [&str; 6] = [
    "POST node",
    "POST device",
    "POST source",
    "POST flow",
    "POST sender",
    "POST receiver",
];

#[test]
fn the_registry_is_told_what_the_node_api_shows_and_hears_of_changes() {
    let registry = Registry::start(Manner::Good);
    let edge = Edge::start(&at(&registry));
    edge.wait_for(State::Registered);
    let requests = registry.take();
    assert_eq!(lines(&requests), ALL);
    let model = edge.nmos.model();
    for (request, resource) in requests.iter().zip(model.resources()) {
        assert_eq!(request.path, "/x-nmos/registration/v1.3/resource");
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.json()["data"], *resource.json());
    }
    let url = format!("http://{}/", registry.address());
    let expected = [
        format!("registry {url} found, with priority 0"),
        format!("registered with {url}"),
    ];
    assert_eq!(edge.messages(), expected);
    let status = edge.status().unwrap();
    let name = status.registry.unwrap();
    assert!(
        name.starts_with(&format!("http://{}", registry.address())),
        "{name}"
    );
    assert_eq!(
        (status.last_heartbeat_age_secs, status.reason),
        (Some(0), None)
    );
    let found = SeenRegistry {
        name: url,
        priority: Some(0),
        taken: true,
        why: None,
    };
    assert_eq!(status.registries, [found]);
    assert_eq!((status.refused, status.refused_total), (vec![], 0));

    let sender = model.of_kind(ResourceType::Sender)[0].id();
    edge.nmos.bump(ResourceType::Sender, sender);
    wait_until("the sender to be posted", || registry.has("POST sender"));
    let node = Arc::clone(edge.nmos.node());
    let removed = node.remove_output("a".to_owned(), "o".to_owned());
    edge.runtime.block_on(removed).unwrap();
    wait_until("the device to be posted", || registry.has("POST device"));
    let expected = ["POST sender", "DELETE senders", "POST device"];
    assert_eq!(lines(&registry.take()), expected);

    wait_until("the first heartbeat", || registry.has("HEARTBEAT"));
    let heartbeat = &registry.take()[0];
    let gap = heartbeat.at - requests[0].at;
    assert!(
        gap >= Duration::from_millis(4_500) && gap <= Duration::from_millis(5_500),
        "{gap:?}"
    );
    assert_eq!(
        heartbeat.path,
        format!("/x-nmos/registration/v1.3/health/nodes/{NODE_ID}")
    );
    assert_eq!(heartbeat.header("content-length"), Some("0"));
    assert_eq!(heartbeat.header("content-type"), None);
    assert_eq!(heartbeat.header("transfer-encoding"), None);
    assert!(heartbeat.body.is_empty());

    // A new configuration: off, and here again.
    let document = |mode: &Value| {
        let mut document = configuration(mode);
        document["node_id"] = json!(NODE_ID);
        document
    };
    let change = |mode: &Value| {
        let replaced = node.replace_config(document(mode));
        edge.runtime.block_on(replaced).map(|_| ()).unwrap();
    };
    change(&json!({"mode": "off"}));
    edge.wait_for(State::Off);
    let requests = lines(&registry.take());
    assert_eq!(
        requests.last().map(String::as_str),
        Some("DELETE nodes"),
        "{requests:?}"
    );
    change(&at(&registry));
    edge.wait_for(State::Registered);
    assert_eq!(lines(&registry.take()), ALL);

    assert!(edge.end() < Duration::from_secs(1));
    let deleted = [
        "receivers",
        "senders",
        "flows",
        "sources",
        "devices",
        "nodes",
    ];
    let deleted = deleted.map(|kind| format!("DELETE {kind}"));
    assert_eq!(lines(&registry.take()), deleted);
}

#[test]
fn a_crash_is_made_good_and_a_dead_registry_does_not_hold_up_the_end() {
    let registry = Registry::start(Manner::Good);
    let first = Edge::start(&at(&registry));
    first.wait_for(State::Registered);
    // No farewell.
    first.runtime.shutdown_background();
    registry.take();
    let edge = Edge::start(&at(&registry));
    edge.wait_for(State::Registered);
    let requests = lines(&registry.take());
    assert_eq!(requests[..2], ["POST node", "DELETE nodes"]);
    assert_eq!(requests[2..], ALL);

    registry.set(Manner::Silent);
    let took = edge.end();
    assert!(took < Duration::from_millis(2_500), "{took:?}");
}

#[test]
fn the_process_registers_and_takes_itself_from_the_registry() {
    let registry = Registry::start(Manner::Good);
    let folder = Folder::new();
    folder.write_document(&configuration(&at(&registry)));
    let mut process = Process::start(&folder, &["-p", "0", "-b", "127.0.0.1"]);
    let client = Client::new(process.address());
    wait_until("the registration", || {
        client.get("/health").1["nmos"]["state"] == "registered"
    });
    let node = registry.take().swap_remove(0).json();
    let shown = client.get("/x-nmos/node/v1.3/self").1;
    assert_eq!(node["data"], shown);
    let health = client.get("/health").1;
    assert_eq!(health["nmos"]["mode"], "static");
    assert_eq!(health["nmos"]["reason"], Value::Null);
    let events = client.get("/api/v1/events").1;
    let events = events["data"]["events"].as_array().unwrap().clone();
    assert!(
        events.iter().any(|event| event["category"] == "nmos"),
        "{events:?}"
    );
    let (status, took) = process.end(Signal::TERM);
    assert!(
        status.success() && took < Duration::from_secs(2),
        "{status} {took:?}"
    );
    assert_eq!(
        lines(&registry.take()).last().map(String::as_str),
        Some("DELETE nodes")
    );
}

#[test]
fn a_registry_with_https_is_trusted_by_what_the_system_trusts() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let key = made.signing_key.serialize_pem();
    let registry = Registry::start_tls(Manner::Good, &certificate, &key);
    let port = registry.address().port();
    let folder = Folder::new();
    let url = format!("https://localhost:{port}");
    folder.write_document(&configuration(&json!({"mode": "static", "url": url})));
    let roots = folder.path().join("roots.pem");
    let variables = [("SSL_CERT_FILE", roots.to_str().unwrap())];
    let state = |certificate: &str, state: &str| {
        std::fs::write(&roots, certificate).unwrap();
        let mut process = Process::start_with(&folder, &["-p", "0", "-b", "127.0.0.1"], &variables);
        let client = Client::new(process.address());
        wait_until(state, || client.get("/health").1["nmos"]["state"] == state);
        client.get("/health").1["nmos"]["reason"].to_string()
    };
    assert_eq!(state(&certificate, "registered"), "null");
    assert!(registry.has("POST receiver"));
    registry.take();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let reason = state(&other.cert.pem(), "retrying");
    assert!(reason.contains("certificate"), "{reason}");
    let reason = state("", "retrying");
    assert!(reason.contains("holds no certificate"), "{reason}");
    assert!(registry.take().is_empty());
}
