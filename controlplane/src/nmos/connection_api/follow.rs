//! What others do to the configuration, and what becomes of connections and of activations that wait.
//!
//! A controller schedules an activation for the sender or receiver that it knows. When somebody else changes that one
//! before the time has come, by the REST API or in the file, the later word wins: the activation is cancelled, and an
//! event says so. Changes of other parts of the flow leave it alone.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bilbycast_shm_proto::event::{Category, Severity};
use uuid::Uuid;

use super::activation::Scheduled;
use super::endpoint::{Applied, Endpoint};
use super::params::{Leg, ReceiverLeg, SenderLeg};
use super::saved::Table;
use super::side::Side;
use super::transport_file::announced;
use super::{ConnectionError, Connections, Found};
use crate::events::Notice;
use crate::nmos::resources::Model;
use crate::nmos::tai::Tai;

impl Connections {
    /// Ends the connections of what somebody else has changed, and cancels its activations.
    pub(super) fn follow(&self) {
        let config = self.nmos.node().config();
        {
            let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&config, &followed) {
                return;
            }
            *followed = config;
        }
        let model = self.nmos.model();
        self.follow_those::<SenderLeg>(&model);
        self.follow_those::<ReceiverLeg>(&model);
    }

    fn follow_those<L: Side>(&self, model: &Arc<Model>) {
        for id in self.engaged::<L>() {
            // Looking at one tells everybody what has become of it.
            if self.look_in::<L>(model, id).is_err() {
                self.forget::<L>(id);
            }
        }
    }

    /// Tells the resources with whom an earlier process connected them.
    pub(super) fn introduce(&self) {
        let model = self.nmos.model();
        self.introduce_those::<SenderLeg>(&model);
        self.introduce_those::<ReceiverLeg>(&model);
    }

    fn introduce_those<L: Side>(&self, model: &Arc<Model>) {
        let mut peers = Vec::new();
        for id in self.engaged::<L>() {
            // Whoever changed the configuration since has ended the connection.
            let Ok(found) = self.look_in::<L>(model, id) else {
                self.forget::<L>(id);
                continue;
            };
            let applied = found.endpoint.applied();
            if let Some(file) = &applied.transport_file {
                self.nmos.announced(id, announced(file));
            }
            if applied.peer.is_some() {
                peers.push((L::KIND, id, applied.peer));
            }
        }
        self.nmos.activated(peers);
    }

    /// A sender or receiver at this moment.
    pub(super) fn look<L: Side>(&self, id: Uuid) -> Result<Found<L>, ConnectionError> {
        self.look_in(&self.nmos.model(), id)
    }

    /// As [`Self::look`], in resources that are at hand.
    fn look_in<L: Side>(&self, model: &Arc<Model>, id: Uuid) -> Result<Found<L>, ConnectionError> {
        self.look_at(model, id, false)
    }

    /// As [`Self::look`], for whoever has the turn: nobody else is carrying an activation out.
    pub(super) fn look_in_turn<L: Side>(
        &self,
        model: &Arc<Model>,
        id: Uuid,
    ) -> Result<Found<L>, ConnectionError> {
        self.look_at(model, id, true)
    }

    fn look_at<L: Side>(
        &self,
        model: &Arc<Model>,
        id: Uuid,
        is_in_turn: bool,
    ) -> Result<Found<L>, ConnectionError> {
        let unknown = || ConnectionError::not_found::<L>(id);
        let subject = L::subject(model, id).ok_or_else(unknown)?;
        let flow = model.config().flow(&subject.flow_id).ok_or_else(unknown)?;
        let (mut is_parted, mut is_forgotten, mut cancelled) = (false, false, None);
        let endpoint = match L::table_mut(&mut self.lock()).get_mut(&id) {
            Some(endpoint) => {
                let configured = L::configured(flow, &subject, endpoint.applied());
                let configured = configured.ok_or_else(unknown)?;
                let scheduled = endpoint.scheduled();
                let is_due = scheduled.is_some_and(|scheduled| scheduled.due <= Tai::now());
                if is_due && !is_in_turn {
                    // Its activation may be under way, and what the configuration says may be its work: whoever has
                    // the turn judges that.
                    let mut shown = endpoint.clone();
                    shown.follow(configured);
                    shown
                } else {
                    let was_connected = endpoint.applied().peer.is_some();
                    let was_told = endpoint.applied().transport_file.is_some();
                    cancelled = endpoint.follow(configured);
                    is_parted = was_connected && endpoint.applied().peer.is_none();
                    is_forgotten = was_told && endpoint.applied().transport_file.is_none();
                    endpoint.clone()
                }
            }
            None => {
                let configured = L::configured(flow, &subject, &Applied::default());
                Endpoint::new(configured.ok_or_else(unknown)?)
            }
        };
        if is_forgotten {
            self.nmos.announced(id, None);
        }
        if is_parted {
            self.nmos.activated([(L::KIND, id, None)]);
        }
        let found = Found {
            subject,
            endpoint,
            model: Arc::clone(model),
        };
        if let Some(scheduled) = cancelled {
            self.tell_cancelled(&found, id, scheduled);
        }
        Ok(found)
    }

    /// Drops what is known of a sender or receiver that the configuration has no longer.
    pub(super) fn forget<L: Side>(&self, id: Uuid) {
        let gone = L::table_mut(&mut self.lock()).remove(&id);
        if let Some(scheduled) = gone.as_ref().and_then(Endpoint::scheduled) {
            let (side, due) = (L::SIDE, scheduled.due);
            self.tell(Notice::new(
                Severity::Warning,
                Category::Nmos,
                format!(
                    "the NMOS activation of {side} {id}, scheduled for {due} (TAI), is cancelled: the {side} has gone"
                ),
            ));
        }
    }

    fn tell_cancelled<L: Side>(&self, found: &Found<L>, id: Uuid, scheduled: Scheduled) {
        let Found { subject, model, .. } = found;
        let label = model.get(L::KIND, id).map_or("", |found| found.label());
        let (side, label, due) = (L::SIDE, label.escape_debug(), scheduled.due);
        let notice = Notice::new(
            Severity::Warning,
            Category::Nmos,
            format!(
                "the NMOS activation of {side} '{label}', scheduled for {due} (TAI), is cancelled: \
                 somebody has changed the {side} since"
            ),
        );
        self.tell(notice.of_flow(&subject.flow_id).with("id", id.to_string()));
    }

    /// Tells that an activation was cancelled, and has the file say so too.
    fn tell(&self, notice: Notice) {
        self.nmos.node().events().raise(notice);
        self.is_unsaved.store(true, Ordering::Relaxed);
        self.scheduled.notify_one();
    }

    /// Those that an activation told of their other end, and those whose activation waits.
    fn engaged<L: Side>(&self) -> Vec<Uuid> {
        engaged(L::table_mut(&mut self.lock())).collect()
    }
}

fn engaged<L: Leg>(table: &Table<L>) -> impl Iterator<Item = Uuid> {
    table.iter().filter_map(|(id, endpoint)| {
        let applied = endpoint.applied();
        let is_connected = applied.peer.is_some() || applied.transport_file.is_some();
        (is_connected || endpoint.scheduled().is_some()).then_some(*id)
    })
}
