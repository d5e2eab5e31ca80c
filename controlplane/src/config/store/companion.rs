//! A small file beside the configuration, which belongs to it and is not part of it.

use std::io;
use std::path::PathBuf;

use super::Store;
use super::error::{FileKind, StoreError};
use super::file::{self, Draft};

/// A file in the folder of the configuration. The calls block on the disk.
#[derive(Clone, Debug)]
pub struct Companion {
    path: PathBuf,
}

impl Store {
    /// The file called `name` in the folder of the configuration.
    #[must_use]
    pub fn companion(&self, name: &str) -> Companion {
        Companion {
            path: self.target().with_file_name(name),
        }
    }
}

impl Companion {
    /// Its content; `None` when there is no such file. Removes what a write left behind that was cut off.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is too large or no regular file.
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        file::remove_leftovers(&self.path);
        match file::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces it by one that holds `bytes`, and returns when that will survive a loss of power.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]; then the old one stands there still, but for a folder that could not be synced.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let mode = file::mode_of(&self.path).ok().flatten();
        Draft::write(FileKind::State, &self.path, bytes, mode)?.place()?;
        file::sync_folder(FileKind::State, &self.path)
    }
}
