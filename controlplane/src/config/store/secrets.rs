//! The file `secrets.json`: read, decrypted, and prepared for what it should say next.

use std::io;
use std::path::{Path, PathBuf};

use super::content::{Content, Pair};
use super::envelope;
use super::error::{FileKind, SecretsProblem, StoreError};
use super::file::{self, Draft};
use super::key::{KeySource, Keys};

/// Name of the file, in the folder of the configuration.
const NAME: &str = "secrets.json";

/// Nobody but the owner.
const MODE: u32 = 0o600;

/// The file beside one configuration.
#[derive(Clone, Debug)]
pub(super) struct SecretsFile {
    path: PathBuf,
    keys: Keys,
}

/// What was found there.
pub(super) struct Found {
    pair: Pair,
    /// Whether it stands there as it should: encrypted, with mode 0600, and with nothing that is replaced.
    is_in_order: bool,
}

impl Found {
    /// What there is when there is no file.
    fn nothing() -> Self {
        Self {
            pair: Pair::default(),
            is_in_order: true,
        }
    }

    /// The secrets that belong to a configuration with these bytes.
    pub(super) fn beside(&self, config: &[u8]) -> &Content {
        self.pair.beside(config)
    }

    /// Whether there is anything to write when `wanted` belongs to the configuration with these bytes.
    pub(super) fn differs(&self, config: &[u8], wanted: &Content) -> bool {
        !self.is_in_order || self.beside(config) != wanted
    }
}

impl SecretsFile {
    /// Beside the configuration file `config`; the machine is identified by the file `machine_id`.
    pub(super) fn new(config: &Path, machine_id: &Path) -> Self {
        let path = config.with_file_name(NAME);
        Self {
            keys: Keys::new(machine_id, &path),
            path,
        }
    }

    /// Whether this very file is meant to be the configuration.
    pub(super) fn is(&self, config: &Path) -> bool {
        self.path == config
    }

    /// What it says; without a file, nothing.
    pub(super) fn read(&self) -> Result<Found, StoreError> {
        let bytes = match file::read(&self.path) {
            Ok(bytes) if bytes.is_empty() => Err(empty()),
            other => other,
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::nothing()),
            Err(error) => return Err(self.error(SecretsProblem::Unreadable(error))),
        };
        let is_sealed = envelope::is_sealed(&bytes);
        let opened = match is_sealed {
            true => envelope::open(&bytes, &self.keys).map_err(|problem| self.error(problem))?,
            false => bytes,
        };
        let pair = Pair::parse(&opened).map_err(|problem| self.error(problem))?;
        let mode = file::mode_of(&self.path)
            .map_err(|error| self.error(SecretsProblem::Unreadable(error)))?;
        Ok(Found {
            is_in_order: is_sealed && mode == Some(MODE) && pair.is_settled(),
            pair,
        })
    }

    /// Drafts what it has to say when `wanted` belongs to the `next` bytes of the configuration, and what it says now
    /// to the `present` ones.
    ///
    /// # Errors
    ///
    /// It cannot be read, and must not be overwritten then; or a draft cannot be written.
    pub(super) fn prepare(
        &self,
        wanted: Content,
        present: &[u8],
        next: &[u8],
    ) -> Result<SecretsDrafts, StoreError> {
        let found = self.read()?;
        let before = found.beside(present).clone();
        if !found.differs(present, &wanted) {
            return Ok(SecretsDrafts::default());
        }
        let settled = Pair::of(wanted.clone());
        if before == wanted {
            // The same secrets in good order belong to both configurations.
            return Ok(SecretsDrafts {
                first: Some(self.draft(&settled)?),
                last: None,
            });
        }
        Ok(SecretsDrafts {
            first: Some(self.draft(&Pair::changing(wanted, next, before))?),
            last: Some(self.draft(&settled)?),
        })
    }

    /// Removes what a process left behind that ended in the middle of a write.
    pub(super) fn remove_leftovers(&self) {
        file::remove_leftovers(&self.path);
        self.keys.remove_leftovers();
    }

    fn draft(&self, pair: &Pair) -> Result<Draft, StoreError> {
        let (source, material): (KeySource, Vec<u8>) = self.keys.to_encrypt()?;
        let sealed = envelope::seal(&pair.to_text(), source, &material);
        let sealed = sealed.map_err(|error| StoreError::Write {
            kind: FileKind::Secrets,
            path: self.path.clone(),
            action: "encrypt it",
            source: io::Error::other(error),
        })?;
        Draft::write(FileKind::Secrets, &self.path, &sealed, Some(MODE))
    }

    fn error(&self, problem: SecretsProblem) -> StoreError {
        problem.of(&self.path)
    }
}

/// What is to be put in place before and after the configuration.
#[derive(Debug, Default)]
pub(super) struct SecretsDrafts {
    /// Right beside the present configuration and beside the next one.
    pub(super) first: Option<Draft>,
    /// Right beside the next one alone, and without anything that is replaced.
    pub(super) last: Option<Draft>,
}

fn empty() -> io::Error {
    let text = "it is empty; put the right one back, or remove it to start without its secrets (authentication and TLS \
                are then off until they are configured again)";
    io::Error::new(io::ErrorKind::InvalidData, text)
}
