//! Looking for registries, in the way that is configured; and announcing this node to its peers.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

mod mdns;
mod unicast;

pub(super) use mdns::{Nic, Peer};

use mdns::Mdns;

use super::registry::{Advert, Registry};
use super::settings::{Settings, Way};

/// What a look for registries has brought.
#[derive(Debug)]
pub(super) enum Finding {
    /// What is advertised now, all of it.
    Adverts(Vec<Advert>),
    /// The one that is configured.
    Registry(Registry),
    /// Nothing, because something stands in the way.
    Trouble(String),
}

/// Looks for registries until it is dropped.
#[derive(Debug)]
pub(super) struct Discovery {
    findings: mpsc::Receiver<Finding>,
    task: Option<JoinHandle<()>>,
    mdns: Option<Mdns>,
}

impl Discovery {
    /// Starts to look, on the current tokio runtime; on these interfaces where that is by mDNS.
    pub(super) fn start(settings: &Settings, nics: &[Nic]) -> Self {
        let (found, findings) = mpsc::channel(FINDINGS_MAX);
        let mut mdns = None;
        let task = match &settings.way {
            Way::Off => None,
            Way::Static(url) => {
                // There is room for the first one.
                let _ = found.try_send(Finding::Registry(Registry::configured(url)));
                None
            }
            Way::Unicast { domain, server } => {
                let look = unicast::look(domain.clone(), *server, found);
                Some(tokio::spawn(look))
            }
            Way::Mdns => match Mdns::start(nics) {
                Ok(started) => {
                    let browse = mdns::browse(started.daemon().clone(), found);
                    mdns = Some(started);
                    Some(tokio::spawn(browse))
                }
                Err(error) => {
                    let trouble = Finding::Trouble(format!("mDNS cannot be used: {error}"));
                    let _ = found.try_send(trouble);
                    None
                }
            },
        };
        Self {
            findings,
            task,
            mdns,
        }
    }

    /// The next finding; none ever, when nothing is left that could find something. It may be asked for again when it
    /// was not waited for.
    pub(super) async fn next(&mut self) -> Finding {
        match self.findings.recv().await {
            Some(finding) => finding,
            None => std::future::pending().await,
        }
    }

    /// From now on mDNS uses these interfaces.
    pub(super) fn use_nics(&mut self, nics: &[Nic]) {
        if let Some(mdns) = &mut self.mdns {
            mdns.use_nics(nics);
        }
    }

    /// Announces this node, in place of what was announced before.
    pub(super) fn advertise(&mut self, peer: &Peer) {
        if let Some(mdns) = &mut self.mdns {
            mdns.advertise(peer);
        }
    }

    /// Ends the announcement; it has gone out when this is done.
    pub(super) async fn withdraw(&mut self) {
        if let Some(mdns) = &mut self.mdns {
            let _ = tokio::time::timeout(GOODBYE_PATIENCE, mdns.withdraw()).await;
        }
    }

    /// Ends it all.
    pub(super) async fn end(mut self) {
        if let Some(mdns) = self.mdns.take() {
            let _ = tokio::time::timeout(GOODBYE_PATIENCE, mdns.end()).await;
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Findings that wait to be heard. Each holds everything, and whoever finds waits when there are too many.
const FINDINGS_MAX: usize = 4;

/// How long a goodbye may take: it is one packet to a thread and one onto the wire.
const GOODBYE_PATIENCE: Duration = Duration::from_millis(300);
