//! Reading what the kernel tells in files.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files below a root folder. What is not there, or is not text, is absent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    root: &'a Path,
}

impl<'a> Files<'a> {
    pub(super) const fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// The content of a file, without blanks at its ends.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let mut text = String::new();
        let file = File::open(self.path(path)).ok()?;
        file.take(BYTES_MAX).read_to_string(&mut text).ok()?;
        Some(text.trim().to_owned())
    }

    /// The number that a file consists of.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// Names in a folder, sorted; none when there is no such folder.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .take(NAMES_MAX)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Whether there is such a file or folder.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Whether there is such a folder.
    pub(super) fn is_folder(&self, path: &str) -> bool {
        self.path(path).is_dir()
    }

    /// A line of `/proc/self/status`.
    pub(super) fn status(&self, name: &str) -> Option<String> {
        let text = self.text("proc/self/status")?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    /// Whether this process has a capability (capabilities(7)) in effect.
    pub(super) fn has_capability(&self, number: u32) -> bool {
        self.status("CapEff")
            .and_then(|mask| u64::from_str_radix(&mask, 16).ok())
            .is_some_and(|mask| mask >> number & 1 == 1)
    }

    /// A soft limit of this process by its name in `/proc/self/limits`.
    pub(super) fn limit(&self, name: &str) -> Option<Limit> {
        let text = self.text("proc/self/limits")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        match line.split_ascii_whitespace().next()? {
            "unlimited" => Some(Limit::None),
            number => Some(Limit::At(number.parse().ok()?)),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// A limit of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Limit {
    /// So much.
    At(u64),
    /// There is none.
    None,
}

impl Limit {
    /// Whether so much is allowed.
    pub(super) const fn allows(self, wanted: u64) -> bool {
        match self {
            Self::At(limit) => limit >= wanted,
            Self::None => true,
        }
    }
}

/// Longest file that is read to its end; those of interest have a few lines.
const BYTES_MAX: u64 = 1 << 20;

/// Most names of a folder: a large machine has some thousand interrupts.
const NAMES_MAX: usize = 65_536;
