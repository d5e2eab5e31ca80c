//! What the CPUs of this machine do for others.

use std::fs;
use std::io;

use dataplane::net::clock::monotonic_ns;
use nix::unistd::{SysconfVar, sysconf};

use crate::BenchError;
use crate::throughput::proc;

/// What stood where at one moment, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTime {
    at_ns: u64,
    cpus: u64,
    /// All CPUs together had nothing to do.
    idle_ns: u64,
    ours_ns: u64,
}

impl CpuTime {
    /// Reads what all CPUs left unused, and what these processes and this one have used.
    pub(super) fn read(pids: &[u32]) -> Result<Self, BenchError> {
        let mut ours_ns = proc::scheduled(std::process::id())?.run_ns;
        for pid in pids {
            ours_ns += proc::scheduled(*pid)?.run_ns;
        }
        let fail = || BenchError::system("read /proc/stat");
        let text = fs::read_to_string("/proc/stat").map_err(fail())?;
        let ticks = idle_ticks(&text)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
            .map_err(fail())?;
        Ok(Self {
            at_ns: monotonic_ns(),
            cpus: cpus(&text),
            idle_ns: ticks * ns_per_tick(),
            ours_ns,
        })
    }

    /// What others used since `before`, in per cent of one CPU.
    pub(super) fn others_percent_since(self, before: Self) -> f64 {
        let window_ns = self.at_ns.saturating_sub(before.at_ns).max(1);
        let known_ns = self.idle_ns.saturating_sub(before.idle_ns)
            + self.ours_ns.saturating_sub(before.ours_ns);
        // The clocks tick at different moments, and what is left may come out a little below nothing.
        let others_ns = (window_ns * self.cpus).saturating_sub(known_ns);
        100.0 * others_ns as f64 / window_ns as f64
    }
}

/// The CPUs that the first line is the sum of.
fn cpus(stat: &str) -> u64 {
    let lines = stat.lines().skip(1);
    lines.take_while(|line| line.starts_with("cpu")).count() as u64
}

/// Idle and waiting for a disk, of the first line. The kernel measures these two exactly, while it samples the busy ones
/// at its timer interrupt, which a sender that wakes on a grid of the same clock escapes.
fn idle_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let mut fields = line
        .split_ascii_whitespace()
        .skip(3)
        .map(|field| field.parse::<u64>().ok());
    Some(fields.next()?? + fields.next()??)
}

fn ns_per_tick() -> u64 {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let per_second = per_second.and_then(|rate| u64::try_from(rate).ok());
    1_000_000_000 / per_second.filter(|rate| *rate > 0).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_that_of_all_cpus() {
        let stat = "cpu  1 20 300 4000 5000 6000 7000 8 0 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n";
        assert_eq!(idle_ticks(stat), Some(9_000));
        assert_eq!(idle_ticks("cpu  1 2 3 4\n"), None);
        assert_eq!(idle_ticks(""), None);
        assert_eq!(cpus(stat), 1);
    }

    #[test]
    fn what_is_neither_idle_nor_ours_is_others() {
        let before = CpuTime {
            at_ns: 5_000,
            cpus: 2,
            idle_ns: 1_000,
            ours_ns: 500,
        };
        let after = CpuTime {
            at_ns: 6_000,
            cpus: 2,
            idle_ns: 2_000,
            ours_ns: 1_250,
        };
        assert_eq!(after.others_percent_since(before), 25.0);
        let single = CpuTime { cpus: 1, ..after };
        assert_eq!(single.others_percent_since(before), 0.0);
    }
}
