//! Whom HTTPS trusts: the certificate authorities of the system, to which a plant adds its own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// TLS with the system's certificate authorities.
///
/// # Errors
///
/// When there are none, with the reason.
pub(in crate::nmos) fn tls_config() -> Result<TlsConfig, String> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = BUNDLES.iter().map(PathBuf::from);
    let mut paths = named.into_iter().chain(usual);
    let path = paths.find(|path| path.is_file()).ok_or_else(|| {
        let places = BUNDLES.join(" or ");
        format!("there are no certificate authorities to trust: SSL_CERT_FILE names none, and there is no {places}")
    })?;
    let shown = path.display();
    let bytes = fs::read(&path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    // One that cannot be read is one that is not trusted.
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .flatten()
        .map(|root| Certificate::from_der(&root).to_owned())
        .collect();
    if roots.is_empty() {
        return Err(format!("{shown} holds no certificate in PEM"));
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .build())
}

/// Where Debian and its kin, and Red Hat and its kin, keep them.
const BUNDLES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];
