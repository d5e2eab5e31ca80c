//! A DNS server with the few records that a test wants.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const A: u16 = 1;
pub(crate) const PTR: u16 = 12;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;

type Zone = HashMap<(String, u16), Entry>;

/// What there is of a name and a type.
enum Entry {
    /// Something is broken behind the server.
    Failure,
    Records(Vec<Vec<u8>>),
    /// The server does not answer.
    Silence,
}

pub(crate) struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<AtomicUsize>,
}

impl DnsServer {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone::new()));
        let asked = Arc::new(AtomicUsize::new(0));
        let (served, count) = (Arc::downgrade(&zone), Arc::clone(&asked));
        std::thread::spawn(move || {
            let mut buffer = [0; 1_500];
            while let Some(zone) = served.upgrade() {
                let Ok((length, client)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                if let Some(reply) = reply(&buffer[..length], &zone.lock().unwrap()) {
                    socket.send_to(&reply, client).unwrap();
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            address,
            zone,
            asked,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queries so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// The records of this type with this name.
    pub(crate) fn set(&self, name: &str, kind: u16, records: Vec<Vec<u8>>) {
        self.insert(name, kind, Entry::Records(records));
    }

    /// Such queries are answered with SERVFAIL.
    pub(crate) fn fail(&self, name: &str, kind: u16) {
        self.insert(name, kind, Entry::Failure);
    }

    /// Such queries are not answered.
    pub(crate) fn mute(&self, name: &str, kind: u16) {
        self.insert(name, kind, Entry::Silence);
    }

    fn insert(&self, name: &str, kind: u16, entry: Entry) {
        let key = (name.to_owned(), kind);
        self.zone.lock().unwrap().insert(key, entry);
    }
}

/// A name as it stands in a packet.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// The data of an SRV record.
pub(crate) fn service(port: u16, target: &str) -> Vec<u8> {
    let mut data = vec![0; 4];
    data.extend_from_slice(&port.to_be_bytes());
    data.extend(name(target));
    data
}

/// The data of a TXT record.
pub(crate) fn text(strings: &[&str]) -> Vec<u8> {
    let mut data = Vec::new();
    for string in strings {
        data.push(u8::try_from(string.len()).unwrap());
        data.extend_from_slice(string.as_bytes());
    }
    data
}

/// The data of an A record.
pub(crate) fn address(address: Ipv4Addr) -> Vec<u8> {
    address.octets().to_vec()
}

/// Answers the one question of a query (RFC 1035 4.1).
fn reply(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let question = &query[12..at + 5];
    let asked = labels.join(".").to_ascii_lowercase();
    let is_known = zone.keys().any(|(name, _)| *name == asked);
    // No error, SERVFAIL, or no such name.
    let (code, records) = match zone.get(&(asked, kind)) {
        Some(Entry::Failure) => (2, &[][..]),
        Some(Entry::Records(records)) => (0, records.as_slice()),
        Some(Entry::Silence) => return None,
        None => (if is_known { 0 } else { 3 }, &[][..]),
    };

    let mut reply = query[..2].to_vec();
    // An authoritative answer.
    reply.extend_from_slice(&[0x85, 0x80 | code]);
    reply.extend_from_slice(&[0, 1]);
    reply.extend_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    reply.extend_from_slice(&[0; 4]);
    reply.extend_from_slice(question);
    for record in records {
        // The name of the question, by reference; class IN; 60 s.
        reply.extend_from_slice(&[0xc0, 12]);
        reply.extend_from_slice(&kind.to_be_bytes());
        reply.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        reply.extend_from_slice(&u16::try_from(record.len()).unwrap().to_be_bytes());
        reply.extend_from_slice(record);
    }
    Some(reply)
}
