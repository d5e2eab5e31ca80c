//! The control side's end of a packet core.

use std::sync::Arc;
use std::time::Duration;

use bilbycast_shm_proto::control::{ControlError, ControlErrorKind};
use crossbeam::channel::{self, Sender};

use crate::core::{CoreCommand, CoreLoad, Refused};
use crate::flow::Flow;
use crate::flow::output::Output;
use crate::net::mailbox::MailboxSender;

/// How long a core may take to answer. It carries commands out between two passes, within a millisecond; one that
/// takes this long is stuck, or its CPU is taken away.
const ANSWER_TIME: Duration = Duration::from_secs(4);

/// A packet core as the engine sees it.
#[derive(Debug)]
pub struct CoreHandle {
    cpu: u32,
    mailbox: MailboxSender<CoreCommand>,
    load: Arc<CoreLoad>,
}

impl CoreHandle {
    /// The core on `cpu` behind `mailbox`.
    #[must_use]
    pub const fn new(cpu: u32, mailbox: MailboxSender<CoreCommand>, load: Arc<CoreLoad>) -> Self {
        Self { cpu, mailbox, load }
    }

    /// Bits per second that its flows receive and send together.
    pub(super) fn load_bps(&self) -> u64 {
        self.load.bps()
    }

    /// Hands a flow over. When that fails the flow comes back, unless the core does not answer at all.
    pub(super) fn add_flow(&self, flow: Box<Flow>) -> Result<(), Failed<Box<Flow>>> {
        match self.ask(|reply| CoreCommand::AddFlow { flow, reply }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refused)) => Err(Failed::refused(refused)),
            Err(error) => Err(Failed {
                error,
                brought: None,
            }),
        }
    }

    /// Takes a flow back.
    pub(super) fn remove_flow(&self, flow_id: &str) -> Result<Option<Box<Flow>>, ControlError> {
        let flow_id = flow_id.to_owned();
        self.ask(|reply| CoreCommand::RemoveFlow { flow_id, reply })
    }

    /// Exchanges outputs; returns those that were taken out.
    pub(super) fn exchange_outputs(
        &self,
        flow_id: &str,
        removed: Vec<String>,
        added: Vec<Output>,
    ) -> Result<Vec<Output>, Failed<Vec<Output>>> {
        let flow_id = flow_id.to_owned();
        let answer = self.ask(|reply| CoreCommand::ExchangeOutputs {
            flow_id,
            removed,
            added,
            reply,
        });
        match answer {
            Ok(Ok(gone)) => Ok(gone),
            Ok(Err(refused)) => Err(Failed::refused(refused)),
            Err(error) => Err(Failed {
                error,
                brought: None,
            }),
        }
    }

    /// Ends the core.
    pub fn stop(&self) {
        // A core that is gone already needs no stopping.
        let _ = self.mailbox.send(CoreCommand::Stop);
    }

    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> CoreCommand) -> Result<T, ControlError> {
        let (reply, answer) = channel::bounded(1);
        let silent = || {
            let message = format!("packet core on CPU {} does not answer", self.cpu);
            ControlError::new(ControlErrorKind::Resources, message)
        };
        self.mailbox.send(command(reply)).map_err(|_| silent())?;
        answer.recv_timeout(ANSWER_TIME).map_err(|_| silent())
    }
}

/// A core did not do what it was asked to.
#[derive(Debug)]
pub(super) struct Failed<T> {
    pub(super) error: ControlError,
    /// What it was given, when it came back.
    pub(super) brought: Option<T>,
}

impl<T> Failed<T> {
    fn refused(refused: Refused<T>) -> Self {
        let message = refused.reason.to_string();
        Self {
            error: ControlError::new(ControlErrorKind::Resources, message),
            brought: Some(refused.brought),
        }
    }
}
