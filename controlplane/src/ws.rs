//! WebSockets that only push: statistics once a second, and events as they happen.
//!
//! Statistics are computed and serialised once for all clients, and only while somebody listens; the overview, which is
//! for pages that show many flows, says only what changed. No client has a queue:
//! one that cannot take a frame in time gets the newest when it can. Events are read from the list that is kept anyway,
//! by id, so that a slow client costs no memory either.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytestring::ByteString;
use rustix::net::sockopt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::events::Events;
use crate::node::{Node, Survey};
use crate::stats;

mod connection;
mod overview;
mod paced;

pub(crate) use connection::{Client, Limits, serve};
use overview::Frame;
pub(crate) use paced::Paced;

/// What all WebSocket clients share.
#[derive(Debug)]
pub struct Streams {
    /// The newest statistics; absent while nobody listens.
    frames: watch::Sender<Option<ByteString>>,
    /// The newest overview; absent while nobody listens.
    overviews: watch::Sender<Option<Arc<Frame>>>,
    /// Somebody began to listen.
    wake: Arc<Notify>,
    places: Arc<Semaphore>,
}

/// Where a client's frames come from.
#[derive(Debug)]
pub(crate) enum Feed {
    /// New events.
    Events {
        events: Events,
        newest: watch::Receiver<u64>,
        /// Id of the last event that was sent.
        sent: u64,
    },
    /// The overview of all flows.
    Overview {
        frames: watch::Receiver<Option<Arc<Frame>>>,
        /// Number of the last frame that was sent; 0: none yet.
        sent: u64,
    },
    /// Statistics.
    Stats(watch::Receiver<Option<ByteString>>),
}

impl Streams {
    /// Starts the task that makes the statistics, on the current tokio runtime.
    #[must_use]
    pub fn start(node: &Arc<Node>) -> Arc<Self> {
        let streams = Arc::new(Self {
            frames: watch::Sender::new(None),
            overviews: watch::Sender::new(None),
            wake: Arc::default(),
            places: Arc::new(Semaphore::new(CLIENTS_MAX)),
        });
        tokio::spawn(publish(
            Arc::downgrade(node),
            Arc::downgrade(&streams),
            Arc::clone(&streams.wake),
        ));
        streams
    }

    /// Number of clients.
    #[must_use]
    pub fn clients(&self) -> usize {
        CLIENTS_MAX.saturating_sub(self.places.available_permits())
    }

    /// A place for one more client; `None` when all are taken.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Statistics from now on; what is there already comes first.
    pub(crate) fn stats(&self) -> Feed {
        let mut frames = self.frames.subscribe();
        frames.mark_changed();
        self.wake.notify_one();
        Feed::Stats(frames)
    }

    /// The overview from now on; what is there already comes first.
    pub(crate) fn overview(&self) -> Feed {
        let mut frames = self.overviews.subscribe();
        frames.mark_changed();
        self.wake.notify_one();
        Feed::Overview { frames, sent: 0 }
    }

    /// Lets go of what nobody listens to, for whoever comes next must not get a frame of long ago; false when nobody
    /// listens to anything.
    fn has_listeners(&self) -> bool {
        let is_free = self.frames.receiver_count() == 0;
        if is_free {
            self.frames.send_if_modified(|frame| frame.take().is_some());
        }
        if self.overviews.receiver_count() == 0 {
            self.overviews
                .send_if_modified(|frame| frame.take().is_some());
            return !is_free;
        }
        true
    }

    fn tell(&self, survey: &Survey) {
        if self.overviews.receiver_count() > 0 {
            let last = self.overviews.borrow().clone();
            let frame = Frame::of(survey, last.as_deref());
            self.overviews.send_replace(Some(Arc::new(frame)));
        }
        if self.frames.receiver_count() > 0 {
            match serde_json::to_string(&stats::flows(survey)) {
                Ok(frame) => {
                    self.frames.send_replace(Some(frame.into()));
                }
                Err(error) => tracing::error!("statistics cannot be serialised: {error}"),
            }
        }
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        // Lets the publishing task see that it is no longer needed.
        self.wake.notify_one();
    }
}

impl Feed {
    /// Events with an id greater than `since`: first what is kept, then each new one.
    pub(crate) fn events(events: &Events, since: u64) -> Self {
        events.poll();
        Self::Events {
            newest: events.newest(),
            events: events.clone(),
            sent: since,
        }
    }

    /// Waits for the next frame; `None` when there will be no more. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<ByteString> {
        match self {
            Self::Events {
                events,
                newest,
                sent,
            } => loop {
                newest.mark_unchanged();
                if let Some(event) = events.next_after(*sent) {
                    *sent = event.id;
                    return serde_json::to_string(&*event).ok().map(ByteString::from);
                }
                newest.changed().await.ok()?;
            },
            Self::Overview { frames, sent } => loop {
                frames.changed().await.ok()?;
                let frame = frames.borrow_and_update().clone();
                if let Some(frame) = frame {
                    let seen = std::mem::replace(sent, frame.number());
                    return Some(frame.text(seen));
                }
            },
            Self::Stats(frames) => loop {
                frames.changed().await.ok()?;
                if let Some(frame) = &*frames.borrow_and_update() {
                    return Some(frame.clone());
                }
            },
        }
    }
}

/// Makes the kernel end a connection of this listener whose far end takes nothing for as long: the server itself waits
/// for ever with what it could not write.
pub(crate) fn limit_stall(listener: &TcpListener) -> io::Result<()> {
    let patience_ms = Limits::DEFAULT.silence_max.as_millis();
    let patience_ms = u32::try_from(patience_ms).unwrap_or(u32::MAX);
    // Connections inherit it.
    Ok(sockopt::set_tcp_user_timeout(listener, patience_ms)?)
}

/// Makes a frame a second while somebody listens.
async fn publish(node: Weak<Node>, streams: Weak<Streams>, wake: Arc<Notify>) {
    let mut second = interval(STATS_PERIOD);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let Some(shared) = streams.upgrade() else {
            return;
        };
        if !shared.has_listeners() {
            drop(shared);
            wake.notified().await;
            continue;
        }
        drop(shared);
        second.tick().await;
        let (Some(node), Some(streams)) = (node.upgrade(), streams.upgrade()) else {
            return;
        };
        streams.tell(&node.survey());
    }
}

/// Distance of two frames of statistics.
const STATS_PERIOD: Duration = Duration::from_secs(1);

/// Clients at a time: a sixteenth of the connections that the server takes, so that they cannot shut out the API.
/// 64 x 2 frames of 1.5 MB (1,000 flows with 2 outputs) are 200 MB if all of them stop reading.
const CLIENTS_MAX: usize = 64;

#[cfg(test)]
mod tests;
