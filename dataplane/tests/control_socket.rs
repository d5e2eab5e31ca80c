//! The real process at its control socket: well-behaved clients are served, all others cost nothing but their own
//! connection.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::{
    ClientMessage, Command, ControlErrorKind, Hello, PROTOCOL_VERSION, Reply, ReplyBody, Request,
    ServerMessage, read_message, write_message,
};
use bilbycast_shm_proto::model::{FlowSpec, InputSpec, TestInputSpec};
use bilbycast_shm_proto::shm::ShmReader;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DEADLINE: Duration = Duration::from_secs(10);

struct Dataplane {
    process: Child,
    folder: tempfile::TempDir,
}

impl Dataplane {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Self::command(&folder).spawn().unwrap();
        let dataplane = Self { process, folder };
        let deadline = Instant::now() + DEADLINE;
        while UnixStream::connect(dataplane.socket()).is_err() {
            assert!(Instant::now() < deadline, "no control socket appeared");
            std::thread::sleep(Duration::from_millis(10));
        }
        dataplane
    }

    fn command(folder: &tempfile::TempDir) -> Process {
        let mut command = Process::new(env!("CARGO_BIN_EXE_bilbycast-dataplane"));
        command
            .arg("--control-socket")
            .arg(folder.path().join("socket"))
            .arg("--shm")
            .arg(folder.path().join("shm"))
            .stderr(Stdio::null());
        command
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    fn client(&self) -> UnixStream {
        let mut stream = self.connect();
        write_message(&mut stream, &hello(PROTOCOL_VERSION)).unwrap();
        let welcome: ServerMessage = read_message(&mut stream).unwrap();
        assert!(matches!(welcome, ServerMessage::Welcome(_)), "{welcome:?}");
        stream
    }

    fn wait(mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the data plane did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        // It may have ended already, as some tests want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hello(protocol: u32) -> ClientMessage {
    ClientMessage::Hello(Hello {
        protocol,
        software_version: "test".to_owned(),
    })
}

fn ask(stream: &mut UnixStream, id: u64, command: Command) -> Reply {
    let request = ClientMessage::Request(Request { id, command });
    write_message(stream, &request).unwrap();
    loop {
        match read_message(stream).unwrap() {
            ServerMessage::Reply(reply) => return reply,
            ServerMessage::Event(_) => {}
            ServerMessage::Welcome(welcome) => panic!("{welcome:?}"),
        }
    }
}

/// True when the far end closes without another word.
fn is_closed(stream: &mut UnixStream) -> bool {
    match stream.read_to_end(&mut Vec::new()) {
        Ok(bytes) => bytes == 0,
        // Closed with something of ours unread.
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn only_its_own_user_can_reach_it() {
    let dataplane = Dataplane::start();
    let mode = std::fs::metadata(dataplane.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_second_one_on_the_same_socket_is_refused_and_the_first_goes_on() {
    let dataplane = Dataplane::start();
    let boot_id = ShmReader::open(&dataplane.folder.path().join("shm"))
        .unwrap()
        .boot_id();
    let second = Dataplane::command(&dataplane.folder)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(
        text.contains("another data plane is running there"),
        "{text}"
    );
    let reader = ShmReader::open(&dataplane.folder.path().join("shm")).unwrap();
    assert_eq!(reader.boot_id(), boot_id);
    let reply = ask(&mut dataplane.client(), 1, Command::Ping);
    assert_eq!(reply.result, Ok(ReplyBody::Done));
}

#[test]
fn another_protocol_version_is_refused_with_words() {
    let dataplane = Dataplane::start();
    let mut stream = dataplane.connect();
    write_message(&mut stream, &hello(PROTOCOL_VERSION + 1)).unwrap();
    let ServerMessage::Reply(reply) = read_message(&mut stream).unwrap() else {
        panic!("not a reply");
    };
    assert_eq!(reply.result.unwrap_err().kind, ControlErrorKind::Version);
    assert!(is_closed(&mut stream));
}

#[test]
fn rubbish_is_closed_and_served_clients_do_not_notice() {
    let dataplane = Dataplane::start();
    let mut good = dataplane.client();
    let ten_megabytes = vec![0xff; 10 << 20];
    let mut half = bilbycast_shm_proto::control::encode(&hello(PROTOCOL_VERSION)).unwrap();
    half.truncate(10);
    let early = bilbycast_shm_proto::control::encode(&ClientMessage::Request(Request {
        id: 1,
        command: Command::Ping,
    }))
    .unwrap();
    for rubbish in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ten_megabytes,
        half,
        early,
    ] {
        let mut stream = dataplane.connect();
        // The far end may close before it has taken everything.
        let _ = stream.write_all(&rubbish);
        assert_eq!(ask(&mut good, 7, Command::Ping).result, Ok(ReplyBody::Done));
        assert!(is_closed(&mut stream), "{} bytes", rubbish.len());
    }
    // Rubbish of one that was welcome closes it, too.
    let mut bad = dataplane.client();
    bad.write_all(&[9, 0, 0, 0]).unwrap();
    bad.write_all(b"{\"x\": 1}.").unwrap();
    assert!(is_closed(&mut bad));
    assert_eq!(ask(&mut good, 8, Command::Ping).result, Ok(ReplyBody::Done));
}

#[test]
fn any_number_of_silent_clients_keeps_nobody_out() {
    let dataplane = Dataplane::start();
    let mut good = dataplane.client();
    let mut silent = Vec::new();
    for round in 0..100 {
        silent.push(dataplane.connect());
        assert_eq!(
            ask(&mut good, round, Command::Ping).result,
            Ok(ReplyBody::Done)
        );
    }
    let mut late = dataplane.client();
    assert_eq!(ask(&mut late, 1, Command::Ping).result, Ok(ReplyBody::Done));
    // Those that are still there are closed for not saying who they are.
    assert!(silent.iter_mut().all(is_closed));
}

#[test]
fn a_client_that_reads_nothing_is_closed_and_holds_nobody_up() {
    let dataplane = Dataplane::start();
    let mut deaf = dataplane.client();
    let mut good = dataplane.client();
    let spec = FlowSpec {
        id: "f".to_owned(),
        media_analysis: true,
        bandwidth_limit: None,
        input: InputSpec::Test(TestInputSpec {
            bitrate_bps: 300_000,
        }),
        outputs: Vec::new(),
    };
    ask(&mut good, 0, Command::ApplyFlow(spec));
    let list = ClientMessage::Request(Request {
        id: 1,
        command: Command::ListFlows,
    });
    deaf.set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    // Asks until its own sending blocks, for the far end waits to be read.
    while write_message(&mut deaf, &list).is_ok() {}
    for id in 1..100 {
        assert_eq!(
            ask(&mut good, id, Command::Ping).result,
            Ok(ReplyBody::Done)
        );
    }
}

#[test]
fn it_ends_on_sigterm_and_leaves_nothing_behind() {
    let dataplane = Dataplane::start();
    let (socket, shm) = (dataplane.socket(), dataplane.folder.path().join("shm"));
    let folder = dataplane.folder.path().to_owned();
    dataplane.signal(Signal::SIGTERM);
    // `wait` drops the folder with the process, so look before.
    let deadline = Instant::now() + DEADLINE;
    while socket.exists() || shm.exists() {
        assert!(Instant::now() < deadline, "left in {}", folder.display());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(dataplane.wait().success());
}

#[test]
fn a_killed_one_is_followed_by_the_next_on_the_same_paths() {
    let mut dataplane = Dataplane::start();
    dataplane.signal(Signal::SIGKILL);
    dataplane.process.wait().unwrap();
    let process = Dataplane::command(&dataplane.folder).spawn().unwrap();
    dataplane.process = process;
    let deadline = Instant::now() + DEADLINE;
    while UnixStream::connect(dataplane.socket()).is_err() {
        assert!(Instant::now() < deadline, "no control socket appeared");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(
        ask(&mut dataplane.client(), 1, Command::Ping).result,
        Ok(ReplyBody::Done)
    );
}

#[test]
fn wrong_arguments_are_explained() {
    for (arguments, expected) in [
        (
            vec!["--cores", "x"],
            "'x' is neither a CPU number nor a range",
        ),
        (
            vec!["--cores", "8000"],
            "CPU 8000 is not available to this process",
        ),
        (vec!["--tick-us", "1"], "1 is not in 50..=10000"),
        (
            vec!["--control-socket", "/proc/none/socket"],
            "--control-socket /proc/none/socket:",
        ),
    ] {
        let mut process = Process::new(env!("CARGO_BIN_EXE_bilbycast-dataplane"))
            .args(&arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let text: Vec<String> = stderr.lines().map_while(Result::ok).collect();
        assert!(!process.wait().unwrap().success());
        assert!(text.iter().any(|line| line.contains(expected)), "{text:?}");
    }
}
