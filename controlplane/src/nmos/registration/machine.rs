//! The rules of registration (nmos.md 6, 7), without sockets and without a clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod backlog;
mod calls;
mod exchange;
mod refused;
mod registries;
mod replies;
mod standing;
#[cfg(test)]
mod tests;

pub(super) use exchange::{Answer, Call, Identity, Output, Report, Verb, Weight};

use backlog::{Backlog, Job};
use refused::Refused;
use registries::Registries;
use standing::Standing;

use super::registry::{API_VERSION, Advert, Refusal, Registry, shortened};
use crate::nmos::resources::{Model, Resource};

/// Keeps a node registered with the best registry that answers.
///
/// * Getters: [`state`](Self::state), [`registry`](Self::registry), [`last_heartbeat`](Self::last_heartbeat),
///   [`reason`](Self::reason), [`seen`](Self::seen), [`refused`](Self::refused).
/// * Input: `handle_*`, with the time of now, which never goes back.
/// * Output: [`poll_output`](Self::poll_output), to be called after each input until it answers [`Output::Wait`]; then
///   [`handle_timeout`](Self::handle_timeout) is due at the moment that it names, unless other input comes first.
///
/// At most one call is under way at a time; each [`Output::Send`] is answered by one
/// [`handle_answer`](Self::handle_answer).
#[derive(Debug)]
pub(super) struct Machine {
    identity: Identity,
    model: Arc<Model>,
    // Discovery.
    registries: Registries,
    /// The advertisements that are there now and are not taken, by name.
    refusals: BTreeMap<String, NotTaken>,
    trouble: Option<String>,
    /// Until then nobody is told that there is no registry: one may be about to answer.
    quiet_until: Option<Instant>,
    // Registration.
    stage: Stage,
    /// The registry that is used or tried; absent while idle alone.
    current: Option<Arc<Registry>>,
    under_way: Option<UnderWay>,
    backlog: Backlog,
    /// Whether the backlog is older than the model.
    is_stale: bool,
    /// Whether older versions have been unregistered at this registry.
    is_displaced: bool,
    /// What this registry does not take.
    refused: Refused,
    /// Whether a heartbeat was answered well since the node was last forgotten.
    has_beaten: bool,
    heartbeat_at: Option<Instant>,
    /// When the last heartbeat, or node resource, with a good answer was sent.
    last_good: Option<Instant>,
    failure: Option<String>,
    // Telling others.
    announced: Option<[u8; 6]>,
    standing: Standing,
    outputs: VecDeque<Output>,
    // The end.
    /// When only the node itself is taken back; present from the beginning of the end.
    hurry_at: Option<Instant>,
    is_leaving: bool,
    has_ended: bool,
}

#[derive(Debug)]
enum Stage {
    /// No registry is used.
    Idle,
    /// The registry may know this node by way of another one of the same plant.
    Probe,
    /// The node is posted; clean when whatever was there has been deleted.
    Join { is_clean: bool },
    /// What is there of an earlier run is deleted.
    Clear,
    /// Older versions of the API are unregistered, the last one first.
    Displace { versions: Vec<String> },
    /// The registry has the node; complete when it has heard everything once.
    Member { is_complete: bool },
}

#[derive(Debug)]
struct UnderWay {
    step: Step,
    sent_at: Instant,
}

#[derive(Debug)]
enum Step {
    Clear,
    Displace,
    Heartbeat,
    Job(Job),
    Join { is_clean: bool, node: Arc<Resource> },
}

/// An advertisement that is not taken.
#[derive(Debug, Eq, PartialEq)]
struct NotTaken {
    /// Absent where it is not told, or no number.
    priority: Option<u16>,
    why: String,
}

impl Machine {
    /// A node with these resources that no registry has.
    pub(super) fn new(identity: Identity, model: Arc<Model>, now: Instant) -> Self {
        Self {
            identity,
            model,
            registries: Registries::default(),
            refusals: BTreeMap::new(),
            trouble: None,
            quiet_until: Some(now + QUIET),
            stage: Stage::Idle,
            current: None,
            under_way: None,
            backlog: Backlog::default(),
            is_stale: false,
            is_displaced: false,
            refused: Refused::default(),
            has_beaten: false,
            heartbeat_at: None,
            last_good: None,
            failure: None,
            announced: None,
            standing: Standing::Untold,
            outputs: VecDeque::new(),
            hurry_at: None,
            is_leaving: false,
            has_ended: false,
        }
    }

    /// Takes what is advertised now, all of it.
    pub(super) fn handle_adverts(&mut self, adverts: &[Advert], now: Instant) {
        let mut taken = Vec::new();
        let mut refusals = BTreeMap::new();
        for advert in adverts.iter().take(ADVERTS_MAX) {
            let refusal = match advert.judge(self.identity.protocol) {
                Ok(registry) => {
                    taken.push(registry);
                    continue;
                }
                Err(refusal) => refusal,
            };
            let name = shortened(&advert.name);
            if let Refusal::Lookup(_) = refusal
                && let Some(known) = self.registries.named(&name)
            {
                self.tell(
                    Weight::Problem,
                    format!("registry {known} remains as it was: {refusal}"),
                );
                taken.push(known);
                continue;
            }
            let not_taken = NotTaken {
                priority: advert.pri.as_ref().and_then(|_| advert.priority().ok()),
                why: refusal.to_string(),
            };
            if self.refusals.get(&name).map(|old| &old.why) != Some(&not_taken.why) {
                let weight = match refusal.is_fault() {
                    true => Weight::BadEvent,
                    false => Weight::Event,
                };
                let message = format!("registry {name} is not taken: {refusal}");
                self.tell(weight, message);
            }
            refusals.insert(name, not_taken);
        }
        self.refusals = refusals;
        self.handle_registries(taken, now);
    }

    /// Takes the registries that may be used now, all of them.
    pub(super) fn handle_registries(&mut self, registries: Vec<Registry>, now: Instant) {
        if self.trouble.take().is_some() {
            self.tell(
                Weight::Event,
                "registries can be looked for again".to_owned(),
            );
        }
        let old: Vec<_> = self.registries.iter().cloned().collect();
        self.registries.set(registries);
        let new: Vec<_> = self.registries.iter().cloned().collect();
        for registry in new.iter().filter(|registry| !old.contains(registry)) {
            let priority = registry.priority();
            self.tell(
                Weight::Event,
                format!("registry {registry} found, with priority {priority}"),
            );
        }
        for registry in old
            .iter()
            .filter(|registry| !new.iter().any(|new| new.is_same(registry)))
        {
            self.tell(
                Weight::Event,
                format!("registry {registry} is no longer there"),
            );
        }
        self.drive(now);
    }

    /// Registries cannot be looked for. Those that are known remain.
    pub(super) fn handle_trouble(&mut self, trouble: String, now: Instant) {
        if self.trouble.as_ref() != Some(&trouble) {
            self.tell(
                Weight::BadEvent,
                format!("registries cannot be looked for: {trouble}"),
            );
            self.trouble = Some(trouble);
        }
        self.drive(now);
    }

    /// Takes the resources as they are now.
    pub(super) fn handle_model(&mut self, model: Arc<Model>, now: Instant) {
        self.model = model;
        self.is_stale = true;
        self.drive(now);
    }

    /// Takes what became of the call that is under way.
    pub(super) fn handle_answer(&mut self, answer: Answer, now: Instant) {
        if let Some(UnderWay { step, sent_at }) = self.under_way.take()
            && let Some(registry) = self.current.clone()
        {
            self.digest(step, answer, &registry, sent_at, now);
        }
        self.drive(now);
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.drive(now);
    }

    /// Takes everything back, and ends.
    pub(super) fn handle_end(&mut self, now: Instant) {
        if self.hurry_at.is_none() {
            self.hurry_at = Some(now + END_PATIENCE);
            self.withdraw();
            self.drive(now);
        }
    }

    /// What to do next.
    pub(super) fn poll_output(&mut self) -> Output {
        let output = self.outputs.pop_front();
        output.unwrap_or_else(|| Output::Wait(self.next_timeout()))
    }

    fn drive(&mut self, now: Instant) {
        if self.under_way.is_some() || self.has_ended {
            return;
        }
        if let Some(hurry_at) = self.hurry_at {
            self.leave(hurry_at, now);
            return;
        }
        if matches!(self.stage, Stage::Idle) {
            self.choose(now);
        }
        match &mut self.stage {
            Stage::Idle => self.stand_alone(now),
            Stage::Probe => self.send_heartbeat(now),
            Stage::Join { is_clean } => {
                let is_clean = *is_clean;
                self.send_node(is_clean, now);
            }
            Stage::Clear => self.send_delete_node(API_VERSION, Step::Clear, now),
            Stage::Displace { versions } => match versions.pop() {
                Some(version) => self.send_delete_node(&version, Step::Displace, now),
                None => {
                    self.stage = Stage::Join { is_clean: true };
                    self.send_node(true, now);
                }
            },
            Stage::Member { is_complete } => {
                let is_complete = *is_complete;
                self.keep_up(is_complete, now);
            }
        }
    }

    /// Turns to the best registry that may be tried now.
    fn choose(&mut self, now: Instant) {
        let node = self.model.node().version();
        let Some(registry) = self.registries.pick(now, node) else {
            return;
        };
        let is_fresh = self
            .last_good
            .is_some_and(|last_good| now.saturating_duration_since(last_good) <= EXPIRY);
        self.stage = if is_fresh && self.backlog.is_told() {
            // What another one did not take, this one may.
            self.backlog.offer_again(self.refused.iter());
            Stage::Probe
        } else {
            self.backlog.forget();
            self.last_good = None;
            Stage::Join { is_clean: false }
        };
        self.is_displaced = false;
        self.refused.clear();
        let what = match self.stage {
            Stage::Probe => "asking whether it knows this node",
            _ => "registering",
        };
        self.tell(Weight::Step, format!("registry {registry}: {what}"));
        self.current = Some(registry);
    }

    /// Sends the heartbeat when it is due, else what the registry has yet to hear.
    fn keep_up(&mut self, is_complete: bool, now: Instant) {
        if self.heartbeat_at.is_none_or(|at| at <= now) {
            self.send_heartbeat(now);
            return;
        }
        if self.refused.is_due(now) {
            self.backlog.offer_again(self.refused.iter());
            self.is_stale = true;
        }
        if std::mem::take(&mut self.is_stale) {
            self.backlog.plan(&self.model);
        }
        if let Some(job) = self.backlog.pop() {
            self.send_job(job, now);
        } else if !is_complete && let Some(registry) = self.current.clone() {
            self.complete(&registry);
        }
    }

    /// Takes back what the registry was told, the children first.
    fn leave(&mut self, hurry_at: Instant, now: Instant) {
        let is_member = matches!(self.stage, Stage::Member { .. });
        if is_member && !std::mem::replace(&mut self.is_leaving, true) {
            self.backlog.plan_end();
        }
        if now >= hurry_at {
            self.backlog.hurry();
        }
        match self.backlog.pop() {
            Some(job) if is_member => self.send_job(job, now),
            _ => self.end(),
        }
    }

    fn end(&mut self) {
        if let Standing::Member(registry) = &self.standing
            && !self.backlog.is_told()
        {
            let message = format!("this node has been taken from registry {registry}");
            self.tell(Weight::Event, message);
        }
        self.has_ended = true;
        self.outputs.push_back(Output::Ended);
    }

    fn next_timeout(&self) -> Option<Instant> {
        if self.under_way.is_some() || self.has_ended {
            return None;
        }
        match self.stage {
            Stage::Member { .. } => self.heartbeat_at,
            _ => {
                let retry_at = self.registries.next_retry();
                retry_at.into_iter().chain(self.quiet_until).min()
            }
        }
    }

    fn tell(&mut self, weight: Weight, message: String) {
        self.outputs
            .push_back(Output::Tell(Report { weight, message }));
    }
}

/// Between two heartbeats.
const HEARTBEAT_PERIOD: Duration = Duration::from_secs(5);

/// After that long without a heartbeat, registries forget a node.
const EXPIRY: Duration = Duration::from_secs(12);

/// How long a registry has to show itself before its absence is worth a word.
const QUIET: Duration = Duration::from_secs(2);

/// How long everything is taken back one by one; then only the node is, and the registry drops its children.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Advertisements that are looked at: more are an attack, or a mistake.
const ADVERTS_MAX: usize = 64;
