//! The staged and the active side of one sender or receiver: a state machine without a clock, a disk or a network.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::activation::{self, Happened, Mode, Scheduled, Wish, unexpected};
use super::error::ConnectionError;
use super::params::{Leg, Reach, to_json};
use super::settings::{Settings, Told};
use crate::nmos::sdp;
use crate::nmos::tai::Tai;

/// What the configuration says of a sender or receiver, as transport parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Configured<L> {
    /// Whether it is switched on.
    pub master_enable: bool,
    /// Leg 1, and leg 2 of ST 2022-7.
    pub legs: Vec<L>,
}

/// What was activated last, as far as the configuration does not say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied<L> {
    /// Id of the other end.
    pub peer: Option<Uuid>,
    /// The transport file, of a receiver.
    pub transport_file: Option<String>,
    /// Its activation; absent before the first.
    pub activation: Option<Happened>,
    /// Its parameters: what of them the configuration has no place for is taken from here.
    pub legs: Vec<L>,
    /// Fields of the configuration that activations took out or replaced, to be put back.
    pub removed: Map<String, Value>,
}

/// The staged and the active side of a sender or receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint<L> {
    /// What the configuration said when this followed it last.
    seen: Configured<L>,
    staged: Settings<L>,
    scheduled: Option<Scheduled>,
    applied: Applied<L>,
}

/// What a PATCH leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Patched<L> {
    /// Everything of it is in this.
    Staged(Endpoint<L>),
    /// As [`Self::Staged`], and an activation is scheduled in it.
    Scheduled(Endpoint<L>),
    /// These are to be activated now; [`Endpoint::activated`] is what comes of it
    Activate(Endpoint<L>),
}

impl<L> Patched<L> {
    /// What is staged then.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint<L> {
        match self {
            Self::Staged(next) | Self::Scheduled(next) | Self::Activate(next) => next,
        }
    }
}

impl<L: Leg> Endpoint<L> {
    /// That of something that nobody has connected yet.
    #[must_use]
    pub fn new(configured: Configured<L>) -> Self {
        Self {
            staged: Settings::of(&configured),
            seen: configured,
            scheduled: None,
            applied: Applied {
                peer: None,
                transport_file: None,
                activation: None,
                legs: Vec::new(),
                removed: Map::new(),
            },
        }
    }

    /// What was saved of it.
    pub(super) const fn restored(
        seen: Configured<L>,
        staged: Settings<L>,
        scheduled: Option<Scheduled>,
        applied: Applied<L>,
    ) -> Self {
        Self {
            seen,
            staged,
            scheduled,
            applied,
        }
    }

    /// What is staged.
    #[must_use]
    pub const fn staged(&self) -> &Settings<L> {
        &self.staged
    }

    /// The activation that waits.
    #[must_use]
    pub const fn scheduled(&self) -> Option<&Scheduled> {
        self.scheduled.as_ref()
    }

    /// What was activated last.
    #[must_use]
    pub const fn applied(&self) -> &Applied<L> {
        &self.applied
    }

    /// What the configuration said last.
    #[must_use]
    pub const fn seen(&self) -> &Configured<L> {
        &self.seen
    }

    /// Takes note of what the configuration says now. When somebody else has changed it, that is staged too, whom this
    /// was connected with is no longer known, and an activation that waits is cancelled, for it was asked for by
    /// somebody who knew another configuration: that activation is returned.
    pub fn follow(&mut self, configured: Configured<L>) -> Option<Scheduled> {
        if self.seen == configured {
            return None;
        }
        self.staged = Settings::of(&configured);
        self.applied.peer = None;
        self.applied.transport_file = None;
        self.seen = configured;
        self.scheduled.take()
    }

    /// What `body`, a PATCH of `staged`, makes of this at the time `now`.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Invalid`], [`ConnectionError::Locked`].
    pub fn patch(
        &self,
        body: &Value,
        reach: &Reach,
        now: Tai,
    ) -> Result<Patched<L>, ConnectionError>
    where
        L: Told,
    {
        let Some(body) = body.as_object() else {
            return Err(unexpected("the body", body, "an object"));
        };
        let wish = activation::wish(body.get("activation"))?;
        let mut next = self.clone();
        match (wish, self.scheduled) {
            (Some(Wish::Cancel), _) => next = next.given_up(),
            (_, Some(scheduled)) => return Err(ConnectionError::Locked(scheduled.due)),
            _ => {}
        }
        next.staged.change(body, reach)?;
        let (mode, requested, due) = match wish {
            None | Some(Wish::Cancel) => return Ok(Patched::Staged(next)),
            Some(Wish::Immediate) => {
                next.staged.check()?;
                return Ok(Patched::Activate(next));
            }
            Some(Wish::Absolute(time)) => (Mode::Absolute, time, time),
            Some(Wish::Relative(offset)) => (
                Mode::Relative,
                Tai::default().plus(offset),
                now.plus(offset),
            ),
        };
        next.staged.check()?;
        next.scheduled = Some(Scheduled {
            mode,
            requested,
            due,
        });
        Ok(Patched::Scheduled(next))
    }

    /// What this is after what is staged was activated at the time `now`, which took `removed` out of the
    /// configuration; [`Self::settled`] has to follow.
    #[must_use]
    pub fn activated(mut self, removed: Map<String, Value>, now: Tai) -> Self {
        let scheduled = self.scheduled.take();
        self.applied = Applied {
            removed,
            peer: self.staged.peer,
            transport_file: self.staged.transport_file.clone(),
            activation: Some(Happened {
                mode: scheduled.map_or(Mode::Immediate, |scheduled| scheduled.mode),
                requested: scheduled.map(|scheduled| scheduled.requested),
                at: now,
            }),
            legs: self.staged.legs.clone(),
        };
        self
    }

    /// What this is when its own activation is why the configuration says `configured`.
    #[must_use]
    pub fn settled(mut self, configured: Configured<L>) -> Self {
        self.seen = configured;
        self
    }

    /// What this is after its scheduled activation failed, or was cancelled by whoever asked for it.
    #[must_use]
    pub fn given_up(mut self) -> Self {
        self.scheduled = None;
        self
    }

    /// The staged endpoint.
    #[must_use]
    pub fn staged_json(&self) -> Value {
        let activation = self
            .scheduled
            .map_or_else(activation::none, Scheduled::to_json);
        let Settings {
            peer,
            master_enable,
            transport_file,
            legs,
        } = &self.staged;
        shown(
            *peer,
            *master_enable,
            transport_file.as_deref(),
            activation,
            legs,
        )
    }

    /// The staged endpoint in the answer to the request that activated it at once.
    #[must_use]
    pub fn activated_json(&self) -> Value {
        let mut staged = self.staged_json();
        if let Some(happened) = self.applied.activation {
            staged["activation"] = happened.to_json();
        }
        staged
    }

    /// The active endpoint, whose parameters are `legs`; `is_on` is `master_enable` of a flow that runs.
    #[must_use]
    pub fn active_json(&self, is_on: bool, legs: &[L]) -> Value {
        let Applied {
            peer,
            transport_file,
            activation,
            ..
        } = &self.applied;
        let activation = activation.map_or_else(activation::none, Happened::to_json);
        shown(*peer, is_on, transport_file.as_deref(), activation, legs)
    }
}

fn shown<L: Leg>(
    peer: Option<Uuid>,
    master_enable: bool,
    transport_file: Option<&str>,
    activation: Value,
    legs: &[L],
) -> Value {
    let legs: Vec<_> = legs.iter().map(to_json).collect();
    let mut shown = json!({
        L::PEER: peer,
        "master_enable": master_enable,
        "activation": activation,
        "transport_params": legs,
    });
    if L::HAS_TRANSPORT_FILE {
        let kind = transport_file.map(|_| sdp::MEDIA_TYPE);
        shown["transport_file"] = json!({"data": transport_file, "type": kind});
    }
    shown
}
