//! One line for each request: who, what, how it ended, how long it took. Queries, headers and bodies are never part of
//! it: they carry tokens and secrets.
//!
//! Changes and failures are logged at `info`, what is merely read at `debug`: a node is polled all day.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest};

use crate::auth::Caller;

/// The name of the log's source; `RUST_LOG=info,access=debug` shows every request.
pub(crate) const TARGET: &str = "access";

/// Where the client's id is put once it is known.
#[derive(Clone, Debug, Default)]
struct ClientId(Rc<OnceCell<String>>);

/// A line that is written when the request has been answered, or when the client has left before.
struct Line {
    started: Instant,
    peer: Option<SocketAddr>,
    method: Method,
    path: String,
    client_id: ClientId,
    /// Absent as long as there is no answer.
    status: Option<StatusCode>,
}

/// The middleware.
pub(super) async fn record<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut line = Line {
        started: Instant::now(),
        peer: request.peer_addr(),
        method: request.method().clone(),
        path: shown(request.path()).into_owned(),
        client_id: ClientId::default(),
        status: None,
    };
    request.extensions_mut().insert(line.client_id.clone());
    let result = next.call(request).await;
    line.status = Some(match &result {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    });
    result
}

/// Lets the line of `request` name `caller`.
pub(super) fn name_caller(request: &HttpRequest, caller: &Caller) {
    if let Some(client_id) = &caller.client_id
        && let Some(cell) = request.extensions().get::<ClientId>()
    {
        // A request has one caller; whoever named it first knew it.
        let _ = cell.0.set(shown(client_id).into_owned());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let peer = self.peer.map_or(Cow::Borrowed("-"), |peer| {
            Cow::Owned(peer.ip().to_canonical().to_string())
        });
        let status = match &self.status {
            Some(status) => status.as_str(),
            None => "aborted",
        };
        let client = match self.client_id.0.get() {
            Some(client_id) => Cow::Owned(format!("\"{client_id}\"")),
            None => Cow::Borrowed("-"),
        };
        let method = shown(self.method.as_str());
        let path = &self.path;
        let took_ms = self.started.elapsed().as_secs_f64() * 1e3;
        let is_read = matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let is_good = |status: StatusCode| !status.is_client_error() && !status.is_server_error();
        if is_read && self.status.is_some_and(is_good) {
            tracing::debug!(
                target: TARGET,
                "{peer} {method} {path} {status} {took_ms:.1} ms client={client}"
            );
        } else {
            tracing::info!(
                target: TARGET,
                "{peer} {method} {path} {status} {took_ms:.1} ms client={client}"
            );
        }
    }
}

/// `text` as a line can hold it: printable ASCII, nothing that could end the line or a quotation, and not endless.
fn shown(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if text.len() <= TEXT_BYTES_MAX && text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    let mut shown = text[..end].escape_default().to_string();
    if end < text.len() {
        shown.push_str("...");
    }
    Cow::Owned(shown)
}

/// Longest part of a path that is shown: two ids at their longest, percent-encoded.
const TEXT_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_line() {
        assert_eq!(shown("/api/v1/flows/a%20b"), "/api/v1/flows/a%20b");
        assert_eq!(shown("a\r\nINFO b"), "a\\r\\nINFO b");
        assert_eq!(shown("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(shown("a\" client=\"b"), "a\\\" client=\\\"b");
        assert_eq!(shown("\u{202e}\u{fc}"), "\\u{202e}\\u{fc}");
        let long = "\u{fc}".repeat(TEXT_BYTES_MAX);
        assert!(shown(&long).ends_with("\\u{fc}..."));
        assert!(shown(&long).len() < 10 * TEXT_BYTES_MAX);
    }
}
