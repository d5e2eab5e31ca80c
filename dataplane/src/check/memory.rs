//! Limits and memory.

use super::Finding;
use super::files::{Files, Limit};
use crate::net::cores::{CoreList, CoreListError};

/// Whether rings can be set up, and memory kept from being paged out.
pub(super) fn locked(files: &Files<'_>, cores: &Result<CoreList, CoreListError>) -> Finding {
    let limit = files.limit("Max locked memory").unwrap_or(Limit::None);
    let finding = Finding::ok("locked_memory", shown(limit, "bytes"));
    let cores = cores.as_ref().map_or(1, |cores| cores.cpus().len() as u64);
    if limit == Limit::None {
        finding
    } else if files.has_capability(CAP_IPC_LOCK) {
        Finding {
            value: format!("{}, CAP_IPC_LOCK goes beyond it", finding.value),
            ..finding
        }
    } else if limit.allows(cores * RING_BYTES) {
        finding.warn(
            "the packet memory may be paged out: a packet then waits for a disk",
            "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited",
        )
    } else {
        finding.fail(
            format!(
                "{cores} packet cores need {} bytes to start",
                cores * RING_BYTES
            ),
            "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited",
        )
    }
}

/// Whether many flows and outputs have descriptors. The process raises its soft limit to the hard one by itself.
pub(super) fn descriptors(files: &Files<'_>) -> Finding {
    let limit = hard_limit_on_files(files);
    let finding = Finding::ok("descriptors", shown(limit, "open files"));
    if limit.allows(DESCRIPTORS_WANTED) {
        finding
    } else {
        finding.warn(
            "a flow takes two and each of its outputs one",
            format!(
                "LimitNOFILE={DESCRIPTORS_WANTED} in the unit, or ulimit -n {DESCRIPTORS_WANTED}"
            ),
        )
    }
}

/// Whether inputs survive a moment in which nobody reads.
pub(super) fn receive_buffer(files: &Files<'_>) -> Finding {
    buffer(
        files,
        "receive_buffer",
        "net.core.rmem_max",
        "what arrives in a burst beyond the buffer is lost",
    )
}

/// Whether outputs survive a moment in which the network takes nothing.
pub(super) fn send_buffer(files: &Files<'_>) -> Finding {
    buffer(
        files,
        "send_buffer",
        "net.core.wmem_max",
        "the buffer is an output's queue: what does not fit is dropped",
    )
}

/// Whether memory may go to a disk.
pub(super) fn swap(files: &Files<'_>) -> Finding {
    let swaps = files.text("proc/swaps").unwrap_or_default();
    let kib: u64 = swaps
        .lines()
        .skip(1)
        .filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok())
        .sum();
    if kib == 0 {
        return Finding::ok("swap", "none");
    }
    let finding = Finding::ok("swap", format!("{kib} KiB"));
    let is_locked =
        files.limit("Max locked memory") == Some(Limit::None) || files.has_capability(CAP_IPC_LOCK);
    if is_locked {
        return finding;
    }
    finding.warn(
        "memory that is not locked may be paged out",
        "swapoff -a, and take swap out of /etc/fstab; or LimitMEMLOCK=infinity in the unit",
    )
}

/// Whether the kernel rearranges memory behind the back of everybody.
pub(super) fn huge_pages(files: &Files<'_>) -> Finding {
    let switch = "sys/kernel/mm/transparent_hugepage/enabled";
    let modes = files.text(switch).unwrap_or_default();
    let mode = modes
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("unknown", |(mode, _)| mode);
    let finding = Finding::ok("huge_pages", mode);
    if mode != "always" {
        return finding;
    }
    finding.warn(
        "the kernel moves memory to make huge pages, and whoever touches it waits",
        format!("echo madvise > /{switch}"),
    )
}

fn buffer(files: &Files<'_>, name: &str, key: &str, why: &str) -> Finding {
    let path = format!("proc/sys/{}", key.replace('.', "/"));
    let Some(bytes) = files.number(&path) else {
        return Finding::ok(name, format!("{key} is unknown"));
    };
    let finding = Finding::ok(name, format!("{key}={bytes}"));
    if bytes >= BUFFER_WANTED {
        finding
    } else if files.has_capability(CAP_NET_ADMIN) {
        Finding {
            value: format!("{key}={bytes}, CAP_NET_ADMIN goes beyond it"),
            ..finding
        }
    } else {
        finding.warn(
            why,
            format!("sysctl -w {key}={BUFFER_WANTED}, or CAP_NET_ADMIN for the process"),
        )
    }
}

/// The hard limit stands behind the soft one.
fn hard_limit_on_files(files: &Files<'_>) -> Limit {
    let limits = files.text("proc/self/limits").unwrap_or_default();
    let hard = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    hard.map_or(Limit::None, Limit::At)
}

fn shown(limit: Limit, unit: &str) -> String {
    match limit {
        Limit::At(number) => format!("{number} {unit}"),
        Limit::None => "unlimited".to_owned(),
    }
}

/// Locked memory of one packet core's rings.
const RING_BYTES: u64 = 512 << 10;

/// 1,280 flows and 4,096 outputs on a core are 6,656; this is enough for nine cores.
const DESCRIPTORS_WANTED: u64 = 65_536;

/// The largest buffer that a socket ever asks for, 100 ms at 10 Gb/s, rounded up to a power of two.
const BUFFER_WANTED: u64 = 128 << 20;

// Their numbers in capabilities(7).
const CAP_IPC_LOCK: u32 = 14;
const CAP_NET_ADMIN: u32 = 12;
