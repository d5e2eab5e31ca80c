//! The real data plane, started for the measurement and told what to run over its control socket.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bilbycast_shm_proto::control::{
    self, ClientMessage, Hello, PROTOCOL_VERSION, Reply, ReplyBody, Request, ServerMessage,
};
use bilbycast_shm_proto::model::{
    DSCP_DEFAULT, FlowSpec, InputSpec, OutputKind, OutputSpec, ReceiveSpec, RtpInputSpec,
    RtpOutputSpec, SendSpec,
};
use bilbycast_shm_proto::shm::{FlowSnapshot, ShmReader};
use dataplane::net::clock::monotonic_ns;
use tempfile::TempDir;

use super::load::sleep_until;
use crate::BenchError;

/// A data plane of our own: temporary socket, shared memory and log; it ends with this value.
#[derive(Debug)]
pub(super) struct Gateway {
    child: Child,
    folder: TempDir,
}

impl Gateway {
    /// Starts `program` with one packet core on `cpu` and waits until it answers.
    pub(super) fn start(program: &Path, cpu: u32) -> Result<Self, BenchError> {
        if !program.exists() {
            return Err(BenchError::ProgramMissing {
                path: program.to_owned(),
            });
        }
        let folder = tempfile::Builder::new()
            .prefix("bilbycast-bench")
            .tempdir()
            .map_err(BenchError::system("make a temporary folder"))?;
        let log = File::create(folder.path().join(LOG))
            .and_then(|log| Ok((log.try_clone()?, log)))
            .map_err(BenchError::system("make the log of the data plane"))?;
        let child = Command::new(program)
            .arg("--control-socket")
            .arg(folder.path().join(SOCKET))
            .arg("--shm")
            .arg(folder.path().join(SHM))
            .args(["--cores", &cpu.to_string()])
            .stdin(Stdio::null())
            .stdout(log.0)
            .stderr(log.1)
            .spawn()
            .map_err(BenchError::system(format!("start {}", program.display())))?;
        let mut gateway = Self { child, folder };
        gateway.wait_until_it_answers()?;
        Ok(gateway)
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes it run a flow from one RTP input to one RTP output.
    pub(super) fn apply(
        &self,
        flow_id: &str,
        input: SocketAddrV4,
        output: SocketAddrV4,
    ) -> Result<(), BenchError> {
        self.apply_flow(rtp_flow(flow_id, input, output))
    }

    /// Makes it run a flow.
    pub(super) fn apply_flow(&self, flow: FlowSpec) -> Result<(), BenchError> {
        match self.command(control::Command::ApplyFlow(flow))? {
            ReplyBody::Applied(_) => Ok(()),
            other => Err(self.failed(format!("it answered {other:?} to a flow"))),
        }
    }

    /// Newest values of its flows.
    pub(super) fn flows(&self) -> Result<Vec<FlowSnapshot>, BenchError> {
        Ok(ShmReader::open(&self.folder.path().join(SHM))?.flows())
    }

    fn wait_until_it_answers(&mut self) -> Result<(), BenchError> {
        let deadline_ns = monotonic_ns() + START_NS_MAX;
        loop {
            if self.socket_path().exists() && self.command(control::Command::Ping).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(format!("it ended with {status}")));
            }
            if monotonic_ns() > deadline_ns {
                return Err(self.failed("it does not answer".to_owned()));
            }
            sleep_until(monotonic_ns() + 10_000_000);
        }
    }

    /// One command on a connection of its own: nothing is left open that the data plane would have to serve while it
    /// is being measured.
    fn command(&self, command: control::Command) -> Result<ReplyBody, BenchError> {
        let mut stream = UnixStream::connect(self.socket_path())
            .map_err(BenchError::system("connect to the control socket"))?;
        stream
            .set_read_timeout(Some(REPLY_MAX))
            .map_err(BenchError::system("limit the wait for a reply"))?;
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        control::write_message(&mut stream, &ClientMessage::Hello(hello))?;
        control::write_message(
            &mut stream,
            &ClientMessage::Request(Request { id: 1, command }),
        )?;
        loop {
            if let ServerMessage::Reply(Reply { result, .. }) = control::read_message(&mut stream)?
            {
                return Ok(result?);
            }
        }
    }

    fn socket_path(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// An error with the end of the log, which is about to be deleted.
    fn failed(&self, problem: String) -> BenchError {
        let log = fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
        BenchError::Process {
            who: "data plane",
            problem: format!("{problem}; end of its log:\n{}", end.join("\n")),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SOCKET: &str = "dataplane.sock";
const SHM: &str = "counters.shm";
const LOG: &str = "log";

/// Lines of its log that an error shows.
const LOG_LINES: usize = 10;

/// How long the data plane may take to start.
const START_NS_MAX: u64 = 5_000_000_000;

/// How long it may take to answer.
const REPLY_MAX: Duration = Duration::from_secs(5);

/// Receives on `address`.
pub(super) fn receive_spec(address: SocketAddrV4) -> ReceiveSpec {
    ReceiveSpec {
        bind_addr: address.into(),
        interface_addr: None,
        source_addr: None,
    }
}

/// Sends to `address` from wherever the kernel likes.
pub(super) fn send_spec(address: SocketAddrV4) -> SendSpec {
    SendSpec {
        dest_addr: address.into(),
        bind_addr: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into(),
        interface_addr: None,
        dscp: DSCP_DEFAULT,
    }
}

fn rtp_flow(flow_id: &str, input: SocketAddrV4, output: SocketAddrV4) -> FlowSpec {
    FlowSpec {
        id: flow_id.to_owned(),
        media_analysis: true,
        bandwidth_limit: None,
        input: InputSpec::Rtp(RtpInputSpec::plain(receive_spec(input))),
        outputs: vec![OutputSpec {
            id: "output".to_owned(),
            kind: OutputKind::Rtp(RtpOutputSpec::plain(send_spec(output))),
        }],
    }
}
