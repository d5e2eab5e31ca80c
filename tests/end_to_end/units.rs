//! The units, and the processes as systemd sees them: a test plays its part.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bilbycast_tests::api::Api;
use bilbycast_tests::node::{NodeSetup, binary_folder};
use bilbycast_tests::{address, wait};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use ureq::http::Method;

const UNITS: [&str; 4] = [
    "bilbycast-controlplane.service",
    "bilbycast-controlplane.socket",
    "bilbycast-dataplane.service",
    "bilbycast-monitor.socket",
];

/// Drop-ins of the data plane that a package brings as examples.
const DROP_INS: [&str; 2] = [
    "bilbycast-dataplane-cores.conf",
    "bilbycast-dataplane-realtime.conf",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

/// The units in a folder of their own, with the programs under test in place of installed ones. Nothing without
/// systemd-analyze.
fn units() -> Option<tempfile::TempDir> {
    let version = Command::new("systemd-analyze").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        bilbycast_test_peers::skip("no systemd-analyze (Debian package systemd)");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let programs = format!("ExecStart={}/", binary_folder().display());
    for unit in UNITS {
        let text = fs::read_to_string(source().join(unit)).unwrap();
        let text = text.replace("ExecStart=/usr/bin/", &programs);
        fs::write(folder.path().join(unit), text).unwrap();
    }
    Some(folder)
}

fn analyze(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let Some(folder) = units() else { return };
    let drop_ins = folder.path().join("bilbycast-dataplane.service.d");
    fs::create_dir(&drop_ins).unwrap();
    for name in DROP_INS {
        let _bytes = fs::copy(source().join(name), drop_ins.join(name)).unwrap();
    }
    let paths = UNITS.map(|unit| format!("./{unit}"));
    let mut arguments = vec!["verify", "--man=no"];
    arguments.extend(paths.iter().map(String::as_str));
    let (good, said) = analyze(folder.path(), &arguments);
    assert!(good, "{said}");
    assert!(!said.contains("bilbycast"), "{said}");
}

/// The CPUs of a line that begins so, in the notation of the kernel or of systemd.
fn cpus_after(text: &str, key: &str) -> BTreeSet<u32> {
    let mut lines = text.lines();
    let list = lines
        .find_map(|line| line.strip_prefix(key).filter(|list| !list.is_empty()))
        .unwrap_or_else(|| panic!("no {key} in {text}"));
    let parts = list.trim_end_matches('"').split([' ', ',']);
    parts
        .flat_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            first.parse().unwrap()..=last.parse().unwrap()
        })
        .collect()
}

/// A data plane is refused CPUs that its unit does not leave to it, and its control thread needs one that carries no packets.
#[test]
fn affinity_and_cores_agree() {
    let text = fs::read_to_string(source().join(DROP_INS[0])).unwrap();
    let affinity = cpus_after(&text, "CPUAffinity=");
    let cores = cpus_after(&text, "Environment=\"DATAPLANE_OPTIONS=--cores ");
    assert!(!cores.is_empty() && cores.is_subset(&affinity), "{text}");
    assert!(affinity.len() > cores.len(), "{text}");
}

/// Tenths of systemd's exposure level, from 0 (sandboxed) to 100. What is left is the network, and for the data plane its
/// three capabilities and real-time scheduling.
#[test]
fn the_services_are_hardened() {
    let Some(folder) = units() else { return };
    for (unit, threshold) in [
        ("./bilbycast-controlplane.service", "17"),
        ("./bilbycast-dataplane.service", "22"),
    ] {
        let (good, said) = analyze(
            folder.path(),
            &[
                "security",
                "--offline=true",
                "--no-pager",
                "--threshold",
                threshold,
                unit,
            ],
        );
        assert!(good, "{said}");
    }
}

#[test]
fn the_data_plane_depends_on_nothing_of_the_control_plane() {
    let text = fs::read_to_string(source().join("bilbycast-dataplane.service")).unwrap();
    let mut settings = text.lines().filter(|line| !line.starts_with('#'));
    assert!(
        !settings.any(|line| line.contains("controlplane")),
        "{text}"
    );
}

/// What a service manager hears.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn in_folder(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path }
    }

    /// A program and arguments in front of a process that shall tell this manager.
    fn wrapper(&self, watchdog: Duration) -> Vec<String> {
        vec![
            "env".to_owned(),
            format!("NOTIFY_SOCKET={}", self.path.display()),
            format!("WATCHDOG_USEC={}", watchdog.as_micros()),
        ]
    }

    /// The next message; nothing when none comes for so long.
    fn hear(&self, limit: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(limit)).unwrap();
        let mut buffer = [0; 1_024];
        match self.socket.recv(&mut buffer) {
            Ok(bytes) => Some(String::from_utf8_lossy(&buffer[..bytes]).into_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn hear_until(&self, line: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut heard = Vec::new();
        while Instant::now() < deadline {
            let message = self.hear(Duration::from_millis(100)).unwrap_or_default();
            if message.lines().any(|heard| heard.starts_with(line)) {
                return;
            }
            heard.push(message);
        }
        panic!("no '{line}' for {limit:?}, but {heard:?}");
    }
}

/// A thread of another process that stands still, as one in an endless loop or in a driver would, until this is dropped.
struct StuckThread(Child);

impl StuckThread {
    /// Stops the packet thread of a data plane.
    fn packets_of(pid: u32) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let thread = tasks
            .map(|task| task.unwrap().path())
            .find(|task| {
                let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
                name.starts_with("packets-")
            })
            .expect("packet threads have that name");
        let id = thread.file_name().unwrap().to_str().unwrap().to_owned();
        let child = Command::new("python3")
            .args(["-c", PTRACE, &id])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait::until_true("the thread stands still", Duration::from_secs(5), || {
            let stat = fs::read_to_string(thread.join("stat")).unwrap_or_default();
            // The state follows the name, which is in brackets (proc(5)); t is stopped by a tracer.
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('t'))
        });
        Self(child)
    }

    fn release(mut self) {
        // The end of its standard input tells the tracer to let go.
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

/// PTRACE_ATTACH (16) stops one thread; the end of the tracer's input ends it.
const PTRACE: &str = "
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
thread = int(sys.argv[1])
if libc.ptrace(16, thread, None, None) != 0:
    sys.exit(ctypes.get_errno())
sys.stdin.read()
libc.ptrace(17, thread, None, None)
";

#[test]
fn the_watchdog_is_told_while_every_packet_core_lives() {
    let mut setup = NodeSetup::new(&[]);
    let manager = Manager::in_folder(setup.folder());
    setup.dataplane_wrapper = manager.wrapper(WATCHDOG);
    let mut node = setup.start();
    manager.hear_until("READY=1", Duration::from_secs(5));
    for _ in 0..3 {
        manager.hear_until("WATCHDOG=1", WATCHDOG);
    }

    let stuck = StuckThread::packets_of(node.dataplane().pid());
    manager.hear_until("STATUS=a packet core", 2 * WATCHDOG);
    // For as long as systemd would wait, not a word: it would now end the process.
    assert_eq!(manager.hear(WATCHDOG), None, "a core is stuck");
    node.assert_alive();
    stuck.release();
    manager.hear_until("WATCHDOG=1", 2 * WATCHDOG);

    node.terminate_dataplane();
    manager.hear_until("STOPPING=1", Duration::from_secs(1));
}

/// Restarted as systemd does it, with clients that never stop asking: the socket stays open, so none is refused, and
/// none that was accepted is left without an answer.
#[test]
fn a_restart_of_the_control_plane_refuses_no_connection() {
    let listener = TcpListener::bind((address::own_ip(), 0)).unwrap();
    let api = listener.local_addr().unwrap();
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut setup = NodeSetup::new(&[]);
    let manager = Manager::in_folder(setup.folder());
    setup.controlplane_wrapper = manager.wrapper(Duration::from_secs(2));
    setup.controlplane_wrapper.extend([
        "bash".to_owned(),
        "-c".to_owned(),
        format!(
            "exec 3<&{}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=api exec \"$@\"",
            listener.as_raw_fd()
        ),
        "activation".to_owned(),
    ]);
    let mut node = setup.start();
    assert_eq!(
        node.api().url(""),
        format!("http://{api}"),
        "the socket of systemd"
    );
    manager.hear_until("READY=1", Duration::from_secs(1));
    manager.hear_until("WATCHDOG=1", Duration::from_secs(2));

    let clients = Clients::start(api);
    for restart in 1..=3 {
        clients.wait_answers(restart * 100);
        node.terminate_controlplane();
        manager.hear_until("STOPPING=1", Duration::from_secs(1));
        // Clients wait in the queue of the socket meanwhile.
        node.start_controlplane();
        manager.hear_until("READY=1", Duration::from_secs(5));
    }
    clients.wait_answers(500);
    clients.stop();
}

/// Clients that ask over new connections, again and again.
struct Clients {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    answers: AtomicUsize,
    stop: AtomicBool,
}

impl Clients {
    fn start(api: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = (0..4).map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    let answer = Api::new(api).try_send(&Method::GET, "/health", None);
                    let answer =
                        answer.unwrap_or_else(|error| panic!("a client was let down: {error}"));
                    assert_eq!(answer.status, 200);
                    shared.answers.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Self {
            threads: threads.collect(),
            shared,
        }
    }

    fn wait_answers(&self, more_than: usize) {
        wait::until_true("clients are answered", Duration::from_secs(10), || {
            let all_ask = self.threads.iter().all(|thread| !thread.is_finished());
            assert!(all_ask, "a client was let down");
            self.shared.answers.load(Ordering::Relaxed) > more_than
        });
    }

    fn stop(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no client was let down");
        }
    }
}

/// Long enough for heartbeats ten times a second to be late on a loaded machine.
const WATCHDOG: Duration = Duration::from_secs(2);
