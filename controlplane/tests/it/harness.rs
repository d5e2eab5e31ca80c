//! A control plane in a folder of its own, and a client for it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bilbycast_shm_proto::model::FlowSpec;
use controlplane::api;
use controlplane::config::{Store, flow_spec, parse_flow};
use controlplane::node::{DataPlanePaths, Node};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) struct ControlPlane {
    pub(crate) folder: Folder,
    client: Client,
    runtime: Option<Runtime>,
}

/// Where configuration, socket and shared memory of one test are.
pub(crate) struct Folder(TempDir);

pub(crate) struct Client {
    base: String,
    agent: ureq::Agent,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// In a folder of its own, which tests can take away.
    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("etc/config.json")
    }

    pub(crate) fn write_config(&self, flows: &[Value]) {
        self.write_document(&document(flows));
    }

    pub(crate) fn write_document(&self, document: &Value) {
        fs::create_dir_all(self.path().join("etc")).unwrap();
        fs::write(self.config(), document.to_string()).unwrap();
    }

    pub(crate) fn read_config(&self) -> Value {
        serde_json::from_slice(&fs::read(self.config()).unwrap()).unwrap()
    }

    /// Makes every save fail, for root too.
    pub(crate) fn break_disk(&self) {
        break_disk(self.path());
    }

    pub(crate) fn mend_disk(&self) {
        fs::remove_file(self.path().join("etc")).unwrap();
        fs::rename(self.path().join("etc.away"), self.path().join("etc")).unwrap();
    }
}

impl ControlPlane {
    pub(crate) fn start(folder: Folder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let store = Store::new(folder.config());
        let config = store.load().unwrap().config;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(listener.local_addr().unwrap().to_string());
        let paths = DataPlanePaths {
            control_socket: folder.path().join("dataplane.sock"),
            shm: folder.path().join("counters.shm"),
        };
        runtime.block_on(async {
            let node = Node::start(config, store, paths);
            let server = api::serve(Arc::clone(&node), listener).unwrap();
            tokio::spawn(server);
        });
        Self {
            folder,
            client,
            runtime: Some(runtime),
        }
    }

    /// Ends it and leaves everything else as it is.
    pub(crate) fn stop(mut self) -> Folder {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        std::mem::replace(&mut self.folder, Folder::new())
    }

    /// With a configuration file that holds these flows.
    pub(crate) fn with_flows(flows: &[Value]) -> Self {
        let folder = Folder::new();
        folder.write_config(flows);
        Self::start(folder)
    }

    pub(crate) fn wait_for_data_plane(&self, state: &str) {
        self.wait_for_health(&format!("data plane {state}"), |health| {
            health["data_plane"] == state
        });
    }

    pub(crate) fn wait_for_active(&self, flows: usize) {
        self.wait_for_health(&format!("{flows} active flows"), |health| {
            health["active_flows"] == flows
        });
    }

    fn wait_for_health(&self, what: &str, mut is_right: impl FnMut(&Value) -> bool) {
        wait_until(what, || is_right(&self.get("/health").1));
    }
}

impl std::ops::Deref for ControlPlane {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    pub(crate) fn new(address: String) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        Self {
            base: format!("http://{address}"),
            agent,
        }
    }

    pub(crate) fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        answer(self.agent.get(self.url(path)).call())
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        answer(self.agent.delete(self.url(path)).call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_bytes(path, body.to_string().as_bytes())
    }

    pub(crate) fn post_bytes(&self, path: &str, body: &[u8]) -> (u16, Value) {
        answer(self.agent.post(self.url(path)).send(body))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.agent.put(self.url(path)).send(body.to_string()))
    }

    /// An action: a POST without a body.
    pub(crate) fn act(&self, path: &str) -> (u16, Value) {
        answer(self.agent.post(self.url(path)).send_empty())
    }

    pub(crate) fn stats_of(&self, flow_id: &str) -> Value {
        let (status, answer) = self.get(&format!("/api/v1/stats/{flow_id}"));
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut response = response.unwrap();
    let status = response.status().as_u16();
    let text = response
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string()
        .unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    (status, body)
}

/// As [`Folder::break_disk`], for those who only know the path.
pub(crate) fn break_disk(folder: &Path) {
    fs::rename(folder.join("etc"), folder.join("etc.away")).unwrap();
    fs::write(folder.join("etc"), "a file in place of the folder").unwrap();
}

/// The answer that an error must be.
pub(crate) fn failure(status: u16, error: &str) -> (u16, Value) {
    (status, json!({"success": false, "error": error}))
}

/// The answer of an operation that has nothing to tell.
pub(crate) fn nothing() -> (u16, Value) {
    (200, json!({"success": true, "data": null}))
}

pub(crate) fn document(flows: &[Value]) -> Value {
    json!({
        "version": 1,
        "node_id": "6d5a4c3b-0000-4000-8000-000000000001",
        "server": {"listen_addr": "127.0.0.1", "listen_port": 8080},
        "flows": flows,
    })
}

/// A raw UDP flow with one output, called `out`.
pub(crate) fn flow(id: &str, port: u16) -> Value {
    json!({
        "id": id,
        "name": format!("Flow {id}"),
        "enabled": true,
        "input": {"type": "udp", "bind_addr": format!("127.0.0.1:{port}")},
        "outputs": [output("out", 40_000)],
    })
}

pub(crate) fn output(id: &str, port: u16) -> Value {
    json!({
        "type": "udp",
        "id": id,
        "name": format!("Output {id}"),
        "dest_addr": format!("127.0.0.1:{port}"),
    })
}

pub(crate) fn disabled(mut flow: Value) -> Value {
    flow["enabled"] = json!(false);
    flow
}

/// What the data plane is asked to run for such a flow.
pub(crate) fn spec(flow: &Value) -> FlowSpec {
    let parsed = parse_flow(flow.clone(), None).unwrap();
    flow_spec(&parsed.value, 33).unwrap()
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
