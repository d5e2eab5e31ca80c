//! Why the node did not do what was asked.

use std::borrow::Cow;
use std::fmt;

use bilbycast_shm_proto::control::{ControlError, ControlErrorKind};

use crate::config::{ConfigError, StoreError};

/// Why the node did not do what was asked. The texts are those of the API reference.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The flow runs already.
    #[error("Flow '{0}' is already running")]
    AlreadyRunning(String),
    /// The operation needs the data plane.
    #[error("the data plane is not connected: {0}")]
    DataPlaneLost(String),
    /// The data plane refused, and nothing was changed.
    #[error("{}", named(flow_id, &source.message))]
    Engine {
        /// The flow.
        flow_id: String,
        /// What the data plane says.
        source: ControlError,
        /// Whether a definition in the request is what it refused.
        defined_in_request: bool,
    },
    /// The id is taken.
    #[error("Flow '{0}' already exists")]
    FlowExists(String),
    /// No such flow.
    #[error("Flow '{0}' not found")]
    FlowNotFound(String),
    /// The configuration is in force and saved, but not every flow runs as it says.
    #[error("the configuration was applied, but some flows failed to start: {0}")]
    FlowsFailed(FailedFlows),
    /// A defect of the control plane.
    #[error("the change ended unexpectedly; see the log")]
    Internal,
    /// The configuration in the request is not legal.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// The flow does not run.
    #[error("Flow '{0}' is not running")]
    NotRunning(String),
    /// The id is taken.
    #[error("Output '{output_id}' already exists in flow '{flow_id}'")]
    OutputExists {
        /// The flow.
        flow_id: String,
        /// The output.
        output_id: String,
    },
    /// No such output.
    #[error("Output '{output_id}' not found in flow '{flow_id}'")]
    OutputNotFound {
        /// The flow.
        flow_id: String,
        /// The output.
        output_id: String,
    },
    /// The configuration could not be read or saved.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Flows that failed, and why.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FailedFlows(pub Vec<(String, String)>);

impl fmt::Display for FailedFlows {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (flow_id, reason)) in self.0.iter().take(NAMED_MAX).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(out, "{separator}{}", named(flow_id, reason))?;
        }
        match self.0.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(out, "; and {more} more"),
        }
    }
}

/// The reason with the flow's name in front, unless it names the flow itself.
fn named<'a>(flow_id: &str, reason: &'a str) -> Cow<'a, str> {
    if reason.contains(&format!("'{flow_id}'")) {
        Cow::Borrowed(reason)
    } else {
        Cow::Owned(format!("Flow '{flow_id}': {reason}"))
    }
}

/// Failed flows that a message names; the log has them all.
const NAMED_MAX: usize = 10;

/// Whose fault a [`NodeError`] is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The request contradicts what is there.
    Conflict,
    /// The request names something that is not there.
    NotFound,
    /// What the request says is not legal.
    Request,
    /// The node, its data plane or its disk.
    Node,
}

impl NodeError {
    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::AlreadyRunning(_)
            | Self::FlowExists(_)
            | Self::NotRunning(_)
            | Self::OutputExists { .. } => Fault::Conflict,
            Self::FlowNotFound(_) | Self::OutputNotFound { .. } => Fault::NotFound,
            Self::Invalid(_) | Self::Store(StoreError::Invalid(_)) => Fault::Request,
            Self::Engine {
                source,
                defined_in_request: true,
                ..
            } if matches!(
                source.kind,
                ControlErrorKind::Malformed | ControlErrorKind::Unsupported
            ) =>
            {
                Fault::Request
            }
            Self::DataPlaneLost(_)
            | Self::Engine { .. }
            | Self::FlowsFailed(_)
            | Self::Internal
            | Self::Store(_) => Fault::Node,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_are_named_once_each_and_counted() {
        let failed = (0..12).map(|index| (format!("f{index}"), "in use".to_owned()));
        let mut failed = FailedFlows(failed.collect());
        failed.0[1].1 = "flow 'f1': in use".to_owned();
        let text = failed.to_string();
        assert!(
            text.starts_with("Flow 'f0': in use; flow 'f1': in use; "),
            "{text}"
        );
        assert!(text.ends_with("Flow 'f9': in use; and 2 more"), "{text}");
    }
}
