//! The floor: a bare loop of `recvmmsg` and `sendmsg` in a process of its own.
//!
//! Each turn receives up to 64 messages by one `recvmmsg` from a socket with `UDP_GRO`, and sends what came as trains
//! of up to 48 datagrams by `sendmsg` with `UDP_SEGMENT`, straight from the receive buffers; it repeats while batches
//! come full. Then it sleeps to the next point of a grid of 0.5 ms ([`Wake::Tick`]), or blocks in `recvmmsg` until
//! something comes ([`Wake::Blocking`]).
//!
//! It is the floor because nothing can be left out: no header is read, nothing is counted, no receive time and no drop
//! count is asked of the kernel, there is no runtime, and it does not even ask how long the datagrams are: it is told
//! beforehand. What remains is what the kernel charges for moving the packets in batches of this size. Its thread gets
//! the same priority and the same exact timers as a packet core, and a receive buffer at least as large.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use clap::ValueEnum;
use dataplane::net::clock::monotonic_ns;
use dataplane::net::memory::{DATAGRAM_BYTES_MAX, RECEIVE_BATCH};
use dataplane::net::scheduling;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, recvmmsg, sendmsg, setsockopt, sockopt,
};
use serde::Serialize;

use super::load::{TRAIN_DATAGRAMS, pin, sleep_until};
use super::stream::DATAGRAM_BYTES;
use crate::BenchError;

/// When the bare loop looks for datagrams.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Wake {
    /// As soon as something comes.
    Blocking,
    /// Every 0.5 ms.
    Tick,
}

/// The grid of [`Wake::Tick`]: the data plane's default.
pub(super) const TICK_NS: u64 = 500_000;

/// The bare loop as a child process; ends with this value.
#[derive(Debug)]
pub(super) struct Floor {
    child: Child,
    /// Open as long as this process lives: its end tells the child to go.
    _stdin: ChildStdin,
}

impl Floor {
    /// Starts this program once more as the bare loop, and waits until its socket is bound.
    pub(super) fn start(
        cpu: u32,
        listen: SocketAddrV4,
        dest: SocketAddrV4,
        wake: Wake,
    ) -> Result<Self, BenchError> {
        let program = std::env::current_exe().map_err(BenchError::system("find this program"))?;
        let wake = match wake {
            Wake::Blocking => "blocking",
            Wake::Tick => "tick",
        };
        let mut child = Command::new(program)
            .args(["floor", "--cpu", &cpu.to_string()])
            .args(["--listen", &listen.to_string()])
            .args(["--dest", &dest.to_string(), "--wake", wake])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(BenchError::system("start the bare loop"))?;
        let (Some(stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked for as pipes");
        };
        let floor = Self {
            child,
            _stdin: stdin,
        };
        let mut ready = [0; READY.len()];
        stdout
            .read_exact(&mut ready)
            .map_err(|error| BenchError::Process {
                who: "bare loop",
                problem: format!("it ended before it was ready ({error})"),
            })?;
        Ok(floor)
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Forwards from `listen` to `dest` until standard input ends. The whole life of the child process.
///
/// # Errors
///
/// [`BenchError::System`] when the CPU or a socket cannot be had, or a call fails for another reason than an empty or
/// full buffer.
pub fn forward_bare(
    cpu: u32,
    listen: SocketAddr,
    dest: SocketAddr,
    wake: Wake,
) -> Result<(), BenchError> {
    end_with_parent()?;
    pin(cpu)?;
    // As for a packet core: without the privilege both run on equal terms with the rest of the host.
    let _ = scheduling::favour_this_thread();
    scheduling::exact_timers();
    let input = UdpSocket::bind(listen).map_err(BenchError::system(format!("bind {listen}")))?;
    setsockopt(&input, sockopt::UdpGroSegment, &true).map_err(BenchError::system("set UDP_GRO"))?;
    // Where the privilege is missing, the system's limit holds for the data plane too.
    if setsockopt(&input, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
        let _ = setsockopt(&input, sockopt::RcvBuf, &BUFFER_BYTES);
    }
    let output = UdpSocket::bind(SocketAddr::new(dest.ip(), 0))
        .and_then(|output| output.connect(dest).map(|()| output))
        .map_err(BenchError::system(format!("connect to {dest}")))?;
    // Refused, the default buffer has to do.
    let _ = setsockopt(&output, sockopt::SndBuf, &BUFFER_BYTES);
    let mut stdout = io::stdout();
    stdout
        .write_all(READY)
        .and_then(|()| stdout.flush())
        .map_err(BenchError::system("tell that the bare loop is ready"))?;

    let mut memory = vec![0; RECEIVE_BATCH * SLOT_BYTES];
    let mut headers = MultiHeaders::<()>::preallocate(RECEIVE_BATCH, None);
    let flags = match wake {
        Wake::Blocking => MsgFlags::MSG_WAITFORONE,
        Wake::Tick => MsgFlags::MSG_DONTWAIT,
    };
    loop {
        let (bytes, count) = receive(&input, &mut headers, &mut memory, flags)?;
        send(&output, &memory, &bytes[..count])?;
        if wake == Wake::Tick && count < RECEIVE_BATCH {
            sleep_until((monotonic_ns() / TICK_NS + 1) * TICK_NS);
        }
    }
}

const READY: &[u8] = b"ready\n";

/// Receive and send buffer: 100 ms at 5 Gb/s.
const BUFFER_BYTES: usize = 62_500_000;

/// As in the data plane's packet memory: the odd bytes spread the starts of the slots over the sets of the caches.
const SLOT_BYTES: usize = 65_536 + 1_472;

fn end_with_parent() -> Result<(), BenchError> {
    let watch = || {
        let mut rest = Vec::new();
        // Whether it ends or fails, the parent is gone.
        let _ = io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    };
    thread::Builder::new()
        .spawn(watch)
        .map(|_| ())
        .map_err(BenchError::system(
            "start the thread that watches the parent",
        ))
}

/// One `recvmmsg`; returns the bytes of each message and how many messages there are.
fn receive(
    input: &UdpSocket,
    headers: &mut MultiHeaders<()>,
    memory: &mut [u8],
    flags: MsgFlags,
) -> Result<([usize; RECEIVE_BATCH], usize), BenchError> {
    let mut bytes = [0; RECEIVE_BATCH];
    let mut rest = memory;
    let mut slots: [[IoSliceMut<'_>; 1]; RECEIVE_BATCH] = std::array::from_fn(|_| {
        let (slot, behind) = std::mem::take(&mut rest).split_at_mut(SLOT_BYTES);
        rest = behind;
        [IoSliceMut::new(&mut slot[..DATAGRAM_BYTES_MAX])]
    });
    match recvmmsg(input.as_raw_fd(), headers, slots.iter_mut(), flags, None) {
        Ok(messages) => {
            let mut count = 0;
            for (bytes, message) in bytes.iter_mut().zip(messages) {
                *bytes = message.bytes;
                count += 1;
            }
            Ok((bytes, count))
        }
        Err(Errno::EAGAIN | Errno::EINTR) => Ok((bytes, 0)),
        Err(error) => Err(BenchError::system("receive")(error)),
    }
}

/// Sends the messages as trains: single datagrams are put together, trains go out as they came.
fn send(output: &UdpSocket, memory: &[u8], bytes: &[usize]) -> Result<(), BenchError> {
    const EMPTY: &[u8] = &[];
    let mut parts = [IoSlice::new(EMPTY); TRAIN_DATAGRAMS];
    let mut used = 0;
    let mut datagrams = 0;
    for (slot, &bytes) in bytes.iter().enumerate() {
        let more = bytes.div_ceil(DATAGRAM_BYTES);
        if datagrams + more > TRAIN_DATAGRAMS {
            send_train(output, &parts[..used])?;
            (used, datagrams) = (0, 0);
        }
        let start = slot * SLOT_BYTES;
        parts[used] = IoSlice::new(&memory[start..start + bytes]);
        used += 1;
        datagrams += more;
    }
    if used > 0 {
        send_train(output, &parts[..used])?;
    }
    Ok(())
}

fn send_train(output: &UdpSocket, parts: &[IoSlice<'_>]) -> Result<(), BenchError> {
    const SEGMENT_BYTES: u16 = DATAGRAM_BYTES as u16;
    let segment = [ControlMessage::UdpGsoSegments(&SEGMENT_BYTES)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match sendmsg::<()>(output.as_raw_fd(), parts, &segment, flags, None) {
        // A full buffer loses the train, and the sink will miss it.
        Ok(_) | Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ECONNREFUSED | Errno::EINTR) => Ok(()),
        Err(error) => Err(BenchError::system("send")(error)),
    }
}
