//! Knowing when a client has taken a frame.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;
use tokio::sync::Notify;

/// The body of a WebSocket answer that tells when bytes have been taken from it.
///
/// The server takes more only when its write buffer is nearly empty, so this is the pace of the client. The session's
/// own queue has 32 places, which is far too many for frames of a megabyte.
#[derive(Debug)]
pub(crate) struct Paced {
    body: BoxBody,
    taken: Arc<Notify>,
}

impl Paced {
    /// `body`, and who is told.
    pub(crate) const fn new(body: BoxBody, taken: Arc<Notify>) -> Self {
        Self { body, taken }
    }
}

impl MessageBody for Paced {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        if polled.is_ready() {
            self.taken.notify_one();
        }
        polled
    }
}
