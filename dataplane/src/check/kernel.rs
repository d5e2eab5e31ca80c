//! What the kernel can do.

use super::Finding;
use super::files::Files;

/// Whether the kernel is new enough.
pub(super) fn version(files: &Files<'_>) -> Finding {
    let Some(release) = files.text("proc/sys/kernel/osrelease") else {
        return Finding::ok("kernel", "unknown").warn(
            "the system does not tell its kernel's version",
            "mount proc at /proc",
        );
    };
    let finding = Finding::ok("kernel", &release);
    match major_minor(&release) {
        Some(version) if version >= TESTED => finding,
        Some(version) if version >= NEEDED => finding.warn(
            format!("tested with {}.{} and later only", TESTED.0, TESTED.1),
            "apt-get install linux-image-amd64, then reboot",
        ),
        Some(_) => finding.fail(
            format!("io_uring needs {}.{} at least", NEEDED.0, NEEDED.1),
            "apt-get install linux-image-amd64, then reboot",
        ),
        None => finding.warn("this is no version of Linux", "uname -r"),
    }
}

/// Whether io_uring may be used.
pub(super) fn ring(files: &Files<'_>, tried: Option<Result<(), String>>) -> Finding {
    let switch = files.number("proc/sys/kernel/io_uring_disabled");
    let value = match switch {
        Some(switch) => format!("kernel.io_uring_disabled={switch}"),
        None => "always allowed by this kernel".to_owned(),
    };
    match (switch, tried) {
        (_, Some(Ok(()))) => Finding::ok("io_uring", format!("{value}, a ring was set up")),
        (None | Some(0), Some(Err(error))) => {
            Finding::ok("io_uring", format!("{value}, but: {error}")).fail(
                "packet cores cannot start",
                "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile of the container, \
                 and LimitMEMLOCK=infinity in the unit",
            )
        }
        (None | Some(0), None) => Finding::ok("io_uring", value),
        //= io_uring_setup(2): 1 leaves it to CAP_SYS_ADMIN and to the members of io_uring_group
        (Some(1), None) if files.has_capability(CAP_SYS_ADMIN) => Finding::ok("io_uring", value),
        (Some(_), _) => Finding::ok("io_uring", value)
            .fail("packet cores cannot start", "sysctl -w kernel.io_uring_disabled=0"),
    }
}

/// Whether reading the clock is cheap: each pass does, and each received datagram is stamped.
pub(super) fn clock_source(files: &Files<'_>) -> Finding {
    let folder = "sys/devices/system/clocksource/clocksource0";
    let Some(current) = files.text(&format!("{folder}/current_clocksource")) else {
        return Finding::ok("clock_source", "unknown");
    };
    let finding = Finding::ok("clock_source", &current);
    if !SLOW_CLOCKS.contains(&current.as_str()) {
        return finding;
    }
    let available = files
        .text(&format!("{folder}/available_clocksource"))
        .unwrap_or_default();
    let better = available
        .split_ascii_whitespace()
        .find(|name| !SLOW_CLOCKS.contains(name));
    let mend = match better {
        Some(better) => format!("echo {better} > /{folder}/current_clocksource"),
        None => {
            "none better is available: look for 'tsc' in dmesg, and at the BIOS settings".to_owned()
        }
    };
    finding.warn(
        "every reading of this clock takes about a microsecond",
        mend,
    )
}

/// The first two numbers of a kernel's release.
fn major_minor(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Debian 12.
const TESTED: (u32, u32) = (6, 1);

/// What glommio asks for.
const NEEDED: (u32, u32) = (5, 8);

/// Clocks that are registers of a device, or interrupts.
const SLOW_CLOCKS: [&str; 4] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];

/// Its number in capabilities(7).
const CAP_SYS_ADMIN: u32 = 21;
