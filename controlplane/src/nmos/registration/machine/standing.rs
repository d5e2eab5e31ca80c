//! Where the node stands, for people and programs.

use std::sync::Arc;
use std::time::Instant;

use super::super::registry::Registry;
use super::super::{RefusedResource, SeenRegistry, State};
use super::{Machine, Output, Stage, Weight};

/// Where the node stands, as people were told.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Standing {
    Untold,
    Alone,
    Member(String),
}

impl Machine {
    /// Where the registration stands.
    pub(in super::super) fn state(&self) -> State {
        match self.stage {
            Stage::Member { is_complete: true } => State::Registered,
            Stage::Idle if self.registries.iter().len() == 0 => State::Searching,
            Stage::Idle => State::Retrying,
            _ => State::Registering,
        }
    }

    /// The registry that is used or tried.
    pub(in super::super) fn registry(&self) -> Option<&Registry> {
        self.current.as_deref()
    }

    /// When the last heartbeat, or node resource, with a good answer was sent.
    pub(in super::super) const fn last_heartbeat(&self) -> Option<Instant> {
        self.last_good
    }

    /// Why the node is not registered, or not all of it.
    pub(in super::super) fn reason(&self) -> Option<String> {
        if matches!(self.stage, Stage::Member { .. }) {
            return self.refused.reason();
        }
        let refusal = self.refusals.iter().next();
        let refusal =
            refusal.map(|(name, refusal)| format!("registry {name} is not taken: {}", refusal.why));
        let is_alone = self.registries.iter().len() == 0;
        let other = match is_alone {
            true => refusal.or_else(|| self.failure.clone()),
            false => self.failure.clone(),
        };
        let none = || format!("no registry found {}", self.identity.way);
        let reason = self.trouble.clone().or(other);
        match (reason, is_alone) {
            (None, true) => Some(none()),
            (reason, _) => reason,
        }
    }

    /// What has been found: those that may be used, best first, then those that may not.
    pub(in super::super) fn seen(&self) -> Vec<SeenRegistry> {
        let taken = self.registries.seen();
        let others = self.refusals.iter().map(|(name, refusal)| SeenRegistry {
            name: name.clone(),
            priority: refusal.priority,
            taken: false,
            why: Some(refusal.why.clone()),
        });
        taken.chain(others).collect()
    }

    /// The first of the resources that the registry does not take, and how many there are.
    pub(in super::super) fn refused(&self) -> (Vec<RefusedResource>, usize) {
        (self.refused.first(), self.refused.len())
    }

    /// The registry has heard everything: only now it has shown that it is of use.
    pub(super) fn complete(&mut self, registry: &Arc<Registry>) {
        self.stage = Stage::Member { is_complete: true };
        self.failure = None;
        self.registries.succeed(registry);
        self.refused.succeed();
        let name = registry.to_string();
        match &self.standing {
            Standing::Member(old) if *old == name => {
                self.tell(Weight::Step, format!("registered with {name} again"));
            }
            Standing::Member(old) => {
                let message = format!("the registration moved from {old} to {name}");
                self.tell(Weight::Event, message);
            }
            Standing::Alone | Standing::Untold => {
                self.tell(Weight::Event, format!("registered with {name}"));
            }
        }
        self.standing = Standing::Member(name);
    }

    /// There is no registry to turn to.
    pub(super) fn stand_alone(&mut self, now: Instant) {
        let is_quiet = self.quiet_until.is_some_and(|until| now < until);
        if !is_quiet {
            self.quiet_until = None;
        }
        let is_known = self.registries.iter().len() > 0;
        let is_hindered = is_known || self.trouble.is_some() || !self.refusals.is_empty();
        let reason = self.reason().unwrap_or_default();
        match &self.standing {
            Standing::Member(registry) => {
                let message = format!("the registration with {registry} is lost: {reason}");
                self.standing = Standing::Alone;
                self.tell(Weight::BadEvent, message);
            }
            Standing::Untold if is_known || (is_hindered && !is_quiet) => {
                self.standing = Standing::Alone;
                let message = format!("no registry can be used: {reason}");
                self.tell(Weight::BadEvent, message);
            }
            Standing::Untold if !is_quiet => {
                self.standing = Standing::Alone;
                self.tell(Weight::Event, reason);
            }
            Standing::Untold | Standing::Alone => {}
        }
        let counters = self.model.version_counters();
        let may_announce = self.identity.is_peer && (!is_quiet || is_known);
        if may_announce && self.announced != Some(counters) {
            if self.announced.is_none() {
                let message = "announcing this node to its peers".to_owned();
                self.tell(Weight::Event, message);
            }
            self.announced = Some(counters);
            self.outputs.push_back(Output::Advertise(counters));
        }
    }

    pub(super) fn withdraw(&mut self) {
        if self.announced.take().is_some() {
            let message = "no longer announced to peers".to_owned();
            self.tell(Weight::Event, message);
            self.outputs.push_back(Output::Withdraw);
        }
    }
}
