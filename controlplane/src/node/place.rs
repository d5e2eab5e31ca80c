//! Where this process runs: below the packet cores in priority, and beside them where there is room.

use std::collections::HashSet;
use std::fs;
use std::io;

use rustix::process::{Pid, getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Lowers the priority of the calling thread and of every thread that it will spawn. To be called before any is.
///
/// The host may forbid it; then the process runs as it was started.
pub fn lower_priority() {
    let lowered = match getpriority_process(None) {
        Ok(nice) if nice >= NICE => Ok(()),
        Ok(_) => setpriority_process(None, NICE),
        Err(error) => Err(error),
    };
    if let Err(error) = lowered {
        tracing::debug!("priority stays as it is: {error}");
    }
}

/// The CPUs that this process may use.
#[derive(Debug)]
pub struct Placement {
    allowed: Option<CpuSet>,
}

impl Placement {
    /// What the host allows the calling thread now.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            allowed: sched_getaffinity(None).ok(),
        }
    }

    /// Moves all threads of this process off the CPUs `taken`, when there are others.
    pub fn keep_off(&self, taken: &[u32]) {
        let Some(allowed) = self.allowed else {
            return;
        };
        let cpus = others(allowed, taken);
        match move_all_threads(&cpus) {
            Ok(()) => tracing::debug!("running on {cpus:?}, packet cores {taken:?}"),
            Err(error) => tracing::debug!("threads stay where they are: {error}"),
        }
    }
}

/// `allowed` without `taken`; all of `allowed` when nothing would be left.
fn others(allowed: CpuSet, taken: &[u32]) -> CpuSet {
    let mut left = allowed;
    for cpu in taken {
        if let Ok(cpu) = usize::try_from(*cpu)
            && cpu < CpuSet::MAX_CPU
        {
            left.unset(cpu);
        }
    }
    if left.count() == 0 { allowed } else { left }
}

fn move_all_threads(cpus: &CpuSet) -> io::Result<()> {
    let mut moved = HashSet::new();
    // A thread that is spawned meanwhile by one that has not been moved yet shows in the next pass.
    for _ in 0..PASSES_MAX {
        let mut found_new = false;
        for thread in fs::read_dir("/proc/self/task")? {
            let name = thread?.file_name();
            let id = name.to_str().and_then(|name| name.parse().ok());
            let Some(id) = id.and_then(Pid::from_raw) else {
                continue;
            };
            if moved.insert(id) {
                found_new = true;
                match sched_setaffinity(Some(id), cpus) {
                    // It has ended.
                    Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        if !found_new {
            break;
        }
    }
    Ok(())
}

/// Below everything with a default priority, above idle work.
const NICE: i32 = 5;

const PASSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cpus: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        cpus.iter().for_each(|cpu| set.set(*cpu));
        set
    }

    #[test]
    fn packet_cores_are_left_alone_when_there_are_others() {
        let allowed = set(&[0, 1, 2, 3]);
        assert_eq!(others(allowed, &[0, 2]), set(&[1, 3]));
        assert_eq!(others(allowed, &[0, 1, 2, 3]), allowed);
        assert_eq!(others(allowed, &[9, u32::MAX]), allowed);
        assert_eq!(others(allowed, &[]), allowed);
    }
}
