//! What the key of the secrets is made from: the identity of the machine, or a file of random bytes beside them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{FileKind, StoreError};
use super::file::{self, Draft};

/// Where systemd keeps the identity of the machine (machine-id(5)).
pub(super) const MACHINE_ID: &str = "/etc/machine-id";

/// Name of the key file, beside the secrets.
const KEY_FILE: &str = ".secrets_key";

/// Random bytes in a key file, written as hex digits.
const KEY_BYTES: usize = 32;

/// Where key material comes from; the header of encrypted secrets says which.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeySource {
    /// The identity of the machine.
    Machine,
    /// The key file.
    File,
}

/// Both places.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    machine_id: PathBuf,
    key_file: PathBuf,
}

impl Keys {
    /// The identity of the machine in `machine_id`, the key file beside `secrets`.
    pub(super) fn new(machine_id: &Path, secrets: &Path) -> Self {
        Self {
            machine_id: machine_id.to_owned(),
            key_file: secrets.with_file_name(KEY_FILE),
        }
    }

    /// The key material to encrypt with. A key file that is there is in use, for otherwise nobody would have put it
    /// there: it makes secrets portable. Without one it is the machine's; without that either (containers), a key file
    /// is made.
    pub(super) fn to_encrypt(&self) -> Result<(KeySource, Vec<u8>), StoreError> {
        match self.of_file() {
            Ok(material) => return Ok((KeySource::File, material)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(StoreError::Write {
                    kind: FileKind::Key,
                    path: self.key_file.clone(),
                    action: "encrypt with it",
                    source,
                });
            }
        }
        if let Ok(material) = self.of_machine() {
            return Ok((KeySource::Machine, material));
        }
        self.make_file()?;
        tracing::info!(
            "{} is not usable; secrets are encrypted with the new {}",
            self.machine_id.display(),
            self.key_file.display()
        );
        let material = self.of_file();
        let material = material.map_err(|source| StoreError::Write {
            kind: FileKind::Key,
            path: self.key_file.clone(),
            action: "read it again",
            source,
        })?;
        Ok((KeySource::File, material))
    }

    /// The key material that something was encrypted with.
    pub(super) fn to_decrypt(&self, source: KeySource) -> io::Result<Vec<u8>> {
        match source {
            KeySource::File => self.of_file(),
            KeySource::Machine => self.of_machine(),
        }
    }

    /// What messages call it.
    pub(super) fn describe(&self, source: KeySource) -> impl fmt::Display {
        match source {
            KeySource::File => self.key_file.display(),
            KeySource::Machine => self.machine_id.display(),
        }
    }

    fn of_machine(&self) -> io::Result<Vec<u8>> {
        let bytes = file::read(&self.machine_id)?;
        let id = bytes.trim_ascii();
        // Before its first boot is over, a system says "uninitialized" there, and images ship an empty file.
        if id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit) && id.iter().any(|c| *c != b'0') {
            Ok(id.to_ascii_lowercase())
        } else {
            let text = "it does not hold 32 hex digits";
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }

    fn of_file(&self) -> io::Result<Vec<u8>> {
        let bytes = file::read(&self.key_file)?;
        let key = bytes.trim_ascii();
        if key.len() == 2 * KEY_BYTES && key.iter().all(u8::is_ascii_hexdigit) {
            Ok(key.to_ascii_lowercase())
        } else {
            let text = "it does not hold 64 hex digits";
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }

    fn make_file(&self) -> Result<(), StoreError> {
        let fail = |action, source| StoreError::Write {
            kind: FileKind::Key,
            path: self.key_file.clone(),
            action,
            source,
        };
        let mut key = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut key)
            .map_err(|error| fail("get random bytes for it", io::Error::other(error)))?;
        let mut text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push('\n');
        let draft = Draft::write(FileKind::Key, &self.key_file, text.as_bytes(), Some(0o600))?;
        match draft.place_new() {
            Ok(()) => file::sync_folder(FileKind::Key, &self.key_file),
            // Somebody else made one meanwhile; that one is it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(source) => Err(fail("put the new file in its place", source)),
        }
    }

    /// Removes what a process left behind that ended while it made a key file.
    pub(super) fn remove_leftovers(&self) {
        file::remove_leftovers(&self.key_file);
    }
}
