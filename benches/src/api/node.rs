//! Both processes of the node in a folder of their own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dataplane::net::clock::monotonic_ns;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;
use super::flows::{self, Addresses, FLOWS};
use super::host::CpuTime;
use super::plan::{SETTLE_NS, START_NS_MAX, Settings};
use super::report::{Memory, Start};
use crate::BenchError;
use crate::throughput::load::sleep_until;

/// The running node; both processes end with it.
#[derive(Debug)]
pub(super) struct Node {
    // Dropped in this order: the control plane first, then the data plane, then what they used.
    controlplane: Process,
    dataplane: Process,
    api: SocketAddr,
    _folders: Folders,
}

/// Resident memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Resident {
    /// Its own.
    pub anon_kib: u64,
    /// Pages of files: its program.
    pub file_kib: u64,
    /// Shared memory: the counters.
    pub shmem_kib: u64,
}

/// Resident memory of a process in the course of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProcessMemory {
    /// Before it knew of any flow.
    pub without_flows: Resident,
    /// With all flows idle.
    pub idle: Resident,
    /// At the end, after all requests and with the stream still fresh in mind.
    pub at_end: Resident,
    /// What all flows idle take more than none, for each flow, in KiB.
    pub idle_kib_per_flow: f64,
}

impl Node {
    /// Starts the data plane, looks at a control plane without flows, and starts one with all of them; returns when
    /// every flow runs. The memory at the end is that of the moment.
    pub(super) fn start(
        settings: &Settings,
        addresses: &Addresses,
    ) -> Result<(Self, Start, Memory), BenchError> {
        allow_descriptors()?;
        let folders = Folders::make()?;
        let mut dataplane = Process::dataplane(settings, &folders)?;
        let without_flows = {
            let configuration = flows::empty_configuration();
            let mut controlplane =
                Process::controlplane(settings, addresses, &folders, EMPTY, &configuration)?;
            let api = controlplane.listening()?;
            controlplane.wait_until_running(api, 0)?;
            sleep_until(monotonic_ns() + SETTLE_NS);
            (dataplane.resident()?, controlplane.resident()?)
        };

        let configuration = flows::configuration(addresses);
        let start_ns = monotonic_ns();
        let mut controlplane =
            Process::controlplane(settings, addresses, &folders, FULL, &configuration)?;
        let pids = [dataplane.pid(), controlplane.pid()];
        let before = CpuTime::read(&pids)?;
        let api = controlplane.listening()?;
        let listening_ns = monotonic_ns();
        controlplane.wait_until_running(api, FLOWS)?;
        let running_ns = monotonic_ns();
        let used = CpuTime::read(&pids)?;
        dataplane.check()?;
        let start = Start {
            listening_s: (listening_ns - start_ns) as f64 / 1e9,
            running_s: (running_ns - start_ns) as f64 / 1e9,
            others_percent: used.others_percent_since(before),
        };

        sleep_until(monotonic_ns() + SETTLE_NS);
        let memory = Memory {
            dataplane: ProcessMemory::new(without_flows.0, dataplane.resident()?),
            controlplane: ProcessMemory::new(without_flows.1, controlplane.resident()?),
        };
        let node = Self {
            controlplane,
            dataplane,
            api,
            _folders: folders,
        };
        Ok((node, start, memory))
    }

    /// Where the API listens.
    pub(super) const fn api(&self) -> SocketAddr {
        self.api
    }

    pub(super) fn dataplane_pid(&self) -> u32 {
        self.dataplane.pid()
    }

    pub(super) fn controlplane_pid(&self) -> u32 {
        self.controlplane.pid()
    }

    pub(super) fn dataplane_resident(&self) -> Result<Resident, BenchError> {
        self.dataplane.resident()
    }

    pub(super) fn controlplane_resident(&self) -> Result<Resident, BenchError> {
        self.controlplane.resident()
    }
}

impl ProcessMemory {
    fn new(without_flows: Resident, idle: Resident) -> Self {
        let more_kib = idle.total_kib().saturating_sub(without_flows.total_kib());
        Self {
            without_flows,
            idle,
            at_end: idle,
            idle_kib_per_flow: more_kib as f64 / FLOWS as f64,
        }
    }

    /// The same with what is resident at the end.
    pub(super) const fn after(self, at_end: Resident) -> Self {
        Self { at_end, ..self }
    }
}

impl Resident {
    /// All of it.
    #[must_use]
    pub const fn total_kib(self) -> u64 {
        self.anon_kib + self.file_kib + self.shmem_kib
    }

    /// Reads the lines of `/proc/PID/status`; what is not there is 0.
    fn parse(status: &str) -> Self {
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_ascii_whitespace().next());
            number.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        Self {
            anon_kib: kib("RssAnon:"),
            file_kib: kib("RssFile:"),
            shmem_kib: kib("RssShmem:"),
        }
    }
}

/// Where the processes have their files.
#[derive(Debug)]
struct Folders {
    /// Configuration and logs: on a disk, as they are in operation.
    disk: TempDir,
    /// Control socket and counters: in memory, as below `/run`. On a disk the kernel would now and then hold up the
    /// packet core to write the counters back.
    memory: TempDir,
}

impl Folders {
    fn make() -> Result<Self, BenchError> {
        let fail = || BenchError::system("make a temporary folder");
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("bilbycast-bench");
        let disk = builder.tempdir().map_err(fail())?;
        let memory = match builder.tempdir_in(MEMORY_FOLDER) {
            Ok(folder) => folder,
            Err(_) => builder.tempdir().map_err(fail())?,
        };
        Ok(Self { disk, memory })
    }

    fn socket(&self) -> PathBuf {
        self.memory.path().join("dataplane.sock")
    }

    fn add_to(&self, command: &mut Command) {
        command
            .arg("--control-socket")
            .arg(self.socket())
            .arg("--shm")
            .arg(self.memory.path().join("counters.shm"));
    }
}

/// A child process and its log; it is killed by its id when this value goes.
#[derive(Debug)]
struct Process {
    who: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the data plane and waits until it accepts connections.
    fn dataplane(settings: &Settings, folders: &Folders) -> Result<Self, BenchError> {
        let mut command = program(&settings.dataplane)?;
        folders.add_to(&mut command);
        command.args(["--cores", &settings.gateway_cpu.to_string()]);
        let log = folders.disk.path().join("dataplane.log");
        let mut process = Self::spawn(DATA_PLANE, command, log)?;
        process.wait_until("it does not accept connections", || {
            Ok(UnixStream::connect(folders.socket()).ok().map(|_| ()))
        })?;
        Ok(process)
    }

    /// Starts a control plane with this configuration, which goes into a new folder called `name`.
    fn controlplane(
        settings: &Settings,
        addresses: &Addresses,
        folders: &Folders,
        name: &str,
        configuration: &Value,
    ) -> Result<Self, BenchError> {
        let own = folders.disk.path().join(name);
        let path = own.join("config.json");
        fs::create_dir(&own)
            .and_then(|()| fs::write(&path, configuration.to_string()))
            .map_err(BenchError::system("write the configuration"))?;
        let mut command = program(&settings.controlplane)?;
        command.arg("-c").arg(path);
        command.args(["-b", &addresses.api().to_string(), "-p", "0"]);
        folders.add_to(&mut command);
        Self::spawn(CONTROL_PLANE, command, own.join("controlplane.log"))
    }

    fn spawn(who: &'static str, mut command: Command, log: PathBuf) -> Result<Self, BenchError> {
        let (output, errors) = File::create(&log)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(BenchError::system(format!("make the log of the {who}")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(BenchError::system(format!("start the {who}")))?;
        Ok(Self { who, child, log })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn resident(&self) -> Result<Resident, BenchError> {
        let path = format!("/proc/{}/status", self.pid());
        let status =
            fs::read_to_string(&path).map_err(BenchError::system(format!("read {path}")))?;
        Ok(Resident::parse(&status))
    }

    /// Waits for the line of the log that tells where the API is.
    fn listening(&mut self) -> Result<SocketAddr, BenchError> {
        let log = self.log.clone();
        self.wait_until("it does not say where it listens", || {
            Ok(listening_address(
                &fs::read_to_string(&log).unwrap_or_default(),
            ))
        })
    }

    /// Waits until the data plane is there and exactly so many flows run.
    fn wait_until_running(&mut self, api: SocketAddr, flows: usize) -> Result<(), BenchError> {
        let mut client = Client::connect(api)?;
        self.wait_until("not all flows run", || {
            let health: Value =
                serde_json::from_slice(client.ask("GET", "/health", "")?).unwrap_or_default();
            let is_there = health["data_plane"] == "connected" && health["active_flows"] == flows;
            Ok(is_there.then_some(()))
        })
    }

    fn wait_until<T>(
        &mut self,
        problem: &str,
        mut probe: impl FnMut() -> Result<Option<T>, BenchError>,
    ) -> Result<T, BenchError> {
        let deadline_ns = monotonic_ns() + START_NS_MAX;
        loop {
            if let Some(found) = probe()? {
                return Ok(found);
            }
            self.check()?;
            if monotonic_ns() > deadline_ns {
                return Err(self.failed(problem));
            }
            sleep_until(monotonic_ns() + POLL_NS);
        }
    }

    /// An error when it has ended.
    fn check(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(self.failed(&format!("it ended with {status}"))),
            _ => Ok(()),
        }
    }

    /// An error with the end of the log, which is about to be deleted.
    fn failed(&self, problem: &str) -> BenchError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
        BenchError::Process {
            who: self.who,
            problem: format!("{problem}; end of its log:\n{}", end.join("\n")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const DATA_PLANE: &str = "data plane";
const CONTROL_PLANE: &str = "control plane";

/// The folders of the control planes.
const EMPTY: &str = "empty";
const FULL: &str = "full";

/// Files here are in memory, on every Linux.
const MEMORY_FOLDER: &str = "/dev/shm";

/// Lines of its log that an error shows.
const LOG_LINES: usize = 10;

/// Between two looks at what is awaited.
const POLL_NS: u64 = 5_000_000;

/// A flow takes a descriptor for its input and one for each output, more than shells usually allow; the service has
/// room for that. Children inherit the limit.
fn allow_descriptors() -> Result<(), BenchError> {
    let fail = || BenchError::system("allow as many descriptors as this user may have");
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(fail())?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(fail())
}

fn program(path: &Path) -> Result<Command, BenchError> {
    if path.exists() {
        Ok(Command::new(path))
    } else {
        Err(BenchError::ProgramMissing {
            path: path.to_owned(),
        })
    }
}

fn listening_address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on http://")?;
    // Only a finished line is sure to hold the whole port.
    let (line, _) = rest.split_once('\n')?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_a_finished_line() {
        let address = "127.1.2.3:4567".parse().ok();
        assert_eq!(
            listening_address("INFO x: listening on http://127.1.2.3:4567\nmore"),
            address
        );
        assert_eq!(
            listening_address("INFO x: listening on http://127.1.2.3:45"),
            None
        );
    }

    #[test]
    fn memory_is_the_growth_for_each_flow() {
        let status = "VmRSS:\t 600 kB\nRssAnon:\t 100 kB\nRssFile:\t 200 kB\nRssShmem:\t 300 kB\n";
        let idle = Resident::parse(status);
        assert_eq!(idle.total_kib(), 600);
        let without = Resident {
            anon_kib: 99,
            ..Resident::default()
        };
        let memory = ProcessMemory::new(without, idle);
        assert_eq!(memory.idle_kib_per_flow, 501.0 / FLOWS as f64);
        assert_eq!(ProcessMemory::new(idle, without).idle_kib_per_flow, 0.0);
    }
}
