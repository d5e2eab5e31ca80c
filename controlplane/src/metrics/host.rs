//! What this process costs its host.

use std::fmt;
use std::fs;

use rustix::time::ClockId;

use super::{Page, clock_ns, count, seconds};

/// A figure that the host does not give is left out.
pub(super) fn encode(page: &mut Page<'_, '_>) -> fmt::Result {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = figure(&status, "VmRSS:") {
        page.gauge(
            "bilbycast_edge_process_resident_memory_bytes",
            "Memory of the control plane that is in RAM",
            count(kib.saturating_mul(1_024)),
        )?;
    }
    if let Some(threads) = figure(&status, "Threads:") {
        page.gauge(
            "bilbycast_edge_process_threads",
            "Threads of the control plane",
            count(threads),
        )?;
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.gauge(
            "bilbycast_edge_process_open_fds",
            "Open file descriptors of the control plane",
            // The listing itself has one.
            count(open.count().saturating_sub(1)),
        )?;
    }
    page.counter(
        "bilbycast_edge_process_cpu_seconds_total",
        "CPU time that the control plane has used",
        seconds(clock_ns(ClockId::ProcessCPUTime)),
    )
}

/// The number behind `name` in the text of `/proc/self/status`.
fn figure(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_or_absent() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t7\n";
        assert_eq!(figure(status, "VmRSS:"), Some(1_234));
        assert_eq!(figure(status, "Threads:"), Some(7));
        assert_eq!(figure(status, "VmSwap:"), None);
        assert_eq!(figure("Threads:\n", "Threads:"), None);
        assert_eq!(figure("Threads: many\n", "Threads:"), None);
    }
}
