//! The files of the configuration: read whole or refused, written whole or not at all.
//!
//! A change is saved in two steps, so that a full disk shows before anything is applied: [`Store::prepare`] writes and
//! syncs temporary files beside their targets, [`Prepared::commit`] renames them into place. Whoever reads the files
//! in between, or after a loss of power, sees the old configuration or the new one (configuration.md 1.4).
//!
//! Two files cannot be renamed at once, and a mixture could be a node with the old flows and the new keys. So
//! `secrets.json` is replaced twice when its content changes: first by one that holds the old and the new secrets and
//! the SHA-256 of the new `config.json`, then, after `config.json` itself, by one with the new secrets alone. In
//! between, `config.json` decides which of them count. A save that changes no secret replaces `config.json` alone.
//!
//! `config.json.bak` is a copy of the last configuration that was read or written without a complaint. It is never
//! read instead of a bad one, but named in the error. There is none of `secrets.json`: a secret that was removed would
//! live on there.
//!
//! The secrets and the backup are in the folder of the configuration file itself, also where the path is a symbolic
//! link; so two nodes need two folders.

mod companion;
mod content;
mod envelope;
mod error;
mod file;
mod key;
mod secrets;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use uuid::Uuid;

use super::model::AppConfig;
use super::parse::parse_app;
use super::raw::UnknownFields;

use content::{Content, has_inline_secrets};
use file::Draft;
use secrets::{SecretsDrafts, SecretsFile};

pub use companion::Companion;
pub use error::{FileKind, SecretsProblem, StoreError};
pub use file::FILE_BYTES_MAX;

/// The files `config.json` and `secrets.json`.
///
/// Getter: [`path`](Self::path). Reading: [`load`](Self::load) once at start, [`reload`](Self::reload) later. Writing:
/// [`prepare`](Self::prepare), then [`Prepared::commit`]. One process writes the files; the calls block on the disk.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    machine_id: PathBuf,
}

/// What the files say.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: AppConfig,
    /// Fields of `config.json` that were ignored (configuration.md 9.3).
    pub unknown: UnknownFields,
    /// Whether the files are not what a save would make of them: there is none, `config.json` has no `node_id` or has
    /// secrets in it, or `secrets.json` is not encrypted.
    pub must_save: bool,
}

impl Store {
    /// The configuration file at `path`, which need not exist, and its secrets, encrypted with the key of this machine.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self::with_machine_id(path, PathBuf::from(key::MACHINE_ID))
    }

    /// As [`new`](Self::new), with the machine identified by another file than `/etc/machine-id`.
    #[must_use]
    pub const fn with_machine_id(path: PathBuf, machine_id: PathBuf) -> Self {
        Self { path, machine_id }
    }

    /// Where the configuration file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the files at the start of the process; without a configuration file, the built-in default applies. Removes
    /// what a predecessor left behind that ended in the middle of a write.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`], [`StoreError::Unparseable`], [`StoreError::Invalid`] or [`StoreError::Secrets`];
    /// [`StoreError::Restorable`] when the backup could be used instead.
    pub fn load(&self) -> Result<Loaded, StoreError> {
        let target = self.target();
        let backup = backup_of(&target);
        file::remove_leftovers(&target);
        file::remove_leftovers(&backup);
        self.secrets(&target).remove_leftovers();
        let node_id = Uuid::new_v4();
        match self.read(&self.path, node_id) {
            Err(StoreError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                keep_backup(&self.path, &backup);
                self.default_with(node_id, &target)
            }
            Err(StoreError::Secrets { path, problem }) => {
                Err(StoreError::Secrets { path, problem })
            }
            Err(error) if self.read(&backup, node_id).is_ok() => Err(StoreError::Restorable {
                error: Box::new(error),
                path: self.path.clone(),
                backup,
            }),
            Err(error) => Err(error),
            Ok(loaded) => Ok(self.backed_up(loaded, &target)),
        }
    }

    /// Reads the files of a node that runs already. A `node_id` that they do not name stays as it is, and a
    /// configuration file that has gone is an error: an empty default would stop every flow.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), but for [`StoreError::Restorable`].
    pub fn reload(&self, node_id: Uuid) -> Result<Loaded, StoreError> {
        let loaded = self.read(&self.path, node_id)?;
        Ok(self.backed_up(loaded, &self.target()))
    }

    /// Writes `config` to temporary files beside their targets and syncs them. The targets are untouched.
    ///
    /// The new `config.json` has the mode of the one it replaces, or what the umask leaves of 0666, and so has its
    /// backup; `secrets.json` has 0600.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]: the folder is missing or not writable, the disk is full, the target is not a file.
    /// [`StoreError::Secrets`]: the present secrets cannot be read, and are not overwritten.
    pub fn prepare(&self, config: &AppConfig) -> Result<Prepared, StoreError> {
        let target = self.target();
        let fail = |action| {
            let path = target.clone();
            move |source| StoreError::Write {
                kind: FileKind::Configuration,
                path,
                action,
                source,
            }
        };
        let mode = file::mode_of(&target).map_err(fail("replace it"))?;
        let present = match mode {
            Some(_) => file::read(&target).map_err(fail("replace it"))?,
            None => Vec::new(),
        };
        let mut next = serde_json::to_vec_pretty(config)
            .map_err(io::Error::from)
            .map_err(fail("write it as JSON"))?;
        next.push(b'\n');
        let main = Draft::write(FileKind::Configuration, &target, &next, mode)?;
        let backup = Draft::write(FileKind::Backup, &backup_of(&target), &next, mode)?;
        let secrets = self
            .secrets(&target)
            .prepare(Content::of(config), &present, &next)?;
        Ok(Prepared {
            main,
            backup,
            secrets,
            target,
        })
    }

    fn read(&self, path: &Path, node_id: Uuid) -> Result<Loaded, StoreError> {
        let unreadable = |source| StoreError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let target = self.target();
        let secrets = self.secrets(&target);
        if secrets.is(&target) {
            return Err(unreadable(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the name is taken by the file with the secrets; call it config.json",
            )));
        }
        let bytes = file::read(path).map_err(unreadable)?;
        if bytes.is_empty() {
            return Err(unreadable(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is empty; remove it to start from the built-in default",
            )));
        }
        let document =
            serde_json::from_slice(&bytes).map_err(|source| StoreError::Unparseable {
                path: path.to_owned(),
                source,
            })?;
        joined(document, &bytes, &secrets, node_id)
    }

    /// The built-in default and the secrets that are there all the same.
    fn default_with(&self, node_id: Uuid, target: &Path) -> Result<Loaded, StoreError> {
        let document = AppConfig::default_with(node_id).to_public();
        let mut loaded = joined(document, &[], &self.secrets(target), node_id)?;
        loaded.must_save = true;
        Ok(loaded)
    }

    /// Takes care that the backup holds what was `loaded`. One that must be saved first will be backed up then.
    fn backed_up(&self, loaded: Loaded, target: &Path) -> Loaded {
        if loaded.must_save {
            return loaded;
        }
        let backup = backup_of(target);
        let Ok(bytes) = file::read(target) else {
            return loaded;
        };
        if file::read(&backup).is_ok_and(|same| same == bytes) {
            return loaded;
        }
        let mode = file::mode_of(target).ok().flatten();
        let written = Draft::write(FileKind::Backup, &backup, &bytes, mode).and_then(Draft::place);
        if let Err(error) = written {
            tracing::warn!("the configuration has no backup: {error}");
        }
        loaded
    }

    fn secrets(&self, target: &Path) -> SecretsFile {
        SecretsFile::new(target, &self.machine_id)
    }

    /// The file itself where the path is a symbolic link, for a rename would replace the link.
    fn target(&self) -> PathBuf {
        fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone())
    }
}

/// The configuration that a document and the secrets beside it make.
fn joined(
    mut document: Value,
    bytes: &[u8],
    secrets: &SecretsFile,
    node_id: Uuid,
) -> Result<Loaded, StoreError> {
    let names_node = document.get("node_id").is_some_and(|id| !id.is_null());
    let has_secrets = has_inline_secrets(&document);
    let found = secrets.read()?;
    found.beside(bytes).join(&mut document);
    // The files are the source of truth: nothing but the identity of the node outlives its removal from them.
    let parsed = parse_app(document, &AppConfig::default_with(node_id))?;
    let must_save = !names_node || has_secrets || found.differs(bytes, &Content::of(&parsed.value));
    Ok(Loaded {
        config: parsed.value,
        unknown: parsed.unknown,
        must_save,
    })
}

/// A configuration that is on disk under other names; dropped, it is removed again.
#[derive(Debug)]
#[must_use = "the configuration is not saved before commit"]
pub struct Prepared {
    main: Draft,
    backup: Draft,
    secrets: SecretsDrafts,
    target: PathBuf,
}

impl Prepared {
    /// Puts it in the place of the present configuration, and returns when that will survive a loss of power.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]. With the action "sync the folder" of the configuration the new one is in place, and a
    /// loss of power may bring back the old one.
    pub fn commit(self) -> Result<(), StoreError> {
        let Self {
            main,
            backup,
            secrets,
            target,
        } = self;
        if let Some(first) = secrets.first {
            first.place()?;
            file::sync_folder(FileKind::Secrets, &target)?;
        }
        main.place()?;
        if let Err(error) = backup.place() {
            tracing::warn!("the configuration has an old backup: {error}");
        }
        file::sync_folder(FileKind::Configuration, &target)?;
        // The new configuration is in force whatever becomes of this: the next save or start does it again.
        if let Some(last) = secrets.last
            && let Err(error) = last
                .place()
                .and_then(|()| file::sync_folder(FileKind::Secrets, &target))
        {
            tracing::warn!("replaced secrets are still on disk: {error}");
        }
        Ok(())
    }
}

/// The backup of the configuration file `target`.
fn backup_of(target: &Path) -> PathBuf {
    with_suffix(target, ".bak")
}

/// Puts the backup of a configuration that has gone aside, for the first save of the built-in default would replace it.
fn keep_backup(path: &Path, backup: &Path) {
    let kept = with_suffix(backup, ".old");
    match fs::rename(backup, &kept) {
        Ok(()) => tracing::warn!(
            "configuration file {} has gone; this is the built-in default. {} holds the last good configuration: copy \
             it to {} and start again to go on from there",
            path.display(),
            kept.display(),
            path.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("cannot keep {}: {error}", backup.display()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}
