//! What the kernel says about a process and a socket.

use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::path::Path;

use nix::errno::Errno;

use crate::BenchError;

/// What the scheduler says of a process or a thread, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Scheduled {
    /// Time on a CPU.
    pub(crate) run_ns: u64,
    /// Time ready to run while something else had the CPU.
    pub(crate) wait_ns: u64,
}

impl Scheduled {
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            run_ns: self.run_ns.saturating_sub(before.run_ns),
            wait_ns: self.wait_ns.saturating_sub(before.wait_ns),
        }
    }

    /// Reads the first two numbers of a `schedstat` file.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        Some(Self {
            run_ns: numbers.next()?.ok()?,
            wait_ns: numbers.next()?.ok()?,
        })
    }
}

/// All threads of a process together, from `/proc/PID/task/*/schedstat`.
///
/// The kernel brings a running thread's time up to date at each timer interrupt and each switch, so the value may be
/// one interrupt (at most 10 ms) behind for a thread that never sleeps.
pub(crate) fn scheduled(pid: u32) -> Result<Scheduled, BenchError> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).map_err(BenchError::system(format!("read {folder}")))?;
    let mut total = Scheduled::default();
    for thread in threads.flatten() {
        // A thread may end between listing and reading.
        if let Some(thread) = read_schedstat(&thread.path().join("schedstat"))? {
            total.run_ns += thread.run_ns;
            total.wait_ns += thread.wait_ns;
        }
    }
    Ok(total)
}

/// The calling thread.
pub(crate) fn scheduled_here() -> Result<Scheduled, BenchError> {
    Ok(read_schedstat(Path::new("/proc/thread-self/schedstat"))?.unwrap_or_default())
}

/// Datagrams that found the receive buffer of the socket bound to `address` full, since it was opened; `None` when no
/// such socket is there.
pub(crate) fn udp_drops(address: SocketAddrV4) -> Option<u64> {
    drops_of(&fs::read_to_string("/proc/net/udp").ok()?, address)
}

/// `None` when the thread is gone.
fn read_schedstat(path: &Path) -> Result<Option<Scheduled>, BenchError> {
    let fail = || BenchError::system(format!("read {}", path.display()));
    match fs::read_to_string(path) {
        Ok(text) => Scheduled::parse(&text)
            .map(Some)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
            .map_err(fail()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // ESRCH: it ended between opening and reading.
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(None),
        Err(error) => Err(fail()(error)),
    }
}

fn drops_of(table: &str, address: SocketAddrV4) -> Option<u64> {
    // The kernel prints the address as the number that its bytes make in memory.
    let local = format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(address.ip().octets()),
        address.port()
    );
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.nth(1)? == local).then(|| fields.last()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use super::*;

    #[test]
    fn a_busy_thread_has_used_time() {
        let before = scheduled_here().unwrap();
        let start_ns = dataplane::net::clock::monotonic_ns();
        while dataplane::net::clock::monotonic_ns() < start_ns + 50_000_000 {}
        let here = scheduled_here().unwrap().since(before);
        assert!(here.run_ns + here.wait_ns >= 40_000_000, "{here:?}");
        assert!(scheduled(std::process::id()).unwrap().run_ns >= here.run_ns);
    }

    #[test]
    fn drops_of_the_right_socket_are_found() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = socket.local_addr().unwrap() else {
            unreachable!("bound to IPv4");
        };
        assert_eq!(udp_drops(address), Some(0));
        let datagram = [0; 8_192];
        for _ in 0..10_000 {
            socket.send_to(&datagram, address).unwrap();
        }
        assert!(udp_drops(address).unwrap() > 0);
        drop(socket);
        assert_eq!(udp_drops(address), None);
    }
}
