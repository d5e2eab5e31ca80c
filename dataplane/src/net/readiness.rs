//! Waiting, by glommio, for a socket to have something and for the next tick.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::time::Duration;

use futures_lite::future;
use glommio::net::UdpSocket;
use glommio::timer::Timer;

use super::clock;

/// Waits on the ring until a datagram can be received, without taking it.
#[derive(Debug)]
pub struct Readiness {
    socket: UdpSocket,
}

impl Readiness {
    /// Readiness of a UDP socket. Must be called on the executor that will wait.
    ///
    /// # Errors
    ///
    /// When the process has no file descriptor left.
    pub fn new(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let duplicate = socket.as_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor was just duplicated, so it is open and owned by nobody else.
        let socket = unsafe { UdpSocket::from_raw_fd(duplicate.into_raw_fd()) };
        Ok(Self { socket })
    }

    /// Returns true when a datagram is waiting, and false when waiting failed. The error is left for the receive call;
    /// who is told false must not come back at once, for the next answer may be the same.
    pub async fn wait(&self) -> bool {
        let mut one_byte = [0; 1];
        self.socket.peek_from(&mut one_byte).await.is_ok()
    }
}

/// Wakes on a grid that all flows of a core share, so that a hundred busy flows cost one wake-up, not a hundred.
#[derive(Debug)]
pub struct Ticker {
    timer: Timer,
    period_ns: u64,
}

impl Ticker {
    /// A ticker with this period. Must be called on the executor that will wait.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            timer: Timer::new(period),
            period_ns,
        }
    }

    /// Distance of two points of the grid, in nanoseconds.
    #[must_use]
    pub const fn period_ns(&self) -> u64 {
        self.period_ns
    }

    /// Returns at the next point of the grid.
    pub async fn tick(&mut self) {
        let rest_ns = self.period_ns - clock::monotonic_ns() % self.period_ns;
        self.timer.reset(Duration::from_nanos(rest_ns));
        (&mut self.timer).await;
    }

    /// Sleeps to the next point of the grid with the whole thread: the executor stands still meanwhile.
    pub fn sleep_to_tick(&self) {
        let now_ns = clock::monotonic_ns();
        clock::sleep_until(now_ns - now_ns % self.period_ns + self.period_ns);
    }
}

/// Lets the other tasks of this core run, and the executor look at its rings if its turn has come
/// ([`super::executor::start`]).
pub async fn let_others_run() {
    future::yield_now().await;
}
