//! HTTPS of the API: TLS 1.2 and 1.3 with the certificate and key of `server.tls` (configuration.md 3.2).
//!
//! Whoever renews a certificate replaces two files, and not at one moment. The files are watched; when they have come
//! to rest and fit together, connections from then on get the new certificate. A pair that is of no use leaves the old
//! one in place, with a warning.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use crate::config::TlsConfig;

mod files;

use files::{Pair, Stamp};

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate is no X.509 certificate that TLS can use.
    #[error("server.tls.cert_path {path:?} holds a certificate that cannot be used: {source}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The TLS library refuses what it is to do.
    #[error("server.tls cannot be used: {0}")]
    Config(rustls::Error),
    /// The key is none that TLS can use.
    #[error("server.tls.key_path {path:?} holds a private key that cannot be used: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// Both are good, but not for one another.
    #[error(
        "server.tls.key_path {key_path:?} holds another key than that of the first certificate in \
         server.tls.cert_path {cert_path:?}"
    )]
    Mismatch {
        /// The certificate's file.
        cert_path: PathBuf,
        /// The key's file.
        key_path: PathBuf,
    },
    /// The file has not what it should have.
    #[error("server.tls.{field} {path:?} holds no {expected}")]
    Missing {
        /// `cert_path` or `key_path`.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should have.
        expected: &'static str,
    },
    /// The file cannot be read.
    #[error("server.tls.{field} {path:?} cannot be read: {source}")]
    Read {
        /// `cert_path` or `key_path`.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Certificate and key, as they are at this moment.
pub struct Identity {
    pair: Pair,
    provider: Arc<CryptoProvider>,
    /// Locked only to copy or exchange the pointer.
    current: RwLock<Arc<CertifiedKey>>,
    /// Of the files that `current` came from.
    stamp: Stamp,
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    ///
    /// Any [`TlsError`], which names field and file.
    pub fn load(config: &TlsConfig) -> Result<Arc<Self>, TlsError> {
        let pair = Pair::new(config);
        let provider = Arc::new(aws_lc_rs::default_provider());
        // Taken before the files are read: a change in between is then seen by the watch.
        let stamp = pair.stamp();
        let current = RwLock::new(Arc::new(pair.read(&provider)?));
        Ok(Arc::new(Self {
            pair,
            provider,
            current,
            stamp,
        }))
    }

    /// What a listener needs.
    ///
    /// # Errors
    ///
    /// [`TlsError::Config`].
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Config)?
            .with_no_client_auth();
        Ok(config.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>))
    }

    fn replace(&self, key: CertifiedKey) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read();
        Some(Arc::clone(&current.unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Identity").field(&self.pair).finish()
    }
}

/// Looks at the files every [`PERIOD`], until nobody needs the identity any more.
pub(crate) async fn watch(identity: Weak<Identity>) {
    let Some(mut watch) = identity.upgrade().map(|identity| Watch::new(&identity)) else {
        return;
    };
    loop {
        tokio::time::sleep(PERIOD).await;
        let Some(identity) = identity.upgrade() else {
            return;
        };
        // Files may be on a disk that hangs.
        let looked = tokio::task::spawn_blocking(move || {
            watch.look(&identity);
            watch
        });
        match looked.await {
            Ok(back) => watch = back,
            Err(error) => {
                tracing::error!("server.tls is no longer watched: {error}");
                return;
            }
        }
    }
}

/// What the watch remembers from look to look.
struct Watch {
    /// Of the files that are in use.
    settled: Stamp,
    /// At the last look.
    seen: Stamp,
    /// The last warning, so that it is not repeated at every look.
    warning: Option<String>,
}

impl Watch {
    fn new(identity: &Identity) -> Self {
        Self {
            settled: identity.stamp,
            seen: identity.stamp,
            warning: None,
        }
    }

    /// Takes up the files when they differ from those in use and have not changed since the last look.
    fn look(&mut self, identity: &Identity) {
        let stamp = identity.pair.stamp();
        let is_at_rest = stamp == self.seen;
        self.seen = stamp;
        if stamp == self.settled {
            self.warning = None;
            return;
        }
        if !is_at_rest {
            return;
        }
        match identity.pair.read(&identity.provider) {
            Ok(key) => {
                identity.replace(key);
                self.settled = stamp;
                self.warning = None;
                tracing::info!("server.tls: new certificate and key are in use");
            }
            // Tried again at every look: a file that is missing now may come back as it was.
            Err(error) => {
                let warning = error.to_string();
                if self.warning.as_ref() != Some(&warning) {
                    tracing::warn!("{warning}; the certificate and key read before stay in use");
                    self.warning = Some(warning);
                }
            }
        }
    }
}

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
