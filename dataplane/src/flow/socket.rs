//! What an input receives on: sockets that may go on when a flow is made anew.

use std::os::fd::{AsFd, BorrowedFd};

use bilbycast_shm_proto::model::{ReceiveSpec, SrtLegSpec};

use super::receiver::Receiver;
use crate::srt::leg::SrtLeg;

/// What a socket is to be opened for.
#[derive(Clone, Debug, PartialEq)]
pub enum SocketSpec {
    /// Plain UDP.
    Plain(ReceiveSpec),
    /// SRT, whose connections go on with the socket.
    Srt(Box<SrtLegSpec>),
}

/// A socket of an input.
#[derive(Debug)]
pub enum InputSocket {
    /// Plain UDP.
    Plain(Receiver),
    /// SRT.
    Srt(Box<SrtLeg>),
}

impl InputSocket {
    /// Whether it was opened for that.
    #[must_use]
    pub fn is_for(&self, spec: &SocketSpec) -> bool {
        match (self, spec) {
            (Self::Plain(receiver), SocketSpec::Plain(spec)) => receiver.spec() == spec,
            (Self::Srt(leg), SocketSpec::Srt(spec)) => leg.spec() == &**spec,
            _ => false,
        }
    }

    /// Closes it. On the control thread: it may take milliseconds.
    pub fn close(self) {
        match self {
            Self::Plain(receiver) => receiver.close(),
            // It says goodbye by itself.
            Self::Srt(leg) => drop(leg),
        }
    }

    /// The plain receiver, when it is one.
    #[must_use]
    pub fn into_plain(self) -> Option<Receiver> {
        match self {
            Self::Plain(receiver) => Some(receiver),
            Self::Srt(_) => None,
        }
    }

    /// The SRT leg, when it is one.
    #[must_use]
    pub fn into_srt(self) -> Option<SrtLeg> {
        match self {
            Self::Plain(_) => None,
            Self::Srt(leg) => Some(*leg),
        }
    }
}

/// What a quiet flow waits on.
#[derive(Clone, Copy, Debug)]
pub struct Waitable<'a>(BorrowedFd<'a>);

impl<'a> Waitable<'a> {
    /// A plain socket.
    #[must_use]
    pub fn plain(receiver: &'a Receiver) -> Self {
        Self(receiver.socket().as_fd())
    }

    /// The socket of an SRT leg.
    #[must_use]
    pub fn srt(leg: &'a SrtLeg) -> Self {
        Self(leg.socket().as_fd())
    }

    /// The descriptor.
    #[must_use]
    pub const fn fd(self) -> BorrowedFd<'a> {
        self.0
    }
}
