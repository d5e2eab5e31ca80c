//! Asking the kernel to favour packet threads, and for what the process needs.

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::gettid;

/// Nice value of packet threads: ahead of everything that has no deadline, behind the kernel's own real-time threads.
const NICE: libc::c_int = -15;

/// Puts the calling thread ahead of ordinary ones. False when this process lacks the privilege; it then competes on
/// equal terms.
#[must_use]
pub fn favour_this_thread() -> bool {
    let thread = u32::try_from(gettid().as_raw()).unwrap_or(0);
    // SAFETY: setpriority takes plain numbers; on Linux PRIO_PROCESS with a thread id changes that thread alone.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, thread, NICE) == 0 }
}

/// Keeps what is mapped now in memory, once it has been touched, so that a packet never waits for a page that was paged
/// out. What was never touched stays unused: the shared memory is mostly holes. False when the limit on locked memory does
/// not allow it.
#[must_use]
pub fn lock_memory() -> bool {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | on_fault).is_ok()
}

/// Makes timers of the calling thread exact: by default the kernel may delay them by 50 us to save wake-ups.
pub fn exact_timers() {
    // SAFETY: PR_SET_TIMERSLACK takes a number of nanoseconds and touches no memory.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000, 0, 0, 0) };
}

/// Allows this process as many file descriptors as it may have: a flow takes two and each of its outputs one. False when
/// the limit stays where it was.
pub fn raise_descriptor_limit() -> bool {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return false;
    };
    soft == hard || setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok()
}
