//! The configuration file: read whole or refused, written whole or not at all.
//!
//! A change is saved in two steps, so that a full disk shows before anything is applied: [`Store::prepare`] writes and
//! syncs a temporary file beside the configuration, [`Prepared::commit`] renames it into place. Whoever reads the file
//! in between, or after a loss of power, sees the old configuration or the new one (configuration.md 1.4).

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::NamedTempFile;
use uuid::Uuid;

use super::error::ConfigError;
use super::model::AppConfig;
use super::parse::parse_app;
use super::raw::UnknownFields;

/// Largest file that is read, in bytes: 4,096 flows with 60 outputs each take about half of it.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// The configuration file.
///
/// Getter: [`path`](Self::path). Reading: [`load`](Self::load) once at start, [`reload`](Self::reload) later. Writing:
/// [`prepare`](Self::prepare), then [`Prepared::commit`]. One process writes a file; the calls block on the disk.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

/// What the file says.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: AppConfig,
    /// Fields of the file that were ignored (configuration.md 9.3).
    pub unknown: UnknownFields,
    /// Whether the file lacks what must outlive a restart: there is none, or it has no `node_id`.
    pub must_save: bool,
}

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read, is empty or too large.
    #[error("configuration file {}: cannot read it: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// It is not JSON.
    #[error("configuration file {}: is not JSON: {source}", path.display())]
    Unparseable {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// It is JSON, and not a legal configuration.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// It cannot be written; what stood there before stands there still, with the one exception that
    /// [`Prepared::commit`] names.
    #[error("configuration file {}: cannot {action}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What is wrong.
        source: io::Error,
    },
}

impl Store {
    /// The file at `path`, which need not exist.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file at the start of the process; without one, the built-in default applies. Removes what a
    /// predecessor left behind that ended in the middle of a write.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`], [`StoreError::Unparseable`] or [`StoreError::Invalid`].
    pub fn load(&self) -> Result<Loaded, StoreError> {
        self.remove_leftovers();
        let node_id = Uuid::new_v4();
        match self.read(node_id) {
            Err(StoreError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Loaded {
                    config: AppConfig::default_with(node_id),
                    unknown: UnknownFields::default(),
                    must_save: true,
                })
            }
            other => other,
        }
    }

    /// Reads the file of a node that runs already. A `node_id` that the file does not name stays as it is, and a file
    /// that has gone is an error: an empty default would stop every flow.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn reload(&self, node_id: Uuid) -> Result<Loaded, StoreError> {
        self.read(node_id)
    }

    /// Writes `config` to a temporary file beside the target and syncs it. The target is untouched.
    ///
    /// The new file has the mode of the one it replaces, or what the umask leaves of 0666; never for others to read
    /// when it holds secrets.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]: the folder is missing or not writable, the disk is full, the target is not a file.
    pub fn prepare(&self, config: &AppConfig) -> Result<Prepared, StoreError> {
        let target = self.target();
        let fail = |action| {
            let path = target.clone();
            move |source| StoreError::Write {
                path,
                action,
                source,
            }
        };
        let modes_allowed = if config.has_secrets() { 0o770 } else { 0o777 };
        let mode = match fs::metadata(&target) {
            Ok(metadata) if metadata.is_file() => Some(metadata.permissions().mode() & 0o777),
            Ok(_) => return Err(fail("replace it")(not_a_file())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(fail("replace it")(error)),
        };
        let file = tempfile::Builder::new()
            .prefix(&leftover_prefix(&target))
            .suffix(LEFTOVER_SUFFIX)
            .rand_bytes(LEFTOVER_RANDOM_BYTES)
            // Of a file that will have the mode of another, nobody else may see the content before it has.
            .permissions(Permissions::from_mode(match mode {
                Some(_) => 0o600,
                None => 0o666 & modes_allowed,
            }))
            .tempfile_in(folder_of(&target))
            .map_err(fail("create a temporary file beside it"))?;
        let mut writer = BufWriter::new(file.as_file());
        serde_json::to_writer_pretty(&mut writer, config)
            .map_err(io::Error::from)
            .and_then(|()| writer.write_all(b"\n"))
            .and_then(|()| writer.flush())
            .map_err(fail("write a temporary file beside it"))?;
        drop(writer);
        let bytes = file.as_file().metadata().map(|metadata| metadata.len());
        if bytes.map_err(fail("measure a temporary file beside it"))? > FILE_BYTES_MAX {
            // Written, it would stop the node from starting again.
            return Err(fail("write what could not be read again")(too_large()));
        }
        if let Some(mode) = mode {
            file.as_file()
                .set_permissions(Permissions::from_mode(mode & modes_allowed))
                .map_err(fail("keep its mode"))?;
        }
        file.as_file()
            .sync_all()
            .map_err(fail("sync a temporary file beside it"))?;
        Ok(Prepared { file, target })
    }

    fn read(&self, node_id: Uuid) -> Result<Loaded, StoreError> {
        let bytes = self.bytes().map_err(|source| StoreError::Unreadable {
            path: self.path.clone(),
            source,
        })?;
        let document: Value =
            serde_json::from_slice(&bytes).map_err(|source| StoreError::Unparseable {
                path: self.path.clone(),
                source,
            })?;
        let names_node = document.get("node_id").is_some_and(|id| !id.is_null());
        // The file is the source of truth: nothing but the identity of the node outlives its removal from it.
        let parsed = parse_app(document, &AppConfig::default_with(node_id))?;
        Ok(Loaded {
            config: parsed.value,
            unknown: parsed.unknown,
            must_save: !names_node,
        })
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        // Asked before it is opened: opening a pipe would wait for its other end.
        if !fs::metadata(&self.path)?.is_file() {
            return Err(not_a_file());
        }
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too large, even one that grows under our hands.
        let length = File::open(&self.path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        match u64::try_from(length) {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is empty; remove it to start from the built-in default",
            )),
            Ok(1..=FILE_BYTES_MAX) => Ok(bytes),
            _ => Err(too_large()),
        }
    }

    /// The file itself where the path is a symbolic link, for a rename would replace the link.
    fn target(&self) -> PathBuf {
        fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone())
    }

    fn remove_leftovers(&self) {
        let target = self.target();
        let prefix = leftover_prefix(&target);
        // A folder that cannot be listed is reported by whoever reads or writes the file next.
        let Ok(entries) = fs::read_dir(folder_of(&target)) else {
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
}

/// A configuration that is on disk under another name; dropped, it is removed again.
#[derive(Debug)]
#[must_use = "the configuration is not saved before commit"]
pub struct Prepared {
    file: NamedTempFile,
    target: PathBuf,
}

impl Prepared {
    /// Puts it in the place of the configuration file, and returns when that will survive a loss of power.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]. With the action "sync the folder" the new configuration is in place, and a loss of power
    /// may bring back the old one.
    pub fn commit(self) -> Result<(), StoreError> {
        let Self { file, target } = self;
        let persisted = file.persist(&target).map_err(|error| error.error);
        let synced = match persisted {
            Ok(_) => File::open(folder_of(&target))
                .and_then(|folder| folder.sync_all())
                .map_err(|source| ("sync the folder", source)),
            Err(source) => Err(("put the new file in its place", source)),
        };
        synced.map_err(|(action, source)| StoreError::Write {
            path: target,
            action,
            source,
        })
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
