//! Resources that the registry in use does not take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::super::RefusedResource;
use crate::nmos::resources::ResourceType;

/// Resources that the registry in use does not take.
///
/// Each is offered again when it changes, and with all others after a pause: a child is refused because its parent was,
/// and does not change when that is mended.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// With the status of the answer; parents first.
    resources: BTreeMap<(ResourceType, Uuid), u16>,
    /// The newest refusal in words.
    newest: Option<String>,
    /// When all of them are offered again.
    again_at: Option<Instant>,
    /// What people have been told since everything was taken.
    told: BTreeSet<String>,
}

impl Refused {
    /// The registry answered `code` to this one; `message` says so in words.
    pub(super) fn add(
        &mut self,
        kind: ResourceType,
        id: Uuid,
        code: u16,
        message: String,
        now: Instant,
    ) {
        self.resources.insert((kind, id), code);
        self.newest = Some(message);
        self.again_at.get_or_insert_with(|| now + PAUSE);
    }

    /// It was taken, or is no more.
    pub(super) fn remove(&mut self, kind: ResourceType, id: Uuid) {
        let was_refused = self.resources.remove(&(kind, id)).is_some();
        if was_refused && self.resources.is_empty() {
            self.clear();
            self.told.clear();
        }
    }

    /// The registry is another one, or hears everything again.
    pub(super) fn clear(&mut self) {
        self.resources.clear();
        self.newest = None;
        self.again_at = None;
    }

    /// The registry has heard everything; when it took everything, the next refusal is news.
    pub(super) fn succeed(&mut self) {
        if self.resources.is_empty() {
            self.told.clear();
        }
    }

    /// Whether people have not been told so yet; from now on they have.
    pub(super) fn is_news(&mut self, reason: &str) -> bool {
        self.told.len() < TOLD_MAX && self.told.insert(reason.to_owned())
    }

    /// Whether it is time to offer all of them again.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.again_at.is_some_and(|again_at| again_at <= now);
        if is_due {
            self.again_at = Some(now + PAUSE);
        }
        is_due
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ResourceType, Uuid)> + '_ {
        self.resources.keys().copied()
    }

    /// The first few of them.
    pub(super) fn first(&self) -> Vec<RefusedResource> {
        let first = self.resources.iter().take(SHOWN_MAX);
        let first = first.map(|((kind, id), code)| RefusedResource {
            kind: kind.singular(),
            id: *id,
            code: *code,
        });
        first.collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.resources.len()
    }

    /// In words.
    pub(super) fn reason(&self) -> Option<String> {
        self.newest.clone()
    }
}

/// Before what was refused is offered again: what is wrong is wrong for longer than a moment.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

/// Of thousands the first ones tell as much, and everybody may ask for them.
const SHOWN_MAX: usize = 16;

/// A registry that gives another reason each time is heard so often.
const TOLD_MAX: usize = 16;
