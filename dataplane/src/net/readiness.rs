//! Waiting, by glommio, for a socket to have something and for the next tick.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::time::Duration;

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

/// Lets the executor look at its rings and run the other tasks of this core.
///
/// Not by a yield: glommio runs tasks that are ready until its pre-emption timer fires and looks at its rings only then. And
/// not by making that timer short: `run_task_queues` of glommio 0.9 reports that nothing ran when the timer has fired before
/// the first task got its turn, and the executor then sleeps on its rings with tasks that are ready. Waiting for a short
/// moment leaves it nothing else to do.
pub async fn let_others_run() {
    glommio::timer::sleep(MOMENT).await;
}

/// Long enough not to be over before the executor hears of it.
const MOMENT: Duration = Duration::from_micros(20);
