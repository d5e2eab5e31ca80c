//! The clocks of the data plane.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

/// CLOCK_MONOTONIC in nanoseconds: for intervals and heartbeats.
#[must_use]
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME in nanoseconds: the clock of the kernel's receive timestamps.
#[must_use]
pub fn realtime_ns() -> u64 {
    nanoseconds(ClockId::CLOCK_REALTIME)
}

/// Unix time in microseconds.
#[must_use]
pub fn unix_us() -> u64 {
    realtime_ns() / 1_000
}

/// Sleeps until CLOCK_MONOTONIC shows `instant_ns`, or a signal comes.
pub fn sleep_until(instant_ns: u64) {
    let seconds = i64::try_from(instant_ns / 1_000_000_000).unwrap_or(i64::MAX);
    let rest = i64::try_from(instant_ns % 1_000_000_000).unwrap_or(0);
    // An early return is an early tick.
    let _ = clock_nanosleep(
        ClockId::CLOCK_MONOTONIC,
        ClockNanosleepFlags::TIMER_ABSTIME,
        &TimeSpec::new(seconds, rest),
    );
}

fn nanoseconds(clock: ClockId) -> u64 {
    // Both clocks exist on every Linux; 0 would only make an interval long.
    clock_gettime(clock).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let rest = u64::try_from(time.tv_nsec()).unwrap_or(0);
        seconds * 1_000_000_000 + rest
    })
}
