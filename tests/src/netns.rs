//! A network of the test's own, in which addresses, routes and queues may be changed.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};

/// Moves the calling thread, and everything that it starts from now on, into a new network that has a loopback
/// interface and nothing else. To be called before anything else in a test.
///
/// # Errors
///
/// Why this process may not do that; the test then has nothing to show.
pub fn enter() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("a network of its own needs root: {error}"))?;
    run("ip", &["link", "set", "lo", "up"])
}

/// Runs a command of iproute2 in the calling thread's network.
///
/// # Errors
///
/// What the command said when it failed.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {said}", arguments.join(" ")))
}
