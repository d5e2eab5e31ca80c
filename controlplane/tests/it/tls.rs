//! HTTPS, with certificates that are made here.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use serde_json::json;

use crate::harness::{Folder, document, wait_until};
use crate::process::Process;
use crate::wire::{ask, ask_over};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for `localhost` and its key.
struct Pair {
    cert: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            cert: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap()
    }
}

struct Files {
    folder: Folder,
}

impl Files {
    fn new(pair: &Pair) -> Self {
        let files = Self {
            folder: Folder::new(),
        };
        let path = |name| files.path(name).to_str().unwrap().to_owned();
        let mut document = document(&[]);
        document["server"]["tls"] = json!({
            "cert_path": path("cert.pem"), "key_path": path("key.pem"),
        });
        files.folder.write_document(&document);
        files.write("cert.pem", &pair.cert);
        files.write("key.pem", &pair.key);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let new = self.path("new.pem");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    fn start(&self) -> Process {
        Process::start(&self.folder, &["-p", "0", "-b", "127.0.0.1"])
    }
}

/// A connection that trusts `pairs` alone.
fn connect(
    address: &str,
    pairs: &[&Pair],
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(pair.der()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn certificate(stream: &Stream) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

/// The first words of an answer, and the connection stays open.
fn ask_on(stream: &mut Stream) -> String {
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .expect("the length of the body");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head[..12].to_owned()
}

#[test]
fn it_speaks_tls_1_2_and_1_3_and_nothing_else() {
    let pair = Pair::new();
    let files = Files::new(&pair);
    let mut process = files.start();
    let address = process.address();
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let stream = connect(&address, &[&pair], version).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(expected));
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        let answer = ask_over(stream, "GET /health", &[], "");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["status"], "ok");
    }
    let mut plain = TcpStream::connect(&address).unwrap();
    plain
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    plain
        .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let log = process.into_log();
    assert!(log.contains("listening on https://127.0.0.1:"), "{log}");
    assert!(!log.contains("server.tls is kept"), "{log}");
}

#[test]
fn a_new_certificate_is_taken_up_without_a_restart() {
    let (first, second, third) = (Pair::new(), Pair::new(), Pair::new());
    let files = Files::new(&first);
    let mut process = files.start();
    let address = process.address();
    let all = [&first, &second, &third];
    let connect = || connect(&address, &all, &TLS13).unwrap();
    let served = || certificate(&connect());
    let mut open = connect();
    assert_eq!(certificate(&open), first.der());
    assert_eq!(ask_on(&mut open), "HTTP/1.1 200");

    // A pair that does not fit keeps the old one, and the log says so.
    files.write("cert.pem", &second.cert);
    while !process.read_line().contains("another key") {}
    assert_eq!(served(), first.der());
    files.write("key.pem", &second.key);
    wait_until("the second certificate", || served() == second.der());
    // An open connection is left alone.
    assert_eq!(ask_on(&mut open), "HTTP/1.1 200");

    files.write("cert.pem", "nonsense");
    files.write("key.pem", "nonsense");
    while !process.read_line().contains("holds no certificate") {}
    assert_eq!(served(), second.der());
    files.write("cert.pem", &third.cert);
    files.write("key.pem", &third.key);
    wait_until("the third certificate", || served() == third.der());

    let log = process.into_log();
    assert_eq!(
        log.matches("new certificate and key are in use").count(),
        2,
        "{log}"
    );
    assert!(!log.contains("PRIVATE"), "{log}");
}

#[test]
fn files_that_cannot_be_used_end_the_start() {
    let (pair, other) = (Pair::new(), Pair::new());
    let cert = "server.tls.cert_path";
    let key = "server.tls.key_path";
    for (name, text, field, error) in [
        ("cert.pem", None, cert, "No such file or directory"),
        ("key.pem", None, key, "No such file or directory"),
        ("cert.pem", Some("nonsense"), cert, "holds no certificate"),
        ("key.pem", Some("nonsense"), key, "holds no private key"),
        (
            "key.pem",
            Some(other.key.as_str()),
            key,
            "holds another key",
        ),
    ] {
        let files = Files::new(&pair);
        match text {
            None => fs::remove_file(files.path(name)).unwrap(),
            Some(text) => files.write(name, text),
        }
        let (code, log) = files.start().fail();
        assert_eq!(code, Some(1), "{log}");
        let path = files.path(name);
        for part in [field, path.to_str().unwrap(), error] {
            assert!(log.contains(part), "no {part} in {log}");
        }
        assert!(!log.contains("listening"), "{log}");
    }
}

#[test]
fn a_client_that_never_shakes_hands_is_sent_away() {
    let pair = Pair::new();
    let files = Files::new(&pair);
    let mut process = files.start();
    let address = process.address();
    let mut silent = TcpStream::connect(&address).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let stream = connect(&address, &[&pair], &TLS13).unwrap();
    assert_eq!(ask_over(stream, "GET /health", &[], "").status, 200);
    let closed = silent.read(&mut [0; 1]);
    assert_eq!(closed.unwrap(), 0);
}

#[test]
fn security_is_warned_about_beyond_loopback() {
    let folder = crate::auth::folder(&crate::auth::auth());
    let mut process = Process::start(&folder, &["-p", "0", "-b", "0.0.0.0"]);
    let address = process.address();
    let port = address.rsplit_once(':').unwrap().1;
    assert_eq!(
        ask(&format!("127.0.0.1:{port}"), "GET /health", &[], "").status,
        200
    );
    let log = process.into_log();
    assert!(log.contains("unencrypted; set server.tls"), "{log}");
    assert!(!log.contains("is open to everyone"), "{log}");
}
