//! DNS-SD over multicast DNS.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{Error, IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::sync::mpsc;

use super::super::registry::Advert;
use super::Finding;

/// A network interface for mDNS.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in super::super) struct Nic {
    pub(in super::super) name: String,
    pub(in super::super) is_loopback: bool,
}

/// This node, as it is announced to peers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Peer {
    /// Name of the service instance, up to 63 bytes.
    pub(in super::super) name: String,
    /// Its addresses, and the port of the Node API.
    pub(in super::super) addresses: Vec<IpAddr>,
    pub(in super::super) port: u16,
    /// The TXT record.
    pub(in super::super) txt: Vec<(&'static str, String)>,
}

/// The mDNS of this process, on a thread of its own.
pub(super) struct Mdns {
    daemon: ServiceDaemon,
    nics: Vec<Nic>,
    /// Full name of what is announced.
    announced: Option<String>,
}

impl Nic {
    fn kind(&self) -> IfKind {
        match self.is_loopback {
            true => IfKind::LoopbackV4,
            false => IfKind::Name(self.name.clone()),
        }
    }
}

impl Mdns {
    pub(super) fn start(nics: &[Nic]) -> Result<Self, Error> {
        let daemon = ServiceDaemon::new()?;
        let mdns = Self {
            daemon,
            nics: nics.to_vec(),
            announced: None,
        };
        mdns.daemon.disable_interface(IfKind::All)?;
        let kinds: Vec<_> = nics.iter().map(Nic::kind).collect();
        mdns.daemon.enable_interface(kinds)?;
        Ok(mdns)
    }

    pub(super) const fn daemon(&self) -> &ServiceDaemon {
        &self.daemon
    }

    pub(super) fn use_nics(&mut self, nics: &[Nic]) {
        let old = std::mem::replace(&mut self.nics, nics.to_vec());
        for gone in old.iter().filter(|nic| !nics.contains(nic)) {
            log_failure(
                "leave an interface",
                self.daemon.disable_interface(gone.kind()),
            );
        }
        for new in nics.iter().filter(|nic| !old.contains(nic)) {
            log_failure("use an interface", self.daemon.enable_interface(new.kind()));
        }
    }

    pub(super) fn advertise(&mut self, peer: &Peer) {
        // A name of its own: the host's may be announced by somebody else, with other addresses.
        let host = format!("{}.local.", peer.name);
        let Peer {
            name,
            addresses,
            port,
            txt,
        } = peer;
        let service = ServiceInfo::new(
            NODE_SERVICE,
            name,
            &host,
            addresses.as_slice(),
            *port,
            txt.as_slice(),
        );
        let done = service.and_then(|service| {
            self.announced = Some(service.get_fullname().to_owned());
            self.daemon.register(service)
        });
        log_failure("announce this node", done);
    }

    pub(super) async fn withdraw(&mut self) {
        if let Some(name) = self.announced.take() {
            match self.daemon.unregister(&name) {
                Ok(done) => drop(done.recv_async().await),
                Err(error) => log_failure("withdraw this node", Err(error)),
            }
        }
    }

    pub(super) async fn end(mut self) {
        self.withdraw().await;
        if let Ok(done) = self.daemon.shutdown() {
            drop(done.recv_async().await);
        }
    }
}

impl fmt::Debug for Mdns {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("Mdns");
        out.field("nics", &self.nics)
            .field("announced", &self.announced)
            .finish_non_exhaustive()
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        // Its thread would go on; whether it hears this no longer matters.
        let _ = self.daemon.shutdown();
    }
}

/// Tells of every change of what is advertised.
pub(super) async fn browse(daemon: ServiceDaemon, found: mpsc::Sender<Finding>) {
    loop {
        let trouble = match daemon.browse(REGISTER_SERVICE) {
            Ok(events) => match follow(&events, &found).await {
                Ok(()) => return,
                Err(trouble) => trouble,
            },
            Err(Error::DaemonShutdown) => return,
            Err(error) => error.to_string(),
        };
        if found.send(Finding::Trouble(trouble)).await.is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// `Ok` when nobody wants to hear any more.
async fn follow(
    events: &Receiver<ServiceEvent>,
    found: &mpsc::Sender<Finding>,
) -> Result<(), String> {
    let mut adverts: BTreeMap<String, Advert> = BTreeMap::new();
    loop {
        let event = events.recv_async().await;
        let event = event.map_err(|_| "mDNS has more to tell than can be read".to_owned())?;
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let name = service.get_fullname().to_lowercase();
                if adverts.len() >= ADVERTS_MAX && !adverts.contains_key(&name) {
                    tracing::warn!(
                        "NMOS: more than {ADVERTS_MAX} registries by mDNS; the rest is left out"
                    );
                    continue;
                }
                let advert = advert(&service);
                if adverts.get(&name) == Some(&advert) {
                    continue;
                }
                adverts.insert(name, advert);
            }
            ServiceEvent::ServiceRemoved(_, name) => {
                if adverts.remove(&name.to_lowercase()).is_none() {
                    continue;
                }
            }
            _ => continue,
        }
        let all = adverts.values().cloned().collect();
        if found.send(Finding::Adverts(all)).await.is_err() {
            return Ok(());
        }
    }
}

fn advert(service: &ResolvedService) -> Advert {
    let txt = |key: &str| service.get_property_val_str(key).map(str::to_owned);
    let mut addresses: Vec<_> = service
        .addresses
        .iter()
        .map(mdns_sd::ScopedIp::to_ip_addr)
        .collect();
    addresses.sort_unstable();
    Advert {
        name: service.get_fullname().trim_end_matches('.').to_owned(),
        host: service.get_hostname().to_owned(),
        port: service.get_port(),
        addresses,
        api_ver: txt("api_ver"),
        api_proto: txt("api_proto"),
        api_auth: txt("api_auth"),
        pri: txt("pri"),
        trouble: None,
    }
}

fn log_failure(what: &str, done: Result<(), Error>) {
    if let Err(error) = done {
        tracing::warn!("NMOS: mDNS cannot {what}: {error}");
    }
}

/// What registries are advertised as (IS-04 v1.3).
pub(super) const REGISTER_SERVICE: &str = "_nmos-register._tcp.local.";

/// What nodes are advertised as.
const NODE_SERVICE: &str = "_nmos-node._tcp.local.";

/// As many as are looked at.
const ADVERTS_MAX: usize = 64;

/// Before it is tried again, when it failed.
const PAUSE: Duration = Duration::from_secs(2);
