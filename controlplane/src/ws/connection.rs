//! One client: frames out, signs of life in, and an end for everybody who gives none.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix_ws::{CloseCode, CloseReason, Closed, Message, MessageStream, ProtocolError, Session};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Feed;

/// A client and what belongs to it.
pub(crate) struct Client {
    /// Where frames go.
    pub(crate) session: Session,
    /// What the client says.
    pub(crate) messages: MessageStream,
    /// Told when the client has taken what was sent.
    pub(crate) taken: Arc<Notify>,
    /// Its place among the clients.
    pub(crate) place: OwnedSemaphorePermit,
}

/// How patient the server is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How often the client is asked for a sign of life.
    pub(crate) ping_period: Duration,
    /// Silence after which it counts as gone.
    pub(crate) silence_max: Duration,
}

impl Limits {
    /// Three signs of life may be lost on the way.
    pub(crate) const DEFAULT: Self = Self {
        ping_period: Duration::from_secs(20),
        silence_max: Duration::from_secs(60),
    };

    /// Largest frame that a client may send, in bytes. What it says is ignored, so this is room for politeness.
    pub(crate) const FRAME_BYTES_MAX: usize = 4_096;
}

/// Serves the client until it leaves, falls silent, or `ending` is true.
pub(crate) async fn serve(
    client: Client,
    mut feed: Feed,
    mut ending: watch::Receiver<bool>,
    limits: Limits,
) {
    let Client {
        mut session,
        mut messages,
        taken,
        place,
    } = client;
    let mut heard = Instant::now();
    let mut ping = interval_at(heard + limits.ping_period, limits.ping_period);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A second frame would only wait behind the first, and grow old there.
    let mut is_ready = true;
    let reason = loop {
        tokio::select! {
            message = messages.recv() => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Ping(bytes))) => {
                        if within(limits, session.pong(&bytes)).await.is_err() {
                            return;
                        }
                    }
                    Some(Ok(Message::Close(reason))) => break reason,
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Some(refusal(&error)),
                    None => return,
                }
            }
            () = taken.notified(), if !is_ready => is_ready = true,
            frame = feed.next(), if is_ready => {
                let Some(frame) = frame else {
                    break Some(CloseCode::Away.into());
                };
                is_ready = false;
                if within(limits, session.text(frame)).await.is_err() {
                    return;
                }
            }
            _ = ping.tick() => {
                if heard.elapsed() >= limits.silence_max
                    || within(limits, session.ping(b"")).await.is_err()
                {
                    break Some(CloseCode::Away.into());
                }
            }
            _ = ending.wait_for(|ending| *ending) => break Some(CloseCode::Away.into()),
        }
    };
    // The place is free when the session is over, whether or not the client hears the farewell.
    let _ = within(limits, session.close(reason)).await;
    drop(place);
}

/// A client that takes nothing must not hold its task for ever.
async fn within(
    limits: Limits,
    sending: impl Future<Output = Result<(), Closed>>,
) -> Result<(), Closed> {
    match timeout(limits.silence_max, sending).await {
        Ok(sent) => sent,
        Err(_) => Err(Closed),
    }
}

fn refusal(error: &ProtocolError) -> CloseReason {
    match error {
        ProtocolError::Overflow => CloseCode::Size.into(),
        _ => CloseCode::Protocol.into(),
    }
}
