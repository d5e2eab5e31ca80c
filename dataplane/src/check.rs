//! What of the host would hurt packets, and what mends it.
//!
//! Everything is read from files below one root folder, and what no file tells comes in as a [`Probe`]; so a folder with
//! a few files is a host as good as any other. A finding speaks of this process: of its limits, privileges and CPUs.

mod cards;
mod cpus;
mod files;
mod kernel;
mod live;
mod memory;
mod report;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::net::card::CardSettings;
use crate::net::cores::CoreList;

use files::Files;
pub use live::ThisHost;

/// How well the host does in one respect.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// Nothing to do.
    Ok,
    /// Packets may be late or lost when it comes to it.
    Warn,
    /// The data plane does not start, or does not carry packets reliably.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What, in `snake_case`; with an interface behind a colon where it is about one.
    pub name: String,
    /// How well.
    pub state: State,
    /// What was measured.
    pub value: String,
    /// What it does to packets; empty when nothing is wrong.
    pub why: String,
    /// The command, or the setting, that mends it; empty when nothing is wrong.
    pub mend: String,
}

/// All findings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// In the order in which they were looked at.
    pub findings: Vec<Finding>,
}

/// Where and for whom the host is looked at.
#[derive(Clone, Debug)]
pub struct Host {
    /// `/`, or the folder of a test that has `proc` and `sys` in it.
    pub root: PathBuf,
    /// The CPUs that packets may be given to.
    pub available: CoreList,
    /// The packet cores; absent: all but the first of those.
    pub cores: Option<CoreList>,
}

/// What no file tells.
pub trait Probe {
    /// Offloads and ring of a network card; `None` when it does not say.
    fn card(&self, interface: &str) -> Option<CardSettings>;

    /// Whether a ring could be set up, and what the kernel said when not; `None` when nobody tried.
    fn ring(&self) -> Option<Result<(), String>>;
}

/// Looks at everything.
#[must_use]
pub fn check(host: &Host, probe: &dyn Probe) -> Report {
    let files = Files::new(&host.root);
    let cores = match &host.cores {
        Some(cores) => cores.clone().within(&host.available),
        None => Ok(host.available.clone().all_but_first()),
    };
    let mut findings = vec![
        kernel::version(&files),
        kernel::ring(&files, probe.ring()),
        kernel::clock_source(&files),
        memory::locked(&files, &cores),
        memory::descriptors(&files),
        memory::receive_buffer(&files),
        memory::send_buffer(&files),
        memory::swap(&files),
        memory::huge_pages(&files),
        cpus::cores(&host.available, &cores),
    ];
    if let Ok(cores) = &cores {
        findings.extend([
            cpus::isolation(&files, cores),
            cpus::siblings(&files, cores),
            cpus::governor(&files, cores),
            cpus::interrupts(&files, &host.available, cores),
        ]);
    }
    findings.push(cpus::priority(&files));
    for interface in cards::interfaces(&files) {
        if let Some(settings) = probe.card(&interface) {
            findings.push(cards::offloads(&interface, &settings));
            findings.extend(cards::ring(&interface, &settings));
        }
    }
    Report { findings }
}

impl Finding {
    fn ok(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: State::Ok,
            value: value.into(),
            why: String::new(),
            mend: String::new(),
        }
    }

    fn but(self, state: State, why: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            state,
            why: why.into(),
            mend: mend.into(),
            ..self
        }
    }

    fn warn(self, why: impl Into<String>, mend: impl Into<String>) -> Self {
        self.but(State::Warn, why, mend)
    }

    fn fail(self, why: impl Into<String>, mend: impl Into<String>) -> Self {
        self.but(State::Fail, why, mend)
    }
}
