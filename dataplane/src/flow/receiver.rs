//! A socket that an input receives from, and what is counted at its mouth.

use bilbycast_shm_proto::model::ReceiveSpec;

use super::PassBuffers;
use crate::net::receive::{Received, Sources};
use crate::net::socket::ReceiveSocket;

/// A bound socket and what it was opened for.
#[derive(Debug)]
pub struct Receiver {
    socket: ReceiveSocket,
    spec: ReceiveSpec,
    /// The kernel's running count of drops when this flow last heard of it.
    drops_seen: u32,
}

/// What the kernel says about a socket, since the flow's start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KernelCounts {
    /// Datagrams that found the socket's buffer full.
    pub dropped: u64,
    /// Receive calls that returned data.
    pub batches: u64,
    /// Receive calls that failed, as after an ICMP error.
    pub errors: u64,
}

/// What [`Receiver::receive`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Taken {
    /// Datagrams that came in.
    pub(super) received: u64,
    /// More is waiting.
    pub(super) more: bool,
}

impl Receiver {
    /// A socket that was opened for `spec`.
    #[must_use]
    pub const fn new(socket: ReceiveSocket, spec: ReceiveSpec) -> Self {
        Self {
            socket,
            spec,
            drops_seen: 0,
        }
    }

    /// What it receives.
    #[must_use]
    pub const fn spec(&self) -> &ReceiveSpec {
        &self.spec
    }

    /// Its socket.
    #[must_use]
    pub const fn socket(&self) -> &ReceiveSocket {
        &self.socket
    }

    /// Leaves the group and closes the socket. On the control thread: it may take milliseconds.
    pub fn close(self) {
        self.socket.leave(&self.spec);
    }

    /// Makes room in the socket for that rate.
    pub(super) fn fit_buffer(&mut self, bytes: usize) {
        self.socket.grow_buffer(bytes);
    }

    /// Takes one batch into the buffers, in place of what they held.
    pub(super) fn receive(
        &mut self,
        buffers: &mut PassBuffers,
        counts: &mut KernelCounts,
        sources: Sources,
    ) -> Taken {
        buffers.packets.clear();
        let received = buffers.receive.receive(
            &self.socket,
            &mut buffers.memory,
            &mut buffers.packets,
            sources,
        );
        counts.batches += u64::from(received.messages > 0);
        counts.errors += u64::from(received.error.is_some());
        if let Some(total) = received.dropped_total {
            counts.dropped += u64::from(total.wrapping_sub(self.drops_seen));
            self.drops_seen = total;
        }
        Taken {
            received: buffers.packets.len() as u64,
            more: Received::is_full(&received),
        }
    }
}
