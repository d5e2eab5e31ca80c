//! The data plane's coming and going as events, and the pace at which its rings are read.

use std::sync::Weak;
use std::time::Duration;

use bilbycast_shm_proto::event::{Category, Severity};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Events, Notice};
use crate::link::{LinkState, Session};
use crate::node::Node;

/// Follows the data plane for as long as the node lives.
pub(crate) async fn follow(node: Weak<Node>, mut link: watch::Receiver<LinkState>) {
    let mut poll = interval(POLL_PERIOD);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::NothingSince(Instant::now());
    loop {
        let is_news = tokio::select! {
            changed = link.changed() => match changed {
                Ok(()) => true,
                Err(_) => return,
            },
            _ = poll.tick() => false,
        };
        let Some(node) = node.upgrade() else {
            return;
        };
        if is_news {
            let state = link.borrow_and_update().clone();
            told = told.tell(node.events(), &state);
        } else {
            told = told.look(&node);
        }
    }
}

/// What was told last.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// This session.
    Connected(u64),
    /// That the data plane is lost.
    Lost,
    /// That it lives, and nobody is connected to it.
    RunsOn,
    /// Nothing, since the start of this process.
    NothingSince(Instant),
}

impl Told {
    fn tell(self, events: &Events, state: &LinkState) -> Self {
        match state {
            LinkState::Connected(session) => {
                if matches!(self, Self::Connected(number) if number == session.number()) {
                    return self;
                }
                // It was lost and found again before anybody looked.
                if matches!(self, Self::Connected(_)) {
                    events.raise(lost("the connection was interrupted"));
                }
                events.follow_run(session.welcome().boot_id);
                events.raise(connected(session));
                Self::Connected(session.number())
            }
            LinkState::Lost { reason, .. } => {
                let is_new = match self {
                    Self::Connected(_) => true,
                    Self::Lost | Self::RunsOn => false,
                    Self::NothingSince(start) => start.elapsed() >= START_GRACE,
                };
                if is_new {
                    events.raise(lost(reason));
                    Self::Lost
                } else {
                    self
                }
            }
        }
    }

    /// Reads what the data plane tells, and sees whether one that is lost lives.
    fn look(self, node: &Node) -> Self {
        let events = node.events();
        match self {
            Self::Connected(_) => {
                events.poll();
                self
            }
            Self::Lost => match node.uncontrolled_run() {
                Some(boot_id) => {
                    events.follow_run(boot_id);
                    events.raise(runs_on());
                    Self::RunsOn
                }
                None => self,
            },
            Self::RunsOn if node.uncontrolled_run().is_none() => {
                events.raise(lost("it gives no sign of life any more"));
                Self::Lost
            }
            Self::RunsOn => {
                events.poll();
                self
            }
            Self::NothingSince(_) => self,
        }
    }
}

fn runs_on() -> Notice {
    Notice::new(
        Severity::Warning,
        Category::DataPlane,
        "the data plane runs on without control: its flows are as they were, and changes wait until it is restarted \
         or can be reached",
    )
}

fn connected(session: &Session) -> Notice {
    let welcome = session.welcome();
    Notice::new(
        Severity::Info,
        Category::DataPlane,
        format!("data plane {} connected", welcome.software_version),
    )
    .with("pid", welcome.pid)
    .with("cores", welcome.cores.clone())
}

fn lost(reason: &str) -> Notice {
    Notice::new(
        Severity::Critical,
        Category::DataPlane,
        format!("data plane lost: {reason}"),
    )
}

/// Often enough for people who watch, and for a ring of 1,024 events to hold 5,000 events a second.
const POLL_PERIOD: Duration = Duration::from_millis(200);

/// How long the data plane may take to come up beside this process before its absence is an alarm.
const START_GRACE: Duration = Duration::from_secs(3);
