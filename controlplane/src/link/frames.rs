//! Message framing over a non-blocking socket, so that a wait for bytes can be abandoned at any point.

use std::io;

use bilbycast_shm_proto::control::{FrameError, ServerMessage, body_length, decode};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Collects bytes until a message is whole.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    received: Vec<u8>,
    /// Bytes at the front of `received` that are consumed.
    taken: usize,
}

impl FrameReader {
    /// The next message. Dropping the future loses nothing: what was received stays here.
    pub(super) async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<ServerMessage, FrameError> {
        loop {
            if let Some(message) = self.whole()? {
                return Ok(message);
            }
            self.received.drain(..self.taken);
            self.taken = 0;
            self.received.reserve(READ_BYTES);
            if stream.read_buf(&mut self.received).await? == 0 {
                return Err(if self.received.is_empty() {
                    FrameError::Closed
                } else {
                    io::Error::from(io::ErrorKind::UnexpectedEof).into()
                });
            }
        }
    }

    fn whole(&mut self) -> Result<Option<ServerMessage>, FrameError> {
        let Some((header, rest)) = self.received[self.taken..].split_first_chunk() else {
            return Ok(None);
        };
        let Some(body) = rest.get(..body_length(*header)?) else {
            return Ok(None);
        };
        self.taken += header.len() + body.len();
        decode(body).map(Some)
    }
}

/// Room that each read offers: a thousand short replies.
const READ_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use bilbycast_shm_proto::control::{Reply, ReplyBody, encode};
    use proptest::prelude::*;

    use super::*;

    fn done(id: u64) -> ServerMessage {
        ServerMessage::Reply(Reply {
            id,
            result: Ok(ReplyBody::Done),
        })
    }

    fn read_all(pieces: &[&[u8]]) -> (Vec<ServerMessage>, FrameError) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut near, mut far) = tokio::io::duplex(1 << 20);
            let mut reader = FrameReader::default();
            let mut messages = Vec::new();
            for piece in pieces {
                tokio::io::AsyncWriteExt::write_all(&mut far, piece)
                    .await
                    .unwrap();
                // Polled once and dropped when nothing is whole: what `select!` does with it.
                while let Some(Ok(message)) =
                    futures_lite::future::poll_once(reader.next(&mut near)).await
                {
                    messages.push(message);
                }
            }
            drop(far);
            loop {
                match reader.next(&mut near).await {
                    Ok(message) => messages.push(message),
                    Err(error) => return (messages, error),
                }
            }
        })
    }

    #[test]
    fn messages_survive_any_cut() {
        let wire: Vec<u8> = (0..3).flat_map(|id| encode(&done(id)).unwrap()).collect();
        for cut in 0..wire.len() {
            let (front, back) = wire.split_at(cut);
            let (messages, end) = read_all(&[front, back]);
            assert_eq!(messages, [done(0), done(1), done(2)], "cut at {cut}");
            assert!(matches!(end, FrameError::Closed), "{end}");
        }
    }

    #[test]
    fn an_end_inside_a_message_is_an_error() {
        let wire = encode(&done(0)).unwrap();
        let (messages, end) = read_all(&[&wire[..wire.len() - 1]]);
        assert!(messages.is_empty());
        assert!(matches!(end, FrameError::Io(_)), "{end}");
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let (_, end) = read_all(&[&bytes]);
            prop_assert!(!end.to_string().is_empty());
        }
    }
}
