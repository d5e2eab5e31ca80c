//! What the shared memory remembers of a flow.

use std::time::Duration;

use bilbycast_shm_proto::counters::HistoryRecord;

use super::{Node, NodeError};
use crate::link::LinkState;

impl Node {
    /// The seconds of a flow that ended after `since_unix_us` and, when `last` is given, no longer ago than that;
    /// the newest [`HISTORY_SECONDS_MAX`] of them, oldest first. None while the data plane is lost. They outlive restarts
    /// of this process and of the flow.
    ///
    /// # Errors
    ///
    /// [`NodeError::FlowNotFound`].
    pub fn history(
        &self,
        flow_id: &str,
        since_unix_us: u64,
        last: Option<Duration>,
    ) -> Result<Vec<HistoryRecord>, NodeError> {
        if self.config().flow(flow_id).is_none() {
            return Err(NodeError::FlowNotFound(flow_id.to_owned()));
        }
        let boot_id = match self.link.state() {
            LinkState::Connected(session) => Some(session.welcome().boot_id),
            LinkState::Lost { .. } => self.uncontrolled_run(),
        };
        let Some(boot_id) = boot_id else {
            return Ok(Vec::new());
        };
        let earliest = last.map_or(0, |last| unix_us().saturating_sub(micros(last)));
        let mut seconds = self
            .counters
            .history(boot_id, flow_id, since_unix_us.max(earliest));
        let too_many = seconds.len().saturating_sub(HISTORY_SECONDS_MAX);
        seconds.drain(..too_many);
        Ok(seconds)
    }
}

/// Most seconds of one flow that are given out, the newest ones. A node with few flows remembers many hours.
pub const HISTORY_SECONDS_MAX: usize = 3_600;

fn unix_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, micros)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
