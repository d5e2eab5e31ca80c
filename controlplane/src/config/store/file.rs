//! Files that are read whole, bounded, and written whole under another name first.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::{FileKind, StoreError};

/// Largest file that is read, in bytes: 4,096 flows with 60 outputs each take about half of it.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// The content of a regular file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before it is opened: opening a pipe would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(not_a_file());
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large, even one that grows under our hands.
    let length = File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    match u64::try_from(length) {
        Ok(0..=FILE_BYTES_MAX) => Ok(bytes),
        _ => Err(too_large()),
    }
}

/// Permission bits of the regular file at `path`; none when there is no file.
pub(super) fn mode_of(path: &Path) -> io::Result<Option<u32>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.permissions().mode() & 0o777)),
        Ok(_) => Err(not_a_file()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file that is complete and on disk, under another name; dropped, it is removed again.
#[derive(Debug)]
pub(super) struct Draft {
    kind: FileKind,
    file: NamedTempFile,
    target: PathBuf,
}

impl Draft {
    /// Writes `bytes` beside `target` and syncs them. The mode is `mode`, or what the umask leaves of 0666.
    pub(super) fn write(
        kind: FileKind,
        target: &Path,
        bytes: &[u8],
        mode: Option<u32>,
    ) -> Result<Self, StoreError> {
        let fail = |action| {
            move |source| StoreError::Write {
                kind,
                path: target.to_owned(),
                action,
                source,
            }
        };
        if u64::try_from(bytes.len()).is_ok_and(|bytes| bytes > FILE_BYTES_MAX) {
            // Written, it would stop the node from starting again.
            return Err(fail("write what could not be read again")(too_large()));
        }
        let mut file = tempfile::Builder::new()
            .prefix(&leftover_prefix(target))
            .suffix(LEFTOVER_SUFFIX)
            .rand_bytes(LEFTOVER_RANDOM_BYTES)
            // Of a file that will have a certain mode, nobody else may see the content before it has.
            .permissions(Permissions::from_mode(match mode {
                Some(_) => 0o600,
                None => 0o666,
            }))
            .tempfile_in(folder_of(target))
            .map_err(fail("create a temporary file beside it"))?;
        file.write_all(bytes)
            .map_err(fail("write a temporary file beside it"))?;
        if let Some(mode) = mode {
            file.as_file()
                .set_permissions(Permissions::from_mode(mode))
                .map_err(fail("keep its mode"))?;
        }
        file.as_file()
            .sync_all()
            .map_err(fail("sync a temporary file beside it"))?;
        Ok(Self {
            kind,
            file,
            target: target.to_owned(),
        })
    }

    /// Puts it in the place of its target. Only [`sync_folder`] makes that survive a loss of power.
    pub(super) fn place(self) -> Result<(), StoreError> {
        let Self { kind, file, target } = self;
        match file.persist(&target) {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Write {
                kind,
                path: target,
                action: "put the new file in its place",
                source: error.error,
            }),
        }
    }

    /// As [`place`](Self::place), unless there is a target already.
    pub(super) fn place_new(self) -> io::Result<()> {
        let placed = self.file.persist_noclobber(&self.target);
        placed.map(|_| ()).map_err(|error| error.error)
    }
}

/// Makes the renames in the folder of `target` survive a loss of power.
pub(super) fn sync_folder(kind: FileKind, target: &Path) -> Result<(), StoreError> {
    File::open(folder_of(target))
        .and_then(|folder| folder.sync_all())
        .map_err(|source| StoreError::Write {
            kind,
            path: target.to_owned(),
            action: "sync the folder",
            source,
        })
}

/// Removes the drafts of `target` that a process left behind which ended in the middle of a write.
pub(super) fn remove_leftovers(target: &Path) {
    let prefix = leftover_prefix(target);
    // A folder that cannot be listed is reported by whoever reads or writes the file next.
    let Ok(entries) = fs::read_dir(folder_of(target)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        // The exact shape: an operator's own copy with a name that is only alike is nobody's leftover.
        let is_leftover = name
            .strip_prefix(prefix.as_encoded_bytes())
            .and_then(|rest| rest.strip_suffix(LEFTOVER_SUFFIX.as_bytes()))
            .is_some_and(|random| {
                random.len() == LEFTOVER_RANDOM_BYTES
                    && random.iter().all(u8::is_ascii_alphanumeric)
            });
        if !is_leftover || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!(
                "removed {}, left by a write that was cut off",
                path.display()
            ),
            Err(error) => tracing::warn!("cannot remove {}: {error}", path.display()),
        }
    }
}

/// End of the name of a temporary file.
const LEFTOVER_SUFFIX: &str = ".tmp";

/// What its name has before that, at random.
const LEFTOVER_RANDOM_BYTES: usize = 6;

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Begin of the name of a temporary file.
fn leftover_prefix(target: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

fn too_large() -> io::Error {
    let text = format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}
