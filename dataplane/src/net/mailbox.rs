//! A bounded queue into a packet core, and the wake-up that goes with it.
//!
//! The sender never blocks the core and the core never waits on a lock: the queue is lock-free, and the wake-up is a
//! byte on a socket pair that the core awaits on its ring like any other.

use std::io::{self, Write};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;

use crossbeam::channel::{self, Receiver, Sender, TrySendError};
use futures_lite::AsyncReadExt;

/// Commands that may wait for a core. The control side sends one at a time, so a core that lets this many pile up is
/// stuck.
const CAPACITY: usize = 64;

/// The sending side; may be shared between threads.
#[derive(Debug)]
pub struct MailboxSender<T> {
    queue: Sender<T>,
    wake: UnixStream,
}

/// The receiving side before it has reached its core.
#[derive(Debug)]
pub struct MailboxParts<T> {
    queue: Receiver<T>,
    wake: UnixStream,
}

/// The receiving side on its core.
#[derive(Debug)]
pub struct Mailbox<T> {
    queue: Receiver<T>,
    wake: glommio::net::UnixStream,
}

/// Makes a mailbox.
///
/// # Errors
///
/// When the process has no file descriptor left.
pub fn mailbox<T>() -> io::Result<(MailboxSender<T>, MailboxParts<T>)> {
    let (queue_in, queue_out) = channel::bounded(CAPACITY);
    let (wake_in, wake_out) = UnixStream::pair()?;
    wake_in.set_nonblocking(true)?;
    let sender = MailboxSender {
        queue: queue_in,
        wake: wake_in,
    };
    let parts = MailboxParts {
        queue: queue_out,
        wake: wake_out,
    };
    Ok((sender, parts))
}

impl<T> MailboxSender<T> {
    /// Puts a message into the queue and wakes the core. Gives the message back when the queue is full or the core
    /// has ended.
    ///
    /// # Errors
    ///
    /// The message.
    pub fn send(&self, message: T) -> Result<(), T> {
        self.queue.try_send(message).map_err(|error| match error {
            TrySendError::Full(message) | TrySendError::Disconnected(message) => message,
        })?;
        // A full socket means that wake-ups are waiting already.
        let _ = (&self.wake).write(&[0]);
        Ok(())
    }

    /// Something to wake the core with, for another thread.
    ///
    /// # Errors
    ///
    /// When the process has no file descriptor left.
    pub fn waker(&self) -> io::Result<Waker> {
        self.wake.try_clone().map(Waker)
    }
}

/// Wakes a core without telling it anything.
#[derive(Debug)]
pub struct Waker(UnixStream);

impl Waker {
    /// Makes the core's executor look at its rings.
    pub fn wake(&self) {
        // A full socket means that wake-ups are waiting already.
        let _ = (&self.0).write(&[0]);
    }
}

impl<T> MailboxParts<T> {
    /// Binds the mailbox to the executor of the calling thread.
    #[must_use]
    pub fn open(self) -> Mailbox<T> {
        // SAFETY: the descriptor is open, and `into_raw_fd` gave up its ownership.
        let wake = unsafe { glommio::net::UnixStream::from_raw_fd(self.wake.into_raw_fd()) };
        Mailbox {
            queue: self.queue,
            wake,
        }
    }
}

impl<T> Mailbox<T> {
    /// The next message; `None` when the sending side is gone or the socket has failed.
    pub async fn next(&mut self) -> Option<T> {
        let mut bytes = [0; CAPACITY];
        loop {
            if let Ok(message) = self.queue.try_recv() {
                return Some(message);
            }
            match self.wake.read(&mut bytes).await {
                // The far end of a socket pair that was closed reads as nothing.
                Ok(0) | Err(_) => return self.queue.try_recv().ok(),
                Ok(_) => {}
            }
        }
    }
}
