//! The binary: command line, start, end.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::PROTOCOL_VERSION;
use rustix::process::{Pid, Signal, kill_process};

use crate::fake::FakeDataPlane;
use crate::harness::{Client, Folder, flow, wait_until};

pub(crate) struct Process {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    seen: String,
}

impl Process {
    pub(crate) fn start(folder: &Folder, more: &[&str]) -> Self {
        Self::start_with(folder, more, &[])
    }

    /// With these variables in its environment.
    pub(crate) fn start_with(folder: &Folder, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bilbycast-controlplane"))
            .arg("--config")
            .arg(folder.config())
            .arg("--control-socket")
            .arg(folder.path().join("dataplane.sock"))
            .arg("--shm")
            .arg(folder.path().join("counters.shm"))
            .args(more)
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            log,
            seen: String::new(),
        }
    }

    /// Reads the log up to the line that names the address.
    pub(crate) fn address(&mut self) -> String {
        loop {
            let line = self.read_line();
            if let Some((_, url)) = line.split_once("listening on ") {
                let (_, address) = url.split_once("://").unwrap();
                return address.trim().to_owned();
            }
        }
    }

    /// The next line of the log.
    pub(crate) fn read_line(&mut self) -> &str {
        let start = self.seen.len();
        let length = self.log.read_line(&mut self.seen).unwrap();
        assert!(length > 0, "{}", self.seen);
        &self.seen[start..]
    }

    /// Ends it, for the whole log.
    pub(crate) fn into_log(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.log.read_to_string(&mut self.seen).unwrap();
        std::mem::take(&mut self.seen)
    }

    pub(crate) fn end(mut self, signal: Signal) -> (ExitStatus, Duration) {
        let since = Instant::now();
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let status = self.child.wait().unwrap();
        (status, since.elapsed())
    }

    pub(crate) fn fail(mut self) -> (Option<i32>, String) {
        self.log.read_to_string(&mut self.seen).unwrap();
        (self.child.wait().unwrap().code(), self.seen.clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_starts_without_anything_and_ends_cleanly() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("etc")).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start(&folder, &["-p", "0"]);
        let address = process.address();
        assert!(process.seen.contains("SECURITY"), "{}", process.seen);
        let port = address.rsplit_once(':').unwrap().1;
        let client = Client::new(format!("127.0.0.1:{port}"));
        assert_eq!(client.get("/health").1["data_plane"], "lost");
        // An idle connection must not hold up the end.
        let (status, took) = process.end(signal);
        assert!(status.success(), "{status}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    let node_id = folder.read_config()["node_id"].clone();
    assert!(node_id.is_string(), "the node has got its identity");
}

#[test]
fn a_configuration_that_cannot_be_used_ends_the_start() {
    let folder = Folder::new();
    folder.write_config(&[flow("", 5000)]);
    let (code, log) = Process::start(&folder, &["-p", "0"]).fail();
    assert_eq!(code, Some(1));
    assert!(log.contains("ERROR") && log.contains("id"), "{log}");

    fs::write(folder.config(), "{").unwrap();
    let (code, log) = Process::start(&folder, &["-p", "0"]).fail();
    assert_eq!(code, Some(1));
    assert!(log.contains("config.json"), "{log}");
}

#[test]
fn an_address_in_use_ends_the_start() {
    let folder = Folder::new();
    folder.write_config(&[]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, log) = Process::start(&folder, &["--bind", "127.0.0.1", "--port", &port]).fail();
    assert_eq!(code, Some(1));
    let expected = format!("the API cannot listen on 127.0.0.1:{port}: Address already in use");
    assert!(log.contains(&expected), "{log}");
}

#[test]
fn a_folder_that_is_missing_is_a_warning() {
    let folder = Folder::new();
    let mut process = Process::start(&folder, &["-p", "0", "-b", "127.0.0.1"]);
    process.address();
    assert!(
        process.seen.contains("the configuration was not saved"),
        "{}",
        process.seen
    );
    assert!(!process.seen.contains("SECURITY"), "{}", process.seen);
}

#[test]
fn a_process_that_was_stopped_for_a_while_keeps_its_connection() {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000)]);
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    let mut process = Process::start(&folder, &["-p", "0", "-b", "127.0.0.1"]);
    let client = Client::new(process.address());
    wait_until("the flow to run", || data_plane.running() == ["a"]);
    data_plane.take_commands();
    let pid = Pid::from_child(&process.child);
    data_plane.while_busy(|| {
        // Longer than the period of the signs of life: one is asked for and finds its answer only after the stop.
        std::thread::sleep(Duration::from_millis(1_500));
        kill_process(pid, Signal::STOP).unwrap();
    });
    // Longer than the patience with a silent data plane.
    std::thread::sleep(Duration::from_secs(4));
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!(client.get("/health").1["active_flows"], 1);
    let signs_of_life = data_plane.pings();
    wait_until("the next sign of life", || {
        data_plane.pings() > signs_of_life + 1
    });
    assert!(data_plane.take_commands().is_empty(), "it connected anew");
}

#[test]
fn it_yields_to_the_packet_cores() {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let cpus: Vec<_> = (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|cpu| allowed.is_set(*cpu))
        .collect();
    let [taken, others @ ..] = cpus.as_slice() else {
        return;
    };
    if others.is_empty() {
        eprintln!("skipped: this machine has one CPU");
        return;
    }
    let folder = Folder::new();
    folder.write_config(&[]);
    let cores = vec![u32::try_from(*taken).unwrap()];
    let _data_plane = FakeDataPlane::with_welcome(folder.path(), 1, PROTOCOL_VERSION, cores);
    let mut process = Process::start(&folder, &["-p", "0", "-b", "127.0.0.1"]);
    process.address();
    let tasks = format!("/proc/{}/task", process.child.id());
    wait_until("all threads to move", || {
        let threads = fs::read_dir(&tasks).unwrap();
        threads.flatten().all(|thread| {
            let id = thread.file_name().to_str().unwrap().parse().unwrap();
            let Ok(set) = rustix::thread::sched_getaffinity(Pid::from_raw(id)) else {
                return true;
            };
            !set.is_set(*taken)
        })
    });
    let nice = rustix::process::getpriority_process(Some(Pid::from_child(&process.child)));
    assert!(nice.unwrap() >= 5);
}
