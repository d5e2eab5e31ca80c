//! What a registry has been told, and what it has yet to hear.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::nmos::resources::{Model, Resource, ResourceType};
use crate::nmos::tai::Tai;

/// What a registry has been told, and what it has yet to hear.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    told: HashMap<Uuid, (ResourceType, Tai)>,
    jobs: VecDeque<Job>,
}

/// Something that a registry has to hear.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// This resource is no more.
    Delete(ResourceType, Uuid),
    /// This resource is new, or has changed.
    Post(Arc<Resource>),
}

impl Job {
    pub(super) fn kind(&self) -> ResourceType {
        match self {
            Self::Delete(kind, _) => *kind,
            Self::Post(resource) => resource.kind(),
        }
    }

    pub(super) fn id(&self) -> Uuid {
        match self {
            Self::Delete(_, id) => *id,
            Self::Post(resource) => resource.id(),
        }
    }
}

impl Backlog {
    /// Plans what leads from what was told to `model`: first what is no more, children first, then what is new or has
    /// changed, in the order of registration.
    pub(super) fn plan(&mut self, model: &Model) {
        let is_gone = |id: &Uuid, kind: ResourceType| model.get(kind, *id).is_none();
        let mut gone: Vec<_> = self
            .told
            .iter()
            .map(|(id, (kind, _))| (*kind, *id))
            .collect();
        gone.retain(|(kind, id)| is_gone(id, *kind));
        gone.sort_unstable_by(|one, other| other.cmp(one));
        self.jobs.clear();
        let gone = gone.into_iter().map(|(kind, id)| Job::Delete(kind, id));
        self.jobs.extend(gone);
        let told = &self.told;
        let news = model.resources().iter().filter(|resource| {
            let told = told.get(&resource.id());
            told.is_none_or(|(_, version)| *version != resource.version())
        });
        self.jobs.extend(news.cloned().map(Job::Post));
    }

    /// Plans to take everything back, children first.
    pub(super) fn plan_end(&mut self) {
        let mut all: Vec<_> = self
            .told
            .iter()
            .map(|(id, (kind, _))| (*kind, *id))
            .collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        self.jobs = all
            .into_iter()
            .map(|(kind, id)| Job::Delete(kind, id))
            .collect();
    }

    /// Leaves only the last job, when there is no time for more.
    pub(super) fn hurry(&mut self) {
        let all_but_one = self.jobs.len().saturating_sub(1);
        self.jobs.drain(..all_but_one);
    }

    /// The next job.
    pub(super) fn pop(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// The registry has heard this.
    pub(super) fn hear(&mut self, job: &Job) {
        match job {
            Job::Delete(_, id) => {
                self.told.remove(id);
            }
            Job::Post(resource) => {
                let told = (resource.kind(), resource.version());
                self.told.insert(resource.id(), told);
            }
        }
    }

    /// The registry is to hear these again with the next plan, though they have not changed.
    pub(super) fn offer_again(&mut self, resources: impl Iterator<Item = (ResourceType, Uuid)>) {
        // A version that no resource has, so that what is gone by then is still deleted.
        let told = resources.map(|(kind, id)| (id, (kind, Tai::default())));
        self.told.extend(told);
    }

    /// The registry knows nothing of this node.
    pub(super) fn forget(&mut self) {
        self.told.clear();
        self.jobs.clear();
    }

    /// Whether the registry has been told anything that was not taken back.
    pub(super) fn is_told(&self) -> bool {
        !self.told.is_empty()
    }
}
