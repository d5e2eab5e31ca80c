//! Requests written by hand, for tests in which every byte counts.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and body, as the other helpers give them.
    pub(crate) fn parts(&self) -> (u16, Value) {
        (self.status, self.json())
    }
}

/// Sends a request over a connection of its own. `headers` are whole lines.
pub(crate) fn ask(address: &str, line: &str, headers: &[&str], body: &str) -> Answer {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    ask_over(stream, line, headers, body)
}

pub(crate) fn ask_over(
    mut stream: impl Read + Write,
    line: &str,
    headers: &[&str],
    body: &str,
) -> Answer {
    let mut request = format!("{line} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    if !headers
        .iter()
        .any(|header| header.starts_with("Connection:"))
    {
        request.push_str("Connection: close\r\n");
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&mut stream)
}

/// Reads until the server closes, or to the end of the head of an answer that switches protocols.
fn read_answer(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        let length = match stream.read(&mut chunk) {
            Ok(length) => length,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        };
        bytes.extend_from_slice(&chunk[..length]);
        let switched = bytes.starts_with(b"HTTP/1.1 101");
        if length == 0 || (switched && bytes.windows(4).any(|end| end == b"\r\n\r\n")) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text:?}"));
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
