//! Why a request to the Connection API was not carried out.

use std::sync::Arc;

use uuid::Uuid;

use super::params::Leg;
use crate::nmos::tai::{Tai, TaiError};
use crate::node::{Fault, NodeError};

/// Why a request to the Connection API was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// Something in the request is not legal; the text names field and value.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field, as a path into the body.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A scheduled activation waits; nothing but its end or its cancellation changes what is staged.
    #[error("an activation is scheduled for {0} (TAI); cancel it, or wait for it")]
    Locked(Tai),
    /// The node could not do it, and nothing has changed.
    #[error(transparent)]
    Node(#[from] Arc<NodeError>),
    /// There is none with this id.
    #[error("there is no {side} {id}")]
    NotFound {
        /// Sender or receiver.
        side: &'static str,
        /// What was asked for.
        id: String,
    },
    /// What was staged could not be written to disk, and nothing has changed.
    #[error("the state of the Connection API was not saved: {0}")]
    NotSaved(String),
}

impl From<NodeError> for ConnectionError {
    fn from(error: NodeError) -> Self {
        Self::Node(Arc::new(error))
    }
}

impl ConnectionError {
    /// A field that is not legal.
    pub(super) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// A field with a time that is not legal.
    pub(super) fn time(error: &TaiError) -> Self {
        Self::invalid("activation.requested_time", error.to_string())
    }

    /// There is no sender or receiver with this id.
    pub(super) fn not_found<L: Leg>(id: Uuid) -> Self {
        Self::NotFound {
            side: L::SIDE,
            id: id.to_string(),
        }
    }

    /// The status that answers it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid { .. } => 400,
            Self::Locked(_) => 423,
            Self::Node(error) => match error.fault() {
                Fault::Request => 400,
                Fault::NotFound => 404,
                Fault::Conflict | Fault::Node => 500,
            },
            Self::NotFound { .. } => 404,
            Self::NotSaved(_) => 500,
        }
    }
}
