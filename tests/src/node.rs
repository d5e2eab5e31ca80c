//! The two processes of a node, in a folder of their own.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::Api;
use crate::process::Process;
use crate::{address, cpu, wait};

/// What a node is started with.
#[derive(Debug)]
pub struct NodeSetup {
    folder: TempDir,
    /// The flows of `config.json`.
    pub flows: Vec<Value>,
    /// Where the configuration lies as the control plane sees it.
    pub config: PathBuf,
    /// A program and arguments in front of the data plane's own command line.
    pub dataplane_wrapper: Vec<String>,
    /// The same for the control plane.
    pub controlplane_wrapper: Vec<String>,
    /// Port of the API; 0 lets the system choose, at each start anew.
    pub port: u16,
}

impl NodeSetup {
    /// A node with these flows.
    #[must_use]
    pub fn new(flows: &[Value]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("bilbycast-")
            .tempdir()
            .expect("a temporary folder can be made");
        Self {
            config: folder.path().join("config.json"),
            folder,
            flows: flows.to_vec(),
            dataplane_wrapper: Vec::new(),
            controlplane_wrapper: Vec::new(),
            port: 0,
        }
    }

    /// The node's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration and starts both processes; returns when the API answers and every enabled flow runs.
    #[must_use]
    pub fn start(self) -> Node {
        let enabled = self.flows.iter().filter(|flow| flow["enabled"] != false);
        let enabled = enabled.count();
        let config = json!({
            "version": 1,
            "server": {"listen_addr": "127.0.0.1", "listen_port": 8080},
            "flows": self.flows,
        });
        fs::write(self.folder().join("config.json"), config.to_string())
            .expect("the node's folder can be written");
        let mut node = Node {
            controlplane: None,
            dataplane: None,
            api: None,
            starts: 0,
            setup: self,
        };
        node.start_dataplane();
        node.start_controlplane();
        node.wait_active(enabled);
        node
    }
}

/// A running node. Both processes end with it.
#[derive(Debug)]
pub struct Node {
    // Dropped in this order: the control plane first, so that it does not report the end of the other as a fault.
    controlplane: Option<Process>,
    dataplane: Option<Process>,
    api: Option<Api>,
    starts: u32,
    setup: NodeSetup,
}

impl Node {
    /// A node with these flows, running.
    #[must_use]
    pub fn start(flows: &[Value]) -> Self {
        NodeSetup::new(flows).start()
    }

    /// Starts the data plane and waits until its control socket accepts; returns when that was.
    pub fn start_dataplane(&mut self) -> Instant {
        let mut command = self.command("bilbycast-dataplane", &self.setup.dataplane_wrapper);
        command
            .arg("--control-socket")
            .arg(self.control_socket())
            .arg("--shm")
            .arg(self.shm())
            .arg("--cores")
            .arg(cpu::packet_cpu().to_string());
        let name = self.log_name("dataplane");
        let mut process = Process::start(&name, self.folder(), &mut command);
        let socket = self.control_socket();
        let ready = wait::until(
            "the data plane accepts on its control socket",
            START_LIMIT,
            || {
                process.assert_alive();
                UnixStream::connect(&socket).ok().map(|_| Instant::now())
            },
        );
        self.dataplane = Some(process);
        ready
    }

    /// Starts the control plane and waits until its API answers.
    pub fn start_controlplane(&mut self) {
        let mut command = self.command("bilbycast-controlplane", &self.setup.controlplane_wrapper);
        command
            .arg("-c")
            .arg(&self.setup.config)
            .args(["-b", &address::own_ip().to_string()])
            .args(["-p", &self.setup.port.to_string()])
            .arg("--control-socket")
            .arg(self.control_socket())
            .arg("--shm")
            .arg(self.shm());
        let name = self.log_name("controlplane");
        let mut process = Process::start(&name, self.folder(), &mut command);
        let address = wait::until(
            "the control plane says where it listens",
            START_LIMIT,
            || {
                process.assert_alive();
                listening_address(&process.printed())
            },
        );
        let api = Api::new(address);
        wait::until_true("the API answers", START_LIMIT, || {
            process.assert_alive();
            api.try_send(&ureq::http::Method::GET, "/health", None)
                .is_ok()
        });
        self.api = Some(api);
        self.controlplane = Some(process);
    }

    /// Kills the control plane (SIGKILL).
    pub fn kill_controlplane(&mut self) {
        self.controlplane.take().expect("it runs").kill();
        self.api = None;
    }

    /// Kills the data plane (SIGKILL).
    pub fn kill_dataplane(&mut self) {
        self.dataplane.take().expect("it runs").kill();
    }

    /// Ends the control plane by SIGTERM.
    pub fn terminate_controlplane(&mut self) {
        let status = self.controlplane.take().expect("it runs").terminate();
        assert!(status.success(), "control plane after SIGTERM: {status}");
        self.api = None;
    }

    /// Ends the data plane by SIGTERM.
    pub fn terminate_dataplane(&mut self) {
        let status = self.dataplane.take().expect("it runs").terminate();
        assert!(status.success(), "data plane after SIGTERM: {status}");
    }

    /// Sends the control plane a signal.
    pub fn signal_controlplane(&self, signal: Signal) {
        self.controlplane().signal(signal);
    }

    /// Sends the data plane a signal.
    pub fn signal_dataplane(&self, signal: Signal) {
        self.dataplane().signal(signal);
    }

    /// The REST API.
    #[must_use]
    pub fn api(&self) -> &Api {
        self.api.as_ref().expect("the control plane runs")
    }

    /// The control plane's process.
    #[must_use]
    pub fn controlplane(&self) -> &Process {
        self.controlplane.as_ref().expect("the control plane runs")
    }

    /// The data plane's process.
    #[must_use]
    pub fn dataplane(&self) -> &Process {
        self.dataplane.as_ref().expect("the data plane runs")
    }

    /// # Panics
    ///
    /// When a process that was started has ended.
    pub fn assert_alive(&mut self) {
        let processes = [&mut self.dataplane, &mut self.controlplane];
        for process in processes.into_iter().flatten() {
            process.assert_alive();
        }
    }

    /// The node's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.setup.folder()
    }

    /// Path of the control socket.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.folder().join("dataplane.sock")
    }

    /// Path of the shared memory.
    #[must_use]
    pub fn shm(&self) -> PathBuf {
        self.folder().join("counters.shm")
    }

    /// `config.json` as text.
    #[must_use]
    pub fn config_text(&self) -> String {
        fs::read_to_string(self.folder().join("config.json")).expect("config.json can be read")
    }

    /// `config.json` as it lies on the disk now.
    #[must_use]
    pub fn config(&self) -> Value {
        serde_json::from_str(&self.config_text()).expect("config.json is JSON at any instant")
    }

    /// The flow as `config.json` has it; null when it has none.
    #[must_use]
    pub fn saved_flow(&self, id: &str) -> Value {
        let config = self.config();
        let flows = config["flows"].as_array().expect("flows is a list");
        let found = flows.iter().find(|flow| flow["id"] == id);
        found.cloned().unwrap_or_default()
    }

    /// Waits until this many flows run.
    pub fn wait_active(&mut self, flows: usize) {
        let mut health = Value::Null;
        let deadline = Instant::now() + START_LIMIT;
        while health["active_flows"] != flows || health["data_plane"] != "connected" {
            assert!(
                Instant::now() < deadline,
                "{flows} flows should run: {health}"
            );
            self.assert_alive();
            wait::pass(Duration::from_millis(10));
            health = self.api().get("/health").body;
        }
    }

    /// Waits until a value of a flow's statistics is what it should be, and returns the statistics.
    #[track_caller]
    pub fn wait_stats(
        &self,
        flow_id: &str,
        what: &str,
        limit: Duration,
        fulfilled: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + limit;
        loop {
            let stats = self.api().stats(flow_id);
            if fulfilled(&stats) {
                return stats;
            }
            assert!(
                Instant::now() < deadline,
                "waited {limit:?} in vain until {what}: {stats:#}"
            );
            wait::pass(Duration::from_millis(20));
        }
    }

    /// Waits until an event of a flow is there whose message contains `text`, and returns it.
    #[track_caller]
    pub fn wait_event(&self, flow_id: &str, text: &str, limit: Duration) -> Value {
        let deadline = Instant::now() + limit;
        loop {
            let events = self.api().events();
            let is_it = |event: &&Value| {
                let message = event["message"].as_str();
                event["flow_id"] == flow_id && message.is_some_and(|message| message.contains(text))
            };
            if let Some(event) = events.iter().find(is_it) {
                return event.clone();
            }
            assert!(
                Instant::now() < deadline,
                "waited {limit:?} in vain for an event of flow '{flow_id}' with {text:?}: {events:#?}"
            );
            wait::pass(Duration::from_millis(50));
        }
    }

    fn command(&self, binary: &str, wrapper: &[String]) -> Command {
        let path = binary_folder().join(binary);
        assert!(
            path.exists(),
            "{} is missing; build it with: cargo build -p {binary}",
            path.display()
        );
        let mut words = wrapper.iter();
        match words.next() {
            None => Command::new(path),
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words).arg(path);
                command
            }
        }
    }

    fn log_name(&mut self, process: &str) -> String {
        self.starts += 1;
        format!("{process}-{}", self.starts)
    }
}

/// How long either process may take to be ready. Generous: a loaded machine is no fault of theirs.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Where the binaries under test are: beside this test's own executable, or where `BILBYCAST_BIN_DIR` says.
#[must_use]
pub fn binary_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("BILBYCAST_BIN_DIR") {
        return folder.into();
    }
    let own = std::env::current_exe().expect("Linux knows the path of an executable");
    // target/<profile>/deps/end_to_end-<hash>
    own.ancestors()
        .nth(2)
        .expect("a test executable lies two folders deep")
        .to_owned()
}

fn listening_address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on http://")?;
    // Only a finished line is sure to hold the whole port.
    let (line, _) = rest.split_once('\n')?;
    let end = line
        .find(|c: char| !c.is_ascii_digit() && !".:[]abcdef".contains(c))
        .unwrap_or(line.len());
    line[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_address_is_read_from_a_finished_line() {
        let address = "127.1.2.3:4567".parse().ok();
        assert_eq!(
            listening_address("x listening on http://127.1.2.3:4567\n"),
            address
        );
        assert_eq!(
            listening_address("x listening on http://127.1.2.3:4567"),
            None
        );
        assert_eq!(
            listening_address("listening on http://127.1.2.3:4567 (open)\n"),
            address
        );
    }
}
