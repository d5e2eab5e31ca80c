//! `srt-live-transmit` of libsrt as a peer.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::process::Process;

/// Whether the program is there.
#[must_use]
pub fn is_there() -> bool {
    let found = Command::new("srt-live-transmit")
        .arg("-version")
        .output()
        .is_ok();
    if !found {
        bilbycast_test_peers::skip("no srt-live-transmit (Debian package srt-tools)");
    }
    found
}

/// Starts one that carries from `from` to `to`, each a URL as it takes them.
#[must_use]
pub fn start(name: &str, folder: &Path, from: &str, to: &str) -> Process {
    let mut command = Command::new("srt-live-transmit");
    command
        .args(["-q", "-loglevel:error", "-chunk", "1316", "-a", "yes"])
        .args([from, to]);
    Process::start(name, folder, &mut command)
}

/// A UDP URL of an address.
#[must_use]
pub fn udp(address: SocketAddr) -> String {
    format!("udp://{address}")
}

/// An SRT URL of an address, with parameters such as `mode=caller&latency=120`.
#[must_use]
pub fn srt(address: SocketAddr, parameters: &str) -> String {
    format!("srt://{address}?{parameters}")
}
