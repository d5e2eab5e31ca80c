//! What the figures were measured on.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use dataplane::net::cores::CoreList;
use serde::Serialize;

use crate::BenchError;

/// Facts about the machine, written beside every result.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// `model name` of the first CPU.
    pub cpu_model: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// Commit of the working folder as git tells it, with `-dirty` where files were changed.
    pub commit: String,
}

impl Machine {
    /// Reads them from `/proc` and from git; what the system does not tell is `unknown`.
    ///
    /// # Errors
    ///
    /// [`BenchError::Cores`] when the system does not say which CPUs there are.
    pub fn read() -> Result<Self, BenchError> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu_model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or_else(|| UNKNOWN.to_owned(), |(_, model)| model.trim().to_owned());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_or_else(|_| UNKNOWN.to_owned(), |release| release.trim().to_owned());
        Ok(Self {
            cpu_model,
            cpus: CoreList::available()?.cpus().len(),
            kernel,
            commit: commit(),
        })
    }
}

fn commit() -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .output();
    output
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| UNKNOWN.to_owned(), |commit| commit.trim().to_owned())
}

/// Cargo's target folder, found from the place of this program: `target/PROFILE/program`.
///
/// # Errors
///
/// [`BenchError::System`] when the system does not tell where the program is.
pub fn target_folder() -> Result<PathBuf, BenchError> {
    let program = std::env::current_exe().map_err(BenchError::system("find this program"))?;
    Ok(program
        .ancestors()
        .nth(2)
        .map_or_else(|| PathBuf::from("target"), PathBuf::from))
}

const UNKNOWN: &str = "unknown";
