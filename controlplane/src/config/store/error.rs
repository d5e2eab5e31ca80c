//! Why the files could not be read or written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::super::error::ConfigError;

/// Why the files could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// The configuration cannot be used, and its backup can.
    #[error(
        "{error}; {} holds the last good configuration: copy it to {} to go on from there",
        backup.display(), path.display()
    )]
    Restorable {
        /// Why the configuration cannot be used.
        error: Box<Self>,
        /// The file.
        path: PathBuf,
        /// Its backup.
        backup: PathBuf,
    },
    /// The secrets cannot be used; their file is left as it is.
    #[error("secrets file {}: {problem}", path.display())]
    Secrets {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: SecretsProblem,
    },
    /// It cannot be written; what stood there before stands there still, with the one exception that
    /// [`Prepared::commit`](super::Prepared::commit) names.
    #[error("{kind} file {}: cannot {action}: {source}", path.display())]
    Write {
        /// What the file is.
        kind: FileKind,
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What is wrong.
        source: io::Error,
    },
}

/// What a file of the store is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// The copy of the last good configuration.
    Backup,
    /// `config.json`.
    Configuration,
    /// `.secrets_key`.
    Key,
    /// `secrets.json`.
    Secrets,
    /// What a part of the node keeps beside its configuration.
    State,
}

impl fmt::Display for FileKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Backup => "backup",
            Self::Configuration => "configuration",
            Self::Key => "key",
            Self::Secrets => "secrets",
            Self::State => "state",
        })
    }
}

/// Why the secrets cannot be used. No message shows what is in them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsProblem {
    /// It is encrypted in a way that this version does not know.
    #[error("its encryption has version {0}, and this program knows version 1")]
    EnvelopeVersion(u8),
    /// Encrypted with a key that is not here.
    #[error(
        "it is encrypted with the key of {source_of_key}, which cannot be used: {reason}{KEEP}"
    )]
    KeyUnavailable {
        /// Where the key comes from.
        source_of_key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither an encrypted file nor a JSON object.
    #[error("it is neither encrypted secrets nor a JSON object: {0}")]
    NotJson(String),
    /// A known key holds something else than it should.
    #[error("{key} is not {expected}")]
    Shape {
        /// The key.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It is shorter than encrypted secrets can be.
    #[error("it is cut off{KEEP}")]
    Truncated,
    /// The key does not fit, or a byte has changed.
    #[error(
        "it cannot be decrypted with the key of {source_of_key}: it was copied here from another machine, that key has \
         changed, or the file is damaged{KEEP}"
    )]
    Undecryptable {
        /// Where the key comes from.
        source_of_key: String,
    },
    /// It cannot be read, is empty or too large.
    #[error("cannot read it: {0}")]
    Unreadable(io::Error),
}

/// What an operator can do about secrets that cannot be had.
const KEEP: &str = "; it is left as it is: bring the right one back, or move it away to start without its secrets \
                    (authentication and TLS are then off until they are configured again)";

impl SecretsProblem {
    /// The error about the file at `path`.
    pub(super) fn of(self, path: &Path) -> StoreError {
        StoreError::Secrets {
            path: path.to_owned(),
            problem: self,
        }
    }
}
