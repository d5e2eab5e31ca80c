//! What the answers of a registry mean.

use std::sync::Arc;
use std::time::Instant;

use super::super::registry::{Registry, is_older};
use super::{Answer, Job, Machine, Output, Stage, Step, Weight};
use crate::nmos::resources::{Resource, ResourceType};

/// An answer, by what it means for whoever called.
enum Verdict {
    Good(u16),
    /// The thing in question is not there.
    Missing,
    /// It is there under another version of the API.
    Conflict(Option<String>),
    /// The registry is not willing.
    Refused {
        code: u16,
        words: String,
    },
    /// The registry is of no use at the moment.
    Broken(String),
}

impl From<Answer> for Verdict {
    fn from(answer: Answer) -> Self {
        let (code, location, detail) = match answer {
            Answer::Failed(reason) => return Self::Broken(reason),
            Answer::Status {
                code,
                location,
                detail,
            } => (code, location, detail),
        };
        let words = match detail.is_empty() {
            true => format!("it answers {code}"),
            false => format!("it answers {code}, \"{detail}\""),
        };
        match code {
            200..=299 => Self::Good(code),
            404 => Self::Missing,
            409 => Self::Conflict(location),
            // Too slow, or too often: not the fault of what was sent.
            408 | 429 => Self::Broken(words),
            400..=499 => Self::Refused { code, words },
            // Redirects are not followed: an API is where it is advertised.
            _ => Self::Broken(words),
        }
    }
}

impl Machine {
    /// Takes the answer to `step`, which was sent to `registry` at `sent_at`.
    pub(super) fn digest(
        &mut self,
        step: Step,
        answer: Answer,
        registry: &Arc<Registry>,
        sent_at: Instant,
        now: Instant,
    ) {
        let verdict = match Verdict::from(answer) {
            Verdict::Broken(reason) => return self.fail(registry, reason, now),
            other => other,
        };
        match step {
            Step::Clear => match verdict {
                Verdict::Good(_) | Verdict::Missing => self.stage = Stage::Join { is_clean: true },
                other => self.fail(
                    registry,
                    format!("the node cannot be deleted: {}", words(other)),
                    now,
                ),
            },
            Step::Displace => {
                // The node is registered under one version only.
                if matches!(verdict, Verdict::Good(_)) {
                    self.stage = Stage::Join { is_clean: true };
                }
            }
            Step::Heartbeat => self.digest_heartbeat(verdict, registry, sent_at, now),
            Step::Job(job) => self.digest_job(job, verdict, registry, now),
            Step::Join { is_clean, node } => {
                self.digest_node(&node, is_clean, verdict, registry, sent_at, now);
            }
        }
    }

    fn digest_heartbeat(
        &mut self,
        verdict: Verdict,
        registry: &Arc<Registry>,
        sent_at: Instant,
        now: Instant,
    ) {
        match verdict {
            Verdict::Good(_) => {
                self.last_good = Some(sent_at);
                self.has_beaten = true;
                if matches!(self.stage, Stage::Probe) {
                    self.become_member();
                }
            }
            Verdict::Missing => {
                let message =
                    format!("registry {registry} does not know this node; registering again");
                // A registry that forgets every time is no news every time.
                let is_forgotten = std::mem::take(&mut self.has_beaten);
                let weight = if is_forgotten {
                    Weight::BadEvent
                } else {
                    Weight::Step
                };
                self.tell(weight, message);
                self.start_again(Stage::Join { is_clean: false });
            }
            Verdict::Conflict(location) if !self.is_displaced => {
                self.displace(registry, location.as_deref());
            }
            other => self.fail(
                registry,
                format!("it takes no heartbeat: {}", words(other)),
                now,
            ),
        }
    }

    fn digest_node(
        &mut self,
        node: &Arc<Resource>,
        is_clean: bool,
        verdict: Verdict,
        registry: &Arc<Registry>,
        sent_at: Instant,
        now: Instant,
    ) {
        match verdict {
            Verdict::Good(200) if !is_clean && self.hurry_at.is_none() => {
                let message =
                    format!("registry {registry} had this node from an earlier run: deleting that");
                self.tell(Weight::Step, message);
                self.stage = Stage::Clear;
            }
            Verdict::Good(_) => {
                self.last_good = Some(sent_at);
                self.backlog.hear(&Job::Post(Arc::clone(node)));
                self.become_member();
            }
            Verdict::Missing => {
                let reason = "it has no Registration API of this version there (404)";
                self.fail(registry, reason.to_owned(), now);
            }
            Verdict::Conflict(location) if !self.is_displaced => {
                self.displace(registry, location.as_deref());
            }
            other if other.is_about_content() => {
                let spread = self.spread();
                self.registries
                    .refuse(registry, node.version(), now, spread);
                self.give_up(registry, &refusal(other));
            }
            // Who may register, and whose node this is, is settled elsewhere, and without a change of the node.
            other => self.fail(registry, refusal(other), now),
        }
    }

    fn digest_job(&mut self, job: Job, verdict: Verdict, registry: &Arc<Registry>, now: Instant) {
        match (verdict, &job) {
            (Verdict::Good(201), Job::Post(resource)) if resource.kind() == ResourceType::Node => {
                // Created, where it should have been there: the registry has lost the node in between.
                let message =
                    format!("registry {registry} did not know this node; registering all of it");
                self.tell(Weight::BadEvent, message);
                self.backlog.forget();
                self.refused.clear();
                self.is_stale = true;
                self.backlog.hear(&job);
            }
            (Verdict::Good(_), _) | (Verdict::Missing, Job::Delete(..)) => {
                self.backlog.hear(&job);
                self.refused.remove(job.kind(), job.id());
                if let Job::Post(resource) = &job {
                    self.tell(
                        Weight::Detail,
                        format!("registry {registry} has {}", shown(resource)),
                    );
                }
            }
            (Verdict::Missing, Job::Post(_)) => {
                let reason = "it has no Registration API of this version there (404)";
                self.fail(registry, reason.to_owned(), now);
            }
            (Verdict::Conflict(location), Job::Post(_)) if !self.is_displaced => {
                self.displace(registry, location.as_deref());
            }
            (other, _) => {
                // The same again would be refused again, at least for a while; another version of it may not be.
                self.backlog.hear(&job);
                let code = other.code();
                let subject = match &job {
                    Job::Delete(kind, id) => format!("the removal of {} {id}", kind.singular()),
                    Job::Post(resource) => shown(resource),
                };
                let words = words(other);
                let message = format!("registry {registry} refuses {subject}: {words}");
                match &job {
                    Job::Delete(kind, id) => self.refused.remove(*kind, *id),
                    Job::Post(resource) => {
                        let (kind, id) = (resource.kind(), resource.id());
                        self.refused.add(kind, id, code, message.clone(), now);
                    }
                }
                // One reason may hold for thousands of resources.
                let reason = format!("{registry} {} {words}", job.kind().singular());
                let weight = match self.refused.is_news(&reason) {
                    true => Weight::BadEvent,
                    false => Weight::Problem,
                };
                self.tell(weight, message);
            }
        }
    }

    fn become_member(&mut self) {
        self.withdraw();
        self.stage = Stage::Member { is_complete: false };
        self.is_stale = true;
    }

    /// Unregisters what is there under older versions of the API.
    fn displace(&mut self, registry: &Arc<Registry>, location: Option<&str>) {
        let named = location.and_then(|location| {
            let (_, rest) = location.split_once("/registration/")?;
            let version = rest.split('/').next()?;
            is_older(version).then(|| version.to_owned())
        });
        let mut versions = named.map_or_else(|| registry.older_versions(), |version| vec![version]);
        let reason = format!(
            "it has this node under another version of the API: unregistering {}",
            versions.join(", ")
        );
        self.complain(registry, &reason);
        versions.reverse();
        self.is_displaced = true;
        self.start_again(Stage::Displace { versions });
    }

    fn start_again(&mut self, stage: Stage) {
        self.backlog.forget();
        self.refused.clear();
        self.stage = stage;
    }

    fn fail(&mut self, registry: &Arc<Registry>, reason: String, now: Instant) {
        let spread = self.spread();
        self.registries.fail(registry, now, spread);
        self.give_up(registry, &reason);
    }

    fn give_up(&mut self, registry: &Arc<Registry>, reason: &str) {
        let failure = self.complain(registry, reason);
        self.stand_down(failure);
    }

    /// Tells what is wrong with a registry: once, until it has been of use.
    fn complain(&mut self, registry: &Registry, reason: &str) -> String {
        let weight = match self.registries.complain(registry, reason) {
            true => Weight::BadEvent,
            false => Weight::Problem,
        };
        let message = format!("registry {registry}: {reason}");
        self.tell(weight, message.clone());
        message
    }

    const fn spread(&self) -> u8 {
        self.identity.node_id.as_bytes()[15]
    }

    fn stand_down(&mut self, failure: String) {
        self.failure = Some(failure);
        self.stage = Stage::Idle;
        self.current = None;
        if self.hurry_at.is_some() && !self.has_ended {
            self.has_ended = true;
            self.outputs.push_back(Output::Ended);
        }
    }
}

impl Verdict {
    /// Whether the call itself is wrong, so that it would be wrong again.
    const fn is_about_content(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                code: 400 | 413 | 415 | 422,
                ..
            }
        )
    }

    /// The status; 0 where there was none.
    const fn code(&self) -> u16 {
        match self {
            Self::Broken(_) => 0,
            Self::Conflict(_) => 409,
            Self::Good(code) | Self::Refused { code, .. } => *code,
            Self::Missing => 404,
        }
    }
}

fn refusal(verdict: Verdict) -> String {
    format!("it refuses this node: {}", words(verdict))
}

fn words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Broken(words) | Verdict::Refused { words, .. } => words,
        Verdict::Conflict(_) => {
            "it answers 409, though older versions have been unregistered".to_owned()
        }
        Verdict::Good(code) => format!("it answers {code}"),
        Verdict::Missing => "it answers 404".to_owned(),
    }
}

fn shown(resource: &Resource) -> String {
    let kind = resource.kind().singular();
    format!("{kind} {} at version {}", resource.id(), resource.version())
}
