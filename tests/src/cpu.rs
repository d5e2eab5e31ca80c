//! CPUs, and the time that processes spent on them.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The CPUs that this process was given, ascending.
#[must_use]
pub fn available() -> &'static [usize] {
    static AVAILABLE: OnceLock<Vec<usize>> = OnceLock::new();
    AVAILABLE.get_or_init(|| {
        // The first thread is never bound to anything, so its CPUs are those of the process.
        let set = sched_getaffinity(Pid::this()).expect("a process may ask for its own CPUs");
        (0..CpuSet::count())
            .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
            .collect()
    })
}

/// Where the data plane of a test runs: the last CPU, the one that carries the least of everything else.
#[must_use]
pub fn packet_cpu() -> usize {
    *available().last().expect("this process runs on some CPU")
}

/// Binds the calling thread to one CPU.
pub fn bind_thread(cpu: usize) {
    set_affinity(&[cpu]);
}

/// Keeps the calling thread off the data plane's CPU, as far as there is another one.
pub fn leave_packet_cpu() {
    match available() {
        [others @ .., _packet_cpu] if !others.is_empty() => set_affinity(others),
        _ => {}
    }
}

/// Does `work`, such as starting a process, with all CPUs open to it, whatever the calling thread is bound to.
pub fn unbound<T>(work: impl FnOnce() -> T) -> T {
    let bound = sched_getaffinity(Pid::from_raw(0)).expect("a thread may ask for its own CPUs");
    set_affinity(available());
    let result = work();
    sched_setaffinity(Pid::from_raw(0), &bound).expect("it was so before");
    result
}

/// CPU time of a process since its start, all threads, user and system.
#[must_use]
pub fn time_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    // The command name in field 2 may hold blanks; what follows its closing parenthesis starts at field 3.
    let (_, fields) = stat.rsplit_once(')').expect("proc(5): comm is in brackets");
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || -> u64 {
        let field = fields
            .next()
            .expect("proc(5): utime and stime are fields 14 and 15");
        field.parse().expect("proc(5): ticks are a number")
    };
    let ticks = ticks() + ticks();
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|rate| u32::try_from(rate).ok())
        .expect("sysconf(3): the rate is always known");
    Duration::from_secs(ticks) / ticks_per_second
}

fn set_affinity(cpus: &[usize]) {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu).expect("available CPUs fit into a set");
    }
    sched_setaffinity(Pid::from_raw(0), &set).expect("a thread may restrict itself");
}
