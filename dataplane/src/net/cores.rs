//! Which CPUs carry packets.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::str::FromStr;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// CPUs in the notation of the kernel: `2`, `0,2`, `1-3,6`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CoreList(Vec<u32>);

/// Why a core list was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreListError {
    /// A part is neither a number nor a range of numbers.
    #[error("cores: '{part}' is neither a CPU number nor a range such as 2-5")]
    Malformed {
        /// The part.
        part: String,
    },
    /// This process may not run on that CPU, or it does not exist.
    #[error("cores: CPU {cpu} is not available to this process, which may use {available}")]
    NotAvailable {
        /// The CPU.
        cpu: u32,
        /// What may be used.
        available: CoreList,
    },
    /// The system does not say which CPUs there are.
    #[error("cores: the system does not say which CPUs this process may use")]
    Unknown,
}

impl CoreList {
    /// The CPU numbers, ascending, at least one.
    #[must_use]
    pub fn cpus(&self) -> &[u32] {
        &self.0
    }

    /// The CPUs that this process may use.
    ///
    /// # Errors
    ///
    /// [`CoreListError::Unknown`].
    pub fn available() -> Result<Self, CoreListError> {
        let cpus: BTreeSet<u32> = core_affinity::get_core_ids()
            .unwrap_or_default()
            .iter()
            .filter_map(|core| u32::try_from(core.id).ok())
            .collect();
        if cpus.is_empty() {
            return Err(CoreListError::Unknown);
        }
        Ok(Self(cpus.into_iter().collect()))
    }

    /// What is used when nobody says: all CPUs but the first, which is left to the system and the control plane; the
    /// only one when there is just one.
    ///
    /// # Errors
    ///
    /// [`CoreListError::Unknown`].
    pub fn default_of_host() -> Result<Self, CoreListError> {
        Self::available().map(Self::all_but_first)
    }

    /// The list without its first CPU; the list itself when there is just one.
    #[must_use]
    pub fn all_but_first(self) -> Self {
        let Self(mut cpus) = self;
        if cpus.len() > 1 {
            cpus.remove(0);
        }
        Self(cpus)
    }

    /// The same list when packets may be given to all of it.
    ///
    /// # Errors
    ///
    /// [`CoreListError::NotAvailable`] names the first CPU that it may not use.
    pub fn checked(self) -> Result<Self, CoreListError> {
        self.within(&Self::usable()?)
    }

    /// The CPUs that packets may be given to: those of this process, and those that the kernel's command line isolates. A
    /// program is kept off the latter until it asks for one by its number, so they are not among [`Self::available`].
    ///
    /// # Errors
    ///
    /// [`CoreListError::Unknown`].
    pub fn usable() -> Result<Self, CoreListError> {
        let isolated = fs::read_to_string("/sys/devices/system/cpu/isolated").unwrap_or_default();
        Ok(Self::available()?.with(isolated.trim()))
    }

    /// The list with the CPUs of another one in the notation of the kernel; itself when that is no list.
    fn with(self, others: &str) -> Self {
        let others: Option<Self> = others.parse().ok();
        let all: BTreeSet<u32> = self
            .0
            .into_iter()
            .chain(others.into_iter().flat_map(|others| others.0))
            .collect();
        Self(all.into_iter().collect())
    }

    /// The same list when all of it is in `available`.
    ///
    /// # Errors
    ///
    /// [`CoreListError::NotAvailable`] names the first CPU that is not.
    pub fn within(self, available: &Self) -> Result<Self, CoreListError> {
        match self.0.iter().find(|cpu| !available.0.contains(cpu)) {
            Some(cpu) => Err(CoreListError::NotAvailable {
                cpu: *cpu,
                available: available.clone(),
            }),
            None => Ok(self),
        }
    }
}

/// Keeps the calling thread, and threads that it will start, off the CPUs in `packet_cores` when others are left. False
/// when it stays where it was.
pub fn keep_off(packet_cores: &CoreList) -> bool {
    let Ok(available) = CoreList::available() else {
        return false;
    };
    let mut others = CpuSet::new();
    let mut any = false;
    for cpu in available
        .0
        .iter()
        .filter(|cpu| !packet_cores.0.contains(cpu))
    {
        any |= usize::try_from(*cpu).is_ok_and(|cpu| others.set(cpu).is_ok());
    }
    any && sched_setaffinity(Pid::from_raw(0), &others).is_ok()
}

impl FromStr for CoreList {
    type Err = CoreListError;

    fn from_str(text: &str) -> Result<Self, CoreListError> {
        let mut cpus = BTreeSet::new();
        for part in text.split(',') {
            let part = part.trim();
            let malformed = || CoreListError::Malformed {
                part: part.to_owned(),
            };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u32 = first.trim().parse().map_err(|_| malformed())?;
            let last: u32 = last.trim().parse().map_err(|_| malformed())?;
            if first > last || last > CPU_MAX {
                return Err(malformed());
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus.into_iter().collect()))
    }
}

impl fmt::Display for CoreList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        formatter.write_str(&numbers.join(","))
    }
}

/// Highest CPU number of a Linux kernel built for the largest machines.
const CPU_MAX: u32 = 8_191;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_read() {
        let list: CoreList = "3, 0-1,3".parse().unwrap();
        assert_eq!(list.cpus(), [0, 1, 3]);
        assert_eq!(list.to_string(), "0,1,3");
    }

    #[test]
    fn isolated_cpus_may_be_used_too() {
        let available: CoreList = "0-1".parse().unwrap();
        let with = |isolated| available.clone().with(isolated).to_string();
        assert_eq!(with("2-3"), "0,1,2,3");
        assert_eq!(with("1-2"), "0,1,2");
        assert_eq!(with(""), "0,1");
        assert_eq!(with("(null)"), "0,1");
    }

    #[test]
    fn rubbish_is_refused_by_name() {
        for text in ["", "a", "1-", "3-1", "1,,2", "0-99999999"] {
            assert!(text.parse::<CoreList>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let error = "8191".parse::<CoreList>().unwrap().checked().unwrap_err();
        assert!(
            error.to_string().contains("CPU 8191 is not available"),
            "{error}"
        );
    }
}
