//! The packet cores, and who else is on them.

use std::collections::BTreeSet;

use super::Finding;
use super::files::Files;
use crate::net::cores::{CoreList, CoreListError};

/// Whether the packet cores are there, and leave one for everything else.
pub(super) fn cores(available: &CoreList, cores: &Result<CoreList, CoreListError>) -> Finding {
    match cores {
        Err(error) => Finding::ok("cores", format!("of {available}")).fail(
            error.to_string(),
            format!("--cores with CPUs of {available}"),
        ),
        Ok(cores) => {
            let finding = Finding::ok("cores", format!("{cores} of {available}"));
            if available.cpus().len() > cores.cpus().len() {
                return finding;
            }
            finding.warn(
                "no CPU is left for the control plane and the system: they compete with packets",
                "leave a CPU out of --cores",
            )
        }
    }
}

/// Whether the scheduler keeps others off the packet cores.
pub(super) fn isolation(files: &Files<'_>, cores: &CoreList) -> Finding {
    let list = |name: &str| {
        let text = files.text(&format!("sys/devices/system/cpu/{name}"));
        cpus(&text.unwrap_or_default())
    };
    let open: Vec<u32> = missing(cores, &list("isolated"));
    let ticking: Vec<u32> = missing(cores, &list("nohz_full"));
    if open.is_empty() && ticking.is_empty() {
        return Finding::ok("isolation", "isolcpus and nohz_full");
    }
    let value = match (open.as_slice(), ticking.as_slice()) {
        ([], ticking) => format!(
            "CPUs {} are isolated, but not in nohz_full",
            joined(ticking)
        ),
        (open, _) => format!("CPUs {} are not isolated", joined(open)),
    };
    Finding::ok("isolation", value).warn(
        "other programs and the scheduler's tick interrupt packet threads",
        format!(
            "isolcpus={cores} nohz_full={cores} rcu_nocbs={cores} in GRUB_CMDLINE_LINUX of /etc/default/grub, then \
             update-grub and reboot"
        ),
    )
}

/// Whether a packet core shares its execution units with a CPU that does something else.
pub(super) fn siblings(files: &Files<'_>, cores: &CoreList) -> Finding {
    let mut shared = BTreeSet::new();
    for cpu in cores.cpus() {
        let list = files.text(&format!(
            "sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        ));
        let others = cpus(&list.unwrap_or_default());
        shared.extend(others.iter().filter(|other| !cores.cpus().contains(other)));
    }
    if shared.is_empty() {
        return Finding::ok("siblings", "packet cores have their hardware to themselves");
    }
    let shared: Vec<u32> = shared.into_iter().collect();
    let off: Vec<String> = shared
        .iter()
        .map(|cpu| format!("echo 0 > /sys/devices/system/cpu/cpu{cpu}/online"))
        .collect();
    Finding::ok(
        "siblings",
        format!(
            "CPUs {} are the other halves of packet cores",
            joined(&shared)
        ),
    )
    .warn(
        "what runs there takes up to half of the speed of a packet core",
        off.join("; "),
    )
}

/// Whether the packet cores run at full clock.
pub(super) fn governor(files: &Files<'_>, cores: &CoreList) -> Finding {
    let governors: BTreeSet<String> = cores
        .cpus()
        .iter()
        .filter_map(|cpu| {
            files.text(&format!(
                "sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"
            ))
        })
        .collect();
    if governors.is_empty() {
        return Finding::ok("governor", "none: the clock is not scaled by this system");
    }
    let names: Vec<&str> = governors.iter().map(String::as_str).collect();
    let finding = Finding::ok("governor", names.join(", "));
    if names == ["performance"] {
        return finding;
    }
    finding.warn(
        "the clock is low when a burst arrives, and rises too late",
        "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    )
}

/// Whether devices interrupt the packet cores.
pub(super) fn interrupts(files: &Files<'_>, available: &CoreList, cores: &CoreList) -> Finding {
    let mut found = Vec::new();
    let names = files.names("proc/irq");
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    for number in numbers {
        let folder = format!("proc/irq/{number}");
        // A folder in there is a driver that handles it; without one nothing comes.
        let driver = files
            .names(&folder)
            .into_iter()
            .find(|name| files.is_folder(&format!("{folder}/{name}")));
        let affinity = files
            .text(&format!("{folder}/effective_affinity_list"))
            .filter(|list| !list.is_empty())
            .or_else(|| files.text(&format!("{folder}/smp_affinity_list")));
        let affinity = cpus(&affinity.unwrap_or_default());
        if let Some(driver) = driver
            && cores.cpus().iter().any(|cpu| affinity.contains(cpu))
        {
            found.push((number, driver));
        }
    }
    let Some((number, driver)) = found.first() else {
        return Finding::ok("interrupts", "none on packet cores");
    };
    let value = match found.len() {
        1 => format!("IRQ {number} ({driver}) on a packet core"),
        all => format!(
            "IRQ {number} ({driver}) and {} more on packet cores",
            all - 1
        ),
    };
    let available = available.cpus().iter().copied();
    let others: Vec<u32> = available
        .filter(|cpu| !cores.cpus().contains(cpu))
        .collect();
    let numbers: Vec<String> = found.iter().map(|(number, _)| number.to_string()).collect();
    Finding::ok("interrupts", value).warn(
        "a packet thread waits while a device's interrupt is handled on its CPU",
        format!(
            "for irq in {}; do echo {} > /proc/irq/$irq/smp_affinity_list; done",
            numbers.join(" "),
            if others.is_empty() {
                "0".to_owned()
            } else {
                joined(&others)
            },
        ),
    )
}

/// Whether packet threads may go ahead of others.
pub(super) fn priority(files: &Files<'_>) -> Finding {
    if files.has_capability(CAP_SYS_NICE) {
        return Finding::ok("priority", "CAP_SYS_NICE");
    }
    Finding::ok("priority", "no CAP_SYS_NICE").warn(
        "packet threads compete with everything else on equal terms",
        "AmbientCapabilities=CAP_SYS_NICE in the unit",
    )
}

/// The CPUs of a list of the kernel's; none when it is empty or says `(null)`.
fn cpus(list: &str) -> BTreeSet<u32> {
    let list: Option<CoreList> = list.parse().ok();
    list.map(|list| list.cpus().iter().copied().collect())
        .unwrap_or_default()
}

fn missing(cores: &CoreList, from: &BTreeSet<u32>) -> Vec<u32> {
    let cores = cores.cpus().iter().copied();
    cores.filter(|cpu| !from.contains(cpu)).collect()
}

fn joined(cpus: &[u32]) -> String {
    let cpus: Vec<String> = cpus.iter().map(u32::to_string).collect();
    cpus.join(",")
}

/// Its number in capabilities(7).
const CAP_SYS_NICE: u32 = 23;
