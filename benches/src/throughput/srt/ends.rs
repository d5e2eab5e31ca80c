//! The two ends of an SRT connection, each our data plane or `srt-live-transmit` of libsrt.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Child, Command, Stdio};
use std::thread;

use bilbycast_shm_proto::model::{
    FlowSpec, InputSpec, OutputKind, OutputSpec, SrtInputSpec, SrtLegSpec, SrtMode, SrtOutputSpec,
    UdpInputSpec, UdpOutputSpec,
};
use dataplane::net::scheduling;
use serde::Serialize;

use crate::BenchError;
use crate::throughput::gateway::{Gateway, receive_spec, send_spec};
use crate::throughput::load::pin;
use crate::throughput::plan::Settings;

/// Who is at an end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// The data plane.
    Gateway,
    /// `srt-live-transmit`.
    Libsrt,
}

impl Program {
    /// For the table and the names of the goals.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Libsrt => "libsrt",
        }
    }
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From SRT, as a listener, to UDP.
    Receive,
    /// From UDP to SRT, as a caller.
    Send,
}

impl Direction {
    /// For the table and the names of the goals.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
        }
    }
}

/// One end, as a process of its own; it ends with this value.
#[derive(Debug)]
pub(super) enum End {
    Gateway(Gateway),
    Libsrt(Libsrt),
}

impl End {
    /// Starts `program` on `cpu`: it carries from `from` to `to`, of which the one that `direction` names is SRT.
    pub(super) fn start(
        program: Program,
        settings: &Settings,
        cpu: u32,
        direction: Direction,
        from: SocketAddrV4,
        to: SocketAddrV4,
    ) -> Result<Self, BenchError> {
        match program {
            Program::Gateway => {
                let gateway = Gateway::start(&settings.dataplane, cpu)?;
                gateway.apply_flow(flow(direction, from, to))?;
                Ok(Self::Gateway(gateway))
            }
            Program::Libsrt => Libsrt::start(cpu, &urls(direction, from, to)).map(Self::Libsrt),
        }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Gateway(gateway) => gateway.pid(),
            Self::Libsrt(libsrt) => libsrt.0.id(),
        }
    }
}

/// `srt-live-transmit` as a child process.
#[derive(Debug)]
pub(super) struct Libsrt(Child);

impl Libsrt {
    /// Its version as it says it; `None` when it is not there.
    pub(super) fn version() -> Option<String> {
        // It fails for want of URLs after it has said it.
        let output = Command::new(PROGRAM).arg("-version").output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let version = text.lines().find_map(|line| {
            let (_, version) = line.split_once("SRT Library version: ")?;
            Some(version.split(',').next()?.trim().to_owned())
        });
        Some(version.unwrap_or_else(|| "unknown".to_owned()))
    }

    fn start(cpu: u32, urls: &[String; 2]) -> Result<Self, BenchError> {
        // A child inherits CPU, priority and timers of the thread that starts it: those of a packet core.
        let start = || {
            pin(cpu)?;
            // Without the privilege both run on equal terms with the rest of the host.
            let _ = scheduling::favour_this_thread();
            scheduling::exact_timers();
            Command::new(PROGRAM)
                .args(["-q", "-loglevel:fatal", "-chunk:1316", "-buffering:100"])
                .args(urls)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(BenchError::system(format!("start {PROGRAM}")))
        };
        let child = thread::scope(|scope| {
            scope.spawn(start).join().unwrap_or_else(|_| {
                Err(BenchError::Process {
                    who: PROGRAM,
                    problem: "the thread that starts it panicked".to_owned(),
                })
            })
        });
        child.map(Self)
    }
}

impl Drop for Libsrt {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PROGRAM: &str = "srt-live-transmit";

/// Latency of the connection in milliseconds: libsrt's default.
pub(in crate::throughput) const LATENCY_MS: u16 = 120;

/// Buffers and window of both ends, in packets: nearly three times the latency at 1 Gb/s.
pub(super) const BUFFER_PACKETS: u32 = 32_768;

/// What libsrt reserves for a packet of a buffer that is set in bytes: the MTU less the IP and UDP headers.
const BUFFER_PACKET_BYTES: u32 = 1_472;

/// Bytes a second. What libsrt calls unlimited is 1 Gb/s, headers included, which is less than 1 Gb/s of payload needs.
const BANDWIDTH_MAX: u64 = 250_000_000;

fn urls(direction: Direction, from: SocketAddrV4, to: SocketAddrV4) -> [String; 2] {
    let buffer_bytes = BUFFER_PACKETS * BUFFER_PACKET_BYTES;
    let options = format!(
        "latency={LATENCY_MS}&fc={BUFFER_PACKETS}&rcvbuf={buffer_bytes}&sndbuf={buffer_bytes}&maxbw={BANDWIDTH_MAX}"
    );
    match direction {
        Direction::Receive => [
            format!("srt://{from}?mode=listener&{options}"),
            format!("udp://{to}"),
        ],
        Direction::Send => [
            format!("udp://{from}?rcvbuf={UDP_BUFFER_BYTES}"),
            format!("srt://{to}?mode=caller&{options}"),
        ],
    }
}

/// For libsrt's UDP input; the kernel cuts it to what the host allows.
const UDP_BUFFER_BYTES: u32 = 62_500_000;

fn flow(direction: Direction, from: SocketAddrV4, to: SocketAddrV4) -> FlowSpec {
    let (input, kind) = match direction {
        Direction::Receive => (
            InputSpec::Srt(Box::new(SrtInputSpec {
                leg: leg(SrtMode::Listener, from),
                redundancy: None,
            })),
            OutputKind::Udp(UdpOutputSpec {
                send: send_spec(to),
            }),
        ),
        Direction::Send => (
            InputSpec::Udp(UdpInputSpec {
                receive: receive_spec(from),
            }),
            OutputKind::Srt(Box::new(SrtOutputSpec {
                leg: leg(SrtMode::Caller, to),
                redundancy: None,
                wrap_payload_type: bilbycast_shm_proto::model::PAYLOAD_TYPE_MP2T,
            })),
        ),
    };
    FlowSpec {
        id: "srt".to_owned(),
        media_analysis: true,
        bandwidth_limit: None,
        input,
        outputs: vec![OutputSpec {
            id: "output".to_owned(),
            kind,
        }],
    }
}

/// The configuration's defaults, but for room and rate.
pub(in crate::throughput) fn leg(mode: SrtMode, address: SocketAddrV4) -> SrtLegSpec {
    let (local_addr, remote_addr) = match mode {
        SrtMode::Listener => (address, None),
        SrtMode::Caller | SrtMode::Rendezvous => (
            SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            Some(address.into()),
        ),
    };
    SrtLegSpec {
        mode,
        local_addr: local_addr.into(),
        remote_addr,
        recv_latency_ms: LATENCY_MS,
        peer_latency_ms: LATENCY_MS,
        peer_idle_timeout_secs: 30,
        passphrase: None,
        aes_key_len: None,
        aes_gcm: false,
        enforced_encryption: true,
        stream_id: None,
        packet_filter: None,
        mss: 1_500,
        flight_flag_size: BUFFER_PACKETS,
        send_buffer_size: BUFFER_PACKETS,
        recv_buffer_size: BUFFER_PACKETS,
        payload_size: 1_316,
        tlpkt_drop: true,
        max_bw: Some(BANDWIDTH_MAX),
        input_bw: 0,
        overhead_bw: 25,
        max_rexmit_bw: None,
        reduced_retransmission: false,
        send_drop_delay_ms: None,
        loss_max_ttl: 0,
        ip_tos: 0,
        ip_ttl: 64,
        connect_timeout_secs: 3,
        km_refresh_rate: None,
        km_pre_announce: None,
    }
}
