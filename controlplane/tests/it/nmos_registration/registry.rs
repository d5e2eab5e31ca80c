//! A registry that writes down what it hears.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// How a registry behaves.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Sends a byte of its answer now and then, for ever.
    Dripping,
    /// Answers every request with this error.
    Failing(u16),
    /// Speaks something that is not HTTP.
    Garbage,
    /// As a registry should.
    Good,
    /// Sends an error of many megabytes.
    Huge,
    /// As a registry should, but that it refuses such requests.
    Picky(&'static str),
    /// Points elsewhere.
    Redirecting(String),
    /// Takes no node, and gives a reason that is no JSON.
    Refusing,
    /// Never answers.
    Silent,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    method: String,
    head: Vec<String>,
}

pub(crate) struct Registry {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    manner: Manner,
    requests: Vec<Request>,
    has_node: bool,
    is_closed: bool,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// `POST node`, `DELETE senders`, `HEARTBEAT`.
    pub(crate) fn line(&self) -> String {
        if self.path.contains("/health/nodes/") {
            assert_eq!(self.method, "POST");
            return "HEARTBEAT".to_owned();
        }
        let what = match self.method.as_str() {
            "POST" => self.json()["type"].as_str().unwrap().to_owned(),
            _ => self.path.rsplit('/').nth(1).unwrap().to_owned(),
        };
        format!("{} {what}", self.method)
    }
}

impl Registry {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::start_with(manner, serve)
    }

    /// Over HTTPS, as whom this certificate and key in PEM name.
    pub(crate) fn start_tls(manner: Manner, certificate: &str, key: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        Self::start_with(manner, move |stream, shared| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            serve(StreamOwned::new(connection, stream), shared)
        })
    }

    fn start_with(
        manner: Manner,
        serve: impl Fn(TcpStream, &Mutex<Shared>) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let serve = Arc::new(serve);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            manner,
            requests: Vec::new(),
            has_node: false,
            is_closed: false,
        }));
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.lock().unwrap().is_closed {
                    return;
                }
                let served = Arc::clone(&served);
                let serve = Arc::clone(&serve);
                // A connection that breaks is the client's affair.
                std::thread::spawn(move || stream.and_then(|stream| serve(stream, &served)));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, manner: Manner) {
        self.shared.lock().unwrap().manner = manner;
    }

    /// What was asked since the last time.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.lock().unwrap().requests)
    }

    /// Whether there is such a request among those that [`take`](Self::take) would give.
    pub(crate) fn has(&self, line: &str) -> bool {
        let shared = self.shared.lock().unwrap();
        shared.requests.iter().any(|request| request.line() == line)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.lock().unwrap().is_closed = true;
        // It waits for the next connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: impl Read + Write, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let path = words.next().unwrap_or_default().to_owned();
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let mut request = Request {
            at: Instant::now(),
            path,
            body: Vec::new(),
            method,
            head,
        };
        let length = request.header("content-length").unwrap_or("0");
        request.body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut request.body)?;
        let line = request.line();
        let (manner, status) = {
            let mut shared = shared.lock().unwrap();
            shared.requests.push(request);
            let status = match shared.manner {
                Manner::Failing(code) => code,
                _ => status(&line, &mut shared.has_node),
            };
            (shared.manner.clone(), status)
        };
        let writer = reader.get_mut();
        match manner {
            Manner::Dripping => {
                for byte in b"HTTP/1.1 503 Unavailable\r\nX: "
                    .iter()
                    .chain([&b'x'; 1_000])
                {
                    writer.write_all(&[*byte])?;
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            Manner::Failing(code) => refuse(writer, code)?,
            Manner::Picky(refused) if line == refused => refuse(writer, 400)?,
            Manner::Garbage => {
                writer.write_all(b"\x00\xff SMTP ready\r\n\r\n")?;
                return Ok(());
            }
            Manner::Good | Manner::Picky(_) => {
                let body = json!({}).to_string();
                let length = body.len();
                write!(
                    writer,
                    "HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\n"
                )?;
                match status {
                    204 => write!(writer, "\r\n")?,
                    _ => write!(writer, "Content-Length: {length}\r\n\r\n{body}")?,
                }
            }
            Manner::Huge => {
                let size = 64 << 20;
                write!(
                    writer,
                    "HTTP/1.1 500 Error\r\nContent-Length: {size}\r\n\r\n"
                )?;
                for _ in 0..size >> 16 {
                    writer.write_all(&[b'['; 1 << 16])?;
                }
            }
            Manner::Redirecting(target) => write!(
                writer,
                "HTTP/1.1 307 Elsewhere\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
            )?,
            Manner::Refusing => {
                write!(
                    writer,
                    "HTTP/1.1 400 Bad\r\nContent-Length: 7\r\n\r\n{{\"err\0\""
                )?;
            }
            Manner::Silent => std::thread::sleep(Duration::from_secs(20)),
        }
    }
}

fn refuse(writer: &mut impl Write, code: u16) -> std::io::Result<()> {
    let body = json!({"code": code, "error": "not here", "debug": null}).to_string();
    let length = body.len();
    write!(
        writer,
        "HTTP/1.1 {code} No\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn status(line: &str, has_node: &mut bool) -> u16 {
    match line {
        "HEARTBEAT" if *has_node => 200,
        "HEARTBEAT" => 404,
        "POST node" if std::mem::replace(has_node, true) => 200,
        "DELETE nodes" => {
            *has_node = false;
            204
        }
        line if line.starts_with("DELETE") => 204,
        _ => 201,
    }
}
