//! What goes into the machine and comes out of it.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::super::registry::Registry;
use crate::nmos::resources::Resource;

/// Who registers.
#[derive(Clone, Debug)]
pub(in super::super) struct Identity {
    /// Id of the node.
    pub(in super::super) node_id: Uuid,
    /// `http` or `https`, what this node and so its registry speak.
    pub(in super::super) protocol: &'static str,
    /// Whether the node is announced to peers while no registry has it.
    pub(in super::super) is_peer: bool,
    /// How registries are found, in a message: `by mDNS`.
    pub(in super::super) way: &'static str,
}

/// What the machine wants.
#[derive(Debug)]
pub(in super::super) enum Output {
    /// Announce the node to peers, with these counters, instead of what was announced before.
    Advertise([u8; 6]),
    /// It has ended; there is nothing more to come.
    Ended,
    /// Call a registry.
    Send(Call),
    /// Tell people.
    Tell(Report),
    /// Nothing, until this moment if any.
    Wait(Option<Instant>),
    /// End the announcement, before anything else is done.
    Withdraw,
}

/// A call to a registry.
#[derive(Clone, Debug)]
pub(in super::super) struct Call {
    pub(in super::super) verb: Verb,
    pub(in super::super) url: String,
    /// What is posted; absent: an empty body.
    pub(in super::super) body: Option<Arc<Resource>>,
    pub(in super::super) registry: Arc<Registry>,
}

/// Methods of HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Verb {
    Delete,
    Post,
}

/// What became of a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) enum Answer {
    /// There was none.
    Failed(String),
    /// A status, and what else matters of the answer.
    Status {
        code: u16,
        location: Option<String>,
        /// The error in words, if there are any.
        detail: String,
    },
}

/// Something for people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Report {
    pub(in super::super) weight: Weight,
    pub(in super::super) message: String,
}

/// How much a report matters. What is found, what stands in the way and what changes where the node stands is an event,
/// once for each reason; all else is for the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Weight {
    Detail,
    Step,
    Problem,
    Event,
    BadEvent,
}
