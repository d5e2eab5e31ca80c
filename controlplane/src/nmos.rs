//! NMOS: what this node has to offer in the words of AMWA, for controllers of any make (nmos.md).
//!
//! * [`resources`]: the resources of IS-04, from the running configuration and what is measured.
//! * [`node_api`]: IS-04 v1.3, which shows them.
//! * [`connection_api`]: IS-05 v1.1, which connects senders and receivers, with [`sdp`] for what they say of themselves.
//! * [`registration`]: finding a registry, and keeping it up to date.
//! * [`tai`]: its timestamps.
//!
//! Nothing is kept here that would have to be saved: ids follow from the configuration, and versions begin with the
//! start of the process. The model is brought up to date by whoever looks at it, so that no answer is behind the
//! configuration, and every quarter of a second for those who wait for changes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bilbycast_shm_proto::event::{Category, Severity};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

pub mod connection_api;
pub(crate) mod http;
pub(crate) mod node_api;
pub mod registration;
pub mod resources;
pub mod sdp;
pub mod tai;
mod target;
mod versions;

use resources::{Builder, Interfaces, Listening, Model, Resource, ResourceType};

use crate::config::AppConfig;
use crate::events::Notice;
use crate::node::{Node, Runs};

/// NMOS of this node.
#[derive(Debug)]
pub struct Nmos {
    node: Arc<Node>,
    /// Whether there are tokens: what `server.auth` said when this process started is in force until it ends.
    has_auth: bool,
    /// Locked while a model is made, which takes milliseconds.
    maker: Mutex<Maker>,
    model: watch::Sender<Arc<Model>>,
    registration: registration::Board,
}

#[derive(Debug)]
struct Maker {
    builder: Builder,
    /// What the newest model was made of.
    made_of: (Arc<AppConfig>, Arc<Runs>),
    /// Whether something else has changed since.
    is_stale: bool,
    /// Whether the log has that the system does not tell its interfaces.
    is_reported: bool,
}

impl Nmos {
    /// Follows `node`, whose server listens on `address`, on the current tokio runtime.
    #[must_use]
    pub fn start(node: &Arc<Node>, address: SocketAddr, is_tls: bool) -> Arc<Self> {
        let listening = Listening { address, is_tls };
        let config = node.config();
        let runs = node.runs();
        let interfaces = Interfaces::of_system(configured_interfaces(&config));
        let is_reported = interfaces.is_err();
        let auth = config.server.auth.as_ref();
        let has_auth = auth.is_some_and(|auth| auth.enabled);
        let interfaces = interfaces.unwrap_or_else(|error| {
            report_interfaces(&error);
            Interfaces::default()
        });
        let mut builder = Builder::new(listening, interfaces);
        let model = Arc::new(builder.build(&config, &runs));
        let nmos = Arc::new(Self {
            node: Arc::clone(node),
            has_auth,
            maker: Mutex::new(Maker {
                builder,
                made_of: (config, runs),
                is_stale: false,
                is_reported,
            }),
            model: watch::Sender::new(model),
            registration: registration::Board::default(),
        });
        tokio::spawn(follow(Arc::downgrade(&nmos)));
        nmos
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Whether NMOS is switched on: `nmos.enabled` of this moment.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        is_enabled(&self.node.config())
    }

    /// Whether it is closed to everybody: `nmos.require_auth` asks for tokens, and there are none.
    fn is_shut(&self) -> bool {
        let config = self.node.config();
        let nmos = config.nmos.as_ref();
        let is_protected = nmos.is_some_and(|nmos| nmos.require_auth == Some(true));
        is_protected && is_enabled(&config) && !self.has_auth
    }

    /// The resources of this moment: every change of the configuration that was answered before is in them.
    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        self.refresh(&mut self.lock())
    }

    /// Follows the resources: told of every change of any of them, and of nothing else. The current model counts as
    /// seen.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Model>> {
        self.model.subscribe()
    }

    /// Where the registration stands; absent when this process does not register.
    #[must_use]
    pub fn registration_status(&self) -> Option<registration::Status> {
        self.registration.status()
    }

    /// Gives a resource a new version though it may look the same, as every activation does (nmos.md 5.2). Nothing
    /// happens when there is no such resource.
    pub fn bump(&self, kind: ResourceType, id: Uuid) {
        self.renew([(kind, id)], |_, _, _| ());
    }

    /// Senders or receivers were activated, and their change of the configuration is in force: their versions rise, and
    /// the second id, when there is one, is from now on the far end that the `subscription` of the first one names,
    /// whenever that may name one. It is forgotten with the end of this process, or when the flow is deleted.
    pub fn activated(&self, all: impl IntoIterator<Item = (ResourceType, Uuid, Option<Uuid>)>) {
        let all: Vec<_> = all.into_iter().collect();
        let ids = all.iter().map(|(kind, id, _)| (*kind, *id));
        self.renew(ids, |builder, place, resource| {
            builder.set_peer(resource, all[place].2);
        });
    }

    /// The transport file that a receiver is told names this payload type, or there is none: senders of its flow name
    /// it too while nothing better is known. Told with the next model.
    pub(crate) fn announced(&self, receiver: Uuid, payload_type: Option<u8>) {
        let mut maker = self.lock();
        let newest = Arc::clone(&self.model.borrow());
        if let Some(resource) = newest.get(ResourceType::Receiver, receiver) {
            maker.is_stale |= maker.builder.set_announced(resource, payload_type);
        }
    }

    /// New versions for all of these at once; `change` is also given the place in the list.
    fn renew(
        &self,
        all: impl IntoIterator<Item = (ResourceType, Uuid)>,
        change: impl Fn(&mut Builder, usize, &Resource),
    ) {
        let mut maker = self.lock();
        // What the configuration changed at the same time comes with the same version.
        let mut model = Arc::clone(&self.model.borrow());
        for (place, (kind, id)) in all.into_iter().enumerate() {
            if model.get(kind, id).is_none() {
                model = self.refresh(&mut maker);
            }
            if let Some(resource) = model.get(kind, id) {
                change(&mut maker.builder, place, resource);
                maker.builder.bump(resource);
                maker.is_stale = true;
            }
        }
        self.refresh(&mut maker);
    }

    /// Takes what is measured and which interfaces there are.
    fn measure(&self) {
        let survey = self.node.survey();
        let interfaces = Interfaces::of_system(configured_interfaces(&survey.config));
        let mut maker = self.lock();
        match interfaces {
            Ok(interfaces) => {
                maker.is_stale |= maker.builder.set_interfaces(interfaces);
                maker.is_reported = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut maker.is_reported, true) {
                    report_interfaces(&error);
                }
            }
        }
        maker.is_stale |= maker.builder.read(&survey, Instant::now());
        self.refresh(&mut maker);
    }

    fn lock(&self) -> MutexGuard<'_, Maker> {
        self.maker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh(&self, maker: &mut Maker) -> Arc<Model> {
        let (config, runs) = (self.node.config(), self.node.runs());
        let (old_config, old_runs) = &maker.made_of;
        let is_new = !Arc::ptr_eq(&config, old_config) || !Arc::ptr_eq(&runs, old_runs);
        if !is_new && !maker.is_stale {
            return Arc::clone(&self.model.borrow());
        }
        let model = Arc::new(maker.builder.build(&config, &runs));
        maker.made_of = (config, runs);
        maker.is_stale = false;
        let made = Arc::clone(&model);
        self.model.send_if_modified(|current| {
            let is_changed = current.version_counters() != model.version_counters();
            *current = model;
            is_changed
        });
        made
    }
}

/// The routes of all NMOS APIs.
pub(crate) fn routes(app: &mut actix_web::web::ServiceConfig) {
    app.configure(node_api::routes)
        .configure(connection_api::routes);
}

/// `nmos.enabled`.
pub(crate) fn is_enabled(config: &AppConfig) -> bool {
    let nmos = config.nmos.as_ref();
    nmos.and_then(|nmos| nmos.enabled).unwrap_or(true)
}

fn configured_interfaces(config: &AppConfig) -> Option<&[String]> {
    config.nmos.as_ref()?.interfaces.as_deref()
}

fn report_interfaces(error: &std::io::Error) {
    tracing::error!("NMOS: the system does not tell its network interfaces: {error}");
}

async fn follow(nmos: Weak<Nmos>) {
    let mut tick = interval(REFRESH_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut measured: Option<Instant> = None;
    let mut was_shut = false;
    loop {
        tick.tick().await;
        let Some(nmos) = nmos.upgrade() else {
            return;
        };
        let is_shut = nmos.is_shut();
        if is_shut && !was_shut {
            tracing::warn!("{SHUT}");
            let notice = Notice::new(Severity::Warning, Category::Nmos, SHUT);
            nmos.node.events().raise(notice);
        }
        was_shut = is_shut;
        if !nmos.is_enabled() {
            continue;
        }
        if measured.is_none_or(|measured| measured.elapsed() >= MEASURE_PERIOD) {
            measured = Some(Instant::now());
            nmos.measure();
        } else {
            drop(nmos.model());
        }
    }
}

const SHUT: &str = "NMOS is closed to everybody: nmos.require_auth is set, and there are no tokens, for server.auth was \
                    not enabled when the control plane started";

/// How late those who wait for changes may hear of one. Nothing but two pointers is looked at in between.
const REFRESH_PERIOD: Duration = Duration::from_millis(250);

/// How often measured values and interfaces are looked at.
const MEASURE_PERIOD: Duration = Duration::from_secs(2);
