//! What systemd gives to this process (sd_listen_fds(3)) and hears from it (sd_notify(3)).
//!
//! A process that systemd did not start is given nothing, and tells nobody anything.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// Listening sockets that systemd opened and keeps: clients that connect while this process restarts wait in their
/// queues, and none is refused.
#[derive(Debug)]
pub struct Inherited {
    sockets: Sockets,
    names: Vec<String>,
}

/// What a listening socket is for. `FileDescriptorName=` in its unit says which.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// The API: `api`, or the first socket when none has a name of ours.
    Api,
    /// The monitor's pages: `monitor`.
    Monitor,
}

impl Inherited {
    /// What the environment names. To be called once, before any thread is started: the environment is cleared of it.
    #[must_use]
    pub fn from_environment() -> Self {
        let names = std::env::var(NAMES).unwrap_or_default();
        Self {
            names: names.split(':').map(str::to_owned).collect(),
            sockets: Sockets(ListenFd::from_env()),
        }
    }

    /// The socket for a purpose; `None` when systemd gave none. What is no TCP socket is refused, with a warning.
    #[must_use]
    pub fn take(&mut self, purpose: Purpose) -> Option<TcpListener> {
        let index = index_of(purpose, &self.names)?;
        self.sockets
            .0
            .take_tcp_listener(index)
            .unwrap_or_else(|error| {
                tracing::warn!(
                    "the socket that systemd passed for {purpose:?} is not used: {error}"
                );
                None
            })
    }
}

/// Tells that requests are served.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells that this process ends because it was told to.
pub fn ending() {
    tell(&[NotifyState::Stopping]);
}

/// Keeps telling that the executor that this runs on is alive. Without a watchdog it returns at once.
pub async fn keep_telling() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep((limit / TELLS_PER_LIMIT).max(Duration::from_millis(1))).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager was not told: {error}");
    }
}

fn index_of(purpose: Purpose, names: &[String]) -> Option<usize> {
    let position = |wanted: &str| names.iter().position(|name| name == wanted);
    match purpose {
        Purpose::Api => position("api").or_else(|| position("monitor").is_none().then_some(0)),
        Purpose::Monitor => position("monitor"),
    }
}

/// The library's type has no `Debug`.
struct Sockets(ListenFd);

impl std::fmt::Debug for Sockets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Sockets")
            .field(&self.0.len())
            .finish()
    }
}

/// Names of the sockets, in their order, with colons between.
const NAMES: &str = "LISTEN_FDNAMES";

/// One may be late and another lost.
const TELLS_PER_LIMIT: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_name_and_the_only_one_by_itself() {
        let index = |purpose, names: &str| {
            let names: Vec<String> = names.split(':').map(str::to_owned).collect();
            index_of(purpose, &names)
        };
        assert_eq!(index(Purpose::Api, "monitor:api"), Some(1));
        assert_eq!(index(Purpose::Monitor, "monitor:api"), Some(0));
        assert_eq!(index(Purpose::Api, ""), Some(0));
        assert_eq!(
            index(Purpose::Api, "bilbycast-controlplane.socket"),
            Some(0)
        );
        assert_eq!(index(Purpose::Api, "monitor"), None);
        assert_eq!(index(Purpose::Monitor, "api"), None);
    }
}
