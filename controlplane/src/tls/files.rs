//! The two PEM files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::TlsError;
use crate::config::TlsConfig;

/// Where certificate and key are.
#[derive(Debug)]
pub(super) struct Pair {
    cert_path: PathBuf,
    key_path: PathBuf,
}

/// Changes whenever one of the files does, or what its path leads to; absent where there is no file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp([Option<FileStamp>; 2]);

/// Device, inode, length, and the times of change of content and inode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct FileStamp(u64, u64, u64, (i64, i64), (i64, i64));

impl Pair {
    pub(super) fn new(config: &TlsConfig) -> Self {
        Self {
            cert_path: PathBuf::from(&config.cert_path),
            key_path: PathBuf::from(&config.key_path),
        }
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp([&self.cert_path, &self.key_path].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some(FileStamp(
                metadata.dev(),
                metadata.ino(),
                metadata.len(),
                (metadata.mtime(), metadata.mtime_nsec()),
                (metadata.ctime(), metadata.ctime_nsec()),
            ))
        }))
    }

    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = self.read_chain()?;
        let key = self.read_key()?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|source| TlsError::Key {
                path: self.key_path.clone(),
                source,
            })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // Unknown: the kind of key cannot tell its public half, and a client will find out.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(Error::InconsistentKeys(_)) => Err(TlsError::Mismatch {
                cert_path: self.cert_path.clone(),
                key_path: self.key_path.clone(),
            }),
            Err(source) => Err(TlsError::Certificate {
                path: self.cert_path.clone(),
                source,
            }),
        }
    }

    fn read_chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bytes = read("cert_path", &self.cert_path)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let chain = chain.unwrap_or_default();
        if chain.is_empty() {
            return Err(TlsError::Missing {
                field: "cert_path",
                path: self.cert_path.clone(),
                expected: "certificate in PEM, or a damaged one",
            });
        }
        Ok(chain)
    }

    fn read_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let bytes = read("key_path", &self.key_path)?;
        // What the parser says may repeat lines of the file.
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| TlsError::Missing {
            field: "key_path",
            path: self.key_path.clone(),
            expected: "private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)",
        })
    }
}

fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    read_file(path).map_err(|source| TlsError::Read {
        field,
        path: path.to_owned(),
        source,
    })
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for whoever writes into it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("it is longer than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Longest file in bytes: some hundred certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;
