//! The host that this process runs on.

use std::path::PathBuf;

use super::{Host, Probe};
use crate::net::card::{self, CardSettings};
use crate::net::cores::CoreList;
use crate::net::executor;

/// Asks this host. With a CPU it also tries there, for a moment, whether a ring can be set up.
#[derive(Clone, Copy, Debug)]
pub struct ThisHost {
    /// Where a ring is tried; better not a packet core of a data plane that runs.
    pub ring_on: Option<u32>,
}

impl Host {
    /// This host.
    #[must_use]
    pub fn this(available: CoreList, cores: Option<CoreList>) -> Self {
        Self {
            root: PathBuf::from("/"),
            available,
            cores,
        }
    }

    /// A CPU that is no packet core; the first one when all are.
    #[must_use]
    pub fn spare_cpu(&self) -> Option<u32> {
        let available = self.available.cpus();
        let cores = match &self.cores {
            Some(cores) => cores.cpus(),
            None => available.get(1..).unwrap_or_default(),
        };
        let spare = available.iter().find(|cpu| !cores.contains(cpu));
        spare.or_else(|| available.first()).copied()
    }
}

impl Probe for ThisHost {
    fn card(&self, interface: &str) -> Option<CardSettings> {
        card::settings(interface)
    }

    fn ring(&self) -> Option<Result<(), String>> {
        let tried =
            executor::start(self.ring_on?, || async {}).and_then(executor::CoreThread::join);
        Some(tried.map_err(|error| error.to_string()))
    }
}
