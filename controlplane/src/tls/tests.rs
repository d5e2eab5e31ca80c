use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn config(&self) -> TlsConfig {
        let path = |name: &str| self.0.path().join(name).to_str().unwrap().to_owned();
        TlsConfig {
            cert_path: path("cert.pem"),
            key_path: path("key.pem"),
        }
    }

    fn write(&self, cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) {
        write(&self.0.path().join("cert.pem"), cert.as_ref());
        write(&self.0.path().join("key.pem"), key.as_ref());
    }

    fn error(&self) -> String {
        let error = Identity::load(&self.config()).unwrap_err().to_string();
        error.replace(self.0.path().to_str().unwrap(), "")
    }
}

/// By a new file in place of the old one, as tools that renew certificates do.
fn write(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, path).unwrap();
}

/// A certificate and its key, in PEM.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn what_is_wrong_names_field_and_file() {
    let folder = Folder::new();
    let (cert, key) = pair();
    let (_, other_key) = pair();
    assert_eq!(
        folder.error(),
        "server.tls.cert_path \"/cert.pem\" cannot be read: No such file or directory (os error 2)"
    );
    folder.write(&cert, &key);
    fs::remove_file(folder.0.path().join("key.pem")).unwrap();
    assert_eq!(
        folder.error(),
        "server.tls.key_path \"/key.pem\" cannot be read: No such file or directory (os error 2)"
    );
    fs::create_dir(folder.0.path().join("key.pem")).unwrap();
    assert_eq!(
        folder.error(),
        "server.tls.key_path \"/key.pem\" cannot be read: it is not a file"
    );
    fs::remove_dir(folder.0.path().join("key.pem")).unwrap();
    let no_certificate =
        "server.tls.cert_path \"/cert.pem\" holds no certificate in PEM, or a damaged one";
    for bad in ["", "text", &key, &cert[..cert.len() / 2]] {
        folder.write(bad, &key);
        assert_eq!(folder.error(), no_certificate, "{bad}");
    }
    let no_key = "server.tls.key_path \"/key.pem\" holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)";
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    for bad in ["", "text", &cert, &key[..key.len() / 2], &encrypted] {
        folder.write(&cert, bad);
        assert_eq!(folder.error(), no_key, "{bad}");
    }
    folder.write(&cert, &other_key);
    assert_eq!(
        folder.error(),
        "server.tls.key_path \"/key.pem\" holds another key than that of the first certificate in \
         server.tls.cert_path \"/cert.pem\""
    );
    let empty = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    folder.write(&cert, empty);
    let error = folder.error();
    assert!(
        error.starts_with(
            "server.tls.key_path \"/key.pem\" holds a private key that cannot be used: "
        ),
        "{error}"
    );
    folder.write(empty.replace("PRIVATE KEY", "CERTIFICATE"), &key);
    let error = folder.error();
    assert!(
        error.starts_with(
            "server.tls.cert_path \"/cert.pem\" holds a certificate that cannot be used: "
        ),
        "{error}"
    );
    folder.write(" ".repeat((1 << 20) + 1), &key);
    assert!(folder.error().contains("it is longer than 1048576 bytes"));
}

/// The first certificate in use, in DER.
fn in_use(identity: &Identity) -> Vec<u8> {
    let current = identity.current.read().unwrap();
    current.cert[0].to_vec()
}

#[test]
fn files_that_came_to_rest_are_taken_up_when_they_fit() {
    let folder = Folder::new();
    let (cert, key) = pair();
    folder.write(&cert, &key);
    let identity = Identity::load(&folder.config()).unwrap();
    let mut watch = Watch::new(&identity);
    let first = in_use(&identity);
    watch.look(&identity);
    assert_eq!(in_use(&identity), first);

    let (new_cert, new_key) = pair();
    folder.write(&new_cert, &key);
    watch.look(&identity);
    assert_eq!(in_use(&identity), first);
    assert_eq!(watch.warning, None, "a renewal may be under way");
    watch.look(&identity);
    assert_eq!(in_use(&identity), first);
    assert!(watch.warning.as_ref().unwrap().contains("another key"));

    folder.write(&new_cert, &new_key);
    watch.look(&identity);
    assert_eq!(in_use(&identity), first, "not at rest yet");
    watch.look(&identity);
    assert_ne!(in_use(&identity), first);
    assert_eq!(watch.warning, None);

    let second = in_use(&identity);
    fs::remove_file(folder.0.path().join("key.pem")).unwrap();
    for _ in 0..3 {
        watch.look(&identity);
    }
    assert_eq!(in_use(&identity), second);
    assert!(watch.warning.as_ref().unwrap().contains("key_path"));
}

#[test]
fn nothing_secret_is_printed() {
    let folder = Folder::new();
    let (cert, key) = pair();
    folder.write(&cert, &key);
    let identity = Identity::load(&folder.config()).unwrap();
    let printed = format!("{identity:?}");
    assert!(printed.contains("cert.pem"), "{printed}");
    assert!(!printed.contains("PRIVATE"), "{printed}");
}
