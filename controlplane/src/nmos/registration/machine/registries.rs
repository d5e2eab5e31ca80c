//! The registries that are known, and in which order they are tried.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::SeenRegistry;
use super::super::registry::Registry;
use crate::nmos::tai::Tai;

/// All registries that may be used, best first, and how they have behaved.
#[derive(Debug, Default)]
pub(super) struct Registries {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    registry: Arc<Registry>,
    /// In a row.
    failures: u32,
    failed_at: Option<Instant>,
    /// When it may be tried again.
    retry_at: Option<Instant>,
    /// The version of the node resource that it does not take.
    refused: Option<Tai>,
    /// What was last wrong with it, since it was of use.
    trouble: Option<String>,
    /// What people have been told of it since then.
    told: BTreeSet<String>,
}

impl Registries {
    /// From now on there are these. How one behaved is remembered as long as it stays the same.
    pub(super) fn set(&mut self, registries: Vec<Registry>) {
        let mut old = std::mem::take(&mut self.known);
        for registry in registries {
            let place = old
                .iter()
                .position(|known| known.registry.is_same(&registry));
            self.known.push(match place {
                Some(place) => Known {
                    registry: Arc::new(registry),
                    ..old.swap_remove(place)
                },
                None => Known {
                    registry: Arc::new(registry),
                    failures: 0,
                    failed_at: None,
                    retry_at: None,
                    refused: None,
                    trouble: None,
                    told: BTreeSet::new(),
                },
            });
        }
        // A stable sort: of two with one priority, the one that was found first.
        self.known.sort_by_key(|known| known.registry.priority());
    }

    /// All of them, best first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Registry>> {
        self.known.iter().map(|known| &known.registry)
    }

    /// The one whose service instance has this name.
    pub(super) fn named(&self, name: &str) -> Option<Registry> {
        let mut all = self.iter();
        let known = all.find(|registry| registry.name() == name);
        known.map(|registry| Registry::clone(registry))
    }

    /// All of them for people, best first.
    pub(super) fn seen(&self) -> impl Iterator<Item = SeenRegistry> + '_ {
        self.known.iter().map(|known| SeenRegistry {
            name: known.registry.to_string(),
            priority: Some(known.registry.priority()),
            taken: true,
            why: known.trouble.clone(),
        })
    }

    /// The one to try now: by priority, but those that failed not long ago only after the others, so that one that
    /// never answers does not cost its timeout at every change.
    pub(super) fn pick(&self, now: Instant, node: Tai) -> Option<Arc<Registry>> {
        let is_ready = |known: &&Known| {
            let is_changed = known.refused.is_some_and(|refused| refused != node);
            is_changed || known.retry_at.is_none_or(|retry_at| retry_at <= now)
        };
        let ready = self.known.iter().filter(is_ready);
        let best = ready.min_by_key(|known| {
            let failed_at = known.failed_at.filter(|_| known.failures > 0);
            failed_at.is_some_and(|failed_at| now < failed_at + FORGIVEN_AFTER)
        });
        best.map(|known| Arc::clone(&known.registry))
    }

    /// When [`pick`](Self::pick) has something again that it has not now.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.known.iter().filter_map(|known| known.retry_at).min()
    }

    /// It did not answer, or not as a registry does. `spread` (0-255) is this node's own, so that not all nodes of a
    /// plant come back at the same moment.
    pub(super) fn fail(&mut self, registry: &Registry, now: Instant, spread: u8) {
        if let Some(known) = self.find(registry) {
            let pause = RETRY_MIN.saturating_mul(1 << known.failures.min(DOUBLINGS_MAX));
            known.failures = known.failures.saturating_add(1);
            known.failed_at = Some(now);
            known.retry_at = Some(now + spread_out(pause.min(RETRY_MAX), spread));
            known.refused = None;
        }
    }

    /// It does not take the node resource of this version, and is asked again when there is another, or after the
    /// longest pause: it may have been mended.
    pub(super) fn refuse(&mut self, registry: &Registry, node: Tai, now: Instant, spread: u8) {
        if let Some(known) = self.find(registry) {
            known.retry_at = Some(now + spread_out(RETRY_MAX, spread));
            known.refused = Some(node);
        }
    }

    /// Remembers what is wrong with it. Whether people have not been told so since it was last of use; from now on they
    /// have.
    pub(super) fn complain(&mut self, registry: &Registry, trouble: &str) -> bool {
        let Some(known) = self.find(registry) else {
            // It is no longer advertised, and fails for the last time.
            return true;
        };
        known.trouble = Some(trouble.to_owned());
        known.told.len() < TOLD_MAX && known.told.insert(trouble.to_owned())
    }

    /// It answered as a registry does.
    pub(super) fn succeed(&mut self, registry: &Registry) {
        if let Some(known) = self.find(registry) {
            known.failures = 0;
            known.failed_at = None;
            known.retry_at = None;
            known.refused = None;
            known.trouble = None;
            known.told.clear();
        }
    }

    fn find(&mut self, registry: &Registry) -> Option<&mut Known> {
        let mut known = self.known.iter_mut();
        known.find(|known| known.registry.is_same(registry))
    }
}

fn spread_out(pause: Duration, spread: u8) -> Duration {
    pause + pause * u32::from(spread) / SPREAD_SHARE
}

/// The first pause before a registry that failed is tried again; each further one is twice as long.
pub(super) const RETRY_MIN: Duration = Duration::from_secs(1);

/// The longest pause.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(60);

/// Enough to get from the shortest pause to the longest.
const DOUBLINGS_MAX: u32 = 6;

/// 255 of this is a quarter of a pause.
const SPREAD_SHARE: u32 = 1_024;

/// How long a failure puts a registry behind the others.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// A registry that fails in another way each time is heard so often.
const TOLD_MAX: usize = 8;
