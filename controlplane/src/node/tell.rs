//! What the node tells about itself (configuration.md 13).

use bilbycast_shm_proto::control::{ControlError, ControlErrorKind};
use bilbycast_shm_proto::event::{Category, Severity};

use super::{Node, NodeError};
use crate::config::{
    ConfigError, FlowConfig, InputConfig, PATH_DIFFERENTIAL_MS_DEFAULT, SrtLegConfig,
};
use crate::events::Notice;

/// A flow that does not run as configured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) flow_id: String,
    pub(super) reason: String,
    /// For programs; absent where configuration.md 13 names none.
    pub(super) code: Option<&'static str>,
}

impl Failure {
    /// The data plane refuses it.
    pub(super) fn of(flow_id: &str, error: ControlError) -> Self {
        Self {
            flow_id: flow_id.to_owned(),
            code: error_code(error.kind),
            reason: error.message,
        }
    }

    /// Its configuration cannot be carried out.
    pub(super) fn impossible(flow_id: &str, error: &ConfigError) -> Self {
        Self {
            flow_id: flow_id.to_owned(),
            reason: error.to_string(),
            code: Some(error.error_code()),
        }
    }
}

impl Node {
    /// A configuration is in force and saved.
    pub(super) fn tell_config(&self, flow_id: Option<&str>, what: &str) {
        tracing::info!("{}", what.escape_debug());
        let message = format!("configuration applied: {what}");
        let notice = Notice::new(Severity::Info, Category::Config, message);
        self.events.raise(match flow_id {
            Some(flow_id) => notice.of_flow(flow_id),
            None => notice,
        });
        let config = self.config();
        let changed = config
            .flows
            .iter()
            .filter(|flow| flow_id.is_none_or(|flow_id| flow.id == flow_id));
        for flow in changed {
            self.warn_of_matrices(flow);
            self.warn_of_latencies(flow);
        }
    }

    /// SRT legs that are too far apart for their merge, whatever the networks do.
    fn warn_of_latencies(&self, flow: &FlowConfig) {
        let InputConfig::Srt(srt) = &flow.input else {
            return;
        };
        let Some(second) = &srt.redundancy else {
            return;
        };
        let latencies = [&srt.leg, &second.leg].map(SrtLegConfig::receive_latency_ms);
        let differential = second
            .path_differential_ms
            .unwrap_or(PATH_DIFFERENTIAL_MS_DEFAULT);
        if latencies[0].abs_diff(latencies[1]) <= u64::from(differential) {
            return;
        }
        let message = format!(
            "flow '{}', input: the SRT legs have latencies of {} ms and {} ms, which are further apart than \
             path_differential_ms, {differential}: what the later leg alone brings comes too late",
            flow.id, latencies[0], latencies[1]
        );
        tracing::warn!("{}", message.escape_debug());
        let notice = Notice::new(Severity::Warning, Category::Config, message);
        self.events.raise(notice.of_flow(&flow.id));
    }

    /// FEC matrices that work here and that another receiver may refuse (configuration.md 7.3).
    fn warn_of_matrices(&self, flow: &FlowConfig) {
        for (end, fec) in flow.fec_matrices() {
            if !fec.is_beyond_the_standard() {
                continue;
            }
            let message = format!(
                "flow '{}', {end}: an FEC matrix of {} columns and {} rows is beyond SMPTE ST 2022-1, other equipment \
                 may not take it",
                flow.id, fec.columns, fec.rows
            );
            tracing::warn!("{}", message.escape_debug());
            let notice = Notice::new(Severity::Warning, Category::Config, message);
            self.events.raise(notice.of_flow(&flow.id));
        }
    }

    /// A configuration could not be saved, and is not in force.
    pub(super) fn tell_not_saved(&self, error: &NodeError) {
        let message = format!("the configuration was not saved: {error}");
        self.events
            .raise(Notice::new(Severity::Warning, Category::Config, message));
    }

    /// A data plane that had been away was brought to the configuration.
    pub(super) fn tell_reconciled(&self, started: usize, stopped: usize, failed: usize) {
        let message = format!(
            "flows applied again: {started} started or changed, {stopped} stopped, {failed} failed"
        );
        self.events.raise(
            Notice::new(Severity::Info, Category::DataPlane, message)
                .with("started", started)
                .with("stopped", stopped)
                .with("failed", failed),
        );
    }

    /// A flow does not run as configured, which was not so, or for another reason.
    pub(super) fn tell_failure(&self, failure: &Failure) {
        let Failure {
            flow_id,
            reason,
            code,
        } = failure;
        let message = format!("flow '{flow_id}' failed to start: {reason}");
        let notice = Notice::new(Severity::Critical, Category::Flow, message).of_flow(flow_id);
        self.events.raise(match code {
            Some(code) => notice.with("error_code", *code),
            None => notice,
        });
    }

    /// An operator wanted to start a flow in vain. That it runs already, or that there is none, is no failure.
    pub(super) fn tell_start<T>(&self, flow_id: &str, result: &Result<T, NodeError>) {
        let failure = match result {
            Err(NodeError::Engine { source, .. }) => Failure::of(flow_id, source.clone()),
            Err(NodeError::Invalid(error)) => Failure::impossible(flow_id, error),
            Ok(_) | Err(_) => return,
        };
        self.tell_failure(&failure);
    }
}

const fn error_code(kind: ControlErrorKind) -> Option<&'static str> {
    match kind {
        ControlErrorKind::Bind => Some("bind_failed"),
        ControlErrorKind::Malformed | ControlErrorKind::Unsupported => Some("validation_error"),
        ControlErrorKind::Resources | ControlErrorKind::Version => None,
    }
}
