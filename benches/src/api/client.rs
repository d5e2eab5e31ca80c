//! A plain HTTP/1.1 client with one connection that stays open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::BenchError;

/// One connection to the API.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Result<Self, BenchError> {
        let fail = || BenchError::system(format!("connect to the API on {address}"));
        let stream = TcpStream::connect_timeout(&address, ANSWER_MAX).map_err(fail())?;
        stream.set_nodelay(true).map_err(fail())?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(fail())?;
        stream.set_write_timeout(Some(ANSWER_MAX)).map_err(fail())?;
        Ok(Self {
            address,
            stream: BufReader::with_capacity(BUFFER_BYTES, stream),
            body: Vec::new(),
        })
    }

    /// Sends a request, with JSON when `json` is not empty, and returns the body of the answer, which must be a success.
    pub(super) fn ask(
        &mut self,
        method: &str,
        path: &str,
        json: &str,
    ) -> Result<&[u8], BenchError> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            json.len()
        );
        let status = self
            .exchange(&[head.as_bytes(), json.as_bytes()].concat())
            .map_err(|problem| answer(method, path, problem))?;
        if !(200..300).contains(&status) {
            let text = String::from_utf8_lossy(&self.body[..self.body.len().min(TEXT_MAX)]);
            return Err(answer(method, path, format!("{status}: {text}")));
        }
        Ok(&self.body)
    }

    fn exchange(&mut self, request: &[u8]) -> Result<u16, String> {
        let words = |error: std::io::Error| error.to_string();
        self.stream.get_mut().write_all(request).map_err(words)?;
        let mut line = String::new();
        self.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| format!("no HTTP status in {line:?}"))?;
        let mut length = None;
        loop {
            self.read_line(&mut line)?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let length = match length {
            Some(length) if length <= BODY_MAX => length,
            Some(length) => return Err(format!("a body of {length} bytes")),
            None => return Err("no length of the body".to_owned()),
        };
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).map_err(words)?;
        Ok(status)
    }

    fn read_line(&mut self, line: &mut String) -> Result<(), String> {
        line.clear();
        let mut limited = (&mut self.stream).take(TEXT_MAX as u64);
        match limited.read_line(line) {
            Ok(_) if line.ends_with("\r\n") => {
                line.truncate(line.len() - 2);
                Ok(())
            }
            Ok(_) => Err(format!(
                "the connection ended, or a line has no end: {line:?}"
            )),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn answer(method: &str, path: &str, problem: String) -> BenchError {
    BenchError::Answer {
        request: format!("{method} {path}"),
        problem,
    }
}

/// Longest that an answer may keep quiet.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Largest answer, in bytes.
const BODY_MAX: usize = 256 << 20;

/// Longest line of a head, and what an error shows of a body, in bytes.
const TEXT_MAX: usize = 4_096;

const BUFFER_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers each request on one connection with the next of `answers`.
    fn serve(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut request = [0; 4_096];
                assert!(stream.read(&mut request).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn answers_follow_one_another_on_one_connection() {
        let address = serve(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: y\r\n\r\nhello",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
        ]);
        let mut client = Client::connect(address).unwrap();
        assert_eq!(client.ask("GET", "/a", "").unwrap(), b"hello");
        assert_eq!(client.ask("POST", "/b", "{}").unwrap(), b"");
    }

    #[test]
    fn refusals_and_nonsense_are_errors_that_name_the_request() {
        for (text, part) in [
            (
                "HTTP/1.1 409 Conflict\r\nContent-Length: 4\r\n\r\nbusy",
                "409: busy",
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", "no length"),
            ("HTTP/1.1 200 OK", "ended"),
            ("nonsense\r\n", "no HTTP status"),
        ] {
            let address = serve(vec![text].leak());
            let mut client = Client::connect(address).unwrap();
            let error = client.ask("GET", "/a", "").unwrap_err().to_string();
            assert!(
                error.starts_with("GET /a: ") && error.contains(part),
                "{error}"
            );
        }
    }
}
