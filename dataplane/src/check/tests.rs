use std::fs;

use tempfile::TempDir;

use super::*;

/// A host of which a test says what is wrong with it.
struct Fixture {
    root: TempDir,
    available: &'static str,
    cores: Option<&'static str>,
    card: Option<CardSettings>,
    ring: Option<Result<(), String>>,
}

/// A Debian 12 with four CPUs on which everything is as it should be.
const GOOD: [(&str, &str); 23] = [
    ("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n"),
    ("proc/sys/kernel/io_uring_disabled", "0\n"),
    ("proc/sys/net/core/rmem_max", "134217728\n"),
    ("proc/sys/net/core/wmem_max", "134217728\n"),
    ("proc/self/status", "Name:\tx\nCapEff:\t0000000000801000\n"),
    ("proc/self/limits", LIMITS),
    ("proc/swaps", "Filename Type Size Used Priority\n"),
    ("proc/irq/9/acpi/x", ""),
    ("proc/irq/9/effective_affinity_list", "0\n"),
    ("proc/irq/10/effective_affinity_list", "2\n"),
    ("proc/irq/default_smp_affinity", "f\n"),
    (
        "sys/kernel/mm/transparent_hugepage/enabled",
        "always [madvise] never\n",
    ),
    ("sys/devices/system/cpu/isolated", "2-3\n"),
    ("sys/devices/system/cpu/nohz_full", "2-3\n"),
    (
        "sys/devices/system/cpu/cpu2/topology/thread_siblings_list",
        "2\n",
    ),
    (
        "sys/devices/system/cpu/cpu3/topology/thread_siblings_list",
        "3\n",
    ),
    (
        "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor",
        "performance\n",
    ),
    (
        "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor",
        "performance\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/current_clocksource",
        "tsc\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/available_clocksource",
        "hpet tsc acpi_pm\n",
    ),
    ("sys/class/net/eth0/device/vendor", "0x8086\n"),
    ("sys/class/net/eth0/operstate", "up\n"),
    ("sys/class/net/lo/operstate", "unknown\n"),
];

const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 65536                files
Max locked memory         unlimited            unlimited            bytes
";

impl Fixture {
    fn good() -> Self {
        let fixture = Self {
            root: TempDir::new().unwrap(),
            available: "0-3",
            cores: Some("2-3"),
            card: Some(CardSettings {
                receive_offload: true,
                segmentation_offload: true,
                receive_ring: Some(4_096),
                receive_ring_max: Some(8_192),
            }),
            ring: Some(Ok(())),
        };
        for (path, text) in GOOD {
            fixture.write(path, text);
        }
        fixture
    }

    fn with(path: &str, text: &str) -> Self {
        let fixture = Self::good();
        fixture.write(path, text);
        fixture
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn report(&self) -> Report {
        let host = Host {
            root: self.root.path().to_owned(),
            available: self.available.parse().unwrap(),
            cores: self.cores.map(|cores| cores.parse().unwrap()),
        };
        check(&host, self)
    }

    /// The only finding that is not as it should be.
    #[track_caller]
    fn wrong(&self) -> Finding {
        let report = self.report();
        let wrong: Vec<&Finding> = report.wrong().collect();
        assert_eq!(wrong.len(), 1, "{report}");
        wrong[0].clone()
    }
}

impl Probe for Fixture {
    fn card(&self, interface: &str) -> Option<CardSettings> {
        assert_eq!(interface, "eth0", "hardware that is up");
        self.card
    }

    fn ring(&self) -> Option<Result<(), String>> {
        self.ring.clone()
    }
}

#[track_caller]
fn assert_finding(finding: &Finding, name: &str, state: State, value: &str, mend: &str) {
    assert_eq!(finding.name, name);
    assert_eq!(finding.state, state, "{finding:?}");
    assert!(finding.value.contains(value), "{finding:?}");
    assert!(!finding.why.is_empty(), "{finding:?}");
    assert!(finding.mend.contains(mend), "{finding:?}");
}

#[test]
fn nothing_is_wrong_with_a_good_host() {
    let report = Fixture::good().report();
    assert_eq!(report.wrong().count(), 0, "{report}");
    assert_eq!(report.state().exit_code(), 0);
    assert_eq!(report.findings.len(), 17, "{report}");
}

/// A container without proc and sys: bad news, but an answer.
#[test]
fn an_empty_root_is_judged_too() {
    let fixture = Fixture {
        root: TempDir::new().unwrap(),
        ..Fixture::good()
    };
    let report = fixture.report();
    assert_eq!(report.state(), State::Warn, "{report}");
}

#[test]
fn each_fault_is_found_with_what_mends_it() {
    let limits = |from: &str, to: &str| LIMITS.replace(from, to);
    let cpu = "sys/devices/system/cpu";
    let clock = "sys/devices/system/clocksource/clocksource0";
    let few_locked = limits(
        "unlimited            unlimited",
        "1048576              1048576",
    );
    let none_locked = limits(
        "unlimited            unlimited",
        "65536                65536",
    );
    let few_files = limits("65536", "4096");
    for (path, text, name, state, value, mend) in [
        (
            "proc/sys/kernel/osrelease",
            "5.10.0-8",
            "kernel",
            State::Warn,
            "5.10.0-8",
            "linux-image",
        ),
        (
            "proc/sys/kernel/osrelease",
            "5.4.1",
            "kernel",
            State::Fail,
            "5.4.1",
            "linux-image",
        ),
        (
            "proc/sys/kernel/osrelease",
            "\u{fffd}",
            "kernel",
            State::Warn,
            "",
            "uname",
        ),
        (
            "proc/self/limits",
            &few_locked,
            "locked_memory",
            State::Warn,
            "1048576",
            "LimitMEMLOCK",
        ),
        (
            "proc/self/limits",
            &none_locked,
            "locked_memory",
            State::Fail,
            "65536",
            "LimitMEMLOCK",
        ),
        (
            "proc/self/limits",
            &few_files,
            "descriptors",
            State::Warn,
            "4096",
            "LimitNOFILE",
        ),
        (
            "sys/kernel/mm/transparent_hugepage/enabled",
            "[always] madvise never",
            "huge_pages",
            State::Warn,
            "always",
            "echo madvise > /sys/",
        ),
        (
            &format!("{cpu}/isolated"),
            "3\n",
            "isolation",
            State::Warn,
            "CPUs 2 ",
            "isolcpus=2,3",
        ),
        (
            &format!("{cpu}/nohz_full"),
            "(null)\n",
            "isolation",
            State::Warn,
            "CPUs 2,3",
            "nohz_full=2,3",
        ),
        (
            &format!("{cpu}/cpu2/topology/thread_siblings_list"),
            "0,2",
            "siblings",
            State::Warn,
            "CPUs 0 ",
            "cpu0/online",
        ),
        (
            &format!("{cpu}/cpu3/cpufreq/scaling_governor"),
            "powersave",
            "governor",
            State::Warn,
            "performance, powersave",
            "echo performance",
        ),
        (
            "proc/irq/10/eth0-rx-0/x",
            "",
            "interrupts",
            State::Warn,
            "IRQ 10 (eth0-rx-0)",
            "for irq in 10; do echo 0,1 >",
        ),
        (
            &format!("{clock}/current_clocksource"),
            "hpet",
            "clock_source",
            State::Warn,
            "hpet",
            "echo tsc >",
        ),
    ] {
        let finding = Fixture::with(path, text).wrong();
        assert_finding(&finding, name, state, value, mend);
    }
}

#[test]
fn what_the_data_plane_may_do_counts() {
    let none = "CapEff:\t0000000000000000\n";
    let fixture = Fixture::with("proc/self/status", none);
    assert_finding(
        &fixture.wrong(),
        "priority",
        State::Warn,
        "CAP_SYS_NICE",
        "AmbientCapabilities",
    );

    // With CAP_NET_ADMIN, as in a good host, the limit does not count.
    let small = |fixture: &Fixture| fixture.write("proc/sys/net/core/rmem_max", "212992\n");
    small(&fixture);
    let report = fixture.report();
    let names: Vec<&str> = report.wrong().map(|finding| &*finding.name).collect();
    assert_eq!(names, ["receive_buffer", "priority"]);
    let good = Fixture::good();
    small(&good);
    assert_eq!(good.report().wrong().count(), 0);
}

#[test]
fn a_forbidden_ring_is_a_failure() {
    let mut fixture = Fixture::with("proc/sys/kernel/io_uring_disabled", "2\n");
    fixture.ring = Some(Err("Operation not permitted".to_owned()));
    assert_finding(
        &fixture.wrong(),
        "io_uring",
        State::Fail,
        "io_uring_disabled=2",
        "sysctl -w kernel.io_uring_disabled=0",
    );
    fixture.ring = None;
    assert_eq!(fixture.wrong().state, State::Fail);

    let mut fixture = Fixture::good();
    fixture.ring = Some(Err("Operation not permitted".to_owned()));
    assert_finding(
        &fixture.wrong(),
        "io_uring",
        State::Fail,
        "Operation not permitted",
        "seccomp",
    );
    fixture.ring = None;
    assert_eq!(fixture.report().wrong().count(), 0);
}

#[test]
fn swap_matters_when_memory_is_not_locked() {
    let fixture = Fixture::with(
        "proc/swaps",
        "Filename Type Size Used Priority\n/dev/sda2 partition 1048572 0 -2\n",
    );
    let report = fixture.report();
    assert_eq!(report.wrong().count(), 0, "{report}");
    fixture.write("proc/self/limits", &LIMITS.replace("unlimited", "8388608"));
    let report = fixture.report();
    let names: Vec<&str> = report.wrong().map(|finding| &*finding.name).collect();
    assert_eq!(names, ["locked_memory", "swap"], "{report}");
}

#[test]
fn cores_are_those_of_the_process() {
    let mut fixture = Fixture::good();
    fixture.cores = Some("2-3,7");
    let finding = fixture.wrong();
    assert_finding(&finding, "cores", State::Fail, "0,1,2,3", "--cores");
    assert!(finding.why.contains("CPU 7"), "{finding:?}");
    assert_eq!(fixture.report().state().exit_code(), 2);

    fixture.available = "2-3";
    fixture.cores = Some("2-3");
    assert_finding(
        &fixture.wrong(),
        "cores",
        State::Warn,
        "2,3 of 2,3",
        "leave a CPU out",
    );

    fixture.available = "1-3";
    fixture.cores = None;
    let report = fixture.report();
    assert_eq!(report.wrong().count(), 0, "all but the first: {report}");
}

#[test]
fn cards_are_judged_by_their_settings() {
    let mut fixture = Fixture::good();
    let good = fixture.card.unwrap();
    fixture.card = Some(CardSettings {
        receive_offload: false,
        ..good
    });
    assert_finding(
        &fixture.wrong(),
        "offloads:eth0",
        State::Warn,
        "GRO off, GSO on",
        "ethtool -K eth0",
    );
    fixture.card = Some(CardSettings {
        receive_ring: Some(256),
        ..good
    });
    assert_finding(
        &fixture.wrong(),
        "receive_ring:eth0",
        State::Warn,
        "256 of 8192",
        "ethtool -G eth0 rx 4096",
    );
    fixture.card = Some(CardSettings {
        receive_ring: Some(256),
        receive_ring_max: Some(256),
        ..good
    });
    assert_eq!(fixture.report().wrong().count(), 0, "it cannot have more");
    fixture.card = None;
    assert_eq!(fixture.report().wrong().count(), 0, "it does not say");
}

#[test]
fn the_report_is_for_people_and_for_programs() {
    let report = Fixture::with(
        "sys/kernel/mm/transparent_hugepage/enabled",
        "[always] never",
    )
    .report();
    let text = report.to_string();
    assert!(text.contains("\nWARN  huge_pages"), "{text}");
    assert!(
        text.contains("mend: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"),
        "{text}"
    );
    let json = report.to_json();
    assert_eq!(json["state"], "WARN");
    let findings = json["findings"].as_array().unwrap();
    assert_eq!(findings.len(), report.findings.len());
    let wrong = findings.iter().find(|finding| finding["state"] == "WARN");
    assert_eq!(wrong.unwrap()["name"], "huge_pages");
}
